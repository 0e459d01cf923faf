"""Raw output of the network -> candidate boxes on the canvas. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detector.types import FloatArray, IntArray

CANDIDATES_MAX = 3000
"""More than this never reach the suppression; a street has fewer by far."""
CANDIDATES_MAX_EVERY_CLASS = 30_000
"""The same where each place gives a box per class at very low thresholds, as in ultralytics' val."""


class Candidates(NamedTuple):
    """Boxes before suppression, best first: xyxy (K, 4) canvas pixels, score (K,), label (K,)."""

    xyxy: FloatArray
    score: FloatArray
    label: IntArray


def decode(
    raw: FloatArray, score_min: FloatArray, limit: int = CANDIDATES_MAX, *, every_class: bool = False
) -> Candidates:
    """Read one picture's output: places of the network to boxes of the classes that reach their thresholds.

    Args:
        raw: (4 + classes, N): centre x, centre y, width, height in canvas pixels, then one score per class.
        score_min: (classes,) threshold of each class.
        limit: how many stay, best first; equal scores keep the network's order.
        every_class: False gives each place one box, of its best class: what a street wants. True gives it one
            per class that passes, the convention of COCO figures (`multi_label` of ultralytics' val).

    Raises:
        ValueError: `raw` does not have 4 + classes rows.
    """
    if raw.ndim != 2 or len(raw) != 4 + len(score_min):
        raise ValueError(f"raw output: wanted ({4 + len(score_min)}, N), got {raw.shape}")
    sides, label, score = (_every_class if every_class else _best_class)(raw, score_min)
    order = (-score).argsort(kind="stable")[:limit]
    sides, label, score = sides[:, order], label[order], score[order]
    xyxy = np.empty((len(score), 4), np.float32)
    half = sides[2:] / 2
    xyxy[:, :2] = (sides[:2] - half).T
    xyxy[:, 2:] = (sides[:2] + half).T
    return Candidates(xyxy, np.minimum(score, np.float32(1)), label)


def _best_class(raw: FloatArray, score_min: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Give sides (4, K), label and score of the places whose best class reaches its threshold."""
    # argmax along the slow axis is dear, so only places that could pass any threshold pay for it.
    found = raw[:, (raw[4:].max(axis=0) >= score_min.min()).nonzero()[0]]
    scores = found[4:]
    label, score = scores.argmax(axis=0), scores.max(axis=0)
    passing = score >= score_min[label]
    if passing.all():
        return found[:4], label, score
    return found[:4, passing], label[passing], score[passing]


def _every_class(raw: FloatArray, score_min: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Give sides (4, K), label and score of every class of every place that reaches its threshold."""
    label, places = np.nonzero(raw[4:] >= score_min[:, None])
    return raw[:4, places], label, raw[4 + label, places]
