# mypy: disable-error-code="import-untyped"
"""Put the training set together: foreign sets in YOLO layout -> one set with the project's classes.

The train and val lists of every set are kept as they were given. Train pictures get what a model is sure of
where their set does not label it, and ignored regions where it is not sure; val labels are only translated,
never added to.

In the label files an ignored region has the class index `classes + c` (for class c) or `2 * classes` (for
every class), see `training.loss`; data.yaml names these indices too, so that ultralytics reads the files.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from tqdm import tqdm

from detector.errors import Failure
from detector.pictures import check_whole
from training.complete import NOTHING, Completion
from training.labels import Taxonomy
from training.yolo_data import DataSet, label_path_of, read_boxes, read_data_set, read_ignored

Boxes = npt.NDArray[np.float64]
"""float64 (N, 5): class index, centre x, centre y, width, height as fractions of the picture."""

NO_BOXES: Boxes = np.zeros((0, 5))

EVERY_CLASS = "*"

Complete = Callable[[Path, frozenset[str]], Completion]
"""Picture, classes that its set labels -> what is missing, and what is not sure."""


@dataclass(frozen=True, slots=True)
class Added:
    """What people of this project added, by (set, picture): boxes, and regions to ignore (class -1: all)."""

    boxes: Mapping[tuple[str, str], Boxes] = field(default_factory=dict)
    ignored: Mapping[tuple[str, str], Boxes] = field(default_factory=dict)
    held_out: frozenset[tuple[str, str]] = frozenset()
    """Pictures of train lists that are kept for measuring: no training sees them."""


@dataclass(frozen=True, slots=True)
class SetRecipe:
    """How one foreign set enters the training set.

    Args:
        folder: its folder below the data root.
        repeat: how often each train picture is listed.
        repeat_with: class name to how often a train picture showing it is listed instead.
        complete: every class is labelled, so nothing is to be completed.
        rendered: made by training/scenes: it lies in the scratch folder, its val list is left out, and only
            the classes in `labelled` are labelled everywhere.
        labelled: see rendered; of a foreign set it is what its class names say.
        train_only: it has no val list, as the hard negatives that `kerbwatch dataset mine` writes; what it
            does not label its ignored regions say.
    """

    folder: str
    repeat: int = 1
    repeat_with: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False
    rendered: bool = False
    labelled: frozenset[str] = frozenset()
    train_only: bool = False


@dataclass(slots=True)
class Census:
    """What went into the built set, for dataset.toml."""

    pictures: Counter[str] = field(default_factory=Counter)
    listed: int = 0
    boxes: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, kind: str, boxes: Boxes, names: tuple[str, ...]) -> None:
        """Add boxes under `kind` (given, added, completed, ignored, val); class -1 is the last of `names`."""
        self.boxes.setdefault(kind, Counter()).update(names[int(index)] for index in boxes[:, 0])

    def as_json(self) -> dict[str, Any]:
        """Give the counts as plain dicts (dataclasses.asdict makes a Counter of pairs of a Counter)."""
        boxes = {kind: dict(counter) for kind, counter in self.boxes.items()}
        return {"pictures": dict(self.pictures), "listed": self.listed, "boxes": boxes}


def recipes_of(document: Mapping[str, Any]) -> tuple[SetRecipe, ...]:
    """Read the [[data.set]] tables of a training config."""
    return tuple(
        SetRecipe(
            folder=entry["folder"],
            repeat=int(entry.get("repeat", 1)),
            repeat_with={entry["repeat_with"]["class"]: int(entry["repeat_with"]["times"])}
            if "repeat_with" in entry
            else {},
            complete=bool(entry.get("complete", False)),
            rendered=bool(entry.get("rendered", False)),
            labelled=frozenset(entry.get("labelled", ())),
            train_only=bool(entry.get("train_only", False)),
        )
        for entry in document["set"]
    )


def build(
    data_root: Path,
    scenes_root: Path,
    work: Path,
    recipes: Iterable[SetRecipe],
    taxonomy: Taxonomy,
    added: Added,
    complete: Complete,
) -> Census:
    """Write work/{images,labels}/<set>/, train.txt, val.txt and data.yaml; count what went in.

    Where it fails there is no data.yaml, not even that of a set that was built before.

    Raises:
        Failure: a set is missing, a picture is broken, or an added box belongs to none that is there.
    """
    (work / "data.yaml").unlink(missing_ok=True)  # written last: without it a set is not built
    shutil.rmtree(work / "labels", ignore_errors=True)
    census, lines = Census(), {"train": list[str](), "val": list[str]()}
    waiting, unsure = {*added.boxes, *added.ignored}, added.ignored
    for recipe in recipes:
        for split in ("train",) if recipe.rendered or recipe.train_only else ("train", "val"):
            root = scenes_root if recipe.rendered else data_root
            data = read_data_set(root / recipe.folder / "data.yaml", split)
            classes = _class_indices(data, taxonomy)
            named = frozenset(taxonomy.names[index] for index in classes if index is not None)
            carried = recipe.labelled if recipe.rendered else named
            for picture in tqdm(data.pictures, desc=f"{recipe.folder}/{split}", leave=False, disable=None):
                key = (recipe.folder, picture.name)
                waiting.discard(key)
                if split == "train" and key in added.held_out:
                    census.pictures[f"{recipe.folder}/held out"] += 1
                    continue
                own = translate(read_boxes(picture, len(data.names)), classes)
                if split == "train":
                    guessed = NOTHING if recipe.complete else complete(picture, carried)
                    doubts = np.concatenate(
                        [
                            translate(read_ignored(picture, len(data.names)), (*classes, -1)),
                            unsure.get(key, NO_BOXES),
                        ]
                    )
                    own = _completed(own, added.boxes.get(key, NO_BOXES), doubts, guessed, taxonomy, census)
                else:
                    census.count("val", own, taxonomy.names)
                census.pictures[f"{recipe.folder}/{split}"] += 1
                times = _times(recipe, own, taxonomy) if split == "train" else 1
                lines[split] += [_place(picture, recipe.folder, work, own)] * times
    if waiting:
        raise Failure(f"added boxes for pictures that are not there: {sorted(waiting)}; mend the list.")
    census.listed = len(lines["train"])
    _write_lists(work, taxonomy, lines["train"], lines["val"])
    return census


def _completed(
    own: Boxes, extra: Boxes, unsure: Boxes, guessed: Completion, taxonomy: Taxonomy, census: Census
) -> Boxes:
    """Give a train picture's boxes: as labelled, added by us, guessed where neither is; then the ignored."""
    real = np.concatenate([own, extra])
    sure = without_doubles(guessed.sure, real)
    for kind, boxes in (("given", own), ("added", extra), ("completed", sure)):
        census.count(kind, boxes, taxonomy.names)
    doubtful = without_doubles(guessed.ignored, np.concatenate([real, sure]))
    census.count("ignored", np.concatenate([doubtful, unsure]), (*taxonomy.names, EVERY_CLASS))
    return np.concatenate([real, sure, as_regions(np.concatenate([doubtful, unsure]), len(taxonomy.names))])


