"""Street stalls: a cargo tricycle or a table with goods under an umbrella, or a cart with a canopy.

They face +x.
"""

from __future__ import annotations

import math

import numpy as np

from training.scenes.camera import Floats, Mask
from training.scenes.cycles import CYCLE_COLOURS, tricycle
from training.scenes.mesh import (
    Colour,
    Material,
    Mesh,
    Paint,
    Patch,
    box,
    build,
    ellipsoid,
    grid_faces,
    join,
    rgb,
    sheet,
    tube,
    turned,
    wheel,
)

FRUIT: tuple[Colour, ...] = (
    rgb(226, 110, 26),
    rgb(196, 30, 30),
    rgb(236, 200, 50),
    rgb(110, 160, 50),
    rgb(120, 40, 90),
    rgb(232, 150, 130),
    rgb(70, 110, 40),
)
CANOPY: tuple[Colour, ...] = (
    rgb(200, 34, 40),
    rgb(30, 80, 170),
    rgb(240, 240, 236),
    rgb(240, 196, 40),
    rgb(40, 140, 80),
    rgb(224, 110, 150),
    rgb(90, 170, 200),
)
_POLE = Material(rgb(190, 192, 194), 0.2, 0.25)
_STEEL = Material(rgb(196, 198, 200), 0.25, 0.2)


def umbrella(rng: np.random.Generator, radius: float = 1.25, height: float = 2.25) -> Mesh:
    """A big sunshade in panels of one or two colours on a pole at the origin."""
    first, second = (CANOPY[int(k)] for k in rng.choice(len(CANOPY), 2, replace=False))
    if rng.random() < 0.35:
        second = first
    ribs, columns = 8, 32
    lon = np.linspace(0, 2 * math.pi, columns, endpoint=False)
    share = np.array([0.02, 0.25, 0.5, 0.75, 0.93, 1.0, 1.01])
    sag = 0.07 * np.cos(lon * ribs)
    radial = share[:, None] * radius * (1 + 0.04 * np.cos(lon * ribs) * share[:, None])
    drop = 0.48 * share**1.5 * radius / 1.25
    drop[-1] += 0.14
    z = height - drop[:, None] - np.where(share[:, None] > 0.9, sag * 0.4, 0) + 0.0 * lon
    points = np.stack([radial * np.cos(lon), radial * np.sin(lon), z], -1).reshape(-1, 3).astype(np.float32)
    faces = grid_faces(len(share), columns, closed=True)[:, ::-1]
    cloth = build(
        points,
        np.ascontiguousarray(faces),
        Material(first, 0.02, 0.6, _panels(second, ribs)),
        two_sided=True,
    )
    parts = [
        cloth,
        tube((0, 0, 0), (0, 0, height + 0.05), 0.022, 0.022, _POLE),
        turned([(0.24, 0), (0.22, 0.08)], Material((0.05, 0.05, 0.05)), 12),
    ]
    return join(parts)


def fruit_crate(rng: np.random.Generator, colour: Colour) -> Mesh:
    """A tray 0.5 x 0.36 m heaped with fruit or vegetables."""
    tray = Material(
        (rgb(60, 120, 190), rgb(200, 200, 196), rgb(176, 132, 84), rgb(210, 60, 50))[int(rng.integers(4))],
        0.03,
        0.5,
        _slats,
    )
    parts = [box((0.5, 0.36, 0.16), tray, taper=1.04)]
    size = float(rng.uniform(0.04, 0.07))
    for x in np.arange(-0.21, 0.22, size * 1.8):
        for y in np.arange(-0.14, 0.15, size * 1.8):
            tone = float(rng.uniform(0.75, 1.2))
            skin = Material((colour[0] * tone, colour[1] * tone, colour[2] * tone), 0.04, 0.3)
            dx, dy = rng.normal(0, 0.012, 2)
            heap = 0.05 * (1 - (x / 0.25) ** 2) + float(rng.uniform(0, 0.03))
            parts.append(
                ellipsoid(size, size, size, skin, 5, 7)
                .moved(float(x + dx), float(y + dy), 0.15 + heap)
                .nearer(0.1)
            )
    return join(parts)


