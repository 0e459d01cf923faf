"""The ground in front of a camera: metres on a local plane, and the homography to it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
"""float64 (3, 3), or points (N, 2)."""

WGS84_A_M, WGS84_E2 = 6378137.0, 6.69437999014e-3


@dataclass(frozen=True, slots=True)
class LocalFrame:
    """East and north in metres around an origin, exact to millimetres within a few kilometres.

    Args:
        lat: origin, degrees.
        lon: origin, degrees.

    Source: Snyder, "Map Projections", USGS 1395 (1987), radii of curvature (4-18, 4-20).
    """

    lat: float
    lon: float

    def _metres_per_degree(self) -> tuple[float, float]:
        sine = math.sin(math.radians(self.lat))
        curve = 1 - WGS84_E2 * sine * sine
        north = WGS84_A_M * (1 - WGS84_E2) / curve**1.5
        east = WGS84_A_M / math.sqrt(curve) * math.cos(math.radians(self.lat))
        return math.radians(max(east, 1e-6)), math.radians(north)

    def to_metres(self, lat: float, lon: float) -> tuple[float, float]:
        """Give east and north of a place in metres; the date line is no edge.

        >>> east, north = LocalFrame(31.779, 119.951).to_metres(31.780, 119.951)
        >>> round(east, 1), round(north, 1)
        (0.0, 110.9)
        """
        east, north = self._metres_per_degree()
        return ((lon - self.lon + 180) % 360 - 180) * east, (lat - self.lat) * north

    def to_degrees(self, east_m: float, north_m: float) -> tuple[float, float]:
        """Give latitude and longitude of a place, degrees."""
        east, north = self._metres_per_degree()
        lat = min(90.0, max(-90.0, self.lat + north_m / north))
        return lat, (self.lon + east_m / east + 180) % 360 - 180


def fit_homography(picture: Matrix, ground: Matrix) -> Matrix:
    """Fit the homography from picture to ground, least squares on normalised points.

    Args:
        picture: (N, 2), N at least 4, any unit.
        ground: (N, 2), metres.

    Returns:
        (3, 3), scaled so that the third coordinate is positive at the first point.

    Source: Hartley & Zisserman, "Multiple View Geometry", 2nd ed., algorithm 4.2.
    """
    to_picture, from_ground = _normalisation(picture), _normalisation(ground)
    near = _homogeneous(picture) @ to_picture.T
    far = _homogeneous(ground) @ from_ground.T
    rows = []
    for (x, y, w), (u, v, _) in zip(near, far, strict=True):
        rows.append([-x, -y, -w, 0, 0, 0, u * x, u * y, u * w])
        rows.append([0, 0, 0, -x, -y, -w, v * x, v * y, v * w])
    matrix = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    fitted: Matrix = np.linalg.inv(from_ground) @ matrix @ to_picture
    fitted /= np.linalg.norm(fitted)
    return fitted * math.copysign(1.0, float(fitted[2] @ [*picture[0], 1.0]))


def project(homography: Matrix, xy: tuple[float, float]) -> tuple[float, float, float]:
    """Give east, north in metres and the third coordinate: 0 on the horizon, negative above it."""
    east, north, depth = homography @ np.array([xy[0], xy[1], 1.0])
    safe = depth if abs(depth) > 1e-12 else 1e-12
    return float(east / safe), float(north / safe), float(depth)


def jacobian(homography: Matrix, xy: tuple[float, float]) -> Matrix:
    """Give how the ground position moves with the picture's, (2, 2), metres per unit of the picture."""
    east, north, depth = project(homography, xy)
    top = homography[:2, :2] - np.outer([east, north], homography[2, :2])
    return np.asarray(top / (depth if abs(depth) > 1e-12 else 1e-12))


def contradiction(
    picture: Sequence[tuple[float, float]], ground: Sequence[tuple[float, float]]
) -> str | None:
    """Say what is wrong with ground points that no camera can see so; None if nothing.

    Args:
        picture: fractions, y down.
        ground: east, north in metres.
    """
    homography = fit_homography(np.array(picture), np.array(ground))
    for number, xy in enumerate(picture, start=1):
        if project(homography, xy)[2] <= 0:
            return f"entry {number} lies beyond the horizon of the others; two of them are probably swapped"
    return None


def mirrored(picture: Sequence[tuple[float, float]], ground: Sequence[tuple[float, float]]) -> bool:
    """Say whether the ground points show the ground from below: left and right are swapped.

    Args:
        picture: fractions, y down.
        ground: east, north in metres.
    """
    homography = fit_homography(np.array(picture), np.array(ground))
    return bool(np.linalg.det(jacobian(homography, picture[0])) > 0)


def _normalisation(points: Matrix) -> Matrix:
    centre = points.mean(axis=0)
    scale = math.sqrt(2) / max(float(np.linalg.norm(points - centre, axis=1).mean()), 1e-12)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1.0]])


def _homogeneous(points: Matrix) -> Matrix:
    return np.hstack([points, np.ones((len(points), 1))])
