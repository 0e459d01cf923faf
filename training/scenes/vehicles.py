"""Cars, vans, buses and light trucks.

Lofted bodies whose windows, lamps, seams and plates are painted by position.

Models face +x, stand on z = 0 and have their middle at the origin. Plates carry no characters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.scenes.camera import Floats, Mask
from training.scenes.mesh import Colour, Material, Mesh, Paint, Patch, box, ellipsoid, join, loft, rgb, wheel

Curve = tuple[tuple[float, float], ...]
"""(x as a share of half the length from -1 rear to 1 front, height in metres) knots."""

PAINTS: tuple[Colour, ...] = (
    rgb(232, 232, 230), rgb(240, 240, 240), rgb(28, 29, 32), rgb(60, 63, 68), rgb(150, 153, 156),
    rgb(190, 192, 194),
    rgb(122, 22, 26), rgb(28, 52, 96), rgb(96, 78, 60), rgb(36, 66, 58), rgb(176, 168, 150), rgb(208, 60, 28),
)  # fmt: skip
PLATES: tuple[Colour, ...] = (rgb(28, 70, 160), rgb(120, 190, 140))

TYRE = Material((0.012, 0.012, 0.013), 0.02, 0.7)
BLACK = np.array([0.012, 0.012, 0.012], np.float32)


@dataclass(frozen=True)
class Shape:
    """Lines of a car body, metres. top and roof are height curves.

    Glass bounds are shares of half the length.
    """

    length: float
    width: float
    belt: float
    top: Curve
    roof: Curve
    pillars: tuple[float, ...]
    axles: tuple[float, float]
    wheel_m: float = 0.32
    floor: float = 0.2
    seams: tuple[float, ...] = (0.36, -0.06, -0.46)


SEDAN = Shape(
    4.62, 1.80, 0.93,
    ((-1, 0.72), (-0.985, 0.92), (-0.93, 1.0), (-0.72, 1.02), (-0.6, 0.95), (0.38, 0.93), (0.45, 0.92),
    (0.8, 0.83), (0.93, 0.78), (0.985, 0.72), (1, 0.62)),
    ((-0.82, 0.03), (-0.62, 0.22), (-0.38, 0.46), (-0.15, 0.52), (0.02, 0.52), (0.14, 0.47),
    (0.32, 0.22), (0.48, 0.0)),
    (-0.04, -0.42), (0.60, -0.58),
)  # fmt: skip
HATCH = Shape(
    4.15, 1.76, 0.96,
    ((-1, 0.70), (-0.985, 0.95), (-0.93, 1.0), (0.40, 0.96), (0.48, 0.95), (0.82, 0.88), (0.94, 0.82),
    (0.985, 0.74), (1, 0.62)),
    ((-0.97, 0.02), (-0.90, 0.28), (-0.78, 0.46), (-0.3, 0.54), (0.05, 0.54), (0.18, 0.48), (0.36, 0.22),
    (0.52, 0.0)),
    (-0.02, -0.50), (0.62, -0.60), seams=(0.40, -0.04, -0.48),
)  # fmt: skip
SUV = Shape(
    4.68, 1.88, 1.06,
    ((-1, 0.75), (-0.985, 1.02), (-0.93, 1.08), (0.40, 1.06), (0.48, 1.05), (0.84, 0.99), (0.95, 0.95),
    (0.985, 0.88), (1, 0.72)),
    ((-0.98, 0.03), (-0.92, 0.30), (-0.82, 0.50), (-0.4, 0.60), (0.05, 0.60), (0.18, 0.54), (0.36, 0.24),
    (0.50, 0.0)),
    (0.0, -0.46), (0.60, -0.58), 0.36, 0.26, seams=(0.40, -0.02, -0.46),
)  # fmt: skip
VAN = Shape(
    4.35, 1.66, 1.04,
    ((-1, 0.75), (-0.985, 1.0), (-0.95, 1.06), (0.62, 1.04), (0.74, 1.0), (0.90, 0.94), (0.97, 0.86),
    (1, 0.7)),
    ((-0.99, 0.04), (-0.95, 0.5), (-0.86, 0.78), (-0.3, 0.86), (0.2, 0.86), (0.36, 0.78), (0.58, 0.38),
    (0.78, 0.0)),
    (0.28, -0.18, -0.58), (0.62, -0.62), 0.29, seams=(0.56, 0.26, -0.20),
)  # fmt: skip
SHAPES = {"sedan": SEDAN, "hatch": HATCH, "suv": SUV, "van": VAN}


def car(shape: Shape, colour: Colour, plate: Colour = PLATES[0]) -> Mesh:
    """Build one passenger car."""
    half, w = shape.length / 2, shape.width / 2
    parts = [_lower(shape, colour, plate), _greenhouse(shape, colour)]
    rim = Material(rgb(150, 152, 155), 0.15, 0.3, _rim(shape.wheel_m))
    one = wheel(shape.wheel_m, 0.2, TYRE, rim)
    parts += [
        one.moved(a * half, side * (w * 0.965 - 0.1), shape.wheel_m).nearer(0.10)
        for a in shape.axles
        for side in (-1, 1)
    ]
    mirror = ellipsoid(0.07, 0.10, 0.075, Material(colour, 0.05, 0.05), 5, 8)
    front = next(x for x, h in reversed(shape.roof) if h > 0.1)
    parts += [
        mirror.moved(front * half + 0.02, side * (w + 0.02), shape.belt + 0.07).nearer(0.2)
        for side in (-1, 1)
    ]
    return join(parts)


def _lower(shape: Shape, colour: Colour, plate: Colour) -> Mesh:
    half, w = shape.length / 2, shape.width / 2
    share = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 40)) * 0.55 + np.linspace(-1, 1, 40) * 0.45
    top = _height(share, shape.top)
    bottom = shape.floor + 0.07 * np.abs(share) ** 12
    breadth = w * (1 - 0.17 * np.abs(share) ** 9 - 0.05 * np.abs(share) ** 30)
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    y = np.sign(c) * np.abs(c) ** (2 / 5.5)
    z = np.sign(s) * np.abs(s) ** (2 / 4.0)
    height = (top - bottom)[:, None] * (z + 1) / 2
    lean = 1 - 0.07 * np.clip(z, 0, 1) ** 2 - 0.05 * np.clip(-z, 0, 1) ** 2
    crown = -0.05 * y**2 * (z > 0.6)
    rings = np.stack(
        [
            np.broadcast_to(share[:, None] * half, height.shape),
            breadth[:, None] * (y * lean),
            bottom[:, None] + height + crown,
        ],
        -1,
    ).astype(np.float32)
    return loft(rings, Material(colour, 0.05, 0.05, _lower_paint(shape, plate)))


def _greenhouse(shape: Shape, colour: Colour) -> Mesh:
    half, w = shape.length / 2, shape.width / 2
    share = np.linspace(shape.roof[0][0], shape.roof[-1][0], 26)
    rise = _rounded(share, shape.roof)
    highest = rise.max()
    side = np.array(
        [
            [1, -0.12],
            [1, 0],
            [0.985, 0.3],
            [0.965, 0.6],
            [0.94, 0.82],
            [0.89, 0.93],
            [0.78, 0.98],
            [0.5, 1.0],
            [0.2, 1.012],
        ]
    )
    profile = np.concatenate([side, side[::-1] * [-1, 1]])
    z = profile[:, 1] * rise[:, None]
    lean = 1 - 0.19 * np.clip(z / highest, 0, 1)
    narrow = 1 - 0.10 * np.clip(np.abs(share) - 0.25, 0, 1)[:, None]
    y = profile[:, 0] * lean * narrow * w * 0.93
    base = np.minimum(shape.belt, _height(share, shape.top) - 0.015)[:, None]
    rings = np.stack(
        [np.broadcast_to(share[:, None] * half, z.shape), y, base + np.where(profile[:, 1] < 0, -0.06, z)], -1
    ).astype(np.float32)
    return loft(rings, Material(colour, 0.05, 0.05, _glass_paint(shape, highest))).nearer(0.12)


def _height(share: Floats, curve: Curve) -> Floats:
    """Interpolate a curve at shares of half the length (N,)."""
    at, height = (np.array(v) for v in zip(*curve, strict=True))
    return np.asarray(np.interp(share, at, height))


def _rounded(share: Floats, curve: Curve) -> Floats:
    """Interpolate the knots and round them off."""
    fine = np.linspace(curve[0][0], curve[-1][0], 200)
    height = _height(fine, curve)
    kernel = np.hanning(23)
    padded = np.pad(height, 11, mode="reflect", reflect_type="odd")
    return np.interp(share, fine, np.convolve(padded, kernel / kernel.sum(), "valid"))


def _lower_paint(shape: Shape, plate: Colour) -> Paint:
    half, w = shape.length / 2, shape.width / 2
    nose = float(_height(np.array([0.95]), shape.top)[0])

    def paint(patch: Patch) -> None:
        p, n, albedo, gloss = patch.position, patch.normal, patch.albedo, patch.gloss
        x, y, z = p.T
        side = np.abs(n[:, 1]) > 0.55
        for seam in shape.seams:
            albedo[side & (z > 0.33) & (np.abs(x - seam * half) < 0.009)] *= 0.2
        albedo[side & (np.abs(z - 0.56) < 0.006)] *= 0.75
        for seam in shape.seams[1:]:
            handle = side & (np.abs(x - seam * half - 0.13) < 0.09) & (np.abs(z - shape.belt + 0.12) < 0.016)
            albedo[handle] *= 0.45
        top = n[:, 2] > 0.6
        albedo[top & (np.abs(np.abs(y) - 0.80 * w) < 0.008) & (x > 0.45 * half)] *= 0.25
        _set(albedo, gloss, z < shape.floor + 0.10, BLACK * 2, 0.02)
        for axle in shape.axles:
            arch = (np.abs(y) > 0.5 * w) & (
                (x - axle * half) ** 2 + (z - shape.wheel_m) ** 2 < (shape.wheel_m + 0.055) ** 2
            )
            _set(albedo, gloss, arch, BLACK * 0.5, 0.0)
        _front(p, albedo, gloss, nose, plate)
        _rear(p, albedo, gloss, plate)

    def _front(p: Floats, albedo: Floats, gloss: Floats, nose: float, plate: Colour) -> None:
        x, y, z = p[:, 0], np.abs(p[:, 1]), p[:, 2]
        at = x > half * 0.86
        lamp = at & (y > 0.52 * w) & (z > nose - 0.20 + 0.05 * (1 - y / w)) & (z < nose - 0.04)
        _set(albedo, gloss, lamp, np.array([0.62, 0.62, 0.6], np.float32), 0.25)
        _set(
            albedo,
            gloss,
            lamp & (np.hypot(y - 0.74 * w, z - nose + 0.12) < 0.055),
            np.array([0.06, 0.06, 0.06], np.float32),
            0.4,
        )
        very = x > half * 0.93
        _set(
            albedo,
            gloss,
            very & (y < 0.48 * w) & (z > nose - 0.24) & (z < nose - 0.06) & (np.sin(z * 190) > -0.3),
            BLACK * 2,
            0.05,
        )
        _set(albedo, gloss, very & (y < 0.62 * w) & (z > 0.26) & (z < 0.40), BLACK, 0.02)
        _set(albedo, gloss, very & (y > 0.66 * w) & (y < 0.84 * w) & (z > 0.33) & (z < 0.43), BLACK * 3, 0.1)
        _set(
            albedo,
            gloss,
            very & (y < 0.055) & (np.abs(z - nose + 0.14) < 0.045),
            np.array([0.5, 0.5, 0.5], np.float32),
            0.4,
        )
        _set(albedo, gloss, very & (y < 0.22) & (np.abs(z - 0.445) < 0.07), np.array(plate, np.float32), 0.03)

    def _rear(p: Floats, albedo: Floats, gloss: Floats, plate: Colour) -> None:
        x, y, z = p[:, 0], np.abs(p[:, 1]), p[:, 2]
        at = x < -half * 0.90
        tail = shape.belt - 0.14
        _set(
            albedo,
            gloss,
            at & (y > 0.48 * w) & (np.abs(z - tail) < 0.075),
            np.array([0.02, 0.015, 0.42], np.float32),
            0.12,
        )
        _set(
            albedo,
            gloss,
            at & (y <= 0.48 * w) & (np.abs(z - tail - 0.05) < 0.016),
            np.array([0.4, 0.4, 0.4], np.float32),
            0.3,
        )
        _set(albedo, gloss, at & (z < 0.42), BLACK * 2, 0.03)
        _set(albedo, gloss, at & (y < 0.23) & (np.abs(z - 0.60) < 0.075), np.array(plate, np.float32), 0.03)
        albedo[at & (np.abs(z - 0.50) < 0.007)] *= 0.3

    return paint


def _glass_paint(shape: Shape, highest: float) -> Paint:
    half, w = shape.length / 2, shape.width / 2
    glass = np.array([0.022, 0.022, 0.02], np.float32)

    def paint(patch: Patch) -> None:
        p, n, albedo, gloss = patch.position, patch.normal, patch.albedo, patch.gloss
        x, y, z = p[:, 0], np.abs(p[:, 1]), p[:, 2] - shape.belt
        rise = _rounded(x / half, shape.roof)
        side = (np.abs(n[:, 1]) > 0.62) & (z > 0.045) & (z < np.minimum(rise - 0.055, highest * 0.86))
        for pillar in shape.pillars:
            side &= np.abs(x - pillar * half) > 0.045
        edge = w * 0.93 * (1 - 0.19 * np.clip(z / highest, 0, 1)) - 0.10
        slope = (
            (np.abs(n[:, 0]) > 0.30)
            & (np.abs(n[:, 1]) < 0.75)
            & (y < edge)
            & (z > 0.035)
            & (z < highest - 0.035)
        )
        for mask in (side, slope):
            _set(albedo, gloss, mask, glass, 0.07)
        interior = slope & (z < 0.30) & (np.abs(np.abs(p[:, 1]) - 0.36) < 0.2) & (z > 0.12)
        albedo[interior] = np.array([0.05, 0.05, 0.055], np.float32)
        trim = (np.abs(n[:, 1]) > 0.5) & (z > 0.0) & (z < 0.045)
        _set(albedo, gloss, trim, BLACK * 2, 0.1)

    return paint


def _rim(radius: float) -> Paint:
    def paint(patch: Patch) -> None:
        p, albedo, gloss = patch.position, patch.albedo, patch.gloss
        r = np.hypot(p[:, 0], p[:, 2]) / radius
        angle = np.arctan2(p[:, 2], p[:, 0])
        open_ = (r > 0.22) & (r < 0.66) & (np.sin(angle * 5) > 0.1)
        _set(albedo, gloss, open_, BLACK, 0.0)
        _set(albedo, gloss, r > 0.72, BLACK, 0.02)

    return paint


def _set(albedo: Floats, gloss: Floats, mask: Mask, colour: Floats, shine: float) -> None:
    albedo[mask] = colour
    gloss[mask] = shine


def bus(colour: Colour, length: float = 10.5) -> Mesh:
    """Build a city bus with one row of windows all round."""
    w, height = 1.25, 3.0
    body = _hull(length, w, 0.32, height, Material(colour, 0.04, 0.1, _bus_paint(length)))
    return join([body, *_wheels(length, w, (0.55, -0.52), 0.48)])


def truck(colour: Colour, length: float = 5.9, *, closed: bool = True) -> Mesh:
    """Build a light truck: cab and box (closed) or drop-side bed."""
    w = 0.98
    cab = _hull(1.7, w * 0.97, 0.45, 2.15, Material(colour, 0.05, 0.08, _cab_paint)).moved(length / 2 - 0.85)
    cargo = Material(rgb(214, 216, 214) if closed else colour, 0.02, 0.5, _ribs)
    bed = box((length - 1.9, w * 2, 1.95 if closed else 0.5), cargo).moved(-0.95, 0, 0.72)
    frame = box((length - 0.6, w * 1.2, 0.25), Material((0.02, 0.02, 0.02))).moved(-0.2, 0, 0.42).nearer(-0.5)
    return join([frame, bed, cab.nearer(0.3), *_wheels(length, w, (0.66, -0.5), 0.40)])


def _hull(length: float, w: float, floor: float, height: float, material: Material) -> Mesh:
    share = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 24)) * 0.6 + np.linspace(-1, 1, 24) * 0.4
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    y = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.25
    z = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 0.25
    shrink = (1 - 0.05 * np.abs(share) ** 40)[:, None]
    middle, half = (floor + height) / 2, (height - floor) / 2
    rings = np.stack(
        [np.broadcast_to(share[:, None] * length / 2, (24, 32)), w * y * shrink, middle + half * z * shrink],
        -1,
    )
    return loft(rings.astype(np.float32), material)


def _wheels(length: float, w: float, axles: tuple[float, float], radius: float) -> list[Mesh]:
    one = wheel(radius, 0.26, TYRE, Material(rgb(120, 122, 124), 0.08, 0.4, _rim(radius)))
    return [
        one.moved(a * length / 2, side * (w * 0.985 - 0.13), radius).nearer(0.18)
        for a in axles
        for side in (-1, 1)
    ]


def _bus_paint(length: float) -> Paint:
    half = length / 2

    def paint(patch: Patch) -> None:
        p, n, albedo, gloss = patch.position, patch.normal, patch.albedo, patch.gloss
        x, y, z = p[:, 0], np.abs(p[:, 1]), p[:, 2]
        side = np.abs(n[:, 1]) > 0.6
        window = side & (z > 1.25) & (z < 2.35) & (np.abs(x) < half - 0.25) & (np.mod(x, 1.45) > 0.07)
        back = n[:, 0] < -0.6
        front = (n[:, 0] > 0.6) & (z > 1.05) & (z < 2.55) & (y < 1.13)
        front |= back & (z > 1.75) & (z < 2.5) & (y < 0.95)
        _set(albedo, gloss, window | front, np.array([0.02, 0.022, 0.02], np.float32), 0.08)
        _set(albedo, gloss, (n[:, 0] > 0.6) & (z > 2.6) & (z < 2.85) & (y < 0.85), BLACK, 0.05)
        _set(
            albedo,
            gloss,
            (n[:, 0] > 0.5) & (y > 0.85) & (z > 0.6) & (z < 0.8),
            np.array([0.6, 0.6, 0.6], np.float32),
            0.2,
        )
        _set(
            albedo,
            gloss,
            back & (y > 0.95) & (np.abs(z - 1.2) < 0.35),
            np.array(rgb(150, 16, 18), np.float32),
            0.1,
        )
        _set(
            albedo,
            gloss,
            back & (y < 0.8) & (np.abs(z - 1.1) < 0.4) & (np.sin(z * 60) > -0.2),
            BLACK * 2,
            0.02,
        )
        _set(
            albedo,
            gloss,
            back & (y < 0.25) & (np.abs(z - 0.62) < 0.09),
            np.array(PLATES[0], np.float32),
            0.02,
        )
        band = side & (z < 1.2) & (z > 0.9 + 0.25 * np.sin(x * 0.6))
        albedo[band] = np.array([0.75, 0.75, 0.75], np.float32)
        _set(albedo, gloss, z < 0.45, BLACK * 2, 0.02)
        for axle in (0.55, -0.52):
            _set(albedo, gloss, side & ((x - axle * half) ** 2 + (z - 0.48) ** 2 < 0.3), BLACK, 0.0)
        albedo[side & (np.abs(x - 0.75 * half) < 0.6) & (np.mod(x, 0.6) < 0.02)] *= 0.3

    return paint


def _cab_paint(patch: Patch) -> None:
    """Paint the windows, lamps and grille of a cab."""
    p, n, albedo, gloss = patch.position, patch.normal, patch.albedo, patch.gloss
    x, y, z = p[:, 0], np.abs(p[:, 1]), p[:, 2]
    screen = (n[:, 0] > 0.5) & (z > 1.3) & (z < 2.0) & (y < 0.85)
    window = (np.abs(n[:, 1]) > 0.6) & (z > 1.3) & (z < 1.95) & (x > -0.35) & (x < 0.7)
    _set(albedo, gloss, screen | window, np.array([0.02, 0.022, 0.02], np.float32), 0.08)
    _set(
        albedo,
        gloss,
        (n[:, 0] > 0.4) & (y > 0.55) & (z > 0.72) & (z < 0.92),
        np.array([0.6, 0.6, 0.6], np.float32),
        0.25,
    )
    _set(albedo, gloss, (n[:, 0] > 0.4) & (y < 0.5) & (z > 0.75) & (z < 1.05), BLACK * 2, 0.05)
    _set(
        albedo,
        gloss,
        (n[:, 0] > 0.4) & (y < 0.22) & (np.abs(z - 0.6) < 0.07),
        np.array(PLATES[0], np.float32),
        0.02,
    )
    albedo[(np.abs(n[:, 1]) > 0.6) & (np.abs(x + 0.42) < 0.012)] *= 0.2
    _set(albedo, gloss, z < 0.55, BLACK * 2, 0.02)


def _ribs(patch: Patch) -> None:
    """Shade the pressed ribs of a cargo body."""
    p, n, albedo = patch.position, patch.normal, patch.albedo
    upright = np.abs(n[:, 2]) < 0.5
    albedo[upright & (np.mod(p[:, 0] + p[:, 1], 0.32) < 0.05)] *= 0.72
    albedo[upright & (p[:, 2] < 0.8)] *= 0.4
