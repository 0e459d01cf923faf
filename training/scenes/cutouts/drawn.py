"""Parts of a stall that are drawn: umbrella, table with cloth, crates, heaps of fruit."""

from __future__ import annotations

import cv2
import numpy as np

from training.scenes.wires.catenary import Point
from training.scenes.wires.paint import Canvas, Colour, Floats, Patch, area, softened, stroke

CANVAS_COLOURS: tuple[Colour, ...] = (
    (40, 40, 190), (160, 90, 40), (70, 140, 60), (40, 150, 220), (210, 210, 212), (150, 60, 130),
    (60, 200, 230),
)  # fmt: skip
CRATES: tuple[Colour, ...] = (
    (222, 224, 222), (95, 140, 175), (80, 120, 160), (170, 90, 40), (60, 60, 180), (70, 150, 70),
    (30, 30, 32),
)  # fmt: skip
FRUIT: tuple[Colour, ...] = (
    (30, 120, 235), (40, 40, 190), (70, 160, 90), (60, 200, 225), (60, 90, 60), (130, 70, 110),
    (190, 215, 225),
)  # fmt: skip


def tint(colour: Colour, rng: np.random.Generator, spread: float = 14) -> Colour:
    """The colour, a little off and faded by sun and dust."""
    grey, fade = sum(colour) / 3, rng.uniform(0.15, 0.5)
    b, g, r = (float(np.clip(v + (grey - v) * fade + rng.normal(0, spread), 4, 240)) for v in colour)
    return b, g, r


def darker(colour: Colour, share: float) -> Colour:
    """The colour at a share of its brightness.

    >>> darker((100, 50, 200), 0.5)
    (50.0, 25.0, 100.0)
    """
    return min(colour[0] * share, 250.0), min(colour[1] * share, 250.0), min(colour[2] * share, 250.0)


