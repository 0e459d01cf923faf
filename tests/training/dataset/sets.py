"""Small sets on disk for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

MANIFEST = 'name = "small-1"\nlicence = "CC0-1.0"\n'


def a_picture(path: Path, seed: int, size=(64, 48)) -> Path:
    """Write a picture of coarse random patches: each seed has a dHash of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 255, (9, 10, 3), np.uint8)
    image = cv2.resize(patches, size, interpolation=cv2.INTER_NEAREST)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def a_set(
    root: Path, *, train: int = 4, val: int = 2, names: str = "[bin, stall]", manifest: str = MANIFEST
) -> Path:
    """Write a YOLO set in which every picture has one box; give its folder."""
    for number in range(train + val):
        a_picture(root / "images" / f"{number}.png", number)
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5\n")
    numbers = range(train + val)
    (root / "train.txt").write_text("".join(f"./images/{number}.png\n" for number in numbers[:train]))
    (root / "val.txt").write_text("".join(f"./images/{number}.png\n" for number in numbers[train:]))
    (root / "data.yaml").write_text(f"train: train.txt\nval: val.txt\nnames: {names}\n")
    if manifest:
        (root / "dataset.toml").write_text(manifest)
    return root
