"""Pascal VOC: one XML a picture. `difficult` objects are left out of VOC's own scoring: they become ignored.

Corners are pixels counted from 1 and belong to the box, so it covers [xmin - 1, xmax].
Source: Everingham and Winn, The PASCAL VOC2012 Development Kit, section 5.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from detector.errors import WrongUse
from training.dataset.boxes import within_picture
from training.dataset.formats import IGNORE_NAME, Labelled
from training.dataset.formats.files import number_of, read_bytes, read_xml, text_of, write_xml
from training.dataset.formats.pictures import PictureIndex, folder_of, place_flat, split_named
from training.dataset.types import EVERY_CLASS, LabelledBox, Sample, Split

LOG = logging.getLogger(__name__)


class VocImporter:
    """Read every XML below a folder; ImageSets/Main/{train,val,test}.txt tell the split where they are."""

    def load(self, source: str, scratch: Path) -> Labelled:  # noqa: ARG002 - the Protocol's
        """Read the set.

        Raises:
            Failure: an XML is at fault, or a picture is missing.
            WrongUse: there is no XML.
        """
        folder = folder_of(source)
        pictures, splits = PictureIndex(folder), _image_sets(folder)
        paths = sorted(folder.rglob("*.xml"))
        if not paths:
            raise WrongUse(f"{source}: there is no .xml in it; a VOC set has one for each picture.")
        samples = tuple(_sample(path, pictures, splits) for path in paths)
        names = dict.fromkeys(box.label for sample in samples for box in sample.boxes)
        return Labelled(samples, tuple(names), title=folder.name)


def _image_sets(folder: Path) -> dict[str, Split]:
    """Read ImageSets/Main: stem of a picture to its split. Per-class lists (dog_val.txt) are left alone."""
    found: dict[str, Split] = {}
    for path in sorted(folder.glob("**/ImageSets/Main/*.txt")):
        split = split_named(path.stem)
        if split and path.stem.isalpha():
            lines = read_bytes(path).decode("utf-8", errors="replace").splitlines()
            found |= dict.fromkeys((line.strip() for line in lines), split)
    return found


def _sample(path: Path, pictures: PictureIndex, splits: dict[str, Split]) -> Sample:
    root, where = read_xml(path), str(path)
    if root.tag != "annotation":
        raise WrongUse(f"{path}: wanted <annotation> as Pascal VOC has it, got <{root.tag}>.")
    picture = pictures.find(root.findtext("filename", "").strip() or path.stem, where)
    width = number_of(root.findtext("size/width"), "size/width", where)
    height = number_of(root.findtext("size/height"), "size/height", where)
    size_px = int(width), int(height)
    boxes = (
        _box(entry, size_px, f"{path}: object {number}")
        for number, entry in enumerate(root.iter("object"), 1)
    )
    split = splits.get(path.stem) or split_named(path.parent.name)
    return Sample(picture, size_px, tuple(box for box in boxes if box), split)


def _box(entry: ET.Element, size_px: tuple[int, int], where: str) -> LabelledBox | None:
    left, top, right, bottom = (
        number_of(entry.findtext(f"bndbox/{side}"), f"bndbox/{side}", where)
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    xyxy = within_picture((left - 1, top - 1, right, bottom), size_px, where)
    if xyxy is None:
        LOG.warning("%s: a box without area is left out", where)
        return None
    difficult = entry.findtext("difficult", "0").strip() == "1"
    return LabelledBox(text_of(entry, "name", where), xyxy, ignore=difficult)


class VocExporter:
    """Write JPEGImages/, Annotations/ and ImageSets/Main/. Scores and provenance have no place in VOC."""

    def write(self, samples: Sequence[Sample], names: Sequence[str], folder: Path) -> None:  # noqa: ARG002
        """Write the set into an empty folder."""
        placed = place_flat(samples, folder / "JPEGImages")
        lists: dict[Split, list[str]] = {}
        for sample, name in zip(samples, placed, strict=True):
            stem = Path(name).stem
            write_xml(_annotation(sample, name), folder / "Annotations" / f"{stem}.xml")
            if sample.split:
                lists.setdefault(sample.split, []).append(stem)
        for split, stems in lists.items():
            path = folder / "ImageSets" / "Main" / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _annotation(sample: Sample, name: str) -> ET.Element:
    root = ET.Element("annotation")
    ET.SubElement(root, "folder").text = "JPEGImages"
    ET.SubElement(root, "filename").text = name
    size = ET.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*sample.size_px, 3), strict=True):
        ET.SubElement(size, tag).text = str(value)
    for box in sample.boxes:
        _write_object(root, box)
    return root


def _write_object(root: ET.Element, box: LabelledBox) -> None:
    entry = ET.SubElement(root, "object")
    ET.SubElement(entry, "name").text = IGNORE_NAME if box.label == EVERY_CLASS else box.label
    ET.SubElement(entry, "difficult").text = str(int(box.ignore))
    corners = ET.SubElement(entry, "bndbox")
    left, top, right, bottom = box.xyxy
    for side, value in zip(("xmin", "ymin", "xmax", "ymax"), (left + 1, top + 1, right, bottom), strict=True):
        ET.SubElement(corners, side).text = f"{value:.2f}"
