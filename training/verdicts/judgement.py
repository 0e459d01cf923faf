"""What a decision says about the picture: this is here, this is not here, or nothing. Pure.

| decision | the picture |
|---|---|
| confirmed, permitted | the thing is there: a positive box, as corrected if it was |
| rejected as not_there | no such thing in the box: a hard negative for the label that was claimed |
| rejected as wrong_kind | with a corrected label: that is there, and what was claimed is not; else nothing |
| rejected as not_an_offence | with a correction: the thing is there; else nothing |
| duplicate, picture_unclear, other, no code, confirmed by `auto` | nothing |

Whatever nobody judged is ignored: a camera that reports one car says nothing about the street around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from training.dataset.boxes import iou
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample
from training.verdicts.regions import Xyxy, around
from training.verdicts.rows import Fractions, Verdict

SAME_IOU: Final = 0.7
"""Two positive boxes of one label above this are one thing, reported twice."""
CONTRARY_IOU: Final = 0.5
"""A box confirmed and a box rejected above this contradict each other: neither teaches."""

LABEL_OF_KIND: Final = MappingProxyType({"bin_overflow": "bin_overflow", "flying_wire": "flying_wire"})
"""The kinds that one class alone can cause; the others want a corrected label."""

WITHOUT_DOUBT: Final = frozenset({"duplicate"})
"""Reasons that say nothing, but cast no doubt on what another decision says of the same place either."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A label and the box it is said of, in fractions."""

    label: str
    box: Fractions


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one decision says. `doubtful` boxes teach nothing, not even what others say about the place."""

    present: tuple[Claim, ...] = ()
    absent: tuple[Claim, ...] = ()
    doubtful: tuple[Claim, ...] = ()

    @property
    def teaches(self) -> bool:
        """Whether there is anything to learn."""
        return bool(self.present or self.absent)


def judge(row: Verdict) -> Judgement:
    """Say what a decision means; see the table at the top of this file."""
    claimed = Claim(row.label, row.box)
    if row.by == "auto":
        return Judgement(doubtful=(claimed,))
    if row.verdict == "confirm" or row.reason_code == "permitted":
        return _there(row, _label_of(row) or row.label)
    if row.reason_code == "not_there":
        return Judgement(absent=(claimed,))
    label = _label_of(row)
    if row.reason_code == "wrong_kind" and label:
        return _there(row, label)
    if row.reason_code == "not_an_offence" and row.correction and (label or row.correction.box):
        return _there(row, label or row.label)
    return Judgement() if row.reason_code in WITHOUT_DOUBT else Judgement(doubtful=(claimed,))


def _label_of(row: Verdict) -> str | None:
    """Give the corrected label, or the one that the corrected kind implies."""
    if row.correction is None:
        return None
    return row.correction.label or LABEL_OF_KIND.get(row.correction.kind or "")


def _there(row: Verdict, label: str) -> Judgement:
    box = (row.correction and row.correction.box) or row.box
    absent = (Claim(row.label, row.box),) if label != row.label else ()
    return Judgement(present=(Claim(label, box),), absent=absent)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and every decision made about it.

    Args:
        path: the file.
        size_px: width, height.
        rows: decisions whose boxes are in fractions of this picture; at least one.
    """

    path: Path
    size_px: tuple[int, int]
    rows: tuple[Verdict, ...] = field(repr=False)


def scene_of(row: Verdict) -> str:
    """Name what must not straddle a split: the camera. Its street and its parked cars repeat day by day."""
    return f"camera:{row.source_id}"


def sample_of(picture: Picture, names: Sequence[str]) -> Sample | None:
    """Give the labels of a picture, None where no decision about it teaches anything.

    Args:
        picture: with its decisions.
        names: every class that there is; those that nobody judged in this picture are ignored all over it.
    """
    judgements = [judge(row) for row in picture.rows]
    present = [box for each in judgements for box in _boxes(each.present, picture)]
    absent = [box for each in judgements for box in _boxes(each.absent, picture)]
    doubtful = [box for each in judgements for box in _boxes(each.doubtful, picture)]
    present, absent, contrary = _settled(present, absent)
    if not (present or absent):
        return None
    judged = {label for label, _ in (*present, *absent)}
    boxes = [LabelledBox(label, xyxy, "verdict") for label, xyxy in present]
    for name in dict.fromkeys((*names, *sorted(judged))):
        regions = around([xyxy for label, xyxy in (*present, *absent) if label == name], picture.size_px)
        boxes += [LabelledBox(name, xyxy, "verdict", ignore=True) for xyxy in regions]
    boxes += [LabelledBox(EVERY_CLASS, xyxy, "verdict", ignore=True) for _, xyxy in (*doubtful, *contrary)]
    return Sample(
        path=picture.path,
        size_px=picture.size_px,
        boxes=tuple(boxes),
        scene=scene_of(picture.rows[0]),
        unlabelled=frozenset(names) - judged,
    )


_Boxes = list[tuple[str, Xyxy]]


def _boxes(claims: Iterable[Claim], picture: Picture) -> _Boxes:
    return [(claim.label, claim.box.px(picture.size_px)) for claim in claims]


def _settled(present: _Boxes, absent: _Boxes) -> tuple[_Boxes, _Boxes, _Boxes]:
    """Give positives each once, negatives, and the boxes that contradict each other."""
    once: _Boxes = []
    for label, xyxy in present:
        if not any(label == other and iou(xyxy, box) >= SAME_IOU for other, box in once):
            once.append((label, xyxy))
    contrary = [
        pair
        for one, others in ((once, absent), (absent, once))
        for pair in one
        if any(pair[0] == label and iou(pair[1], box) >= CONTRARY_IOU for label, box in others)
    ]
    return (
        [pair for pair in once if pair not in contrary],
        [pair for pair in absent if pair not in contrary],
        contrary,
    )
