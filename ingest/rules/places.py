"""One thing at one place: how long it has stood, whether it is still there. Pure; no clock but the frames'.

One physical thing is one case. Its key is the place, not the track: a track id may change while a bus
passes, and the thing is still the one that stood there. A place is born when something comes to rest,
counts dwell while the thing is seen (gaps up to a tolerance included), is reported once, watched silently
("known"), and ended once.

Absence comes in two sorts. Where the camera looks and the thing is not there, seconds count against the
tolerance. Where nobody could see it (the stream was down, a bus stands in front), they do not, up to a
longer limit; neither do more of them than the tolerance count as dwell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ingest.boxes import displacement, iou
from ingest.tracker import group_of
from ingest.types import XYXY, EventKind, EventPhase, Track
from ingest.zones import Zone

TOLERANCE_S, TOLERANCE_SHARE = 5.0, 0.2  # of absence, before a place is given up: the larger, share of dwell
KNOWN_TOLERANCE_S = 15.0  # a reported thing is not called gone sooner: a second case would follow
UNSEEN_LIMIT_S, KNOWN_UNSEEN_LIMIT_S = 60.0, 600.0  # stream down or view blocked
SAME_SIZES = 0.2  # displacement, in own sizes, at which a track is still at its place
SAME_IOU = 0.5  # overlap at which another track is taken for the thing that stood here
AWAY_IOU = 0.3  # overlap below which a track is elsewhere
VACANT_S, LEFT_VACANT_S = 1.5, 0.6  # a place seen empty for this long can be taken by a newcomer
LEFT_S = 1.0  # its thing, followed for this long elsewhere, has left


@dataclass(frozen=True, slots=True)
class Standing:
    """What it would mean if a thing stood in a zone."""

    zone: Zone
    kind: EventKind
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a rule sees in this frame.

    Args:
        track: the thing, seen in this very frame.
        standings: zones it stands in, the most telling first; none for a thing that may only keep its place.
        since: when it came to rest, or became what the rule looks for.
        counts: whether it is what the rule looks for; False keeps a reported place alive and does no more.
        seen_min: share of the frames since its start in which it must have been so to be reported, [0, 1].
    """

    track: Track
    standings: tuple[Standing, ...]
    since: datetime
    counts: bool = True
    seen_min: float = 0.0


@dataclass(slots=True, eq=False)
class Place:
    """One thing at one place."""

    box: XYXY
    since: datetime
    standing: Standing
    label: str
    last_seen: datetime
    track_ids: set[int] = field(default_factory=set)
    dwell_s: float = 0.0
    absent_s: float = 0.0
    unseen_s: float = 0.0
    left_s: float = 0.0
    score_sum: float = 0.0
    seen: int = 0
    looked: int = 0
    phase: EventPhase | None = None
    event_id: str = ""
    remembered: bool = False
    replaced: bool = False
    labels: dict[str, float] = field(default_factory=dict)

    @property
    def tolerance_s(self) -> float:
        """Seconds of absence that do not end it."""
        return max(TOLERANCE_S, TOLERANCE_SHARE * self.standing.zone.dwell_s)

    @property
    def known(self) -> bool:
        """Whether it has been reported."""
        return self.phase is EventPhase.CONFIRMED

    @property
    def confidence(self) -> float:
        """Mean score of the frames in which it was seen."""
        return round(self.score_sum / self.seen, 4) if self.seen else 0.0

    @property
    def over(self) -> bool:
        """Whether it has been out of sight for too long to be the same thing, or another stands there."""
        if self.replaced:
            return True
        if not self.known:
            return self.absent_s > self.tolerance_s or self.unseen_s > UNSEEN_LIMIT_S
        patience = self.tolerance_s if self.left_s >= LEFT_S else max(KNOWN_TOLERANCE_S, self.tolerance_s)
        return self.absent_s > patience or self.unseen_s > KNOWN_UNSEEN_LIMIT_S

    def see(self, claim: Claim, at: datetime, *, active: bool) -> None:
        """Count a frame in which the thing was here."""
        gap = max(0.0, (at - self.last_seen).total_seconds())
        if active:
            self.dwell_s += min(gap, self.tolerance_s)
        self.last_seen, self.absent_s, self.unseen_s, self.left_s = at, 0.0, 0.0, 0.0
        self.score_sum, self.seen = self.score_sum + claim.track.score, self.seen + 1
        self.looked += 1
        self.track_ids.add(claim.track.track_id)
        self.labels[claim.track.label] = self.labels.get(claim.track.label, 0.0) + claim.track.score
        self.label = max(self.labels, key=lambda name: self.labels[name])

    def miss(self, elapsed_s: float, *, looked: bool) -> None:
        """Count a frame in which the thing was not seen; `looked`: one would have seen it."""
        if looked:
            self.absent_s += elapsed_s
            self.looked += 1
        else:
            self.unseen_s += elapsed_s

    def turn_back(self, at: datetime) -> None:
        """Follow a clock that stepped back: what is counted stays, what is written as a time moves."""
        if self.remembered:
            return
        self.last_seen = min(self.last_seen, at)
        if self.phase is None:
            self.since = min(self.since, at)

    def rescale(self, x: float, y: float) -> None:
        """Follow a stream that changed its size."""
        self.box = self.box[0] * x, self.box[1] * y, self.box[2] * x, self.box[3] * y

    def held_by(self, track: Track, wh: tuple[int, int]) -> bool:
        """Say whether a track that was here before is here still: hardly moved, or at rest again so near."""
        if track.anchor is not None and iou(track.anchor, self.box) >= SAME_IOU:
            return True
        return displacement(track.xyxy, self.box, wh) <= SAME_SIZES

    def fits(self, track: Track, wh: tuple[int, int]) -> bool:
        """Say whether another track at rest may be the thing that stood here."""
        if track.anchor is None or group_of(track.label) != group_of(self.label):
            return False
        return (
            iou(track.anchor, self.box) >= SAME_IOU or displacement(track.anchor, self.box, wh) <= SAME_SIZES
        )

    def taken_over(self, track: Track, first_box: XYXY) -> bool:
        """Say whether a track that fits is a newcomer: the place was seen empty, and it came from elsewhere.

        In a queue the next car stops where the last one stood. It is another thing, though IoU says the same.
        """
        vacant_s = LEFT_VACANT_S if self.left_s >= LEFT_S else VACANT_S
        came = iou(first_box, self.box) < AWAY_IOU and (
            track.at_rest_since is None or track.at_rest_since >= self.last_seen
        )
        return came and self.absent_s >= vacant_s


@dataclass(frozen=True, slots=True)
class Counting:
    """What one rule was counting when its camera went elsewhere.

    Args:
        places: of all things that it watched.
        wh: width and height of the frames that their boxes lie in, pixels.
        used_ids: of the events that it has named.
    """

    places: tuple[Place, ...]
    wh: tuple[int, int] | None
    used_ids: tuple[str, ...] = ()
