"""Val lists through a detector that is told what to see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from detector.types import Detections
from training.evaluate import SCORE_MIN
from training.evaluation.lists import AT_WORK_MIN, BEST_CLASS, EVERY_CLASS, look_at_lists


class TwoSided:
    """Says bin, and where a place may be two things, stall as well."""

    def __init__(self):
        self.asked = []

    def detect(self, image, score_min=None, *, every_class=False):
        self.asked.append((score_min, every_class))
        count = 2 if every_class else 1
        box = np.tile([10.0, 10, 50, 50], (count, 1))
        return Detections(box, np.array([0.9, 0.4][:count]), np.arange(count), ("bin", "stall"))


def a_set(root: Path, names: str) -> None:
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for number, level in enumerate((20, 200)):
        cv2.imwrite(str(root / f"images/{number}.png"), np.full((100, 100, 3), level, np.uint8))
        (root / f"labels/{number}.txt").write_text("0 0.3 0.3 0.4 0.4\n")
    (root / "data.yaml").write_text(f"val: images\nnames: {names}\n")


def test_a_list_is_looked_at_for_ranking_and_as_at_work(tmp_path, taxonomy):
    a_set(tmp_path / "one", "[garbage_bin, thela]")
    a_set(tmp_path / "two", "[pothole]")  # nothing of ours: left out
    detector = TwoSided()
    (entry,) = look_at_lists(detector, tmp_path, ["one", "two"], taxonomy, every_class=True)
    assert (entry.folder, entry.decoding) == ("one", EVERY_CLASS)
    assert entry.carried == {"bin", "stall"}
    assert entry.light == (20.0, 200.0)
    assert [len(picture.found_score) for picture in entry.pictures] == [2, 2]
    assert [len(picture.found_score) for picture in entry.at_work] == [1, 1]
    assert detector.asked == [(SCORE_MIN, True), (AT_WORK_MIN, False)] * 2


def test_one_class_a_place_is_looked_at_once(tmp_path, taxonomy):
    a_set(tmp_path / "one", "[garbage_bin, thela]")
    detector = TwoSided()
    (entry,) = look_at_lists(detector, tmp_path, ["one"], taxonomy)
    assert entry.decoding == BEST_CLASS
    assert detector.asked == [(SCORE_MIN, False)] * 2
    assert [len(picture.found_score) for picture in entry.at_work] == [1, 1]


def test_a_set_that_is_not_there_is_one_sentence(tmp_path, taxonomy):
    with pytest.raises(WrongUse, match="cannot be read"):
        look_at_lists(TwoSided(), tmp_path, ["none"], taxonomy)


def test_how_faint_rendered_wires_are_comes_with_their_set(tmp_path, taxonomy):
    a_set(tmp_path / "one", "[garbage_bin, thela]")
    made = tmp_path / "one/made.csv"
    assert look_at_lists(TwoSided(), tmp_path, ["one"], taxonomy)[0].contrast == ()
    made.write_text("picture,kind\n0,wire\n1,bike\n")  # as it was written before
    assert look_at_lists(TwoSided(), tmp_path, ["one"], taxonomy)[0].contrast == ()
    made.write_text("picture,kind,contrast\n0,wire,8.5 31.0\n1,bike,\n")
    assert look_at_lists(TwoSided(), tmp_path, ["one"], taxonomy)[0].contrast == ((8.5, 31.0), ())
    made.write_text("picture,kind,contrast\n0,wire,much\n1,bike,\n")
    with pytest.raises(Failure, match=r"made\.csv: the column contrast holds no numbers"):
        look_at_lists(TwoSided(), tmp_path, ["one"], taxonomy)
