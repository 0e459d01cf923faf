"""Events of several pipelines on one clip, from anybody's tracks by our rules; how two sets differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from detector.types import Detections
from ingest.rules import build_rules
from ingest.site import Camera, Site
from ingest.tracker import Tracker
from ingest.types import Event, EventPhase, Scene, Track
from training.evaluation.events import Box, same_place

TOLERANCE_S = 0.5


@dataclass(frozen=True)
class Found:
    """One confirmed event of a clip.

    Args:
        kind, zone_id: as in a case.
        start_s: when the thing came to rest, seconds from the clip's beginning.
        xyxy: where, pixels of 1080p.
        end_s: when it was last seen there; None: it stood to the end.
        confirmed_s: when its dwell was over.
    """

    kind: str
    zone_id: str
    start_s: float
    xyxy: Box
    end_s: float | None = None
    confirmed_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Give plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Found:
        """Read what `as_json` gave."""
        left, top, right, bottom = (float(side) for side in row["xyxy"])
        return cls(**{**row, "xyxy": (left, top, right, bottom)})


@dataclass(frozen=True)
class Comparison:
    """What a set of events has of a reference.

    Args:
        matched: pairs (reference, other). missing: of the reference. extra: of the other.
    """

    matched: tuple[tuple[Found, Found], ...]
    missing: tuple[Found, ...]
    extra: tuple[Found, ...]

    @property
    def off_s(self) -> float:
        """Largest difference between two starts, seconds."""
        return max((abs(one.start_s - other.start_s) for one, other in self.matched), default=0.0)

    @property
    def ends_missing(self) -> int:
        """How many things have left in the reference only."""
        return sum(one.end_s is not None and other.end_s is None for one, other in self.matched)

    @property
    def ends_extra(self) -> int:
        """How many have left in the other only."""
        return sum(one.end_s is None and other.end_s is not None for one, other in self.matched)

    @property
    def ends_off_s(self) -> float | None:
        """Largest difference between two ends, seconds; None: nothing has left in both."""
        both = ((one.end_s, other.end_s) for one, other in self.matched)
        return max((abs(a - b) for a, b in both if a is not None and b is not None), default=None)

    @property
    def equal(self) -> bool:
        """Nothing is missing and nothing is too much; ends are told apart from that."""
        return not self.missing and not self.extra

    def as_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "equal": self.equal,
            "matched": len(self.matched),
            "missing": [found.as_json() for found in self.missing],
            "extra": [found.as_json() for found in self.extra],
            "start_off_max_s": round(self.off_s, 3),
            "ends_missing": self.ends_missing,
            "ends_extra": self.ends_extra,
            "end_off_max_s": None if self.ends_off_s is None else round(self.ends_off_s, 3),
        }


def compare(
    reference: Iterable[Found], other: Iterable[Found], tolerance_s: float = TOLERANCE_S
) -> Comparison:
    """Pair the events of two sets: same kind, zone and place, starts within `tolerance_s`."""
    left, right = sorted(reference, key=_order), sorted(other, key=_order)
    pairs = sorted(
        (abs(a.start_s - b.start_s), i, j)
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if (a.kind, a.zone_id) == (b.kind, b.zone_id)
        and abs(a.start_s - b.start_s) <= tolerance_s
        and same_place(a.xyxy, b.xyxy)
    )
    taken_left: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in taken_left and j not in taken_left.values():
            taken_left[i] = j
    return Comparison(
        tuple((left[i], right[j]) for i, j in sorted(taken_left.items())),
        tuple(found for i, found in enumerate(left) if i not in taken_left),
        tuple(found for j, found in enumerate(right) if j not in taken_left.values()),
    )


def _order(found: Found) -> tuple[float, str, str]:
    return found.start_s, found.kind, found.zone_id


def of_truth(document: Mapping[str, Any]) -> list[Found]:
    """Give what a clip's truth (benchmarks/clips.py) wants to be found."""
    seconds = float(document["seconds"])
    return [
        Found(
            event["kind"],
            event["zone_id"],
            float(event["from_s"]),
            tuple(event["xyxy"]),
            None if event["to_s"] >= seconds else float(event["to_s"]),
        )
        for event in document["events"]
    ]


class Collector:
    """Put the events of a run together: a confirmation begins one, an end completes it."""

    def __init__(self, starts_at: datetime, size: tuple[int, int], to_size: tuple[int, int]) -> None:
        """Take when the clip starts, and the factor from its pixels to the truth's."""
        self._starts_at = starts_at
        self._factor = to_size[0] / size[0], to_size[1] / size[1]
        self._found: dict[str, Found] = {}

    def take(self, events: Iterable[Event]) -> None:
        """Count what a rule gave."""
        for event in events:
            if event.phase is EventPhase.CONFIRMED:
                left, top, right, bottom = event.xyxy
                x, y = self._factor
                self._found[event.event_id] = Found(
                    event.kind.value,
                    event.zone_id,
                    self._seconds(event.started_at),
                    (left * x, top * y, right * x, bottom * y),
                    confirmed_s=self._seconds(event.observed_at),
                )
            elif event.phase is EventPhase.ENDED and event.event_id in self._found and event.ended_at:
                found = self._found[event.event_id]
                self._found[event.event_id] = replace(found, end_s=self._seconds(event.ended_at))

    def found(self) -> list[Found]:
        """Give them by start."""
        return sorted(self._found.values(), key=_order)

    def _seconds(self, at: datetime) -> float:
        return round((at - self._starts_at).total_seconds(), 3)


def of_tracks(
    rows: Iterable[Mapping[str, Any]],
    site: Site,
    camera: Camera,
    score_min: Mapping[str, float],
    size: tuple[int, int],
    to_size: tuple[int, int],
) -> list[Found]:
    """Give the events that our rules see in somebody else's tracks.

    Who is who is theirs; whether a thing stands is judged for each of their ids as we judge it for ours.

    Args:
        rows: per frame {"at_s", "boxes": [[id, label, score, left, top, right, bottom], ...]}.
        site: of the camera, for its time zone.
        camera: with zones and `starts_at`.
        score_min: threshold per class from which a box may begin a track.
        size: width and height of the boxes' pixels.
        to_size: of the pixels wanted.

    Raises:
        ValueError: the camera has no `starts_at`.
    """
    if camera.starts_at is None:
        raise ValueError("the clip's camera has no starts_at")
    names = tuple(sorted(score_min))
    rules = build_rules(camera, site)
    trackers: dict[Any, Tracker] = {}
    collector = Collector(camera.starts_at, size, to_size)
    at = camera.starts_at
    for index, row in enumerate(rows):
        at = camera.starts_at + timedelta(seconds=row["at_s"])
        tracks: list[Track] = []
        for number, label, score, *xyxy in row["boxes"]:
            if label not in names:
                continue
            tracker = trackers.setdefault(number, Tracker(f"{camera.id}-{number}"))
            box = _one(xyxy, score, names.index(label), names)
            found = tracker.update(index, at, box, score_min, size)[:1]
            tracks += [replace(track, track_id=int(number)) for track in found]
        scene = Scene(camera.id, index, at, size, tuple(tracks))
        for rule in rules:
            collector.take(rule.update(scene))
    for rule in rules:
        collector.take(rule.finish(at))
    return collector.found()


def _one(xyxy: Sequence[float], score: float, label: int, names: tuple[str, ...]) -> Detections:
    return Detections(
        np.array([xyxy], np.float32), np.array([score], np.float32), np.array([label], np.int64), names
    )
