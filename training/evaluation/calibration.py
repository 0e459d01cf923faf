"""Whether a score means what it says: of the boxes scored 0.7, are seven in ten right? Pure.

Boxes as at run time, from SCORE_FROM on, in BINS bins of equal width; right is a match at IoU 0.5. The
expected calibration error (ece) is the mean distance of score and precision, each bin weighted by its boxes.

Source: Kueppers et al., Multivariate confidence calibration for object detection, CVPR workshops 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.evaluation.intervals import wilson
from training.metrics import ClassScore, Matches, pool

SCORE_FROM = 0.1
BINS = 9
POOLED = "all"


def measure_calibration(scores: Mapping[str, ClassScore]) -> dict[str, dict[str, Any]]:
    """Give the curve of every class and of all boxes together ("all").

    Args:
        scores: class to its score, from boxes as at run time.
    """
    curves = {name: curve_of(score.matches) for name, score in scores.items()}
    everything = pool([score.matches for score in scores.values()])
    return {POOLED: curve_of(everything), **curves}


def curve_of(matches: Matches) -> dict[str, Any]:
    """Give {ece, n, bins: [{low, high, score, precision, precision_low, precision_high, n}]}.

    Empty bins are left out; `ece` is None where no box reaches SCORE_FROM.
    """
    kept = matches.score >= SCORE_FROM
    score, hit = matches.score[kept], matches.hit[kept]
    edges = np.linspace(SCORE_FROM, 1.0, BINS + 1)
    places = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, BINS - 1)
    bins = []
    for place in np.unique(places):
        inside = places == place
        n, hits = int(inside.sum()), int(hit[inside].sum())
        low, high = wilson(hits, n)
        figures = {
            "low": edges[place],
            "high": edges[place + 1],
            "score": score[inside].mean(),
            "precision": hits / n,
            "precision_low": low,
            "precision_high": high,
        }
        bins.append({**{key: round(float(value), 4) for key, value in figures.items()}, "n": n})
    gap = sum(row["n"] * abs(row["score"] - row["precision"]) for row in bins)
    return {"ece": round(gap / len(score), 4) if bins else None, "n": len(score), "bins": bins}
