"""Measure a published model on a labelled data set: detector -> boxes -> pycocotools. Needs no torch.

Everything is measured on the boxes that a street would get: one per place of the network. With `every_class`
average precision is measured the way ultralytics' figures are, a place giving a box per class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from detector.errors import Failure, WrongUse
from detector.pictures import read_image
from detector.types import Detections, Image
from training.labels import Taxonomy
from training.metrics import EVERY_CLASS, ClassScore, LabelledPicture, score_classes
from training.yolo_data import DataSet, check_labels_exist, read_boxes, read_ignored, xyxy_px

SCORE_MIN = 0.001
"""Boxes below it are not asked for: average precision wants the long tail, not all of it."""

Detect = Callable[[Image], Detections]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `kerbwatch evaluate` found.

    Args:
        model: name@version.
        dataset: the data.yaml.
        images: pictures looked at.
        classes: class name to its score, in the order of datasets/classes.toml.
        at_work: the same from the boxes as at run time.
        score_min: operating threshold per class, for precision and recall.
    """

    model: str
    dataset: str
    images: int
    classes: Mapping[str, ClassScore]
    at_work: Mapping[str, ClassScore]
    score_min: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Give the object that `--json` prints."""
        rows = {name: self._row(name, score) for name, score in self.classes.items()}
        return {
            "model": self.model,
            "dataset": self.dataset,
            "images": self.images,
            "classes": rows,
            "map50": _mean(row["ap50"] for row in rows.values()),
            "map5095": _mean(row["ap5095"] for row in rows.values()),
        }

    def _row(self, name: str, score: ClassScore) -> dict[str, Any]:
        precision, recall = self.at_work[name].precision_recall(self.score_min.get(name, 0.0))
        return {
            "ap50": round(score.ap50, 6),
            "ap5095": round(score.ap5095, 6),
            "precision": round(precision, 6),
            "recall": round(recall, 6),
            "n": score.n,
        }


def evaluate(
    data: DataSet,
    taxonomy: Taxonomy,
    detect: Detect,
    model: str,
    score_min: Mapping[str, float],
    at_work: Detect | None = None,
) -> Evaluation:
    """Run `detect` over the data set and score the classes that the set carries.

    Args:
        data: pictures with labels.
        taxonomy: maps the set's and the model's class names onto the project's.
        detect: picture -> every box with a score of at least SCORE_MIN.
        model: name@version, for the report.
        score_min: operating threshold per class.
        at_work: picture -> its boxes as at run time, for precision and recall; None takes those of `detect`.

    Raises:
        WrongUse: a class name is unknown, all are ignored, or no label file is there.
        Failure: a picture or a label file is broken, or no labelled box is left.
    """
    carried = carried_of(data, taxonomy)
    check_labels_exist(data)
    ranked, working = [], []
    for picture in tqdm(data.pictures, desc="evaluate", unit="picture", leave=False, disable=None):
        image = read_picture(picture)
        ranked.append(labels_of(picture, image, carried, taxonomy, detect(image)))
        if at_work:
            working.append(labels_of(picture, image, carried, taxonomy, at_work(image)))
    return score(data, taxonomy, ranked, working or ranked, model, score_min)


def carried_of(data: DataSet, taxonomy: Taxonomy) -> tuple[str | None, ...]:
    """Give the class of ours that each class of the set means.

    Raises:
        WrongUse: one is unknown, or none is used.
    """
    carried = taxonomy.mapping(data.names, str(data.yaml_path))
    if not any(carried):
        raise WrongUse(
            f"{data.yaml_path}: every class of it is ignored in datasets/classes.toml; nothing to score."
        )
    return carried


def score(
    data: DataSet,
    taxonomy: Taxonomy,
    pictures: Sequence[LabelledPicture],
    at_work: Sequence[LabelledPicture],
    model: str,
    score_min: Mapping[str, float],
) -> Evaluation:
    """Score pictures that were looked at; Args and Raises as `evaluate`."""
    carried = taxonomy.mapping(data.names, str(data.yaml_path))
    names = {taxonomy.names.index(name): name for name in taxonomy.names if name in carried}
    ranked = score_classes(pictures, names)
    if not ranked:
        raise Failure(f"{data.yaml_path}: its labels hold no box of a class that is scored.")
    working = ranked if at_work is pictures else score_classes(at_work, names)
    return Evaluation(model, str(data.yaml_path), len(pictures), ranked, working, score_min)


def look_at(
    picture: Path, carried: Sequence[str | None], taxonomy: Taxonomy, detect: Detect
) -> LabelledPicture:
    """Read one picture and its labels, and detect in it; classes the set does not carry are left out.

    Raises:
        Failure: the picture or its label file cannot be read.
    """
    image = read_picture(picture)
    return labels_of(picture, image, carried, taxonomy, detect(image))


def labels_of(
    picture: Path, image: Image, carried: Sequence[str | None], taxonomy: Taxonomy, found: Detections
) -> LabelledPicture:
    """Put the labels of a picture beside the boxes found in it; classes the set does not carry are left out.

    Raises:
        Failure: the label file or that of the ignored regions cannot be read.
    """
    height, width = image.shape[:2]
    boxes, ignored = read_boxes(picture, len(carried)), read_ignored(picture, len(carried))
    ours = _indices([carried[int(index)] for index in boxes[:, 0]], taxonomy)
    left = _indices([carried[int(index)] for index in ignored[:, 0]], taxonomy)
    everything = ignored[:, 0] == EVERY_CLASS
    left[everything] = EVERY_CLASS
    meant = [taxonomy.class_of(name) if taxonomy.knows(name) else None for name in found.names]
    theirs = _indices([meant[int(label)] for label in found.label], taxonomy)
    wanted = np.isin(theirs, _indices([name for name in carried if name], taxonomy)) & (theirs >= 0)
    regions = everything | (left >= 0)
    return LabelledPicture(
        size_px=(width, height),
        truth_xyxy=xyxy_px(boxes[:, 1:], width, height)[ours >= 0],
        truth_class=ours[ours >= 0],
        found_xyxy=found.xyxy.astype(np.float64)[wanted],
        found_score=found.score.astype(np.float64)[wanted],
        found_class=theirs[wanted],
        ignore_xyxy=xyxy_px(ignored[:, 1:], width, height)[regions],
        ignore_class=left[regions],
    )


def read_picture(path: Path) -> Image:
    """Read a picture as uint8 (H, W, 3) BGR, to write on.

    Raises:
        Failure: it is missing, no picture, cut short or damaged.
    """
    if not path.is_file():
        raise Failure(f"{path}: the picture is listed but not there.")
    return read_image(path).copy()


def _indices(names: Sequence[str | None], taxonomy: Taxonomy) -> npt.NDArray[np.int64]:
    """Give class indices, -1 for None."""
    return np.array([-1 if name is None else taxonomy.names.index(name) for name in names], dtype=np.int64)


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 6)


def table(result: Mapping[str, Any]) -> str:
    """Lay the JSON object out as a table for people."""
    lines = [f"{result['model']} on {result['dataset']}, {result['images']} pictures", ""]
    lines.append(f"{'class':<14}{'AP50':>8}{'AP50-95':>9}{'precision':>11}{'recall':>8}{'boxes':>7}")
    for name, row in result["classes"].items():
        lines.append(
            f"{name:<14}{row['ap50']:>8.3f}{row['ap5095']:>9.3f}"
            f"{row['precision']:>11.3f}{row['recall']:>8.3f}{row['n']:>7}"
        )
    lines.append(f"{'mean':<14}{result['map50']:>8.3f}{result['map5095']:>9.3f}")
    return "\n".join(lines)
