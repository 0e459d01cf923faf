"""Put objects into a street: shadows on the ground, sprites from far to near, then lens and sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import Camera, Floats
from training.scenes.light import Light
from training.scenes.mesh import Mesh
from training.scenes.raster import Sprite, draw
from training.scenes.street import Backdrop

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]

CLASSES = (
    "person",
    "bicycle",
    "motorcycle",
    "tricycle",
    "car",
    "bus",
    "truck",
    "stall",
    "litter",
    "garbage",
    "bin",
    "bin_overflow",
)


@dataclass(frozen=True)
class Thing:
    """One object in the world: its mesh in place, its class (or none), the height of its ground in metres."""

    mesh: Mesh
    label: str | None = None
    ground_m: float = 0.0
    name: str = ""
    flat: bool = False
    part_labels: tuple[str, ...] = ()
    """Classes of the mesh's parts where they are labelled one by one (a rider on a bike)."""
    convex: bool = False
    """Nearly convex: needs no shadow of itself on itself."""


@dataclass(frozen=True)
class Drawn:
    """A thing's sprite, and the sun and sky (h, w) it takes from the ground at shade_x, shade_y."""

    thing: Thing
    sprite: Sprite
    shade_x: int
    shade_y: int
    no_sun: Floats
    no_sky: Floats


@dataclass(frozen=True)
class Truth:
    """One labelled object: xyxy pixels of its visible part and the share of it that is visible."""

    label: str
    name: str
    xyxy: Box
    visible: float


def draw_thing(thing: Thing, camera: Camera, light: Light, scale: int = 2) -> Drawn | None:
    """Draw one thing and its shadow; None where it is out of view."""
    sprite = draw(thing.mesh, camera, light, scale, self_shade=not thing.convex)
    if sprite is None:
        return None
    middle = (thing.mesh.vertices.max(0) + thing.mesh.vertices.min(0)) / 2
    away = math.hypot(float(middle[0]) - camera.position[0], float(middle[1]) - camera.position[1])
    return Drawn(thing, replace(sprite, distance=away), *_shadows(thing, camera, light, away))


