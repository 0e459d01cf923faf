"""The picture that a decision is about: the sealed original on the server's disk, or a clean public still.

The public far still of our own pipeline has the box drawn in and faces blurred: a model trained on it would
learn to find red frames. So the original is wanted, which no route serves: the import runs where it lies.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.errors import Failure, WrongUse
from detector.pictures import read_image
from detector.types import Image
from training.verdicts.judgement import Picture, judge
from training.verdicts.rows import Verdict

SEALED = ("evidence/sealed", "sealed")
PUBLIC = ("evidence/public", "public", "evidence")
"""Where originals and public stills lie below a data folder, or below its evidence folder."""

DRAWN_SHARE = 0.5
"""Share of a box's outline that must be red for it to count as drawn in."""
OUTLINE_POINTS = 64

Fetch = Callable[[str], Path | None]
"""Gives a public still by its sha256, None where there is none."""


@dataclass(slots=True)
class Found:
    """The pictures of decisions, and what came of the decisions that have none.

    Args:
        pictures: each once, with all decisions about it.
        sealed: how many of them are unredacted originals.
        left_out: why to how many decisions.
    """

    pictures: list[Picture] = field(default_factory=list)
    sealed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def check_evidence(folder: Path) -> None:
    """Make sure that a folder holds originals.

    Raises:
        WrongUse: it does not.
    """
    if not any((folder / place).is_dir() for place in SEALED):
        raise WrongUse(
            f"{folder}: holds no sealed originals; name the data folder of the server (--data of "
            "`kerbwatch serve`), on the machine where it lies."
        )


def pictures_of(rows: Iterable[Verdict], evidence: Path | None, fetch: Fetch | None = None) -> Found:
    """Find the pictures of decisions.

    Args:
        rows: decisions.
        evidence: data folder of the server; None where it is out of reach.
        fetch: where public stills come from otherwise.

    Raises:
        Failure: a picture is damaged, or not the one that its hash says.
    """
    found = Found()
    rows = tuple(rows)
    where: dict[str, Path] = {}
    for row in rows:
        if not judge(row).teaches:
            continue
        original = _original(row, evidence)
        choice = original or _clean_still(row, evidence, fetch, found)
        if choice is not None and choice[0] not in where:
            where[choice[0]] = choice[1]
            found.sealed += original is not None
    for sha256, path in where.items():  # those that teach nothing may still cast doubt on a place
        image = _checked(path, sha256)
        judged = tuple(row for row in rows if any(still.sha256 == sha256 for still in row.stills))
        found.pictures.append(Picture(path, (int(image.shape[1]), int(image.shape[0])), judged))
    return found


def _original(row: Verdict, evidence: Path | None) -> tuple[str, Path] | None:
    for still in row.stills:
        if still.role == "far" and still.sealed and evidence is not None:
            path = _below(evidence, SEALED, still.sha256)
            if path is not None:
                return still.sha256, path
    return None


def _clean_still(
    row: Verdict, evidence: Path | None, fetch: Fetch | None, found: Found
) -> tuple[str, Path] | None:
    """Give the public far still if no box is drawn in; note why not."""
    for still in row.stills:
        if still.role != "far" or still.sealed:
            continue
        path = _below(evidence, PUBLIC, still.sha256) if evidence else None
        path = path or (fetch(still.sha256) if fetch else None)
        if path is None:
            continue
        image = _checked(path, still.sha256)
        if has_outline(image, row.box.px((image.shape[1], image.shape[0]))):
            found.left_out["the box drawn into their only picture"] += 1
            return None
        return still.sha256, path
    found.left_out["no picture"] += 1
    return None


def _below(folder: Path, places: tuple[str, ...], sha256: str) -> Path | None:
    paths = (folder / place / sha256[:2] / f"{sha256}.jpg" for place in places)
    return next((path for path in paths if path.is_file()), None)


def _checked(path: Path, sha256: str) -> Image:
    image = read_image(path)
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != sha256:
        raise Failure(f"{path}: is not the picture that was judged (sha256 {got}); restore it from a backup.")
    return image


def has_outline(image: Image, xyxy: tuple[float, float, float, float]) -> bool:
    """Say whether a box is drawn in red along its sides.

    Args:
        image: uint8 (H, W, 3) BGR.
        xyxy: left, top, right, bottom, pixels.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = xyxy
    steps = np.linspace(0, 1, OUTLINE_POINTS)
    xs = np.concatenate([left + steps * (right - left)] * 2 + [np.full_like(steps, x) for x in (left, right)])
    ys = np.concatenate([np.full_like(steps, y) for y in (top, bottom)] + [top + steps * (bottom - top)] * 2)
    near = range(-2, 3)
    red = np.zeros(len(xs), dtype=bool)
    for dx in near:
        for dy in near:
            column = np.clip(np.round(xs + dx).astype(int), 0, width - 1)
            row = np.clip(np.round(ys + dy).astype(int), 0, height - 1)
            blue, green, reds = (image[row, column, channel].astype(int) for channel in range(3))
            red |= (reds > 150) & (reds - np.maximum(blue, green) > 70)
    return bool(red.mean() >= DRAWN_SHARE)
