"""Where a flying wire begins and ends: wall box, charger, socket strip, reel, the rolled-up rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.wires.cable import Cable, paint_cable
from training.scenes.wires.catenary import Point, catenary, spiral
from training.scenes.wires.paint import Canvas, Colour, Floats, area, softened

WHITE: Colour = (222, 224, 224)


def block(
    canvas: Canvas, middle: Point, size: tuple[float, float], colour: Colour, tilt: float = 0.0
) -> None:
    """A small box seen from the side: front, a lighter top, and the dark line below."""
    w, h = size
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    front = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ turn + middle
    top = np.array([[-w, -h], [w, -h], [w * 0.9, -h * 1.45], [-w * 0.9, -h * 1.45]]) / 2 @ turn + middle
    canvas.shade_by_wire(area(front + np.array([0, h * 0.25]), canvas.shape), 0.35)
    canvas.paint_part_of_wire(area(front, canvas.shape), colour)
    lighter = (min(colour[0] * 1.15 + 8, 250), min(colour[1] * 1.15 + 8, 250), min(colour[2] * 1.15 + 8, 250))
    canvas.paint_part_of_wire(area(top, canvas.shape), lighter)


def wall_box(canvas: Canvas, at: Point, scale: float, rng: np.random.Generator) -> None:
    """A grey meter or socket box on the wall."""
    tone = rng.uniform(110, 190)
    size = (rng.uniform(0.18, 0.4) * scale, rng.uniform(0.2, 0.5) * scale)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2 + at
    canvas.shade(softened(area(corners + 0.03 * scale, canvas.shape), 0.02 * scale + 0.4, canvas.shape), 0.35)
    canvas.paint(area(corners, canvas.shape), (tone, tone * 1.01, tone * 1.0))
    inner = np.array([[-0.8, -0.85], [0.8, -0.85], [0.8, 0.85], [-0.8, 0.85]]) * size / 2 + at
    canvas.paint(area(inner, canvas.shape), (tone * 1.1, tone * 1.1, tone * 1.09))


def charger(canvas: Canvas, at: Point, scale: float, rng: np.random.Generator) -> None:
    """The black or grey brick between mains and battery, 17 by 7 centimetres."""
    tone = rng.uniform(25, 90)
    block(canvas, at, (0.18 * scale, max(0.075 * scale, 1.5)), (tone, tone, tone), rng.normal(0, 0.1))


def strip(canvas: Canvas, at: Point, scale: float, rng: np.random.Generator) -> None:
    """A strip of sockets, 30 centimetres, with dark holes where it is large enough."""
    tilt = rng.normal(0, 0.12)
    block(canvas, at, (0.32 * scale, max(0.07 * scale, 1.6)), WHITE, tilt)
    if scale > 110:
        for k in (-0.1, -0.03, 0.04, 0.11):
            hole = (
                np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.012 * scale
                + at
                + [k * scale, -0.01 * scale]
            )
            canvas.paint_part_of_wire(area(hole, canvas.shape), (120, 120, 120))


def reel(canvas: Canvas, at: Point, scale: float, cable: Cable, rng: np.random.Generator) -> None:
    """An extension reel: two discs on edge with cable wound between them."""
    r = rng.uniform(0.1, 0.14) * scale
    angle = np.linspace(0, 2 * np.pi, 24)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    middle = np.array([at[0], at[1] - r])
    canvas.paint_part_of_wire(area(ring * r + middle, canvas.shape), (40, 40, 45))
    canvas.paint_part_of_wire(area(ring * r * 0.78 + middle, canvas.shape), cable.colour)
    canvas.paint_part_of_wire(
        area(ring * r * 0.4 + middle, canvas.shape), (45, 45, 150 if rng.random() < 0.5 else 45)
    )


def rest(
    canvas: Canvas,
    cable: Cable,
    at: Point,
    scale: float,
    wide: NDArray[np.float64] | float,
    light: Floats,
    rng: np.random.Generator,
) -> None:
    """The rolled-up rest of the cable on the ground; not in the box."""
    coil = spiral(at, rng.uniform(0.08, 0.2) * scale, rng.uniform(1.5, 4.5), rng.uniform(0.25, 0.5), rng)
    paint_cable(canvas, cable, coil, np.full(len(coil), float(np.mean(wide))), light, rng, own=False)


def lead(
    canvas: Canvas, start: Point, end: Point, scale: float, light: Floats, rng: np.random.Generator
) -> None:
    """The short black lead from charger or strip to the bike; not in the box."""
    if np.hypot(end[0] - start[0], end[1] - start[1]) < 2:
        return
    curve = catenary(start, end, rng.uniform(0.1, 0.5), 24)
    low = max(start[1], end[1])
    curve[:, 1] = np.minimum(curve[:, 1], low)
    thick = np.full(24, float(np.clip(0.007 * scale, 0.7, 2.5)))
    paint_cable(canvas, Cable((35, 34, 34), 0.007, 1), curve, thick, light, rng, own=False)
