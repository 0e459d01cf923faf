from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from pydantic import ValidationError

from ingest.geotag import FAR_ERROR_M, POSITION_ERROR_M, locate
from ingest.ground import LocalFrame, contradiction, fit_homography, jacobian, mirrored, project
from ingest.site import Camera

WH = (1280, 720)
LAT, LON = 31.779, 119.951
FRAME = LocalFrame(LAT, LON)


class Pinhole:
    """A camera over flat ground, by the textbook: rotation matrix, not the code under test."""

    def __init__(self, heading_deg, pitch_deg, height_m, fov_deg):
        yaw, pitch = math.radians(heading_deg), math.radians(pitch_deg)
        forward = np.array(
            [math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), -math.sin(pitch)]
        )
        right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
        self.axes = np.stack([right, np.cross(forward, right), forward])
        self.height_m, self.focal = height_m, WH[0] / 2 / math.tan(math.radians(fov_deg) / 2)

    def sees(self, east_m, north_m):
        """Give the fraction at which a place on the ground is seen, None behind the camera."""
        x, y, z = self.axes @ np.array([east_m, north_m, -self.height_m])
        if z <= 0.1:
            return None
        return (self.focal * x / z + WH[0] / 2) / WH[0], (self.focal * y / z + WH[1] / 2) / WH[1]

    def ground(self, xy):
        """Give the place on the ground seen at a fraction, None above the horizon."""
        ray = (
            np.array([(xy[0] - 0.5) * WH[0] / self.focal, (xy[1] - 0.5) * WH[1] / self.focal, 1.0])
            @ self.axes
        )
        if ray[2] >= -1e-6:
            return None
        return tuple((ray[:2] * self.height_m / -ray[2]).tolist())


POSES = st.tuples(st.floats(0, 360), st.floats(8, 60), st.floats(3, 15), st.floats(40, 100))
SPOTS = st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98))
CORNERS = [(0.1, 0.95), (0.9, 0.95), (0.7, 0.62), (0.3, 0.62), (0.5, 0.8), (0.8, 0.75)]


def surveyed(pose, corners=CORNERS[:4], noise=()):
    """Give a camera with ground points, `noise` (east, north) metres on each."""
    pinhole = Pinhole(*pose)
    points = []
    for index, xy in enumerate(corners):
        ground = pinhole.ground(xy)
        if ground is None or math.hypot(*ground) > 150:
            reject()
        off = noise[index] if index < len(noise) else (0.0, 0.0)
        lat, lon = FRAME.to_degrees(ground[0] + off[0], ground[1] + off[1])
        points.append({"xy": xy, "lat": lat, "lon": lon})
    return Camera.model_validate({"id": "c", "lat": LAT, "lon": LON, "ground_points": points}), pinhole


def off_m(point, truth):
    return math.dist(FRAME.to_metres(point.lat, point.lon), truth)


@settings(max_examples=150, deadline=None)
@given(POSES, SPOTS)
def test_a_homography_puts_a_thing_where_it_stands(pose, xy):
    camera, pinhole = surveyed(pose)
    point, truth = locate(camera, xy, WH), pinhole.ground(xy)
    if truth is None:
        assert point.method == "camera_position"
        assert point.error_m == FAR_ERROR_M
    elif point.method == "homography":
        assert off_m(point, truth) <= point.error_m
        assert off_m(point, truth) < 0.05 + 1e-3 * math.hypot(*truth)
    else:
        # only far places are given up, and any where the survey's points lie within a few of their own errors
        spots = [pinhole.ground(corner) for corner in CORNERS]
        apart = min(math.dist(one, other) for one, other in itertools.combinations(spots, 2))
        assert math.hypot(*truth) > 20 or xy[1] < 0.6 or apart < 2.5


@pytest.mark.parametrize("number", [4, 6])
def test_the_radius_holds_the_truth_in_95_of_100_surveys(number):
    """A radius is a claim about many surveys, each point off by its sigma at random, not about the worst one."""
    rng = np.random.default_rng(number)
    held: list[bool] = []
    while len(held) < 400:
        pose = (rng.uniform(0, 360), rng.uniform(15, 50), rng.uniform(4, 12), rng.uniform(50, 90))
        xy = tuple(rng.uniform(0.02, 0.98, 2))
        noise = rng.normal(0, 0.5, (6, 2)).tolist()
        try:
            camera, pinhole = surveyed(pose, CORNERS[:number], noise)
        except (
            UnsatisfiedAssumption,
            ValidationError,
        ):  # a corner beyond the horizon, a survey that is refused
            continue
        point, truth = locate(camera, xy, WH), pinhole.ground(xy)
        if truth is not None and point.method == "homography":
            held.append(off_m(point, truth) <= point.error_m)
    assert np.mean(held) >= 0.93  # fewer than 372 of 400 would refute 95 % (binomial, one-sided, 5 %)


