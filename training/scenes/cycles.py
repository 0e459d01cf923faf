"""Bicycles, e-bikes and cargo tricycles. Models face +x, stand on z = 0, and the saddle is near x = 0."""

from __future__ import annotations

import numpy as np

from training.scenes.mesh import (
    Colour,
    Material,
    Mesh,
    Patch,
    box,
    ellipsoid,
    join,
    loft,
    rgb,
    ring,
    tube,
    wheel,
)

CYCLE_COLOURS: tuple[Colour, ...] = (
    rgb(30, 90, 190),
    rgb(240, 200, 30),
    rgb(32, 32, 34),
    rgb(180, 30, 36),
    rgb(220, 222, 224),
    rgb(40, 140, 90),
    rgb(230, 110, 40),
)
_TYRE = Material((0.013, 0.013, 0.014), 0.02, 0.7)
_STEEL = Material(rgb(160, 164, 168), 0.2, 0.25)
_DARK = Material((0.02, 0.02, 0.022), 0.03, 0.5)


def bicycle(colour: Colour, *, basket: bool = True) -> Mesh:
    """City bicycle with a basket."""
    paint = Material(colour, 0.06, 0.15)
    hub_r, hub_f, saddle, crank, head = (
        (-0.45, 0, 0.33),
        (0.62, 0, 0.33),
        (-0.12, 0, 0.86),
        (0.02, 0, 0.3),
        (0.45, 0, 0.88),
    )
    bars = [
        (hub_r, crank),
        (hub_r, (-0.1, 0, 0.7)),
        (crank, saddle),
        (crank, (0.47, 0, 0.72)),
        (hub_f, head),
        ((-0.1, 0, 0.66), (0.47, 0, 0.78)),
    ]
    parts = [_spoked(0.33).moved(h[0], 0, h[2]) for h in (hub_r, hub_f)]
    parts += [tube(a, b, 0.02, 0.02, paint, 7) for a, b in bars]
    parts += [
        ellipsoid(0.14, 0.075, 0.04, _DARK, 5, 9).moved(-0.13, 0, 0.9),
        tube((0.4, -0.27, 0.98), (0.4, 0.27, 0.98), 0.014, 0.014, _STEEL),
        tube(head, (0.42, 0, 1.0), 0.016, 0.016, _STEEL),
    ]
    parts += [
        tube((0.02, s * 0.1, 0.3 - s * 0.15), (0.14, s * 0.12, 0.3 - s * 0.15), 0.02, 0.02, _DARK, 6)
        for s in (-1, 1)
    ]
    if basket:
        parts.append(
            box((0.24, 0.32, 0.22), Material(rgb(110, 112, 114), 0.03, 0.5, _wire), taper=1.2).moved(
                0.66, 0, 0.78
            )
        )
    return join(parts)


def ebike(colour: Colour, *, crate: Colour | None = None) -> Mesh:
    """Electric scooter-like bike; `crate` adds a courier's box behind the saddle."""
    paint = Material(colour, 0.05, 0.1)
    parts = [wheel(0.23, 0.09, _TYRE, _STEEL, 16).moved(x, 0, 0.23) for x in (-0.55, 0.66)]
    shield = [
        (0.40, 0.10, 0.18, 0.34),
        (0.44, 0.09, 0.2, 0.5),
        (0.47, 0.08, 0.2, 0.7),
        (0.44, 0.07, 0.15, 0.9),
        (0.42, 0.05, 0.1, 0.98),
    ]
    parts.append(
        loft(
            np.stack([ring(rx, ry, z, 12, 3) + np.array([x, 0, 0], np.float32) for x, rx, ry, z in shield]),
            paint,
        )
    )
    parts.append(box((0.5, 0.28, 0.10), _DARK).moved(0.18, 0, 0.26))
    tail = [
        (-0.05, 0.16, 0.15, 0.3),
        (-0.18, 0.30, 0.15, 0.42),
        (-0.25, 0.42, 0.15, 0.58),
        (-0.22, 0.40, 0.14, 0.68),
    ]
    parts.append(
        loft(
            np.stack([ring(rx, ry, z, 14, 3) + np.array([x, 0, 0], np.float32) for x, rx, ry, z in tail]),
            paint,
        )
    )
    parts.append(ellipsoid(0.40, 0.14, 0.07, _DARK, 6, 12).moved(-0.2, 0, 0.72))
    parts += [
        ellipsoid(0.22, 0.07, 0.06, paint, 6, 10).moved(0.64, 0, 0.42),
        tube((0.66, 0, 0.25), (0.46, 0, 0.8), 0.035, 0.03, _STEEL),
    ]
    parts += [
        tube((0.40, -0.32, 1.02), (0.40, 0.32, 1.02), 0.018, 0.018, _DARK),
        ellipsoid(0.06, 0.1, 0.07, Material(rgb(220, 224, 226), 0.2, 0.1), 6, 8).moved(0.5, 0, 0.9),
    ]
    parts += [tube((0.40, s * 0.22, 1.02), (0.36, s * 0.30, 1.2), 0.01, 0.01, _DARK, 6) for s in (-1, 1)]
    parts += [ellipsoid(0.02, 0.06, 0.045, _DARK, 5, 8).moved(0.36, s * 0.31, 1.22) for s in (-1, 1)]
    parts.append(ellipsoid(0.05, 0.09, 0.04, Material(rgb(200, 20, 20), 0.1, 0.2), 5, 8).moved(-0.62, 0, 0.6))
    if crate is not None:
        parts.append(box((0.42, 0.44, 0.42), Material(crate, 0.02, 0.6)).moved(-0.55, 0, 0.75))
    return join(parts)


