"""Where a class's score becomes an alarm: the threshold of each class, at a stated precision. Pure.

A class takes the threshold of best F1 among those whose precision on the val lists is at least PRECISION_MIN
(`training.metrics.operating_threshold`), rounded to a hundredth, between FLOOR and CEILING: a tracker
and a rule with a dwell follow, which bear a false box better than a missing one. `basis` says what decided:

    precision   the stated precision is reached
    f1          no threshold reaches it with half the recall of best F1: that of best F1 is taken
    ceiling     the threshold wanted is above CEILING
    kin         too few boxes: chosen on those of all classes alike
    few         too few boxes of all of them: THRESHOLD_OF_FEW
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.intervals import wilson
from training.metrics import ClassScore, Matches, operating_threshold, pool

PRECISION_MIN = 0.8
FLOOR, CEILING = 0.15, 0.45
STATED = (0.8, 0.9, 0.95)
"""Precisions that a city may ask for, such as before it lets a kind of case through without a person."""
FEW_BOXES = 30
THRESHOLD_OF_FEW = 0.30
"""What a class with fewer labelled boxes than FEW_BOXES gets: chosen on them it would be noise."""
KINDRED = (("car", "bus", "truck"), ("motorcycle", "bicycle"))
"""Classes that are alike: one with few boxes gets the threshold chosen on the boxes of all its kin."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One class's.

    Args:
        score_min: from this score on a box is taken.
        basis: what decided, see the module.
    """

    score_min: float
    basis: str


def choose(name: str, scores: Mapping[str, ClassScore], precision_min: float = PRECISION_MIN) -> Threshold:
    """Choose the threshold of a class, on its own boxes or, if they are few, on those of its kin.

    Args:
        name: the class.
        scores: every class that was scored, from boxes as at run time.
        precision_min: the precision asked for.
    """
    kin = [name]
    if scores[name].n < FEW_BOXES:
        kin = [other for group in KINDRED if name in group for other in group if other in scores] or kin
    if sum(scores[other].n for other in kin) < FEW_BOXES:
        return Threshold(THRESHOLD_OF_FEW, "few")
    matches = pool([scores[other].matches for other in kin])
    wanted = operating_threshold(matches, precision_min, FLOOR, 1.0)
    score_min = math.floor(min(wanted, CEILING) * 100) / 100
    if len(kin) > 1:
        return Threshold(score_min, "kin")
    if wanted > CEILING:
        return Threshold(score_min, "ceiling")
    if precision_at(matches, wanted) < precision_min:
        return Threshold(score_min, "f1")
    if precision_at(matches, score_min) < precision_min:  # what was rounded off held a false alarm
        score_min = round(score_min + 0.01, 2)
    return Threshold(score_min, "precision")


def operating_points(scores: Mapping[str, ClassScore]) -> dict[str, list[dict[str, Any]]]:
    """Give class -> for each precision of STATED the threshold that keeps most recall, see `at_precision`."""
    return {
        name: [at_precision(score.matches, stated) for stated in STATED] for name, score in scores.items()
    }


def at_precision(matches: Matches, stated: float) -> dict[str, Any]:
    """Give the lowest threshold at which the share of hits is at least `stated`.

    Returns:
        stated; score_min, precision with its 95 % Wilson interval, recall, and n, the boxes that pass.
        score_min is None, and the rest is left out, where no threshold reaches it.

    >>> of = np.array
    >>> found = Matches(of([0, 0, 0]), of([0.9, 0.8, 0.7]), of([True, False, True]), of([4]))
    >>> at_precision(found, 0.6)["score_min"], at_precision(found, 0.9)["recall"]
    (0.7, 0.25)
    """
    order = np.argsort(-matches.score, kind="stable")
    score, hits = matches.score[order], np.cumsum(matches.hit[order])
    share = hits / np.arange(1, len(hits) + 1)
    last_of_score = np.append(score[1:] < score[:-1], True)[: len(score)]
    good = np.flatnonzero((share >= stated) & last_of_score)
    if not len(good):
        return {"stated": stated, "score_min": None}
    at = int(good[-1])
    low, high = wilson(int(hits[at]), at + 1)
    figures = {
        "score_min": score[at],
        "precision": share[at],
        "precision_low": low,
        "precision_high": high,
        "recall": hits[at] / max(int(matches.labelled.sum()), 1),
    }
    return {"stated": stated, **{key: round(float(value), 4) for key, value in figures.items()}, "n": at + 1}


def precision_at(matches: Matches, score_min: float) -> float:
    """Give the share of hits among the boxes of at least `score_min`, 0 without any."""
    kept = matches.score >= score_min
    return float(matches.hit[kept].sum()) / max(int(kept.sum()), 1)
