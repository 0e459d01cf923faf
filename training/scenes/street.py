"""The street itself: carriageway, kerb, footway and house fronts, shaded pixel by pixel once per camera.

y runs from the far side (negative) over the near kerb (y = 0) and the footway to the shop fronts (y = front_y).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.scenes.camera import Camera, Floats
from training.scenes.light import Light, in_haze, shade, sky_radiance, smoothstep
from training.scenes.mesh import rgb

KERB_M = 0.14
_SKY_M = 400.0


@dataclass(frozen=True)
class Street:
    """Layout and finish of one street; every seed is another one."""

    seed: int = 1
    front_y: float = 5.4
    far_kerb_y: float = -14.0
    lane_m: float = 3.4
    paving: int = 0
    bays: tuple[tuple[float, float], ...] = ()
    """Permitted parking bays along the near kerb: (from, to) metres of x."""
    crossing: tuple[float, float] | None = None
    yellow_kerb: bool = True
    worn: float = 0.5
    unit_m: float = 4.2
    front: str = "shops"
    """What bounds the near footway: "shops", "brick", "plaster" or "hoarding" (the last three 2.5 m high)."""
    pits_from: float = -100.0
    """Tree pits lie every 7 m from here on."""


@dataclass(frozen=True)
class Backdrop:
    """The empty street: linear BGR (H, W, 3), where it is ground (H, W) and the share of direct sun in its light (3,)."""

    radiance: Floats
    ground: Floats
    sun_share: Floats


class Noise:
    """Tiling value noise, sampled at any scale."""

    def __init__(self, seed: int, size: int = 512) -> None:
        """Prepare one fine (white) and one smooth (several octaves) tile."""
        rng = np.random.default_rng(seed)
        self.size = size
        self.white = rng.random((size, size)).astype(np.float32)
        smooth = np.zeros((size, size), np.float32)
        for step in (4, 8, 16, 32, 64):
            small = rng.random((size // step, size // step)).astype(np.float32)
            wrapped = np.pad(small, 2, mode="wrap")
            big = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
            smooth += big[2 * step : -2 * step, 2 * step : -2 * step] * np.float32(step) ** 0.7
        self.smooth = ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)

    def at(self, x: Floats, y: Floats, metres: float, *, fine: bool = False) -> Floats:
        """Noise (N,) with the tile stretched over `metres`: standard normal when smooth, uniform 0 to 1 when fine."""
        tile = self.white if fine else self.smooth
        scale = np.float32(self.size / metres)
        u = np.mod(x * scale, self.size).astype(np.float32)
        v = np.mod(y * scale, self.size).astype(np.float32)
        columns = max(1, min(len(u), 8192))
        rows = -(-len(u) // columns)
        if rows == 0:
            return np.zeros(0, np.float32)
        pad = rows * columns - len(u)
        u2, v2 = (np.pad(a, (0, pad)).reshape(rows, columns) for a in (u, v))
        return cv2.remap(tile, u2, v2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP).reshape(-1)[: len(u)]


def hashed(*keys: Floats, seed: int = 0) -> Floats:
    """Uniform 0 to 1 from whole-number keys (N,) each."""
    total = np.full(np.shape(keys[0]), (seed * 374761393 + 668265263) & 0xFFFFFFFF, np.uint64)
    for k, key in enumerate(keys):
        total = (
            total ^ (key.astype(np.int64).astype(np.uint64) * np.uint64(2654435761 + 40503 * k))
        ) * np.uint64(2246822519)
        total = (total ^ (total >> np.uint64(15))) & np.uint64(0xFFFFFFFF)
    return (total & np.uint64(0xFFFFFF)).astype(np.float32) / np.float32(0x1000000)


def render_street(street: Street, camera: Camera, light: Light, scale: int = 2) -> Backdrop:
    """Shade the empty street for one camera, `scale`² samples per pixel."""
    noise = Noise(street.seed)
    radiance = np.zeros((camera.height, camera.width, 3), np.float32)
    ground = np.zeros((camera.height, camera.width), np.float32)
    strip = 90
    for top in range(0, camera.height, strip):
        rows = min(strip, camera.height - top)
        colour, floor = _strip(street, noise, camera, light, top, rows, scale)
        radiance[top : top + rows] = cv2.resize(
            colour.astype(np.float32), (camera.width, rows), interpolation=cv2.INTER_AREA
        )
        ground[top : top + rows] = cv2.resize(floor, (camera.width, rows), interpolation=cv2.INTER_AREA)
    sun = np.array(light.sun, np.float32) * light.to_sun[2]
    sky = 0.55 * np.array(light.zenith, np.float32) + 0.45 * np.array(light.horizon, np.float32)
    return Backdrop(radiance, ground, sun / (sun + sky))


def _strip(
    street: Street, noise: Noise, camera: Camera, light: Light, top: int, rows: int, scale: int
) -> tuple[Floats, Floats]:
    xs = (np.arange(camera.width * scale, dtype=np.float32) + 0.5) / scale
    ys = (np.arange(rows * scale, dtype=np.float32) + 0.5) / scale + top
    grid_x, grid_y = np.meshgrid(xs, ys)
    rays = camera.rays(grid_x.reshape(-1), grid_y.reshape(-1))
    kind, reach = _hits(street, camera, rays)
    position = np.array(camera.position, np.float32) + rays * reach[:, None]
    length = np.linalg.norm(rays, axis=1)
    view = -rays / length[:, None]
    distance = length * reach
    colour = np.zeros_like(rays)
    for number, surface in enumerate(_SURFACES):
        chosen = np.flatnonzero(kind == number)
        if len(chosen):
            lit = surface(street, noise, light, position[chosen], view[chosen], distance[chosen])
            colour[chosen] = in_haze(light, lit, distance[chosen])
    sky = np.flatnonzero(kind == len(_SURFACES))
    if len(sky):
        colour[sky] = sky_radiance(light, -view[sky, 2])
        colour[sky] = in_haze(light, colour[sky], np.full(len(sky), 120.0, np.float32))
    shape = (rows * scale, camera.width * scale)
    return colour.reshape(*shape, 3), (kind <= 1).astype(np.float32).reshape(shape)


def _hits(street: Street, camera: Camera, rays: Floats) -> tuple[Floats, Floats]:
    """Surface number (N,) and distance in ray lengths (N,): 0 road, 1 footway, 2 kerb, 3 near front, 4 far front, 5 sky."""
    cx, cy, cz = camera.position
    down = np.minimum(rays[:, 2], -1e-6)
    road, walk = -cz / down, (KERB_M - cz) / down
    y_road, y_walk = cy + rays[:, 1] * road, cy + rays[:, 1] * walk
    kind = np.full(len(rays), 5)
    reach = np.full(len(rays), _SKY_M, np.float32)
    falls = rays[:, 2] < -1e-4
    left = np.where(rays[:, 1] > 1e-6, (street.front_y - cy) / np.maximum(rays[:, 1], 1e-6), 1e9)
    right = np.where(rays[:, 1] < -1e-6, (street.far_kerb_y - 4 - cy) / np.minimum(rays[:, 1], -1e-6), 1e9)
    kerb = np.where(rays[:, 1] > 1e-6, -cy / np.maximum(rays[:, 1], 1e-6), 1e9)

    def put(mask: Floats, number: int, at: Floats) -> None:
        kind[mask] = number
        reach[mask] = at[mask]

    height = cz + rays[:, 2] * left
    put((left < 140) & (height > KERB_M - 0.01) & (height < (17 if street.front == "shops" else 2.6)), 3, left)
    put((right < 200) & (cz + rays[:, 2] * right > 0) & (cz + rays[:, 2] * right < 13), 4, right)
    put(falls & (y_walk >= 0) & (y_walk < street.front_y), 1, walk)
    put(falls & (y_road < 0) & (y_road > street.far_kerb_y), 0, road)
    far_walk = falls & (y_walk <= street.far_kerb_y) & (y_walk > street.far_kerb_y - 4)
    put(far_walk, 1, walk)
    put(falls & (y_walk < 0) & (y_road >= 0), 2, kerb)
    return kind, np.minimum(reach, _SKY_M)


def _fade(distance: Floats, metres: float) -> Floats:
    """How much of a detail of that size survives at a distance, so that it does not shimmer."""
    return np.exp(-distance / (900 * metres)).astype(np.float32)


def _up(count: int) -> Floats:
    return np.broadcast_to(np.array([0, 0, 1], np.float32), (count, 3))


def _road(street: Street, noise: Noise, light: Light, p: Floats, view: Floats, distance: Floats) -> Floats:
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
    return shade(
        light, albedo.astype(np.float32), gloss, rough, _up(len(p)), view, shelter.astype(np.float32)
    )


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

    def lay(mask: Floats, colour: Floats) -> None:
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


def _walk(street: Street, noise: Noise, light: Light, p: Floats, view: Floats, distance: Floats) -> Floats:
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
    return shade(light, albedo.astype(np.float32), gloss, rough, _up(len(p)), view, shelter)


def _kerb(street: Street, noise: Noise, light: Light, p: Floats, view: Floats, distance: Floats) -> Floats:
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
    return shade(
        light, np.repeat(tone[:, None], 3, 1).astype(np.float32), zero, zero + 0.8, normal, view, zero + 0.75
    )


def _near_front(
    street: Street, noise: Noise, light: Light, p: Floats, view: Floats, distance: Floats
) -> Floats:
    return _front(street, noise, light, p, view, street.seed, -1.0)


def _far_front(
    street: Street, noise: Noise, light: Light, p: Floats, view: Floats, distance: Floats
) -> Floats:
    return _front(street, noise, light, p, view, street.seed + 77, 1.0)


def _front(
    street: Street, noise: Noise, light: Light, p: Floats, view: Floats, seed: int, facing: float
) -> Floats:
    """House front: shop windows, shutters, fascia boards, tiled wall and windows above."""
    x, z = p[:, 0], p[:, 2] - KERB_M
    unit = np.floor(x / street.unit_m)
    u = np.mod(x, street.unit_m)
    albedo, gloss, shelter = _wall(street, noise, x, z, seed)
    glow: Floats | float = 0.0
    if street.front == "shops" or facing > 0:
        _shop(noise, x, z, u, unit, albedo, gloss, shelter, street.unit_m, seed)
        glow = _fascia(noise, x, z, u, unit, albedo, street.unit_m, seed)
        pillar = (np.minimum(u, street.unit_m - u) < 0.22) & (z < 2.75)
        low = 0.75 + 0.25 * np.clip(z[pillar] / 1.2, 0, 1)
        albedo[pillar] = np.array(rgb(176, 172, 164), np.float32) * low[:, None]
        gloss[pillar] = 0.01
    else:
        _yard_wall(street, noise, x, z, albedo, gloss)
    normal = np.broadcast_to(np.array([0, facing, 0], np.float32), p.shape)
    rough = np.where(gloss > 0.05, 0.04, 0.6).astype(np.float32)
    return shade(light, albedo, gloss, rough, normal, view, shelter) + glow


def _yard_wall(street: Street, noise: Noise, x: Floats, z: Floats, albedo: Floats, gloss: Floats) -> None:
    """Paint a low wall over the front: bricks, plaster or the blue sheets of a building site."""
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
        bill = (hashed(np.floor(x / 1.7), seed=street.seed) > 0.75) & (np.abs(np.mod(x, 1.7) - 0.8) < 0.4) & (np.abs(z - 1.5) < 0.3)
        colour[bill] = 0.2 + 0.5 * np.stack([hashed(np.floor(x[bill] / 1.7), seed=s) for s in (1, 2, 3)], -1)
    albedo[:] = colour * (stains * splash)[:, None]


def _wall(street: Street, noise: Noise, x: Floats, z: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
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
    gloss = np.full(len(x), 0.015, np.float32)
    shelter = np.full(len(x), 0.9, np.float32)
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
    return albedo.astype(np.float32), gloss, shelter


def _shop(
    noise: Noise,
    x: Floats,
    z: Floats,
    u: Floats,
    unit: Floats,
    albedo: Floats,
    gloss: Floats,
    shelter: Floats,
    unit_m: float,
    seed: int,
) -> None:
    kind = hashed(unit, seed=seed + 1)
    low = z < 2.75
    shutter = low & (kind < 0.25)
    albedo[shutter] = (
        np.array(rgb(158, 160, 160), np.float32)
        * (0.75 + 0.25 * np.sin(z[shutter] * 2 * np.pi / 0.11))[:, None]
    )
    glass = low & (kind >= 0.25)
    albedo[glass] = _interior(noise, x, z, kind, seed)[glass]
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


def _interior(noise: Noise, x: Floats, z: Floats, kind: Floats, seed: int) -> Floats:
    """Colour (N, 3) seen through a shop window: shelves, counters, ceiling lights, all out of focus."""
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
    return colour.astype(np.float32)


def _fascia(
    noise: Noise, x: Floats, z: Floats, u: Floats, unit: Floats, albedo: Floats, unit_m: float, seed: int
) -> Floats:
    """Paint the sign boards; marks on them are strokes in a grid, no script."""
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
    return (albedo * (0.25 * (board & lit))[:, None]).astype(np.float32)


_SURFACES = (_road, _walk, _kerb, _near_front, _far_front)
