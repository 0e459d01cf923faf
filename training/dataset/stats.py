"""What a data set holds, in numbers: classes, sizes, shapes, lists, sources, who labelled. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from training.dataset.boxes import area
from training.dataset.types import LabelledBox, Sample

UNLISTED = "unlisted"

SIZES = (("small", 32.0**2), ("medium", 96.0**2), ("large", math.inf))
"""Square pixels up to which COCO calls a box so. Source: https://cocodataset.org/#detection-eval"""

SIDE_EDGES = (0, 8, 16, 32, 64, 96, 128, 256, 512)
"""Square root of the area, pixels: the lower edges of the histogram's bars."""

ASPECT_EDGES = (0.0, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
"""Width by height: the lower edges of the histogram's bars."""

PER_PICTURE_EDGES = (0, 1, 2, 3, 6, 11, 21)
"""Boxes in a picture: the lower edges of the histogram's bars."""


@dataclass(slots=True)
class ClassStats:
    """Of one class: boxes by list and by COCO size, and in how many pictures."""

    boxes: int = 0
    pictures: int = 0
    ignored: int = 0
    unlabelled: int = 0
    by_split: dict[str, int] = field(default_factory=dict)
    by_size: dict[str, int] = field(default_factory=dict)
    side_px_median: float = 0.0


@dataclass(slots=True)
class Stats:
    """Of a whole set. Histograms map the text of a bar to its count, in order; ignored regions are apart."""

    pictures: int
    boxes: int
    classes: dict[str, ClassStats]
    pictures_by_split: dict[str, int]
    pictures_by_source: dict[str, dict[str, int]]
    boxes_by_origin: dict[str, int]
    ignored: dict[str, int]
    scenes: int
    boxes_per_picture: dict[str, int]
    side_px: dict[str, int]
    aspect: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Give everything as JSON-ready values."""
        return asdict(self)


def stats_of(samples: Sequence[Sample], names: Sequence[str]) -> Stats:
    """Count everything."""
    boxes = [box for sample in samples for box in sample.boxes if not box.ignore]
    sources: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        sources[sample.source or "-"][sample.split or UNLISTED] += 1
    return Stats(
        pictures=len(samples),
        boxes=len(boxes),
        classes=_classes(samples, names),
        pictures_by_split=dict(Counter(sample.split or UNLISTED for sample in samples)),
        pictures_by_source={source: dict(counts) for source, counts in sorted(sources.items())},
        boxes_by_origin=dict(Counter(box.origin for box in boxes)),
        ignored=dict(Counter(box.label for sample in samples for box in sample.boxes if box.ignore)),
        scenes=len({sample.scene for sample in samples if sample.scene}),
        boxes_per_picture=whole_histogram(
            (sum(not box.ignore for box in sample.boxes) for sample in samples), PER_PICTURE_EDGES
        ),
        side_px=histogram((side_px(box) for box in boxes), SIDE_EDGES),
        aspect=histogram((_aspect(box) for box in boxes), ASPECT_EDGES),
    )


def _classes(samples: Iterable[Sample], names: Sequence[str]) -> dict[str, ClassStats]:
    classes = {name: ClassStats() for name in names}
    sides: defaultdict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for box in sample.boxes:
            row = classes.setdefault(box.label, ClassStats())
            if box.ignore:
                row.ignored += 1
                continue
            row.boxes += 1
            for counts, key in ((row.by_split, sample.split or UNLISTED), (row.by_size, size_name(box))):
                counts[key] = counts.get(key, 0) + 1
            sides[box.label].append(side_px(box))
        for label in {box.label for box in sample.boxes if not box.ignore}:
            classes[label].pictures += 1
        for label in sample.unlabelled & classes.keys():
            classes[label].unlabelled += 1
    for label, found in sides.items():
        classes[label].side_px_median = round(sorted(found)[len(found) // 2], 1)
    return classes


def side_px(box: LabelledBox) -> float:
    """Give the side of a square of the box's area, pixels."""
    return math.sqrt(max(0.0, area(box.xyxy)))


def size_name(box: LabelledBox) -> str:
    """Give COCO's word for the box's size."""
    return next(name for name, limit in SIZES if area(box.xyxy) < limit)


def _aspect(box: LabelledBox) -> float:
    left, top, right, bottom = box.xyxy
    return (right - left) / (bottom - top)


def histogram(values: Iterable[float], edges: Sequence[float]) -> dict[str, int]:
    """Count values between edges, the upper one not included; the last bar has no upper end.

    >>> histogram([0, 1, 9, 40], (0, 8, 32))
    {'0 to 8': 2, '8 to 32': 1, 'from 32': 1}
    """
    titles = [*(f"{low:g} to {high:g}" for low, high in pairwise(edges)), f"from {edges[-1]:g}"]
    counts = Counter(bisect_right(edges, value) - 1 for value in values)
    return {title: counts[at] for at, title in enumerate(titles)}


def whole_histogram(values: Iterable[int], edges: Sequence[int]) -> dict[str, int]:
    """Count whole numbers, the text of a bar naming the last number in it.

    >>> whole_histogram([0, 1, 2, 4, 9], (0, 1, 2, 6))
    {'0': 1, '1': 1, '2 to 5': 2, 'from 6': 1}
    """
    titles = [
        *(f"{low}" if high - low == 1 else f"{low} to {high - 1}" for low, high in pairwise(edges)),
        f"from {edges[-1]}",
    ]
    return dict(zip(titles, histogram(values, edges).values(), strict=True))


_COLUMNS: tuple[tuple[str, Callable[[ClassStats], Any]], ...] = (
    ("boxes", lambda row: row.boxes),
    ("pictures", lambda row: row.pictures),
    ("train", lambda row: row.by_split.get("train", 0)),
    ("val", lambda row: row.by_split.get("val", 0)),
    ("test", lambda row: row.by_split.get("test", 0)),
    ("small", lambda row: row.by_size.get("small", 0)),
    ("medium", lambda row: row.by_size.get("medium", 0)),
    ("large", lambda row: row.by_size.get("large", 0)),
    ("median px", lambda row: f"{row.side_px_median:.0f}"),
    ("ignored", lambda row: row.ignored),
    ("unlabelled", lambda row: row.unlabelled),
)


def class_rows(stats: Stats) -> list[list[str]]:
    """Give the table of classes: a heading, then one row a class that is shown or known to be unlabelled."""
    shown = {name: row for name, row in stats.classes.items() if row.boxes or row.ignored or row.unlabelled}
    return [
        ["class", *(title for title, _ in _COLUMNS)],
        *([name, *(str(value(row)) for _, value in _COLUMNS)] for name, row in shown.items()),
    ]


def table(stats: Stats) -> str:
    """Give the text of `kerbwatch dataset stats`."""
    lists = _said(stats.pictures_by_split)
    parts = [
        f"{stats.pictures} pictures ({lists}), {stats.boxes} boxes, {stats.scenes} scenes with a name",
        aligned(class_rows(stats)),
        f"labelled by    {_said(stats.boxes_by_origin)}",
        f"ignored        {_said(stats.ignored)}",
        f"box side, px   {_said(stats.side_px)}",
        f"width/height   {_said(stats.aspect)}",
        f"boxes/picture  {_said(stats.boxes_per_picture)}",
        *(f"source {source}: {_said(counts)}" for source, counts in stats.pictures_by_source.items()),
    ]
    return "\n".join(parts)


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{key}: {count}" for key, count in counts.items()) or "none"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as text: the first column to the left, the others to the right.

    >>> print(aligned([["class", "n"], ["bin", "12"]]))
    class   n
    bin    12
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
