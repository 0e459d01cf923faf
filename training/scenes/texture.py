"""Noise and hashing: the only sources of irregularity in surfaces."""

from __future__ import annotations

import cv2
import numpy as np

from training.scenes.camera import Floats


class Noise:
    """Tiling value noise, sampled at any scale."""

    def __init__(self, seed: int, size: int = 512) -> None:
        """Prepare one fine (white) and one smooth (several octaves) tile."""
        rng = np.random.default_rng(seed)
        self.size = size
        self.white = rng.random((size, size)).astype(np.float32)
        smooth = np.zeros((size, size), np.float32)
        for step in (4, 8, 16, 32, 64):
            small = rng.random((size // step, size // step)).astype(np.float32)
            wrapped = np.pad(small, 2, mode="wrap")
            big = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
            smooth += big[2 * step : -2 * step, 2 * step : -2 * step] * np.float32(step) ** 0.7
        self.smooth = ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)

    def at(self, x: Floats, y: Floats, metres: float, *, fine: bool = False) -> Floats:
        """Noise (N,) with the tile stretched over `metres`.

        Standard normal when smooth, uniform 0 to 1 when fine.
        """
        tile = self.white if fine else self.smooth
        scale = np.float32(self.size / metres)
        u = np.mod(x * scale, self.size).astype(np.float32)
        v = np.mod(y * scale, self.size).astype(np.float32)
        columns = max(1, min(len(u), 8192))
        rows = -(-len(u) // columns)
        if rows == 0:
            return np.zeros(0, np.float32)
        pad = rows * columns - len(u)
        u2, v2 = (np.pad(a, (0, pad)).reshape(rows, columns) for a in (u, v))
        return np.asarray(
            cv2.remap(tile, u2, v2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).reshape(-1)[: len(u)]
        )


def hashed(*keys: Floats, seed: int = 0) -> Floats:
    """Uniform 0 to 1 from whole-number keys (N,) each."""
    total = np.full(np.shape(keys[0]), (seed * 374761393 + 668265263) & 0xFFFFFFFF, np.uint64)
    for k, key in enumerate(keys):
        total = (
            total ^ (key.astype(np.int64).astype(np.uint64) * np.uint64(2654435761 + 40503 * k))
        ) * np.uint64(2246822519)
        total = (total ^ (total >> np.uint64(15))) & np.uint64(0xFFFFFFFF)
    return (total & np.uint64(0xFFFFFF)).astype(np.float32) / np.float32(0x1000000)
