"""Everything that a model's card says about its accuracy, from val lists looked at once. Needs no torch.

with Detector(spec) as detector:
    lists = look_at_lists(detector, data_root, folders, taxonomy)
parts = measure_model(lists, taxonomy)
thresholds = score_min_of(parts)                     # for [score_min] of model.toml
metrics = {"model": ..., "bootstrap_rounds": BOOTSTRAP_ROUNDS, **parts, ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.calibration import measure_calibration
from training.evaluation.confusion import measure_confusion
from training.evaluation.intervals import ap_interval, precision_interval, recall_interval
from training.evaluation.lists import ValList
from training.evaluation.slices import SamePlaces, measure_slices
from training.evaluation.thresholds import PRECISION_MIN, Threshold, choose, operating_points
from training.labels import Taxonomy
from training.metrics import ClassScore, draws, score_classes

BOOTSTRAP_ROUNDS = 1000


def measure_model(
    lists: Sequence[ValList],
    taxonomy: Taxonomy,
    score_min: Mapping[str, float] | None = None,
    rounds: int = BOOTSTRAP_ROUNDS,
    same_places: SamePlaces = frozenset(),
) -> dict[str, Any]:
    """Give the parts of metrics.json that speak of accuracy.

    Args:
        lists: val lists, looked at (`training.evaluation.lists`).
        taxonomy: the project's classes.
        score_min: thresholds of a model that has them; None chooses them (`training.evaluation.thresholds`).
        rounds: of the bootstrap.
        same_places: val pictures whose place is in train too, for a slice of their own.

    Returns:
        decoding: how places of the network were read for average precision.
        precision_min: the precision that thresholds were chosen at (None where they were given).
        classes: name -> {ap50, ap50_low, ap50_high, ap5095, score_min, basis, precision, precision_low,
            precision_high, recall, recall_low, recall_high, n, pictures, sets}; _low and _high are the 95 %
            interval when the pictures are drawn again.
        operating_points: class -> thresholds for other stated precisions, `thresholds.at_precision`.
        slices: see `training.evaluation.slices`.
        calibration: see `training.evaluation.calibration`.
        confusion: see `training.evaluation.confusion`.
    """
    ranked = score_lists(lists, taxonomy, at_work=False)
    at_work = score_lists(lists, taxonomy, at_work=True)
    chosen = {
        name: choose(name, at_work) if score_min is None else Threshold(score_min.get(name, 0.0), "given")
        for name in ranked
    }
    limits = {name: threshold.score_min for name, threshold in chosen.items()}
    return {
        "decoding": lists[0].decoding,
        "precision_min": PRECISION_MIN if score_min is None else None,
        "classes": {
            name: {**_row(ranked[name], at_work[name], chosen[name], rounds), "sets": _sets(lists, name)}
            for name in ranked
        },
        "operating_points": operating_points(at_work),
        "slices": measure_slices(lists, taxonomy, limits, rounds, same_places),
        "calibration": measure_calibration(at_work),
        "confusion": measure_confusion(lists, taxonomy, limits),
    }


def score_min_of(parts: Mapping[str, Any]) -> dict[str, float]:
    """Give the threshold of every class that was scored, for model.toml."""
    return {name: row["score_min"] for name, row in parts["classes"].items()}


def score_lists(lists: Sequence[ValList], taxonomy: Taxonomy, *, at_work: bool) -> dict[str, ClassScore]:
    """Score each class on all lists that label it.

    Args:
        lists: val lists, looked at.
        taxonomy: the project's classes.
        at_work: boxes as at run time, or all for average precision.
    """
    scores = {}
    for index, name in enumerate(taxonomy.names):
        carrying = [entry for entry in lists if name in entry.carried]
        pictures = [one for entry in carrying for one in (entry.at_work if at_work else entry.pictures)]
        score = score_classes(pictures, {index: name}).get(name) if pictures else None
        if score is not None:
            scores[name] = score
    return scores


def _sets(lists: Sequence[ValList], name: str) -> list[str]:
    return [entry.folder for entry in lists if name in entry.carried]


def _row(ranked: ClassScore, at_work: ClassScore, threshold: Threshold, rounds: int) -> dict[str, Any]:
    weights = draws(len(ranked.matches.labelled), rounds)
    limit = threshold.score_min
    precision, recall = at_work.precision_recall(limit)
    ap = ap_interval(ranked.matches, weights)
    of_precision = precision_interval(at_work.matches, limit, weights)
    of_recall = recall_interval(at_work.matches, limit, weights)
    return {
        "ap50": round(ranked.ap50, 4),
        "ap50_low": round(ap[0], 4),
        "ap50_high": round(ap[1], 4),
        "ap5095": round(ranked.ap5095, 4),
        "score_min": limit,
        "basis": threshold.basis,
        "precision": round(precision, 4),
        "precision_low": round(of_precision[0], 4),
        "precision_high": round(of_precision[1], 4),
        "recall": round(recall, 4),
        "recall_low": round(of_recall[0], 4),
        "recall_high": round(of_recall[1], 4),
        "n": ranked.n,
        "pictures": len(ranked.matches.labelled),
    }