def tricycle(colour: Colour, *, load: Mesh | None = None) -> Mesh:
    """Electric cargo tricycle; the bed's floor is 0.55 m high and spans x from -1.9 to -0.35."""
    paint = Material(colour, 0.04, 0.25, _worn)
    parts = [wheel(0.27, 0.1, _TYRE, _STEEL, 16).moved(0.95, 0, 0.27)]
    parts += [wheel(0.27, 0.11, _TYRE, _STEEL, 16).moved(-1.15, s * 0.46, 0.27) for s in (-1, 1)]
    shield = [
        (0.62, 0.09, 0.3, 0.35),
        (0.66, 0.08, 0.34, 0.6),
        (0.64, 0.07, 0.3, 0.85),
        (0.60, 0.05, 0.18, 1.0),
    ]
    parts.append(
        loft(
            np.stack([ring(rx, ry, z, 12, 3) + np.array([x, 0, 0], np.float32) for x, rx, ry, z in shield]),
            paint,
        )
    )
    parts += [
        box((0.9, 0.5, 0.08), _DARK).moved(0.2, 0, 0.33),
        box((0.42, 0.5, 0.3), paint).moved(-0.1, 0, 0.4),
        ellipsoid(0.25, 0.26, 0.07, _DARK, 6, 12).moved(-0.08, 0, 0.76),
    ]
    parts += [
        tube((0.95, 0, 0.3), (0.66, 0, 0.9), 0.04, 0.03, _STEEL),
        tube((0.55, -0.36, 1.04), (0.55, 0.36, 1.04), 0.02, 0.02, _DARK),
    ]
    parts.append(ellipsoid(0.06, 0.1, 0.08, Material(rgb(226, 228, 228), 0.2, 0.1), 6, 8).moved(0.76, 0, 0.8))
    parts.append(box((1.55, 1.0, 0.06), paint).moved(-1.12, 0, 0.5))
    walls = [((1.55, 0.03, 0.3), (-1.12, s * 0.49)) for s in (-1, 1)] + [
        ((0.03, 1.0, 0.3), (x, 0.0)) for x in (-1.89, -0.35)
    ]
    parts += [box(size, paint).moved(x, y, 0.55) for size, (x, y) in walls]
    if load is not None:
        parts.append(load.moved(-1.12, 0, 0.6).nearer(0.15))
    return join(parts)


def _spoked(radius: float) -> Mesh:
    tyre = [tube(*_arc(radius - 0.02, k, 18), 0.02, 0.02, _TYRE, 5) for k in range(18)]
    spokes = [tube((0, 0, 0), _arc(radius - 0.02, k, 9)[0], 0.004, 0.004, _STEEL, 4) for k in range(9)]
    return join([*tyre, *spokes])


def _arc(radius: float, k: int, count: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    a, b = 2 * np.pi * k / count, 2 * np.pi * (k + 1) / count
    return (radius * float(np.cos(a)), 0.0, radius * float(np.sin(a))), (
        radius * float(np.cos(b)),
        0.0,
        radius * float(np.sin(b)),
    )


def _wire(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo[(np.mod(p[:, 0] + p[:, 1], 0.04) > 0.012) & (np.mod(p[:, 2], 0.04) > 0.012)] *= 0.3


def _worn(patch: Patch) -> None:
    """Mud on the lower half and faded patches."""
    p, albedo = patch.position, patch.albedo
    faded = np.sin(9 * p[:, 0] + 4 * np.sin(7 * p[:, 1])) * np.sin(8 * p[:, 2] + 5 * p[:, 0])
    albedo *= (0.92 + 0.12 * faded)[:, None]
    albedo *= (0.62 + 0.38 * np.clip((p[:, 2] - 0.2) / 0.5, 0, 1))[:, None]
