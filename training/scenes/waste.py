"""Wheelie bins, what spills out of them, bags and litter.

Models stand on z = 0 with their middle at the origin.
"""

from __future__ import annotations

import math

import numpy as np

from training.scenes.mesh import (
    Colour,
    Material,
    Mesh,
    Paint,
    Patch,
    box,
    build,
    ellipsoid,
    join,
    loft,
    rgb,
    ring,
    sheet,
    tube,
    turned,
    wheel,
)

BIN_COLOURS: tuple[Colour, ...] = (
    rgb(30, 104, 58),
    rgb(26, 70, 142),
    rgb(58, 62, 64),
    rgb(150, 34, 34),
    rgb(34, 92, 82),
)
BAG_COLOURS: tuple[Colour, ...] = (
    rgb(18, 18, 20), rgb(22, 22, 25), rgb(28, 27, 28), rgb(206, 206, 202), rgb(188, 190, 190),
    rgb(216, 214, 208), rgb(156, 40, 42),
    rgb(70, 96, 146), rgb(176, 146, 84), rgb(186, 120, 130), rgb(112, 140, 112),
)  # fmt: skip
CARDBOARD = rgb(168, 128, 84)
_RUBBER = Material((0.015, 0.015, 0.016), 0.02, 0.6)


def bin_(colour: Colour, lid_deg: float = 0.0, large: float = 1.0) -> Mesh:
    """A two-wheeled 240-litre bin that faces +x; lid_deg is how far the lid is open.

    `large` stretches its breadth.
    """
    plastic = Material(colour, 0.035, 0.35, _bin_paint(colour))
    levels = [
        (0.19, 0.22, 0.06),
        (0.205, 0.235, 0.08),
        (0.24, 0.27, 0.5),
        (0.275, 0.30, 0.90),
        (0.30, 0.325, 0.91),
        (0.305, 0.33, 0.97),
        (0.285, 0.31, 0.975),
    ]
    body = loft(np.stack([ring(x, y * large, z, 24, 6) for x, y, z in levels]), plastic)
    inside = turned([(0.0001, 0.955), (0.27, 0.97)], Material((0.02, 0.02, 0.02)), 16, large, 5)
    lid = loft(
        np.stack(
            [
                ring(x, y * large, z, 24, 6)
                for x, y, z in [
                    (0.31, 0.34, 0.0),
                    (0.315, 0.345, 0.03),
                    (0.29, 0.31, 0.075),
                    (0.15, 0.16, 0.1),
                ]
            ]
        ),
        Material(colour, 0.04, 0.3),
    )
    hinged = lid.moved(0.31).tilted(-lid_deg).moved(-0.31, 0, 0.985)
    wheels = [
        wheel(0.1, 0.05, _RUBBER, _RUBBER, 12).moved(-0.2, side * 0.25 * large, 0.1) for side in (-1, 1)
    ]
    handle = tube(
        (-0.36, -0.26 * large, 0.93), (-0.36, 0.26 * large, 0.93), 0.02, 0.02, Material(colour, 0.03, 0.4)
    )
    return join([*wheels, handle, body, inside.nearer(0.15), hinged.nearer(0.05)])


def overflowing(rng: np.random.Generator, colour: Colour, large: float = 1.0) -> Mesh:
    """A bin whose lid no longer closes over the heap in it."""
    lid = float(rng.choice([70.0, 105.0, 110.0]))
    parts = [bin_(colour, lid, large)]
    for k in range(int(rng.integers(9, 14))):
        low = 0.84 if k < 6 else 1.0  # the first ones fill the mouth, the others lie on them
        reach = 0.24 if k < 6 else 0.15
        x, y = rng.uniform(-0.16, reach), rng.uniform(-reach, reach) * large
        one = bag(rng, float(rng.uniform(0.13, 0.22)))
        parts.append(
            one.moved(
                float(x), float(y), low + float(rng.uniform(0, 0.12)), float(rng.uniform(0, 360))
            ).nearer(0.15)
        )
    for _ in range(int(rng.integers(4, 8))):
        piece = carton(rng).moved(scale=0.6) if rng.random() < 0.3 else scrap(rng)
        x, y = rng.uniform(-0.2, 0.25), rng.uniform(-0.26, 0.26) * large
        parts.append(
            piece.moved(float(x), float(y), float(rng.uniform(1.0, 1.22)), float(rng.uniform(0, 360))).nearer(
                0.25
            )
        )
    return join(parts)


