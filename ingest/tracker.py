"""Follow things from frame to frame of one source: who is who, what it is, and whether it stands. Pure.

Two-stage association as in ByteTrack (first the confident boxes, then the doubtful ones for what is
left), with constant velocity instead of a Kalman filter, and the centre distance beside IoU: at 5 frames
a second a car may move by its own length. Labels are voted over the life of a track, so a box that
flickers between car and truck is one thing. Ids are counted per `Tracker`, that is per source run.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from detector.types import Detections
from ingest.boxes import Boxes, displacement, iou, iou_matrix
from ingest.types import XYXY, Track

GROUPS = {
    "car": "vehicle",
    "bus": "vehicle",
    "truck": "vehicle",
    "bicycle": "cycle",
    "motorcycle": "cycle",
    "tricycle": "cycle",
    "litter": "waste",
    "garbage": "waste",
    "bin": "bin",
    "bin_overflow": "bin",
}
"""Labels that one thing may flicker between; any other label stands for itself."""

CONFUSED = frozenset({frozenset({"vehicle", "stall"}), frozenset({"vehicle", "cycle"})})
"""Groups under whose names one thing is seen in the same frame; a stall on a tricycle is both."""
CONFUSED_IOU = 0.8  # two boxes of such groups above this are one thing
CONFUSED_S, CONFUSED_FRAMES = 1.5, 3  # a thing at rest may go by the other name alone for the longer of these

SCORE_LOW = 0.1
SCORE_MIN = 0.25  # for a class without a threshold of its own
DUPLICATE_IOU = 0.7  # two boxes of one group above this are one thing seen twice
REST_S = 1.6  # a thing stands when it has not moved for this long ...
REST_HITS = 3  # ... in at least so many frames
RECENT_MAX = 128  # boxes remembered of a thing; REST_S at 60 frames a second
SMOOTHED = 5  # boxes whose median is where a thing at rest is now
REST_SIZES = 0.12  # movement, in own sizes, that is still standing: half a metre for a car
ABSENT_S, ABSENT_FRAMES = 5.0, 2  # who was not seen for longer and more often begins to stand anew
VOTE_HALF_S = 5.0  # age at which a label's vote counts half
VOTE_LEAD = 1.5  # a label takes over when its votes are so many times the present one's


def group_of(label: str) -> str:
    """Give the group of labels among which one thing may flicker.

    >>> group_of("truck") == group_of("car"), group_of("stall")
    (True, 'stall')
    """
    return GROUPS.get(label, label)


@dataclass(slots=True)
class _Rest:
    """Whether a thing stands: its last boxes, seen from the newest one back, lie at one place."""

    anchor: XYXY
    since: datetime
    recent: deque[tuple[datetime, XYXY]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    off: int = 0
    resting: bool = False

    def turn_back(self, at: datetime) -> None:
        """Follow a clock that stepped back."""
        self.since = min(self.since, at)
        if self.recent and self.recent[-1][0] > at:
            self.recent = deque([(min(one, at), box) for one, box in self.recent], maxlen=RECENT_MAX)

    def update(self, box: XYXY, at: datetime, wh: tuple[int, int] | None) -> None:
        self.recent.append((at, box))
        if self.resting:
            smooth = _median([each for _, each in list(self.recent)[-SMOOTHED:]])
            self.off = self.off + 1 if displacement(smooth, self.anchor, wh) > REST_SIZES else 0
            if self.off >= 2:
                self.resting, self.off = False, 0
                self.recent = deque([(at, box)], maxlen=RECENT_MAX)
                self.anchor, self.since = box, at
            return
        place = _median([each for _, each in list(self.recent)[-REST_HITS:]])
        near = takewhile(lambda one: displacement(one[1], place, wh) <= REST_SIZES, reversed(self.recent))
        here = list(near)[::-1] or [(at, box)]
        arrived = (one for one, each in here if displacement(each, place, wh) <= REST_SIZES / 2)
        self.anchor, self.since = place, next(arrived, at)
        self.resting = len(here) >= REST_HITS and (at - self.since).total_seconds() >= REST_S


@dataclass(slots=True)
class _Thing:
    """One thing being followed."""

    track_id: int
    label: str
    box: npt.NDArray[np.float64]
    score: float
    first_at: datetime
    last_at: datetime
    rest: _Rest
    hits: int = 1
    missed: int = 0
    votes: dict[str, float] = field(default_factory=dict)
    velocity: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    def age_s(self, at: datetime) -> float:
        """Seconds since it was last seen, never negative."""
        return max(0.0, (at - self.last_at).total_seconds())

    def await_frame(self, at: datetime) -> None:
        """Count as missed until seen; a clock that stepped back takes the thing's own times along."""
        self.missed += 1
        self.first_at, self.last_at = min(self.first_at, at), min(self.last_at, at)
        self.rest.turn_back(at)

    def predicted(self, at: datetime) -> npt.NDArray[np.float64]:
        """Where its box should be; who is not seen for a second is looked for where it was seen last."""
        age_s = self.age_s(at)
        return self.box if self.rest.resting or age_s > 1.0 else self.box + self.velocity * age_s

    def see(self, box: npt.NDArray[np.float64], score: float, label: str, at: datetime) -> None:
        """Take a detection for this thing."""
        elapsed = self.age_s(at)
        if elapsed > 0:
            measured = (box - self.box) / elapsed
            self.velocity = measured if self.hits == 1 else 0.5 * self.velocity + 0.5 * measured
        self.box, self.score, self.last_at = box, score, at
        if self.missed > ABSENT_FRAMES and elapsed > ABSENT_S:
            self.rest = _Rest(anchor=_xyxy(box), since=at)
        self.hits, self.missed = self.hits + 1, 0
        self.vote(label, score, elapsed)

    def vote(self, label: str, score: float, elapsed_s: float) -> None:
        """Count a label for this thing; older votes fade."""
        fade = 0.5 ** (elapsed_s / VOTE_HALF_S)
        self.votes = {name: count * fade for name, count in self.votes.items()}
        self.votes[label] = self.votes.get(label, 0.0) + score
        best = max(self.votes, key=lambda name: self.votes[name])
        if self.votes[best] > VOTE_LEAD * self.votes.get(self.label, 0.0):
            self.label = best

    def as_track(self) -> Track:
        """Give the frozen view that the rules see."""
        return Track(
            track_id=self.track_id,
            label=self.label,
            xyxy=_xyxy(self.box),
            score=self.score,
            first_at=self.first_at,
            last_at=self.last_at,
            hits=self.hits,
            anchor=self.rest.anchor if self.rest.resting else None,
            at_rest_since=self.rest.since if self.rest.resting else None,
        )


