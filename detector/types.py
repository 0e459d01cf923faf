"""What the detector takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), BGR, origin top left, pixels of the source."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]


def _frozen(values: Any, dtype: Any, shape: tuple[int, ...], name: str) -> Any:
    array = np.array(values, dtype=dtype, copy=True)
    if array.size == 0:
        array = array.reshape(tuple(max(side, 0) for side in shape))
    wanted = (
        tuple(array.shape[i] if side < 0 else side for i, side in enumerate(shape))
        if array.ndim == len(shape)
        else ()
    )
    if array.shape != wanted:
        raise ValueError(f"{name}: wanted shape {shape} (-1: any), got {array.shape}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes of one image, struct of arrays, read-only.

    Args:
        xyxy: float32 (N, 4), left, top, right, bottom in pixels of the source image.
        score: float32 (N,) in [0, 1].
        label: int64 (N,) index into `names`.
        names: class names, index to name.

    Raises:
        ValueError: a shape is not the one above, a score lies outside [0, 1], or a label outside `names`.
    """

    xyxy: FloatArray
    score: FloatArray
    label: IntArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", _frozen(self.xyxy, np.float32, (-1, 4), "xyxy"))
        object.__setattr__(self, "score", _frozen(self.score, np.float32, (-1,), "score"))
        object.__setattr__(self, "label", _frozen(self.label, np.int64, (-1,), "label"))
        if not len(self.xyxy) == len(self.score) == len(self.label):
            raise ValueError(
                "wanted as many boxes as scores and labels, "
                f"got {len(self.xyxy)}, {len(self.score)}, {len(self.label)}"
            )
        if len(self.label) and not (int(self.label.min()) >= 0 and int(self.label.max()) < len(self.names)):
            raise ValueError(f"wanted labels below {len(self.names)}, got up to {int(self.label.max())}")
        if len(self.score) and not (float(self.score.min()) >= 0 and float(self.score.max()) <= 1):
            raise ValueError("wanted scores in [0, 1]")

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls, names: tuple[str, ...]) -> Detections:
        """Give a set of no boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), names)

    def where(self, mask: npt.NDArray[np.bool_]) -> Detections:
        """Keep the boxes for which `mask`, bool (N,), is true."""
        return Detections(self.xyxy[mask], self.score[mask], self.label[mask], self.names)

    def above(self, score_min: Mapping[str, float]) -> Detections:
        """Keep the boxes whose score reaches their class's threshold; a class without one keeps all."""
        limits = np.array([score_min.get(name, 0.0) for name in self.names], dtype=np.float32)
        return self.where(self.score >= limits[self.label]) if len(self) else self
