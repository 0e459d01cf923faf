"""Whole pictures: truth, repeatability, separation of train and val."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import Failure
from training.labels import load_taxonomy
from training.scenes.wires import backgrounds as backgrounds_module
from training.scenes.wires import cable, pictures, scene
from training.scenes.wires.backgrounds import Ground, backgrounds, load
from training.scenes.wires.bikes import cut_out, mirrored

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"


def many(data: Path, split: str = "train", n: int = 14):
    return [scene.make(data, split, 5, k) for k in range(n)]


def test_a_box_holds_every_visible_pixel_of_its_cable(data) -> None:
    wired = [m for m in many(data) if m.wires]
    assert len(wired) > 3
    for made in wired:
        boxes = [box for label, box in made.labels if label == "flying_wire"]
        assert len(boxes) == len(made.wires) == len(made.contrast)
        assert min(made.contrast) > 0
        for box, cover in zip(boxes, made.wires, strict=True):
            rows, columns = np.nonzero(cover > scene.CORE)
            assert columns.min() >= box[0]
            assert columns.max() + 1 <= box[2]
            assert rows.min() >= box[1]
            assert rows.max() + 1 <= box[3]
            w, h = box[2] - box[0], box[3] - box[1]
            assert w <= max(np.ptp(columns) + 1, scene.MIN_SIDE_PX) + 1e-6
            assert h <= max(np.ptp(rows) + 1, scene.MIN_SIDE_PX) + 1e-6
            assert min(w, h) >= scene.MIN_SIDE_PX - 1e-6


def test_only_pictures_with_wires_are_labelled_so(data) -> None:
    for made in many(data):
        labelled = any(label == "flying_wire" for label, _ in made.labels)
        assert labelled == bool(made.wires)
        if made.kind != "wire":
            assert not labelled


def test_at_least_half_carry_no_wire() -> None:
    shares = dict(scene.KINDS)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["wire"] <= 0.5


def test_boxes_stay_inside(data) -> None:
    for made in many(data):
        h, w = made.picture.shape[:2]
        assert max(h, w) == 640
        for _, (x0, y0, x1, y1) in made.labels:
            assert -1e-6 <= x0 < x1 <= w + 1e-6
            assert -1e-6 <= y0 < y1 <= h + 1e-6


def test_a_picture_depends_on_its_number_alone(data) -> None:
    first, again = scene.make(data, "train", 5, 3), scene.make(data, "train", 5, 3)
    assert (first.picture == again.picture).all()
    assert first.labels == again.labels
    assert (
        scene.make(data, "train", 5, 4).picture.shape != first.picture.shape
        or (scene.make(data, "train", 5, 4).picture != first.picture).any()
    )


def test_train_and_val_share_neither_background_nor_bike_nor_cable(data) -> None:
    train, val = many(data, "train"), many(data, "val")
    assert not {m.background for m in train} & {m.background for m in val}
    of_train, of_val = ({name for m in part for name in m.bikes} for part in (train, val))
    assert of_train
    assert of_val
    assert not of_train & of_val
    colours = {colour for _, colour in cable.TRAIN_COLOURS}, {colour for _, colour in cable.VAL_COLOURS}
    apart = [np.abs(np.subtract(a, b)).max() for a in colours[0] for b in colours[1]]
    assert min(apart) > 15


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the labelled pictures in ../shared/data")
def test_the_shared_lists_are_apart() -> None:
    stocks = [scene.stock(SHARED, split) for split in ("train", "val")]
    names = [{b.name for b in s.backgrounds} for s in stocks]
    bikes = [{path for path, _ in s.bikes} for s in stocks]
    assert min(len(n) for n in names) > 50
    assert not names[0] & names[1]
    assert not bikes[0] & bikes[1]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the labelled pictures in ../shared/data")
def test_places_are_pictures_of_the_set() -> None:
    known = {b.name: b for split in ("train", "val") for b in backgrounds(SHARED, split)}
    placed = [name for name, b in known.items() if b.place is not None]
    assert len(placed) > 150
    assert all(0.7 < known[n].place.foot < 1.05 for n in placed)
    assert all(0 <= known[n].place.left < known[n].place.right <= 1 for n in placed)


def test_a_bike_is_cut_along_its_outline(data) -> None:
    path = data / "parked_scooters" / "images" / "prod_train0.jpg"
    cut = cut_out(path, (30, 60, 230, 200))
    assert cut is not None
    assert 0.45 < cut.cover.mean() < 0.75
    (lx, ly), (rx, ry) = cut.wheels
    assert lx < 0.4 < 0.6 < rx
    assert min(ly, ry) > 0.95
    flipped = mirrored(cut)
    assert flipped.wheels[0][0] == pytest.approx(1 - rx)


def test_a_mask_that_does_not_fill_its_box_is_refused(data) -> None:
    path = data / "parked_scooters" / "images" / "prod_train0.jpg"
    assert cut_out(path, (0, 0, 260, 260)) is None
    assert cut_out(data / "nothing.jpg", (0, 0, 10, 10)) is None


def test_things_grow_towards_the_camera() -> None:
    ground = Ground(200, 100, 1.6, 0, 640)
    assert ground.scale(300) == pytest.approx(2 * ground.scale(200))


def test_a_missing_list_is_one_sentence(tmp_path) -> None:
    with pytest.raises(Failure, match=r"train\.txt: cannot be read"):
        backgrounds(tmp_path, "train")


def test_a_broken_picture_is_named(data) -> None:
    broken = data / "facade_spb_cc0" / "images" / "f_train0.jpg"
    broken.write_bytes(b"no picture")
    first = next(b for b in backgrounds(data, "train") if b.path == broken)
    with pytest.raises(Failure, match=r"f_train0\.jpg: is no picture"):
        load(first, np.random.default_rng(1))


def test_written_sets_read_as_yolo(data, tmp_path) -> None:
    out = tmp_path / "out"
    for folder in ("images", "labels", "ignore"):
        (out / folder).mkdir(parents=True)
    rows = [pictures.write(scene.make, "wire", out, data, "val", 5, k) for k in range(3)]
    pictures.write_lists(out, "val", rows)
    names = load_taxonomy().names
    assert names[12] == "flying_wire"
    assert "12: flying_wire" in (out / "data.yaml").read_text()
    assert len((out / "val.txt").read_text().split()) == 3
    for name, *_ in rows:
        assert cv2.imread(str(out / "images" / f"{name}.jpg")) is not None
        for line in (out / "labels" / f"{name}.txt").read_text().splitlines():
            number, *shares = line.split()
            assert int(number) < len(names)
            assert all(0 <= float(s) <= 1 for s in shares)


def test_held_out_pictures_and_added_labels_are_respected(data) -> None:
    (data / "overhead_held_out.csv").write_text("set,picture,split\ncn_garbage_bins,c_train0.jpg,train\n")
    (data / "boxes_added.csv").write_text(
        "set,picture,split,class,x,y,w,h\ncn_garbage_bins,c_train1.jpg,train,stall,0.8,0.5,0.3,0.4\n"
    )
    (data / "ignore_added.csv").write_text(
        "set,picture,split,class,x,y,w,h\ncn_garbage_bins,c_train1.jpg,train,stall,0.1,0.1,0.15,0.15\n"
    )
    found = {b.name: b for b in backgrounds(data, "train")}
    assert "cn_garbage_bins/c_train0" not in found
    assert "cn_garbage_bins/c_val0" in {b.name for b in backgrounds(data, "val")}
    views = [load(found["cn_garbage_bins/c_train1"], np.random.default_rng(k)) for k in range(20)]
    assert any("stall" in [label for label, _ in v.labels] for v in views)
    assert any("stall" in [label for label, _ in v.doubtful] for v in views)


def test_marked_windows_are_sources(data, monkeypatch) -> None:
    (data / "sources.csv").write_text("picture,x,y\ncn_garbage_bins/c_train1,0.6,0.2\n")
    monkeypatch.setattr(backgrounds_module, "SOURCES", data / "sources.csv")
    found = {b.name: b for b in backgrounds(data, "train")}
    view = load(found["cn_garbage_bins/c_train1"], np.random.default_rng(0))
    assert len(view.sources) <= 1
    whole = [load(found["cn_garbage_bins/c_train1"], np.random.default_rng(k)) for k in range(12)]
    assert any(v.sources for v in whole)
    assert not load(found["cn_garbage_bins/c_train2"], np.random.default_rng(0)).sources
