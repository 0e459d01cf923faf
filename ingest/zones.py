"""What the polygons on the picture mean and what stands there. Pure; fractions of frame width and height."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from detector.types import Detections
from ingest.boxes import fractions, ground_contact
from ingest.schedule import ALWAYS, Exemption, Schedule, enforced
from ingest.types import XYXY, EventKind, ZoneKind

XY = tuple[float, float]
"""Fractions of frame width and height, origin top left."""

CONTACT_BAND = 0.15
"""Share of a vehicle's box height, from below, in which its wheels touch the ground."""

EVENTS_OF: dict[ZoneKind, frozenset[EventKind]] = {
    ZoneKind.NO_PARKING: frozenset({EventKind.ILLEGAL_PARKING}),
    ZoneKind.FIRE_LANE: frozenset({EventKind.ILLEGAL_PARKING}),
    ZoneKind.FOOTWAY: frozenset(
        {
            EventKind.ILLEGAL_PARKING,
            EventKind.STREET_VENDING,
            EventKind.EXPOSED_GARBAGE,
            EventKind.BIN_OVERFLOW,
        }
    ),
    ZoneKind.CARRIAGEWAY: frozenset({EventKind.STREET_VENDING, EventKind.ROAD_LITTER}),
    ZoneKind.NO_VENDING: frozenset({EventKind.STREET_VENDING}),
    ZoneKind.PUBLIC: frozenset({EventKind.EXPOSED_GARBAGE, EventKind.ROAD_LITTER, EventKind.BIN_OVERFLOW}),
    ZoneKind.GREEN_BELT: frozenset({EventKind.GREEN_BELT_LITTER}),
    ZoneKind.SHOPFRONT: frozenset({EventKind.SHOP_OVERFLOW}),
    ZoneKind.FACADE: frozenset({EventKind.FLYING_WIRE}),
    ZoneKind.IGNORE: frozenset(),
    ZoneKind.PRIVACY: frozenset(),
}
"""What a zone is watched for unless it lists its own `events`."""

DWELL_S: dict[ZoneKind, float] = {
    ZoneKind.NO_PARKING: 180,
    ZoneKind.FIRE_LANE: 60,
    ZoneKind.FOOTWAY: 300,
    ZoneKind.CARRIAGEWAY: 120,
    ZoneKind.NO_VENDING: 300,
    ZoneKind.PUBLIC: 120,
    ZoneKind.GREEN_BELT: 300,
    ZoneKind.SHOPFRONT: 300,
    ZoneKind.FACADE: 60,
    ZoneKind.IGNORE: 0,
    ZoneKind.PRIVACY: 0,
}
"""How long a thing must stand before it counts, seconds, unless the zone says otherwise.

Source: the vendors' practice in reference/FIELD.md 6.1 (5 min for vending); a fire lane is cleared at once.
"""


@dataclass(frozen=True)
class Zone:
    """One polygon of one camera.

    Args:
        id: unique within the camera.
        kind: what the ground (or wall) there is.
        polygon: three or more corners, fractions of frame width and height; simple, not closed.
        dwell_s: how long a thing must stand there, seconds.
        events: what it is watched for.
        schedule: when, in local time.
        exemptions: permits and holidays, during which it is not.
    """

    id: str
    kind: ZoneKind
    polygon: tuple[XY, ...]
    dwell_s: float
    events: frozenset[EventKind]
    schedule: Schedule = ALWAYS
    exemptions: tuple[Exemption, ...] = ()

    @cached_property
    def shape(self) -> Polygon:
        """The polygon as a prepared geometry."""
        shape = Polygon(self.polygon)
        shapely.prepare(shape)
        return shape

    def active(self, at: datetime, tz: tzinfo) -> bool:
        """Say whether the zone is enforced at an aware time."""
        return enforced(self.schedule, self.exemptions, at, tz)

    def contains(self, xy: XY) -> bool:
        """Say whether a point lies inside or on the edge."""
        return bool(shapely.intersects_xy(self.shape, xy[0], xy[1]))

    def share(self, area: XYXY) -> float:
        """Give the share of an area, a box in fractions, that lies inside, in [0, 1]."""
        rectangle = box(*area)
        if rectangle.area <= 0:
            return float(self.contains((area[0], area[3])))
        return min(1.0, float(self.shape.intersection(rectangle).area / rectangle.area))

    def contact_share(self, xyxy: XYXY, wh: tuple[int, int]) -> float:
        """Give the share of a vehicle's contact strip (lower band of its box, pixels) that lies inside."""
        x0, y0, x1, y1 = fractions(xyxy, wh)
        return self.share((x0, y1 - CONTACT_BAND * (y1 - y0), x1, y1))

    def has_contact(self, xyxy: XYXY, wh: tuple[int, int]) -> bool:
        """Say whether the ground contact of a box in pixels lies inside."""
        x, y = ground_contact(fractions(xyxy, wh))
        return self.contains((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))


def without_ignored(detections: Detections, zones: Iterable[Zone], wh: tuple[int, int]) -> Detections:
    """Drop what stands in an ignore zone: a permitted rank, a screen, the next street.

    Args:
        detections: of one frame, pixels.
        zones: of its camera; only those of kind ignore matter.
        wh: frame width and height in pixels.
    """
    keep = np.ones(len(detections), dtype=np.bool_)
    for zone in zones:
        if zone.kind is ZoneKind.IGNORE and len(detections):
            middle = (detections.xyxy[:, 0] + detections.xyxy[:, 2]) / 2 / wh[0]
            bottom = np.clip(detections.xyxy[:, 3] / wh[1], 0.0, 1.0)
            keep &= ~shapely.intersects_xy(zone.shape, np.clip(middle, 0.0, 1.0), bottom)
    return detections if keep.all() else detections.where(keep)


def privacy_polygons(zones: Iterable[Zone]) -> tuple[tuple[XY, ...], ...]:
    """Give the polygons, in fractions, that must be blacked out in every public picture."""
    return tuple(zone.polygon for zone in zones if zone.kind is ZoneKind.PRIVACY)


def crossing_edges(polygon: tuple[XY, ...]) -> tuple[int, int] | None:
    """Give the first two edges, by 0-based index of their first corner, that cross; None if simple.

    >>> crossing_edges(((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
    (0, 2)
    """
    edges = [
        shapely.LineString([start, end])
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True)
    ]
    for first in range(len(edges)):
        for second in range(first + 1, len(edges)):
            adjacent = second == first + 1 or (first == 0 and second == len(edges) - 1)
            shared = edges[first].intersection(edges[second])
            if shared.is_empty or (adjacent and shared.geom_type == "Point"):
                continue
            return first, second
    return None