def bag(rng: np.random.Generator, size: float, colour: Colour | None = None) -> Mesh:
    """A tied bag of about `size` metres half-width, creased."""
    colour = BAG_COLOURS[int(rng.integers(len(BAG_COLOURS)))] if colour is None else colour
    rows, columns = 14, 24
    lat = np.linspace(-math.pi / 2, math.pi / 2, rows)
    lon = np.linspace(0, 2 * math.pi, columns, endpoint=False)
    phase = rng.uniform(0, 6.3, 5)
    grid_lat, grid_lon = np.meshgrid(lat, lon, indexing="ij")
    creases = 0.07 * np.sin(7 * grid_lon + phase[0] + 2 * np.sin(3 * grid_lat + phase[1])) + 0.08 * np.sin(
        3 * grid_lon + phase[2]
    ) * np.cos(2 * grid_lat + phase[3])
    creases += rng.normal(0, 0.045, creases.shape)
    radius = size * (1 + creases * np.cos(grid_lat))
    flat = rng.uniform(0.65, 0.95)
    x, y = (
        radius * np.cos(grid_lat) * np.cos(grid_lon),
        radius * np.cos(grid_lat) * np.sin(grid_lon) * rng.uniform(0.75, 1.0),
    )
    z = np.maximum(size * flat * np.sin(grid_lat), -0.55 * size * flat) + 0.55 * size * flat
    skin = Material(colour, 0.05 + 0.03 * float(rng.random()), 0.16)
    body = loft(np.stack([x, y, z], -1).astype(np.float32), skin, caps=False)
    knot = (
        turned([(0.05, 0.0), (0.02, 0.03), (0.045, 0.07), (0.02, 0.09)], skin, 7)
        .tilted(float(rng.uniform(-40, 40)))
        .moved(0, 0, float(z.max()) - 0.02, scale=size / 0.25)
    )
    return join([body, knot])


def carton(rng: np.random.Generator) -> Mesh:
    """A cardboard box with open flaps, or one trodden flat."""
    brown = tuple(c * float(rng.uniform(0.8, 1.15)) for c in CARDBOARD)
    card = Material((brown[0], brown[1], brown[2]), 0.0, 0.9, _tape)
    w, d, h = (float(v) for v in rng.uniform([0.25, 0.25, 0.15], [0.5, 0.42, 0.4]))
    if rng.random() < 0.35:
        return box((w * 1.4, d * 1.5, 0.03), card)
    flaps = [
        sheet(
            [
                (-w / 2, s * d / 2, h),
                (w / 2, s * d / 2, h),
                (w / 2, s * d * 0.8, h * 1.1),
                (-w / 2, s * d * 0.8, h * 1.1),
            ],
            card,
        )
        for s in (-1, 1)
    ]
    return join([box((w, d, h), card), *flaps])


def scrap(rng: np.random.Generator) -> Mesh:
    """One piece of litter: bottle, can, cup, paper, food box or a small bag."""
    kind = int(rng.integers(6))
    tone = tuple(float(v) for v in rng.uniform(0.05, 0.8, 3))
    colour: Colour = (tone[0], tone[1], tone[2])
    if kind == 0:
        clear = Material(rgb(196, 214, 220), 0.08, 0.1, _label(colour))
        return (
            turned([(0.03, 0), (0.034, 0.02), (0.034, 0.15), (0.014, 0.2), (0.014, 0.23)], clear, 10)
            .tilted(90)
            .moved(-0.1, 0, 0.035)
        )
    if kind == 1:
        return (
            turned([(0.03, 0), (0.033, 0.01), (0.033, 0.11), (0.027, 0.12)], Material(colour, 0.15, 0.25), 10)
            .tilted(90)
            .moved(-0.06, 0, 0.033)
        )
    if kind == 2:
        return (
            turned([(0.03, 0), (0.045, 0.11)], Material(rgb(236, 236, 230), 0.03, 0.5, _label(colour)), 10)
            .tilted(float(rng.choice([0.0, 90.0])))
            .moved(0, 0, 0.035)
        )
    if kind == 3:
        return _paper(rng)
    if kind == 4:
        return box((0.18, 0.13, 0.06), Material(rgb(238, 238, 236), 0.03, 0.5), taper=1.15)
    return bag(rng, float(rng.uniform(0.08, 0.15)))


