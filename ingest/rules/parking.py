"""Illegal parking: a vehicle at rest longer than the dwell with its wheels in a zone where it must not stand.

Creeping queues do not count: whoever moves on begins anew. A red light is outlasted by the dwell; where
it is not, the polygon does not belong there.
"""

from __future__ import annotations

from typing import ClassVar

from ingest.rules.base import PlaceRule
from ingest.rules.places import Standing
from ingest.types import EventKind, Scene, Track, ZoneKind
from ingest.zones import Zone

VARIANTS = {
    "car": "motor",
    "bus": "motor",
    "truck": "motor",
    "bicycle": "nonmotor",
    "motorcycle": "nonmotor",
    "tricycle": "nonmotor",
}
"""Class -> variant. E-bikes, which the law counts as non-motor, are of the class motorcycle."""

CONTACT_MIN = 0.5  # share of the contact strip inside
CONTACT_MIN_FOOTWAY = 0.3  # two wheels on the pavement are on the pavement


class IllegalParking(PlaceRule):
    """Motor vehicles, non-motor vehicles, and either of them in a fire lane."""

    kinds: ClassVar[tuple[EventKind, ...]] = (EventKind.ILLEGAL_PARKING,)
    labels: ClassVar[frozenset[str]] = frozenset(VARIANTS)
    precedence: ClassVar[tuple[ZoneKind, ...]] = (ZoneKind.FIRE_LANE, ZoneKind.FOOTWAY, ZoneKind.NO_PARKING)

    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Give the share of the contact strip in the zone."""
        share = zone.contact_share(track.anchor or track.xyxy, scene.wh)
        return (
            share if share >= (CONTACT_MIN_FOOTWAY if zone.kind is ZoneKind.FOOTWAY else CONTACT_MIN) else 0
        )

    def standing(self, zone: Zone, track: Track) -> Standing:
        """Tell motor from non-motor vehicles; a fire lane is worse than either."""
        variant = "fire_lane" if zone.kind is ZoneKind.FIRE_LANE else VARIANTS[track.label]
        return Standing(zone, EventKind.ILLEGAL_PARKING, variant)
