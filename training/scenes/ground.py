"""Carriageway, footway and kerb, shaded by position."""

from __future__ import annotations

import numpy as np

from training.scenes.camera import Floats, Mask
from training.scenes.light import Facing, Finish, shade, smoothstep
from training.scenes.mesh import rgb
from training.scenes.plan import KERB_M, Spot, Street
from training.scenes.texture import Noise, hashed


def road(spot: Spot) -> Floats:
    """Radiance (N, 3) of the carriageway."""
    street, noise, light, p, distance = spot.street, spot.noise, spot.light, spot.position, spot.distance
    x, y = p[:, 0], p[:, 1]
    grain = noise.at(x, y, 4.1, fine=True) - 0.5
    coarse = noise.at(x, y, 31.0)
    tone = 0.105 * (1 + 0.55 * grain * _fade(distance, 0.03) + 0.10 * coarse + 0.05 * noise.at(x, y, 7.0))
    in_lane = np.mod(-y, street.lane_m) / street.lane_m
    tracks = np.exp(-(((in_lane - 0.27) / 0.09) ** 2)) + np.exp(-(((in_lane - 0.73) / 0.09) ** 2))
    oil = np.exp(-(((in_lane - 0.5) / 0.10) ** 2))
    tone *= 1 + 0.10 * tracks - 0.16 * oil * (0.6 + 0.4 * np.clip(noise.at(x, y * 0.3, 12.0), -1, 1))
    tone = _wear(street, noise, x, y, tone, distance)
    albedo = tone[:, None] * np.array([0.98, 1.0, 1.03], np.float32)
    _markings(street, noise, x, y, albedo)
    gutter = smoothstep(-0.55, -0.05, y)
    dirt = gutter * (0.5 + 0.3 * noise.at(x, y, 5.0))
    albedo = albedo * (1 - 0.5 * np.clip(dirt, 0, 1))[:, None]
    shelter = 1 - 0.18 * smoothstep(-0.5, 0, y) - 0.1 * smoothstep(-6, 0, y)
    wetness = light.wet * (0.6 + 0.4 * np.clip(coarse, -1, 1))
    gloss = (0.012 + 0.05 * wetness).astype(np.float32)
    rough = np.clip(0.55 - 0.5 * wetness + 0.1 * grain, 0.03, 1).astype(np.float32)
    albedo = albedo * (1 - 0.45 * np.clip(wetness, 0, 1))[:, None]
    return shade(light, Finish(albedo, gloss, rough), _level(spot, shelter))


def _wear(street: Street, noise: Noise, x: Floats, y: Floats, tone: Floats, distance: Floats) -> Floats:
    """Cracks, tarred seams, mended patches and manhole covers."""
    ridge = np.abs(noise.at(x, y, 19.0) + 0.35 * noise.at(x, y, 3.7))
    crack = (ridge < 0.035 * street.worn) & (noise.at(x, y, 43.0) > 0.2)
    tone = np.where(crack, tone * 0.55, tone)
    seam = np.abs(y + street.lane_m * 1.02 + 0.03 * noise.at(x, y, 9.0)) < 0.025
    tone = np.where(seam, tone * 0.6, tone)
    cell_x, cell_y = np.floor(x / 9.0), np.floor(-y / street.lane_m)
    chance = hashed(cell_x, cell_y, seed=street.seed)
    ux, uy = np.mod(x, 9.0), np.mod(-y, street.lane_m)
    patch = (chance < 0.3) & (ux > 1 + 3 * chance) & (ux < 3.5 + 8 * chance) & (uy > 0.5) & (uy < 2.2)
    tone = np.where(patch, tone * (0.72 + 0.9 * chance), tone)
    radius = np.hypot(ux - 6.2, uy - street.lane_m * 0.5)
    cover = (chance > 0.6) & (radius < 0.36)
    relief = 1 + 0.3 * np.sign(np.sin(ux * 60)) * np.sign(np.sin(uy * 60)) * _fade(distance, 0.05)
    tone = np.where(cover, 0.085 * relief, tone)
    return np.where((chance > 0.6) & (np.abs(radius - 0.38) < 0.025), tone * 0.4, tone)


def _markings(street: Street, noise: Noise, x: Floats, y: Floats, albedo: Floats) -> None:
    """Paint lane lines, the yellow no-stopping line, bays and a crossing over the asphalt."""
    scuffed = 0.5 * noise.at(x, y, 2.3) + 0.5 * noise.at(x, y, 0.9) + 2.2 - 1.6 * street.worn
    cover = np.clip(0.5 + scuffed, 0.0, 1.0)
    white, yellow = np.array([0.62, 0.64, 0.64], np.float32), np.array(rgb(222, 176, 52), np.float32)

    def lay(mask: Mask, colour: Floats) -> None:
        share = (cover[mask] * 0.9)[:, None]
        albedo[mask] = albedo[mask] * (1 - share) + colour * share

    centre = 2 * street.lane_m
    lay((np.abs(y + street.lane_m) < 0.075) & (np.mod(x, 6.0) < 2.4), white)
    lay((np.abs(y + centre + 0.12) < 0.06) | (np.abs(y + centre - 0.12) < 0.06), yellow)
    lay((np.abs(y + 3 * street.lane_m) < 0.075) & (np.mod(x, 6.0) < 2.4), white)
    in_bay = np.zeros(len(x), bool)
    for start, end in street.bays:
        inside = (x > start) & (x < end) & (y > -2.35) & (y < -0.12)
        deep = (x > start + 0.1) & (x < end - 0.1) & (y > -2.25)
        in_bay |= (x > start) & (x < end)
        lay(inside & ~deep, white)
    if street.crossing is not None:
        a, b = street.crossing
        lay((x > a) & (x < b) & (np.mod(y, 0.9) < 0.45) & (y < -0.3) & (y > street.far_kerb_y + 0.3), white)
        lay((np.abs(x - b - 1.2) < 0.15) & (y < -0.2) & (y > -centre), white)
    if street.yellow_kerb:
        lay((np.abs(y + 0.28) < 0.075) & ~in_bay, yellow)


