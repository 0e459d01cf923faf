"""Complete labels with models: what a set does not label is filled where a model is sure, else ignored.

The picture is looked at several times (as it is, mirrored, larger); boxes of the views that agree are fused
and their scores averaged, a view that saw nothing counting as zero. Needs no torch.

Source: Solovyev et al., Weighted boxes fusion, Image and Vision Computing 2021 (the averaging of scores).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detector.nms import iou_one_to_many
from detector.types import Detections, Image
from training.labels import Taxonomy

Boxes = npt.NDArray[np.float64]

FUSE_IOU = 0.55
"""Boxes of two views that overlap by this are one thing."""
VIEW_SCORE_MIN = 0.05

Detect = Callable[[Image], Detections]


@dataclass(frozen=True, slots=True)
class Sureness:
    """From which fused score on a guess is a label, and from which on a region is ignored."""

    label_min: float
    ignore_min: float


class Completion(NamedTuple):
    """Guesses for one picture, float64 (N, 5): class index of ours, centre and size as fractions."""

    sure: Boxes
    ignored: Boxes


NOTHING = Completion(np.zeros((0, 5)), np.zeros((0, 5)))


@dataclass(frozen=True, slots=True)
class Completer:
    """Looks at a picture through one model.

    Args:
        detect: picture -> all its boxes with a score of VIEW_SCORE_MIN and more, at the model's own size.
        detect_larger: the same at a larger size, or None for two views only.
        taxonomy: the project's classes.
        sureness: class name -> its two limits; other classes are not completed.
    """

    detect: Detect
    detect_larger: Detect | None
    taxonomy: Taxonomy
    sureness: Mapping[str, Sureness]

    def complete(self, image: Image, labelled: frozenset[str]) -> Completion:
        """Give what is missing in one picture; classes in `labelled` are left to their labels."""
        wanted = {name: limits for name, limits in self.sureness.items() if name not in labelled}
        if not wanted:
            return NOTHING
        views = [
            self.detect(image),
            mirrored(self.detect(np.ascontiguousarray(image[:, ::-1])), image.shape[1]),
        ]
        if self.detect_larger:
            views.append(self.detect_larger(image))
        height, width = image.shape[:2]
        sure, ignored = [], []
        for name, limits in wanted.items():
            for box, score in zip(*fuse([self._of(view, name) for view in views]), strict=True):
                row = [self.taxonomy.names.index(name), *_fractions(box, width, height)]
                if score >= limits.label_min:
                    sure.append(row)
                elif score >= limits.ignore_min:
                    ignored.append(row)
        return Completion(np.array(sure).reshape(-1, 5), np.array(ignored).reshape(-1, 5))

    def _of(self, view: Detections, name: str) -> tuple[Boxes, Boxes]:
        meant = [self.taxonomy.class_of(n) if self.taxonomy.knows(n) else None for n in view.names]
        rows = np.array([meant[int(label)] == name for label in view.label], dtype=np.bool_)
        return view.xyxy.astype(np.float64)[rows], view.score.astype(np.float64)[rows]


def mirrored(found: Detections, width: int) -> Detections:
    """Give the boxes of a mirrored picture as boxes of the picture, `width` pixels wide."""
    xyxy = found.xyxy.copy()
    xyxy[:, [0, 2]] = width - found.xyxy[:, [2, 0]]
    return Detections(xyxy, found.score, found.label, found.names)


def fuse(views: Sequence[tuple[Boxes, Boxes]], iou_min: float = FUSE_IOU) -> tuple[Boxes, Boxes]:
    """Fuse the boxes of one class from several views of a picture: (N, 4) pixels, (N,) mean scores.

    A view gives its best fitting box or, with score 0, nothing.

    >>> one = (np.array([[0.0, 0, 10, 10]]), np.array([0.8]))
    >>> fuse([one, (np.zeros((0, 4)), np.zeros(0))])[1].tolist()
    [0.4]
    """
    left = [(boxes, scores, np.ones(len(boxes), dtype=np.bool_)) for boxes, scores in views]
    order = sorted(
        ((s, v, i) for v, (_, ss) in enumerate(views) for i, s in enumerate(ss)),
        key=lambda e: (-e[0], *e[1:]),
    )
    fused, means = [], []
    for _, view, index in order:
        if not left[view][2][index]:
            continue
        seed = views[view][0][index]
        members, weights = [], []
        for boxes, scores, free in left:
            overlap = np.where(free, iou_one_to_many(seed, boxes), 0.0) if len(boxes) else np.zeros(0)
            if len(overlap) and overlap.max() >= iou_min:
                members.append(boxes[int(overlap.argmax())])
                weights.append(float(scores[int(overlap.argmax())]))
                free[overlap >= iou_min] = False
        fused.append(np.average(members, axis=0, weights=weights))
        means.append(sum(weights) / len(views))
    return np.array(fused).reshape(-1, 4), np.array(means)


def _fractions(xyxy: Boxes, width: int, height: int) -> list[float]:
    left, top, right, bottom = xyxy / np.array([width, height, width, height])
    left, top, right, bottom = (float(np.clip(v, 0, 1)) for v in (left, top, right, bottom))
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
