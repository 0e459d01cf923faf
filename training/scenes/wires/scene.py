"""One picture: a real street, perhaps bikes, perhaps flying wires, perhaps what only looks like them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from training.scenes.weather import any_weather, jpeg
from training.scenes.wires import clutter, clutter_walls
from training.scenes.wires.backgrounds import (
    Background,
    Split,
    View,
    backgrounds,
    listed,
    load,
    overlap,
    shares_of,
)
from training.scenes.wires.bikes import CutOut, cut_out
from training.scenes.wires.clutter import Clutter
from training.scenes.wires.paint import Box, Canvas, Floats, Picture, at_least, box_of
from training.scenes.wires.run import Wire, hang_wires, paint_run
from training.scenes.wires.standing import Standing, paint_bike, paint_shadow, stand

Kind = Literal["wire", "bike", "clutter", "real"]
KINDS: tuple[tuple[Kind, float], ...] = (("wire", 0.46), ("bike", 0.22), ("clutter", 0.18), ("real", 0.14))
"""What a picture shows and how often: more than half carry no flying wire."""

LEAST_MARKED, MARKED_SHARE = 8, 0.4
"""How often a street whose windows are marked is taken, where there are so many of them."""
MIN_SIDE_PX = 20.0
CORE = 0.25
"""Cover above which a pixel shows the cable."""
LEAST_GREY = 5.0
"""Mean difference in grey levels that a visible cable makes in the finished picture."""

ON_THE_GROUND: tuple[Clutter, ...] = (
    clutter_walls.hose,
    clutter_walls.railing,
    clutter_walls.loose_end,
    clutter_walls.down_pipe,
)
"""For streets, where no wall is known."""
IN_THE_AIR: tuple[Clutter, ...] = (
    clutter.overhead_lines,
    clutter.overhead_lines,
    clutter.crossing_lines,
    clutter.washing_line,
    clutter.branches,
)
ON_THE_WALL: tuple[Clutter, ...] = (
    clutter_walls.stapled_cable,
    clutter_walls.stapled_cable,
    clutter_walls.down_pipe,
    clutter_walls.hose,
    clutter_walls.crack,
    clutter_walls.railing,
    clutter_walls.loose_end,
)


@dataclass(frozen=True)
class Made:
    """A finished picture.

    Args:
        picture: 8-bit BGR (H, W, 3).
        labels: class and box in pixels.
        doubtful: the same for regions that are neither positive nor negative.
        wires: visible cover (H, W) of each flying wire, in the order of their labels.
        kind: what it shows.
        background: the picture it was built on, set/name.
        bikes: the pictures that its pasted bikes were cut from.
        contrast: mean difference in grey levels that each flying wire makes where it covers, in order.
    """

    picture: Picture
    labels: list[tuple[str, Box]]
    doubtful: list[tuple[str, Box]]
    wires: list[Floats]
    kind: Kind | Literal["stall"]
    background: str
    bikes: tuple[str, ...]
    contrast: tuple[float, ...] = ()


@dataclass(frozen=True)
class Stock:
    """What one split's pictures are made of."""

    split: Split
    backgrounds: tuple[Background, ...]
    bikes: tuple[tuple[Path, Box], ...]


@lru_cache(maxsize=2)
def stock(data: Path, split: Split) -> Stock:
    """List backgrounds and bikes of one split."""
    folder = data / "parked_scooters"
    bikes = [(p, shares_of(p)) for p in listed(folder, split) if p.name.startswith("prod_")]
    return Stock(
        split, tuple(backgrounds(data, split)), tuple((p, found[0][1]) for p, found in bikes if found)
    )


@lru_cache(maxsize=256)
def _bike(path: Path, shares: Box) -> CutOut | None:
    picture = cv2.imread(str(path))
    if picture is None:
        return None
    h, w = picture.shape[:2]
    return cut_out(path, (shares[0] * w, shares[1] * h, shares[2] * w, shares[3] * h))


def make(data: Path, split: Split, seed: int, number: int) -> Made:
    """Make picture `number`; it depends on the arguments alone."""
    rng = np.random.default_rng([seed, number, 0 if split == "train" else 1])
    have = stock(data, split)
    kind = KINDS[int(rng.choice(len(KINDS), p=[share for _, share in KINDS]))][0]
    for _ in range(8):
        view = _any_view(have, kind, rng)
        bikes = _any_bikes(have, view, rng) if kind in {"wire", "bike"} else []
        wires = hang_wires(view, [b for _, b in bikes], split, rng) if kind == "wire" else []
        if wires or (kind == "bike" and (bikes or view.bikes)) or kind in {"clutter", "real"}:
            break
    canvas = _compose(view, bikes, wires, kind, rng)
    return _finish(canvas, view, bikes, kind, rng)


def _any_view(have: Stock, kind: Kind, rng: np.random.Generator) -> View:
    """A background that the kind of picture can be built on, each sort of set equally often."""
    for _ in range(40):
        sort = rng.choice(["facade", "street", "bike"], p=[0.52, 0.36, 0.12])
        fitting = [b for b in have.backgrounds if b.kind == sort]
        if not fitting:
            continue
        marked = [b for b in fitting if b.sources]
        if len(marked) >= LEAST_MARKED and rng.random() < MARKED_SHARE:
            fitting = marked
        view = load(fitting[int(rng.integers(len(fitting)))], rng)
        if kind not in {"wire", "bike"} or view.ground is not None:
            return view
    return view


