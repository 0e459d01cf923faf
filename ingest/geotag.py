"""Where on the map a thing in a fixed camera's picture stands, and how sure that is. Pure.

Three ways, the best one that holds: a homography through surveyed ground points; the camera's pose over
flat ground; the camera's own position. Errors are radii that hold the true place in 95 %: what each
measurement may be off is propagated to the place, so a thing far away or outside the ground points has a
larger radius by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from ingest.ground import LocalFrame, Matrix, fit_homography, jacobian, project
from ingest.report import GeoMethod, GeoPoint
from ingest.site import Camera, GroundPoint

RADIUS_95 = 2.448  # of a two-dimensional normal distribution, in standard deviations
CONTACT_SIGMA_PX = 3.0  # where a box's lower edge meets the ground, at 640 px frame width
POINT_SIGMA_PX = 2.0  # a ground point clicked in the picture, at 640 px
POINT_SIGMA_M = 0.5  # a ground point read off a map; five decimals of a degree are already 0.5 m
FLAT_SHARE = 0.02  # of the distance: the ground is not quite a plane, the lens not quite straight
CAMERA_SIGMA_M = 3.0
HEADING_SIGMA_DEG, PITCH_SIGMA_DEG = 3.0, 1.5
HEIGHT_SIGMA_SHARE, FOV_SIGMA_SHARE = 0.07, 0.04
ASSUMED_PITCH_DEG, ASSUMED_PITCH_SIGMA_DEG = 15.0, 6.0  # where the site does not say
POSITION_ERROR_M = 50.0  # how far from a street camera the things it can tell apart stand
FAR_ERROR_M = 300.0  # the same for a thing near the horizon
ERROR_MAX_M, RANGE_MAX_M = 100.0, 500.0  # beyond these a computed place says no more than the camera's


def locate(camera: Camera, xy: tuple[float, float], wh: tuple[int, int]) -> GeoPoint:
    """Give the place of a ground contact.

    Args:
        camera: its position, ground points or pose.
        xy: ground contact in fractions of frame width and height.
        wh: frame width and height in pixels; only their ratio matters.

    Returns:
        WGS 84, with error radius and the method that was used.
    """
    frame = LocalFrame(camera.lat, camera.lon)
    aspect = wh[1] / wh[0]
    tried = False
    if camera.ground_points:
        tried = True
        if (found := _by_homography(camera.ground_points, frame, xy, aspect)) is not None:
            return _point(frame, *found, "homography")
    if camera.heading_deg is not None and camera.height_m is not None and camera.fov_deg is not None:
        tried = True
        if (found := _by_pose(camera, xy, aspect)) is not None:
            return _point(frame, *found, "camera_pose")
    return _point(frame, 0.0, 0.0, FAR_ERROR_M if tried else POSITION_ERROR_M, "camera_position")


def _point(frame: LocalFrame, east_m: float, north_m: float, error_m: float, method: GeoMethod) -> GeoPoint:
    lat, lon = frame.to_degrees(east_m, north_m)
    return GeoPoint(lat=round(lat, 7), lon=round(lon, 7), error_m=math.ceil(error_m * 10) / 10, method=method)


def _sane(east_m: float, north_m: float, error_m: float) -> tuple[float, float, float] | None:
    """Give the place if it says more than the camera's own position."""
    distance = math.hypot(east_m, north_m)
    error_m = math.hypot(error_m, FLAT_SHARE * distance)
    return (east_m, north_m, error_m) if error_m <= ERROR_MAX_M and distance <= RANGE_MAX_M else None


def _radius(spread: Matrix) -> float:
    """Give the 95 % radius of a covariance (2, 2), square metres, along its longer axis."""
    return RADIUS_95 * math.sqrt(max(0.0, float(np.linalg.eigvalsh(spread)[-1])))


def _by_homography(
    points: tuple[GroundPoint, ...], frame: LocalFrame, xy: tuple[float, float], aspect: float
) -> tuple[float, float, float] | None:
    best, shaken, scale = _fits(points, frame, round(aspect, 6))
    horizon = min(project(best, point.xy)[2] for point in points)
    east, north, depth = project(best, xy)
    # at a twentieth of the depth of the farthest ground point nothing is known about the ground any more
    if depth <= horizon / 20:
        return None
    slope = jacobian(best, xy)
    pixel = np.diag([1.0, 1 / aspect**2]) * (CONTACT_SIGMA_PX / 640) ** 2
    spread = slope @ pixel @ slope.T
    for other in shaken:
        moved = np.array(project(other, xy)[:2]) - [east, north]
        spread = spread + scale * np.outer(moved, moved)
    return _sane(east, north, _radius(spread))


