"""Val lists, looked at once through one model: what every figure of a card comes from. Needs no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detector.detector import Detector
from detector.errors import Failure
from detector.types import Image
from training.evaluate import SCORE_MIN, labels_of, read_picture
from training.labels import Taxonomy
from training.metrics import LabelledPicture
from training.yolo_data import DataSet, check_labels_exist, read_data_set

AT_WORK_MIN = 0.05
"""Boxes below it play no part at run time: the lowest threshold a class can get is higher."""
EVERY_CLASS, BEST_CLASS = "every_class", "best_class"
"""How a place of the network is read for average precision; see `detector.decode`."""


@dataclass(frozen=True, slots=True)
class ValList:
    """One val list, looked at.

    Args:
        folder: name of the set.
        carried: classes that the set labels.
        files: the pictures.
        pictures: every box with a score of at least SCORE_MIN: what average precision is measured on.
        at_work: the same pictures as a street is watched: one class a place, boxes of AT_WORK_MIN and more.
            Precision, recall, thresholds, calibration and confusion are measured on these.
        light: mean luminance of each picture, 0 to 255.
        decoding: how `pictures` were read: EVERY_CLASS or BEST_CLASS.
        contrast: of rendered pictures, what difference in grey levels each flying wire makes, in the order of
            their labels; see `training.scenes.wires`.
    """

    folder: str
    carried: frozenset[str]
    files: tuple[Path, ...]
    pictures: tuple[LabelledPicture, ...]
    at_work: tuple[LabelledPicture, ...]
    light: tuple[float, ...]
    decoding: str = BEST_CLASS
    contrast: tuple[tuple[float, ...], ...] = ()


def look_at_lists(
    detector: Detector,
    data_root: Path,
    sets: Iterable[str],
    taxonomy: Taxonomy,
    *,
    every_class: bool = False,
) -> tuple[ValList, ...]:
    """Run a model over the val list of every set that labels one of our classes.

    Args:
        detector: the model.
        data_root: folder of the sets, each with its data.yaml.
        sets: their folders, in the order of the report.
        taxonomy: the project's classes.
        every_class: measure average precision on a box per class and place, as ultralytics does.

    Raises:
        WrongUse: a set has no such list, or a class of it is unknown.
        Failure: a picture or a label file is broken.
    """
    found = []
    for name in sets:
        data = read_data_set(data_root / name / "data.yaml", "val")
        if any(taxonomy.mapping(data.names, name)):
            found.append(look_at_list(name, data, detector, taxonomy, every_class=every_class))
    return tuple(found)


def look_at_list(
    folder: str, data: DataSet, detector: Detector, taxonomy: Taxonomy, *, every_class: bool = False
) -> ValList:
    """Run a model over one list. Args and Raises as `look_at_lists`."""
    carried = taxonomy.mapping(data.names, str(data.yaml_path))
    check_labels_exist(data)
    contrast = contrasts_of(data)
    pictures, at_work, light = [], [], []
    for file in tqdm(data.pictures, desc=folder, unit="picture", leave=False, disable=None):
        image = read_picture(file)
        found = detector.detect(image, SCORE_MIN, every_class=every_class)
        pictures.append(labels_of(file, image, carried, taxonomy, found))
        if every_class:
            found = detector.detect(image, AT_WORK_MIN)
        at_work.append(labels_of(file, image, carried, taxonomy, found))
        light.append(luminance(image))
    classes = frozenset(name for name in carried if name)
    decoding = EVERY_CLASS if every_class else BEST_CLASS
    return ValList(
        folder, classes, data.pictures, tuple(pictures), tuple(at_work), tuple(light), decoding, contrast
    )


def contrasts_of(data: DataSet) -> tuple[tuple[float, ...], ...]:
    """Read what `training.scenes.wires` says of its flying wires; nothing for other sets, and for older ones.

    Raises:
        Failure: what it says is no number.
    """
    made = data.yaml_path.parent / "made.csv"
    if not made.is_file():
        return ()
    with made.open(encoding="utf-8", newline="") as file:
        rows = {row["picture"]: row.get("contrast") for row in csv.DictReader(file) if row.get("picture")}
    if not rows or any(rows.get(picture.stem) is None for picture in data.pictures):
        return ()
    try:
        return tuple(
            tuple(float(grey) for grey in (rows[picture.stem] or "").split()) for picture in data.pictures
        )
    except ValueError as error:
        raise Failure(
            f"{made}: the column contrast holds no numbers ({error}); make the set again."
        ) from error


def luminance(image: Image) -> float:
    """Give the mean luma of a BGR picture, 0 to 255.

    >>> luminance(np.full((2, 2, 3), 100, np.uint8))
    100.0

    Source: ITU-R BT.601.
    """
    return round(float(image.reshape(-1, 3).mean(axis=0) @ np.array([0.114, 0.587, 0.299])), 3)
