"""A flying wire's run: where it leaves the building, how it hangs, where it ends; and painting it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.scenes.wires import ends
from training.scenes.wires.backgrounds import BIKE_LONG_M, Ground, View
from training.scenes.wires.cable import Cable, any_cable, cast_shadow, contrast, paint_cable, widths
from training.scenes.wires.catenary import Point, Points, catenary, laid_on, wobbled
from training.scenes.wires.paint import Box, Canvas, Floats, area
from training.scenes.wires.standing import Standing, point_on

Ending = Literal["bike", "charger", "strip", "reel"]
LEAST_CONTRAST = 28.0


@dataclass(frozen=True)
class Wire:
    """One flying wire to paint.

    Args:
        cable: its look.
        curve: (n, 2) pixels from the building to its end.
        wide: (n,) pixels.
        ending: what it ends in; other than "bike" a lead goes on from there to the bike.
        plug: the point of the bike.
        scale: pixels per metre at its end.
        wall_box: it leaves a box on the wall, which is drawn.
        before: it hangs before the bike and is painted over it.
        coil: the rest lies rolled up at its end.
        shadow: offset in pixels at its end and strength; None without sun.
    """

    cable: Cable
    curve: Points
    wide: np.ndarray
    ending: Ending
    plug: Point
    scale: float
    wall_box: bool
    before: bool
    coil: bool
    shadow: tuple[tuple[float, float], float] | None


@dataclass(frozen=True)
class _Target:
    box: Box
    scale: float
    plug: Point
    low: float


def _targets(view: View, bikes: list[Standing], rng: np.random.Generator) -> list[_Target]:
    drawn = [_Target(b.box, b.scale, point_on(b, rng), max(w[1] for w in b.wheels)) for b in bikes]
    for x0, y0, x1, y1 in view.bikes:
        plug = (
            rng.uniform(0.65 * x0 + 0.35 * x1, 0.35 * x0 + 0.65 * x1),
            rng.uniform(0.5, 0.72) * (y1 - y0) + y0,
        )
        drawn.append(_Target((x0, y0, x1, y1), (x1 - x0) / BIKE_LONG_M, plug, y1 - 0.03 * (y1 - y0)))
    return drawn


def hang_wires(view: View, bikes: list[Standing], split: str, rng: np.random.Generator) -> list[Wire]:
    """Give every picture at least one wire where it has a bike; several bikes often have one each."""
    targets = _targets(view, bikes, rng)
    if not targets or view.ground is None:
        return []
    chosen = [t for k, t in enumerate(targets) if k == 0 or rng.random() < 0.55]
    sun = (rng.normal(0, 0.5), rng.uniform(0.2, 0.9)) if rng.random() < 0.4 else None
    wires: list[Wire] = []
    for target in chosen:
        for _ in range(2 if rng.random() < 0.1 else 1):
            wires += [w] if (w := _one(view, view.ground, target, split, sun, rng)) is not None else []
    return wires


def _one(
    view: View,
    ground: Ground,
    target: _Target,
    split: str,
    sun: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Wire | None:
    start, boxed = _source(view, ground, target, rng)
    ending: Ending = ("bike", "charger", "strip", "reel")[int(rng.choice(4, p=[0.45, 0.25, 0.22, 0.08]))]
    end = target.plug if ending == "bike" else _beside(target, ending, view, rng)
    wall = min(ground.scale(ground.foot), target.scale)
    curve = _hung(start, end, ground, target, wall, rng)
    shown = (
        (curve[:, 0] > 2)
        & (curve[:, 0] < view.shape[1] - 2)
        & (curve[:, 1] > 2)
        & (curve[:, 1] < view.shape[0] - 2)
    )
    long = float(np.hypot(*np.diff(curve[shown], axis=0).T).sum())
    if shown.mean() < 0.15 or long < max(40.0, 0.6 * target.scale):
        return None
    cable = _visible_cable(view, curve[shown], split, rng)
    if cable is None:
        return None
    wide = widths(cable, np.linspace(wall, target.scale, len(curve)))
    off = (
        None
        if sun is None
        else ((sun[0] * target.scale * 0.4, sun[1] * target.scale * 0.3), rng.uniform(0.12, 0.35))
    )
    before = bool(ending != "bike" or rng.random() < 0.75)
    coil = bool(rng.random() < (0.25 if ending == "bike" else 0.5))
    return Wire(cable, curve, wide, ending, target.plug, target.scale, boxed, before, coil, off)


def _source(view: View, ground: Ground, target: _Target, rng: np.random.Generator) -> tuple[Point, bool]:
    """A window, a wall box, or above the picture: x, y, and whether a wall box is to be drawn."""
    middle, top, m = (target.box[0] + target.box[2]) / 2, target.box[1], ground.scale(ground.foot)
    reach = (5 if view.kind == "facade" else 8) * m
    near = [
        b for b in view.sources
        if b[3] < top + 0.2 * m and abs((b[0] + b[2]) / 2 - middle) < reach and b[3] < ground.foot - 0.6 * m
    ]  # fmt: skip
    draw = rng.random()
    if near and draw < 0.6:
        b = near[int(rng.integers(len(near)))]
        return (rng.uniform(b[0], b[2]), b[3] - rng.uniform(0.02, 0.25) * (b[3] - b[1])), False
    high = ground.foot - rng.uniform(1.5, 2.6) * m
    if view.kind == "facade" and draw < 0.75 and high > 8:
        return (float(np.clip(middle + rng.normal(0, 1.8) * m, 5, view.shape[1] - 5)), high), True
    if target.box[1] < 20 or rng.random() < 0.15:
        side = -12.0 if rng.random() < 0.5 else view.shape[1] + 12.0
        return (side, rng.uniform(-0.1, 0.35) * view.shape[0]), False
    return (middle + rng.normal(0, 1.6) * m, -rng.uniform(5, 60)), False


def _beside(target: _Target, ending: Ending, view: View, rng: np.random.Generator) -> Point:
    """Where charger, strip or reel lies: on the foot board or seat, or on the ground by the wheels."""
    x0, y0, x1, _ = target.box
    if ending != "reel" and rng.random() < 0.4:
        return rng.uniform(0.6 * x0 + 0.4 * x1, 0.4 * x0 + 0.6 * x1), y0 + rng.uniform(0.4, 0.7) * (
            target.low - y0
        )
    x = rng.uniform(x0 - 0.3 * target.scale, x1 + 0.3 * target.scale)
    y = min(target.low + rng.uniform(-0.12, 0.12) * target.scale, view.shape[0] - 3.0)
    return float(np.clip(x, 4, view.shape[1] - 4)), y


def _hung(
    start: Point, end: Point, ground: Ground, target: _Target, wall: float, rng: np.random.Generator
) -> Points:
    slack = float(
        rng.choice(
            [rng.uniform(0.002, 0.03), rng.uniform(0.03, 0.12), rng.uniform(0.12, 0.4)], p=[0.4, 0.42, 0.18]
        )
    )
    if rng.random() < 0.22:
        share, lift = rng.uniform(0.25, 0.75), rng.uniform(-0.6, 0.4) * wall
        tie = (
            start[0] + share * (end[0] - start[0]) + rng.normal(0, 0.5) * wall,
            start[1] + share * (end[1] - start[1]) + lift,
        )
        first = catenary(start, tie, max(slack * 0.5, 0.002), 32)
        curve = np.vstack([first, catenary(tie, end, slack, 32)[1:]])
    else:
        curve = catenary(start, end, slack, 64)
    foot = max(end[1], target.low)
    laid = laid_on(curve, (start[0], max(ground.foot, min(foot, ground.foot + 5))), (end[0], foot))
    return wobbled(laid, rng.uniform(0.0, 0.018) * wall, rng)


def _visible_cable(view: View, shown: Points, split: str, rng: np.random.Generator) -> Cable | None:
    """Draw cables until one stands out from what is behind it."""
    picture = view.picture.astype(np.float32)
    for _ in range(6):
        cable = any_cable(rng, split)
        if contrast(picture, shown, cable.colour) > LEAST_CONTRAST:
            return cable
    return None


def paint_run(canvas: Canvas, view: View, wire: Wire, light: Floats, rng: np.random.Generator) -> None:
    """Paint one wire with its shadow, its beginning and its end."""
    start: Point = (float(wire.curve[0, 0]), float(wire.curve[0, 1]))
    end: Point = (float(wire.curve[-1, 0]), float(wire.curve[-1, 1]))
    if wire.wall_box:
        ends.wall_box(canvas, start, wire.scale * 0.9, rng)
    if wire.shadow is not None:
        cast_shadow(canvas, wire.curve, wire.wide, *wire.shadow)
    track = paint_cable(canvas, wire.cable, wire.curve, wire.wide, light, rng)
    if track is not None and not wire.wall_box and rng.random() < 0.5:
        _behind_signs(canvas, view, start, track)
    if wire.coil and wire.ending != "bike":
        ends.rest(canvas, wire.cable, end, wire.scale, float(wire.wide[-1]), light, rng)
    if wire.ending != "bike":
        ends.lead(canvas, end, wire.plug, wire.scale, light, rng)
        _paint_end(canvas, wire, end, rng)


def _paint_end(canvas: Canvas, wire: Wire, end: Point, rng: np.random.Generator) -> None:
    if wire.ending == "reel":
        ends.reel(canvas, end, wire.scale, wire.cable, rng)
    elif wire.ending == "strip":
        ends.strip(canvas, end, wire.scale, rng)
    else:
        ends.charger(canvas, end, wire.scale, rng)


def _behind_signs(canvas: Canvas, view: View, start: Point, track: int) -> None:
    """Signs that stick out hide the cable that comes down behind them."""
    for x0, y0, x1, y1 in view.signs:
        if y0 > start[1] and (x1 - x0) * (y1 - y0) < 0.06 * view.shape[0] * view.shape[1]:
            patch = area(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), view.shape)
            cover = patch.cover[..., None]
            canvas.seen[patch.window] += (canvas.bare[patch.window] - canvas.seen[patch.window]) * cover
            canvas.tracked[track][patch.window] *= 1 - patch.cover