def _any_bikes(have: Stock, view: View, rng: np.random.Generator) -> list[tuple[str, Standing]]:
    """Stand one to four bikes on free ground, from far to near; none where real bikes are in view."""
    ground = view.ground
    if ground is None or view.kind == "bike":
        return []
    h = view.shape[0]
    found: list[tuple[str, Standing]] = []
    taken = [box for _, box in view.labels + view.doubtful]
    wanted = int(rng.choice([1, 2, 3, 4], p=[0.5, 0.27, 0.15, 0.08]))
    near = ground.scale(ground.foot)
    reach = 2.2 if view.kind == "facade" else 1.3
    lowest = min(h + 0.15 * near, ground.foot + reach * near)
    for _ in range(wanted * 8):
        y = rng.uniform(min(ground.foot + 0.12 * near, lowest - 1), lowest)
        cut = _bike(*have.bikes[int(rng.integers(len(have.bikes)))])
        if cut is None:
            continue
        bike = stand(view, cut, (rng.uniform(ground.left, ground.right), y), rng)
        if bike is not None and all(overlap(bike.box, box) < 0.12 for box in taken):
            found.append((cut.name, bike))
            taken.append(bike.box)
        if len(found) == wanted:
            break
    return sorted(found, key=lambda pair: pair[1].y)


def _compose(
    view: View, bikes: list[tuple[str, Standing]], wires: list[Wire], kind: Kind, rng: np.random.Generator
) -> Canvas:
    canvas = Canvas(view.picture)
    if kind == "real":
        return canvas
    busy = 1.0 if kind == "clutter" else 0.75 if kind == "bike" else 0.4
    everywhere = [b.box for _, b in bikes] + view.bikes
    away = replace(view, bikes=everywhere)
    if view.kind != "bike":
        _scatter(canvas, away, ON_THE_WALL if view.kind == "facade" else ON_THE_GROUND, busy, rng)
    light = local_light(view.picture)
    for _, bike in bikes:
        paint_shadow(canvas, bike, rng)
    for wire in wires:
        if not wire.before:
            paint_run(canvas, view, wire, light, rng)
    for _, bike in bikes:
        paint_bike(canvas, bike)
    for wire in wires:
        if wire.before:
            paint_run(canvas, view, wire, light, rng)
    in_the_air = tuple(c for c in IN_THE_AIR if view.kind == "facade" or c is not clutter.washing_line)
    _scatter(canvas, away, in_the_air, busy * 0.8, rng)
    return canvas


def _scatter(
    canvas: Canvas, view: View, kinds: tuple[Clutter, ...], share: float, rng: np.random.Generator
) -> None:
    if rng.random() < share:
        for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
            kinds[int(rng.integers(len(kinds)))](canvas, view, rng)


def local_light(picture: Picture) -> Floats:
    """How bright each place is against the picture as a whole (H, W), between 0.55 and 1.15."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (32, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    share = np.clip((cv2.GaussianBlur(small, (0, 0), 2.5) / max(float(small.mean()), 20)) ** 0.5, 0.55, 1.15)
    level = np.clip((float(small.mean()) / 128) ** 0.4, 0.7, 1.05)
    return np.asarray(
        cv2.resize(share * level, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32
    )


def _finish(
    canvas: Canvas, view: View, bikes: list[tuple[str, Standing]], kind: Kind, rng: np.random.Generator
) -> Made:
    """Weather, then labels: a wire that weather has hidden is shown in clear weather instead."""
    seen, bare = canvas.pictures()
    seed = int(rng.integers(2**31))
    picture = any_weather(seen, np.random.default_rng(seed))
    covers = [cover for cover in canvas.tracked if (cover > CORE).sum() >= 12]
    contrast: list[float] = []
    if covers:
        without = any_weather(bare, np.random.default_rng(seed))
        contrast = [_difference(picture, without, cover) for cover in covers]
        if min(contrast) < LEAST_GREY:
            picture = jpeg(seen, int(rng.integers(60, 95)))
            contrast = [_difference(picture, bare, cover) for cover in covers]
    labels = [*view.labels, *(("motorcycle", bike.box) for _, bike in bikes)]
    for cover in covers:
        box = box_of(cover, CORE)
        if box is not None:
            labels.append(("flying_wire", at_least(box, MIN_SIDE_PX, view.shape)))
    names = tuple(name for name, _ in bikes)
    made = Made(picture, labels, view.doubtful, covers, kind, view.name, names, tuple(contrast))
    return mirrored(made) if rng.random() < 0.5 else made


def _difference(a: Picture, b: Picture, cover: Floats) -> float:
    """Mean difference of two pictures in grey levels where a cover is solid."""
    at = cover > CORE
    return float(np.abs(a[at].astype(np.float32) - b[at]).mean())


def mirrored(made: Made) -> Made:
    w = made.picture.shape[1]
    labels, doubtful = (
        [(label, (w - b[2], b[1], w - b[0], b[3])) for label, b in boxes]
        for boxes in (made.labels, made.doubtful)
    )
    wires = [np.ascontiguousarray(cover[:, ::-1]) for cover in made.wires]
    picture = np.ascontiguousarray(made.picture[:, ::-1])
    return replace(made, picture=picture, labels=labels, doubtful=doubtful, wires=wires)
