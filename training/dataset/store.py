"""A data set on disk <-> samples.

    images/<source>/NAME      pictures
    labels/<source>/NAME.txt  class, centre x, centre y, width, height as fractions
    ignore/<source>/NAME.txt  the same for regions that are not judged; class -1: no class is judged there
    data.yaml                 names and lists, as every YOLO tool reads them
    train.txt val.txt test.txt
    samples.jsonl             one line a picture, what YOLO cannot say: size, scene, source, who labelled
    dataset.toml              what it is made of (`training.dataset.manifest`)

Only data.yaml, the lists and labels/ are needed for reading: any YOLO set will do.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from detector.errors import Failure, WrongUse
from detector.pictures import read_image
from training.dataset.manifest import FILE_NAME, Manifest, read_manifest, toml_of, with_counts
from training.dataset.types import EVERY_CLASS, LabelledBox, Origin, Sample, Split
from training.yolo_data import (
    ignore_path_of,
    label_lines,
    label_path_of,
    list_pictures,
    parse_line,
    read_names,
)

LOG = logging.getLogger(__name__)

SAMPLES_FILE = "samples.jsonl"
SPLITS: tuple[Split, ...] = get_args(Split)
NO_SOURCE = "set"
"""Folder below images/ of pictures whose source has no name."""


class _Extra(BaseModel):
    """One line of samples.jsonl. `origins` and `scores` are in the order of labels/, then of ignore/."""

    model_config = ConfigDict(extra="forbid")

    picture: str
    size_px: tuple[int, int]
    scene: str = ""
    source: str = ""
    unlabelled: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    scores: tuple[float | None, ...] = ()


_EXTRA: TypeAdapter[_Extra] = TypeAdapter(_Extra)


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A data set as it was read.

    Args:
        folder: where it lies.
        names: class names, index to name.
        samples: pictures of every list; one that is listed twice is here once.
        manifest: None where there is no dataset.toml.
    """

    folder: Path
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    manifest: Manifest | None


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Give an empty folder on the disk of `out`, removed at the end whatever happened.

    Raises:
        WrongUse: `out` exists already, or cannot be made.
    """
    if out.exists() or out.is_symlink():
        raise WrongUse(f"{out}: exists already; name a folder that does not, versions are not written over.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise WrongUse(f"{out}: cannot be written ({error.strerror}).") from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_set(
    samples: Sequence[Sample],
    names: Sequence[str],
    folder: Path,
    manifest: Manifest | None = None,
    place: Literal["copy", "link"] = "copy",
) -> tuple[Sample, ...]:
    """Write a set into `folder`, which is empty; give the samples with the paths they have there.

    Args:
        samples: pictures with boxes; labels are in `names`, or EVERY_CLASS.
        names: class names, index to name.
        folder: where to.
        manifest: what the set is made of; its counts are taken from the samples.
        place: copy the pictures, or link to where they are.

    Raises:
        Failure: a picture cannot be copied, or a box has a label that is not in `names`.
    """
    placed = tuple(
        replace(sample, path=folder / "images" / name)
        for sample, name in zip(samples, target_names(samples), strict=True)
    )
    for sample, target in zip(samples, placed, strict=True):
        try:
            _place(sample.path, target.path, place)
            _write_labels(target, names)
        except OSError as error:
            raise Failure(f"{sample.path}: cannot be put into {folder} ({error.strerror}).") from error
    write_lists(folder, placed, names, manifest)
    return placed


def target_names(samples: Iterable[Sample]) -> list[str]:
    """Give each picture a name below images/ that no other has, also without its suffix.

    a.jpg and a.png would share labels/a.txt, so the second becomes a-2.png.
    """
    taken: set[str] = set()
    names = []
    for sample in samples:
        source, stem, suffix = sample.source or NO_SOURCE, sample.path.stem, sample.path.suffix.lower()
        number, name = 1, f"{source}/{stem}"
        while name.casefold() in taken:
            number += 1
            name = f"{source}/{stem}-{number}"
        taken.add(name.casefold())
        names.append(name + suffix)
    return names


def write_lists(
    folder: Path, samples: Sequence[Sample], names: Sequence[str], manifest: Manifest | None = None
) -> None:
    """Write data.yaml, the lists, samples.jsonl and dataset.toml; all are made before the first is replaced.

    A val that is empty is written too: one that is missing and one that is empty are not the same fault.
    """
    document: dict[str, Any] = {}
    texts: dict[str, str] = {SAMPLES_FILE: "".join(_extra_line(folder, sample) for sample in samples)}
    for split in SPLITS:
        listed = [sample for sample in samples if sample.split == split]
        if listed or split != "test":
            lines = (f"./{sample.path.relative_to(folder).as_posix()}\n" for sample in listed)
            texts[f"{split}.txt"] = "".join(lines)
            document[split] = f"{split}.txt"
    document["names"] = dict(enumerate(names))
    texts["data.yaml"] = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if manifest is not None:
        texts[FILE_NAME] = toml_of(with_counts(manifest, samples))
    _write_texts(folder, texts)


def _write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        for name, text in texts.items():
            (folder / f"{name}.part").write_text(text, encoding="utf-8")
        for name in texts:
            (folder / f"{name}.part").replace(folder / name)
    except OSError as error:
        raise Failure(f"{folder}: its lists cannot be written ({error.strerror}).") from error
    finally:
        for name in texts:
            (folder / f"{name}.part").unlink(missing_ok=True)


def read_set(folder: Path, *, lenient: bool = False) -> StoredSet:
    """Read a set: data.yaml, every list it has, and what lies beside.

    Sizes come from samples.jsonl; a picture that is not in it is opened.

    Args:
        folder: of the set.
        lenient: leave out pictures whose file or labels are at fault instead of stopping; each is logged.

    Raises:
        WrongUse: there is no data.yaml, or a list is missing.
        Failure: a label line, a picture, samples.jsonl or dataset.toml is at fault.
    """
    folder = folder.resolve()
    yaml_path = folder / "data.yaml"
    names = read_names(yaml_path)
    extras = {Path(os.path.normpath(folder / name)): extra for name, extra in read_extras(folder).items()}
    splits: dict[Path, Split | None] = {}
    for split in SPLITS:
        for picture in list_pictures(yaml_path, split):
            splits.setdefault(Path(os.path.normpath(picture)), split)
    for picture in extras:  # pictures that no list holds yet
        splits.setdefault(picture, None)
    with ThreadPoolExecutor() as pool:  # a picture without an entry in samples.jsonl is decoded for its size
        read = partial(_sample_or_none if lenient else _sample, names=names, extras=extras)
        found = tuple(sample for sample in pool.map(read, splits, splits.values()) if sample)
    manifest_path = folder / FILE_NAME
    manifest = read_manifest(manifest_path) if manifest_path.is_file() else None
    return StoredSet(folder, names, found, manifest)


def read_extras(folder: Path) -> dict[str, _Extra]:
    """Read samples.jsonl: picture (path below the folder) to what it says; empty where there is none.

    Raises:
        Failure: a line is not what this project writes.
    """
    path = folder / SAMPLES_FILE
    if not path.is_file():
        return {}
    found = {}
    for number, line in label_lines(path):
        try:
            extra = _EXTRA.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise Failure(f"{path}:{number}: {key}: {first['msg'].lower()}; import the set again.") from None
        found[extra.picture] = extra
    return found


def _sample_or_none(
    picture: Path, split: Split | None, names: tuple[str, ...], extras: Mapping[Path, _Extra]
) -> Sample | None:
    try:
        return _sample(picture, split, names, extras)
    except Failure as failure:
        LOG.warning("left out: %s", failure)
        return None


def _sample(
    picture: Path, split: Split | None, names: tuple[str, ...], extras: Mapping[Path, _Extra]
) -> Sample:
    extra = extras.get(picture)
    size_px = extra.size_px if extra else size_of(picture)
    boxes = read_labelled(picture, names, size_px)
    if extra is None:
        return Sample(picture, size_px, boxes, split)
    return Sample(
        picture,
        size_px,
        _with_provenance(boxes, extra, picture),
        split,
        extra.scene,
        frozenset(extra.unlabelled),
        extra.source,
    )


def size_of(picture: Path) -> tuple[int, int]:
    """Give width and height of a picture by decoding it, turned upright as its EXIF says.

    Raises:
        Failure: it cannot be decoded.
    """
    height, width = read_image(picture).shape[:2]
    return int(width), int(height)


def read_labelled(picture: Path, names: Sequence[str], size_px: tuple[int, int]) -> tuple[LabelledBox, ...]:
    """Read a picture's boxes, then its ignored regions; boxes without area are dropped.

    Raises:
        Failure: a line is at fault; the message names file and line.
    """
    found = []
    for path, lowest in ((label_path_of(picture), 0), (ignore_path_of(picture), -1)):
        if not path.is_file():
            continue
        for number, line in label_lines(path):
            row = parse_line(line, f"{path}:{number}", range(lowest, len(names)))
            label = EVERY_CLASS if row[0] < 0 else names[int(row[0])]
            xyxy = _pixels(row[1:], size_px)
            if xyxy[2] > xyxy[0] and xyxy[3] > xyxy[1]:
                found.append(LabelledBox(label, xyxy, ignore=lowest < 0))
    return tuple(found)


def _pixels(xywh: Sequence[float], size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Turn fractions into pixels, clipped to the picture."""
    x, y, width, height = xywh
    return (
        max(0.0, x - width / 2) * size_px[0],
        max(0.0, y - height / 2) * size_px[1],
        min(1.0, x + width / 2) * size_px[0],
        min(1.0, y + height / 2) * size_px[1],
    )


