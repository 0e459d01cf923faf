"""What a model's own validation promises about the field, and how far two sets of scores lie apart. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from training.evaluation.intervals import wilson

SCORES_MIN: Final = 100
"""Scores on both sides from which their distributions are compared."""

Floats = npt.NDArray[np.float64]

Share = tuple[float, float, float]
"""Lower end, middle, upper end."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What validation says of one class.

    Args:
        score_min: operating threshold.
        lows: lower ends of score bins, rising, (B,).
        edges: upper ends, (B,).
        shares: precision of each bin, (B,).
        right: boxes of each bin that were right, (B,); empty where only one figure is known.
        basis: calibration, or operating_point where the metrics hold no calibration.
    """

    score_min: float
    lows: tuple[float, ...]
    edges: tuple[float, ...]
    shares: tuple[Share, ...]
    right: tuple[float, ...]
    basis: Literal["calibration", "operating_point"]

    def precision(self, scores: Sequence[float]) -> Share:
        """Give the precision to be expected of boxes with these scores."""
        places = np.minimum(np.searchsorted(self.edges, scores, side="right"), len(self.edges) - 1)
        low, middle, high = np.array(self.shares)[places].mean(axis=0)
        return float(low), float(middle), float(high)


def promise_of(metrics: Mapping[str, Any], label: str) -> Promise | None:
    """Read metrics.json of a model; None where it says nothing of this class."""
    row = metrics.get("classes", {}).get(label)
    if not row or row.get("precision") is None:
        return None
    score_min = float(row["score_min"])
    bins = metrics.get("calibration", {}).get(label, {}).get("bins", [])
    if bins:
        return Promise(
            score_min,
            tuple(float(one["low"]) for one in bins),
            tuple(float(one["high"]) for one in bins),
            tuple((one["precision_low"], one["precision"], one["precision_high"]) for one in bins),
            tuple(one["n"] * one["precision"] for one in bins),
            "calibration",
        )
    hits = round(float(row["recall"]) * int(row["n"]))
    found = max(hits, round(hits / row["precision"])) if row["precision"] else 0
    low, high = wilson(hits, found)
    return Promise(score_min, (0.0,), (1.0,), ((low, float(row["precision"]), high),), (), "operating_point")


def psi_beyond_chance(old: Floats, new: Floats) -> tuple[float | None, float]:
    """Give PSI and what chance alone gives, (B - 1)(1/n + 1/m); None where either side is too small."""
    if min(old.sum(), new.sum()) < SCORES_MIN:
        return None, 0.0
    chance = (len(old) - 1) * (1 / old.sum() + 1 / new.sum())
    return psi(old, new), float(chance)


def psi(old: Floats, new: Floats) -> float:
    """Give the population stability index of two histograms; half a count is added to each bin.

    >>> round(psi(np.array([50.0, 50.0]), np.array([500.0, 500.0])), 3)
    0.0
    """
    expected = (old + 0.5) / (old + 0.5).sum()
    found = (new + 0.5) / (new + 0.5).sum()
    return float(((found - expected) * np.log(found / expected)).sum())
