"""Faults of a set on disk: each is found, named with file and line, and nothing is found in a sound set."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.errors import WrongUse
from tests.training.dataset.sets import a_picture, a_set
from training.dataset.check import check, tally


def found(folder: Path) -> dict[str, tuple[str, str]]:
    """Kind to where and what, of a set that has one fault of each kind at most."""
    faults = check(folder)
    assert len(faults) == len({fault.kind for fault in faults}), faults
    return {fault.kind: (fault.where, f"{fault.level}: {fault.what}") for fault in faults}


def test_nothing_is_found_in_a_sound_set(tmp_path):
    assert check(a_set(tmp_path)) == ()


LINES = [
    ("0 nan 0.5 0.5 0.5", "a number is not finite"),
    ("0 0.5 inf 0.5 0.5", "a number is not finite"),
    ("0 5e9 0.5 0.5 0.5", "wanted fractions of width and height"),
    ("99 0.5 0.5 0.5 0.5", "class 99 is not one of 0 to 1"),
    ("5e9 0.5 0.5 0.5 0.5", "is not one of 0 to 1"),
    ("-1 0.5 0.5 0.5 0.5", "class -1 is not one of 0 to 1"),
    ("bin 0.5 0.5 0.5 0.5", "wanted numbers"),
    ("0 0.5 0.5", "got 3 numbers"),
    ("0 1.5 0.5 0.5 0.5", "wanted fractions of width and height"),
]


@pytest.mark.parametrize(("line", "said"), LINES)
def test_a_line_at_fault_is_an_error_with_its_number(line, said, tmp_path):
    folder = a_set(tmp_path)
    (folder / "labels" / "3.txt").write_text(f"0 0.5 0.5 0.5 0.5\n{line}\n")
    where, what = found(folder)["label-bad"]
    assert where == "labels/3.txt:2"
    assert what.startswith("error: ")
    assert said in what


ODD = [
    ("0 0.5 0.5 0.03 0.9", "box-tiny", "warning: bin 1.9x43.2 px is under 3 px"),
    ("0 0.5 0.5 0 0.9", "box-empty", "has no area"),
    ("0 0.9 0.5 0.5 0.5", "box-out", "reaches 15% of the picture out of the frame"),
    ("1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.49", "box-twice", "stall is labelled before, on line 1"),
    ("1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.49", "box-contradiction", "is bin here and stall on line 1"),
]


@pytest.mark.parametrize(("lines", "kind", "said"), ODD)
def test_odd_boxes_are_warnings(lines, kind, said, tmp_path):
    folder = a_set(tmp_path)
    (folder / "labels" / "3.txt").write_text(f"{lines}\n")
    faults = found(folder)
    assert set(faults) == {kind}
    assert faults[kind][0] == f"labels/3.txt:{len(lines.splitlines())}"
    assert said in faults[kind][1]
    assert faults[kind][1].startswith("warning: ")


def test_a_box_as_long_as_a_wire(tmp_path):
    folder = a_set(tmp_path)
    a_picture(folder / "images" / "3.png", 3, size=(640, 480))
    (folder / "labels" / "3.txt").write_text("0 0.5 0.5 0.9 0.01\n")
    assert "120 times" in found(folder)["box-long"][1] or "more than 30 times" in found(folder)["box-long"][1]


def test_ignored_regions_may_be_of_every_class_but_not_of_none(tmp_path):
    folder = a_set(tmp_path)
    (folder / "ignore").mkdir()
    (folder / "ignore" / "3.txt").write_text("-1 0.5 0.5 0.5 0.5\n-2 0.5 0.5 0.5 0.5\n")
    assert found(folder) == {"label-bad": ("ignore/3.txt:2", "error: class -2 is not one of -1 to 1.")}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "is a PNG picture that is cut short or damaged"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"<html>"), "is not a picture that can be read"),
    ],
)
def test_broken_pictures(spoil, said, tmp_path):
    folder = a_set(tmp_path)
    spoil(folder / "images" / "1.png")
    where, what = found(folder)["picture-broken"]
    assert where == "images/1.png"
    assert said in what


def test_a_jpeg_that_is_cut_short_is_broken(tmp_path):
    folder = a_set(tmp_path)
    a_picture(folder / "images" / "9.jpg", 9, size=(320, 240))
    (folder / "labels" / "9.txt").write_text("")
    (folder / "train.txt").write_text("./images/9.jpg\n")
    assert "picture-broken" not in tally(check(folder))
    data = (folder / "images" / "9.jpg").read_bytes()
    (folder / "images" / "9.jpg").write_bytes(data[: len(data) // 2])
    assert tally(check(folder))["picture-broken"] == 1


def test_a_label_whose_picture_is_gone(tmp_path):
    folder = a_set(tmp_path)
    (folder / "images" / "1.png").unlink()
    faults = check(folder)
    assert [(fault.kind, fault.where) for fault in faults] == [
        ("picture-missing", "images/1.png"),
        ("picture-missing", "labels/1.txt"),
    ]


def test_a_picture_that_no_list_names(tmp_path):
    folder = a_set(tmp_path)
    (folder / "train.txt").write_text("./images/0.png\n./images/1.png\n./images/2.png\n")
    assert found(folder)["not-listed"][0] == "labels/3.txt"


def test_pictures_without_labels_are_told_once(tmp_path):
    folder = a_set(tmp_path)
    for number in (0, 1):
        (folder / "labels" / f"{number}.txt").unlink()
    assert "2 pictures have no label file" in found(folder)["label-missing"][1]


@pytest.mark.parametrize(("split", "level"), [("val", "error"), ("train", "warning")])
def test_an_empty_list(split, level, tmp_path):
    folder = a_set(tmp_path)
    (folder / f"{split}.txt").write_text("\n")
    shutil.rmtree(folder / "labels")
    faults = {fault.kind: fault for fault in check(folder)}
    assert faults[f"{split}-empty"].level == level


def test_a_list_that_is_missing(tmp_path):
    folder = a_set(tmp_path)
    (folder / "val.txt").unlink()
    shutil.rmtree(folder / "labels")
    assert "val.txt is neither a folder nor a list" in found(folder)["list-missing"][1]


@pytest.mark.parametrize(
    ("train", "val", "level"),
    [("0 0 1", "4 5", "warning"), ("0 1 2 3", "4 4 5", "error"), ("0 1 2 4", "4 5", "error")],
)
def test_a_picture_listed_twice(train, val, level, tmp_path):
    folder = a_set(tmp_path)
    for split, numbers in (("train", train), ("val", val)):
        (folder / f"{split}.txt").write_text("".join(f"./images/{n}.png\n" for n in numbers.split()))
    (fault,) = (fault for fault in check(folder) if fault.kind == "listed-twice")
    assert fault.level == level


def test_near_duplicates_on_two_lists(tmp_path):
    folder = a_set(tmp_path)
    image = cv2.imread(str(folder / "images" / "1.png"))
    cv2.imwrite(str(folder / "images" / "5.png"), np.clip(image * 0.9 + 5, 0, 255).astype(np.uint8))
    where, what = found(folder)["near-duplicate"]
    assert where == "images/5.png"
    assert "on val looks like images/1.png on train" in what


def test_a_scene_on_two_lists(tmp_path):
    folder = a_set(tmp_path)
    rows = (f'{{"picture": "images/{n}.png", "size_px": [64, 48], "scene": "yard"}}\n' for n in (1, 5))
    (folder / "samples.jsonl").write_text("".join(rows))
    assert "scene 'yard' is on train and val" in found(folder)["scene-straddles"][1]


def test_two_pictures_with_one_label_file(tmp_path):
    folder = a_set(tmp_path)
    a_picture(folder / "images" / "1.jpg", 77)
    (folder / "train.txt").write_text(
        "".join(f"./images/{n}\n" for n in ("0.png", "1.png", "1.jpg", "2.png", "3.png"))
    )
    assert found(folder)["label-shared"][0] == "labels/1.txt"


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ("", "licence-missing"),
        ('name = "a"\n', "licence-missing"),
        ('name = "a"\nlicence = "CC0"\n[[source]]\nfolder = "f"\ntitle = "t"\n', "licence-missing"),
        ('name = "a"\nlicence = "CC0"\ncolor = 1\n', "manifest-bad"),
    ],
)
def test_a_manifest_without_licence(manifest, kind, tmp_path):
    assert list(found(a_set(tmp_path, manifest=manifest))) == [kind]


@pytest.mark.parametrize(
    ("card", "faults"), [("# A set\n", {"licence-missing": 1}), ("Licence: CC0-1.0\n", {})]
)
def test_a_card_without_licence(card, faults, tmp_path):
    folder = a_set(tmp_path)
    (folder / "card.md").write_text(card)
    assert tally(check(folder)) == faults


def test_a_folder_that_is_no_set(tmp_path):
    with pytest.raises(WrongUse, match=r"data.yaml: cannot be read"):
        check(tmp_path)


@given(text=st.text(max_size=60) | st.from_regex(r"[0-9.e+ -]{1,40}", fullmatch=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_label_file_holds_is_judged_and_never_a_crash(text, tmp_path):
    folder = tmp_path / "set"
    if not folder.exists():
        a_set(folder)
    (folder / "labels" / "3.txt").write_text(text, encoding="utf-8")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for fault in check(folder):
        name, _, number = fault.where.partition(":")
        assert name == "labels/3.txt"
        assert int(number) in lines
