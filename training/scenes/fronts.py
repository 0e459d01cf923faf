"""House fronts and yard walls along the footways, shaded by position."""

from __future__ import annotations

import numpy as np

from training.scenes.camera import Floats
from training.scenes.light import Facing, Finish, shade, smoothstep
from training.scenes.mesh import rgb
from training.scenes.plan import KERB_M, Spot, Street
from training.scenes.texture import hashed


def near_front(spot: Spot) -> Floats:
    """Radiance (N, 3) of what bounds the near footway."""
    return _front(spot, spot.street.seed, -1.0)


def far_front(spot: Spot) -> Floats:
    """Radiance (N, 3) of the houses on the other side."""
    return _front(spot, spot.street.seed + 77, 1.0)


class Face:
    """One front while it is painted.

    x and z are metres along and up, unit the shop's number, u the metres from its left edge.
    """

    def __init__(self, spot: Spot, seed: int) -> None:
        """Lay out the units of a front."""
        self.noise, self.seed, self.unit_m = spot.noise, seed, spot.street.unit_m
        self.x, self.z = spot.position[:, 0], spot.position[:, 2] - KERB_M
        self.unit, self.u = np.floor(self.x / self.unit_m), np.mod(self.x, self.unit_m)
        self.albedo: Floats = np.zeros((len(self.x), 3), np.float32)
        self.gloss: Floats = np.full(len(self.x), 0.015, np.float32)
        self.shelter: Floats = np.full(len(self.x), 0.9, np.float32)
        self.glow: Floats = np.zeros((len(self.x), 3), np.float32)


def _front(spot: Spot, seed: int, facing: float) -> Floats:
    face = Face(spot, seed)
    if spot.street.front == "shops" or facing > 0:
        _wall(face)
        _shop(face)
        _fascia(face)
        _pillars(face)
    else:
        _yard_wall(face, spot.street)
    normal = np.broadcast_to(np.array([0, facing, 0], np.float32), spot.position.shape)
    rough = np.where(face.gloss > 0.05, 0.04, 0.6).astype(np.float32)
    lies = Facing(normal, spot.view, face.shelter, np.ones(len(rough), np.float32))
    return shade(spot.light, Finish(face.albedo, face.gloss, rough), lies) + face.glow


def _pillars(face: Face) -> None:
    pillar = (np.minimum(face.u, face.unit_m - face.u) < 0.22) & (face.z < 2.75)
    low = 0.75 + 0.25 * np.clip(face.z[pillar] / 1.2, 0, 1)
    face.albedo[pillar] = np.array(rgb(176, 172, 164), np.float32) * low[:, None]
    face.gloss[pillar] = 0.01


def _yard_wall(face: Face, street: Street) -> None:
    """Paint a low wall over the front: bricks, plaster or the blue sheets of a building site."""
    noise, x, z, gloss = face.noise, face.x, face.z, face.gloss
    gloss[:] = 0.01
    stains = np.clip(1 + 0.16 * noise.at(x * 2, z * 0.5, 7.0) + 0.08 * noise.at(x, z, 2.5), 0.5, 1.4)
    splash = 0.65 + 0.35 * np.clip(z / 0.7, 0, 1)
    if street.front == "hoarding":
        ribs = 0.85 + 0.15 * np.sin(x * 2 * np.pi / 0.2)
        colour = np.array(rgb(44, 96, 160), np.float32) * ribs[:, None]
        colour[(np.abs(z - 0.25) < 0.25)] = 0.45
        gloss[:] = 0.03
    elif street.front == "brick":
        row = np.floor(z / 0.07)
        across = x + np.mod(row, 2) * 0.12
        tone = 0.75 + 0.5 * hashed(np.floor(across / 0.24), row, seed=street.seed)
        colour = np.array(rgb(140, 84, 64), np.float32) * tone[:, None]
        colour[(np.mod(across, 0.24) < 0.012) | (np.mod(z, 0.07) < 0.012)] = 0.25
    else:
        tones = (rgb(200, 196, 186), rgb(206, 178, 130), rgb(150, 152, 150))
        colour = np.tile(np.array(tones[street.seed % 3], np.float32), (len(x), 1))
        colour[z < 0.9] *= np.array([0.75, 0.8, 0.85], np.float32)
        bill = (
            (hashed(np.floor(x / 1.7), seed=street.seed) > 0.75)
            & (np.abs(np.mod(x, 1.7) - 0.8) < 0.4)
            & (np.abs(z - 1.5) < 0.3)
        )
        colour[bill] = 0.2 + 0.5 * np.stack([hashed(np.floor(x[bill] / 1.7), seed=s) for s in (1, 2, 3)], -1)
    face.albedo[:] = colour * (stains * splash)[:, None]