@lru_cache(maxsize=256)
def _fits(
    points: tuple[GroundPoint, ...], frame: LocalFrame, aspect: float
) -> tuple[Matrix, tuple[Matrix, ...], float]:
    """Give the homography, what it becomes when each measurement is off by one sigma, and a variance scale.

    The scale is the residual of more than four points over what their sigmas explain: if they disagree more
    than that, the sigmas were too good.
    """
    picture = np.array([point.xy for point in points])
    ground = np.array([frame.to_metres(point.lat, point.lon) for point in points])
    best = fit_homography(picture, ground)
    steps = ((0, POINT_SIGMA_PX / 640), (1, POINT_SIGMA_PX / 640 / aspect))
    shaken = []
    for row in range(len(points)):
        for axis, step in steps:
            off = picture.copy()
            off[row, axis] += step
            shaken.append(fit_homography(off, ground))
        for axis in (0, 1):
            off = ground.copy()
            off[row, axis] += POINT_SIGMA_M
            shaken.append(fit_homography(picture, off))
    return best, tuple(shaken), max(1.0, _misfit(best, picture, ground, aspect))


def _misfit(best: Matrix, picture: Matrix, ground: Matrix, aspect: float) -> float:
    """Give chi-square per degree of freedom; 0 where four points leave none."""
    freedom = 2 * len(picture) - 8
    if freedom <= 0:
        return 0.0
    total = 0.0
    for seen, known in zip(picture, ground, strict=True):
        place = (float(seen[0]), float(seen[1]))
        slope = jacobian(best, place) @ np.diag([1.0, 1 / aspect]) * (POINT_SIGMA_PX / 640)
        spread = slope @ slope.T + np.eye(2) * POINT_SIGMA_M**2
        off = np.array(project(best, place)[:2]) - known
        total += float(off @ np.linalg.solve(spread, off))
    return total / freedom


def _by_pose(camera: Camera, xy: tuple[float, float], aspect: float) -> tuple[float, float, float] | None:
    values = [camera.heading_deg or 0.0, camera.pitch_deg, camera.height_m or 0.0, camera.fov_deg or 0.0, *xy]
    given = values[1] is not None
    pose = [ASSUMED_PITCH_DEG if value is None else value for value in values]
    sigmas = (
        HEADING_SIGMA_DEG,
        PITCH_SIGMA_DEG if given else ASSUMED_PITCH_SIGMA_DEG,
        HEIGHT_SIGMA_SHARE * pose[2],
        FOV_SIGMA_SHARE * pose[3],
        CONTACT_SIGMA_PX / 640,
        CONTACT_SIGMA_PX / 640 / aspect,
    )
    return _propagated(lambda each: _ray(each, aspect), pose, sigmas)


def _propagated(
    place: Callable[[Sequence[float]], tuple[float, float] | None],
    values: Sequence[float],
    sigmas: Sequence[float],
) -> tuple[float, float, float] | None:
    """Give the place and its radius when each value may be off by its sigma; None if it may not exist."""
    centre = place(values)
    if centre is None:
        return None
    spread = np.eye(2) * CAMERA_SIGMA_M**2
    for index, sigma in enumerate(sigmas):
        sides = [
            place([*values[:index], values[index] + step, *values[index + 1 :]]) for step in (-sigma, sigma)
        ]
        moves = [np.subtract(side, centre) for side in sides if side is not None]
        if len(moves) < 2:
            return None
        widest = max(moves, key=lambda move: float(np.linalg.norm(move)))
        spread = spread + np.outer(widest, widest)
    return _sane(centre[0], centre[1], _radius(spread))


def _ray(pose: Sequence[float], aspect: float) -> tuple[float, float] | None:
    """Give where the ray through a picture point meets flat ground, east and north of the camera in metres.

    Args:
        pose: heading, pitch (down) in degrees, height in metres, horizontal field of view in degrees, x, y in
            fractions. A pinhole without roll.
        aspect: frame height over width.
    """
    heading, pitch = math.radians(pose[0]), math.radians(pose[1])
    focal = 0.5 / math.tan(math.radians(min(max(pose[3], 1.0), 179.0)) / 2)
    right, down = (pose[4] - 0.5) / focal, (pose[5] - 0.5) * aspect / focal
    drop = down * math.cos(pitch) + math.sin(pitch)
    ahead = math.cos(pitch) - down * math.sin(pitch)
    if drop <= 1e-3:
        return None
    reach = pose[2] / drop
    east = reach * (ahead * math.sin(heading) + right * math.cos(heading))
    north = reach * (ahead * math.cos(heading) - right * math.sin(heading))
    return east, north