def _with_provenance(boxes: tuple[LabelledBox, ...], extra: _Extra, picture: Path) -> tuple[LabelledBox, ...]:
    origins, scores = extra.origins, extra.scores
    if origins and len(origins) != len(boxes):
        raise Failure(
            f"{label_path_of(picture)}: has {len(boxes)} boxes where {SAMPLES_FILE} tells of {len(origins)}; "
            f"labels changed by hand are taken in with: kerbwatch dataset import yolo."
        )
    if origins:
        boxes = tuple(replace(box, origin=origin) for box, origin in zip(boxes, origins, strict=True))
    if scores:
        boxes = tuple(replace(box, score=score) for box, score in zip(boxes, scores, strict=False))
    return boxes


def _extra_line(folder: Path, sample: Sample) -> str:
    boxes = [*(box for box in sample.boxes if not box.ignore), *(box for box in sample.boxes if box.ignore)]
    extra = _Extra(
        picture=sample.path.relative_to(folder).as_posix(),
        size_px=sample.size_px,
        scene=sample.scene,
        source=sample.source,
        unlabelled=tuple(sorted(sample.unlabelled)),
        origins=tuple(box.origin for box in boxes) if any(box.origin != "given" for box in boxes) else (),
        scores=tuple(box.score for box in boxes) if any(box.score is not None for box in boxes) else (),
    )
    return json.dumps(extra.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) + "\n"


def _place(picture: Path, target: Path, place: Literal["copy", "link"]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if place == "link":
        target.symlink_to(picture.resolve())
    else:
        shutil.copyfile(picture, target)


def _write_labels(sample: Sample, names: Sequence[str]) -> None:
    for path, ignored in ((label_path_of(sample.path), False), (ignore_path_of(sample.path), True)):
        rows = [_row(box, sample, names) for box in sample.boxes if box.ignore is ignored]
        if rows or not ignored:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(rows), encoding="utf-8")


def _row(box: LabelledBox, sample: Sample, names: Sequence[str]) -> str:
    if box.label not in names and box.label != EVERY_CLASS:
        raise Failure(f"{sample.path}: {box.label!r} is no class of this set ({', '.join(names)}).")
    index = -1 if box.label == EVERY_CLASS else names.index(box.label)
    left, top, right, bottom = box.xyxy
    width, height = sample.size_px
    centre = ((left + right) / 2 / width, (top + bottom) / 2 / height)
    values = (*centre, (right - left) / width, (bottom - top) / height)
    return f"{index} {' '.join(f'{value:.6f}' for value in values)}\n"