def as_regions(boxes: Boxes, classes: int) -> Boxes:
    """Give regions to ignore their class index in the label file: c + classes; 2 x classes for every class.

    >>> as_regions(np.array([[3.0, 0.5, 0.5, 1, 1], [-1, 0.5, 0.5, 1, 1]]), 13)[:, 0].tolist()
    [16.0, 26.0]
    """
    regions = boxes.copy()
    regions[:, 0] = np.where(boxes[:, 0] < 0, 2 * classes, boxes[:, 0] + classes)
    return regions


def translate(boxes: Boxes, classes: tuple[int | None, ...]) -> Boxes:
    """Replace foreign class indices by ours and drop boxes of unused classes.

    Index -1 (every class, of an ignored region) takes the last entry of `classes`.
    """
    kept = [[float(new), *row[1:]] for row in boxes if (new := classes[int(row[0])]) is not None]
    return np.array(kept, dtype=np.float64).reshape(-1, 5)


def without_doubles(guessed: Boxes, real: Boxes, iou_max: float = 0.45, inside_max: float = 0.8) -> Boxes:
    """Drop guessed boxes that a real label already covers.

    A guess goes when it overlaps a real box by more than `iou_max`, or when it is a vehicle (any class but
    person, index 0) lying in a real box by more than `inside_max` of its own area: the base model calls a
    tricycle a car or a truck, and a stall's wheels a bicycle.
    """
    if not len(guessed) or not len(real):
        return guessed
    low = np.maximum(_low(guessed)[:, None], _low(real)[None])
    high = np.minimum(_high(guessed)[:, None], _high(real)[None])
    shared = np.clip(high - low, 0, None).prod(2)
    area, real_area = guessed[:, 3:].prod(1)[:, None], real[:, 3:].prod(1)[None]
    iou = shared / (area + real_area - shared)
    inside = (shared / area > inside_max) & (guessed[:, 0] != 0)[:, None]
    covered = ((iou > iou_max) | inside).any(axis=1)
    kept: Boxes = guessed[~covered]
    return kept


