"""Illegal parking: a vehicle at rest longer than the dwell with its wheels in a zone where it must not stand.

Creeping queues do not count: whoever moves by a fifth of its own length begins anew. A red light is
outlasted by the dwell; where it is not, the polygon does not belong there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from ingest.rules.book import PlaceBook
from ingest.rules.places import Claim, Standing
from ingest.site import Camera, Site
from ingest.types import Event, EventKind, Scene, Track, ZoneKind

VARIANTS = {
    "car": "motor",
    "bus": "motor",
    "truck": "motor",
    "bicycle": "nonmotor",
    "motorcycle": "nonmotor",
    "tricycle": "nonmotor",
}
"""Class -> variant; e-bikes are the class motorcycle, so that class counts as non-motor."""

PRECEDENCE = {ZoneKind.FIRE_LANE: 0, ZoneKind.FOOTWAY: 1, ZoneKind.NO_PARKING: 2}
CONTACT_MIN = 0.5  # share of the contact strip inside
CONTACT_MIN_FOOTWAY = 0.3  # two wheels on the pavement are on the pavement


class IllegalParking:
    """Motor vehicles, non-motor vehicles and anything in a fire lane."""

    kinds: ClassVar[tuple[EventKind, ...]] = (EventKind.ILLEGAL_PARKING,)
    always_review: ClassVar[bool] = False

    def __init__(self, camera: Camera, site: Site) -> None:
        self._zones = [zone for zone in camera.zones if EventKind.ILLEGAL_PARKING in zone.events]
        self._book = PlaceBook(camera.id, site.tz, self._zones)

    def update(self, scene: Scene) -> list[Event]:
        """Take one frame."""
        seen = [track for track in scene.tracks if track.label in VARIANTS and track.last_at == scene.at]
        return self._book.update(scene, [self._claim(track, scene) for track in seen])

    def finish(self, at: datetime) -> list[Event]:
        """Give what had left."""
        return self._book.finish(at)

    def remember(self, known: Iterable[Event]) -> None:
        """Load what was reported before."""
        self._book.remember(event for event in known if event.kind in self.kinds)

    def _claim(self, track: Track, scene: Scene) -> Claim:
        if track.anchor is None or track.at_rest_since is None:
            return Claim(track, (), scene.at)
        shares = [(zone, zone.contact_share(track.anchor, scene.wh)) for zone in self._zones]
        inside = [
            (PRECEDENCE.get(zone.kind, 9), -share, zone)
            for zone, share in shares
            if share >= (CONTACT_MIN_FOOTWAY if zone.kind is ZoneKind.FOOTWAY else CONTACT_MIN)
        ]
        inside.sort(key=lambda one: (one[0], one[1], one[2].id))
        variant = VARIANTS[track.label]
        standings = tuple(
            Standing(zone, self.kinds[0], "fire_lane" if zone.kind is ZoneKind.FIRE_LANE else variant)
            for _, _, zone in inside
        )
        return Claim(track, standings, track.at_rest_since)