def _wall(face: Face) -> None:
    """Tile the wall and set windows into the upper floors."""
    noise, x, z, seed, gloss, shelter = face.noise, face.x, face.z, face.seed, face.gloss, face.shelter
    bases = (
        rgb(196, 184, 164),
        rgb(178, 178, 176),
        rgb(186, 150, 128),
        rgb(206, 204, 196),
        rgb(150, 158, 160),
    )
    albedo = (
        np.array(bases[seed % 5], np.float32)
        * (0.85 + 0.06 * noise.at(x, z, 9.0) + 0.05 * noise.at(x * 3, z * 0.4, 4.0))[:, None]
    )
    tile = (np.mod(x, 0.24) < 0.008) | (np.mod(z, 0.08) < 0.006)
    albedo[tile] *= 0.9
    floor = np.floor((z - 4.1) / 3.0)
    up = np.mod(z - 4.1, 3.0)
    column = np.floor(x / 2.8)
    across = np.mod(x, 2.8)
    above = z > 4.1
    frame = above & (across > 0.55) & (across < 2.25) & (up > 0.85) & (up < 2.45)
    pane = (
        frame
        & (np.abs(across - 1.4) > 0.035)
        & (across > 0.62)
        & (across < 2.18)
        & (up > 0.92)
        & (up < 2.38)
        & (np.abs(up - 1.95) > 0.025)
    )
    albedo[frame] = 0.55
    curtain = hashed(column, floor, seed=seed) > 0.55
    albedo[pane] = 0.03
    albedo[pane & curtain & (np.mod(across, 0.8) < 0.5)] = 0.22
    gloss[pane] = 0.09
    reveal = frame & (up > 2.3)
    shelter[reveal] *= 0.5
    stain = above & (across > 0.5) & (across < 2.3) & (up < 0.85) & (noise.at(x, z * 0.15, 3.0) > 0.3)
    albedo[stain] *= 0.82
    albedo[above & (up < 0.12)] *= 0.8
    face.albedo[:] = albedo


def _shop(face: Face) -> None:
    """Put shop windows, doors, posters and shutters on the ground floor."""
    x, z, u, unit, unit_m, seed = face.x, face.z, face.u, face.unit, face.unit_m, face.seed
    albedo, gloss, shelter = face.albedo, face.gloss, face.shelter
    kind = hashed(unit, seed=seed + 1)
    low = z < 2.75
    shutter = low & (kind < 0.25)
    albedo[shutter] = (
        np.array(rgb(158, 160, 160), np.float32)
        * (0.75 + 0.25 * np.sin(z[shutter] * 2 * np.pi / 0.11))[:, None]
    )
    glass = low & (kind >= 0.25)
    albedo[glass] = _interior(face, kind)[glass]
    gloss[glass] = 0.06
    shelter[low] = 0.72 - 0.25 * smoothstep(1.9, 2.75, z[low])
    opening = glass & (np.abs(u - unit_m * (0.3 + 0.4 * kind)) < 0.75) & (z < 2.3)
    ajar = opening & (hashed(unit, seed=seed + 9) > 0.5)
    albedo[ajar] *= 0.5
    gloss[ajar] = 0
    bars = glass & (
        (np.mod(u - 0.22, (unit_m - 0.44) / 4) < 0.05) | (np.abs(z - 2.3) < 0.03) | (z < 0.28) | (z > 2.7)
    )
    albedo[bars & ~ajar] = np.where(hashed(unit, seed=seed + 6) > 0.5, 0.45, 0.06)[bars & ~ajar][:, None]
    gloss[bars] = 0.03
    poster = (
        glass
        & (hashed(np.floor(x / 0.9), unit, seed=seed + 7) > 0.72)
        & (np.abs(np.mod(x, 0.9) - 0.45) < 0.3)
        & (np.abs(z - 1.35) < 0.42)
    )
    tone = np.stack([hashed(np.floor(x / 0.9), seed=seed + s) for s in (11, 12, 13)], -1)
    albedo[poster] = (0.1 + 0.6 * tone)[poster]