def grained(
    patch: Patch, colour: Colour, light: Floats, rng: np.random.Generator, across: Floats | None = None
) -> Floats:
    """Colour (h, w, 3) of a surface: the place's own light, grain, and shading `across` its width (w,)."""
    h, w = patch.cover.shape
    coarse = rng.normal(1, 0.06, (max(h // 14, 2), max(w // 14, 2))).astype(np.float32)
    stains = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR)
    shade = 0.92 * light[patch.window] * stains * rng.normal(1, 0.03, (h, w)).astype(np.float32)
    if across is not None:
        shade = shade * across[None, :]
    return np.asarray(shade[..., None] * np.array(colour, np.float32), np.float32)


class Painter:
    """Paints the parts of one stall and remembers which pixels are its own."""

    def __init__(self, canvas: Canvas, light: Floats, rng: np.random.Generator) -> None:
        """Paint on a canvas whose places are lit by `light` (H, W)."""
        self.canvas, self.light, self.rng = canvas, light, rng
        self.track: int | None = None

    def surface(self, corners: np.ndarray, colour: Colour, folds: float = 0.0) -> None:
        """Fill a polygon; `folds` is how much the cloth's folds vary its brightness."""
        patch = softened(area(np.asarray(corners, float), self.canvas.shape), 0.5, self.canvas.shape)
        if patch.cover.size == 0:
            return
        w = patch.cover.shape[1]
        waves = np.sin(np.linspace(0, self.rng.uniform(0.06, 0.2) * w, w) + self.rng.uniform(0, 6))
        across = np.asarray(1 + folds * waves, np.float32)
        self.paint(patch, grained(patch, colour, self.light, self.rng, across))

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Draw a leg or a pole."""
        patch = stroke(np.asarray(points, float), max(width, 0.8), self.canvas.shape)
        if patch.cover.size:
            self.paint(patch, grained(patch, colour, self.light, self.rng))

    def paint(self, patch: Patch, colour: Floats) -> None:
        """Paint a patch as part of the stall."""
        self.track = self.canvas.paint_thing(patch, colour, self.track)


def umbrella(painter: Painter, foot: Point, scale: float) -> None:
    """A stall umbrella, 2 to 2.8 metres wide, in panels of one or two colours, seen from a little below."""
    rng = painter.rng
    half, tall = rng.uniform(0.95, 1.4) * scale, rng.uniform(2.15, 2.5) * scale
    dome, tilt = rng.uniform(0.35, 0.55) * scale, rng.normal(0, 0.05)
    rim = np.array([foot[0] + tilt * tall, foot[1] - tall + dome])
    painter.line(np.array([foot, rim - [0, dome]]), 0.04 * scale, tint((120, 120, 120), rng))
    angle = np.linspace(0, 2 * np.pi, 40)
    below = np.stack([np.cos(angle) * half, np.sin(angle) * 0.07 * half], 1) + rim
    first = CANVAS_COLOURS[int(rng.integers(len(CANVAS_COLOURS)))]
    other = CANVAS_COLOURS[int(rng.integers(len(CANVAS_COLOURS)))] if rng.random() < 0.55 else first
    painter.surface(below, darker(first, 0.4))
    n = int(rng.integers(3, 6))
    cuts = np.sin(np.linspace(-np.pi / 2, np.pi / 2, n + 1))
    for k in range(n):
        colour = first if k % 2 else other
        shade = 1.08 - 0.35 * abs((k + 0.5) / n - 0.35)
        painter.surface(
            _panel(rim, half, dome, float(cuts[k]), float(cuts[k + 1])),
            tint(darker(colour, shade), rng, 5),
        )


def _panel(rim: np.ndarray, half: float, dome: float, left: float, right: float) -> np.ndarray:
    """One panel of a dome between two shares of its width, -1 to 1, with a scalloped hem."""
    up = np.linspace(0, np.pi / 2, 10)
    seams = [np.stack([side * half * np.cos(up), -dome * np.sin(up) ** 0.85], 1) for side in (left, right)]
    along = np.linspace(right, left, 8)
    hem = np.stack([along * half, 0.05 * half * np.sin(np.linspace(0, np.pi, 8))], 1)
    return np.asarray(np.vstack([seams[0], seams[1][::-1], hem]) + rim, np.float64)


def table(painter: Painter, foot: Point, scale: float, flat: float) -> tuple[np.ndarray, float]:
    """A table with a cloth or on bare legs; gives its top's corners (4, 2) and its width in pixels.

    Args:
        painter: paints it.
        foot: x, y of the middle of its front edge on the ground.
        scale: pixels per metre.
        flat: height over depth of level ground in the picture.
    """
    rng = painter.rng
    wide, tall, deep = (rng.uniform(*span) * scale for span in ((1.1, 2.4), (0.55, 0.85), (0.6, 0.95)))
    x, y = foot
    slant = rng.normal(0, 0.12) * deep
    top = np.array(
        [
            [x - wide / 2, y - tall],
            [x + wide / 2, y - tall],
            [x + 0.47 * wide + slant, y - tall - flat * deep],
            [x - 0.47 * wide + slant, y - tall - flat * deep],
        ]
    )
    colour = tint(CANVAS_COLOURS[int(rng.integers(len(CANVAS_COLOURS)))], rng, 20)
    for k in (0, 1):
        painter.line(np.array([top[k], [top[k][0], y]]), 0.035 * scale, (70, 72, 75))
        painter.line(
            np.array([top[3 - k], [top[3 - k][0], y - 0.6 * flat * deep]]), 0.03 * scale, (60, 62, 65)
        )
    if rng.random() < 0.7:
        hang = rng.uniform(0.35, 1.0)
        front = np.array(
            [top[0], top[1], [top[1][0], y - tall * (1 - hang)], [top[0][0], y - tall * (1 - hang)]]
        )
        painter.surface(front, darker(colour, 0.8), 0.12)
    painter.surface(top, colour)
    return top, wide


def ground_cloth(painter: Painter, foot: Point, scale: float, flat: float) -> tuple[np.ndarray, float]:
    """A cloth spread on the ground; gives its corners (4, 2) and its width in pixels."""
    rng = painter.rng
    wide, deep = rng.uniform(1.2, 2.4) * scale, rng.uniform(0.9, 1.5) * scale
    x, y = foot
    slant = rng.normal(0, 0.15) * deep
    corners = np.array(
        [
            [x - wide / 2, y],
            [x + wide / 2, y],
            [x + 0.45 * wide + slant, y - flat * deep],
            [x - 0.45 * wide + slant, y - flat * deep],
        ]
    )
    painter.surface(
        corners + rng.normal(0, 0.02 * scale, (4, 2)),
        tint(CANVAS_COLOURS[int(rng.integers(len(CANVAS_COLOURS)))], rng, 20),
    )
    return corners, wide


def goods_on(painter: Painter, top: np.ndarray, scale: float) -> None:
    """Fill a surface (4 corners, front left first) with crates and heaps, the far row first."""
    rng = painter.rng
    rows = 2 if rng.random() < 0.7 else 1
    fruity = rng.random() < 0.65
    for row in range(rows):
        back = 0.75 - 0.6 * row
        left, right = top[0] + (top[3] - top[0]) * back, top[1] + (top[2] - top[1]) * back
        at = rng.uniform(0.02, 0.08)
        while at < 0.9:
            wide = rng.uniform(0.28, 0.5) * scale
            share = wide / max(float(right[0] - left[0]), 1.0)
            middle = left + (right - left) * (at + share / 2)
            if at + share > 1.02:
                break
            if fruity and rng.random() < 0.8:
                heap(painter, (float(middle[0]), float(middle[1])), wide, scale)
            else:
                crate(painter, (float(middle[0]), float(middle[1])), wide, scale)
            at += share + rng.uniform(0.0, 0.04)


def crate(painter: Painter, foot: Point, wide: float, scale: float) -> None:
    """A box of foam, cardboard or plastic, open or shut."""
    rng = painter.rng
    tall = rng.uniform(0.15, 0.4) * scale
    colour = tint(CRATES[int(rng.integers(len(CRATES)))], rng)
    x, y = foot
    front = np.array(
        [[x - wide / 2, y], [x + wide / 2, y], [x + wide / 2, y - tall], [x - wide / 2, y - tall]]
    )
    lid = np.array(
        [front[3], front[2], front[2] + [-0.06 * wide, -0.25 * tall], front[3] + [0.06 * wide, -0.25 * tall]]
    )
    painter.surface(front, darker(colour, rng.uniform(0.72, 0.9)))
    for share in np.linspace(0.2, 0.85, int(rng.integers(1, 4))):
        seam = np.array([[x - wide / 2, y - share * tall], [x + wide / 2, y - share * tall]])
        painter.line(seam, 0.012 * scale, darker(colour, 0.6))
    inside = tint(FRUIT[int(rng.integers(len(FRUIT)))], rng) if rng.random() < 0.5 else colour
    painter.surface(lid, inside)


def heap(painter: Painter, foot: Point, wide: float, scale: float) -> None:
    """A heap of fruit, lit from above: round things in rows, fewer to the top."""
    rng = painter.rng
    r = max(rng.uniform(0.03, 0.075) * scale, 1.4)
    colour = FRUIT[int(rng.integers(len(FRUIT)))]
    angle = np.linspace(0, 2 * np.pi, 12)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    rows = int(np.clip(wide / (3.2 * r), 2, 5))
    for row in range(rows):
        n = max(int(wide / (2 * r)) - row, 1)
        for k in range(n):
            middle = np.array(
                [foot[0] + (k - (n - 1) / 2) * 2 * r, foot[1] - r - row * 1.3 * r]
            ) + rng.normal(0, 0.25 * r, 2)
            painter.surface(ring * r + middle, tint(darker(colour, rng.uniform(0.55, 0.95)), rng, 8))
            if r > 2.5:
                painter.surface(
                    ring * 0.5 * r + middle - 0.3 * r,
                    tint(darker(colour, 1.2), rng, 8),
                )


def shadow_below(canvas: Canvas, foot: Point, wide: float, deep: float, strength: float) -> None:
    """Darken the ground below and behind something `wide` pixels wide that reaches `deep` pixels back."""
    x, y = foot
    shape = np.array(
        [
            [x - wide / 2, y + 0.1 * deep],
            [x + wide / 2, y + 0.1 * deep],
            [x + 0.52 * wide, y - deep],
            [x - 0.48 * wide, y - deep],
        ]
    )
    canvas.shade(softened(area(shape, canvas.shape), 0.06 * wide + 0.6, canvas.shape, 0.4), strength)
