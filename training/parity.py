"""How far forms of one network are apart: raw outputs, matched boxes, average precision. Needs no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.backends.onnx import network_input
from detector.backends.openvino import import_openvino
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.pictures import read_image
from detector.types import FloatArray
from training.evaluation.lists import ValList
from training.evaluation.measure import score_lists
from training.labels import Taxonomy
from training.metrics import Floats, LabelledPicture

STRIDE_PX = 32
SCORE_MIN = 0.25
IOU_MIN = 0.5
"""Two boxes of one class that overlap at least so much are taken for the same find."""

Infer = Callable[[FloatArray], FloatArray]
"""float32 (1, 3, h, w) RGB in [0, 1] -> raw output (1, 4 + classes, N)."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one raw output is from another, over some pictures.

    Args:
        pictures: how many were compared.
        boxes: candidate boxes whose score in either is at least `score_min`.
        score_min: see boxes.
        box_px_max: largest difference of a box coordinate, pixels of the network's input.
        box_px_mean: mean of the same.
        score_max: largest difference of a class score.
        score_mean: mean over the boxes of the largest difference of a class score.
    """

    pictures: int
    boxes: int
    score_min: float
    box_px_max: float
    box_px_mean: float
    score_max: float
    score_mean: float


def compare_outputs(
    wanted: Infer, got: Infer, pictures: Iterable[Path], side_px: int, score_min: float = SCORE_MIN
) -> Parity:
    """Run two forms on the same pictures, letterboxed as at run time, and give the differences.

    Raises:
        Failure: there is no picture, or one cannot be read.
    """
    count, most = 0, 0.0
    pixels, scores = [np.zeros(0)], [np.zeros(0)]
    for picture in pictures:
        canvas, _ = letterbox(read_image(picture), side_px, STRIDE_PX)
        given = network_input(canvas[None])
        one, other = wanted(given)[0], got(given)[0]
        sure = np.maximum(one[4:].max(axis=0), other[4:].max(axis=0)) >= score_min
        difference = np.abs(one - other)
        pixels.append(difference[:4, sure].ravel())
        scores.append(difference[4:, sure].max(axis=0))
        most = max(most, float(difference[4:].max()))
        count += 1
    if not count:
        raise Failure(
            "there is no picture to compare two forms of the network on; give a folder with pictures."
        )
    box_px, score = np.concatenate(pixels), np.concatenate(scores)
    return Parity(
        pictures=count,
        boxes=len(score),
        score_min=score_min,
        box_px_max=float(box_px.max(initial=0.0)),
        box_px_mean=_mean(box_px),
        score_max=most,
        score_mean=_mean(score),
    )


def openvino_infer(path: Path) -> Infer:
    """Open an .onnx or .xml; what of it is floating point is computed in fp32.

    Raises:
        Failure: OpenVINO cannot read it.
    """
    core = import_openvino().Core()
    try:
        compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise Failure(f"{path}: cannot be read by OpenVINO; export it again.") from error
    return lambda batch: np.array(compiled(batch)[0])


def compare_forms(forms: Mapping[str, Sequence[ValList]], taxonomy: Taxonomy) -> dict[str, Any]:
    """Say how forms of one model differ on the val lists, each form compared with the one before it.

    Args:
        forms: name of the form (checkpoint, onnx, int8) to the lists looked at through it.
        taxonomy: the project's classes.

    Returns:
        map50: form -> mean AP50 of the classes. classes: class -> form -> AP50.
        boxes: "checkpoint to onnx" and so on -> see `compare_boxes`.
    """
    scores = {form: score_lists(lists, taxonomy, at_work=False) for form, lists in forms.items()}
    names = next(iter(scores.values()))
    steps = list(forms)
    return {
        "map50": {
            form: round(_mean([one.ap50 for one in found.values()]), 4) for form, found in scores.items()
        },
        "classes": {
            name: {form: round(found[name].ap50, 4) for form, found in scores.items()} for name in names
        },
        "boxes": {
            f"{one} to {other}": compare_boxes(forms[one], forms[other])
            for one, other in itertools.pairwise(steps)
        },
    }


def map50(lists: Sequence[ValList], taxonomy: Taxonomy) -> float:
    """Give the mean AP50 of the classes, a fraction."""
    return _mean([score.ap50 for score in score_lists(lists, taxonomy, at_work=False).values()])


def compare_boxes(
    one: Sequence[ValList], other: Sequence[ValList], score_min: float = SCORE_MIN
) -> dict[str, Any]:
    """Match the boxes that two forms find, class by class, best overlap first.

    Returns:
        pictures; score_min; matched: pairs. lost: boxes of `one` without a partner, gained: of `other`;
        a box counts once it has `score_min`, its partner may have half of that, so that a score at the edge
        is no loss. iou_mean, iou_min, score_mean, score_max: of the pairs.
    """
    pairs: list[tuple[float, float]] = []
    lost = gained = count = 0
    for left, right in zip(one, other, strict=True):
        for mine, theirs in zip(left.at_work, right.at_work, strict=True):
            found, missing, extra = _match(mine, theirs, score_min)
            pairs += found
            lost, gained, count = lost + missing, gained + extra, count + 1
    iou, score = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return {
        "pictures": count,
        "score_min": score_min,
        "matched": len(pairs),
        "lost": lost,
        "gained": gained,
        "iou_mean": round(_mean(iou), 4),
        "iou_min": round(float(iou.min(initial=1.0)), 4),
        "score_mean": round(_mean(score), 4),
        "score_max": round(float(score.max(initial=0.0)), 4),
    }


def _match(
    mine: LabelledPicture, theirs: LabelledPicture, score_min: float
) -> tuple[list[tuple[float, float]], int, int]:
    """Give (overlap, difference of score) of every pair, and how many sure boxes of each side are alone."""
    iou = overlaps(mine.found_xyxy, theirs.found_xyxy)
    possible = (mine.found_class[:, None] == theirs.found_class[None]) & (iou >= IOU_MIN)
    possible &= np.minimum(mine.found_score[:, None], theirs.found_score[None]) >= score_min / 2
    sure = np.maximum(mine.found_score[:, None], theirs.found_score[None]) >= score_min
    places = np.argwhere(possible & sure)
    pairs, left, right = [], set[int](), set[int]()
    for i, j in sorted(map(tuple, places.tolist()), key=lambda place: -iou[place]):
        if i not in left and j not in right:
            pairs.append((float(iou[i, j]), abs(float(mine.found_score[i] - theirs.found_score[j]))))
            left.add(i)
            right.add(j)
    alone = (
        sum(i not in taken for i in np.flatnonzero(side.found_score >= score_min).tolist())
        for side, taken in ((mine, left), (theirs, right))
    )
    return pairs, next(alone), next(alone)


def overlaps(one: Floats, other: Floats) -> Floats:
    """Give the intersection over union of every pair of boxes: (N, 4), (M, 4) -> (N, M).

    >>> square = np.array([[0.0, 0, 2, 2]])
    >>> overlaps(square, np.concatenate([square, square + 1, square + 5])).round(2).tolist()
    [[1.0, 0.14, 0.0]]
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (one, other)]
    whole = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values)) if len(values) else 0.0
