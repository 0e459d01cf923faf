"""Whether a thing moves, seen from two pictures a few hundredths of a second apart. Pure.

What changed says little so early: a car has moved by three pixels, and noise, rain or a picture coded anew
change pixels too. So the box of the earlier picture is laid over the later one where it fits best (phase
correlation): what moves fits elsewhere, and clearly better there. Whatever is in doubt is said not to move.

Source: Kuglin and Hines, The Phase Correlation Image Alignment Method, 1975; OpenCV's phaseCorrelate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from ingest.gate import ROUNDING_S, shrunk
from ingest.sources.signs import SWAPPED_SHARE, Looked, Thing, changed_share, differing
from ingest.types import XYXY

Plane = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BLINK_S, GLANCE_S = 0.06, 0.2
"""From when on a thing can be seen to move; from when on its place tells that it is elsewhere."""
PATCH_PX, PATCH_MIN_PX = 96, 12
"""Longer side of a box as it is compared; shorter side from which it can be."""
SHIFT_MIN, SHIFT_MAX = 1.0, 0.25
"""Pixels of the patch that a thing has moved at least; share of the patch's side that it has at most."""
FITS_MIN = 0.3
"""Height of the peak: 1 where nothing but the place has changed, near 0 where nothing fits."""
BETTER = 0.6
"""What still differs at the new place, against what differs at the old one, at most."""
GREY_MIN = 3.0
"""Mean difference in grey levels at the old place at least."""
STILL_GREY = 1.5
"""Mean difference in grey levels under which nothing has happened."""
TILES_XY, TILES_MIN, SHAKEN = (8, 5), 6, 0.2
"""How many places of a picture tell of the camera, how many of them must be free, what share may move."""


@dataclass(slots=True)
class Moment:
    """Watches what has just come for a moment, until it is known of all of it whether it moves.

    Args:
        now: the key frame in which it came. came: what came. luma: brightness of that frame (H, W).
    """

    now: Looked
    came: Sequence[Thing]
    luma: Plane
    moving: list[Thing] = field(default_factory=list)
    doubtful: list[Thing] = field(init=False)

    def __post_init__(self) -> None:
        self.doubtful = list(self.came)

    def over(self, later: Plane, passed_s: float) -> bool:
        """Take a picture `passed_s` after the key frame; say whether nothing is doubtful any more."""
        if passed_s >= BLINK_S:
            self._take(later)
        if self.doubtful and passed_s >= GLANCE_S - ROUNDING_S:
            changed = differing(self.now.thumbnail, shrunk(later))
            shares = [changed_share(changed, one.xyxy, self.now.wh) for one in self.doubtful]
            if min(shares) >= SWAPPED_SHARE:
                self.moving, self.doubtful = [*self.moving, *self.doubtful], []
            elif all(still(self.luma, later, one.xyxy) for one in self.doubtful):
                self.doubtful = []
        return not self.doubtful

    def _take(self, later: Plane) -> None:
        goes = [one for one in self.doubtful if moves(self.luma, later, one.xyxy)]
        if goes and steady(self.luma, later, self.now.others):
            self.moving += goes
            self.doubtful = [one for one in self.doubtful if one not in goes]


def still(earlier: Plane, later: Plane, xyxy: XYXY) -> bool:
    """Say whether what is in a box of two pictures (H, W) is the same to the pixel, but for noise."""
    patches = _patches(earlier, later, xyxy)
    return patches is not None and float(cv2.absdiff(*patches).mean()) < STILL_GREY


def steady(earlier: Plane, later: Plane, boxes: Sequence[XYXY]) -> bool:
    """Say whether the camera itself has kept still: of the places beside all boxes hardly one has moved."""
    rows, columns = earlier.shape
    width, height = columns / TILES_XY[0], rows / TILES_XY[1]
    tiles = [
        (x * width, y * height, (x + 1) * width, (y + 1) * height)
        for x in range(TILES_XY[0])
        for y in range(TILES_XY[1])
    ]
    beside = [tile for tile in tiles if not any(_touch(tile, box) for box in boxes)]
    moved = sum(moves(earlier, later, tile) for tile in beside)
    return len(beside) >= TILES_MIN and moved <= len(beside) * SHAKEN


def moves(earlier: Plane, later: Plane, xyxy: XYXY) -> bool:
    """Say whether what was in a box of the earlier picture (H, W) is elsewhere in the later one."""
    patches = _patches(earlier, later, xyxy)
    if patches is None:
        return False
    old, new = patches
    stayed = float(cv2.absdiff(old, new).mean())
    if stayed < GREY_MIN:
        return False
    wh = old.shape[1], old.shape[0]
    (across, down), fits = cv2.phaseCorrelate(old.astype(np.float32), new.astype(np.float32), _window(*wh))
    if fits < FITS_MIN or not SHIFT_MIN <= float(np.hypot(across, down)) <= SHIFT_MAX * max(wh):
        return False
    place = np.array([[1, 0, across], [0, 1, down]], np.float32)
    laid = cv2.warpAffine(old, place, wh, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(laid, new).mean()) < BETTER * stayed


def _patches(earlier: Plane, later: Plane, xyxy: XYXY) -> tuple[Plane, Plane] | None:
    """Give what is in a box of both, small; None where that is too little to say anything."""
    rows, columns = earlier.shape
    left, top = max(0, int(xyxy[0])), max(0, int(xyxy[1]))
    right, bottom = min(columns, int(xyxy[2]) + 1), min(rows, int(xyxy[3]) + 1)
    factor = min(1.0, PATCH_PX / max(right - left, bottom - top, 1))
    wh = round((right - left) * factor), round((bottom - top) * factor)
    if min(wh) < PATCH_MIN_PX or earlier.shape != later.shape:
        return None
    old, new = (
        np.asarray(cv2.resize(one[top:bottom, left:right], wh, interpolation=cv2.INTER_AREA), np.uint8)
        for one in (earlier, later)
    )
    return old, new


def _touch(one: XYXY, other: XYXY) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@lru_cache(maxsize=256)
def _window(width: int, height: int) -> Floats:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)