class Tracker:
    """Follow the things of one source run.

    Args:
        source_run: names the run, for messages; ids start at 1 in every run.
        lost_s: a moving thing that nobody has seen for this long is given up.
        rest_lost_s: the same for one that stood: traffic passes in front of it.
    """

    def __init__(self, source_run: str, *, lost_s: float = 1.5, rest_lost_s: float = 10.0) -> None:
        self.source_run = source_run
        self._lost_s, self._rest_lost_s = lost_s, rest_lost_s
        self._things: list[_Thing] = []
        self._next_id = 1

    def update(
        self,
        frame_index: int,  # noqa: ARG002 - for trackers that count frames
        at: datetime,
        detections: Detections,
        score_min: Mapping[str, float],
        wh: tuple[int, int] | None = None,
    ) -> tuple[Track, ...]:
        """Take one analysed frame and give everything that is followed, what is out of sight now included.

        Args:
            frame_index: position in the stream.
            at: capture time, aware; may repeat or step back.
            detections: all boxes with score 0.1 and more; doubtful ones keep a track alive, never begin one.
            score_min: per class, from which score a box begins a track.
            wh: frame width and height; says what is jitter and what is cut off at the edge.
        """
        for thing in self._things:
            thing.await_frame(at)
        kept = _without_duplicates(detections)
        limits = np.array([score_min.get(name, SCORE_MIN) for name in kept.names])
        sure = kept.score >= limits[kept.label]
        left = self._match(kept, np.flatnonzero(sure), at, sure=True)
        self._match(kept, np.flatnonzero(~sure & (kept.score >= SCORE_LOW)), at, sure=False)
        for row in sorted(left, key=lambda row: -float(kept.score[row])):
            self._begin_or_vote(kept, row, at)
        for thing in self._things:
            if not thing.missed:
                thing.rest.update(_xyxy(thing.box), at, wh)
        self._things = [thing for thing in self._things if not self._lost(thing, at)]
        return tuple(thing.as_track() for thing in self._things if thing.hits >= 2)

    def vacate(self, places: Iterable[XYXY], wh: tuple[int, int] | None = None) -> None:
        """Give up the things that stand at these places: they are known to be gone."""
        for place in places:
            self._things = [
                thing
                for thing in self._things
                if not (thing.rest.resting and displacement(place, thing.rest.anchor, wh) <= REST_SIZES)
            ]

    def unsettled(self) -> tuple[XYXY, ...]:
        """Give the boxes of what moves, has just come, or stood and was not seen in the last frame."""
        return tuple(_xyxy(thing.box) for thing in self._things if not thing.rest.resting or thing.missed)

    def _match(self, boxes: Detections, rows: npt.NDArray[np.intp], at: datetime, *, sure: bool) -> list[int]:
        """Give boxes to the things not seen yet in this frame; return the rows that nobody took."""
        things = [thing for thing in self._things if thing.missed]
        if not things or not len(rows):
            return [int(row) for row in rows]
        cost = _costs(things, boxes, rows, at, sure=sure)
        taken = set()
        for first, second in zip(*linear_sum_assignment(cost), strict=True):
            if cost[first, second] < FORBIDDEN:
                row = int(rows[second])
                name = boxes.names[int(boxes.label[row])]
                things[first].see(boxes.xyxy[row].astype(np.float64), float(boxes.score[row]), name, at)
                taken.add(row)
        return [int(row) for row in rows if int(row) not in taken]

    def _begin_or_vote(self, boxes: Detections, row: int, at: datetime) -> None:
        """Begin a thing, unless it is one that is followed already under another group's name."""
        label, xyxy = boxes.names[int(boxes.label[row])], _xyxy(boxes.xyxy[row])
        for thing in self._things:
            pair = frozenset({group_of(thing.label), group_of(label)})
            recent = thing.age_s(at) <= CONFUSED_S or thing.missed <= CONFUSED_FRAMES
            there = not thing.missed or (thing.rest.resting and recent)
            if pair in CONFUSED and there and iou(_xyxy(thing.box), xyxy) >= CONFUSED_IOU:
                thing.vote(label, float(boxes.score[row]), 0.0)
                return
        self._things.append(self._begin(boxes, row, at))

    def _begin(self, boxes: Detections, row: int, at: datetime) -> _Thing:
        box, score = boxes.xyxy[row].astype(np.float64), float(boxes.score[row])
        label = boxes.names[int(boxes.label[row])]
        rest = _Rest(anchor=_xyxy(box), since=at)
        thing = _Thing(self._next_id, label, box, score, at, at, rest, votes={label: score})
        self._next_id += 1
        return thing

    def _lost(self, thing: _Thing, at: datetime) -> bool:
        """Say whether to give a thing up: out of sight for too long and for more than a frame or two."""
        if thing.hits == 1:
            return thing.missed >= 2
        limit_s, frames = (self._rest_lost_s, 3) if thing.rest.resting else (self._lost_s, 2)
        return thing.missed > frames and thing.age_s(at) > limit_s


