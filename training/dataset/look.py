"""Every picture decoded once: is it whole, how large, and what does it look like (dHash)?"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from detector.errors import Failure
from detector.pictures import read_image
from detector.types import Image


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture is.

    Args:
        size_px: width, height, upright; (0, 0) where it cannot be decoded.
        dhash: 64 bits.
        fault: why it cannot be decoded, empty where it can.
    """

    size_px: tuple[int, int]
    dhash: int = 0
    fault: str = ""


def dhash(image: Image) -> int:
    """Give the difference hash: is each of 8 x 8 cells darker than its right neighbour?

    Two pictures that differ in size, compression or brightness differ in few of the 64 bits.

    Args:
        image: uint8 (H, W, 3) BGR.

    Source: N. Krawetz, "Kind of Like That", 2013.
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def look_at(path: Path) -> Look:
    """Decode one picture; a fault is noted, not raised."""
    try:
        image = read_image(path)
    except Failure as failure:
        return Look((0, 0), fault=str(failure))
    return Look((int(image.shape[1]), int(image.shape[0])), dhash(image))


def look_at_all(paths: Iterable[Path], what: str = "pictures") -> dict[Path, Look]:
    """Decode many pictures on all cores; progress goes to stderr where that is a terminal."""
    wanted = list(dict.fromkeys(paths))
    with ThreadPoolExecutor() as pool:
        looks = tqdm(pool.map(look_at, wanted), total=len(wanted), desc=what, disable=None, leave=False)
        return dict(zip(wanted, looks, strict=True))
