"""Flying-wire charging: a cable from a wall down to a two-wheeler at rest. A person looks at every one.

Telegraph and power lines end at no two-wheeler; a charging post is no facade.
"""

from __future__ import annotations

from typing import ClassVar

from ingest.boxes import grown, shared_area
from ingest.rules.base import PlaceRule
from ingest.rules.places import Claim, Standing
from ingest.types import XYXY, EventKind, Scene, Track
from ingest.zones import Zone

TWO_WHEELERS = frozenset({"bicycle", "motorcycle", "tricycle"})
END_BAND = 0.2  # share of the cable's box, from above and from below, in which its ends lie
REACH = 0.25  # of the two-wheeler's size: how far from its box the cable may end


class FlyingWire(PlaceRule):
    """Cables labelled flying_wire whose upper end lies on a facade."""

    kinds: ClassVar[tuple[EventKind, ...]] = (EventKind.FLYING_WIRE,)
    labels: ClassVar[frozenset[str]] = frozenset({"flying_wire"})
    always_review: ClassVar[bool] = True

    def inside(self, zone: Zone, track: Track, scene: Scene) -> float:
        """Give the share of the cable's upper end that lies on the facade."""
        x0, y0, x1, y1 = track.anchor or track.xyxy
        width, height = scene.wh
        return zone.share((x0 / width, y0 / height, x1 / width, (y0 + END_BAND * (y1 - y0)) / height))

    def standing(self, zone: Zone, track: Track) -> Standing:  # noqa: ARG002 - the same everywhere
        """Give the one meaning it has."""
        return Standing(zone, EventKind.FLYING_WIRE)

    def claim(self, track: Track, scene: Scene) -> Claim | None:
        """Count only while the lower end is at a two-wheeler that stands."""
        claim = super().claim(track, scene)
        if claim is None or track.anchor is None:
            return claim
        end = _lower_end(track.anchor)
        plugged = any(
            shared_area(end, grown(other.anchor, REACH)) > 0
            for other in scene.tracks
            if other.label in TWO_WHEELERS and other.anchor is not None
        )
        return claim if plugged else Claim(track, claim.standings, claim.since, counts=False)


def _lower_end(box: XYXY) -> XYXY:
    return box[0], box[3] - END_BAND * (box[3] - box[1]), box[2], box[3]
