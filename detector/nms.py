"""Which of many overlapping boxes are things. Pure, deterministic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detector.types import FloatArray, IntArray


def iou_one_to_many(box: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the overlap of one box (4,) with many (N, 4): shared area by joint area, 0 where both are empty.

    >>> iou_one_to_many(np.array([0., 0, 2, 2]), np.array([[0., 0, 2, 2], [1, 0, 3, 2]])).round(3).tolist()
    [1.0, 0.333]
    """
    size = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None)
    shared = size[:, 0] * size[:, 1]
    joint = _area(box[None])[0] + _area(boxes) - shared
    return np.asarray(shared / np.where(joint > 0, joint, 1.0))


def nms(xyxy: FloatArray, score: FloatArray, label: IntArray, iou_max: float, limit: int = 300) -> IntArray:
    """Give the indices of the boxes that stay, best score first, at most `limit`.

    A box goes when it overlaps a better one of its own class by more than `iou_max`. Of two equal scores the
    earlier box is the better one, so that the same input gives the same output on every machine.

    Args:
        xyxy: float32 (N, 4).
        score: float32 (N,).
        label: int (N,).
        iou_max: overlap in (0, 1].
        limit: how many stay.
    """
    order = np.argsort(-score, kind="stable")
    if not len(order):
        return order.astype(np.int64)
    # Each class is moved to a place of its own, so that one pass serves all; float64 keeps the fractions.
    boxes = xyxy[order].astype(np.float64)
    span = float(boxes.max() - boxes.min()) + 1.0
    boxes += (label[order] * span)[:, None]
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        kept.append(int(order[0]))
        apart = iou_one_to_many(boxes[0], boxes[1:]) <= iou_max
        order, boxes = order[1:][apart], boxes[1:][apart]
    return np.array(kept, dtype=np.int64)


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(size[:, 0] * size[:, 1])
