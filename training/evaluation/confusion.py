"""What was taken for what, at the operating thresholds. Pure.

In each picture a labelled and a found box that overlap by IoU_MIN go together, one to one: first those of the
same class, then those of different classes, the best overlap first. What is left over was missed (column
"background") or made up (row "background"). A found box left over that lies in an ignored region counts as
neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.nms import iou_one_to_many
from training.evaluation.lists import ValList
from training.labels import Taxonomy
from training.metrics import EVERY_CLASS, Floats, LabelledPicture

IOU_MIN = 0.5
BACKGROUND = "background"
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairing:
    """How the boxes of one picture go together.

    Args:
        truth_of: per found box that reaches its threshold: row of its labelled box, or -1.
        kept: rows of those found boxes.
        missed: rows of labelled boxes without a found one.
        excused: per kept box: left over, and in an ignored region.
    """

    truth_of: Indices
    kept: Indices
    missed: Indices
    excused: npt.NDArray[np.bool_]


def pair(picture: LabelledPicture, score_min: Floats) -> Pairing:
    """Pair the boxes of one picture.

    Args:
        picture: labelled and found.
        score_min: operating threshold by class index.
    """
    kept = np.flatnonzero(picture.found_score >= score_min[picture.found_class])
    boxes, labels = picture.found_xyxy[kept], picture.found_class[kept]
    overlap = np.array([iou_one_to_many(box, picture.truth_xyxy) for box in boxes])
    overlap = overlap.reshape(len(kept), len(picture.truth_xyxy))
    # Those of the same class go first: their overlap is lifted above every other one.
    rank = np.where(overlap >= IOU_MIN, overlap, 0.0)
    rank += np.where((labels[:, None] == picture.truth_class[None]) & (rank > 0), 1.0, 0.0)
    truth_of = np.full(len(kept), -1, np.int64)
    while rank.size and rank.max() > 0:
        found, truth = np.unravel_index(int(rank.argmax()), rank.shape)
        truth_of[found] = truth
        rank[found], rank[:, truth] = 0.0, 0.0
    missed = np.setdiff1d(np.arange(len(picture.truth_xyxy)), truth_of)
    excused = (truth_of < 0) & _in_ignored(boxes, labels, picture)
    return Pairing(truth_of, kept, missed, excused)


def measure_confusion(
    lists: Sequence[ValList], taxonomy: Taxonomy, score_min: Mapping[str, float]
) -> dict[str, Any]:
    """Give {labels, iou_min, rows}: rows are what was labelled, columns what was said, "background" last.

    What a set does not label is left out of its pictures on both sides.
    """
    table = np.zeros((len(taxonomy.names) + 1,) * 2, np.int64)
    limits = limits_of(taxonomy, score_min)
    for entry in lists:
        for picture in entry.at_work:
            pairs = pair(picture, limits)
            said = picture.found_class[pairs.kept]
            truth = np.append(picture.truth_class, len(taxonomy.names))[pairs.truth_of]
            np.add.at(table, (truth[~pairs.excused], said[~pairs.excused]), 1)
            np.add.at(table[:, -1], picture.truth_class[pairs.missed], 1)
    return {"labels": [*taxonomy.names, BACKGROUND], "iou_min": IOU_MIN, "rows": table.tolist()}


def limits_of(taxonomy: Taxonomy, score_min: Mapping[str, float]) -> Floats:
    """Give the thresholds by class index; a class without one is never said."""
    return np.array([score_min.get(name, np.inf) for name in taxonomy.names], dtype=np.float64)


def _in_ignored(boxes: Floats, labels: Indices, picture: LabelledPicture) -> npt.NDArray[np.bool_]:
    """Say which boxes lie by IOU_MIN of their own area in an ignored region of their class."""
    excused = np.zeros(len(boxes), np.bool_)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for region, label in zip(picture.ignore_xyxy, picture.ignore_class, strict=True):
        low, high = np.maximum(boxes[:, :2], region[:2]), np.minimum(boxes[:, 2:], region[2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        excused |= (shared >= IOU_MIN * area) & ((labels == label) | (label == EVERY_CLASS))
    return excused
