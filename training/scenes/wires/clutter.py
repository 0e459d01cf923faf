"""What looks like a flying wire and is none: hard negatives in the air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.scenes.wires.backgrounds import View
from training.scenes.wires.catenary import Points, catenary
from training.scenes.wires.paint import Canvas, Colour, Patch, area, stroke

Clutter = Callable[[Canvas, View, np.random.Generator], None]

CLOTHES: tuple[Colour, ...] = (
    (60, 60, 190), (200, 200, 205), (150, 90, 50), (70, 60, 60), (90, 140, 200), (120, 160, 110),
    (170, 110, 180),
)  # fmt: skip


def metre(view: View, rng: np.random.Generator) -> float:
    """Pixels per metre at the wall; a guess from the picture's height where no ground is known."""
    if view.ground is None:
        return view.shape[0] / rng.uniform(4.5, 9)
    return view.ground.scale(view.ground.foot)


def _tint(colour: Colour, rng: np.random.Generator, spread: float = 12) -> Colour:
    b, g, r = (float(np.clip(v + rng.normal(0, spread), 3, 252)) for v in colour)
    return b, g, r


def _dark(rng: np.random.Generator) -> Colour:
    return _tint((42, 40, 38), rng) if rng.random() < 0.8 else _tint((120, 120, 118), rng)


