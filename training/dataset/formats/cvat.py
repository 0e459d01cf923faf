"""CVAT for images 1.1. Polygons are taken as their bounding box, rotated boxes as what surrounds them.

An attribute `ignore` (or `dontcare`) that is true makes a region ignored.
Source: https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from detector.errors import Failure, WrongUse
from training.dataset.boxes import Xyxy, rotated, surrounding, within_picture
from training.dataset.formats import IGNORE_NAME, Labelled
from training.dataset.formats.files import number_of, read_xml, write_xml
from training.dataset.formats.pictures import PictureIndex, folder_of, place_flat, split_named
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample

LOG = logging.getLogger(__name__)

_IGNORE_ATTRIBUTES = frozenset({"ignore", "dontcare"})
_AREAS = ("box", "polygon")


class CvatImporter:
    """Read annotations.xml of a task or project; the subset tells the split."""

    def load(self, source: str, scratch: Path) -> Labelled:  # noqa: ARG002 - the Protocol's
        """Read the set.

        Raises:
            Failure: an entry is at fault, or a picture is missing.
            WrongUse: there is no CVAT XML, or it is of a video.
        """
        folder = folder_of(source)
        pictures = PictureIndex(folder)
        samples: list[Sample] = []
        names: dict[str, None] = {}
        for path in _xml_files(Path(source).resolve()):
            root = read_xml(path)
            if root.tag != "annotations":
                raise WrongUse(f"{path}: wanted <annotations> as CVAT writes it, got <{root.tag}>.")
            if root.find("track") is not None:
                raise WrongUse(f"{path}: is of a video; export it as 'CVAT for images 1.1'.")
            samples += [_sample(entry, pictures, path) for entry in root.iter("image")]
            declared = (label.text or "" for label in root.findall("meta//labels/label/name"))
            names |= dict.fromkeys(name.strip() for name in declared)
        names |= dict.fromkeys(box.label for sample in samples for box in sample.boxes)
        return Labelled(tuple(samples), tuple(names), title=folder.name)


def _xml_files(source: Path) -> list[Path]:
    found = [source] if source.is_file() else sorted(source.rglob("annotations.xml"))
    if not found:
        raise WrongUse(f"{source}: there is no annotations.xml in it; export as 'CVAT for images 1.1'.")
    return found


def _sample(entry: ET.Element, pictures: PictureIndex, path: Path) -> Sample:
    name = entry.get("name", "")
    where = f"{path}: image {name!r}"
    size_px = (
        int(number_of(entry.get("width"), "width", where)),
        int(number_of(entry.get("height"), "height", where)),
    )
    boxes = (
        _box(area, size_px, f"{where}: {area.tag} {number}")
        for number, area in enumerate((child for child in entry if child.tag in _AREAS), 1)
    )
    split = split_named(entry.get("subset", "")) or split_named(str(Path(name).parent))
    return Sample(pictures.find(name, where), size_px, tuple(box for box in boxes if box), split)


def _box(area: ET.Element, size_px: tuple[int, int], where: str) -> LabelledBox | None:
    xyxy = within_picture(_corners(area, where), size_px, where)
    if xyxy is None:
        LOG.warning("%s: a box without area is left out", where)
        return None
    label = area.get("label", "")
    if not label:
        raise Failure(f"{where}: has no label; export it again.")
    ignore = any(
        attribute.get("name", "").casefold() in _IGNORE_ATTRIBUTES
        and (attribute.text or "").strip().casefold() in {"true", "1", "yes"}
        for attribute in area.iter("attribute")
    )
    return LabelledBox(label, xyxy, ignore=ignore)


def _corners(area: ET.Element, where: str) -> Xyxy:
    if area.tag == "polygon":
        points = [_point(point, where) for point in area.get("points", "").split(";")]
        return surrounding(points)
    left, top, right, bottom = (
        number_of(area.get(side), side, where) for side in ("xtl", "ytl", "xbr", "ybr")
    )
    angle = math.radians(number_of(area.get("rotation", "0"), "rotation", where))
    return rotated((left, top, right, bottom), angle, ((left + right) / 2, (top + bottom) / 2))


def _point(text: str, where: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    return number_of(x, "points", where), number_of(y, "points", where)


class CvatExporter:
    """Write images/ and annotations.xml, which CVAT takes as 'CVAT 1.1'."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:
        """Write the set into an empty folder."""
        placed = place_flat(samples, folder / "images")
        root = ET.Element("annotations")
        ET.SubElement(root, "version").text = "1.1"
        _write_labels(root, samples, names)
        for number, (sample, name) in enumerate(zip(samples, placed, strict=True)):
            _write_image(root, sample, name, number)
        write_xml(root, folder / "annotations.xml")


def _write_labels(root: ET.Element, samples: Sequence[Sample], names: Sequence[str]) -> None:
    labels = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
    every = any(box.label == EVERY_CLASS for sample in samples for box in sample.boxes)
    for name in (*names, *([IGNORE_NAME] if every and IGNORE_NAME not in names else [])):
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        attribute = ET.SubElement(ET.SubElement(label, "attributes"), "attribute")
        for tag, text in (("name", "ignore"), ("mutable", "False"), ("input_type", "checkbox")):
            ET.SubElement(attribute, tag).text = text
        ET.SubElement(attribute, "default_value").text = "false"
        ET.SubElement(attribute, "values").text = "false"


def _write_image(root: ET.Element, sample: Sample, name: str, number: int) -> None:
    width, height = sample.size_px
    entry = ET.SubElement(root, "image", id=str(number), name=name, width=str(width), height=str(height))
    if sample.split:
        entry.set("subset", sample.split)
    for box in sample.boxes:
        label = IGNORE_NAME if box.label == EVERY_CLASS else box.label
        by = "auto" if box.score is not None else "manual"
        area = ET.SubElement(entry, "box", label=label, source=by, occluded="0", z_order="0")
        for side, value in zip(("xtl", "ytl", "xbr", "ybr"), box.xyxy, strict=True):
            area.set(side, f"{value:.2f}")
        ET.SubElement(area, "attribute", name="ignore").text = "true" if box.ignore else "false"
