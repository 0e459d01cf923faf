"""What a label of one picture would be worth. Pure.

- uncertainty: how near the scores are to the thresholds, where the model may as well say yes as no
- disagreement: how differently two opinions (two models, or a picture and its mirror image) see it
- novelty: how far its look is from everything that is labelled or chosen already

Source: Settles, Active Learning Literature Survey, 2009 (uncertainty, committees, density); Sener and
Savarese, Active Learning for CNNs: A Core-Set Approach, ICLR 2018 (greedy k-centre).
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import entr

from detector.types import Detections, Image
from training.dataset.boxes import iou

Floats = npt.NDArray[np.float64]

TOP = 3
"""Boxes that a picture's uncertainty is the mean of; fewer boxes count as certain ones."""
PAIR_IOU = 0.5
GRID = 4
"""Cells per side in which a picture's look is summed up."""
DIRECTIONS = 8
SIDE_PX = 128


def uncertainty(found: Detections, score_min: Mapping[str, float]) -> float:
    """Give the mean entropy, in bits, of the TOP most doubtful boxes: 0 (sure of all) to 1.

    A score at its class's threshold counts as one half, 0 as no and 1 as yes.

    Args:
        found: boxes down to low scores.
        score_min: threshold per class.
    """
    limits = np.array([score_min.get(name, 0.25) for name in found.names])[found.label]
    bits = np.sort(entropy(found.score.astype(np.float64), limits))[::-1][:TOP]
    return float(bits.sum()) / TOP


def entropy(score: Floats, threshold: Floats) -> Floats:
    """Give the entropy of "is it one?" in bits, (N,).

    >>> entropy(np.array([0.3, 0.0, 1.0, 0.15]), np.array([0.3, 0.3, 0.3, 0.3])).round(2).tolist()
    [1.0, 0.0, 0.0, 0.81]
    """
    limit = np.clip(threshold, 1e-6, 1 - 1e-6)
    below, above = score / (2 * limit), 0.5 + (score - limit) / (2 * (1 - limit))
    yes = np.clip(np.where(score < limit, below, above), 0, 1)
    return np.asarray((entr(yes) + entr(1 - yes)) / np.log(2), dtype=np.float64)


def disagreement(one: Detections, other: Detections, score_from: float = 0.1) -> float:
    """Give 0 where two opinions agree to 1 where they share nothing: one minus the soft Dice of their boxes.

    Each box of one is paired with the box of the same class in the other that overlaps most, from IoU
    PAIR_IOU on; a pair shares the lower of its two scores. Two opinions without a box agree.

    Args:
        one: boxes of a picture.
        other: a second opinion on the same picture.
        score_from: boxes below it are left out.
    """
    left, right = _scored(one, score_from), _scored(other, score_from)
    total = sum(score for _, score, _ in (*left, *right))
    shared, free = 0.0, list(right)
    for name, score, box in sorted(left, key=lambda entry: -entry[1]):
        pairs = [entry for entry in free if entry[0] == name and iou(box, entry[2]) >= PAIR_IOU]
        if pairs:
            best = max(pairs, key=lambda entry: (iou(box, entry[2]), entry[1]))
            free.remove(best)
            shared += 2 * min(score, best[1])
    return 1.0 - shared / total if total else 0.0


_Scored = tuple[str, float, tuple[float, float, float, float]]


def _scored(found: Detections, score_from: float) -> list[_Scored]:
    rows = zip(found.label.tolist(), found.score.tolist(), found.xyxy.tolist(), strict=True)
    return [
        (found.names[label], score, (box[0], box[1], box[2], box[3]))
        for label, score, box in rows
        if score >= score_from
    ]


def mirrored(found: Detections, width: int) -> Detections:
    """Give the boxes of a picture's mirror image in the pixels of the picture itself; `width` in pixels."""
    xyxy = found.xyxy.copy()
    xyxy[:, [0, 2]] = width - xyxy[:, [2, 0]]
    return Detections(xyxy, found.score, found.label, found.names)


def look(image: Image) -> Floats:
    """Give a picture's look as a vector of length 1: edges by direction and colour, in GRID x GRID cells.

    It tells streets, light and surfaces apart, not makes of cars. Euclidean distances lie in [0, 1.42].

    Args:
        image: uint8 (H, W, 3) BGR.
    """
    small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB).astype(np.float64) / 255.0
    across, down = (np.asarray(np.gradient(lab[:, :, 0], axis=axis)) for axis in (1, 0))
    strength = np.hypot(across, down)
    direction = ((np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    edges = np.stack([_cells(np.where(direction == one, strength, 0)) for one in range(DIRECTIONS)])
    colour = np.stack([_cells(lab[:, :, channel]) for channel in range(3)])
    return _unit(np.concatenate([_unit(np.sqrt(edges).ravel()), _unit(colour.ravel())]))


def _cells(values: npt.NDArray[np.float64]) -> Floats:
    side = SIDE_PX // GRID
    return np.asarray(values.reshape(GRID, side, GRID, side).mean(axis=(1, 3)))


def _unit(values: Floats) -> Floats:
    length = float(np.linalg.norm(values))
    return values / length if length else values
