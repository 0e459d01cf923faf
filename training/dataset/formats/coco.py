"""COCO instances JSON. `iscrowd` is COCO's own word for a region in which its class is not judged.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from detector.errors import Failure, WrongUse
from training.dataset.boxes import within_picture
from training.dataset.formats import IGNORE_NAME, Labelled
from training.dataset.formats.files import read_bytes
from training.dataset.formats.pictures import PictureIndex, folder_of, place_flat, split_named
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample, Split

LOG = logging.getLogger(__name__)


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int
    height: int


class _Annotation(BaseModel):
    id: int | str = "?"
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0
    score: float | None = None


class _Category(BaseModel):
    id: int
    name: str


class _Licence(BaseModel):
    name: str = ""


class _Document(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]
    licenses: list[_Licence] = []


class CocoImporter:
    """Read one JSON, or every instances JSON below a folder; the file's name tells the split."""

    def load(self, source: str, scratch: Path) -> Labelled:  # noqa: ARG002 - the Protocol's
        """Read the set.

        Raises:
            Failure: an entry is at fault, or a picture is missing.
            WrongUse: there is no COCO JSON.
        """
        folder = folder_of(source)
        pictures = PictureIndex(folder)
        samples: list[Sample] = []
        names: dict[str, None] = {}
        licences: dict[str, None] = {}
        for path in _json_files(Path(source).resolve()):
            document = _read(path)
            samples += _samples(document, path, pictures, _split_of(path, folder))
            names |= dict.fromkeys(category.name for category in document.categories)
            licences |= dict.fromkeys(entry.name for entry in document.licenses if entry.name)
        return Labelled(tuple(samples), tuple(names), "; ".join(licences), folder.name)


def _split_of(path: Path, folder: Path) -> Split | None:
    return split_named(path.relative_to(folder).as_posix())


def _json_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(source.rglob("*.json"))
    found = [path for path in found if path.name.startswith("instances_")] or found
    if not found:
        raise WrongUse(
            f"{source}: there is no .json in it; a COCO set has one, such as annotations/instances_val.json."
        )
    return found


def _read(path: Path) -> _Document:
    data = read_bytes(path)
    try:
        return _Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise Failure(f"{path}: is no JSON ({first['msg']}).") from None
        key = ".".join(str(part) for part in first["loc"])
        raise Failure(f"{path}: is no COCO instances file: {key}: {first['msg'].lower()}.") from None


def _samples(
    document: _Document, path: Path, pictures: PictureIndex, split: Split | None
) -> Iterable[Sample]:
    classes = {category.id: category.name for category in document.categories}
    entries: defaultdict[int | str, list[_Annotation]] = defaultdict(list)
    known = {image.id for image in document.images}
    for entry in document.annotations:
        if entry.image_id not in known:
            raise Failure(
                f"{path}: annotation {entry.id} belongs to image {entry.image_id}, which is not there."
            )
        entries[entry.image_id].append(entry)
    for image in document.images:
        where = f"{path}: image {image.id}"
        size_px = image.width, image.height
        boxes = (_box(entry, classes, size_px, path) for entry in entries[image.id])
        yield Sample(
            pictures.find(image.file_name, where), size_px, tuple(box for box in boxes if box), split
        )


def _box(
    entry: _Annotation, classes: dict[int, str], size_px: tuple[int, int], path: Path
) -> LabelledBox | None:
    where = f"{path}: annotation {entry.id}"
    if entry.category_id not in classes:
        raise Failure(f"{where}: class {entry.category_id} is none of its categories; mend or remove it.")
    left, top, width, height = entry.bbox
    xyxy = within_picture((left, top, left + width, top + height), size_px, where)
    if xyxy is None:
        LOG.warning("%s: a box without area is left out", where)
        return None
    return LabelledBox(classes[entry.category_id], xyxy, ignore=bool(entry.iscrowd), score=entry.score)


class CocoExporter:
    """Write images/ and annotations/instances_SPLIT.json; pictures on no list go to instances_all.json."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:
        """Write the set into an empty folder."""
        placed = place_flat(samples, folder / "images")
        (folder / "annotations").mkdir()
        for split in dict.fromkeys(sample.split for sample in samples):
            chosen = [
                (sample, name) for sample, name in zip(samples, placed, strict=True) if sample.split == split
            ]
            text = json.dumps(_document(chosen, names), ensure_ascii=False)
            (folder / "annotations" / f"instances_{split or 'all'}.json").write_text(text, encoding="utf-8")


def _document(chosen: Sequence[tuple[Sample, str]], names: Sequence[str]) -> dict[str, Any]:
    """Give the JSON of one split; category ids begin at 1, as in COCO."""
    every = any(box.label == EVERY_CLASS for sample, _ in chosen for box in sample.boxes)
    categories = [*names, *([IGNORE_NAME] if every and IGNORE_NAME not in names else [])]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (sample, name) in enumerate(chosen, 1):
        width, height = sample.size_px
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for box in sample.boxes:
            annotations.append(_annotation(box, len(annotations) + 1, number, categories))
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in enumerate(categories, 1)],
    }


def _annotation(box: LabelledBox, number: int, image: int, categories: Sequence[str]) -> dict[str, Any]:
    left, top, right, bottom = box.xyxy
    label = IGNORE_NAME if box.label == EVERY_CLASS else box.label
    row: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": categories.index(label) + 1,
        "bbox": [round(side, 3) for side in (left, top, right - left, bottom - top)],
        "area": round((right - left) * (bottom - top), 3),
        "iscrowd": int(box.ignore),
    }
    return row if box.score is None else {**row, "score": box.score}
