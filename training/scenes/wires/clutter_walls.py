"""What looks like a flying wire and is none: hard negatives on walls and on the ground."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from training.scenes.wires.backgrounds import View
from training.scenes.wires.catenary import catenary, laid_on, spiral, wobbled
from training.scenes.wires.clutter import _dark, _tint, metre
from training.scenes.wires.paint import Canvas, Colour, softened, stroke


def _foot(view: View) -> float:
    return view.ground.foot if view.ground else 0.95 * view.shape[0]


def stapled_cable(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Cables that run flat along the wall: level and upright runs with square corners, hardly sagging."""
    h, w = view.shape
    m = metre(view, rng)
    x, y = rng.uniform(-0.1, 0.6) * w, np.clip(_foot(view) - rng.uniform(0.3, 5.5) * m, 5, h - 5)
    runs = [[x, y]]
    for k in range(int(rng.integers(1, 5))):
        if k % 2 == 0:
            runs.append([runs[-1][0] + rng.uniform(0.8, 8) * m, runs[-1][1] + rng.normal(0, 0.03) * m])
        else:
            low = min(runs[-1][1] + rng.uniform(-2.5, 2.5) * m, _foot(view))
            runs.append([runs[-1][0] + rng.normal(0, 0.02) * m, low])
    colour, thick = (
        (_dark(rng) if rng.random() < 0.6 else _tint((205, 208, 208), rng)),
        rng.uniform(0.75, 2.2),
    )
    for k in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))):
        _along(canvas, [(px, py + 2.2 * thick * k) for px, py in runs], colour, thick, m, rng)


def _along(
    canvas: Canvas,
    runs: list[tuple[float, float]],
    colour: Colour,
    thick: float,
    m: float,
    rng: np.random.Generator,
) -> None:
    for (ax, ay), (bx, by) in pairwise(runs):
        long = float(np.hypot(bx - ax, by - ay))
        n = max(int(long / (rng.uniform(0.4, 1.2) * m)), 1)
        for k in range(n):
            a = (ax + (bx - ax) * k / n, ay + (by - ay) * k / n)
            b = (ax + (bx - ax) * (k + 1) / n, ay + (by - ay) * (k + 1) / n)
            line = catenary(a, b, rng.uniform(0.0003, 0.004), 10)
            shade = stroke(line + np.array([0.6, 0.8]), thick, canvas.shape)
            canvas.shade(softened(shade, 0.6, canvas.shape), 0.25)
            canvas.paint(stroke(line, thick, canvas.shape), colour)


