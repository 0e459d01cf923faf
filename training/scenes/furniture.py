"""What stands along a street: trees, lamps, railings, cones, planters, air conditioners.

Models stand on z = 0.
"""

from __future__ import annotations

import math

import numpy as np

from training.scenes.camera import Floats
from training.scenes.mesh import (
    Colour,
    Material,
    Mesh,
    Patch,
    box,
    build,
    ellipsoid,
    join,
    loft,
    rgb,
    ring,
    tube,
    turned,
    wheel,
)

_BARK = rgb(92, 80, 66)


def tree(rng: np.random.Generator, height: float = 8.0, crown: float = 2.2, leaves: int = 1500) -> Mesh:
    """Street tree: a slightly bent trunk, limbs and a crown of leaf cards."""
    bark = Material(_BARK, 0.0, 0.9, _bark)
    fork = height * 0.42
    bend = rng.normal(0, 0.08, 2)
    rings = [
        ring(r, r, z, 10) + np.array([bend[0] * (z / fork) ** 2, bend[1] * (z / fork) ** 2, 0], np.float32)
        for r, z in [(0.22, 0), (0.16, 0.25), (0.14, fork * 0.6), (0.12, fork)]
    ]
    trunk = loft(np.stack(rings), bark)
    limbs: list[Mesh] = []
    middle = np.array([0, 0, height - crown * 0.95])
    for k in range(6):
        a = k * 1.05 + float(rng.uniform(0, 0.5))
        tip = middle + crown * np.array(
            [0.55 * math.cos(a), 0.55 * math.sin(a), float(rng.uniform(-0.2, 0.5))]
        )
        limbs.append(tube((bend[0], bend[1], fork), tip, 0.09, 0.03, bark, 6))
    return join([trunk, *limbs, _leaves(rng, middle, crown, leaves)])


def _leaves(rng: np.random.Generator, middle: Floats, crown: float, count: int) -> Mesh:
    clumps = rng.normal(0, 1, (14, 3))
    clumps = (
        clumps
        / np.linalg.norm(clumps, axis=1, keepdims=True)
        * rng.uniform(0.35, 0.8, (14, 1))
        * crown
        * [1, 1, 0.7]
    )
    centre = clumps[rng.integers(14, size=count)] + rng.normal(0, 0.27 * crown, (count, 3)) * [1, 1, 0.75]
    outward = centre / np.maximum(np.linalg.norm(centre, axis=1, keepdims=True), 1e-6)
    normal = outward + rng.normal(0, 0.45, (count, 3)) + [0, 0, 0.4]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    u = np.cross(normal, rng.normal(0, 1, (count, 3)))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(normal, u)
    size = rng.uniform(0.09, 0.2, (count, 1))
    corners = (
        np.stack(
            [centre - u * size, centre - v * size * 0.55, centre + u * size, centre + v * size * 0.55], 1
        )
        + middle
    )
    vertices = corners.reshape(-1, 3).astype(np.float32)
    green = Material(rgb(74, 108, 44), 0.03, 0.4, _foliage)
    lifted = np.repeat((0.55 * normal + 0.6 * outward), 4, axis=0)
    lifted /= np.linalg.norm(lifted, axis=1, keepdims=True)
    return build(
        vertices,
        np.arange(count * 4, dtype=np.int32).reshape(-1, 4),
        green,
        normals=lifted.astype(np.float32),
        two_sided=True,
    )


def lamp(height: float = 7.5, arm: float = 1.8) -> Mesh:
    """Street lamp with an arm along -y."""
    steel = Material(rgb(150, 156, 160), 0.08, 0.35)
    parts = [
        turned([(0.11, 0), (0.11, 0.5), (0.07, 0.55), (0.05, height)], steel, 10),
        tube((0, 0, height - 0.2), (0, -arm, height + 0.2), 0.035, 0.03, steel),
        ellipsoid(0.12, 0.35, 0.06, steel, 6, 10).moved(0, -arm - 0.2, height + 0.2),
    ]
    return join(parts)


