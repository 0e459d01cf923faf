"""Arithmetic on boxes: pure, pixels of the source image, a box is left, top, right, bottom."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ingest.types import XYXY

Boxes = npt.NDArray[np.float64]
"""float64 (N, 4)."""

JITTER_PX = 1.0
"""Movement of an edge that is noise of the detector, at 640 px frame width."""
EDGE_SHARE = 0.005
"""Distance from the edge of the picture, in frame sizes, at which a box is cut off by it."""


def iou_matrix(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """Give intersection over union of every pair: (N, 4), (M, 4) -> (N, M).

    >>> iou_matrix(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
    [[0.333]]
    """
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    area_a = np.prod(np.clip(a[:, 2:] - a[:, :2], 0, None), axis=1)
    area_b = np.prod(np.clip(b[:, 2:] - b[:, :2], 0, None), axis=1)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def area(box: XYXY) -> float:
    """Give the area in square pixels; an inverted box has none."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def shared_area(a: XYXY, b: XYXY) -> float:
    """Give the area that two boxes have in common, square pixels."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: XYXY, b: XYXY) -> float:
    """Give intersection over union of two boxes.

    >>> iou((0, 0, 2, 2), (0, 0, 2, 2))
    1.0
    """
    shared = shared_area(a, b)
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def covered_share(inner: XYXY, outer: XYXY) -> float:
    """Give the share of `inner` that lies in `outer`.

    >>> covered_share((0, 0, 2, 2), (1, 0, 9, 9))
    0.5
    """
    size = area(inner)
    return shared_area(inner, outer) / size if size > 0 else 0.0


def grown(box: XYXY, share: float) -> XYXY:
    """Give the box enlarged on every side by `share` of its width and height."""
    dx, dy = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy


def displacement(box: XYXY, anchor: XYXY, wh: tuple[int, int] | None = None) -> float:
    """Say how far a thing has moved from `anchor`, in its own sizes; occlusion does not count.

    Something that hides one side of a thing moves one edge of its box. A thing that moves takes both
    opposite edges along, so per axis the movement is the smaller of the two edges' where they go the same
    way. At the edge of the picture one edge of the box cannot move: there the other one decides. A thing that
    comes nearer or recedes changes width and height by the same factor; one that is being hidden or uncovered
    mostly changes one of them, so the smaller change of the two counts as movement.

    Args:
        box: where it is now, pixels.
        anchor: where it stood, pixels.
        wh: width and height of the frame; None for boxes without noise far from its edges.

    >>> displacement((10, 0, 110, 50), (0, 0, 100, 50))
    0.1
    >>> displacement((0, 0, 60, 50), (0, 0, 100, 50))
    0.0
    >>> round(displacement((-10, -5, 110, 55), (0, 0, 100, 50)), 3)
    0.2
    """
    jitter_px = JITTER_PX * max(1.0, max(wh) / 640) if wh else 0.0
    moved, scaled = [], []
    for axis in (0, 1):
        size = max(anchor[axis + 2] - anchor[axis], 1.0)
        low, high = box[axis] - anchor[axis], box[axis + 2] - anchor[axis + 2]
        moved.append(max(0.0, _axis_moved(box, anchor, axis, wh) - jitter_px) / size)
        change = high - low
        scaled.append(math.copysign(max(0.0, abs(change) - 2 * jitter_px), change) / size)
    zoomed = min(abs(scaled[0]), abs(scaled[1])) if scaled[0] * scaled[1] > 0 else 0.0
    return max(math.hypot(moved[0], moved[1]), zoomed)


def _axis_moved(box: XYXY, anchor: XYXY, axis: int, wh: tuple[int, int] | None) -> float:
    """Give how far a thing moved along one axis, pixels."""
    low, high = box[axis] - anchor[axis], box[axis + 2] - anchor[axis + 2]
    if wh:
        margin = EDGE_SHARE * wh[axis]
        cut_low = max(box[axis], anchor[axis]) <= margin
        cut_high = min(box[axis + 2], anchor[axis + 2]) >= wh[axis] - margin
        if cut_low != cut_high:
            return abs(high if cut_low else low)
    return min(abs(low), abs(high)) if low * high > 0 else 0.0


def ground_contact(box: XYXY) -> tuple[float, float]:
    """Give the middle of the lower edge: where a thing on the ground touches it."""
    return (box[0] + box[2]) / 2, box[3]


def fractions(box: XYXY, wh: tuple[int, int]) -> XYXY:
    """Give the box in fractions of frame width and height."""
    return box[0] / wh[0], box[1] / wh[1], box[2] / wh[0], box[3] / wh[1]
