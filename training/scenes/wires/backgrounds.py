"""Real pictures to put wires and bikes into: where their ground is, how large a metre is, where windows are.

Scale comes from things of known size: doors (2.35 m), windows (1.9 m), wheeled bins (1.05 m), bikes (1.8 m
long). With the height of the eye above the ground that gives the horizon, and with it the scale of every
other point of the ground: pixels per metre = (y - horizon) / eye height.

`places.csv` says for façades where the wall meets the ground and which span of it is free, by eye, as shares
of height and width. `sources.csv` marks windows and wall boxes that a cable can come from in streets.
`context.csv` holds people and vehicles that the base model found where nobody labelled any (context.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

import cv2
import numpy as np

from detector.errors import Failure
from training.scenes.wires.catenary import Point
from training.scenes.wires.facts import (
    CERTAIN,
    SURE,
    Place,
    held_out,
    read_added,
    read_context,
    read_places,
    read_sources,
)
from training.scenes.wires.paint import Box, Picture

Split = Literal["train", "val"]
Kind = Literal["facade", "street", "bike"]
"""A wall with windows; a street with bins whose height is known; a real bike at rest."""
LONGEST_PX = 640
EYE_M = 1.6
DOOR_M, WINDOW_M, BIN_M, BIKE_LONG_M = 2.35, 1.9, 1.05, 1.8
STREET_REACH_M = 3.0
"""How far beside a bin the ground is taken to go on."""
PLACES = Path(__file__).with_name("places.csv")
CONTEXT = Path(__file__).with_name("context.csv")
SOURCES = Path(__file__).with_name("sources.csv")
ADDED = Path(__file__).resolve().parents[3] / "datasets" / "street-2"
CN_CLASSES = ("garbage", "bin", "bin_overflow")


@dataclass(frozen=True, slots=True)
class Ground:
    """Flat ground of a picture.

    Args:
        foot: y of the line where it meets the wall, pixels.
        horizon: y of the horizon, above foot.
        eye_m: height of the camera above the ground.
        left, right: span of x in which it is free, pixels.
    """

    foot: float
    horizon: float
    eye_m: float
    left: float
    right: float

    def scale(self, y: float) -> float:
        """Pixels per metre for things that stand on the ground at y.

        >>> Ground(260, 100, 1.6, 0, 640).scale(260)
        100.0
        """
        return max(y - self.horizon, 1.0) / self.eye_m


@dataclass(frozen=True)
class Background:
    """A real picture, not yet loaded.

    Args:
        name: set/picture, without suffix.
        path: its file.
        boxes: label and shares (x0, y0, x1, y1) of width and height; windows, doors and signs included.
        split: the list it is on.
        kind: what it can be used for.
        place: where the ground is, from a person who looked; None where nobody said so.
        sources: sills and wall boxes that a cable can come from, where a person marked them, shares.
        context: what the source does not label, as a model or a person found it: label, shares, score.
    """

    name: str
    path: Path
    boxes: tuple[tuple[str, Box], ...]
    split: Split
    kind: Kind
    place: Place | None = None
    context: tuple[tuple[str, Box, float], ...] = ()
    sources: tuple[Point, ...] = ()


@dataclass
class View:
    """A background loaded at its final size: 8-bit BGR picture and everything in pixels."""

    name: str
    picture: Picture
    ground: Ground | None
    labels: list[tuple[str, Box]]
    """Boxes of this project's classes."""
    sources: list[Box]
    """Windows a cable can come from."""
    signs: list[Box]
    """Things that stick out of the wall and hide a cable behind them."""
    bikes: list[Box] = field(default_factory=list)
    """Real bikes at rest."""
    kind: Kind = "facade"
    doubtful: list[tuple[str, Box]] = field(default_factory=list)
    """Where something may be: neither positive nor negative."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]


def listed(folder: Path, split: Split) -> list[Path]:
    """Pictures of a set's train or val list, without those of the train list that are held out.

    Raises:
        Failure: the list is missing.
    """
    try:
        lines = (folder / f"{split}.txt").read_text(encoding="utf-8").split()
    except OSError as error:
        raise Failure(
            f"{folder / (split + '.txt')}: cannot be read ({error.strerror}); --data is wrong."
        ) from error
    kept = held_out(ADDED) if split == "train" else frozenset()
    return [folder / line for line in lines if f"{folder.name}/{Path(line).stem}" not in kept]


def shares_of(picture: Path) -> list[tuple[int, Box]]:
    """Class numbers and (x0, y0, x1, y1) shares of a picture's YOLO labels; none where it has no file."""
    path = picture.parent.parent / "labels" / f"{picture.stem}.txt"
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, x, y, w, h = (float(v) for v in line.split()[:5])
        found.append((int(number), (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
    return found


FACADE_NAMES = ("window", "cantilever", "arch", "signboard", "win_ad", "door")


def backgrounds(data: Path, split: Split) -> list[Background]:
    """List every picture of one split that a scene can be built on."""
    found = [
        *_of_set(data / "facade_spb_cc0", split, "facade", FACADE_NAMES),
        *_of_set(data / "cn_garbage_bins", split, "street", CN_CLASSES),
        *_of_set(data / "parked_scooters", split, "bike", ("motorcycle",)),
    ]
    return [b for b in found if b.kind != "bike" or _before_a_street(b)]


def _before_a_street(background: Background) -> bool:
    """A bike outdoors that leaves room for a cable around it."""
    small = all(box[2] - box[0] < 0.85 and box[1] > 0.06 for _, box in background.boxes)
    return background.path.name.startswith("out_") and small


def _of_set(
    folder: Path,
    split: Split,
    kind: Kind,
    names: tuple[str, ...],
) -> Iterable[Background]:
    places, context, added = read_places(PLACES), read_context(CONTEXT), read_added(ADDED)
    sources = read_sources(SOURCES)
    for path in listed(folder, split):
        name = f"{folder.name}/{path.stem}"
        boxes = tuple((names[number], box) for number, box in shares_of(path) if number < len(names))
        if kind != "street" or _shows_a_street(boxes):
            more = (*context.get(name, ()), *added.get(name, ()))
            points = tuple(sources.get(name, ()))
            yield Background(name, path, boxes, split, kind, places.get(name), more, points)


def _shows_a_street(boxes: Iterable[tuple[str, Box]]) -> bool:
    return any(_standing_bin(label, box) for label, box in boxes)


def _standing_bin(label: str, box: Box) -> bool:
    inside = box[3] < 0.97 and box[1] > 0.02
    upright = (box[3] - box[1]) > 0.9 * (box[2] - box[0])
    return label in {"bin", "bin_overflow"} and inside and upright and 0.09 < box[3] - box[1] < 0.36


def load(background: Background, rng: np.random.Generator) -> View:
    """Load a picture, cut out a random part that keeps its lower edge, and find its ground.

    Raises:
        Failure: the file is no picture.
    """
    picture = cv2.imread(str(background.path))
    if picture is None:
        raise Failure(f"{background.path}: is no picture that can be read.")
    h, w = picture.shape[:2]
    x0, y0, x1, y1 = _crop(background, rng)
    part = picture[round(y0 * h) : round(y1 * h), round(x0 * w) : round(x1 * w)]
    scale = LONGEST_PX / max(part.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=how), np.uint8)
    boxes = [(label, _inside(box, (x0, y0, x1, y1), small.shape)) for label, box in background.boxes]
    kept = [(label, box) for label, box in boxes if _seen(box)]
    view = _view(background, small, kept, (x0, y0, x1, y1), rng)
    _add_context(view, background, (x0, y0, x1, y1))
    around = [(x - 0.01, y - 0.01, x + 0.01, y + 0.01) for x, y in background.sources]
    inside = [_inside(box, (x0, y0, x1, y1), small.shape) for box in around]
    view.sources += [box for box in inside if _seen(box)]
    return view


def _seen(box: Box) -> bool:
    return box[2] - box[0] > 3 and box[3] - box[1] > 3


def _add_context(view: View, background: Background, crop: Box) -> None:
    """Label what the base model is sure of; of bikes, those nobody sits on may be charged."""
    boxes = [
        (label, _inside(box, crop, view.picture.shape), score) for label, box, score in background.context
    ]
    new = [
        (label, box, score)
        for label, box, score in boxes
        if _seen(box) and (score >= CERTAIN or all(overlap(box, given) < 0.7 for _, given in view.labels))
    ]
    view.labels += [(label, box) for label, box, score in new if score >= SURE]
    view.doubtful += [(label, box) for label, box, score in new if score < SURE]
    people = [box for label, box, _ in new if label == "person"]
    view.bikes += [
        box
        for label, box, score in new
        if label == "motorcycle" and score >= SURE and box[2] - box[0] > 40
        and all(overlap(box, p) < 0.3 for p in people)
    ]  # fmt: skip


def overlap(a: Box, b: Box) -> float:
    """Shared area over the smaller one's.

    >>> overlap((0, 0, 10, 10), (5, 0, 30, 10))
    0.5
    """
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    least = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(w, 0) * max(h, 0) / max(least, 1e-9)


def _crop(background: Background, rng: np.random.Generator) -> Box:
    if background.kind == "bike" or rng.random() < 0.35:
        return 0.0, 0.0, 1.0, 1.0
    part = rng.uniform(0.6, 1.0)
    x0 = rng.uniform(0, 1 - part)
    if background.kind == "facade":
        return x0, 1 - part, x0 + part, 1.0
    lowest = max((box[3] for _, box in background.boxes), default=1.0)
    y0 = rng.uniform(max(min(lowest + 0.05, 1.0) - part, 0.0), 1 - part)
    return x0, y0, x0 + part, y0 + part


def _inside(box: Box, crop: Box, shape: tuple[int, ...]) -> Box:
    h, w = shape[:2]
    xs = [np.clip((v - crop[0]) / (crop[2] - crop[0]), 0, 1) * w for v in (box[0], box[2])]
    ys = [np.clip((v - crop[1]) / (crop[3] - crop[1]), 0, 1) * h for v in (box[1], box[3])]
    return float(xs[0]), float(ys[0]), float(xs[1]), float(ys[1])


def _view(
    background: Background,
    picture: Picture,
    boxes: list[tuple[str, Box]],
    crop: Box,
    rng: np.random.Generator,
) -> View:
    def of(*names: str) -> list[Box]:
        return [box for label, box in boxes if label in names]

    ours = [(label, box) for label, box in boxes if label in {*CN_CLASSES, "motorcycle"}]
    ground = _ground(background, boxes, crop, picture.shape, rng)
    signs = of("cantilever", "signboard")
    return View(
        background.name, picture, ground, ours, of("window"), signs, of("motorcycle"), background.kind
    )


def _ground(
    background: Background,
    boxes: list[tuple[str, Box]],
    crop: Box,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Ground | None:
    h, w = shape[:2]
    if background.kind == "facade":
        return _facade_ground(background.place, boxes, crop, (h, w))
    if background.kind == "street":
        return _street_ground(boxes, (h, w), rng)
    if not boxes:
        return None
    box = boxes[0][1]
    scale = (box[2] - box[0]) / BIKE_LONG_M
    return Ground(box[3] - 0.15 * scale, box[3] - 0.15 * scale - EYE_M * scale, EYE_M, 0, w)


def _facade_ground(
    place: Place | None, boxes: list[tuple[str, Box]], crop: Box, shape: tuple[int, int]
) -> Ground | None:
    h, w = shape
    if place is None:
        return None
    doors = [b for label, b in boxes if label == "door" and b[3] < 0.985 * h and b[1] > 2]
    foot = (place.foot - crop[1]) / (crop[3] - crop[1]) * h
    windows = [b for label, b in boxes if label == "window" and b[1] > 2 and b[3] < foot - 0.06 * h]
    scales = [(b[3] - b[1]) / DOOR_M for b in doors] or [(b[3] - b[1]) / WINDOW_M for b in windows]
    left, right = ((v - crop[0]) / (crop[2] - crop[0]) * w for v in (place.left, place.right))
    if not scales or foot > 1.04 * h or min(right, w) - max(left, 0) < 30:
        return None
    scale = min(max(median(scales), 14.0), 170.0)
    return Ground(foot, foot - EYE_M * scale, EYE_M, max(left, 0), min(right, w))


def _street_ground(
    boxes: list[tuple[str, Box]], shape: tuple[int, int], rng: np.random.Generator
) -> Ground | None:
    h, w = shape
    standing = [b for label, b in boxes if _standing_bin(label, (b[0] / w, b[1] / h, b[2] / w, b[3] / h))]
    if not standing:
        return None
    box = standing[int(rng.integers(len(standing)))]
    scale = (box[3] - box[1]) / BIN_M
    left, right = max(box[0] - STREET_REACH_M * scale, 0.0), min(box[2] + STREET_REACH_M * scale, float(w))
    return Ground(box[3] - 0.15 * scale, box[3] - EYE_M * scale, EYE_M, left, right)
