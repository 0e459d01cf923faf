"""Accuracy of boxes: COCO average precision through pycocotools, and what is needed to choose thresholds.

Pure but for pycocotools: arrays in, numbers out. Everything per class; a class nobody labelled is not scored.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Floats = npt.NDArray[np.float64]

RECALL_POINTS = 101
MAX_PER_PICTURE = 100
"""COCO's maxDets: the best 100 boxes of a class in a picture count, the rest are not looked at."""
EVERY_CLASS = -1
"""Class of an ignored region in which no class may be judged."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """What is in a picture and what the model says is in it.

    Args:
        size_px: width and height.
        truth_xyxy: float64 (N, 4), pixels.
        truth_class: class index of each, (N,).
        found_xyxy: float64 (M, 4), pixels.
        found_score: float64 (M,).
        found_class: class index of each, (M,).
        ignore_xyxy: regions in which a box is neither right nor wrong, float64 (K, 4), pixels.
        ignore_class: class index of each, (K,), or EVERY_CLASS.
    """

    size_px: tuple[int, int]
    truth_xyxy: Floats
    truth_class: npt.NDArray[np.int64]
    found_xyxy: Floats
    found_score: Floats
    found_class: npt.NDArray[np.int64]
    ignore_xyxy: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    ignore_class: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Boxes of some size; a labelled box outside, and a found one that matches none inside, is not counted.

    Args:
        name: for the report.
        low: smallest, square pixels or pixels.
        high: largest.
        of: what is measured.
    """

    name: str
    low: float = 0.0
    high: float = 1e10
    of: Literal["area", "height"] = "area"


ALL_SIZES = SizeRange("all")


