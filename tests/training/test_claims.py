"""Completed labels, false alarms on look-alikes, rendered val lists."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.backends.scripted import EVERY_OTHER, ScriptedBackend, scripted_spec
from detector.detector import Detector
from training.claims import (
    count_alarms,
    look_alike_files,
    only,
    read_look_alikes,
    score_completed,
    val_sets_of,
)
from training.evaluation.lists import ValList
from training.labels import load_taxonomy
from training.metrics import LabelledPicture

TAXONOMY = load_taxonomy()
STALL, CAR = TAXONOMY.names.index("stall"), TAXONOMY.names.index("car")
ONE, TWO, THREE = [0.0, 0, 40, 40], [50.0, 50, 90, 90], [0.0, 50, 40, 90]


def an_entry() -> ValList:
    """One stall labelled, three found, a car found where cars are not labelled."""
    picture = LabelledPicture(
        (100, 100),
        np.array([ONE]),
        np.array([STALL]),
        np.array([ONE, TWO, THREE, TWO]),
        np.array([0.9, 0.95, 0.93, 0.5]),
        np.array([STALL, STALL, STALL, CAR]),
    )
    return ValList("vendors", frozenset({"stall"}), (Path("a.jpg"),), (picture,), (picture,), (90.0,))


def test_added_boxes_and_ignored_regions_change_the_figure(tmp_path: Path) -> None:
    header = "set,picture,split,class,x,y,w,h\n"
    (tmp_path / "boxes.csv").write_text(
        f"{header}vendors,a.jpg,val,stall,0.7,0.7,0.4,0.4\nvendors,a.jpg,val,car,0.7,0.7,0.4,0.4\n"
        "vendors,b.jpg,train,stall,0.7,0.7,0.4,0.4\nother,a.jpg,val,stall,0.7,0.7,0.4,0.4\n"
    )
    (tmp_path / "ignore.csv").write_text(f"{header}vendors,a.jpg,val,stall,0.2,0.7,0.4,0.4\n")
    as_given = score_completed([an_entry()], TAXONOMY, tmp_path / "boxes.csv")["stall"]
    assert (as_given["added"], as_given["ignored"], as_given["n"]) == (1, 0, 2)
    assert as_given["ap50"] == pytest.approx(0.83, abs=0.01)  # the third box is still a false alarm
    done = score_completed([an_entry()], TAXONOMY, tmp_path / "boxes.csv", tmp_path / "ignore.csv")
    assert set(done) == {"stall"}  # cars are not labelled in that set
    assert done["stall"] == {"added": 1, "ignored": 1, "ap50": 1.0, "ap5095": 1.0, "n": 2}


def test_of_a_rendered_list_only_the_labelled_classes_count() -> None:
    entry = only(an_entry(), {"stall"}, TAXONOMY)
    assert entry.pictures[0].found_class.tolist() == [STALL] * 3
    assert only(an_entry(), {"car"}, TAXONOMY).pictures[0].truth_class.tolist() == []
    assert only(an_entry(), {"car"}, TAXONOMY).carried == {"car"}


def test_the_config_says_which_sets_are_real() -> None:
    sets = [
        {"folder": "bins"},
        {"folder": "wires", "rendered": True, "labelled": ["flying_wire"]},
        {"folder": "stalls", "rendered": True, "labelled": ["flying_wire", "stall"]},
    ]
    found = val_sets_of({"data": {"set": sets}}, Path("data"), Path("made/val"))
    assert found.folders == ("bins",)
    assert found.rendered == {"flying_wire", "stall"}
    assert found.scenes == Path("made/val")


def a_set(root: Path, names: dict[str, list[str]]) -> None:
    for split, pictures in names.items():
        for name in pictures:
            file = root / "bins" / "images" / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), np.full((60, 80, 3), 90, np.uint8))
        (root / "bins" / f"{split}.txt").write_text("".join(f"./images/{name}.png\n" for name in pictures))
    lists = "".join(f"{split}: {split}.txt\n" for split in names)
    (root / "bins" / "data.yaml").write_text(f"path: .\n{lists}names: [garbage_bin]\n")


def test_look_alikes_are_told_apart_by_split_and_counted_once(tmp_path: Path) -> None:
    a_set(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    listed = tmp_path / "overhead_lines.csv"
    listed.write_text(
        "set,picture,split,what\nbins,a.png,train,lines\nbins,a.png,train,cables\nbins,c.png,val,lines\n"
        "bins,gone.png,val,lines\n"
    )
    found = read_look_alikes(listed, tmp_path)
    assert [(part.split, [file.name for file in part.files]) for part in found] == [
        ("train", ["a.png"]),
        ("val", ["c.png"]),
    ]


def test_pictures_held_out_of_training_are_a_part_of_their_own(tmp_path: Path) -> None:
    a_set(tmp_path, {"train": ["a", "b"], "val": ["c"]})
    listed, held = tmp_path / "overhead_lines.csv", tmp_path / "held_out.csv"
    listed.write_text(
        "set,picture,split,what\nbins,a.png,train,lines\nbins,b.png,train,lines\nbins,c.png,val,lines\n"
    )
    held.write_text("set,picture,split\nbins,b.png,train\nbins,c.png,val\n")
    sets = [{"folder": "bins"}]

    def names(data: dict[str, object]) -> dict[str, list[str]]:
        config = {"data": {"set": sets, **data}}
        found = look_alike_files(config, listed, val_sets_of(config, tmp_path, None))
        return {part: [file.name for file in files] for part, files in found.items()}

    assert names({"held_out": str(held)}) == {
        "overhead lines, held out": ["b.png", "c.png"],
        "overhead lines, learnt from": ["a.png"],
        "every real val picture": ["c.png"],
    }
    assert names({}) == {
        "overhead lines, train": ["a.png", "b.png"],
        "overhead lines, val": ["c.png"],
        "every real val picture": ["c.png"],
    }


def test_alarms_are_boxes_at_the_threshold_and_the_pictures_that_have_one(tmp_path: Path) -> None:
    a_set(tmp_path, {"val": ["a", "b", "c"]})
    spec = scripted_spec(["flying_wire", "car"])
    wire, faint, car = ("flying_wire", 0.9, ONE), ("flying_wire", 0.1, ONE), ("car", 0.9, ONE)
    script = {0: [wire, ("flying_wire", 0.8, TWO), car], 1: [faint], EVERY_OTHER: [car]}
    with Detector(spec, ScriptedBackend(spec, script=script, source_wh=(80, 60))) as detector:
        counted = count_alarms(detector, sorted((tmp_path / "bins/images").glob("*.png")), {"flying_wire"})
    assert counted == {"pictures": 3, "classes": {"flying_wire": {"boxes": 2, "pictures": 1}}}