FORBIDDEN = 1e6


def _costs(
    things: Sequence[_Thing], boxes: Detections, rows: npt.NDArray[np.intp], at: datetime, *, sure: bool
) -> npt.NDArray[np.float64]:
    """Give what it costs to take each box for each thing: (things, rows); FORBIDDEN where it cannot be.

    A sure box may lie beside the predicted one as long as sizes agree (low frame rates); a doubtful one, and
    one for a thing that stands or has long been out of sight, must overlap.
    """
    wanted: Boxes = np.array([thing.predicted(at) for thing in things])
    found: Boxes = boxes.xyxy[rows].astype(np.float64)
    overlap = iou_matrix(wanted, found)
    size_w, size_f = (
        np.sqrt(np.clip(np.prod(b[:, 2:] - b[:, :2], axis=1), 1, None)) for b in (wanted, found)
    )
    centre_w, centre_f = ((b[:, :2] + b[:, 2:]) / 2 for b in (wanted, found))
    distance = np.linalg.norm(centre_w[:, None] - centre_f[None], axis=2) / np.maximum(
        size_w[:, None], size_f
    )
    same_size = np.abs(np.log(size_w[:, None] / size_f)) < np.log(1.6)
    reach = np.array([_reach(thing, at) if sure else 0.0 for thing in things])[:, None]
    allowed = (overlap >= (0.2 if sure else 0.3)) | (same_size & (distance < reach))
    labels = [boxes.names[int(label)] for label in boxes.label[rows]]
    groups = np.array([[group_of(thing.label) == group_of(name) for name in labels] for thing in things])
    other = np.array([[thing.label != name for name in labels] for thing in things])
    cost = 1 - overlap + 0.5 * np.minimum(distance, 2) + 0.1 * other
    return np.where(allowed & groups, cost, FORBIDDEN)


def _reach(thing: _Thing, at: datetime) -> float:
    """Give how far, in its own sizes, a thing may be from where it is expected without overlapping."""
    if thing.rest.resting or thing.age_s(at) > 1.0:
        return 0.3
    return 1.2 if thing.hits == 1 else 0.7


def _without_duplicates(detections: Detections) -> Detections:
    """Keep the best of the boxes that show one thing under several labels of its group."""
    if len(detections) < 2:
        return detections
    boxes = detections.xyxy.astype(np.float64)
    overlap = iou_matrix(boxes, boxes)
    groups = [group_of(detections.names[int(label)]) for label in detections.label]
    keep = np.ones(len(detections), dtype=np.bool_)
    for row in np.argsort(-detections.score, kind="stable"):
        for other in np.flatnonzero(overlap[row] > DUPLICATE_IOU):
            worse = (detections.score[other], -other) < (detections.score[row], -row)
            if keep[row] and worse and groups[other] == groups[row]:
                keep[other] = False
    return detections if keep.all() else detections.where(keep)


def _median(boxes: Sequence[XYXY]) -> XYXY:
    """Give the median of each side; of an even number the larger of the middle two."""
    left, top, right, bottom = (sorted(side)[len(boxes) // 2] for side in zip(*boxes, strict=True))
    return left, top, right, bottom


def _xyxy(box: npt.NDArray[np.floating[Any]]) -> XYXY:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom
