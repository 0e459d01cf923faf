"""What is wrong with a data set on disk, one line a fault: errors that spoil it, and warnings."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from detector.errors import Failure, WrongUse
from training.dataset.boxes import Xyxy, iou
from training.dataset.look import Look, look_at_all
from training.dataset.manifest import FILE_NAME, read_manifest
from training.dataset.places import same_place_pairs
from training.dataset.scenes import NEAR_BITS_MAX, near_pairs
from training.dataset.store import SPLITS, read_extras
from training.dataset.types import EVERY_CLASS, Split
from training.yolo_data import (
    PICTURE_SUFFIXES,
    ignore_path_of,
    label_lines,
    label_path_of,
    list_pictures,
    parse_line,
    read_names,
)

TINY_PX = 3.0
ASPECT_MAX = 30.0
OUT_OF_FRAME = 0.02
"""How far a box may stick out, as a part of the picture's side, before it is told."""
SAME_IOU = 0.9

_LICENCE = re.compile(r"licen[cs]e|许可", re.IGNORECASE)

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        level: errors spoil training or scores; warnings may be meant.
        kind: short name, the same for all faults of its sort.
        where: file below the set, with line number where there is one.
        what: what is wrong and what to do.
    """

    level: Level
    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        """Give the line of `kerbwatch dataset check`."""
        return f"{self.level}: {self.where}: {self.what} [{self.kind}]"


@dataclass(frozen=True, slots=True)
class Box:
    """A line of a label file: class name and corners in pixels, not clipped."""

    where: str
    label: str
    xyxy: Xyxy


@dataclass(slots=True)
class Folder:
    """A set as the checks see it.

    Args:
        path: its folder.
        names: class names, index to name.
        lists: split to its pictures, in order, with repetitions.
        looks: every listed picture that exists, decoded.
    """

    path: Path
    names: tuple[str, ...]
    lists: dict[Split, tuple[Path, ...]]
    looks: dict[Path, Look] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """Give a path as it is told: below the set where it lies there."""
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)


def check(path: Path, looks: Mapping[Path, Look] | None = None, *, places: bool = False) -> tuple[Fault, ...]:
    """Give every fault of the set in a folder, errors first.

    Args:
        path: the set's folder.
        looks: pictures that have been decoded already.
        places: look for one place on two lists, too; takes minutes.

    Raises:
        WrongUse: there is no data.yaml with names, so nothing else can be judged.
    """
    path = path.resolve()
    faults: list[Fault] = []
    folder = Folder(path, read_names(path / "data.yaml"), _lists(path, faults))
    pictures = [picture for listed in folder.lists.values() for picture in listed if picture.is_file()]
    known = looks or {}
    fresh = look_at_all(picture for picture in pictures if picture not in known)
    folder.looks = {picture: known.get(picture) or fresh[picture] for picture in pictures}
    faults += [*_list_faults(folder), *_picture_faults(folder), *_orphans(folder)]
    for picture, look in folder.looks.items():
        faults += label_faults(folder, picture, look)
    faults += [*straddling(folder), *_scene_faults(folder), *licence_faults(path)]
    faults += _place_faults(folder) if places else ()
    return tuple(sorted(faults, key=lambda fault: fault.level != "error"))


def _lists(path: Path, faults: list[Fault]) -> dict[Split, tuple[Path, ...]]:
    lists: dict[Split, tuple[Path, ...]] = {}
    for split in SPLITS:
        try:
            found = list_pictures(path / "data.yaml", split)
        except WrongUse as error:
            faults.append(Fault("error", "list-missing", "data.yaml", _bare(error, path / "data.yaml")))
            continue
        lists[split] = tuple(Path(os.path.normpath(picture)) for picture in found)
    return lists


def _bare(error: Failure, where: Path) -> str:
    """Give a message without the file name it begins with."""
    return str(error).removeprefix(f"{where}: ")


def _list_faults(folder: Folder) -> Iterator[Fault]:
    for split in ("train", "val"):
        if folder.lists.get(split) == ():
            level: Level = "error" if split == "val" else "warning"
            what = "nothing could be measured" if split == "val" else "nothing could be learnt"
            yield Fault(
                level, f"{split}-empty", "data.yaml", f"{split} lists no picture; {what}; split the set."
            )
    listed: defaultdict[Path, list[Split]] = defaultdict(list)
    for split, pictures in folder.lists.items():
        for picture in pictures:
            listed[picture].append(split)
    for picture, splits in listed.items():
        name = folder.name(picture)
        if len(set(splits)) > 1:
            said = " and ".join(dict.fromkeys(splits))
            yield Fault("error", "listed-twice", name, f"is on {said}; keep it on one list.")
        elif len(splits) > 1:
            level = "warning" if splits[0] == "train" else "error"
            yield Fault(level, "listed-twice", name, f"is {len(splits)} times on {splits[0]}; list it once.")


def _picture_faults(folder: Folder) -> Iterator[Fault]:
    for picture in dict.fromkeys(path for listed in folder.lists.values() for path in listed):
        look = folder.looks.get(picture)
        if look is None:
            yield Fault("error", "picture-missing", folder.name(picture), "is listed, but is not there.")
        elif look.fault:
            what = look.fault.removeprefix(str(picture)).strip(" :")
            yield Fault("error", "picture-broken", folder.name(picture), what)
    stems = Counter(label_path_of(picture) for picture in folder.looks)
    for label, count in stems.items():
        if count > 1:
            what = f"is the label file of {count} pictures that differ in their suffix only; rename them."
            yield Fault("error", "label-shared", folder.name(label), what)
    bare = [picture for picture in folder.looks if not label_path_of(picture).is_file()]
    if bare:
        first = folder.name(bare[0])
        what = f"{len(bare)} pictures have no label file and count as showing nothing, {first} first."
        yield Fault("warning", "label-missing", "labels", what)


def _orphans(folder: Folder) -> Iterator[Fault]:
    known = {label_path_of(picture) for picture in folder.looks}
    for label in sorted((folder.path / "labels").rglob("*.txt")):
        if label in known or label.name == "classes.txt":
            continue
        picture = folder.path / "images" / label.relative_to(folder.path / "labels")
        if not any(picture.with_suffix(suffix).is_file() for suffix in PICTURE_SUFFIXES):
            yield Fault("error", "picture-missing", folder.name(label), "its picture is not there.")
        else:
            yield Fault("warning", "not-listed", folder.name(label), "its picture is on no list.")


def label_faults(folder: Folder, picture: Path, look: Look) -> Iterator[Fault]:
    """Give the faults of one picture's labels and ignored regions."""
    boxes: list[Box] = []
    for path, lowest in ((label_path_of(picture), 0), (ignore_path_of(picture), -1)):
        if not path.is_file():
            continue
        name, found = folder.name(path), list[Box]()
        try:
            lines = list(label_lines(path))
        except Failure as error:
            yield Fault("error", "label-bad", name, _bare(error, path))
            continue
        for number, line in lines:
            where = f"{name}:{number}"
            try:
                row = parse_line(line, where, range(lowest, len(folder.names)))
            except Failure as error:
                yield Fault("error", "label-bad", where, str(error).removeprefix(f"{where}: "))
                continue
            label = EVERY_CLASS if row[0] < 0 else folder.names[int(row[0])]
            found.append(Box(where, label, _corners(row[1:], look.size_px)))
        if not look.fault:
            yield from box_faults(found, look.size_px)
        boxes += found if lowest == 0 else []
    yield from _doubles(boxes)


def _corners(xywh: Sequence[float], size_px: tuple[int, int]) -> Xyxy:
    (x, y, width, height), (across, down) = xywh, size_px
    return (
        (x - width / 2) * across,
        (y - height / 2) * down,
        (x + width / 2) * across,
        (y + height / 2) * down,
    )


def box_faults(boxes: Iterable[Box], size_px: tuple[int, int]) -> Iterator[Fault]:
    """Give what is odd about boxes one by one: no area, tiny, out of the frame, very long."""
    for box in boxes:
        left, top, right, bottom = box.xyxy
        width, height = right - left, bottom - top
        said = f"{box.label} {width:.1f}x{height:.1f} px"
        if width <= 0 or height <= 0:
            yield Fault("warning", "box-empty", box.where, f"{said} has no area and is not read; remove it.")
            continue
        out = max(-left / size_px[0], -top / size_px[1], right / size_px[0] - 1, bottom / size_px[1] - 1)
        if out > OUT_OF_FRAME:
            what = f"{said} reaches {out:.0%} of the picture out of the frame; it is read clipped."
            yield Fault("warning", "box-out", box.where, what)
        if min(width, height) < TINY_PX:
            yield Fault(
                "warning", "box-tiny", box.where, f"{said} is under {TINY_PX:g} px; nobody can find it."
            )
        elif max(width / height, height / width) > ASPECT_MAX:
            what = f"{said} is more than {ASPECT_MAX:g} times as long as wide; is it a slip?"
            yield Fault("warning", "box-long", box.where, what)


