"""What is remembered of a picture for evidence: who was where in it, and how to have it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

from detector.types import Detections, Image
from ingest.clips import SIDE_MAX
from ingest.redact import PERSONS
from ingest.sources.packets import Cut, Mark
from ingest.stills import jpeg, scaled
from ingest.types import XYXY, Event

RING_QUALITY = 85


class Past(Protocol):
    """A picture that was."""

    @property
    def at(self) -> datetime:
        """When."""
        ...

    @property
    def scale(self) -> float:
        """Pixels of the boxes per pixel of the source."""
        ...

    @property
    def detections(self) -> Detections:
        """Who was where."""
        ...


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture kept as a JPEG of at most `SIDE_MAX` px, boxes in its own pixels."""

    index: int
    at: datetime
    jpeg: bytes
    scale: float
    detections: Detections

    def image(self) -> Image:
        """Give the picture."""
        return cast(Image, cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR))


@dataclass(frozen=True, slots=True)
class Note:
    """An analysed picture that lies on the tape; boxes in pixels of the source."""

    index: int
    at: datetime
    mark: Mark
    detections: Detections
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class KeyShot:
    """A picture kept as the key frame that it came as; boxes in pixels of the source.

    `looked`: its boxes are its own. Else they are those of the pictures around it, if any were near.
    """

    index: int
    at: datetime
    cut: Cut
    detections: Detections
    looked: bool
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Developed:
    """A picture made of what was kept of it: BGR of at most `SIDE_MAX` px, boxes in its pixels."""

    index: int
    at: datetime
    image: Image
    scale: float
    detections: Detections


P = TypeVar("P", bound=Past)


def shot_of(index: int, at: datetime, image: Image, detections: Detections) -> Shot:
    """Keep a picture; boxes in pixels of `image`."""
    scale = min(1.0, SIDE_MAX / max(image.shape[:2]))
    small = shrink(image, scale)
    return Shot(index, at, jpeg(small, RING_QUALITY), scale, resized(detections, scale))


def shrink(image: Image, scale: float) -> Image:
    """Give a picture at a smaller size."""
    if scale >= 1.0:
        return image
    return cast(Image, cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def before_of(shots: Sequence[P], event: Event) -> P:
    """Choose the picture from before the thing came: the newest in which nothing stands at its place.

    Failing that the newest from 3 s before it came to rest, failing that the oldest.
    """
    earlier = [shot for shot in shots if shot.at < event.started_at]
    for shot in reversed(earlier):
        if not occupied(shot, event.xyxy):
            return shot
    settled = event.started_at - timedelta(seconds=3)
    return next((shot for shot in reversed(earlier) if shot.at <= settled), shots[0])


def occupied(shot: Past, xyxy: XYXY) -> bool:
    """Say whether anything covers a fifth of a box, pixels of the source."""
    x0, y0, x1, y1 = scaled(xyxy, shot.scale)
    boxes = shot.detections.xyxy
    if not len(boxes):
        return False
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    return bool((shared > 0.2 * max((x1 - x0) * (y1 - y0), 1.0)).any())


def resized(detections: Detections, scale: float) -> Detections:
    """Give boxes in a picture of another size."""
    return Detections(
        detections.xyxy * np.float32(scale), detections.score, detections.label, detections.names
    )


def with_persons(own: Detections, others: Iterable[Detections]) -> Detections:
    """Add the persons of neighbouring frames to a frame's own boxes."""
    return united([own, *(other.where(_persons(other)) for other in others)])


def united(several: Sequence[Detections]) -> Detections:
    """Give the boxes of all, at least one, as one."""
    return Detections(
        np.concatenate([each.xyxy for each in several]),
        np.concatenate([each.score for each in several]),
        np.concatenate([each.label for each in several]),
        several[0].names,
    )


def with_thing(detections: Detections, event: Event, scale: float = 1.0) -> Detections:
    """Add the thing itself: what the rules are sure of is not taken for a person in a single frame."""
    if event.label not in detections.names:
        return detections
    return Detections(
        np.concatenate([detections.xyxy, np.array([scaled(event.xyxy, scale)], np.float32)]),
        np.append(detections.score, np.float32(min(max(event.confidence, 0.3), 1.0))),
        np.append(detections.label, detections.names.index(event.label)),
        detections.names,
    )


def _persons(detections: Detections) -> npt.NDArray[np.bool_]:
    """Say which boxes are persons, bool (N,)."""
    found: npt.NDArray[np.bool_] = np.array([name in PERSONS for name in detections.names])[detections.label]
    return found
