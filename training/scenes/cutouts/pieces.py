"""Stalls and people cut out of real pictures by GrabCut inside their labelled boxes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from training.scenes.wires.backgrounds import Split, listed, shares_of
from training.scenes.wires.paint import Box, Floats, Picture

STALLS, PEOPLE = Path(__file__).with_name("stalls.csv"), Path(__file__).with_name("people.csv")
MARGIN = 0.12
"""How much of the box's longer side around it GrabCut sees as background."""
STALL_CORE: Box = (0.2, 0.25, 0.8, 0.75)
PERSON_CORE: Box = (0.38, 0.15, 0.62, 0.6)
"""Shares of a box that certainly show the thing."""


@dataclass(frozen=True)
class Piece:
    """A thing without its background.

    Args:
        name: set/picture it came from.
        picture: (h, w, 3) BGR, 8 bit.
        cover: (h, w), 0 to 1.
        tall_m: height of the picture in metres.
        whole: it stands on its feet; else it is the upper part of a person.
    """

    name: str
    picture: Picture
    cover: Floats
    tall_m: float
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of stalls.csv or people.csv whose picture is on the wanted list."""

    path: Path
    box: int
    tall_m: float
    flag: bool


def pieces_of(folder: Path, rows: Path, split: Split) -> list[Listed]:
    """Rows of a manifest whose pictures are on the set's train or val list."""
    paths = {path.stem: path for path in listed(folder, split)}
    with rows.open(encoding="utf-8", newline="") as file:
        found = [(row, paths.get(row["picture"])) for row in csv.DictReader(file)]
    last = 3
    return [
        Listed(path, int(row["box"]), float(row["tall_m"]), list(row.values())[last] == "1")
        for row, path in found
        if path is not None
    ]


@lru_cache(maxsize=128)
def stall_piece(row: Listed) -> Piece | None:
    """Cut a stall; where thin legs get lost (`flag`), the ground between them comes along."""
    return _piece(row, STALL_CORE, legs=row.flag, whole=True)


@lru_cache(maxsize=128)
def person_piece(row: Listed) -> Piece | None:
    """Cut a person; `flag` says that the feet are in the picture."""
    return _piece(row, PERSON_CORE, legs=False, whole=row.flag)


def _piece(row: Listed, core: Box, *, legs: bool, whole: bool) -> Piece | None:
    picture = cv2.imread(str(row.path))
    boxes = shares_of(row.path)
    if picture is None or row.box >= len(boxes):
        return None
    h, w = picture.shape[:2]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(boxes[row.box][1], (w, h, w, h), strict=True))
    grow = int(MARGIN * max(x1 - x0, y1 - y0))
    left, top = max(x0 - grow, 0), max(y0 - grow, 0)
    part = np.ascontiguousarray(picture[top : min(y1 + grow, h), left : min(x1 + grow, w)])
    mask = grab(part, (x0 - left, y0 - top, x1 - left, y1 - top), core)
    if not trusted(mask, (x1 - x0) * (y1 - y0)):
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    foot = y1 - top if whole else int(rows[-1]) + 1
    window = slice(rows[0], max(foot, int(rows[-1]) + 1)), slice(columns[0], columns[-1] + 1)
    cover = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.9)
    cover = with_legs(cover[window]) if legs else cover[window]
    scale = (foot - rows[0]) / (y1 - y0) if whole else 1.0
    name = f"{row.path.parent.parent.name}/{row.path.stem}"
    return Piece(
        name, np.ascontiguousarray(part[window]), np.asarray(cover, np.float32), row.tall_m * scale, whole
    )


def grab(picture: Picture, box: Box, core: Box) -> Picture:
    """GrabCut: outside `box` (pixels) is background, `core` (shares of it) certainly is not; mask 0 or 1."""
    x0, y0, x1, y1 = (int(v) for v in box)
    w, h = x1 - x0, y1 - y0
    kind = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    kind[y0:y1, x0:x1] = cv2.GC_PR_FGD
    sure = (
        slice(y0 + int(core[1] * h), y0 + int(core[3] * h)),
        slice(x0 + int(core[0] * w), x0 + int(core[2] * w)),
    )
    kind[sure] = cv2.GC_FGD
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, kind, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    mask = ((kind == cv2.GC_FGD) | (kind == cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    n, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
    kept = [k for k in range(1, n) if stats[k, cv2.CC_STAT_AREA] > 0.04 * opened.sum()]
    return np.asarray(np.isin(parts, kept), np.uint8)


def trusted(mask: Picture, box_px: float) -> bool:
    """Say whether a mask fills its box as a thing does: not nearly nothing, not nearly all of it.

    >>> trusted(np.ones((10, 10), np.uint8), 100), trusted(np.eye(10, dtype=np.uint8), 100)
    (False, False)
    """
    return bool(0.25 < float(mask.sum()) / box_px < 0.97)


def with_legs(cover: Floats) -> Floats:
    """Let the lower part reach the ground: the columns under the body come along, fading out."""
    h, w = cover.shape
    body = np.flatnonzero(cover[int(0.35 * h) : int(0.7 * h)].max(0) > 0.5)
    if len(body) == 0:
        return cover
    under = np.zeros_like(cover)
    inset = int(0.04 * w)
    under[int(0.6 * h) : h, body[0] + inset : body[-1] + 1 - inset] = 0.85
    soft = cv2.GaussianBlur(under, (0, 0), max(0.012 * h, 1.0))
    return np.asarray(np.maximum(cover, soft), np.float32)