def read_added(path: Path, taxonomy: Taxonomy) -> dict[tuple[str, str], Boxes]:
    """Read our own added boxes: (set, picture) to boxes; csv of set, picture, split, class, x, y, w, h.

    The class "*" of a region to ignore becomes -1.
    """
    found: dict[tuple[str, str], list[list[float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            label = -1 if row["class"] == EVERY_CLASS else taxonomy.names.index(row["class"])
            box = [float(label), *(float(row[key]) for key in "xywh")]
            found.setdefault((row["set"], row["picture"]), []).append(box)
    return {key: np.array(rows) for key, rows in found.items()}


def read_pictures(path: Path) -> frozenset[tuple[str, str]]:
    """Read a list of pictures: csv of set, picture."""
    with path.open(newline="", encoding="utf-8") as file:
        return frozenset((row["set"], row["picture"]) for row in csv.DictReader(file))


def _low(boxes: Boxes) -> Boxes:
    return boxes[:, 1:3] - boxes[:, 3:5] / 2


def _high(boxes: Boxes) -> Boxes:
    return boxes[:, 1:3] + boxes[:, 3:5] / 2


def _class_indices(data: DataSet, taxonomy: Taxonomy) -> tuple[int | None, ...]:
    meant = taxonomy.mapping(data.names, str(data.yaml_path))
    return tuple(None if name is None else taxonomy.names.index(name) for name in meant)


def _times(recipe: SetRecipe, boxes: Boxes, taxonomy: Taxonomy) -> int:
    shown = {taxonomy.names[int(index)] for index in boxes[:, 0] if index < len(taxonomy.names)}
    return max([recipe.repeat, *(times for name, times in recipe.repeat_with.items() if name in shown)])


def _place(picture: Path, folder: str, work: Path, boxes: Boxes) -> str:
    """Link the picture, write its labels, and give the line for the list.

    Raises:
        Failure: the picture is missing or cut short; ultralytics would fill it up with grey and learn that.
    """
    check_whole(picture)
    link = work / "images" / folder / picture.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(picture.resolve())
    label = label_path_of(link)
    label.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{int(row[0])} " + " ".join(f"{value:.6f}" for value in row[1:]) for row in boxes]
    label.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return f"./images/{folder}/{picture.name}\n"


def _write_lists(work: Path, taxonomy: Taxonomy, train_list: list[str], val_list: list[str]) -> None:
    (work / "train.txt").write_text("".join(train_list), encoding="utf-8")
    (work / "val.txt").write_text("".join(val_list), encoding="utf-8")
    ignored = [f"ignore {name}" for name in (*taxonomy.names, EVERY_CLASS)]
    names = dict(enumerate([*taxonomy.names, *ignored]))
    document = {"train": "train.txt", "val": "val.txt", "names": names, "classes": len(taxonomy.names)}
    (work / "data.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