def walk(spot: Spot) -> Floats:
    """Radiance (N, 3) of the footway."""
    street, noise, light, p, distance = spot.street, spot.noise, spot.light, spot.position, spot.distance
    x, y = p[:, 0], p[:, 1]
    size_x, size_y = ((0.2, 0.1), (0.4, 0.4), (0.6, 0.3))[street.paving % 3]
    row = np.floor(y / size_y)
    shifted = x + np.mod(row, 2) * size_x / 2
    column = np.floor(shifted / size_x)
    u, v = np.mod(shifted, size_x), np.mod(y, size_y)
    joint_m = 0.007
    detail = _fade(distance, 0.05)
    joint = (np.minimum(u, size_x - u) < joint_m) | (np.minimum(v, size_y - v) < joint_m)
    chance = hashed(column, row, seed=street.seed)
    bases = (rgb(168, 160, 152), rgb(176, 172, 164), rgb(150, 146, 142), rgb(176, 128, 110))
    base = np.array(bases[(street.seed + street.paving) % 4], np.float32)
    albedo = base * (0.82 + 0.3 * chance)[:, None]
    red = (street.paving % 3 == 0) & (chance > 0.86)
    albedo[red] = np.array(rgb(150, 112, 98), np.float32)
    tactile = np.abs(y - 2.75) < 0.2
    dots = np.sin(x * 2 * np.pi / 0.1) > 0.2
    albedo[tactile] = np.array(rgb(198, 160, 74), np.float32)
    albedo[tactile & dots] *= 0.85
    albedo[joint] *= (1 - 0.5 * detail[joint])[:, None]
    kerbstone = (y < 0.16) & (y > -0.5)
    albedo[kerbstone] = (
        np.array(rgb(168, 166, 162), np.float32)
        * (0.85 + 0.3 * hashed(np.floor(x[kerbstone]), seed=3))[:, None]
    )
    albedo[kerbstone & (np.mod(x, 1.0) < 0.012)] *= 0.4
    pit = (x > street.pits_from) & (np.abs(np.mod(x + 3.5, 7.0) - 3.5) < 0.55) & (np.abs(y - 0.95) < 0.55)
    albedo[pit] = (
        np.array(rgb(92, 76, 58), np.float32)
        * (0.8 + 0.3 * noise.at(x[pit], y[pit], 1.1, fine=True))[:, None]
    )
    grime = np.clip(
        1 + 0.13 * noise.at(x, y, 13.0) + 0.07 * noise.at(x, y, 2.6) - 0.25 * (noise.at(x, y, 5.3) > 1.35),
        0.4,
        1.3,
    )
    spots = noise.at(x, y, 23.0, fine=True) > 0.985
    albedo = albedo * grime[:, None] * np.where(spots, 0.7, 1.0)[:, None]
    wall = smoothstep(street.front_y - 1.4, street.front_y, y)
    shelter = (1 - 0.40 * wall - 0.12).astype(np.float32)
    gloss = np.full(len(p), 0.015 + 0.04 * light.wet, np.float32)
    rough = np.full(len(p), 0.6 - 0.5 * light.wet, np.float32)
    return shade(light, Finish(albedo, gloss, rough), _level(spot, shelter))


def kerb_face(spot: Spot) -> Floats:
    """Radiance (N, 3) of the kerb's face."""
    noise, p = spot.noise, spot.position
    x, z = p[:, 0], p[:, 2]
    tone = (
        0.34
        * (0.8 + 0.3 * hashed(np.floor(x), seed=3))
        * (1 + 0.1 * noise.at(x, z, 2.0))
        * (0.5 + 0.5 * np.clip(z / KERB_M, 0, 1))
    )
    tone = np.where(np.mod(x, 1.0) < 0.012, tone * 0.4, tone)
    normal = np.broadcast_to(np.array([0, -1, 0], np.float32), p.shape)
    zero = np.zeros(len(p), np.float32)
    lies = Facing(normal, spot.view, zero + 0.75, zero + 1)
    return shade(spot.light, Finish(np.repeat(tone[:, None], 3, 1), zero, zero + 0.8), lies)


def _fade(distance: Floats, metres: float) -> Floats:
    """How much of a detail of that size survives at a distance, so that it does not shimmer."""
    return np.asarray(np.exp(-distance / (900 * metres)), np.float32)


def _level(spot: Spot, shelter: Floats) -> Facing:
    """Flat ground under the open sun."""
    normal = np.broadcast_to(np.array([0, 0, 1], np.float32), spot.position.shape)
    return Facing(normal, spot.view, shelter, np.ones(len(shelter), np.float32))
