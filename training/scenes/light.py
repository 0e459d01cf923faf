"""Sun, sky and haze: the light that falls on a point and what a mirror there would see.

Colours are linear BGR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.scenes.camera import Floats, Mask
from training.scenes.mesh import Colour


@dataclass(frozen=True)
class Light:
    """One weather: azimuth (anticlockwise from x) and elevation in degrees, linear BGR, haze per metre."""

    azimuth_deg: float = -60.0
    elevation_deg: float = 48.0
    sun: Colour = (2.15, 2.5, 2.75)
    zenith: Colour = (0.80, 0.62, 0.50)
    horizon: Colour = (0.95, 0.92, 0.88)
    bounce: Colour = (0.26, 0.28, 0.3)
    haze: float = 0.0025
    softness: float = 0.15
    exposure: float = 0.60
    wet: float = 0.0

    @property
    def to_sun(self) -> Floats:
        """Unit vector (3,) from the ground to the sun."""
        a, e = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        return np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)], np.float32)


def any_light(rng: np.random.Generator) -> Light:
    """Draw a weather: clear, hazy, overcast, low evening sun or wet."""
    azimuth, elevation = float(rng.uniform(-165, -15)), float(rng.uniform(28, 66))
    kind = int(rng.integers(5))
    exposure = float(rng.uniform(0.85, 1.2))
    if kind == 0:
        return Light(azimuth, elevation, haze=0.002, exposure=0.60 * exposure)
    if kind == 1:
        return Light(
            azimuth,
            elevation,
            (1.3, 1.5, 1.62),
            (0.95, 0.82, 0.72),
            (1.1, 1.06, 1.02),
            haze=0.006,
            softness=0.4,
            exposure=0.66 * exposure,
        )
    if kind == 2:
        return Light(
            azimuth,
            70,
            (0.25, 0.27, 0.28),
            (1.05, 1.0, 0.96),
            (1.0, 0.98, 0.96),
            haze=0.004,
            softness=1.2,
            exposure=0.85 * exposure,
        )
    if kind == 3:
        return Light(
            azimuth,
            float(rng.uniform(16, 28)),
            (1.15, 1.9, 2.7),
            (0.62, 0.5, 0.42),
            (0.7, 0.8, 0.95),
            haze=0.003,
            exposure=0.75 * exposure,
        )
    return Light(
        azimuth,
        65,
        (0.3, 0.32, 0.33),
        (0.95, 0.92, 0.9),
        (0.9, 0.9, 0.9),
        haze=0.005,
        softness=1.2,
        exposure=0.9 * exposure,
        wet=float(rng.uniform(0.4, 1)),
    )


def smoothstep(low: float | Floats, high: float | Floats, x: Floats) -> Floats:
    """Hermite step from 0 at low to 1 at high.

    >>> smoothstep(0.0, 1.0, np.array([0.0, 0.5, 1.0], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((x - low) / (np.asarray(high) - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def sky_radiance(light: Light, up: Floats) -> Floats:
    """Radiance (N, 3) of the sky in directions whose z component is up (N,)."""
    share = np.clip(up, 0, 1) ** 0.55
    return _mix(np.array(light.horizon, np.float32), np.array(light.zenith, np.float32), share)


def environment(light: Light, direction: Floats, rough: Floats) -> Floats:
    """Radiance (N, 3) that arrives from unit directions (N, 3); rough (N,) blurs what is seen."""
    up = direction[:, 2]
    sky = sky_radiance(light, up)
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    skyline = (
        0.16
        + 0.10 * np.sin(3.1 * azimuth + 0.7)
        + 0.05 * np.sign(np.sin(9.0 * azimuth))
        + 0.22 * np.clip(direction[:, 1], 0, 1)
    )
    edge = 0.03 + 0.5 * rough
    wall = np.array([0.20, 0.22, 0.24], np.float32) * (0.8 + 0.4 * np.sin(17 * azimuth + 23 * up))[:, None]
    scene = _mix(wall, sky, smoothstep(skyline - edge, skyline + edge, up))
    ground = np.array(light.bounce, np.float32) * (0.75 + 0.25 * np.clip(-up, 0, 1))[:, None]
    return _mix(ground, scene, smoothstep(-edge * 0.6, edge * 0.6, up))


@dataclass(frozen=True)
class Finish:
    """What a surface does with light.

    Diffuse share (N, 3), mirror share at normal incidence (N,), blur of the mirror (N,).
    """

    albedo: Floats
    gloss: Floats
    rough: Floats


@dataclass(frozen=True)
class Facing:
    """How a surface lies: unit normal and view (N, 3), shares of sky and of sun that reach it (N,)."""

    normal: Floats
    view: Floats
    shelter: Floats
    sunlit: Floats

    def __getitem__(self, chosen: Mask) -> Facing:
        """Return the chosen samples."""
        return Facing(self.normal[chosen], self.view[chosen], self.shelter[chosen], self.sunlit[chosen])


def shade(light: Light, finish: Finish, facing: Facing) -> Floats:
    """Radiance (N, 3) towards the camera."""
    normal = facing.normal
    up = 0.5 + 0.5 * normal[:, 2]
    open_street = 1 - 0.22 * normal[:, 1]
    sky = 0.55 * np.array(light.zenith, np.float32) + 0.45 * np.array(light.horizon, np.float32)
    ambient = _mix(np.array(light.bounce, np.float32), sky, up) * (open_street * facing.shelter)[:, None]
    direct = np.clip(normal @ light.to_sun, 0, 1) * facing.sunlit
    radiance = finish.albedo * (ambient + direct[:, None] * np.array(light.sun, np.float32))
    shiny = finish.gloss > 0
    if shiny.any():
        radiance[shiny] += _mirror(light, finish.gloss[shiny], finish.rough[shiny], facing[shiny])
    return np.asarray(radiance, np.float32)


def _mirror(light: Light, gloss: Floats, rough: Floats, facing: Facing) -> Floats:
    cosine = np.clip((facing.normal * facing.view).sum(1), 0, 1)
    fresnel = gloss + (np.maximum(0.9 - rough, gloss) - gloss) * (1 - cosine) ** 5
    reflected = 2 * cosine[:, None] * facing.normal - facing.view
    radiance = environment(light, reflected, rough) * (fresnel * (0.35 + 0.65 * facing.shelter))[:, None]
    power = 2 / np.maximum(rough, 0.03) ** 2
    glint = (
        np.clip(reflected @ light.to_sun, 0, 1) ** power
        * fresnel
        * np.minimum(power / 14, 22)
        * facing.sunlit
    )
    return np.asarray(radiance + glint[:, None] * np.array(light.sun, np.float32))


def in_haze(light: Light, radiance: Floats, distance: Floats) -> Floats:
    """Radiance (N, 3) after distance (N,) metres of air."""
    kept = np.exp(-light.haze * np.maximum(distance - 4, 0))[..., None]
    return np.asarray(radiance * kept + np.array(light.horizon, np.float32) * 0.82 * (1 - kept), np.float32)


def _mix(a: Floats, b: Floats, share: Floats) -> Floats:
    return a + (b - a) * share[:, None]
