"""Numbers, page and contact sheet of a set."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from detector.errors import WrongUse
from tests.training.dataset.sets import a_picture
from training.dataset.check import Fault
from training.dataset.report import bars, html_report
from training.dataset.show import TILE_PX, bgr, choose, class_colours, contact_sheet
from training.dataset.stats import stats_of, table
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample
from training.labels import load_taxonomy


@pytest.fixture
def samples(tmp_path) -> list[Sample]:
    def box(label, xyxy, **more):
        return LabelledBox(label, xyxy, **more)

    return [
        Sample(
            a_picture(tmp_path / "a.png", 1, size=(400, 200)),
            (400, 200),
            (
                box("bin", (0, 0, 31, 31)),
                box("bin", (0, 0, 50, 50), origin="added"),
                box("car", (100, 100, 300, 200), origin="completed", score=0.7),
                box(EVERY_CLASS, (300, 0, 400, 100), ignore=True),
            ),
            "train",
            "yard",
            frozenset({"person"}),
            "cams",
        ),
        Sample(
            a_picture(tmp_path / "b.png", 2, size=(200, 400)), (200, 400), (), "val", "yard", source="cams"
        ),
    ]


def test_everything_is_counted_once(samples):
    stats = stats_of(samples, ("bin", "car", "person"))
    assert (stats.pictures, stats.boxes, stats.scenes) == (2, 3, 1)
    assert stats.pictures_by_source == {"cams": {"train": 1, "val": 1}}
    assert stats.boxes_by_origin == {"given": 1, "added": 1, "completed": 1}
    assert stats.ignored == {EVERY_CLASS: 1}
    bins = stats.classes["bin"]
    assert (bins.boxes, bins.pictures, bins.by_split) == (2, 1, {"train": 2})
    assert bins.by_size == {"small": 1, "medium": 1}
    assert stats.classes["car"].by_size == {"large": 1}
    assert stats.classes["person"].unlabelled == 1
    assert sum(stats.side_px.values()) == sum(stats.aspect.values()) == 3
    assert stats.boxes_per_picture["0"] == 1
    assert stats.boxes_per_picture["3 to 5"] == 1
    assert json.loads(json.dumps(stats.as_json()))["classes"]["bin"]["boxes"] == 2
    assert "bin" in table(stats)


def test_the_page_holds_every_number_and_escapes_names(samples):
    fault = Fault("error", "label-bad", "labels/<b>.txt:1", "class 99 is not one of 0 to 2")
    page = html_report("a <set>", stats_of(samples, ("bin", "car")), [fault], class_colours(), "sheet.jpg")
    assert "<b>.txt" not in page
    assert "a &lt;set&gt;" in page
    assert "class 99 is not one of 0 to 2" in page
    assert 'src="sheet.jpg"' in page
    assert "<script" not in page


def test_bars_are_as_long_as_their_counts():
    rects = [
        rect
        for rect in ET.fromstring(bars({"a": 10, "b": 5, "c": 0}, {"a": "#ff0000"}))
        if rect.tag == "rect"
    ]
    widths = [float(rect.get("width", "")) for rect in rects]
    assert widths[1] == pytest.approx(widths[0] / 2)
    assert widths[2] == 0
    assert rects[0].get("fill") == "#ff0000"


def test_a_class_of_the_taxonomy_has_its_own_colour():
    colours = class_colours()
    assert set(colours) == set(load_taxonomy().names)
    assert len(set(colours.values())) == len(colours)


def test_boxes_are_drawn_in_the_colour_of_their_class(samples):
    colours = {"bin": "#ff0000", "car": "#00ff00"}
    sheet = contact_sheet(samples, colours, columns=2)
    assert sheet.shape[1] > 2 * TILE_PX
    scale, gap = TILE_PX / 400, 6
    at_car = sheet[round(150 * scale) + gap, round(100 * scale) + gap]
    assert np.abs(at_car.astype(int) - bgr("#00ff00")).max() < 60
    hatched = sheet[gap + 20 : gap + 80, gap + round(310 * scale) : gap + round(390 * scale)].reshape(-1, 3)
    assert (np.abs(hatched.astype(int) - 160).max(axis=1) < 8).sum() > 100


def test_the_same_seed_draws_the_same_pictures(samples):
    many = [
        Sample(Path(f"{n}.png"), (9, 9), (LabelledBox("bin", (0, 0, 5, 5)),) * (n % 2)) for n in range(40)
    ]
    assert choose(many, 5, 3) == choose(list(reversed(many)), 5, 3)
    assert choose(many, 5, 3) != choose(many, 5, 4)
    assert all(sample.boxes for sample in choose(many, 99, 1, label="bin"))
    assert choose(samples, 9, 1, split="val") == (samples[1],)


def test_nothing_to_show_is_told(samples):
    with pytest.raises(WrongUse, match="no picture with bus on val to show"):
        choose(samples, 5, 1, "bus", "val")
