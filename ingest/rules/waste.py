"""Garbage and litter on the ground: the surface decides what it is called, the class decides where both fit.

One rule for three kinds, because one heap may flicker between garbage and litter and is still one case.
What somebody holds in a hand is not on the ground. A heap that leans on an overflowing bin belongs to the
bin's case.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from ingest.boxes import covered_share, grown, shared_area
from ingest.rules.base import PlaceRule, contact
from ingest.rules.places import Claim, Standing
from ingest.site import Camera, Site
from ingest.types import XYXY, Event, EventKind, Scene, Track, ZoneKind
from ingest.zones import Zone

HELD_SHARE = 0.6  # of the thing's box inside a person's
HELD_ABOVE = 0.1  # of the person's height between the thing's lower edge and the feet
TOUCHING = 0.15  # of the bin's size: how far a heap may lie from it and still lean on it
BIN_MEMORY = timedelta(seconds=60)  # for how long a bin that is seen no more is remembered as overflowing


class Waste(PlaceRule):
    """Exposed garbage, litter on the road, litter in a green belt."""

    kinds: ClassVar[tuple[EventKind, ...]] = (
        EventKind.EXPOSED_GARBAGE,
        EventKind.ROAD_LITTER,
        EventKind.GREEN_BELT_LITTER,
    )
    labels: ClassVar[frozenset[str]] = frozenset({"garbage", "litter"})
    precedence: ClassVar[tuple[ZoneKind, ...]] = (
        ZoneKind.GREEN_BELT,
        ZoneKind.CARRIAGEWAY,
        ZoneKind.FOOTWAY,
        ZoneKind.PUBLIC,
    )
    contained: ClassVar[float | None] = 0.7

    def __init__(self, camera: Camera, site: Site) -> None:
        """As `PlaceRule`, with the zones in which an overflowing bin is a case of its own."""
        super().__init__(camera, site)
        self._bin_zones = [zone for zone in camera.zones if EventKind.BIN_OVERFLOW in zone.events]
        self._bins: dict[int, tuple[XYXY, datetime]] = {}

    def update(self, scene: Scene) -> list[Event]:
        """Take one frame."""
        for track in scene.tracks:
            box = track.anchor if track.label == "bin_overflow" and track.last_at == scene.at else None
            if box and any(zone.has_contact(box, scene.wh) for zone in self._bin_zones):
                self._bins[track.track_id] = grown(box, TOUCHING), scene.at
        self._bins = {key: one for key, one in self._bins.items() if scene.at - one[1] <= BIN_MEMORY}
        return super().update(scene)

    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Say whether it lies on the ground of the zone."""
        return contact(zone, track, scene)

    def standing(self, zone: Zone, track: Track) -> Standing | None:
        """Name it by the surface: green belt, carriageway, else by what it is."""
        if zone.kind is ZoneKind.GREEN_BELT:
            kind = EventKind.GREEN_BELT_LITTER
        elif zone.kind is ZoneKind.CARRIAGEWAY and EventKind.ROAD_LITTER in zone.events:
            kind = EventKind.ROAD_LITTER
        else:
            kind = EventKind.EXPOSED_GARBAGE if track.label == "garbage" else EventKind.ROAD_LITTER
        return Standing(zone, kind)

    def claim(self, track: Track, scene: Scene) -> Claim | None:
        """Pass over what is held in a hand, and what leans on an overflowing bin."""
        claim = super().claim(track, scene)
        if claim is None or track.anchor is None:
            return claim
        held = any(_holds(other, track) for other in scene.tracks if other.last_at == scene.at)
        leaning = any(shared_area(track.anchor, box) > 0 for box, _ in self._bins.values())
        return Claim(track, claim.standings, claim.since, counts=False) if held or leaning else claim


def _holds(person: Track, thing: Track) -> bool:
    """Say whether a thing hangs in a person's hand: inside the person's box, off the ground."""
    if person.label != "person":
        return False
    above = HELD_ABOVE * (person.xyxy[3] - person.xyxy[1])
    return covered_share(thing.xyxy, person.xyxy) >= HELD_SHARE and thing.xyxy[3] <= person.xyxy[3] - above
