"""A street that does what it is told: scripted boxes through the real tracker into scenes. For tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from detector.types import Detections
from ingest.rules import EventRule
from ingest.tracker import Tracker
from ingest.types import XYXY, Event, Scene

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
"""A Monday, ten in the morning in Shanghai."""
WH = (640, 360)

Motion = Callable[[float], XYXY | None]
"""Seconds since the start -> box in pixels, None while it cannot be seen."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One thing: what it looks like, where it is, how sure the detector is."""

    label: str | Callable[[float], str]
    motion: Motion
    score: float = 0.8

    def label_at(self, second: float) -> str:
        """Give what the detector calls it."""
        return self.label if isinstance(self.label, str) else self.label(second)


def standing(box: XYXY, since: float = 0.0, until: float = float("inf")) -> Motion:
    """Stand in one place from `since` to before `until`, seconds; appear and vanish without a trace."""
    return lambda second: box if since <= second < until else None


def moving(box: XYXY, px_per_s: tuple[float, float], since: float = 0.0) -> Motion:
    """Drive straight on from `since`, for as long as it is in the picture."""

    def at(second: float) -> XYXY | None:
        dx, dy = ((second - since) * speed for speed in px_per_s)
        moved = box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
        inside = moved[0] < WH[0] and moved[2] > 0 and moved[1] < WH[1] and moved[3] > 0
        return moved if second >= since and inside else None

    return at


def visit(box: XYXY, px_per_s: tuple[float, float], arrive: float, leave: float) -> Motion:
    """Drive up to `box`, stand there from `arrive` to `leave`, drive on the same way."""

    def at(second: float) -> XYXY | None:
        away = min(0.0, second - arrive) + max(0.0, second - leave)
        return moving(box, px_per_s)(away) if away >= 0 else moving(box, (-px_per_s[0], -px_per_s[1]))(-away)

    return at


def scenes(
    actors: Sequence[Actor],
    seconds: float,
    fps: float = 5.0,
    start: datetime = START,
    blind: Callable[[float], bool] = lambda _: False,
) -> Iterator[Scene]:
    """Film the actors: detections through a tracker of their own; no frames while `blind`."""
    names = tuple(
        sorted({actor.label_at(step / fps) for actor in actors for step in range(int(seconds * fps))})
    )
    tracker = Tracker("scripted")
    for index in range(int(seconds * fps)):
        second = index / fps
        if blind(second):
            continue
        seen = [(actor, box) for actor in actors if (box := actor.motion(second))]
        labels = np.array([names.index(actor.label_at(second)) for actor, _ in seen], np.int64)
        scores = np.array([actor.score for actor, _ in seen], np.float32)
        boxes = Detections(np.array([box for _, box in seen], np.float32), scores, labels, names)
        at = start + timedelta(seconds=second)
        yield Scene("cam-1", index, at, WH, tracker.update(index, at, boxes, {}, WH))


def judge(rule: EventRule, filmed: Iterator[Scene]) -> list[Event]:
    """Give all events of one rule over scenes."""
    return [event for scene in filmed for event in rule.update(scene)]