def down_pipe(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A rain pipe from above to the wall's foot, or a thin gas pipe."""
    w = view.shape[1]
    m, foot = metre(view, rng), _foot(view)
    x = rng.uniform(0.03, 0.97) * w
    wide = max(rng.uniform(0.025, 0.11) * m, 1.5)
    base = _tint((150, 150, 145), rng, 35) if rng.random() < 0.8 else _tint((40, 170, 210), rng)
    line = np.array([[x, -5.0], [x, foot - 0.35 * m], [x + rng.normal(0, 0.12) * m, foot - 0.1 * m]])
    canvas.shade(
        softened(stroke(line + np.array([wide * 0.6, 0]), wide, view.shape), 0.25 * wide + 0.4, view.shape),
        0.35,
    )
    canvas.paint(stroke(line, wide, view.shape), base)
    canvas.shade(stroke(line + np.array([wide * 0.3, 0]), wide * 0.4, view.shape), 0.3)
    for y in np.arange(rng.uniform(0, m), foot, rng.uniform(1.0, 1.8) * m):
        ring = np.array([[x - 0.7 * wide, y], [x + 0.7 * wide, y]])
        canvas.paint(stroke(ring, max(0.25 * wide, 1), view.shape), _tint(base, rng, 25))


def hose(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A garden hose on the ground, partly rolled up, sometimes hanging from a tap."""
    w = view.shape[1]
    m, foot = metre(view, rng), _foot(view)
    colour = _tint([(70, 140, 60), (150, 90, 40), (40, 180, 210), (60, 60, 170)][int(rng.integers(4))], rng)
    thick = np.clip(rng.uniform(0.02, 0.03) * m, 1.3, 6)
    x = rng.uniform(0.05, 0.8) * w
    y = min(foot + rng.uniform(0.05, 0.6) * m, view.shape[0] - 4)
    ground = np.array(
        [[x + k * 0.25 * m, y + rng.normal(0, 0.06) * m] for k in range(int(rng.integers(5, 14)))]
    )
    line = wobbled(np.repeat(ground, 3, 0), 0.05 * m, rng)
    if view.kind == "facade" and rng.random() < 0.4:
        tap = catenary((x, foot - rng.uniform(0.5, 1.2) * m), (x, y), 0.04, 20)
        line = np.vstack([tap, line])
    canvas.shade(
        softened(stroke(line + np.array([0, thick * 0.5]), thick, view.shape), 1.0, view.shape), 0.35
    )
    canvas.paint(stroke(line, thick, view.shape), colour)
    if rng.random() < 0.5:
        coil = spiral((float(line[-1, 0]), y), rng.uniform(0.2, 0.35) * m, rng.uniform(2, 5), 0.35, rng)
        canvas.paint(stroke(coil, thick, view.shape), colour)


def crack(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A crack in plaster: dark, jagged, forked, running down."""
    h, w = view.shape
    m = metre(view, rng)
    for _ in range(int(rng.integers(1, 3))):
        n = int(rng.integers(12, 40))
        start = np.array([rng.uniform(0, w), rng.uniform(0, 0.6) * h])
        angle = rng.uniform(0.2, 2.9) + np.cumsum(rng.normal(0, 0.12, n)) + rng.normal(0, 0.45, n)
        line = start + np.cumsum(
            np.stack([np.cos(angle), np.sin(angle)], 1) * 0.06 * m * rng.uniform(0.4, 1.6, (n, 1)), 0
        )
        line = line[line[:, 1] < _foot(view)]
        if len(line) > 3:
            canvas.shade(stroke(line, rng.uniform(0.7, 1.6, len(line)), view.shape), rng.uniform(0.4, 0.75))


def railing(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A fence of upright bars between two rails, before the wall."""
    w = view.shape[1]
    m, foot = metre(view, rng), _foot(view)
    x0, long, tall = rng.uniform(-0.1, 0.6) * w, rng.uniform(1.5, 6) * m, rng.uniform(0.6, 1.1) * m
    y = min(foot + rng.uniform(0, 0.3) * m, view.shape[0] - 3.0)
    colour = _tint([(50, 50, 50), (120, 150, 90), (190, 190, 195), (60, 60, 120)][int(rng.integers(4))], rng)
    bar, gap = max(0.018 * m, 0.8), rng.uniform(0.11, 0.16) * m
    for at in (y - tall, y - 0.12 * m):
        canvas.paint(stroke(np.array([[x0, at], [x0 + long, at]]), bar * 1.6, view.shape), colour)
    for x in np.arange(x0, x0 + long, max(gap, 3.0)):
        canvas.paint(stroke(np.array([[x, y - tall * 1.06], [x, y]]), bar, view.shape), colour)


def loose_end(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """A cable that hangs from above and ends in the air or at the wall's foot, near no bike."""
    h, w = view.shape
    m = metre(view, rng)
    free = [
        x
        for x in rng.uniform(0.03, 0.97, 8) * w
        if all(x < b[0] - 1.2 * m or x > b[2] + 1.2 * m for b in view.bikes)
    ]
    if not free:
        return
    x = float(free[0])
    end = (x + rng.normal(0, 0.5) * m, float(np.clip(_foot(view) - rng.uniform(0.1, 3) * m, 10, h)))
    line = laid_on(
        catenary((x, -10.0), end, rng.uniform(0.01, 0.08), 40), (x, _foot(view)), (end[0], _foot(view))
    )
    colour = _dark(rng) if rng.random() < 0.6 else _tint((215, 215, 212), rng)
    thick = float(np.clip(rng.uniform(0.008, 0.016) * m, 0.75, 4))
    canvas.paint(stroke(line, thick, view.shape), colour)
    if rng.random() < 0.5:
        coil = spiral(end, rng.uniform(0.06, 0.16) * m, rng.uniform(1.5, 4), rng.uniform(0.8, 1.2), rng)
        canvas.paint(stroke(coil, thick, view.shape), colour)
