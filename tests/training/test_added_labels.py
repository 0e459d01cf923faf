"""What this project labelled by eye: datasets/street-2/*.csv and datasets/clips/*.toml."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from ingest.config import load_site
from training.evaluation.events import read_truth
from training.importers.street import translate
from training.labels import load_taxonomy
from training.yolo_data import list_pictures, read_boxes, read_names

ROOT = Path(__file__).resolve().parents[2]
SETS = ROOT.parent / "shared" / "data"
FOLDER = ROOT / "datasets" / "street-2"
CLIPS = sorted((ROOT / "datasets" / "clips").glob("*.site.toml"))
TAXONOMY = load_taxonomy()
EVERY_CLASS = "*"

needs_pictures = pytest.mark.skipif(
    not SETS.is_dir(), reason="the labelled pictures beside the checkout are absent"
)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


BOXES = rows_of(FOLDER / "boxes_added.csv")
REGIONS = rows_of(FOLDER / "ignore_added.csv")
LINES = rows_of(FOLDER / "overhead_lines.csv")


def sides(row):
    x, y, w, h = (float(row[key]) for key in "xywh")
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def iou(one, other):
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, wide) * max(0.0, high)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize(
    ("rows", "classes"),
    [(BOXES, set(TAXONOMY.names)), (REGIONS, {*TAXONOMY.names, EVERY_CLASS})],
    ids=["boxes", "ignored regions"],
)
def test_rows_are_sound(rows, classes):
    assert rows
    for row in rows:
        assert row["class"] in classes, row
        assert row["split"] in {"train", "val"}, row
        left, top, right, bottom = sides(row)
        assert -1e-4 <= left < right <= 1 + 1e-4, row
        assert -1e-4 <= top < bottom <= 1 + 1e-4, row
        assert min(float(row["w"]), float(row["h"])) >= 0.01, row
    times = Counter(tuple(row.values()) for row in rows)
    assert max(times.values()) == 1, [row for row, count in times.items() if count > 1]


def test_what_street_1_added_is_still_there():
    kept = {tuple(row.values()) for row in BOXES}
    assert {tuple(row.values()) for row in rows_of(ROOT / "datasets/street-1/stalls_added.csv")} <= kept


def test_no_box_is_added_twice():
    for index, row in enumerate(BOXES):
        for other in BOXES[:index]:
            if all(row[key] == other[key] for key in ("set", "picture", "class")):
                assert iou(sides(row), sides(other)) < 0.9, (row, other)


def test_a_hundred_pictures_with_overhead_lines_each_once():
    assert len(LINES) >= 100
    assert len({(row["set"], row["picture"]) for row in LINES}) == len(LINES)
    assert all(row["what"] for row in LINES)


@pytest.mark.shared
@needs_pictures
@pytest.mark.parametrize("rows", [BOXES, REGIONS, LINES], ids=["boxes", "ignored regions", "overhead lines"])
def test_every_picture_is_on_the_list_it_says(rows):
    lists = {
        (name, split): {path.name for path in list_pictures(SETS / name / "data.yaml", split)}
        for name, split in {(row["set"], row["split"]) for row in rows}
    }
    strays = [row for row in rows if row["picture"] not in lists[row["set"], row["split"]]]
    assert strays == []


@pytest.mark.shared
@needs_pictures
def test_no_added_box_repeats_a_given_one():
    for row in BOXES:
        names = read_names(SETS / row["set"] / "data.yaml")
        indices = tuple(
            None if name is None else TAXONOMY.names.index(name)
            for name in TAXONOMY.mapping(names, row["set"])
        )
        given = translate(read_boxes(SETS / row["set"] / "images" / row["picture"], len(names)), indices)
        same = [box for box in given if TAXONOMY.names[int(box[0])] == row["class"]]
        for _, x, y, w, h in same:
            assert iou(sides(row), (x - w / 2, y - h / 2, x + w / 2, y + h / 2)) < 0.9, row


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.name.removesuffix(".site.toml")[:24])
def test_the_truth_of_a_clip_fits_its_site(path):
    site = load_site(path)
    truth = read_truth(path.with_name(path.name.removesuffix(".site.toml") + ".toml"))
    assert truth.site == path.name
    zones = {zone.id for camera in site.cameras for zone in camera.zones}
    wide, high = truth.size_px
    for event in truth.events:
        assert event.zone_id in zones
        assert 0 <= event.from_s < event.to_s <= truth.seconds
        for _, (left, top, right, bottom) in event.track:
            assert 0 <= left < right <= wide
            assert 0 <= top < bottom <= high


def test_each_clip_has_a_truth():
    assert len(CLIPS) == 6
