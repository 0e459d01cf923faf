"""Choose pictures one by one: the most telling that is like none chosen yet. Pure, the same every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from training.dataset.scenes import NEAR_BITS_MAX
from training.mining.value import Floats

SAMPLE = 500
"""Pictures from which the typical distance is taken."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that might be labelled.

    Args:
        name: unique; decides between equals.
        scene: clip, camera or folder.
        uncertainty: [0, 1].
        disagreement: [0, 1].
        look: (D,) from `value.look`.
        dhash: 64 bits.
    """

    name: str
    scene: str
    uncertainty: float
    disagreement: float
    look: Floats
    dhash: int


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each reason counts."""

    uncertainty: float = 1.0
    disagreement: float = 1.0
    novelty: float = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """What is labelled already: looks (K, D), and dHashes."""

    looks: Floats
    dhashes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen picture; `novelty` is 1 at the typical distance of two pictures and beyond."""

    index: int
    value: float
    novelty: float


def choose(
    candidates: Sequence[Candidate],
    count: int,
    *,
    per_scene: int,
    weights: Weights | None = None,
    known: Known | None = None,
) -> list[Pick]:
    """Choose up to `count` pictures, the most telling first.

    The value of a picture is the weighted sum of its ranks in uncertainty and disagreement among the
    candidates, and of its novelty, which falls as its like is chosen. Near-duplicates of what is chosen or
    known are left out, and so is more than `per_scene` of one scene.
    """
    weights = weights or Weights()
    if not candidates:
        return []
    looks = np.stack([candidate.look for candidate in candidates])
    scale = typical_distance(looks)
    worth = weights.uncertainty * ranks(np.array([each.uncertainty for each in candidates]))
    worth += weights.disagreement * ranks(np.array([each.disagreement for each in candidates]))
    distance = np.full(len(candidates), scale)
    hashes = np.array([each.dhash for each in candidates], dtype=np.uint64)
    free = np.ones(len(candidates), dtype=bool)
    for look in known.looks if known else ():
        distance = np.minimum(distance, np.linalg.norm(looks - look, axis=1))
    for dhash in known.dhashes if known else ():
        free &= ~_near(hashes, dhash)
    scenes: Counter[str] = Counter()
    picks: list[Pick] = []
    while len(picks) < count and free.any():
        novelty = np.clip(distance / scale, 0, 1)
        value = worth + weights.novelty * novelty
        best = _first(candidates, value, free)
        picks.append(Pick(best, float(value[best]), float(novelty[best])))
        distance = np.minimum(distance, np.linalg.norm(looks - looks[best], axis=1))
        free &= ~_near(hashes, candidates[best].dhash)
        free[best] = False
        scenes[candidates[best].scene] += 1
        if scenes[candidates[best].scene] >= per_scene:
            free &= np.array([each.scene != candidates[best].scene for each in candidates])
    return picks


def ranks(values: Floats) -> Floats:
    """Give the share of the others that are lower than each value; equals count half.

    >>> ranks(np.array([5.0, 1.0, 1.0])).tolist()
    [1.0, 0.25, 0.25]
    """
    if len(values) < 2:
        return np.zeros(len(values))
    return np.asarray((rankdata(values) - 1) / (len(values) - 1), dtype=np.float64)


def typical_distance(looks: Floats) -> float:
    """Give the median distance between two different pictures; 1 where all are alike or there is one."""
    some = looks[:: max(1, len(looks) // SAMPLE)]
    squares = (some**2).sum(axis=1)
    between = np.sqrt(np.clip(squares[:, None] + squares[None, :] - 2 * some @ some.T, 0, None))
    between = between[np.triu_indices(len(some), 1)]
    return float(np.median(between)) or 1.0 if len(between) else 1.0


def _near(hashes: npt.NDArray[np.uint64], dhash: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.bitwise_count(hashes ^ np.uint64(dhash)) <= NEAR_BITS_MAX)


def _first(candidates: Sequence[Candidate], value: Floats, free: npt.NDArray[np.bool_]) -> int:
    """Give the free candidate of the highest value, the first by name among equals."""
    rows = np.flatnonzero(free)
    best = value[rows].max()
    equals = [int(row) for row in rows if value[row] >= best - 1e-12]
    return min(equals, key=lambda row: candidates[row].name)