def _fascia(face: Face) -> None:
    """Paint the sign boards; marks on them are strokes in a grid, no script."""
    x, z, u, unit, unit_m, seed, albedo = (
        face.x,
        face.z,
        face.u,
        face.unit,
        face.unit_m,
        face.seed,
        face.albedo,
    )
    board = (z > 2.8) & (z < 3.75) & (u > 0.06) & (u < unit_m - 0.06)
    colours = np.array(
        [
            rgb(178, 28, 32),
            rgb(24, 70, 140),
            rgb(28, 110, 70),
            rgb(232, 226, 214),
            rgb(60, 42, 34),
            rgb(226, 150, 34),
            rgb(36, 38, 42),
        ],
        np.float32,
    )
    pick = (hashed(unit, seed=seed + 21) * 7).astype(int) % 7
    base = colours[pick]
    ink = np.where(
        (pick == 3)[:, None], np.array(rgb(170, 30, 30), np.float32), np.array([0.75, 0.85, 0.9], np.float32)
    )
    albedo[board] = (base * (0.85 + 0.1 * (z - 2.8))[:, None])[board]
    size = 0.56
    cell = np.floor((u - 0.5) / (size * 1.18))
    cu, cv = np.mod(u - 0.5, size * 1.18) / size, (z - 3.0) / size
    inside = board & (cu > 0.04) & (cu < 0.96) & (cv > 0.02) & (cv < 0.98) & (u > 0.5) & (u < unit_m - 0.5)
    mark = np.zeros(len(x), bool)
    for k in range(4):
        at = 0.12 + 0.76 * hashed(unit, cell, np.full_like(cell, k), seed=seed + 30)
        start = 0.5 * hashed(unit, cell, np.full_like(cell, k), seed=seed + 31)
        mark |= (np.abs(cv - at) < 0.05) & (cu > start) & (cu < start + 0.5)
        mark |= (np.abs(cu - at) < 0.055) & (cv > start) & (cv < start + 0.5)
    chosen = inside & mark
    albedo[chosen] = ink[chosen]
    albedo[(z > 2.72) & (z <= 2.8)] *= 0.45
    lit = hashed(unit, seed=seed + 22) > 0.6
    face.glow[:] = albedo * (0.25 * (board & lit))[:, None]


def _interior(face: Face, kind: Floats) -> Floats:
    """Colour (N, 3) seen through a shop window: shelves, counters, ceiling lights, all out of focus."""
    noise, x, z, seed = face.noise, face.x, face.z, face.seed
    level, thing = np.floor(z / 0.55), np.floor(x / 0.23 + 0.4 * noise.at(x, z, 5.0))
    chance = hashed(thing, level, seed=seed + 2)
    tint = np.stack([hashed(thing, level, seed=seed + s) for s in (3, 4, 5)], -1)
    tint = 0.5 * tint + 0.5 * tint.mean(1, keepdims=True)
    shelf = (chance > 0.45) & (np.mod(z, 0.55) < 0.15 + 0.3 * chance) & (noise.at(x, z, 11.0) > -0.3)
    dark = 0.035 * np.exp(0.7 * noise.at(x, z, 6.0))
    goods = np.where(shelf[:, None], 0.05 + 0.12 * tint, dark[:, None])
    counter = (z < 1.0) & (hashed(np.floor(x / 1.3), seed=seed + 8) > 0.5)
    goods[counter] = (0.05 + 0.10 * hashed(np.floor(x / 1.3), seed=seed + 10)[:, None] * np.ones(3))[counter]
    lamps = (z > 2.2) & (np.mod(x, 1.1) < 0.6) & (np.abs(z - 2.45) < 0.06) & (kind > 0.45)
    bright = 0.5 + 1.1 * (kind > 0.5) * np.clip(z / 2.4, 0, 1)
    colour = goods * bright[:, None] * np.array(rgb(255, 232, 200), np.float32)
    colour[lamps] = 0.9
    return np.asarray(colour, np.float32)
