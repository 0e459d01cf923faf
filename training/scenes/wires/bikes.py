"""E-bikes and scooters cut out of pictures with a plain background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Box, Floats, Picture

LONGEST_PX = 260
"""Cut-outs are kept at this length: none is pasted larger."""


@dataclass(frozen=True)
class CutOut:
    """A thing without its background.

    Args:
        name: the picture it came from.
        picture: (h, w, 3) BGR, 8 bit.
        cover: (h, w), 0 to 1.
        wheels: x, y of where it touches the ground, left then right, as shares of width and height.
    """

    name: str
    picture: Picture
    cover: Floats
    wheels: tuple[Point, Point]


def cut_out(path: Path, box: Box) -> CutOut | None:
    """Cut the bike in `box` (pixels) off its plain background; None where the mask cannot be trusted."""
    picture = cv2.imread(str(path))
    if picture is None:
        return None
    picture, box = _reduced(picture, box)
    mask = _mask(picture, box)
    if not _trusted(mask, box):
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    solid = mask[part]
    cover = cv2.GaussianBlur(cv2.erode(solid, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.8)
    return CutOut(
        path.stem, np.ascontiguousarray(picture[part]), np.asarray(cover, np.float32), _wheels(solid)
    )


def _reduced(picture: Picture, box: Box) -> tuple[Picture, Box]:
    scale = min(LONGEST_PX / max(box[2] - box[0], box[3] - box[1]), 1.0)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)


def _mask(picture: Picture, box: Box) -> Picture:
    """Foreground, 0 or 1 (H, W): what the plain background, flooded from the edges, does not reach."""
    h, w = picture.shape[:2]
    plain = _flooded(picture)
    kind = np.full((h, w), cv2.GC_PR_FGD, np.uint8)
    kind[plain > 0] = cv2.GC_PR_BGD
    kind[cv2.erode(plain, np.ones((7, 7), np.uint8)) > 0] = cv2.GC_BGD
    outside = np.ones((h, w), bool)
    grow = 0.02 * max(box[2] - box[0], box[3] - box[1])
    x0, y0, x1, y1 = (round(v) for v in (box[0] - grow, box[1] - grow, box[2] + grow, box[3] + grow))
    outside[max(y0, 0) : y1, max(x0, 0) : x1] = False
    kind[outside] = cv2.GC_BGD
    if not (kind == cv2.GC_PR_FGD).any():
        return np.zeros((h, w), np.uint8)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)
    cv2.grabCut(picture, kind, None, *model, 2, cv2.GC_INIT_WITH_MASK)
    mask = ((kind == cv2.GC_PR_FGD) | (kind == cv2.GC_FGD)).astype(np.uint8)
    mask[plain > 0] = 0
    return _largest(_without_holes_in_white(mask, picture))


def _flooded(picture: Picture) -> Picture:
    h, w = picture.shape[:2]
    flooded = np.zeros((h + 2, w + 2), np.uint8)
    step = max(min(h, w) // 16, 1)
    edge = [(x, y) for x in range(0, w, step) for y in (0, h - 1)]
    edge += [(x, y) for y in range(0, h, step) for x in (0, w - 1)]
    for at in edge:
        if not flooded[at[1] + 1, at[0] + 1]:
            cv2.floodFill(
                picture, flooded, at, 0, (3, 3, 3), (3, 3, 3), 4 | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
            )
    return np.asarray(flooded[1:-1, 1:-1], np.uint8)


def _without_holes_in_white(mask: Picture, picture: Picture) -> Picture:
    """Open the gaps between spokes: background white in the lower half that the flood did not reach."""
    white = (picture.min(2) > 246) & (mask > 0)
    rows = np.flatnonzero(mask.any(1))
    if len(rows):
        white[: (rows[0] + rows[-1]) // 2] = False
    gaps = cv2.morphologyEx(white.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    opened = mask.copy()
    opened[gaps > 0] = 0
    return opened


def _largest(mask: Picture) -> Picture:
    n, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if n < 2:
        return mask
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), np.uint8)


def _trusted(mask: Picture, box: Box) -> bool:
    """Say whether a mask fills its labelled box as a bike does and is not cut by the picture's edge."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return False
    w, h = box[2] - box[0], box[3] - box[1]
    off = np.abs(np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) - box) / [w, h, w, h]
    share = float(mask.sum()) / (w * h)
    edges = (mask[0].mean(), mask[-1].mean(), mask[:, 0].mean(), mask[:, -1].mean())
    return bool(off.max() < 0.1 and 0.25 < share < 0.72 and max(edges) < 0.08)


def _wheels(mask: Picture) -> tuple[Point, Point]:
    h, w = mask.shape
    found: list[Point] = []
    for first, last in ((0, w * 2 // 5), (w * 3 // 5, w)):
        part = mask[:, first:last]
        low = int(np.flatnonzero(part.any(1))[-1])
        columns = np.flatnonzero(part[max(low - 2, 0) : low + 1].any(0))
        found.append(((first + float(columns.mean())) / w, (low + 1) / h))
    return found[0], found[1]


def mirrored(bike: CutOut) -> CutOut:
    """The same, seen from the other side."""
    (lx, ly), (rx, ry) = bike.wheels
    wheels = ((1 - rx, ry), (1 - lx, ly))
    flipped = np.ascontiguousarray(bike.picture[:, ::-1]), np.ascontiguousarray(bike.cover[:, ::-1])
    return CutOut(bike.name, *flipped, wheels)