@settings(max_examples=150, deadline=None)
@given(POSES, SPOTS)
def test_a_pose_puts_a_thing_where_it_stands(pose, xy):
    heading, pitch, height, fov = pose
    camera = Camera(
        id="c", lat=LAT, lon=LON, heading_deg=heading, pitch_deg=pitch, height_m=height, fov_deg=fov
    )
    point, truth = locate(camera, xy, WH), Pinhole(*pose).ground(xy)
    if truth is None or point.method == "camera_position":
        assert point.method == "camera_position"
        assert point.error_m == FAR_ERROR_M
        assert (point.lat, point.lon) == (LAT, LON)
    else:
        assert point.method == "camera_pose"
        assert off_m(point, truth) < 0.05
        assert point.error_m >= 5


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.floats(0, 359), st.floats(15, 50), st.floats(4, 12), st.floats(50, 90)),
    SPOTS,
    st.tuples(*[st.floats(-1, 1)] * 4),
)
def test_the_radius_of_a_pose_holds_the_truth_when_each_value_is_off_by_its_sigma(pose, xy, off):
    heading, pitch, height, fov = pose
    camera = Camera(
        id="c", lat=LAT, lon=LON, heading_deg=heading, pitch_deg=pitch, height_m=height, fov_deg=fov
    )
    true_pose = (
        heading + 3 * off[0],
        pitch + 1.5 * off[1],
        height * (1 + 0.07 * off[2]),
        fov * (1 + 0.04 * off[3]),
    )
    point, truth = locate(camera, xy, WH), Pinhole(*true_pose).ground(xy)
    if point.method == "camera_pose":
        assert truth is not None
        assert off_m(point, truth) <= point.error_m


@settings(deadline=None)
@given(SPOTS, st.booleans())
def test_no_place_is_nonsense(xy, posed):
    """A camera that looks along the street: the horizon lies in the picture."""
    camera, _ = surveyed((90, 10, 6, 60), [(0.1, 0.95), (0.9, 0.95), (0.6, 0.5), (0.4, 0.5)])
    if posed:
        camera = Camera(id="c", lat=LAT, lon=LON, heading_deg=90, pitch_deg=10, height_m=6, fov_deg=60)
    point = locate(camera, xy, WH)
    east, north = FRAME.to_metres(point.lat, point.lon)
    assert math.hypot(east, north) <= 500
    assert math.isfinite(point.error_m)
    assert point.error_m <= FAR_ERROR_M
    if point.method != "camera_position":
        assert east > 0  # in front of the camera, never behind


def test_farther_away_and_outside_the_points_is_less_certain():
    camera, _ = surveyed((90, 20, 6, 60))
    inside, far = locate(camera, (0.5, 0.8), WH), locate(camera, (0.5, 0.4), WH)
    beside = locate(camera, (0.02, 0.62), WH)
    assert inside.method == far.method == "homography"
    assert inside.error_m < beside.error_m
    assert inside.error_m < far.error_m
    assert inside.error_m < 3


def test_points_that_disagree_widen_the_radius():
    pose = (90, 20, 6, 60)
    good, _ = surveyed(pose, CORNERS)
    bad, _ = surveyed(pose, CORNERS, [(0, 0), (0, 0), (4, 0), (0, 4), (-4, 0), (0, 0)])
    assert locate(bad, (0.5, 0.8), WH).error_m > 2 * locate(good, (0.5, 0.8), WH).error_m


def test_what_is_left_without_points_and_pose_is_the_camera():
    camera = Camera(id="c", lat=LAT, lon=LON)
    point = locate(camera, (0.5, 0.9), WH)
    assert (point.lat, point.lon, point.error_m, point.method, point.crs) == (
        LAT,
        LON,
        POSITION_ERROR_M,
        "camera_position",
        "WGS84",
    )


def test_a_pose_without_pitch_is_less_certain():
    known = Camera(id="c", lat=LAT, lon=LON, heading_deg=0, height_m=6, fov_deg=60, pitch_deg=15)
    guessed = Camera(id="c", lat=LAT, lon=LON, heading_deg=0, height_m=6, fov_deg=60)
    assert locate(guessed, (0.5, 0.9), WH).error_m > locate(known, (0.5, 0.9), WH).error_m
    assert locate(guessed, (0.5, 0.9), WH).method == "camera_pose"


@given(st.floats(-80, 80), st.floats(-180, 179.9), st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_the_local_frame_goes_there_and_back(lat, lon, east, north):
    frame = LocalFrame(lat, lon)
    assert frame.to_metres(*frame.to_degrees(east, north)) == pytest.approx((east, north), abs=1e-3)


def test_the_local_frame_agrees_with_the_length_of_a_degree():
    # Source: Snyder 1987, table of lengths of a degree, 40 degrees: 111035 m of latitude, 85394 m of longitude
    frame = LocalFrame(40.0, 0.0)
    assert frame.to_metres(40.001, 0.001) == pytest.approx((85.394, 111.035), rel=1e-4)


def test_a_homography_is_exact_through_four_points_and_fits_more():
    picture = np.array([(0.1, 0.9), (0.9, 0.9), (0.6, 0.5), (0.4, 0.5)])
    ground = np.array([(0.0, 0.0), (10.0, 0.0), (12.0, 30.0), (-2.0, 30.0)])
    matrix = fit_homography(picture, ground)
    for xy, place in zip(picture, ground, strict=True):
        assert project(matrix, tuple(xy))[:2] == pytest.approx(tuple(place), abs=1e-6)
    step = 1e-6
    east, north, _ = project(matrix, (0.5, 0.7))
    numeric = [
        (np.array(project(matrix, (0.5 + dx, 0.7 + dy))[:2]) - (east, north)) / step
        for dx, dy in ((step, 0), (0, step))
    ]
    assert jacobian(matrix, (0.5, 0.7)) == pytest.approx(np.array(numeric).T, rel=1e-3, abs=1e-6)
    assert not mirrored([tuple(xy) for xy in picture], [tuple(place) for place in ground])
    assert mirrored([tuple(xy) for xy in picture], [(-place[0], place[1]) for place in ground])
    assert contradiction([tuple(xy) for xy in picture], [tuple(place) for place in ground]) is None
    swapped = ground[[1, 0, 2, 3]]
    assert "swapped" in contradiction([tuple(xy) for xy in picture], [tuple(place) for place in swapped])
