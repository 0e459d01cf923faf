"""The empty street of one camera: every sample's surface is found, shaded and averaged, once.

y runs from the far side (negative) over the near kerb (y = 0) and the footway to the shop fronts
(y = front_y).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.scenes.camera import Camera, Floats, Mask
from training.scenes.fronts import far_front, near_front
from training.scenes.ground import kerb_face, road, walk
from training.scenes.light import Light, in_haze, sky_radiance
from training.scenes.mesh import Ints
from training.scenes.plan import KERB_M, Spot, Street
from training.scenes.texture import Noise

_SKY_M = 400.0
_SURFACES = (road, walk, kerb_face, near_front, far_front)


@dataclass(frozen=True)
class Backdrop:
    """The empty street.

    radiance (H, W, 3) is linear BGR, ground (H, W) says where shadows can fall, sun_share (3,) how
    much of the ground's light comes straight from the sun.
    """

    radiance: Floats
    ground: Floats
    sun_share: Floats


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
            lit = surface(Spot(street, noise, light, position[chosen], view[chosen], distance[chosen]))
            colour[chosen] = in_haze(light, lit, distance[chosen])
    sky = np.flatnonzero(kind == len(_SURFACES))
    if len(sky):
        colour[sky] = sky_radiance(light, -view[sky, 2])
        colour[sky] = in_haze(light, colour[sky], np.full(len(sky), 120.0, np.float32))
    shape = (rows * scale, camera.width * scale)
    return colour.reshape(*shape, 3), (kind <= 1).astype(np.float32).reshape(shape)


def _hits(street: Street, camera: Camera, rays: Floats) -> tuple[Ints, Floats]:
    """Surface number (N,) and distance in ray lengths (N,).

    0 road, 1 footway, 2 kerb, 3 near front, 4 far front, 5 sky.
    """
    _, cy, cz = camera.position
    down = np.minimum(rays[:, 2], -1e-6)
    road, walk = -cz / down, (KERB_M - cz) / down
    y_road, y_walk = cy + rays[:, 1] * road, cy + rays[:, 1] * walk
    kind = np.full(len(rays), 5)
    reach = np.full(len(rays), _SKY_M, np.float32)
    falls = rays[:, 2] < -1e-4
    left = np.where(rays[:, 1] > 1e-6, (street.front_y - cy) / np.maximum(rays[:, 1], 1e-6), 1e9)
    right = np.where(rays[:, 1] < -1e-6, (street.far_kerb_y - 4 - cy) / np.minimum(rays[:, 1], -1e-6), 1e9)
    kerb = np.where(rays[:, 1] > 1e-6, -cy / np.maximum(rays[:, 1], 1e-6), 1e9)

    def put(mask: Mask, number: int, at: Floats) -> None:
        kind[mask] = number
        reach[mask] = at[mask]

    height = cz + rays[:, 2] * left
    put(
        (left < 140) & (height > KERB_M - 0.01) & (height < (17 if street.front == "shops" else 2.6)), 3, left
    )
    put((right < 200) & (cz + rays[:, 2] * right > 0) & (cz + rays[:, 2] * right < 13), 4, right)
    put(falls & (y_walk >= 0) & (y_walk < street.front_y), 1, walk)
    put(falls & (y_road < 0) & (y_road > street.far_kerb_y), 0, road)
    far_walk = falls & (y_walk <= street.far_kerb_y) & (y_walk > street.far_kerb_y - 4)
    put(far_walk, 1, walk)
    put(falls & (y_walk < 0) & (y_road >= 0), 2, kerb)
    return kind, np.minimum(reach, _SKY_M)
