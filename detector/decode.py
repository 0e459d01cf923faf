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
    places, label = (_every_class if every_class else _best_class)(raw[4:], score_min)
    score = raw[4 + label, places]
    order = np.argsort(-score, kind="stable")[:limit]
    places, label, score = places[order], label[order], score[order]
    centre, half = raw[:2, places], raw[2:4, places] / 2
    xyxy = np.concatenate([centre - half, centre + half]).T
    return Candidates(
        np.asarray(xyxy, dtype=np.float32),
        np.minimum(score, 1.0).astype(np.float32),
        label.astype(np.int64),
    )


def _best_class(scores: FloatArray, score_min: FloatArray) -> tuple[IntArray, IntArray]:
    """Give the places, and the best class of each, where that class reaches its threshold."""
    best = scores.max(axis=0)
    # argmax along the slow axis is dear, so only places that could pass any threshold pay for it.
    places = np.flatnonzero(best >= score_min.min())
    label = scores[:, places].argmax(axis=0)
    passing = best[places] >= score_min[label]
    return places[passing], label[passing]


def _every_class(scores: FloatArray, score_min: FloatArray) -> tuple[IntArray, IntArray]:
    """Give the places and classes of all scores that reach their thresholds."""
    label, places = np.nonzero(scores >= score_min[:, None])
    return places, label
