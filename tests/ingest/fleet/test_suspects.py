"""Of many cameras, the one that brings its worker down is found, and the others are watched again."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from ingest.fleet import suspects
from ingest.fleet.suspects import HELD_S, Suspects


def test_the_examples_are_right():
    assert doctest.testmod(suspects).failed == 0


def outcome(cameras, bad, until_s=1200, step_s=1):
    """Play a fleet with one worker, which ends 3 s after it began to watch `bad`."""
    found, watched, came, falls = Suspects(), set(), {}, 0
    for now in range(0, until_s, step_s):
        if bad in watched and now - came[bad] >= 3:
            found.fell(watched, float(now))
            watched, falls = set(), falls + 1
        for camera in cameras:
            if camera in watched or found.held_back(camera, float(now)) is not None:
                continue
            if found.may_start(camera, float(now)):
                watched.add(camera)
                came[camera] = now
    return found, watched, falls


@given(st.integers(1, 12), st.data())
def test_the_camera_that_ends_its_worker_is_held_back_and_the_others_are_watched(number, data):
    cameras = [f"cam-{index}" for index in range(number)]
    bad = data.draw(st.sampled_from(cameras))
    found, watched, falls = outcome(cameras, bad, until_s=400)
    assert found.held_back(bad, 400.0)
    assert watched == set(cameras) - {bad}
    assert falls <= 2 + suspects.BLAMED


def test_it_is_tried_again_later():
    found, _, _ = outcome(["a", "b"], "b", until_s=100)
    assert found.held_back("b", 100.0).startswith("its worker process ended 2 times")
    assert found.held_back("b", 100.0 + HELD_S) is None


def test_a_worker_that_ends_once_makes_nobody_wait():
    found = Suspects()
    found.fell({"a", "b", "c"}, 0.0)
    assert all(found.may_start(name, 1.0) for name in "abc")