@dataclass(frozen=True, slots=True)
class Matches:
    """The boxes of one class at IoU 0.5, in the order of the pictures.

    Args:
        picture: index of the picture of each found box, (M,).
        score: its score, (M,).
        hit: whether it was matched to a labelled box, bool (M,).
        labelled: labelled boxes per picture, (pictures,).
    """

    picture: npt.NDArray[np.int64]
    score: Floats
    hit: npt.NDArray[np.bool_]
    labelled: npt.NDArray[np.int64]

    def of(self, pictures: npt.NDArray[np.int64]) -> Matches:
        """Give the same for a sample of the pictures, with repetition (bootstrap)."""
        order = np.argsort(self.picture, kind="stable")
        starts = np.searchsorted(self.picture[order], np.arange(len(self.labelled) + 1))
        parts = [order[starts[p] : starts[p + 1]] for p in pictures]
        rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        return Matches(
            np.repeat(np.arange(len(pictures)), lengths),
            self.score[rows],
            self.hit[rows],
            self.labelled[pictures],
        )


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision of one class.

    Args:
        ap50: at IoU 0.5.
        ap5095: mean over IoU 0.50, 0.55 ... 0.95.
        n: labelled boxes.
        matches: the boxes at IoU 0.5.
    """

    ap50: float
    ap5095: float
    n: int
    matches: Matches

    def precision_recall(self, score_min: float) -> tuple[float, float]:
        """Give precision and recall of the boxes with at least `score_min`; precision is 0 without any."""
        kept = self.matches.score >= score_min
        hits = int(self.matches.hit[kept].sum())
        return hits / max(int(kept.sum()), 1), hits / max(self.n, 1)


def score_classes(pictures: Sequence[LabelledPicture], names: Mapping[int, str]) -> dict[str, ClassScore]:
    """Score every class of `names` (index to name) that has at least one labelled box.

    A found box on no labelled box, of which as much as the IoU asked for lies in an ignored region of its
    class, is neither a hit nor a false alarm.

    Source: COCO detection evaluation, 100 boxes per picture; ignored regions are its `iscrowd`.
    """
    evaluator = _evaluator(pictures, names, (ALL_SIZES,))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval["precision"]  # IoU, recall, class, area, maxDets
    scores = {}
    for column, category in enumerate(evaluator.params.catIds):
        matches = _matches_of(evaluator.evalImgs[column * len(pictures) : (column + 1) * len(pictures)])
        if n := int(matches.labelled.sum()):
            curve = precision[:, :, column, 0, -1]
            scores[names[category]] = ClassScore(float(curve[0].mean()), float(curve.mean()), n, matches)
    return scores


def match(
    pictures: Sequence[LabelledPicture], label: int, sizes: Sequence[SizeRange] = (ALL_SIZES,)
) -> list[Matches]:
    """Match the boxes of one class at IoU 0.5, once for each range of sizes; all measure the same thing.

    Source: as `score_classes`.
    """
    evaluator = _evaluator(pictures, {label: ""}, sizes)
    evaluator.params.iouThrs = np.array([0.5])
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
    count = len(pictures)
    return [_matches_of(evaluator.evalImgs[at * count : (at + 1) * count]) for at in range(len(sizes))]


def pool(parts: Sequence[Matches]) -> Matches:
    """Give the matches of several classes as if they were one; pictures are numbered on."""
    starts = np.cumsum([0, *(len(part.labelled) for part in parts)])
    return Matches(
        np.concatenate([part.picture + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.hit for part in parts]),
        np.concatenate([part.labelled for part in parts]),
    )


def average_precision(score: Floats, hit: npt.NDArray[np.bool_], labelled: int) -> float:
    """Give COCO's 101-point average precision from scored hits and misses.

    >>> average_precision(np.array([0.9, 0.8]), np.array([True, True]), 2)
    1.0
    """
    if labelled == 0:
        return float("nan")
    ranked = hit[np.argsort(-score, kind="mergesort")]
    hits = np.cumsum(ranked)
    recall = hits / labelled
    precision = hits / np.arange(1, len(ranked) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, RECALL_POINTS), side="left")
    values = np.concatenate([envelope, [0.0]])
    return float(values[np.minimum(places, len(envelope))].mean())


def draws(pictures: int, rounds: int = 1000, seed: int = 0) -> Floats:
    """Draw the pictures again with repetition: how often each comes, float64 (rounds, pictures)."""
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, pictures, pictures) for _ in range(rounds))
    return np.stack([np.bincount(draw, minlength=pictures) for draw in drawn]).astype(np.float64)


def average_precisions(matches: Matches, weights: Floats) -> Floats:
    """Give the average precision of every draw, (rounds,); NaN where a draw holds no labelled box.

    The envelope of precision changes at hits only, so per draw one sum for each hit is enough.

    Args:
        matches: boxes of one class.
        weights: how often each picture is drawn, (rounds, pictures).
    """
    order = np.argsort(-matches.score, kind="mergesort")
    picture, hit = matches.picture[order], matches.hit[order]
    before = np.cumsum(hit, dtype=np.int64) - hit.astype(np.int64)  # row of the first hit from a box on
    counted = before < hit.sum()
    shape = (int(hit.sum()), weights.shape[1])
    boxes, hits = np.zeros(shape), np.zeros(shape)
    np.add.at(boxes, (before[counted], picture[counted]), 1)
    hits[np.arange(shape[0]), picture[hit]] = 1
    all_hits = weights @ np.cumsum(hits, axis=0).T  # (rounds, hits)
    all_boxes = weights @ np.cumsum(boxes, axis=0).T
    labelled = weights @ matches.labelled
    precision = all_hits / np.maximum(all_boxes, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
    recall = all_hits / np.maximum(labelled, 1)[:, None]
    points = np.linspace(0, 1, RECALL_POINTS)
    places = np.stack([np.searchsorted(row, points, side="left") for row in recall])
    values = np.take_along_axis(envelope, places, axis=1).mean(axis=1)
    return np.where(labelled > 0, values, np.nan)


def bootstrap_interval(matches: Matches, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of AP at IoU 0.5 when the pictures are drawn again, with repetition."""
    return percentiles(average_precisions(matches, draws(len(matches.labelled), rounds, seed)))


