"""What a run was trained on is counted from its own lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.errors import Failure
from training.taught import taught

NAMES = ("bin", "bus", "car")


def a_run(folder: Path, labels: dict[str, str], listed: list[str]) -> Path:
    for name, text in labels.items():
        path = folder / "labels" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "train.txt").write_text("".join(f"./images/{name}.jpg\n" for name in listed))
    return folder


def test_boxes_and_pictures_are_counted_once_and_ignored_regions_not_at_all(tmp_path: Path) -> None:
    box = "0.5 0.5 0.2 0.2\n"
    labels = {
        "street/a": f"0 {box}0 {box}2 {box}",
        "street/b": f"0 {box}3 {box}6 {box}",
        "wires/c": f"2 {box}2 0.5 0.5 0 0.2\n",
        "street/unlisted": f"1 {box}",
    }
    run = a_run(tmp_path, labels, ["street/a", "street/a", "street/b", "wires/c", "street/no-label"])
    assert taught(run, NAMES, ["wires"]) == {
        "bin": {"real": {"boxes": 3, "pictures": 2}},
        "car": {"real": {"boxes": 1, "pictures": 1}, "rendered": {"boxes": 1, "pictures": 1}},
    }


def test_a_run_without_its_list_teaches_nothing(tmp_path: Path) -> None:
    assert taught(tmp_path, NAMES, []) == {}


def test_a_label_at_fault_is_named(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"street/a": "7 0.5 0.5 0.2 0.2\n"}, ["street/a"])
    with pytest.raises(Failure, match=r"labels/street/a\.txt:1: class 7 is not one of 0 to 6"):
        taught(run, NAMES, [])
