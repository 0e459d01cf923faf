"""Raw output of the network -> candidate boxes on the canvas. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detector.types import FloatArray, IntArray

CANDIDATES_MAX = 3000
"""More than this never reach the suppression; a street has fewer by far."""


class Candidates(NamedTuple):
    """Boxes before suppression, best first: xyxy (K, 4) canvas pixels, score (K,), label (K,)."""

    xyxy: FloatArray
    score: FloatArray
    label: IntArray


def decode(raw: FloatArray, score_min: FloatArray, limit: int = CANDIDATES_MAX) -> Candidates:
    """Read one picture's output: each place gives one box, of its best class, if that reaches the threshold.

    Args:
        raw: (4 + classes, N): centre x, centre y, width, height in canvas pixels, then one score per class.
        score_min: (classes,) threshold of each class.
        limit: how many stay, best first; equal scores keep the network's order.

    Raises:
        ValueError: `raw` does not have 4 + classes rows.
    """
    if raw.ndim != 2 or len(raw) != 4 + len(score_min):
        raise ValueError(f"raw output: wanted ({4 + len(score_min)}, N), got {raw.shape}")
    best = raw[4:].max(axis=0)
    # argmax along the slow axis is dear, so only places that could pass any threshold pay for it.
    places = np.flatnonzero(best >= score_min.min())
    label = raw[4:, places].argmax(axis=0)
    passing = best[places] >= score_min[label]
    places, label = places[passing], label[passing]
    order = np.argsort(-best[places], kind="stable")[:limit]
    places, label = places[order], label[order]
    centre, half = raw[:2, places], raw[2:4, places] / 2
    xyxy = np.concatenate([centre - half, centre + half]).T
    return Candidates(
        np.asarray(xyxy, dtype=np.float32),
        np.minimum(best[places], 1.0).astype(np.float32),
        label.astype(np.int64),
    )