def percentiles(values: Floats) -> tuple[float, float]:
    """Give the 2.5 and 97.5 percentiles, leaving NaN out.

    >>> percentiles(np.array([0.0, 1.0, np.nan]))
    (0.025, 0.975)
    """
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def operating_threshold(
    matches: Matches, precision_min: float = 0.8, floor: float = 0.15, ceiling: float = 0.45
) -> float:
    """Choose a class's threshold: best F1 among thresholds whose precision reaches `precision_min`.

    Where no threshold reaches it with a recall of at least half the one at best F1, that of best F1 is taken.
    Never below `floor`, and never above `ceiling`: what follows is a tracker and a rule with a dwell, which
    bear a false box better than a missing one.
    """
    kept = matches.score >= floor
    if not kept.any():
        return floor
    order = np.argsort(-matches.score[kept], kind="stable")
    score, hit = matches.score[kept][order], matches.hit[kept][order]
    hits = np.cumsum(hit)
    precision = hits / np.arange(1, len(hits) + 1)
    recall = hits / max(int(matches.labelled.sum()), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(f1.argmax())
    good = (precision >= precision_min) & (recall >= recall[best] / 2)
    if good.any():
        best = int(np.where(good, f1, -1.0).argmax())
    return min(float(score[best]), ceiling)


def _evaluator(
    pictures: Sequence[LabelledPicture], names: Mapping[int, str], sizes: Sequence[SizeRange]
) -> Any:
    truth, found = _coco_pair(pictures, names)
    if sizes[0].of == "height":
        for annotation in (*truth.anns.values(), *found.anns.values()):
            annotation["area"] = annotation["bbox"][3]
    evaluator = COCOeval(truth, found, "bbox")
    evaluator.params.areaRng = [[one.low, one.high] for one in sizes]
    evaluator.params.areaRngLbl = [one.name for one in sizes]
    return evaluator


def _coco_pair(pictures: Sequence[LabelledPicture], names: Mapping[int, str]) -> tuple[Any, Any]:
    """Build pycocotools' truth and result objects in memory."""
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [
            {"id": i, "width": p.size_px[0], "height": p.size_px[1]} for i, p in enumerate(pictures, 1)
        ],
        "categories": [{"id": index, "name": name} for index, name in names.items()],
        "annotations": [
            {"image_id": i, "category_id": c, "bbox": _xywh(box), "area": _area(box), "iscrowd": crowd}
            for i, p in enumerate(pictures, 1)
            for box, c, crowd in _truth_rows(p, names)
        ],
    }
    found = [
        {"image_id": i, "category_id": int(c), "bbox": _xywh(box), "score": float(s)}
        for i, p in enumerate(pictures, 1)
        for box, s, c in zip(p.found_xyxy, p.found_score, p.found_class, strict=True)
        if int(c) in names
    ]
    for number, annotation in enumerate(truth.dataset["annotations"], 1):
        annotation["id"] = number
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if found:
            return truth, truth.loadRes(found)
        nothing = COCO()
        nothing.dataset = {**truth.dataset, "annotations": []}
        nothing.createIndex()
        return truth, nothing


def _truth_rows(picture: LabelledPicture, names: Mapping[int, str]) -> list[tuple[Floats, int, int]]:
    """Give (box, class, iscrowd) of the labelled boxes and, once per class meant, of the ignored regions."""
    rows = [(box, int(c), 0) for box, c in zip(picture.truth_xyxy, picture.truth_class, strict=True)]
    for box, c in zip(picture.ignore_xyxy, picture.ignore_class, strict=True):
        rows += [(box, one, 1) for one in (names if c == EVERY_CLASS else [int(c)])]
    return [row for row in rows if row[1] in names]


def _matches_of(entries: Sequence[Any]) -> Matches:
    """Collect one class at IoU 0.5, an entry a picture; boxes that count as neither are left out."""
    picture, score, hit = [], [], []
    labelled = np.zeros(len(entries), np.int64)
    for index, entry in enumerate(entries):
        if entry is None:
            continue
        labelled[index] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
        counted = ~np.asarray(entry["dtIgnore"][0], dtype=bool)
        picture += [index] * int(counted.sum())
        score += list(np.asarray(entry["dtScores"])[counted])
        hit += list(entry["dtMatches"][0][counted] > 0)
    return Matches(np.array(picture, np.int64), np.array(score, np.float64), np.array(hit, bool), labelled)


def _xywh(box: Floats) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
