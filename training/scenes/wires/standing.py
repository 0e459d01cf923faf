"""Stand a bike on the ground of a picture: size, light, colour, sharpness, shadow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.scenes.wires.backgrounds import BIKE_LONG_M, View
from training.scenes.wires.bikes import CutOut, mirrored
from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Box, Canvas, Floats, Patch, Picture, area, softened


@dataclass(frozen=True)
class Standing:
    """A bike in its place: cover, colours (h, w, 3), box and wheels in pixels, pixels per metre."""

    patch: Patch
    colour: Floats
    box: Box
    scale: float
    wheels: tuple[Point, Point]
    y: float


def stand(view: View, bike: CutOut, at: Point, rng: np.random.Generator) -> Standing | None:
    """Scale a cut-out for the ground at x, y, the middle between its wheels, and fit its colours."""
    if view.ground is None:
        return None
    bike = mirrored(bike) if rng.random() < 0.5 else bike
    scale = view.ground.scale(at[1])
    wheelbase = abs(bike.wheels[1][0] - bike.wheels[0][0])
    tall = bike.picture.shape[0] / bike.picture.shape[1]
    long = (BIKE_LONG_M if tall < 0.85 else BIKE_LONG_M * 0.85 / tall) * rng.uniform(0.93, 1.07)
    width = max(round(long * scale), 6)
    height = max(round(width * tall * rng.uniform(0.94, 1.06)), 6)
    low = (bike.wheels[0][1] + bike.wheels[1][1]) / 2
    x0 = round(at[0] - width * (bike.wheels[0][0] + wheelbase / 2))
    y0 = round(at[1] - height * low)
    small = cv2.resize(bike.picture, (width, height), interpolation=cv2.INTER_AREA)
    cover = cv2.resize(bike.cover, (width, height), interpolation=cv2.INTER_AREA)
    h, w = view.shape
    cut = slice(max(-y0, 0), min(height, h - y0)), slice(max(-x0, 0), min(width, w - x0))
    if cut[0].stop - cut[0].start < 0.75 * height or cut[1].stop - cut[1].start < 0.6 * width:
        return None
    patch = Patch(max(x0, 0), max(y0, 0), np.ascontiguousarray(cover[cut]))
    colour = fitted(small[cut], patch, view.picture, rng)
    box = (float(max(x0, 0)), float(max(y0, 0)), float(min(x0 + width, w)), float(min(y0 + height, h)))
    wheels = tuple((x0 + width * x, y0 + height * y) for x, y in bike.wheels)
    return Standing(patch, colour, box, scale, (wheels[0], wheels[1]), at[1])


def fitted(thing: Picture, patch: Patch, picture: Picture, rng: np.random.Generator) -> Floats:
    """Give a cut-out (h, w, 3) the light of the place: brightness, cast, contrast and blur."""
    rows, columns = patch.window
    h = picture.shape[0]
    around = picture[
        max(rows.start - 20, 0) : min(rows.stop + 20, h), max(columns.start - 30, 0) : columns.stop + 30
    ]
    bright, dark = np.percentile(cv2.cvtColor(around, cv2.COLOR_BGR2GRAY), [92, 4])
    white = np.clip(bright * rng.uniform(0.95, 1.2), 70, 250)
    black = np.clip(dark * rng.uniform(0.4, 0.9), 0, 45)
    cast = np.array(cv2.mean(picture)[:3]) + 20
    gains = 1 + (cast / cast.mean() - 1) * 0.35
    values = thing.astype(np.float32)
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.6, 0.95)
    values = black + values / 255 * (white - black)
    soft = cv2.GaussianBlur(values * gains.astype(np.float32), (0, 0), rng.uniform(0.35, 0.7))
    return np.asarray(soft, np.float32)


def paint_shadow(canvas: Canvas, bike: Standing, rng: np.random.Generator) -> None:
    """Darken the ground: a broad soft shadow below, and the dark line where the tyres stand."""
    (lx, ly), (rx, ry) = bike.wheels
    s = bike.scale
    lean = rng.uniform(-0.25, 0.25) * s
    deep = rng.uniform(0.1, 0.3) * s
    shape = np.array(
        [
            [lx - 0.25 * s, ly],
            [rx + 0.25 * s, ry],
            [rx + 0.2 * s + lean, ry - deep],
            [lx - 0.2 * s + lean, ly - deep],
        ]
    )
    canvas.shade(
        softened(area(shape, canvas.shape), 0.09 * s + 0.5, canvas.shape, 0.5), rng.uniform(0.35, 0.6)
    )
    for x, y in bike.wheels:
        spot = np.array(
            [
                [x - 0.16 * s, y - 0.03 * s],
                [x + 0.16 * s, y - 0.03 * s],
                [x + 0.16 * s, y + 0.03 * s],
                [x - 0.16 * s, y + 0.03 * s],
            ]
        )
        canvas.shade(softened(area(spot, canvas.shape), 0.045 * s + 0.4, canvas.shape, 0.5), 0.55)


def paint_bike(canvas: Canvas, bike: Standing) -> None:
    """Paint the bike itself; it hides the wires behind it."""
    canvas.paint(bike.patch, bike.colour)


def point_on(bike: Standing, rng: np.random.Generator) -> Point:
    """A point of the bike where a plug goes: seat, foot board, battery; on its own pixels if it can be."""
    x0, y0, x1, y1 = bike.box
    for _ in range(12):
        x, y = (
            rng.uniform(x0 + 0.28 * (x1 - x0), x1 - 0.28 * (x1 - x0)),
            rng.uniform(y0 + 0.38 * (y1 - y0), y1 - 0.25 * (y1 - y0)),
        )
        row, column = int(y) - bike.patch.y, int(x) - bike.patch.x
        h, w = bike.patch.cover.shape
        if 0 <= row < h and 0 <= column < w and bike.patch.cover[row, column] > 0.6:
            return x, y
    return (x0 + x1) / 2, y0 + 0.55 * (y1 - y0)