def _doubles(boxes: Sequence[Box]) -> Iterator[Fault]:
    for at, one in enumerate(boxes):
        for other in boxes[:at]:
            if iou(one.xyxy, other.xyxy) <= SAME_IOU:
                continue
            line = other.where.rpartition(":")[2]
            if one.label == other.label:
                what = f"{one.label} is labelled before, on line {line}; remove one."
                yield Fault("warning", "box-twice", one.where, what)
            else:
                what = f"is {one.label} here and {other.label} on line {line}; one is wrong."
                yield Fault("warning", "box-contradiction", one.where, what)


def straddling(folder: Folder) -> Iterator[Fault]:
    """Give the pairs of near-duplicates on different lists: what is learnt would be scored."""
    lists = {picture: split for split, pictures in folder.lists.items() for picture in pictures}
    seen = [picture for picture, look in folder.looks.items() if not look.fault]
    for one, other in near_pairs([folder.looks[picture].dhash for picture in seen]):
        first, second = seen[one], seen[other]
        if lists[first] != lists[second]:
            what = (
                f"on {lists[second]} looks like {folder.name(first)} on {lists[first]} "
                f"(dHash within {NEAR_BITS_MAX} bits); split the set by scene."
            )
            yield Fault("error", "near-duplicate", folder.name(second), what)


def _place_faults(folder: Folder) -> Iterator[Fault]:
    """Give the pictures of one place on two lists; a warning, for given lists are what they are."""
    lists = {picture: split for split, pictures in folder.lists.items() for picture in pictures}
    seen = [picture for picture, look in folder.looks.items() if not look.fault]
    for one, other, count in same_place_pairs(seen, lambda at, to: lists[seen[at]] != lists[seen[to]]):
        first, second = seen[one], seen[other]
        what = (
            f"on {lists[second]} shows the place of {folder.name(first)} on {lists[first]} ({count} features "
            "agree); split with --places, or expect figures that flatter."
        )
        yield Fault("warning", "same-place", folder.name(second), what)


def _scene_faults(folder: Folder) -> Iterator[Fault]:
    try:
        extras = read_extras(folder.path)
    except Failure as error:
        yield Fault("error", "samples-bad", "samples.jsonl", _bare(error, folder.path / "samples.jsonl"))
        return
    lists = {picture: split for split, pictures in folder.lists.items() for picture in pictures}
    scenes: defaultdict[str, set[Split]] = defaultdict(set)
    for name, extra in extras.items():
        split = lists.get(folder.path / name)
        if extra.scene and split:
            scenes[extra.scene].add(split)
    for scene, splits in scenes.items():
        if len(splits) > 1:
            what = f"scene {scene!r} is on {' and '.join(sorted(splits))}; split the set by scene."
            yield Fault("error", "scene-straddles", "samples.jsonl", what)


def licence_faults(path: Path) -> Iterator[Fault]:
    """Give what dataset.toml and card.md lack: without a licence nothing may be published."""
    manifest = path / FILE_NAME
    if not manifest.is_file():
        what = "is missing, so nobody knows the licence; import the set with --licence."
        yield Fault("error", "licence-missing", FILE_NAME, what)
    else:
        try:
            read_manifest(manifest)
        except Failure as error:
            kind = "licence-missing" if "licence is missing" in str(error) else "manifest-bad"
            yield Fault("error", kind, FILE_NAME, _bare(error, manifest))
    card = path / "card.md"
    if card.is_file() and not _LICENCE.search(card.read_text(encoding="utf-8", errors="replace")):
        yield Fault("error", "licence-missing", "card.md", "states no licence; add a line 'Licence: ...'.")


def tally(faults: Iterable[Fault]) -> Mapping[str, int]:
    """Count faults by kind, the most frequent first."""
    return dict(Counter(fault.kind for fault in faults).most_common())