def goods(rng: np.random.Generator, length: float, depth: float) -> Mesh:
    """Crates, bags and jars in rows over a surface at z = 0 centred on the origin."""
    parts: list[Mesh] = []
    across, along = max(1, round(depth / 0.4)), max(1, round(length / 0.55))
    for i in range(along):
        for j in range(across):
            x, y = (i - (along - 1) / 2) * length / along, (j - (across - 1) / 2) * depth / across
            if rng.random() < 0.78:
                parts.append(fruit_crate(rng, FRUIT[int(rng.integers(len(FRUIT)))]).moved(x, y, 0))
            else:
                parts += [
                    _jar(rng).moved(x + float(dx), y + float(dy), 0)
                    for dx, dy in rng.uniform(-0.16, 0.16, (4, 2))
                ]
    return join(parts)


def tricycle_stall(rng: np.random.Generator) -> Mesh:
    """Cargo tricycle with heaped trays and an umbrella over the bed."""
    trays = goods(rng, 1.5, 1.0).tilted(0, 4).moved(0, 0, 0.22)
    body = tricycle(CYCLE_COLOURS[int(rng.integers(len(CYCLE_COLOURS)))], load=trays)
    parts = [
        body,
        umbrella(rng, float(rng.uniform(1.15, 1.4)), float(rng.uniform(2.15, 2.4))).moved(-1.1, 0, 0),
    ]
    parts.append(_sign(rng).moved(-1.12, -0.53, 0.35))
    parts.append(_sign(rng).moved(-1.12, 0.56, 0.35))
    return join(parts).moved(1.1)


