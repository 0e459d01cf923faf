"""Regions of a picture in which nothing was judged, as rectangles. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Xyxy = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels of the picture."""


def around(boxes: Sequence[Xyxy], size_px: tuple[int, int]) -> tuple[Xyxy, ...]:
    """Give every maximal rectangle of the picture that no box reaches into.

    They overlap each other, and that is meant: any rectangle that touches no box lies wholly in one of them,
    so that "is this detection in an ignored region?" can be asked one region at a time.

    Args:
        boxes: what was judged.
        size_px: width and height of the picture.

    >>> around([(40.0, 30.0, 60.0, 50.0)], (100, 80))
    ((0.0, 0.0, 40.0, 80.0), (0.0, 0.0, 100.0, 30.0), (0.0, 50.0, 100.0, 80.0), (60.0, 0.0, 100.0, 80.0))
    >>> around([], (100, 80))
    ((0.0, 0.0, 100.0, 80.0),)
    """
    free = [(0.0, 0.0, float(size_px[0]), float(size_px[1]))]
    for box in boxes:
        free = _maximal(piece for one in free for piece in _without(one, box))
    return tuple(sorted(free))


def _without(region: Xyxy, box: Xyxy) -> list[Xyxy]:
    """Cut a box out of a rectangle: what is left of it on each side, as large as it can be."""
    if not overlap(region, box):
        return [region]
    left, top, right, bottom = region
    pieces = [
        (left, top, box[0], bottom),
        (left, top, right, box[1]),
        (box[2], top, right, bottom),
        (left, box[3], right, bottom),
    ]
    return [piece for piece in pieces if piece[2] > piece[0] and piece[3] > piece[1]]


def _maximal(pieces: Iterable[Xyxy]) -> list[Xyxy]:
    """Keep the rectangles that lie in no other."""
    distinct = list(dict.fromkeys(pieces))
    return [one for one in distinct if not any(other != one and _holds(other, one) for other in distinct)]


def overlap(one: Xyxy, other: Xyxy) -> bool:
    """Say whether two rectangles share more than an edge."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _holds(outer: Xyxy, inner: Xyxy) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]