def _shadows(thing: Thing, camera: Camera, light: Light, away: float) -> tuple[int, int, Floats, Floats]:
    mesh, floor = thing.mesh, thing.ground_m + 0.002
    px_per_m = camera.focal_px / max(away, 2.0)
    sun = light.to_sun
    height = np.maximum(mesh.vertices[:, 2:3] - floor, 0)
    fallen = np.concatenate(
        [mesh.vertices[:, :2] - sun[:2] / sun[2] * height, np.full_like(height, floor)], 1
    )
    feet = mesh.vertices[mesh.vertices[:, 2] < floor + 0.4]
    feet = np.concatenate([feet[:, :2], np.full((len(feet), 1), floor)], 1) if len(feet) >= 3 else fallen[:0]
    cast, depth = camera.project(fallen)
    foot, _ = camera.project(feet) if len(feet) else (np.zeros((0, 2)), None)
    every = np.concatenate([cast, foot])
    margin = 6 + 0.8 * px_per_m
    x0, y0 = np.maximum(np.floor(every.min(0) - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(every.max(0) + margin), [camera.width, camera.height]).astype(int)
    if x1 <= x0 or y1 <= y0 or depth.min() < 0.5:
        empty = np.zeros((0, 0), np.float32)
        return 0, 0, empty, empty
    origin = np.array([x0, y0])
    no_sun = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for polygon in np.round((cast - origin) * 16).astype(np.int32)[mesh.faces]:
        cv2.fillConvexPoly(no_sun, polygon, 255, 8, 4)
    soft = 0.7 + light.softness * 0.25 * px_per_m
    sunless = cv2.GaussianBlur(no_sun, (0, 0), soft, sigmaY=max(soft * 0.5, 0.5)).astype(np.float32) / 255
    under = np.zeros_like(no_sun)
    if len(foot) >= 3:
        hull = cv2.convexHull(np.round((foot - origin) * 16).astype(np.int32))
        cv2.fillConvexPoly(under, hull, 255, 8, 4)
    tight = cv2.GaussianBlur(under, (0, 0), max(0.07 * px_per_m, 0.6), sigmaY=max(0.03 * px_per_m, 0.5))
    broad = _blurred_wide(under, 0.32 * px_per_m, 0.15 * px_per_m)
    strength = 0.3 if thing.flat else 1.0
    no_sky = (0.5 * tight.astype(np.float32) + 0.38 * broad.astype(np.float32)) / 255 * strength
    return int(x0), int(y0), sunless, no_sky


def _blurred_wide(mask: Picture, across: float, down: float) -> Picture:
    """Blur a mask by sigmas in pixels, at a quarter of its size where they are large."""
    h, w = mask.shape
    part = 4 if across > 8 and min(h, w) > 32 else 1
    small = cv2.resize(mask, (max(w // part, 1), max(h // part, 1)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(across / part, 0.8), sigmaY=max(down / part, 0.6))
    return np.asarray(cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class Floor:
    """A street under the shadows of its still things: shares of sun and sky (H, W), the dimmed picture."""

    backdrop: Backdrop
    still: tuple[Drawn, ...]
    sun: Floats
    sky: Floats
    picture: Floats


def floor_of(backdrop: Backdrop, still: Sequence[Drawn]) -> Floor:
    """Lay the shadows of the still things."""
    shape = backdrop.ground.shape
    sun, sky = np.ones(shape, np.float32), np.ones(shape, np.float32)
    _darken(sun, sky, still)
    picture = _lit(backdrop, sun, sky, (slice(None), slice(None)))
    return Floor(backdrop, tuple(still), sun, sky, picture)


def compose(floor: Floor, moving: Sequence[Drawn] = ()) -> tuple[Floats, list[Truth]]:
    """Linear picture (H, W, 3) of the street with things in it, and the truth of the labelled ones."""
    picture = floor.picture.copy()
    if moving:
        sun, sky = floor.sun.copy(), floor.sky.copy()
        for window in _darken(sun, sky, moving):
            picture[window] = _lit(floor.backdrop, sun, sky, window)
    ordered = sorted([*floor.still, *moving], key=lambda d: (-d.sprite.distance, d.thing.name))
    for one in ordered:
        over = one.sprite.window
        picture[over] *= 1 - one.sprite.cover[..., None]
        picture[over] += one.sprite.colour
    return picture, truths(ordered, (picture.shape[0], picture.shape[1]))


def _darken(sun: Floats, sky: Floats, things: Sequence[Drawn]) -> list[tuple[slice, slice]]:
    """Take the things' shares from sun and sky (H, W), in place; return the windows that changed."""
    windows = []
    for one in things:
        h, w = one.no_sun.shape
        if h and w:
            window = slice(one.shade_y, one.shade_y + h), slice(one.shade_x, one.shade_x + w)
            np.minimum(sun[window], 1 - one.no_sun, out=sun[window])
            sky[window] *= 1 - one.no_sky
            windows.append(window)
    return windows


def _lit(backdrop: Backdrop, sun: Floats, sky: Floats, window: tuple[slice, slice]) -> Floats:
    """Radiance (h, w, 3) of a window of the street under those shares of sun and sky."""
    open_sky, share = sky[window][..., None], backdrop.sun_share
    lit = sun[window][..., None] * share * (0.45 + 0.55 * open_sky) + open_sky * (1 - share)
    return np.asarray(
        backdrop.radiance[window] * (1 - backdrop.ground[window][..., None] * (1 - lit)), np.float32
    )


def truths(ordered: Sequence[Drawn], shape: tuple[int, int]) -> list[Truth]:
    """Visible boxes of the labelled things of a picture of shape (H, W); things come from far to near."""
    found: list[Truth] = []
    hidden = np.zeros(shape, bool)
    for one in reversed(ordered):
        window = one.sprite.window
        mask = one.sprite.cover > 0.5
        labels = one.thing.part_labels or ((one.thing.label,) if one.thing.label else ())
        covers = one.sprite.parts if one.thing.part_labels else (one.sprite.cover,)
        for label, cover in reversed(list(zip(labels, covers, strict=False))):
            truth = _truth(label, one, cover > 0.5, hidden[window])
            found += [truth] if truth else []
        hidden[window] |= mask
    return found[::-1]


def _truth(label: str, one: Drawn, mask: NDArray[np.bool_], hidden: NDArray[np.bool_]) -> Truth | None:
    seen = mask & ~hidden
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if len(rows) == 0:
        return None
    x, y = one.sprite.x, one.sprite.y
    box = (float(x + columns[0]), float(y + rows[0]), float(x + columns[-1] + 1), float(y + rows[-1] + 1))
    return Truth(label, one.thing.name, box, float(seen.sum()) / float(mask.sum()))


@dataclass(frozen=True)
class Lens:
    """Optics and sensor: blur in pixels, noise as a share of full scale, corner darkening, BGR gains."""

    blur_px: float = 0.6
    noise: float = 0.008
    vignette: float = 0.22
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.12
    bloom: float = 0.05


class Sensor:
    """Turns linear pictures of one size into 8-bit ones; all tables are made once."""

    def __init__(self, lens: Lens, exposure: float, size: tuple[int, int], seed: int) -> None:
        """Prepare tables for pictures of size (width, height)."""
        width, height = size
        self.lens = lens
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        radius = np.hypot((x - width / 2) / (width / 2), (y - height / 2) / (width / 2))
        falloff = 1 - lens.vignette * radius**2 / 1.32
        self._gain = (falloff[..., None] * np.array(lens.gains, np.float32) * exposure).astype(np.float32)
        rng = np.random.default_rng(seed)
        grain = rng.normal(0, 1, (height + 64, width + 64, 3)).astype(np.float32)
        grain = 0.65 * grain + 0.8 * cv2.GaussianBlur(grain, (0, 0), 0.9)
        self._grain = (grain * lens.noise * 255).astype(np.float32)
        linear = np.linspace(0, 4, 4097, dtype=np.float32)
        self._curve = (tone(linear, lens.contrast) * 255).astype(np.float32)

    def expose(self, picture: Floats, index: int) -> Picture:
        """8-bit BGR picture of linear radiance; `index` chooses this frame's grain."""
        seen = cv2.GaussianBlur(picture, (0, 0), self.lens.blur_px) if self.lens.blur_px > 0 else picture
        if self.lens.bloom > 0:
            small = cv2.resize(
                np.maximum(seen - 1.0, 0), None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA
            )
            glow = cv2.resize(
                cv2.GaussianBlur(small, (0, 0), 3),
                (seen.shape[1], seen.shape[0]),
                interpolation=cv2.INTER_LINEAR,
            )
            seen = seen + self.lens.bloom * glow
        level = np.clip(seen * self._gain * 1024, 0, 4096).astype(np.uint16)
        value = self._curve[level]
        dx, dy = (index * 37) % 64, (index * 23) % 64
        h, w = value.shape[:2]
        value += self._grain[dy : dy + h, dx : dx + w]
        return np.asarray(np.clip(value + 0.5, 0, 255), np.uint8)


def tone(linear: Floats, contrast: float = 1.0) -> Floats:
    """Display value 0 to 1 of linear light: a filmic shoulder, then gamma.

    >>> [round(float(v), 2) for v in tone(np.array([0.0, 0.18, 1.0], np.float32))]
    [0.0, 0.47, 0.87]
    """
    x = np.maximum(linear, 0) * 0.9
    filmic = (x * (2.51 * x * 0.55 + 0.03 + 0.42)) / (x * (2.43 * x * 0.55 + 0.59 + 0.28) + 0.14 + 0.16)
    display = np.clip(filmic, 0, 1) ** (1 / 2.2)
    return np.clip(0.5 + (display - 0.5) * contrast, 0, 1).astype(np.float32)
