"""What a card says beyond val lists as given: completed labels, false alarms, rendered lists. No torch."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detector.detector import Detector
from detector.spec import ModelSpec
from detector.types import Image
from training.evaluate import read_picture
from training.evaluation.lists import ValList, look_at_list, look_at_lists
from training.evaluation.measure import score_lists
from training.evaluation.slices import SamePlaces
from training.importers.street import Boxes, read_added
from training.labels import CLASSES_FILE, Taxonomy, load_taxonomy
from training.metrics import EVERY_CLASS, LabelledPicture
from training.stages import measured_sets
from training.yolo_data import read_data_set, xyxy_px

REPOSITORY = CLASSES_FILE.parent.parent
NO_BOXES: Boxes = np.zeros((0, 5))


def same_places_of(config: Mapping[str, Any]) -> SamePlaces:
    """Give the val pictures that, as the training config's list says, show a place of a train picture."""
    path = config["data"].get("same_places")
    if path is None:
        return frozenset()
    with (REPOSITORY / path).open(newline="", encoding="utf-8") as file:
        return frozenset((row["set"], row["val"]) for row in csv.DictReader(file))


@dataclass(frozen=True, slots=True)
class ValSets:
    """The val lists that a version is measured on.

    Args:
        data_root: folder of the foreign sets.
        folders: those sets.
        scenes: a rendered set with a val list, or None.
        rendered: the classes that `scenes` labels everywhere; the others are not scored there.
    """

    data_root: Path
    folders: tuple[str, ...]
    scenes: Path | None = None
    rendered: frozenset[str] = frozenset()

    def look(
        self, spec: ModelSpec, taxonomy: Taxonomy, backend: str = "openvino", precision: Any = None
    ) -> tuple[ValList, ...]:
        """Run a model over them.

        Raises:
            Failure, WrongUse: the model or a set cannot be read.
        """
        with Detector(spec, backend, precision=precision) as detector:
            lists = look_at_lists(detector, self.data_root, self.folders, taxonomy)
            if self.scenes is None:
                return lists
            data = read_data_set(self.scenes / "data.yaml", "val")
            made = look_at_list(self.scenes.name, data, detector, taxonomy)
        return (*lists, only(made, self.rendered, taxonomy))


def val_sets_of(config: Mapping[str, Any], data_root: Path, scenes: Path | None) -> ValSets:
    """Read from a training config which sets a version is measured on.

    A class that a real val list carries is never scored on rendered pictures.
    """
    sets = config["data"]["set"]
    rendered = {name for entry in sets if entry.get("rendered") for name in entry.get("labelled", ())}
    folders = measured_sets(config)
    return ValSets(data_root, folders, scenes, frozenset(rendered - _carried_by(data_root, folders)))


def _carried_by(data_root: Path, folders: Sequence[str]) -> set[str]:
    """Give our classes that the sets which are there carry."""
    taxonomy, carried = load_taxonomy(), set[str]()
    for path in (data_root / folder / "data.yaml" for folder in folders):
        if path.is_file():
            names = read_data_set(path, "val").names
            carried |= {name for name in taxonomy.mapping(names, str(path)) if name}
    return carried


def only(entry: ValList, names: Collection[str], taxonomy: Taxonomy) -> ValList:
    """Leave of a val list what concerns some classes: the others are not labelled in it."""
    wanted = [taxonomy.names.index(name) for name in sorted(names)]
    pictures = tuple(_only(picture, wanted) for picture in entry.pictures)
    at_work = tuple(_only(picture, wanted) for picture in entry.at_work)
    return replace(entry, carried=frozenset(names), pictures=pictures, at_work=at_work)


def _only(picture: LabelledPicture, wanted: Sequence[int]) -> LabelledPicture:
    truth, found = np.isin(picture.truth_class, wanted), np.isin(picture.found_class, wanted)
    left = np.isin(picture.ignore_class, [EVERY_CLASS, *wanted])
    return replace(
        picture,
        truth_xyxy=picture.truth_xyxy[truth],
        truth_class=picture.truth_class[truth],
        found_xyxy=picture.found_xyxy[found],
        found_score=picture.found_score[found],
        found_class=picture.found_class[found],
        ignore_xyxy=picture.ignore_xyxy[left],
        ignore_class=picture.ignore_class[left],
    )