def table_stall(rng: np.random.Generator) -> Mesh:
    """Folding table with a cloth, trays on and below it, an umbrella behind."""
    length = float(rng.uniform(1.6, 2.4))
    cloth = Material(CANOPY[int(rng.integers(len(CANOPY)))], 0.0, 0.9, _hem)
    parts = [
        box((0.9, length, 0.42), cloth).moved(0, 0, 0.30),
        goods(rng, length, 0.85).moved(yaw_deg=90).moved(0, 0, 0.72).nearer(0.3),
    ]
    parts += [
        box((0.05, 0.05, 0.35), _POLE).moved(sx * 0.4, sy * length * 0.46, 0).nearer(-0.2)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    parts += [
        fruit_crate(rng, FRUIT[int(rng.integers(len(FRUIT)))]).moved(0.75, y, 0, 90)
        for y in np.arange(-length / 2 + 0.3, length / 2, 0.55)
        if rng.random() < 0.7
    ]
    parts.append(
        umbrella(rng, float(rng.uniform(1.2, 1.5))).moved(-0.15, float(rng.uniform(-0.3, 0.3))).nearer(0.05)
    )
    return join(parts)


def cart_stall(rng: np.random.Generator) -> Mesh:
    """Push cart with a glass case and a striped roof on four posts."""
    tone = CANOPY[int(rng.integers(len(CANOPY)))]
    parts = [
        wheel(0.25, 0.08, Material((0.02, 0.02, 0.02)), _STEEL, 14).moved(x, s * 0.4, 0.25)
        for x in (-0.45, 0.45)
        for s in (-1, 1)
    ]
    parts.append(box((1.6, 0.85, 0.55), Material(tone, 0.05, 0.3, _board)).moved(0, 0, 0.36))
    parts.append(goods(rng, 1.5, 0.8).moved(0, 0, 0.92).nearer(0.2))
    parts.append(
        box((0.5, 0.7, 0.4), Material(rgb(150, 165, 170), 0.12, 0.05, _case)).moved(-0.5, 0, 0.93).nearer(0.3)
    )
    parts += [
        tube((sx * 0.76, sy * 0.4, 0.9), (sx * 0.76, sy * 0.4, 1.95), 0.018, 0.018, _POLE, 6)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    a, b = 0.95, 0.62
    roof = Material(tone, 0.02, 0.6, _stripes)
    ridge = [(-a, 0, 2.25), (a, 0, 2.25)]
    parts += [
        sheet([(-a, s * b, 1.93), (a, s * b, 1.93), ridge[1], ridge[0]], roof, 4).nearer(0.1) for s in (-1, 1)
    ]
    parts += [
        sheet([(-a, s * b, 1.75), (a, s * b, 1.75), (a, s * b, 1.93), (-a, s * b, 1.93)], roof, 4).nearer(0.1)
        for s in (-1, 1)
    ]
    return join(parts)


def any_stall(rng: np.random.Generator) -> Mesh:
    """Draw one of the three kinds."""
    return (tricycle_stall, tricycle_stall, table_stall, cart_stall)[int(rng.integers(4))](rng)


def _jar(rng: np.random.Generator) -> Mesh:
    tone = tuple(float(v) for v in rng.uniform(0.1, 0.8, 3))
    return turned(
        [(0.05, 0), (0.055, 0.14), (0.035, 0.18), (0.035, 0.22)],
        Material((tone[0], tone[1], tone[2]), 0.06, 0.2),
        10,
    )


def _sign(rng: np.random.Generator) -> Mesh:
    paper = Material(rgb(240, 220, 60) if rng.random() < 0.5 else rgb(226, 60, 50), 0.0, 0.8, _strokes)
    return box((0.8, 0.02, 0.3), paper).nearer(0.1)


def _panels(second: Colour, ribs: int) -> Paint:
    def paint(patch: Patch) -> None:
        p, albedo = patch.position, patch.albedo
        wedge = np.floor(np.arctan2(p[:, 1], p[:, 0]) / (2 * math.pi) * ribs).astype(int)
        albedo[wedge % 2 == 0] = np.array(second, np.float32)
        albedo *= (0.85 + 0.15 * np.abs(np.sin(np.arctan2(p[:, 1], p[:, 0]) * ribs / 2)))[:, None]

    return paint


def _slats(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo[np.mod(p[:, 2], 0.055) < 0.015] *= 0.45


def _hem(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo *= (0.85 + 0.15 * np.sin(p[:, 1] * 26 + 3 * np.sin(p[:, 2] * 5)))[:, None]


def _board(patch: Patch) -> None:
    p, n, albedo = patch.position, patch.normal, patch.albedo
    side = (np.abs(n[:, 1]) > 0.6) & (np.abs(p[:, 0]) < 0.65) & (np.abs(p[:, 2] - 0.63) < 0.17)
    albedo[side] = 0.75
    _strokes_in(p, side, albedo)


def _strokes(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    _strokes_in(p, np.abs(p[:, 0]) < 0.36, albedo)


def _strokes_in(p: Floats, where: Mask, albedo: Floats) -> None:
    """Hand-lettering that is no letter."""
    cell = np.mod(p[:, 0], 0.2)
    mark = (
        where
        & (cell > 0.03)
        & (cell < 0.17)
        & ((np.sin(cell * 90 + np.floor(p[:, 0] / 0.2) * 2) > 0.45) | (np.sin(p[:, 2] * 75) > 0.6))
    )
    albedo[mark] = np.array([0.03, 0.03, 0.25], np.float32)


def _case(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    edge = (np.abs(np.abs(p[:, 0]) - 0.25) < 0.02) | (np.abs(np.abs(p[:, 1]) - 0.35) < 0.02)
    albedo[edge] = 0.6
    albedo[~edge & (p[:, 2] < 0.22)] = np.array([0.06, 0.14, 0.3], np.float32)


def _stripes(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo[np.mod(p[:, 0], 0.3) < 0.15] = 0.78
