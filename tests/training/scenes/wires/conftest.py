"""A tiny data folder in the layout of ../shared/data, drawn here: façades, bins in a street, bikes on white."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.scenes.wires import backgrounds


def _write(folder: Path, split: str, name: str, picture: np.ndarray, labels: str) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 97])
    (folder / "labels" / f"{name}.txt").write_text(labels)
    with (folder / f"{split}.txt").open("a") as file:
        file.write(f"./images/{name}.jpg\n")


def _facade(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((180, 320, 3), rng.integers(120, 190), np.uint8)
    picture[160:] = 90
    for x in (30, 130, 230):
        picture[30:80, x : x + 40] = 60
    return picture


def _street(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((256, 256, 3), rng.integers(110, 180), np.uint8)
    picture[150:] = 100
    picture[120:180, 60:95] = (60, 120, 40)
    return picture


def bike_picture(shade: int = 60) -> np.ndarray:
    """A dark two-wheeled thing on white, 260 by 260 pixels; its box is (30, 60) to (230, 201)."""
    picture = np.full((260, 260, 3), 255, np.uint8)
    for x in (70, 190):
        cv2.circle(picture, (x, 160), 39, (shade, shade, shade), -1)
    cv2.rectangle(picture, (80, 85), (180, 150), (shade, shade // 2, shade * 2), -1)
    cv2.rectangle(picture, (160, 60), (175, 100), (shade, shade, shade), -1)
    return picture


BIKE_LABEL = f"0 {130.5 / 260} {130 / 260} {200 / 260} {140 / 260}\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data"
    rng = np.random.default_rng(1)
    places = ["picture,foot,left,right"]
    windows = "".join(f"0 {(x + 20) / 320} {55 / 180} {40 / 320} {50 / 180}\n" for x in (30, 130, 230))
    for split in ("train", "val"):
        for k in range(3):
            _write(root / "facade_spb_cc0", split, f"f_{split}{k}", _facade(rng), windows)
            places.append(f"facade_spb_cc0/f_{split}{k},0.90,0.0,1.0")
            _write(
                root / "cn_garbage_bins",
                split,
                f"c_{split}{k}",
                _street(rng),
                "1 0.3027 0.5859 0.1367 0.2344\n",
            )
            _write(root / "parked_scooters", split, f"prod_{split}{k}", bike_picture(40 + 20 * k), BIKE_LABEL)
    (root / "places.csv").write_text("\n".join(places) + "\n")
    monkeypatch.setattr(backgrounds, "PLACES", root / "places.csv")
    monkeypatch.setattr(backgrounds, "CONTEXT", root / "none.csv")
    monkeypatch.setattr(backgrounds, "ADDED", root)
    monkeypatch.setattr(backgrounds, "SOURCES", root / "none.csv")
    return root
