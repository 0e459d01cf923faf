"""Which of many overlapping boxes are things. Pure, deterministic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detector.types import FloatArray, IntArray

PAIRS_MAX = 160
"""Up to so many boxes all pairs are compared at once."""
TINY = float(np.finfo(np.float64).tiny)


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
    return np.asarray(order[suppress(xyxy[order], label[order], iou_max, limit)], dtype=np.int64)


def suppress(xyxy: FloatArray, label: IntArray, iou_max: float, limit: int = 300) -> IntArray:
    """Give the indices of the boxes that stay of boxes that are sorted already, the best first; see `nms`."""
    if not len(label):
        return np.zeros(0, np.int64)
    # Each class is moved to a place of its own, so that one pass serves all; float64 keeps the fractions.
    boxes = xyxy.astype(np.float64)
    span = float(boxes.max() - boxes.min()) + 1.0
    boxes += (label * span)[:, None]
    kept = (_by_pairs if len(boxes) <= PAIRS_MAX else _one_by_one)(boxes, iou_max, limit)
    return np.array(kept, dtype=np.int64)


def _by_pairs(boxes: npt.NDArray[np.float64], iou_max: float, limit: int) -> list[int]:
    """Give the places that stay; a call of numpy costs more than a hundred pairs, so all are done at once."""
    sides = boxes.T.copy()
    size = np.minimum(sides[2:, :, None], sides[2:, None]) - np.maximum(sides[:2, :, None], sides[:2, None])
    np.maximum(size, 0.0, out=size)
    shared = size[0] * size[1]
    extent = np.maximum(sides[2:] - sides[:2], 0.0)
    area = extent[0] * extent[1]
    joint = area[:, None] + area - shared
    np.maximum(joint, TINY, out=joint)  # two empty boxes overlap by 0
    shared /= joint
    # One row of bits per box, which ones it puts out, held in a whole number: the pass is plain Python.
    width = -(-len(boxes) // 8)
    packed = np.packbits(shared > iou_max, axis=1, bitorder="little").tobytes()
    gone, kept = 0, []
    for place in range(len(boxes)):
        if gone >> place & 1:
            continue
        kept.append(place)
        if len(kept) == limit:
            break
        gone |= int.from_bytes(packed[place * width : (place + 1) * width], "little")
    return kept


def _one_by_one(boxes: npt.NDArray[np.float64], iou_max: float, limit: int) -> list[int]:
    """Give the places that stay; overlaps only with what stays, for more boxes than pairs fit the cache."""
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        kept.append(int(left[0]))
        apart = iou_one_to_many(boxes[0], boxes[1:]) <= iou_max
        left, boxes = left[1:][apart], boxes[1:][apart]
    return kept


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(size[:, 0] * size[:, 1])
