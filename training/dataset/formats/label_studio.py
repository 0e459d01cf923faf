"""Label Studio: the JSON export of a project whose regions are rectangles (or polygons: their bounding box).

Regions are in percent of the picture. A region whose note (meta text) is `ignore` is ignored.
Source: https://labelstud.io/guide/task_format
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from detector.errors import Failure, WrongUse
from training.dataset.boxes import Xyxy, rotated, surrounding, within_picture
from training.dataset.formats import IGNORE_NAME, Labelled
from training.dataset.formats.files import read_bytes, write_xml
from training.dataset.formats.pictures import (
    PictureIndex,
    folder_of,
    name_in_address,
    place_flat,
    split_named,
)
from training.dataset.store import size_of
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample
from training.yolo_data import PICTURE_SUFFIXES

LOG = logging.getLogger(__name__)

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Label Studio puts this before the name of an uploaded file."""


class _Value(BaseModel):
    x: float = math.nan
    y: float = math.nan
    width: float = math.nan
    height: float = math.nan
    rotation: float = 0.0
    points: list[tuple[float, float]] = []
    rectanglelabels: list[str] = []
    polygonlabels: list[str] = []


class _Meta(BaseModel):
    model_config = ConfigDict(extra="allow")
    text: list[str] | str = []


class _Region(BaseModel):
    id: str = "?"
    type: str = ""
    value: _Value | dict[str, Any]
    original_width: int | None = None
    original_height: int | None = None
    meta: _Meta = _Meta()
    score: float | None = None


class _Annotation(BaseModel):
    result: list[_Region]
    was_cancelled: bool = False
    updated_at: str = ""


class _Task(BaseModel):
    id: int | str = "?"
    data: dict[str, Any]
    annotations: list[_Annotation] = []


_TASKS = TypeAdapter(list[_Task])
_AREAS = frozenset({"rectanglelabels", "polygonlabels"})


class LabelStudioImporter:
    """Read one JSON export, or the only one in a folder. Tasks nobody has submitted are left out."""

    def load(self, source: str, scratch: Path) -> Labelled:  # noqa: ARG002 - the Protocol's
        """Read the set.

        Raises:
            Failure: an entry is at fault, or a picture is missing.
            WrongUse: there is no Label Studio JSON, or no task has been submitted.
        """
        folder = folder_of(source)
        path = _json_file(Path(source).resolve())
        pictures = PictureIndex(folder)
        tasks = _read(path)
        done = [(task, last) for task in tasks if (last := _last_submitted(task)) is not None]
        if len(done) < len(tasks):
            LOG.info("%s: %d tasks that nobody has submitted are left out", path, len(tasks) - len(done))
        if not done:
            raise WrongUse(
                f"{path}: none of its {len(tasks)} tasks has been submitted; there is nothing to import."
            )
        samples = tuple(_sample(task, last, pictures, path) for task, last in done)
        names = dict.fromkeys(box.label for sample in samples for box in sample.boxes)
        return Labelled(samples, tuple(names), title=folder.name)


def _json_file(source: Path) -> Path:
    found = [source] if source.is_file() else sorted(source.glob("*.json")) or sorted(source.rglob("*.json"))
    if len(found) != 1:
        said = "no .json" if not found else f"{len(found)} .json files"
        raise WrongUse(f"{source}: there are {said} in it; name the JSON export itself.")
    return found[0]


def _read(path: Path) -> list[_Task]:
    data = read_bytes(path)
    try:
        return _TASKS.validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise Failure(f"{path}: is no JSON ({first['msg']}).") from None
        key = ".".join(str(part) for part in first["loc"])
        raise Failure(f"{path}: is no Label Studio JSON export: {key}: {first['msg'].lower()}.") from None


def _last_submitted(task: _Task) -> _Annotation | None:
    """Give the annotation that counts: the one saved last, skipped ones left aside."""
    submitted = [annotation for annotation in task.annotations if not annotation.was_cancelled]
    return max(submitted, key=lambda annotation: annotation.updated_at, default=None)


