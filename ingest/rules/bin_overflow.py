"""Overflowing bin: a bin seen overflowing for most of the dwell. A bin that is merely full is not.

The detector decides in every frame between bin and bin_overflow; the tracker's vote and the share over
the dwell keep one frame's mistake from becoming a case. The dwell counts from when it began to overflow,
not from when the bin was put there.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from ingest.rules.base import PlaceRule, contact
from ingest.rules.places import Claim, Standing
from ingest.site import Camera, Site
from ingest.types import Event, EventKind, Scene, Track
from ingest.zones import Zone

OVERFLOWING_MIN = 0.5  # share of the frames since it began


class BinOverflow(PlaceRule):
    """Bins labelled bin_overflow."""

    kinds: ClassVar[tuple[EventKind, ...]] = (EventKind.BIN_OVERFLOW,)
    labels: ClassVar[frozenset[str]] = frozenset({"bin_overflow"})

    def __init__(self, camera: Camera, site: Site) -> None:
        """As `PlaceRule`."""
        super().__init__(camera, site)
        self._merely_full: dict[int, datetime] = {}

    def update(self, scene: Scene) -> list[Event]:
        """Take one frame; remember which bins have been seen in order."""
        present = {track.track_id for track in scene.tracks}
        in_order = {track.track_id: scene.at for track in scene.tracks if track.label == "bin"}
        kept = {key: at for key, at in self._merely_full.items() if key in present}
        self._merely_full = kept | in_order
        return super().update(scene)

    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Say whether it stands on the ground of the zone."""
        return contact(zone, track, scene)

    def standing(self, zone: Zone, track: Track) -> Standing:  # noqa: ARG002 - the same everywhere
        """Give the one meaning it has."""
        return Standing(zone, EventKind.BIN_OVERFLOW)

    def claim(self, track: Track, scene: Scene) -> Claim | None:
        """Count from the last time the bin was seen in order."""
        claim = super().claim(track, scene)
        if claim is None or track.anchor is None:
            return claim
        since = max(claim.since, self._merely_full.get(track.track_id, claim.since))
        return Claim(track, claim.standings, since, seen_min=OVERFLOWING_MIN)
