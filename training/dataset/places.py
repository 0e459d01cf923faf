"""Which pictures show the same place from another angle or on another day: what dHash cannot see.

Pictures alike in colour or layout are compared by ORB features; where enough of them agree on one homography,
it is the same wall, kerb or garage corner. Slower than dHash (minutes for thousands of pictures), so it is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from detector.errors import Failure
from detector.pictures import read_image

INLIERS_MIN = 24
"""Of 39 pairs with so many between the given train and val lists that were looked at, 33 showed one place,
five one product and one only the same date stamp. With 15 to 19 it was one place in one of four."""

_SIDE_PX, _FEATURES, _NEIGHBOURS = 384, 500, 20
_RATIO, _REPROJECTION_PX = 0.8, 5.0
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class _Print:
    """One picture.

    Args:
        colour: unit vector (216,): root of a histogram of Lab colours.
        layout: unit vector (108,): 6 x 6 cells of Lab, less their mean.
        points: (N, 2) ORB features, pixels of the shrunk picture.
        bits: (N, 32) what they look like.
    """

    colour: npt.NDArray[np.float32]
    layout: npt.NDArray[np.float32]
    points: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint8]


_NOTHING = _Print(
    np.zeros(6**3, np.float32),
    np.zeros(6 * 6 * 3, np.float32),
    np.zeros((0, 2), np.float32),
    np.zeros((0, 32), np.uint8),
)


def same_place_pairs(
    paths: Sequence[Path], wanted: Callable[[int, int], bool] = lambda _one, _other: True
) -> list[tuple[int, int, int]]:
    """Give pairs of indices, the lower first, of pictures that show one place, with how many features agree.

    Args:
        paths: pictures; one that cannot be decoded is like no other.
        wanted: whether a pair matters; those on one list do not to a check.

    Source: E. Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011.
    """
    with ThreadPoolExecutor() as pool:
        read = tqdm(pool.map(_print_of, paths), total=len(paths), desc="features", disable=None, leave=False)
        prints = list(read)
        pairs = [pair for pair in _alike(prints) if wanted(*pair)]
        counts = pool.map(lambda pair: inliers(prints[pair[0]], prints[pair[1]]), pairs)
        counted = tqdm(
            zip(pairs, counts, strict=True), total=len(pairs), desc="pairs", disable=None, leave=False
        )
        return [(one, other, count) for (one, other), count in counted if count >= INLIERS_MIN]


def _print_of(path: Path) -> _Print:
    try:
        image = read_image(path)
    except Failure:
        return _NOTHING
    scale = _SIDE_PX / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB)
    colour = np.sqrt(cv2.calcHist([lab], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3).ravel())
    cells = cv2.resize(lab, (6, 6), interpolation=cv2.INTER_AREA).astype(np.float32)
    layout = (cells - cells.mean(axis=(0, 1))).ravel()
    keys, bits = cv2.ORB.create(_FEATURES).detectAndCompute(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), None)
    points = np.array([key.pt for key in keys], dtype=np.float32).reshape(-1, 2)
    bits = np.zeros((0, 32), np.uint8) if bits is None else bits
    return _Print(_unit(colour), _unit(layout), points, bits)


def _unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _alike(prints: Sequence[_Print]) -> list[tuple[int, int]]:
    """Give each picture with those most like it in colour and in layout, each pair once."""
    found: set[tuple[int, int]] = set()
    for vectors in ([entry.colour for entry in prints], [entry.layout for entry in prints]):
        matrix = np.array(vectors, dtype=np.float32).reshape(len(prints), -1 if prints else 1)
        for start in range(0, len(prints), _BLOCK):
            for row, scores in enumerate(matrix[start : start + _BLOCK] @ matrix.T, start):
                scores[row] = -2
                nearest: list[int] = np.argsort(-scores)[: min(_NEIGHBOURS, len(prints) - 1)].tolist()
                found.update((min(row, other), max(row, other)) for other in nearest)
    return sorted(found)


def inliers(one: _Print, other: _Print) -> int:
    """Count features that agree on one homography between two pictures."""
    if min(len(one.bits), len(other.bits)) < INLIERS_MIN:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one.bits, other.bits, k=2)
    good = [best for best, second in pairs if best.distance < _RATIO * second.distance]
    if len(good) < INLIERS_MIN:
        return 0
    here = one.points[[match.queryIdx for match in good]]
    there = other.points[[match.trainIdx for match in good]]
    mask = cv2.findHomography(here, there, cv2.RANSAC, _REPROJECTION_PX)[1]
    return 0 if mask is None else int(mask.sum())
