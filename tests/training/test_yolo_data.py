"""Data sets in YOLO layout, as people hand them in."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from training.yolo_data import (
    check_labels_exist,
    label_path_of,
    read_boxes,
    read_data_set,
    read_ignored,
    xyxy_px,
)


def a_set(root: Path, *, val: str = "val.txt", names: str = "[bin, stall]", path: str = ".") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "labels").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.PNG", "notes.md"):
        (root / "images" / name).touch()
    (root / "val.txt").write_text("./images/a.jpg\n\n./images/b.PNG\n")
    (root / "data.yaml").write_text(f"path: {path}\nval: {val}\nnames: {names}\n")
    return root / "data.yaml"


@pytest.mark.parametrize("val", ["val.txt", "images", "[images]", "[val.txt]", "../images"])
@pytest.mark.parametrize("names", ["[bin, stall]", "{0: bin, 1: stall}", "{1: stall, 0: bin}"])
def test_lists_folders_and_both_forms_of_names(tmp_path: Path, val: str, names: str) -> None:
    data = read_data_set(a_set(tmp_path, val=val, names=names))
    assert data.names == ("bin", "stall")
    assert [picture.name for picture in data.pictures] == ["a.jpg", "b.PNG"]


def test_path_is_relative_to_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_set(tmp_path / "inner")
    yaml_path = tmp_path / "data.yaml"
    yaml_path.write_text("path: inner\nval: images\nnames: [bin]\n")
    monkeypatch.chdir("/")
    assert read_data_set(yaml_path).pictures[0] == (tmp_path / "inner/images/a.jpg").resolve()


def test_path_may_be_left_out(tmp_path: Path) -> None:
    yaml_path = a_set(tmp_path)
    yaml_path.write_text("val: val.txt\nnames: [bin]\n")
    assert len(read_data_set(yaml_path).pictures) == 2


BOMB = "".join(f"{name}: &{name} [{','.join([f'*{inner}'] * 9)}]\n" for inner, name in pairwise("abcdefghi"))
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + BOMB
"""Lists in lists, nine times nine deep: a few lines that as text are gigabytes."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "wanted keys such as names and val"),
        ("a: [", "is no YAML"),
        ("names: [bin]", "no split 'val'"),
        ("val: nowhere\nnames: [bin]", "neither a folder nor a list"),
        ("val: empty.txt\nnames: [bin]", "lists no picture"),
        ("val: val.txt", "wanted names"),
        ("val: val.txt\nnames: {0: bin, 2: stall}", "keys of names must be 0 to 1"),
        ("val: val.txt\nnames: {0: bin, b: stall}", "keys of names must be 0 to 1"),
        (BOMB + "val: val.txt\nnames: *i", "wanted names"),
        (BOMB + "val: [*i]\nnames: [bin]", "wanted path and val as texts"),
        (BOMB + "val: val.txt\npath: *i\nnames: [bin]", "wanted path and val as texts"),
    ],
)
def test_a_yaml_that_makes_no_sense(tmp_path: Path, text: str, said: str) -> None:
    yaml_path = a_set(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    yaml_path.write_text(text)
    with pytest.raises(WrongUse, match=said):
        read_data_set(yaml_path)


def test_a_missing_yaml_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        read_data_set(tmp_path / "data.yaml")


def test_a_set_without_any_label_file_is_refused(tmp_path: Path) -> None:
    data = read_data_set(a_set(tmp_path))
    with pytest.raises(WrongUse, match="no label file found"):
        check_labels_exist(data)


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("set/images/a.jpg", "set/labels/a.txt"),
        ("images/images/sub/a.b.png", "images/labels/sub/a.b.txt"),
        ("flat/a.jpg", "flat/a.txt"),
    ],
)
def test_where_labels_are(picture: str, label: str) -> None:
    assert label_path_of(Path(picture)) == Path(label)


def boxes_of(tmp_path: Path, text: str | None) -> np.ndarray:
    a_set(tmp_path)
    if text is not None:
        (tmp_path / "labels" / "a.txt").write_text(text)
    return read_boxes(tmp_path / "images" / "a.jpg", classes=2)


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_no_boxes(tmp_path: Path, text: str | None) -> None:
    assert boxes_of(tmp_path, text).shape == (0, 5)


def test_boxes_and_polygons(tmp_path: Path) -> None:
    text = "1 0.5 0.5 0.2 0.4\n0 0.1 0.2 0.3 0.2 0.3 0.6\n1 0.5 0.5 0 0.1\n"
    assert boxes_of(tmp_path, text) == pytest.approx(
        np.array([[1, 0.5, 0.5, 0.2, 0.4], [0, 0.2, 0.4, 0.2, 0.4]])
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 nan 0.1 0.1", "not finite"),
        ("0 inf 0.5 0.1 0.1", "not finite"),
        ("2 0.5 0.5 0.1 0.1", "class 2 is not one of 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5"),
        ("0 0.5 0.5 0.1", "got 4 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "got 6 numbers"),
        ("0 50 50 10 10", "wanted fractions"),
        ("bin 0.5 0.5 0.1 0.1", "wanted numbers"),
    ],
)
def test_a_bad_line_says_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(Failure, match=rf"a\.txt:2: .*{said}"):
        boxes_of(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n")


def test_a_binary_label_file_is_one_sentence(tmp_path: Path) -> None:
    a_set(tmp_path)
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match="cannot be read"):
        read_boxes(tmp_path / "images" / "a.jpg", classes=2)


def test_pixels() -> None:
    box = np.array([[0.5, 0.25, 0.2, 0.5]])
    assert xyxy_px(box, 100, 200).tolist() == [[40, 0, 60, 100]]


def test_ignored_regions_are_beside_the_labels_and_may_be_of_every_class(tmp_path: Path) -> None:
    a_set(tmp_path)
    picture = tmp_path / "images" / "a.jpg"
    assert read_ignored(picture, classes=2).shape == (0, 5)
    (tmp_path / "ignore").mkdir()
    (tmp_path / "ignore" / "a.txt").write_text("-1 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n")
    assert read_ignored(picture, classes=2)[:, 0].tolist() == [-1, 1]
    (tmp_path / "ignore" / "a.txt").write_text("-2 0.5 0.5 0.1 0.1\n")
    with pytest.raises(Failure, match=r"ignore/a\.txt:1: class -2 is not one of -1 to 1"):
        read_ignored(picture, classes=2)