def overhead_lines(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Telegraph and power lines: spans high up from edge to edge, to a pole, or in a fan from the wall."""
    h, w = view.shape
    width = rng.uniform(0.7, 2.2)
    left, right = rng.uniform(-0.05, 0.5, 2) * h
    gap = rng.uniform(0.012, 0.05) * h
    for k in range(int(rng.integers(1, 8))):
        fan = rng.uniform(0.3, 1) if rng.random() < 0.5 else 1.0
        a, b = left + k * gap, right + k * gap * fan
        curve = catenary((-20.0, a), (w + 20.0, b), rng.uniform(0.0002, 0.006), 40)
        thick = width * rng.uniform(0.7, 1.3)
        canvas.paint(stroke(curve, thick, view.shape), _dark(rng))
    if rng.random() < 0.35:
        _pole(canvas, view, rng)


def crossing_lines(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Bundles that cross the view steeply: from the upper edge to a side, or across a lane."""
    h, w = view.shape
    for _ in range(int(rng.integers(1, 4))):
        start = (rng.uniform(0, w), -15.0)
        end = (float(rng.choice([-15.0, w + 15.0])), rng.uniform(0.03, 0.6) * h)
        colour, thick = _dark(rng), rng.uniform(0.7, 2.4)
        for _ in range(int(rng.integers(1, 4))):
            off = rng.normal(0, 3 + 2 * thick, 2)
            curve = catenary(
                (start[0] + off[0], start[1]), (end[0], end[1] + off[1]), rng.uniform(0.001, 0.03), 40
            )
            canvas.paint(stroke(curve, thick, view.shape), colour)


def _pole(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    h, w = view.shape
    x, wide = rng.uniform(0.05, 0.95) * w, rng.uniform(0.008, 0.02) * w
    low = view.ground.foot + rng.uniform(0, 0.06) * h if view.ground else rng.uniform(0.7, 1.05) * h
    lean = rng.normal(0, 0.01) * w
    line = np.array([[x + lean, -5.0], [x, low]])
    tone = rng.uniform(70, 150)
    canvas.paint(stroke(line, wide, view.shape), (tone, tone * 1.02, tone * 1.03))
    canvas.shade(stroke(line + np.array([wide * 0.3, 0]), wide * 0.35, view.shape), 0.3)


def washing_line(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A line between two points of the wall, with clothes or with nothing on it."""
    h, w = view.shape
    m = min(metre(view, rng), 110.0)
    long = rng.uniform(1.5, 4.5) * m
    x = rng.uniform(0, max(w - long, 1))
    base = (view.ground.foot if view.ground else 0.9 * h) - rng.uniform(1.7, 4.0) * m
    y = max(base, 6.0)
    curve = catenary((x, y), (x + long, y + rng.normal(0, 0.12) * m), rng.uniform(0.001, 0.02), 40)
    canvas.paint(stroke(curve, max(0.006 * m, 0.7), view.shape), _tint((190, 190, 190), rng, 40))
    if rng.random() < 0.65:
        _hang_clothes(canvas, curve, m, rng)


def _hang_clothes(canvas: Canvas, curve: Points, m: float, rng: np.random.Generator) -> None:
    at = rng.uniform(0.05, 0.2)
    while at < 0.9:
        x, y = curve[int(at * (len(curve) - 1))]
        wide, tall = rng.uniform(0.25, 0.6) * m, rng.uniform(0.35, 1.0) * m
        colour = np.array(_tint(CLOTHES[int(rng.integers(len(CLOTHES)))], rng, 20))
        quad = np.array(
            [
                [x, y],
                [x + wide, y],
                [x + wide * rng.uniform(0.8, 1.1), y + tall],
                [x + wide * rng.uniform(-0.1, 0.2), y + tall],
            ]
        )
        canvas.paint(area(quad, canvas.shape), _folds(area(quad, canvas.shape), colour, rng))
        at += wide / max(float(curve[-1, 0] - curve[0, 0]), 1) + rng.uniform(0.01, 0.2)


def _folds(patch: Patch, colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    h, w = patch.cover.shape
    waves = 1 + 0.18 * np.sin(np.linspace(0, rng.uniform(4, 16), w) + rng.uniform(0, 6))
    return np.asarray(np.broadcast_to((waves[None, :, None] * colour), (h, w, 3)), np.float32)


def branches(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A bare branch with twigs that reaches into the picture, with leaves or without."""
    h, w = view.shape
    left = rng.random() < 0.5
    start = np.array([-5.0 if left else w + 5.0, rng.uniform(-0.1, 0.45) * h])
    angle = (0 if left else np.pi) + rng.normal(0.2 if left else -0.2, 0.5)
    colour = _tint((45, 55, 62), rng)
    leaf = _tint((50, 105, 75), rng, 18) if rng.random() < 0.45 else None
    bough = _Bough(start, angle, rng.uniform(0.15, 0.4) * w, rng.uniform(2.5, 6), 3)
    _grow(canvas, bough, colour, leaf, rng)


@dataclass(frozen=True, slots=True)
class _Bough:
    """One bough: its beginning (x, y), direction in radians, length and thickness in pixels, forks left."""

    start: np.ndarray
    angle: float
    long: float
    thick: float
    forks: int


def _grow(
    canvas: Canvas, bough: _Bough, colour: Colour, leaf: Colour | None, rng: np.random.Generator
) -> None:
    n = 10
    turns = bough.angle + np.cumsum(rng.normal(0, 0.13, n))
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * bough.long / n
    points = np.vstack([bough.start, bough.start + np.cumsum(steps, 0)])
    widths = np.linspace(bough.thick, max(bough.thick * 0.45, 0.7), n + 1)
    canvas.paint(stroke(points, widths, canvas.shape), colour)
    if leaf is not None and bough.forks < 2:
        for at in points[2:]:
            spot = rng.normal(0, 3, (5, 2)) + at + rng.normal(0, 4, 2)
            canvas.paint(area(spot, canvas.shape), _tint(leaf, rng, 14))
    if bough.forks:
        for at in rng.integers(3, n + 1, int(rng.integers(2, 5))):
            turn = float(turns[min(at, n - 1)] + rng.choice([-1, 1]) * rng.uniform(0.35, 0.9))
            long = bough.long * rng.uniform(0.35, 0.65)
            _grow(
                canvas, _Bough(points[at], turn, long, bough.thick * 0.5, bough.forks - 1), colour, leaf, rng
            )