def railing(length: float) -> Mesh:
    """White traffic railing along x, from 0 to length."""
    white = Material(rgb(226, 228, 230), 0.05, 0.4, _grime)
    parts = [box((length, 0.04, 0.05), white).moved(length / 2, 0, z) for z in (0.25, 0.95)]
    parts += [box((0.025, 0.025, 0.7), white).moved(float(x), 0, 0.28) for x in np.arange(0.1, length, 0.16)]
    parts += [box((0.09, 0.09, 1.05), white).moved(float(x), 0, 0) for x in np.arange(0, length + 0.1, 3.0)]
    return join(parts)


def cone() -> Mesh:
    """Orange traffic cone."""
    body = turned(
        [(0.15, 0.03), (0.03, 0.7), (0.02, 0.71)], Material(rgb(222, 84, 30), 0.03, 0.4, _bands), 14
    )
    return join([box((0.38, 0.38, 0.03), Material((0.03, 0.03, 0.03))), body])


def bollard() -> Mesh:
    """Low steel post with a reflecting band."""
    return turned(
        [(0.06, 0), (0.06, 0.75), (0.05, 0.8), (0.01, 0.82)],
        Material(rgb(170, 172, 172), 0.12, 0.3, _bands),
        12,
    )


def planter(rng: np.random.Generator, length: float = 1.2) -> Mesh:
    """Stone trough with a clipped shrub."""
    stone = box((length, 0.5, 0.42), Material(rgb(160, 156, 148), 0.0, 0.9), taper=1.06)
    shrub = _leaves(rng, np.array([0.0, 0, 0.62]), 0.38, 260)
    return join([stone, shrub])


def air_conditioner() -> Mesh:
    """Outdoor unit that faces -y."""
    return box((0.85, 0.32, 0.58), Material(rgb(214, 214, 208), 0.02, 0.5, _fan))


def sign_post(colour: Colour) -> Mesh:
    """Round prohibition-like sign on a post; it shows no legend."""
    steel = Material(rgb(160, 164, 168), 0.1, 0.3)
    disc = wheel(0.3, 0.03, Material(rgb(200, 24, 28)), Material(colour, 0.03, 0.4, _roundel), 24).moved(
        yaw_deg=90
    )
    return join([tube((0, 0, 0), (0, 0, 2.5), 0.03, 0.03, steel), disc.moved(-0.05, 0, 2.25)])


def _bark(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    around = np.arctan2(p[:, 1], p[:, 0])
    albedo *= (
        0.75 + 0.25 * np.sin(around * 9 + 4 * np.sin(p[:, 2] * 6)) * np.sin(p[:, 2] * 23 + around * 3)
    )[:, None]
    albedo[p[:, 2] < 1.1] = np.array([0.62, 0.63, 0.62], np.float32)  # street trees are limed up to here


def _foliage(patch: Patch) -> None:
    p, n, albedo = patch.position, patch.normal, patch.albedo
    tone = 0.65 + 0.4 * np.sin(11 * p[:, 0] + 5) * np.sin(13 * p[:, 1]) + 0.35 * np.clip(n[:, 2], -0.6, 1)
    albedo *= np.clip(tone, 0.25, 1.5)[:, None]


def _bands(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo[(np.abs(p[:, 2] - 0.36) < 0.06) | (np.abs(p[:, 2] - 0.56) < 0.045)] = 0.75


def _grime(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    albedo *= (0.7 + 0.3 * np.clip(p[:, 2] / 0.5, 0, 1))[:, None]


def _fan(patch: Patch) -> None:
    p, n, albedo = patch.position, patch.normal, patch.albedo
    r = np.hypot(p[:, 0] + 0.12, p[:, 2] - 0.29)
    front = n[:, 1] < -0.6
    albedo[front & (r < 0.24)] *= 0.25
    albedo[front & (r < 0.24) & (np.mod(r, 0.05) < 0.014)] = 0.45


def _roundel(patch: Patch) -> None:
    p, albedo = patch.position, patch.albedo
    r = np.hypot(p[:, 0], p[:, 2])
    albedo[(r > 0.23) | (np.abs(p[:, 0] - p[:, 2]) < 0.045)] = np.array(rgb(200, 24, 28), np.float32)