def score_completed(
    lists: Sequence[ValList], taxonomy: Taxonomy, boxes_file: Path, ignore_file: Path | None = None
) -> dict[str, Any]:
    """Score the classes that this project labelled further in val pictures once more, with those labels.

    Returns:
        class -> {added, ignored, ap50, ap5095, n}: boxes added, regions left out of the count, figures.
    """
    boxes = read_added(boxes_file, taxonomy)
    regions = read_added(ignore_file, taxonomy) if ignore_file else {}
    counts: dict[str, dict[str, int]] = {}
    completed = []
    for entry in lists:
        known = [taxonomy.names.index(name) for name in sorted(entry.carried)]
        pictures = []
        for file, picture in zip(entry.files, entry.pictures, strict=True):
            key = (entry.folder, file.name)
            more = _of(boxes.get(key, NO_BOXES), known)
            left = _of(regions.get(key, NO_BOXES), [*known, EVERY_CLASS])
            _count(counts, "added", more, taxonomy)
            _count(counts, "ignored", left, taxonomy)
            pictures.append(_with(picture, more, left))
        completed.append(replace(entry, pictures=tuple(pictures)))
    scores = score_lists(completed, taxonomy, at_work=False)
    return {
        name: {
            **counts[name],
            "ap50": round(scores[name].ap50, 4),
            "ap5095": round(scores[name].ap5095, 4),
            "n": scores[name].n,
        }
        for name in taxonomy.names
        if name in counts and name in scores
    }


def _of(boxes: Boxes, classes: Sequence[int]) -> Boxes:
    kept: Boxes = boxes[np.isin(boxes[:, 0], classes)]
    return kept


def _count(counts: dict[str, dict[str, int]], kind: str, boxes: Boxes, taxonomy: Taxonomy) -> None:
    for index in boxes[:, 0].astype(int).tolist():
        if index != EVERY_CLASS:
            counts.setdefault(taxonomy.names[index], {"added": 0, "ignored": 0})[kind] += 1


def _with(picture: LabelledPicture, boxes: Boxes, regions: Boxes) -> LabelledPicture:
    return replace(
        picture,
        truth_xyxy=np.concatenate([picture.truth_xyxy, xyxy_px(boxes[:, 1:], *picture.size_px)]),
        truth_class=np.concatenate([picture.truth_class, boxes[:, 0].astype(np.int64)]),
        ignore_xyxy=np.concatenate([picture.ignore_xyxy, xyxy_px(regions[:, 1:], *picture.size_px)]),
        ignore_class=np.concatenate([picture.ignore_class, regions[:, 0].astype(np.int64)]),
    )


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Real pictures that show none of a class, but what looks like it.

    Args:
        split: which list they are on; a model has learnt from those on "train".
        files: the pictures.
    """

    split: str
    files: tuple[Path, ...]


def read_look_alikes(path: Path, data_root: Path) -> tuple[LookAlikes, ...]:
    """Read a csv of set, picture, split: pictures of train lists and of val lists apart.

    Pictures lie where their set's list says; those that are not there are left out.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(row["set"], row["picture"], row["split"]) for row in csv.DictReader(file)]
    places = {
        (folder, split, picture.name): picture
        for folder, split in sorted({(row[0], row[2]) for row in rows})
        for picture in read_data_set(data_root / folder / "data.yaml", split).pictures
    }
    found: dict[str, set[Path]] = {}
    for folder, name, split in rows:
        if (folder, split, name) in places:
            found.setdefault(split, set()).add(places[folder, split, name])
    return tuple(LookAlikes(split, tuple(sorted(found[split]))) for split in sorted(found))


def look_alike_files(config: Mapping[str, Any], listed: Path, sets: ValSets) -> dict[str, tuple[Path, ...]]:
    """Give the real pictures in which a rendered class is looked for in vain: name of the part to its files.

    Args:
        config: training config; the pictures of its `data.held_out` were kept out of training.
        listed: csv of the pictures with overhead lines; the file may be absent.
        sets: for the val lists, whose pictures show none of the class either.
    """
    parts = read_look_alikes(listed, sets.data_root) if listed.is_file() else ()
    held = config["data"].get("held_out")
    if held:
        kept = {file for part in read_look_alikes(REPOSITORY / held, sets.data_root) for file in part.files}
        every = {file for part in parts for file in part.files}
        files = {
            "overhead lines, held out": tuple(sorted(kept)),
            "overhead lines, learnt from": tuple(sorted(every - kept)),
        }
    else:
        files = {f"overhead lines, {part.split}": part.files for part in parts}
    lists = [read_data_set(sets.data_root / name / "data.yaml", "val") for name in sets.folders]
    return {**files, "every real val picture": tuple(file for data in lists for file in data.pictures)}


def count_alarms(detector: Detector, files: Sequence[Path], labels: Collection[str]) -> dict[str, Any]:
    """Count the boxes of some classes, at their thresholds, in pictures that show none of them.

    Returns:
        pictures; per class: boxes, and pictures that have one.
    """
    boxes, alarming = dict.fromkeys(sorted(labels), 0), dict.fromkeys(sorted(labels), 0)
    for file in files:
        image: Image = read_picture(file)
        found = detector.detect(image)
        names = [found.names[int(label)] for label in found.label]
        for name in boxes:
            boxes[name] += names.count(name)
            alarming[name] += name in names
    return {
        "pictures": len(files),
        "classes": {name: {"boxes": boxes[name], "pictures": alarming[name]} for name in boxes},
    }