def _sample(task: _Task, annotation: _Annotation, pictures: PictureIndex, path: Path) -> Sample:
    where = f"{path}: task {task.id}"
    picture = _find(pictures, _address(task, where), where)
    regions = [region for region in annotation.result if region.type in _AREAS]
    size_px = _size(regions, picture)
    boxes = (_box(region, size_px, f"{where}: region {region.id}") for region in regions)
    split = split_named(str(task.data.get("split", "")))
    return Sample(picture, size_px, tuple(box for box in boxes if box), split)


def _address(task: _Task, where: str) -> str:
    """Give the address of the task's picture, whatever the project calls the field."""
    for value in task.data.values():
        if isinstance(value, str) and Path(name_in_address(value)).suffix.lower() in PICTURE_SUFFIXES:
            return value
    raise Failure(f"{where}: none of its data is the address of a picture.")


def _find(pictures: PictureIndex, address: str, where: str) -> Path:
    name = name_in_address(address)
    try:
        return pictures.find(name, where)
    except Failure:
        bare = _UPLOAD_PREFIX.sub("", Path(name).name)
        if bare == Path(name).name:
            raise
        return pictures.find(bare, where)


def _size(regions: Sequence[_Region], picture: Path) -> tuple[int, int]:
    for region in regions:
        if region.original_width and region.original_height:
            return region.original_width, region.original_height
    return size_of(picture)


def _box(region: _Region, size_px: tuple[int, int], where: str) -> LabelledBox | None:
    value = region.value
    labels = [] if isinstance(value, dict) else value.rectanglelabels or value.polygonlabels
    if isinstance(value, dict) or not labels:
        raise Failure(f"{where}: has no label; give it one or remove it.")
    xyxy = within_picture(_corners(value, size_px), size_px, where)
    if xyxy is None:
        LOG.warning("%s: a box without area is left out", where)
        return None
    notes = [region.meta.text] if isinstance(region.meta.text, str) else region.meta.text
    ignore = any(note.strip().casefold() == "ignore" for note in notes)
    return LabelledBox(labels[0], xyxy, ignore=ignore, score=region.score)


def _corners(value: _Value, size_px: tuple[int, int]) -> Xyxy:
    """Give left, top, right, bottom in pixels; Label Studio turns a rectangle about its upper left corner."""
    across, down = size_px[0] / 100, size_px[1] / 100
    if value.points:
        return surrounding([(x * across, y * down) for x, y in value.points])
    left, top = value.x * across, value.y * down
    xyxy = left, top, left + value.width * across, top + value.height * down
    return rotated(xyxy, math.radians(value.rotation), (left, top))


class LabelStudioExporter:
    """Write images/, tasks.json and the labelling config; serve images/ as local files to load it."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:
        """Write the set into an empty folder."""
        placed = place_flat(samples, folder / "images")
        tasks = [
            _task(sample, name, number)
            for number, (sample, name) in enumerate(zip(samples, placed, strict=True), 1)
        ]
        (folder / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
        view = ET.Element("View")
        ET.SubElement(view, "Image", name="image", value="$image")
        labels = ET.SubElement(view, "RectangleLabels", name="label", toName="image")
        for name in dict.fromkeys((*names, IGNORE_NAME)):
            ET.SubElement(labels, "Label", value=name)
        write_xml(view, folder / "label_config.xml")


def _task(sample: Sample, name: str, number: int) -> dict[str, Any]:
    data = {"image": f"/data/local-files/?d=images/{name}"}
    if sample.split:
        data["split"] = sample.split
    result = [_region(box, sample.size_px, f"{number}-{index}") for index, box in enumerate(sample.boxes)]
    return {"id": number, "data": data, "annotations": [{"result": result, "was_cancelled": False}]}


def _region(box: LabelledBox, size_px: tuple[int, int], name: str) -> dict[str, Any]:
    left, top, right, bottom = box.xyxy
    width, height = size_px
    label = IGNORE_NAME if box.label == EVERY_CLASS else box.label
    region: dict[str, Any] = {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "value": {
            "x": left / width * 100,
            "y": top / height * 100,
            "width": (right - left) / width * 100,
            "height": (bottom - top) / height * 100,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }
    if box.ignore:
        region["meta"] = {"text": [IGNORE_NAME]}
    return region if box.score is None else {**region, "score": box.score}
