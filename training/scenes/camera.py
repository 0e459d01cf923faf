"""A pinhole camera over a flat street.

World frame: metres, x along the street away from the camera, y to the left (towards the footway), z up, the
carriageway at z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

METRES_PER_DEGREE = 111_320.0
"""Length of one degree of latitude, good to 0.5 % anywhere; the demo scene is 60 m long."""


@dataclass(frozen=True)
class Camera:
    """A fixed camera: place in metres, yaw and pitch in degrees, size in pixels.

    Yaw turns left of the x axis, pitch below the horizon.
    """

    position: tuple[float, float, float] = (0.0, -5.5, 6.0)
    yaw_deg: float = 16.0
    pitch_deg: float = 18.0
    hfov_deg: float = 62.0
    width: int = 1280
    height: int = 720

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(math.radians(self.hfov_deg) / 2)

    @property
    def rotation(self) -> Doubles:
        """Rows are the camera's right, down and forward axes in the world, (3, 3)."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        forward = np.array(
            [math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), -math.sin(pitch)]
        )
        right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: NDArray[np.floating]) -> tuple[Doubles, Doubles]:
        """Project world points (N, 3) to pixels (N, 2) and depths in metres (N,) along the optical axis."""
        local = (np.asarray(points, np.float64) - np.array(self.position)) @ self.rotation.T
        depth = local[:, 2]
        safe = np.maximum(depth, 1e-6)
        xy = local[:, :2] / safe[:, None] * self.focal_px + np.array([self.width / 2, self.height / 2])
        return xy, depth

    def rays(self, x_px: Floats, y_px: Floats) -> Floats:
        """Directions in the world (N, 3), scaled to unit depth, through pixel positions (N,) each."""
        right, down, forward = self.rotation.astype(np.float32)
        across = ((x_px - self.width / 2) / self.focal_px).astype(np.float32)[:, None]
        along = ((y_px - self.height / 2) / self.focal_px).astype(np.float32)[:, None]
        return np.asarray(across * right + along * down + forward)

    def ground(self, x_px: float, y_px: float, z: float = 0.0) -> tuple[float, float]:
        """Return the world x, y in metres where a pixel's ray meets the horizontal plane at height z.

        Raises:
            ValueError: the pixel looks above the horizon.
        """
        ray = self.rays(np.array([x_px], np.float32), np.array([y_px], np.float32))[0].astype(np.float64)
        if ray[2] >= -1e-6:
            raise ValueError(f"pixel ({x_px}, {y_px}) looks above the horizon")
        reach = (z - self.position[2]) / ray[2]
        return self.position[0] + reach * float(ray[0]), self.position[1] + reach * float(ray[1])


@dataclass(frozen=True)
class Place:
    """Where the camera stands on the Earth, and the heading of its optical axis.

    Headings are degrees clockwise from true north.
    """

    lat: float
    lon: float
    heading_deg: float

    def geodetic(self, camera: Camera, x: float, y: float) -> tuple[float, float]:
        """Latitude and longitude of the world point (x, y) in metres."""
        bearing = math.radians(self.heading_deg + camera.yaw_deg)  # of the world's x axis
        dx, dy = x - camera.position[0], y - camera.position[1]
        east = dx * math.sin(bearing) - dy * math.cos(bearing)
        north = dx * math.cos(bearing) + dy * math.sin(bearing)
        lat = self.lat + north / METRES_PER_DEGREE
        return lat, self.lon + east / (METRES_PER_DEGREE * math.cos(math.radians(self.lat)))
