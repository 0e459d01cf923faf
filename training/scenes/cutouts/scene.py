"""One picture: a real street with one to three stalls in it, and what the source labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.scenes.cutouts.pieces import PEOPLE, STALLS, Listed, pieces_of
from training.scenes.cutouts.stall import Stand
from training.scenes.weather import any_weather
from training.scenes.wires.backgrounds import Background, Split, View, backgrounds, load, overlap
from training.scenes.wires.paint import Box, Canvas, Floats, Picture, box_of
from training.scenes.wires.scene import Made, local_light, mirrored

EMPTY_SHARE = 0.12
CORE = 0.4
LEAST_PX = {"stall": 24.0, "person": 14.0}
LEAST_VISIBLE = {"stall": 0.5, "person": 0.3}
FARTHEST_PX_PER_M = 22.0


@dataclass(frozen=True)
class Stock:
    """What one split's pictures are made of."""

    backgrounds: tuple[Background, ...]
    stalls: tuple[Listed, ...]
    people: tuple[Listed, ...]


@lru_cache(maxsize=2)
def stock(data: Path, split: Split) -> Stock:
    """List backgrounds, stalls and people of one split."""
    places = tuple(b for b in backgrounds(data, split) if b.kind != "bike")
    stalls = tuple(pieces_of(data / "in_street_vendor", STALLS, split))
    return Stock(places, stalls, tuple(pieces_of(data / "coco_mini", PEOPLE, split)))


def make(data: Path, split: Split, seed: int, number: int) -> Made:
    """Make picture `number`; it depends on the arguments alone."""
    rng = np.random.default_rng([seed, number, 2 if split == "train" else 3])
    have = stock(data, split)
    empty = rng.random() < EMPTY_SHARE
    for _ in range(12):
        view = _any_view(have, rng)
        places = [] if empty else _places(view, rng)
        if empty or places:
            break
    canvas = Canvas(view.picture)
    stand = Stand(view, canvas, local_light(view.picture), rng)
    for at in places:
        stand.put(at, have.stalls, have.people)
    return _finish(view, canvas, stand, rng)


def _any_view(have: Stock, rng: np.random.Generator) -> View:
    """A background with ground that is near enough to carry a stall."""
    for _ in range(40):
        sort = rng.choice(["facade", "street"], p=[0.45, 0.55])
        fitting = [b for b in have.backgrounds if b.kind == sort]
        if not fitting:
            continue
        view = load(fitting[int(rng.integers(len(fitting)))], rng)
        if view.ground is not None and view.ground.scale(view.ground.foot) >= FARTHEST_PX_PER_M:
            return view
    return view


def _places(view: View, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Where one to three stalls can stand, far to near: clear of labelled things and each other."""
    ground, h = view.ground, view.shape[0]
    if ground is None:
        return []
    near = ground.scale(ground.foot)
    reach = 2.2 if view.kind == "facade" else 1.4
    lowest = min(h + 0.05 * near, ground.foot + reach * near)
    taken: list[Box] = [box for _, box in view.labels]
    found: list[tuple[float, float]] = []
    for _ in range(40):
        if len(found) == int(rng.choice([1, 2, 3], p=[0.68, 0.24, 0.08])):
            break
        y = rng.uniform(min(ground.foot + 0.25 * near, lowest - 1), lowest)
        x, scale = rng.uniform(ground.left, ground.right), ground.scale(y)
        box = (x - 0.9 * scale, y - 1.4 * scale, x + 0.9 * scale, y)
        if all(overlap(box, other) < 0.15 for other in taken):
            found.append((x, y))
            taken.append(box)
    return sorted(found, key=lambda at: at[1])


def _finish(view: View, canvas: Canvas, stand: Stand, rng: np.random.Generator) -> Made:
    labels = [
        pair for pair in view.labels if not _covered(pair[1], [canvas.tracked[k] for k in stand.stalls])
    ]
    shown: list[Floats] = []
    for label, tracks in (("stall", stand.stalls), ("person", stand.people)):
        for track in tracks:
            box = _visible_box(canvas, track, label)
            if box is not None:
                labels.append((label, box))
                shown.append(canvas.tracked[track])
    picture: Picture = any_weather(canvas.pictures()[0], rng)
    made = Made(
        picture,
        labels,
        view.doubtful,
        shown,
        "stall" if stand.stalls else "real",
        view.name,
        tuple(stand.sources),
    )
    return mirrored(made) if rng.random() < 0.5 else made


def _visible_box(canvas: Canvas, track: int, label: str) -> Box | None:
    cover = canvas.tracked[track]
    box = box_of(cover, CORE)
    if box is None or min(box[2] - box[0], box[3] - box[1]) < LEAST_PX[label]:
        return None
    share = float((cover > CORE).sum()) / max((box[2] - box[0]) * (box[3] - box[1]), 1)
    return box if share > LEAST_VISIBLE[label] * 0.4 else None


def _covered(box: Box, covers: list[Floats]) -> bool:
    """Say whether pasted stalls hide most of a labelled thing."""
    rows, columns = slice(int(box[1]), int(box[3]) + 1), slice(int(box[0]), int(box[2]) + 1)
    return bool(covers) and float(np.max([c[rows, columns] for c in covers], 0).mean()) > 0.5
