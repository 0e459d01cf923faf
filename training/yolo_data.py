"""Read a labelled data set in YOLO layout: data.yaml, a list or folder of pictures, their boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from detector.errors import Failure, WrongUse

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class DataSet:
    """One split of a data set.

    Args:
        yaml_path: the data.yaml it came from.
        names: class names, index to name.
        pictures: the split's pictures, in the order of its list.
    """

    yaml_path: Path
    names: tuple[str, ...]
    pictures: tuple[Path, ...]


def read_data_set(yaml_path: Path, split: str = "val") -> DataSet:
    """Read data.yaml and list the pictures of one split.

    `path` is relative to the yaml file; a split is a .txt list (entries relative to the list), a folder, or
    several.

    Raises:
        WrongUse: the file is no data.yaml, the split is not in it, its list or folder is missing, or it is
        empty.
    """
    document = _read_yaml(yaml_path)
    if not document.get(split):
        raise WrongUse(f"{yaml_path}: has no split {split!r}; name one of its own with --split.")
    pictures = list_pictures(yaml_path, split)
    if not pictures:
        raise WrongUse(f"{yaml_path}: split {split!r} lists no picture; there is nothing to measure.")
    return DataSet(yaml_path, _names_of(document, yaml_path), pictures)


def list_pictures(yaml_path: Path, split: str) -> tuple[Path, ...]:
    """Give the pictures of one split, in the order of its list; none where there is no such split.

    Raises:
        WrongUse: the file is no data.yaml, or a list or folder that it names is missing.
    """
    document = _read_yaml(yaml_path)
    path, entry = document.get("path") or ".", document.get(split) or []
    items = entry if isinstance(entry, list) else [entry]
    if not all(
        isinstance(item, str) for item in (path, *items)
    ):  # aliases nested in a bomb never end as text
        raise WrongUse(f"{yaml_path}: wanted path and {split} as texts, or {split} as a list of texts.")
    root = (yaml_path.parent / path).resolve()
    pictures: list[Path] = []
    for item in items:
        pictures += _pictures_of(root, item, yaml_path)
    return tuple(pictures)


def read_names(yaml_path: Path) -> tuple[str, ...]:
    """Give the class names of a data.yaml, index to name.

    Raises:
        WrongUse: the file is no data.yaml, or has no usable names.
    """
    return _names_of(_read_yaml(yaml_path), yaml_path)


def _read_yaml(yaml_path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(yaml_path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse(
            f"{yaml_path}: cannot be read ({error.strerror}); give the data.yaml of a data set."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WrongUse(f"{yaml_path}: is no YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(document, dict):
        raise WrongUse(f"{yaml_path}: wanted keys such as names and val, got a {type(document).__name__}.")
    return document


def _names_of(document: dict[str, Any], yaml_path: Path) -> tuple[str, ...]:
    names = document.get("names")
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise WrongUse(f"{yaml_path}: the keys of names must be 0 to {len(names) - 1}.")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or any(isinstance(name, list | dict) for name in names):
        raise WrongUse(f"{yaml_path}: wanted names as a list or a mapping from index to name.")
    return tuple(str(name) for name in names)


def _pictures_of(root: Path, item: str, yaml_path: Path) -> list[Path]:
    place = root / item
    if not place.exists() and item.startswith(
        "../"
    ):  # Roboflow writes ../valid/images and means valid/images
        place = root / item[3:]
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not place.is_file():
        raise WrongUse(f"{yaml_path}: {item} is neither a folder nor a list of pictures under {root}.")
    try:
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"{place}: the list of pictures cannot be read ({error}).") from error
    return [Path(line) if Path(line).is_absolute() else place.parent / line for line in lines if line]


def label_path_of(picture: Path) -> Path:
    """Give the label file of a picture: the last folder called `images` becomes `labels`.

    >>> str(label_path_of(Path("set/images/a/1.jpg")))
    'set/labels/a/1.txt'
    """
    return _beside(picture, "labels")


def ignore_path_of(picture: Path) -> Path:
    """Give the file of a picture's ignored regions: the last folder called `images` becomes `ignore`.

    >>> str(ignore_path_of(Path("set/images/a/1.jpg"))), str(ignore_path_of(Path("a/1.jpg")))
    ('set/ignore/a/1.txt', 'a/ignore/1.txt')
    """
    if "images" not in picture.parts[:-1]:
        return picture.parent / "ignore" / picture.with_suffix(".txt").name
    return _beside(picture, "ignore")


def _beside(picture: Path, folder: str) -> Path:
    parts = list(picture.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = folder
            break
    return Path(*parts).with_suffix(".txt")


def check_labels_exist(data: DataSet) -> None:
    """Make sure that at least one label file is there: without any, every figure would be zero.

    Raises:
        WrongUse: no picture of the split has a label file.
    """
    if not any(label_path_of(picture).is_file() for picture in data.pictures):
        folder = label_path_of(data.pictures[0]).parent
        raise WrongUse(f"{data.yaml_path}: no label file found; boxes are looked for in {folder}.")


def read_boxes(picture: Path, classes: int) -> npt.NDArray[np.float64]:
    """Read a picture's boxes: float64 (N, 5), class, then centre x, centre y, width, height as fractions.

    A missing or empty file means a picture without boxes. A line with more than five fields is a polygon; its
    bounding box is taken. Boxes without area are dropped.

    Raises:
        Failure: a line is not numbers, is not finite, leaves the picture, or its class is not below
        `classes`.
    """
    return _read_lines(label_path_of(picture), range(classes))


def read_ignored(picture: Path, classes: int) -> npt.NDArray[np.float64]:
    """Read a picture's ignored regions, as `read_boxes`; class -1 is one in which no class may be judged.

    Raises:
        Failure: as `read_boxes`.
    """
    return _read_lines(ignore_path_of(picture), range(-1, classes))


def _read_lines(path: Path, classes: range) -> npt.NDArray[np.float64]:
    if not path.is_file():
        return np.zeros((0, 5))
    rows = [parse_line(line, f"{path}:{number}", classes) for number, line in label_lines(path)]
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return boxes[(boxes[:, 3] > 0) & (boxes[:, 4] > 0)]


def label_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines of a label file that are not blank, with their numbers from 1.

    Raises:
        Failure: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: the label file cannot be read ({error}).") from error
    yield from ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def parse_line(line: str, where: str, classes: range) -> tuple[float, float, float, float, float]:
    """Read one line: class, then centre x, centre y, width, height as fractions.

    Args:
        line: as it stands in the file; more than five fields are a polygon, taken as its bounding box.
        where: file and line number, for the message.
        classes: the class numbers there are; from -1 in the files of ignored regions.

    Raises:
        Failure: not numbers, not finite, outside the picture, or no such class.
    """
    try:
        values = [float(field) for field in line.split()]
    except ValueError:
        raise Failure(f"{where}: wanted numbers, got {line.strip()[:60]!r}.") from None
    if len(values) < 5 or (len(values) > 5 and len(values) % 2 == 0):
        raise Failure(f"{where}: wanted class, x, y, width, height, got {len(values)} numbers.")
    if not all(math.isfinite(value) for value in values):
        raise Failure(f"{where}: a number is not finite; mend or remove the line.")
    if values[0] not in classes:
        raise Failure(f"{where}: class {values[0]:g} is not one of {classes[0]} to {classes[-1]}.")
    if any(value < -0.01 or value > 1.01 for value in values[1:]):
        raise Failure(f"{where}: wanted fractions of width and height in [0, 1], got {line.strip()[:60]!r}.")
    if len(values) == 5:
        return (values[0], values[1], values[2], values[3], values[4])
    x, y = values[1::2], values[2::2]
    return (values[0], (min(x) + max(x)) / 2, (min(y) + max(y)) / 2, max(x) - min(x), max(y) - min(y))


def xyxy_px(boxes: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    """Turn fractions (N, 4) centre x, centre y, width, height into pixels (N, 4) left, top, right, bottom."""
    half = boxes[:, 2:4] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners * np.array([width, height, width, height], dtype=np.float64)