def pile(rng: np.random.Generator, bags: int, spread_m: float) -> Mesh:
    """A heap of bags, boxes and litter about the origin."""
    parts: list[Mesh] = []
    for k in range(bags):
        r, a = spread_m * math.sqrt(rng.random()), rng.uniform(0, 6.3)
        lift = 0.22 * float(rng.random()) if k > bags * 0.6 else 0.0
        near = 0.55 if lift else 1.0
        parts.append(
            bag(rng, float(rng.uniform(0.16, 0.30))).moved(
                r * math.cos(a) * near, r * math.sin(a) * near, lift, float(rng.uniform(0, 360))
            )
        )
    for _ in range(max(1, bags // 3)):
        r, a = spread_m * rng.uniform(0.3, 1.1), rng.uniform(0, 6.3)
        parts.append(carton(rng).moved(r * math.cos(a), r * math.sin(a), 0, float(rng.uniform(0, 360))))
    for _ in range(bags):
        r, a = spread_m * rng.uniform(0.4, 1.35), rng.uniform(0, 6.3)
        parts.append(scrap(rng).moved(r * math.cos(a), r * math.sin(a), 0, float(rng.uniform(0, 360))))
    return join(parts)


def cigarette_bin(colour: Colour) -> Mesh:
    """A twin street bin on a post, closed."""
    steel = Material(colour, 0.06, 0.3, _panel)
    boxes = [box((0.34, 0.36, 0.72), steel).moved(0, side * 0.22, 0.18) for side in (-1, 1)]
    roof = box((0.44, 0.94, 0.05), Material(rgb(70, 74, 78), 0.06, 0.3)).moved(0, 0, 0.98)
    posts = [tube((0, side * 0.42, 0), (0, side * 0.42, 1.0), 0.025, 0.025, _RUBBER) for side in (-1, 1)]
    return join([*posts, *boxes, roof])


def _paper(rng: np.random.Generator) -> Mesh:
    n = 5
    s, t = np.meshgrid(np.linspace(-0.11, 0.11, n), np.linspace(-0.08, 0.08, n), indexing="ij")
    z = np.abs(rng.normal(0.02, 0.02, s.shape))
    faces = np.array(
        [
            [r * n + c, (r + 1) * n + c, (r + 1) * n + c + 1, r * n + c + 1]
            for r in range(n - 1)
            for c in range(n - 1)
        ],
        np.int32,
    )
    white = float(rng.uniform(0.5, 0.85))
    return build(
        np.stack([s, t, z], -1).reshape(-1, 3).astype(np.float32),
        faces,
        Material((white, white, white * 0.98)),
        two_sided=True,
    )


def _bin_paint(colour: Colour) -> Paint:
    def paint(patch: Patch) -> None:
        p, n, albedo = patch.position, patch.normal, patch.albedo
        x, y, z = p.T
        front = (n[:, 0] > 0.6) & (np.abs(y) < 0.15) & (z > 0.42) & (z < 0.78)
        albedo[front] = np.array([0.7, 0.72, 0.7], np.float32)
        strokes = (
            front
            & (np.abs(y) < 0.10)
            & (z > 0.50)
            & (z < 0.72)
            & ((np.sin(y * 95) > 0.2) | (np.sin(z * 70) > 0.5))
        )
        albedo[strokes] = np.array(colour, np.float32)
        ribs = (np.abs(n[:, 1]) > 0.6) & (np.abs(np.mod(x, 0.13) - 0.065) < 0.012) & (z < 0.85)
        albedo[ribs] *= 0.7
        albedo *= (0.72 + 0.28 * np.clip(z / 0.35, 0, 1))[:, None]  # splashes near the ground
        albedo *= (0.93 + 0.07 * np.sin(13 * z + 21 * y + 17 * x))[:, None]

    return paint


def _panel(patch: Patch) -> None:
    """Dark slot and pale sign of a street bin."""
    p, n, albedo = patch.position, patch.normal, patch.albedo
    front = np.abs(n[:, 0]) > 0.6
    albedo[front & (np.abs(np.abs(p[:, 1]) - 0.22) < 0.12) & (np.abs(p[:, 2] - 0.78) < 0.05)] = 0.01
    albedo[front & (np.abs(np.abs(p[:, 1]) - 0.22) < 0.09) & (np.abs(p[:, 2] - 0.5) < 0.1)] = 0.6


def _label(colour: Colour) -> Paint:
    def paint(patch: Patch) -> None:
        p, albedo = patch.position, patch.albedo
        albedo[(p[:, 2] > 0.05) & (p[:, 2] < 0.11)] = np.array(colour, np.float32)

    return paint


def _tape(patch: Patch) -> None:
    """Pale tape over the middle and a printed mark."""
    p, n, albedo = patch.position, patch.normal, patch.albedo
    albedo[np.abs(p[:, 1]) < 0.025] *= 1.25
    albedo[(np.abs(n[:, 1]) > 0.6) & (np.abs(p[:, 0]) < 0.06) & (np.abs(p[:, 2] - 0.12) < 0.04)] *= 0.45


def peel(rng: np.random.Generator) -> Mesh:
    """A melon rind or vegetable leaf by a stall."""
    return ellipsoid(0.12, 0.06, 0.03, Material(rgb(70, int(rng.integers(110, 160)), 50), 0.03, 0.4), 5, 8)
