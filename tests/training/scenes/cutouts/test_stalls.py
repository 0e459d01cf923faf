"""Stalls: masks, parts, whole pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.scenes.cutouts import drawn, pieces, scene
from training.scenes.cutouts.drawn import Painter
from training.scenes.cutouts.placing import placed
from training.scenes.wires import backgrounds
from training.scenes.wires.backgrounds import Ground, View
from training.scenes.wires.paint import Canvas, box_of

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"
GREY = np.full((200, 320, 3), 120, np.uint8)
VIEW = View("a/b", GREY, Ground(150, 40, 1.6, 0, 320), [], [], [])


def painter(seed: int = 1) -> Painter:
    return Painter(Canvas(GREY), np.ones((200, 320), np.float32), np.random.default_rng(seed))


def cart() -> np.ndarray:
    """A red cart with wheels on a grey street; its box is (60, 40) to (180, 150)."""
    picture = np.random.default_rng(1).normal(140, 4, (200, 240, 3)).clip(0, 255).astype(np.uint8)
    cv2.rectangle(picture, (60, 40), (180, 120), (40, 30, 200), -1)
    for x in (85, 155):
        cv2.circle(picture, (x, 128), 22, (20, 20, 120), -1)
    return picture


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data"
    for name in ("facade_spb_cc0", "cn_garbage_bins", "parked_scooters", "in_street_vendor", "coco_mini"):
        for part in ("images", "labels"):
            (root / name / part).mkdir(parents=True)
        for split in ("train", "val"):
            (root / name / f"{split}.txt").write_text("")
    street = np.full((256, 256, 3), 130, np.uint8)
    street[120:180, 60:95] = (60, 120, 40)
    rows = ["picture,box,tall_m,legs"]
    for split in ("train", "val"):
        for k in range(2):
            _write(
                root / "cn_garbage_bins", split, f"c_{split}{k}", street, "1 0.3027 0.5859 0.1367 0.2344\n"
            )
        _write(root / "in_street_vendor", split, f"v_{split}", cart(), f"1 0.5 {95 / 200} 0.5 {110 / 200}\n")
        rows.append(f"v_{split},0,1.4,0")
    (root / "stalls.csv").write_text("\n".join(rows) + "\n")
    (root / "people.csv").write_text("picture,box,tall_m,whole\n")
    monkeypatch.setattr(scene, "STALLS", root / "stalls.csv")
    monkeypatch.setattr(scene, "PEOPLE", root / "people.csv")
    monkeypatch.setattr(backgrounds, "ADDED", root)
    monkeypatch.setattr(backgrounds, "SOURCES", root / "none.csv")
    return root


def _write(folder: Path, split: str, name: str, picture: np.ndarray, labels: str) -> None:
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), picture)
    (folder / "labels" / f"{name}.txt").write_text(labels)
    with (folder / f"{split}.txt").open("a") as file:
        file.write(f"./images/{name}.jpg\n")


def test_a_cart_is_cut_from_its_street() -> None:
    mask = pieces.grab(cart(), (55, 35, 185, 155), pieces.STALL_CORE)
    truth = cart()[..., 2].astype(int) - cart()[..., 0] > 60
    shared = (mask > 0) & truth
    assert shared.sum() / ((mask > 0) | truth).sum() > 0.85


def test_legs_reach_the_ground() -> None:
    cover = np.zeros((100, 80), np.float32)
    cover[10:70, 10:70] = 1
    whole = pieces.with_legs(cover)
    assert whole[97, 40] > 0.4
    assert whole[97, 2] < 0.1
    assert (whole >= cover).all()
    assert (pieces.with_legs(np.zeros_like(cover)) == 0).all()


@pytest.mark.parametrize("part", ["umbrella", "table", "ground_cloth", "crate", "heap"])
def test_parts_stand_where_they_are_put(part) -> None:
    brush = painter()
    if part == "umbrella":
        drawn.umbrella(brush, (160.0, 180.0), 60.0)
    elif part in {"crate", "heap"}:
        getattr(drawn, part)(brush, (160.0, 180.0), 30.0, 60.0)
    else:
        getattr(drawn, part)(brush, (160.0, 180.0), 60.0, 0.3)
    assert brush.track is not None
    box = box_of(brush.canvas.tracked[brush.track], 0.4)
    assert box is not None
    assert box[0] < 160 < box[2]
    assert box[3] == pytest.approx(180, abs=6)
    changed = np.abs(brush.canvas.seen - 120).max(2) > 12
    inside = np.zeros_like(changed)
    inside[int(box[1]) - 3 : int(box[3]) + 3, int(box[0]) - 3 : int(box[2]) + 3] = True
    assert not (changed & ~inside).any()


def test_pieces_have_the_size_of_their_place() -> None:
    piece = pieces.Piece("a/b", cart()[40:150, 60:180], np.ones((110, 120), np.float32), 1.5)
    spot = placed(VIEW, piece, (160, 180), 60.0, np.random.default_rng(1))
    assert spot is not None
    patch, colour = spot
    assert patch.cover.shape[0] == pytest.approx(90, rel=0.08)
    assert patch.y + patch.cover.shape[0] == pytest.approx(180, abs=1)
    assert colour.shape == (*patch.cover.shape, 3)
    assert placed(VIEW, piece, (-200, 180), 60.0, np.random.default_rng(1)) is None


def test_pictures_show_labelled_stalls_and_repeat(data) -> None:
    made = [scene.make(data, "train", 3, k) for k in range(8)]
    assert sum(any(label == "stall" for label, _ in m.labels) for m in made) >= 4
    for one in made:
        h, w = one.picture.shape[:2]
        for _, (x0, y0, x1, y1) in one.labels:
            assert -1e-6 <= x0 < x1 <= w + 1e-6
            assert -1e-6 <= y0 < y1 <= h + 1e-6
        stalls = [box for label, box in one.labels if label == "stall"]
        for box, cover in zip(stalls, one.wires, strict=False):
            assert box_of(cover, scene.CORE) == pytest.approx(box)
    again = scene.make(data, "train", 3, 0)
    assert (again.picture == made[0].picture).all()
    assert again.labels == made[0].labels


def test_train_and_val_share_nothing(data) -> None:
    parts = [[scene.make(data, split, 3, k) for k in range(8)] for split in ("train", "val")]
    used = [{m.background for m in part} | {n for m in part for n in m.bikes} - {"drawn"} for part in parts]
    assert any("in_street_vendor" in name for name in used[0])
    assert not used[0] & used[1]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the labelled pictures in ../shared/data")
@pytest.mark.parametrize(
    ("rows", "folder", "number"), [(pieces.STALLS, "in_street_vendor", 1), (pieces.PEOPLE, "coco_mini", 0)]
)
def test_manifest_rows_are_boxes_of_that_class(rows, folder, number) -> None:
    with rows.open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) >= 5
    for row in listed:
        boxes = backgrounds.shares_of(SHARED / folder / "images" / f"{row['picture']}.jpg")
        assert boxes[int(row["box"])][0] == number, row["picture"]
        assert 0.5 < float(row["tall_m"]) < 2.6
