"""95 % intervals: by drawing the pictures again (bootstrap), and of a plain share (Wilson). Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from training.metrics import Floats, Matches, average_precisions, percentiles

Z_95 = 1.959963984540054


def ap_interval(matches: Matches, weights: Floats) -> tuple[float, float]:
    """Give the interval of AP at IoU 0.5; `weights` as `training.metrics.draws` gives them."""
    return percentiles(average_precisions(matches, weights))


def ap_difference(one: Matches, other: Matches, weights: Floats) -> tuple[float, float]:
    """Give the interval of AP(one) - AP(other) at IoU 0.5 for two models on the same pictures.

    Both are scored on the same draws, so what is hard for both cancels out; an interval above nought says
    that `one` is better.

    Raises:
        ValueError: the labels are not the same.
    """
    if not np.array_equal(one.labelled, other.labelled):
        raise ValueError("wanted two models on the same labelled pictures")
    return percentiles(average_precisions(one, weights) - average_precisions(other, weights))


def precision_interval(matches: Matches, score_min: float, weights: Floats) -> tuple[float, float]:
    """Give the interval of the precision of the boxes with at least `score_min`; (0, 0) without any."""
    kept = matches.score >= score_min
    boxes = weights @ _count(matches.picture[kept], weights.shape[1])
    hits = weights @ _count(matches.picture[kept & matches.hit], weights.shape[1])
    return _ratio(hits, boxes)


def recall_interval(matches: Matches, score_min: float, weights: Floats) -> tuple[float, float]:
    """Give the interval of the share of labelled boxes found with at least `score_min`."""
    kept = (matches.score >= score_min) & matches.hit
    hits = weights @ _count(matches.picture[kept], weights.shape[1])
    return _ratio(hits, weights @ matches.labelled)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Give the 95 % interval of a share; (0, 1) of nothing.

    >>> [round(side, 3) for side in wilson(9, 10)]
    [0.596, 0.982]
    >>> wilson(0, 0)
    (0.0, 1.0)

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    if of == 0:
        return 0.0, 1.0
    share, more = hits / of, Z_95**2 / of
    middle = share + more / 2
    half = Z_95 * math.sqrt(share * (1 - share) / of + more / (4 * of))
    low, high = (middle - half) / (1 + more), (middle + half) / (1 + more)
    return (0.0 if hits == 0 else low), (1.0 if hits == of else high)


def _count(picture: npt.NDArray[np.int64], pictures: int) -> npt.NDArray[np.int64]:
    return np.bincount(picture, minlength=pictures)


def _ratio(part: Floats, whole: Floats) -> tuple[float, float]:
    """Give the percentiles of part / whole over the draws in which there is anything."""
    some = whole > 0
    return percentiles(part[some] / whole[some]) if some.any() else (0.0, 0.0)
