"""Boxes as foreign files give them -> boxes in the picture, or a sentence that says why not. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detector.errors import Failure

Xyxy = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels of the picture."""


def within_picture(xyxy: Xyxy, size_px: tuple[int, int], where: str) -> Xyxy | None:
    """Clip a box to the picture; None where nothing is left of it (no width or no height).

    Annotators drag over the edge, so a box may stick out. One whose centre lies outside, or that reaches more
    than a picture's size beyond the edge, is no such slip but a fault of the file.

    Args:
        xyxy: left, top, right, bottom, pixels.
        size_px: width and height of the picture.
        where: file and entry, for the message.

    Raises:
        Failure: a number is not finite, or the box is not in the picture.

    >>> within_picture((-3.0, 10.0, 20.0, 30.0), (100, 50), "a.json: annotation 1")
    (0.0, 10.0, 20.0, 30.0)
    >>> within_picture((5.0, 10.0, 5.0, 30.0), (100, 50), "a.json: annotation 1") is None
    True
    """
    if not all(math.isfinite(side) for side in xyxy):
        raise Failure(f"{where}: a number of the box is not finite; mend or remove it.")
    width, height = size_px
    left, top, right, bottom = xyxy
    centre_inside = 0 <= (left + right) / 2 <= width and 0 <= (top + bottom) / 2 <= height
    near = min(left, right) >= -width and max(left, right) <= 2 * width
    near = near and min(top, bottom) >= -height and max(top, bottom) <= 2 * height
    if not (centre_inside and near):
        said = ", ".join(f"{side:g}" for side in xyxy)
        raise Failure(
            f"{where}: the box {said} is not in its picture of {width}x{height} px; mend or remove it."
        )
    left, right = max(0.0, left), min(float(width), right)
    top, bottom = max(0.0, top), min(float(height), bottom)
    return (left, top, right, bottom) if right > left and bottom > top else None


def iou(one: Xyxy, other: Xyxy) -> float:
    """Give intersection over union.

    >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    shared_w = min(one[2], other[2]) - max(one[0], other[0])
    shared_h = min(one[3], other[3]) - max(one[1], other[1])
    if shared_w <= 0 or shared_h <= 0:
        return 0.0
    shared = shared_w * shared_h
    return shared / (area(one) + area(other) - shared)


def area(xyxy: Xyxy) -> float:
    """Give the area in square pixels."""
    return (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])


def surrounding(points: Sequence[tuple[float, float]]) -> Xyxy:
    """Give the smallest upright box around points.

    >>> surrounding([(1, 5), (4, 2)])
    (1, 2, 4, 5)
    """
    across, down = [point[0] for point in points], [point[1] for point in points]
    return min(across), min(down), max(across), max(down)


def rotated(xyxy: Xyxy, angle_rad: float, about: tuple[float, float]) -> Xyxy:
    """Give the upright box around a box turned clockwise (y points down) about a point.

    >>> rotated((0, 0, 4, 2), 0.0, (0, 0))
    (0, 0, 4, 2)
    >>> tuple(round(side) for side in rotated((0, 0, 4, 2), math.pi / 2, (2, 1)))
    (1, -1, 3, 3)
    """
    if not angle_rad:
        return xyxy
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    left, top, right, bottom = xyxy
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    away = [(x - about[0], y - about[1]) for x, y in corners]
    return surrounding([(about[0] + x * cos - y * sin, about[1] + x * sin + y * cos) for x, y in away])
