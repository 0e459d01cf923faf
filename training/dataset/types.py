"""What a labelled data set is in memory, whatever format it came in. Pure.

On disk it is plain YOLO layout (images/, labels/, data.yaml, train.txt, val.txt), which every tool reads, and
beside it `ignore/`: the same lines for regions that are neither a positive nor a negative, with class -1
where no class at all may be judged there (`training.dataset.store`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]
Origin = Literal["given", "added", "completed", "verdict", "rendered"]
"""Who says so: the source's label, a person of this project, a model's guess, an operator, our renderer."""

EVERY_CLASS = "*"
"""Label of an ignored region in which no class may be judged."""


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One box.

    Args:
        label: class name of datasets/classes.toml, or EVERY_CLASS where `ignore` is set.
        xyxy: left, top, right, bottom, pixels of the picture.
        origin: who labelled it.
        ignore: neither a positive nor a negative: a thing may be here, nobody is sure.
        score: of the model that guessed it, in [0, 1]; None for people's labels.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    origin: Origin = "given"
    ignore: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its labels.

    Args:
        path: the picture's file.
        size_px: width, height.
        boxes: what is in it.
        split: which list it is on, None where it is not decided yet.
        scene: pictures of one scene (near-duplicates, one camera, one upload series) share this and never
            straddle a split; empty where not known.
        unlabelled: classes that nobody labelled in this picture: their absence says nothing.
        source: the data set it came from.
    """

    path: Path
    size_px: tuple[int, int]
    boxes: tuple[LabelledBox, ...] = ()
    split: Split | None = None
    scene: str = ""
    unlabelled: frozenset[str] = field(default_factory=frozenset)
    source: str = ""
