"""Street vending and shop overflow: a stall at rest, or a tricycle that somebody sells from.

A tricycle is a vehicle until a person stands by it for most of the dwell. What stands within a shop's
frontage is the shop's own overflow; the same stall on the road is trading on the road.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from ingest.rules.base import PlaceRule, contact
from ingest.rules.places import Claim, Standing
from ingest.site import Camera, Site
from ingest.types import Event, EventKind, Scene, Track, ZoneKind
from ingest.zones import Zone

STANDING_BY = 0.75  # distance, in tricycle widths, within which a person stands by it
ATTENDED_MIN = 0.6  # share of the time for which somebody must stand by it


class Vending(PlaceRule):
    """Stalls, tricycles with an attendant, and stalls in front of shops."""

    kinds: ClassVar[tuple[EventKind, ...]] = (EventKind.STREET_VENDING, EventKind.SHOP_OVERFLOW)
    labels: ClassVar[frozenset[str]] = frozenset({"stall", "tricycle"})
    precedence: ClassVar[tuple[ZoneKind, ...]] = (
        ZoneKind.SHOPFRONT,
        ZoneKind.CARRIAGEWAY,
        ZoneKind.NO_VENDING,
        ZoneKind.FOOTWAY,
        ZoneKind.PUBLIC,
    )
    contained: ClassVar[float | None] = 0.6

    def __init__(self, camera: Camera, site: Site) -> None:
        """As `PlaceRule`."""
        super().__init__(camera, site)
        self._attended: dict[int, datetime] = {}

    def update(self, scene: Scene) -> list[Event]:
        """Take one frame."""
        present = {track.track_id for track in scene.tracks}
        self._attended = {key: since for key, since in self._attended.items() if key in present}
        return super().update(scene)

    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Say whether it stands on the ground of the zone."""
        return contact(zone, track, scene)

    def standing(self, zone: Zone, track: Track) -> Standing | None:
        """Tell the shop's own goods from the street's; a tricycle counts only where vending is forbidden."""
        if zone.kind is ZoneKind.SHOPFRONT:
            return Standing(zone, EventKind.SHOP_OVERFLOW) if track.label == "stall" else None
        if track.label == "tricycle" and zone.kind not in (ZoneKind.NO_VENDING, ZoneKind.FOOTWAY):
            return None
        road = zone.kind in (ZoneKind.CARRIAGEWAY, ZoneKind.FOOTWAY) and track.label == "stall"
        return Standing(zone, EventKind.STREET_VENDING, "occupying_road" if road else "")

    def claim(self, track: Track, scene: Scene) -> Claim | None:
        """Let a tricycle count only while somebody stands by it."""
        claim = super().claim(track, scene)
        if claim is None or track.label != "tricycle":
            return claim
        if not any(_stands_by(other, track) for other in scene.tracks if other.last_at == scene.at):
            self._attended.pop(track.track_id, None)
            return Claim(track, claim.standings, claim.since, counts=False)
        since = self._attended.setdefault(track.track_id, scene.at)
        return Claim(track, claim.standings, max(claim.since, since), seen_min=ATTENDED_MIN)


def _stands_by(person: Track, tricycle: Track) -> bool:
    """Say whether a person stands at a thing: beside, behind or in it, on the same ground."""
    if person.label != "person":
        return False
    width, height = tricycle.xyxy[2] - tricycle.xyxy[0], tricycle.xyxy[3] - tricycle.xyxy[1]
    feet = (person.xyxy[0] + person.xyxy[2]) / 2, person.xyxy[3]
    beside = max(tricycle.xyxy[0] - feet[0], feet[0] - tricycle.xyxy[2], 0.0) <= STANDING_BY * width
    level = abs(feet[1] - tricycle.xyxy[3]) <= 0.5 * height
    return beside and level
