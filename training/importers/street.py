# mypy: disable-error-code="import-untyped"
"""Put the training set together: foreign sets in YOLO layout -> one set with the project's classes.

The train and val lists of every set are kept as they were given. Train pictures get the base model's
confident people and vehicles where their set does not label them; val labels are only translated, never added
to.
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

from detector.errors import Failure
from training.labels import Taxonomy
from training.yolo_data import DataSet, label_path_of, read_boxes, read_data_set

Boxes = npt.NDArray[np.float64]
"""float64 (N, 5): class index, centre x, centre y, width, height as fractions of the picture."""

NO_BOXES: Boxes = np.zeros((0, 5))

PseudoLabeller = Callable[[Path], Boxes]


@dataclass(frozen=True, slots=True)
class SetRecipe:
    """How one foreign set enters the training set.

    Args:
        folder: its folder below the data root.
        repeat: how often each train picture is listed.
        repeat_with: class name to how often a train picture showing it is listed instead.
        complete: people and vehicles are labelled, so no pseudo-labels are wanted.
    """

    folder: str
    repeat: int = 1
    repeat_with: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False


@dataclass(slots=True)
class Census:
    """What went into the built set, for dataset.toml."""

    pictures: Counter[str] = field(default_factory=Counter)
    listed: int = 0
    boxes: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, kind: str, boxes: Boxes, names: tuple[str, ...]) -> None:
        """Add boxes under `kind` (given, pseudo, added, val)."""
        self.boxes.setdefault(kind, Counter()).update(names[int(index)] for index in boxes[:, 0])


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
        )
        for entry in document["set"]
    )


def build(
    data_root: Path,
    work: Path,
    recipes: Iterable[SetRecipe],
    taxonomy: Taxonomy,
    added: Mapping[tuple[str, str], Boxes],
    pseudo: PseudoLabeller,
) -> Census:
    """Write work/{images,labels}/<set>/, train.txt, val.txt and data.yaml; count what went in.

    Raises:
        Failure: a set is missing, or an added box belongs to a picture that is not there.
    """
    shutil.rmtree(work / "labels", ignore_errors=True)
    census, lines = Census(), {"train": list[str](), "val": list[str]()}
    waiting = set(added)
    for recipe in recipes:
        for split in ("train", "val"):
            data = read_data_set(data_root / recipe.folder / "data.yaml", split)
            classes = _class_indices(data, taxonomy)
            for picture in data.pictures:
                own = translate(read_boxes(picture, len(data.names)), classes)
                extra = added.get((recipe.folder, picture.name), NO_BOXES)
                waiting.discard((recipe.folder, picture.name))
                if split == "train":
                    guessed = NO_BOXES if recipe.complete else pseudo(picture)
                    own = _completed(own, extra, guessed, taxonomy, census)
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


def _completed(own: Boxes, extra: Boxes, guessed: Boxes, taxonomy: Taxonomy, census: Census) -> Boxes:
    """Give the boxes of a train picture: as labelled, added by us, and guessed where neither is."""
    guessed = without_doubles(guessed, np.concatenate([own, extra]))
    for kind, boxes in (("given", own), ("added", extra), ("pseudo", guessed)):
        census.count(kind, boxes, taxonomy.names)
    return np.concatenate([own, extra, guessed])


def translate(boxes: Boxes, classes: tuple[int | None, ...]) -> Boxes:
    """Replace foreign class indices by ours and drop boxes of unused classes."""
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
    """Read our own added boxes: (set, picture) to boxes; csv of set, picture, split, class, x, y, w, h."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = [float(taxonomy.names.index(row["class"])), *(float(row[key]) for key in "xywh")]
            found.setdefault((row["set"], row["picture"]), []).append(box)
    return {key: np.array(rows) for key, rows in found.items()}


def _low(boxes: Boxes) -> Boxes:
    return boxes[:, 1:3] - boxes[:, 3:5] / 2


def _high(boxes: Boxes) -> Boxes:
    return boxes[:, 1:3] + boxes[:, 3:5] / 2


def _class_indices(data: DataSet, taxonomy: Taxonomy) -> tuple[int | None, ...]:
    meant = taxonomy.mapping(data.names, str(data.yaml_path))
    return tuple(None if name is None else taxonomy.names.index(name) for name in meant)


def _times(recipe: SetRecipe, boxes: Boxes, taxonomy: Taxonomy) -> int:
    shown = {taxonomy.names[int(index)] for index in boxes[:, 0]}
    return max([recipe.repeat, *(times for name, times in recipe.repeat_with.items() if name in shown)])


def _place(picture: Path, folder: str, work: Path, boxes: Boxes) -> str:
    """Link the picture, write its labels, and give the line for the list."""
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
    document = {"train": "train.txt", "val": "val.txt", "names": dict(enumerate(taxonomy.names))}
    (work / "data.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
