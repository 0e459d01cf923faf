"""Each fault of a camera has its state and its sentence."""

from __future__ import annotations

import doctest

import pytest

from ingest.fleet import guard, health, others, placement, ray_placing, size, slots, tally
from ingest.fleet.health import Look, as_of_now, judge
from ingest.fleet.status import CameraState as S
from ingest.fleet.status import CameraStatus, WorkerStatus


@pytest.mark.parametrize("module", [guard, health, others, placement, ray_placing, size, slots, tally])
def test_the_examples_are_right(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("look", "state", "sentence"),
    [
        (Look(True, True, True, 0.1, {"in": 25}), S.RUNNING, ""),
        (Look(True, False, False, 2.0, {}), S.STARTING, ""),
        (Look(True, False, False, 9.0, {}), S.RECONNECTING, "no connection for 9 s"),
        (Look(True, False, True, 1.0, {}), S.RECONNECTING, "no connection for 1 s"),
        (Look(True, True, True, 6.0, {}), S.SILENT, "connected, but no picture for 6 s"),
        (
            Look(True, True, False, 4.0, {"undecodable": 20}),
            S.SILENT,
            "data that cannot be decoded (20 packets",
        ),
        (
            Look(True, True, True, 0.1, {"in": 25, "undecodable": 3}),
            S.RUNNING,
            "3 packets a second cannot be",
        ),
        (Look(True, True, True, 0.1, {"in": 60}), S.RUNNING, "sends 60 frames a second"),
        (
            Look(True, True, True, 0.1, {"in": 60, "overload": 4}),
            S.DEGRADED,
            "only its key frames are analysed",
        ),
        (Look(False, False, True, 90.0, {"in": 900}), S.RUNNING, ""),
    ],
)
def test_each_fault_has_its_state_and_sentence(look, state, sentence):
    found, fault = judge(look, 5.0, 5.0)
    assert found is state
    assert sentence in fault
    assert bool(fault) == bool(sentence)


def test_a_lowered_rate_is_told():
    state, fault = judge(Look(True, True, True, 0.1, {"in": 25}), 5.0, 2.5)
    assert state is S.DEGRADED
    assert fault == "the machine is full: 2.5 instead of 5 frames a second are analysed."


def seen(state=S.RUNNING, age=None, **keys):
    return CameraStatus("cam", "w", state, last_frame_age_s=age, **keys)


@pytest.mark.parametrize(
    ("told", "told_s", "state", "age"),
    [
        (seen(age=4.9), 4.5, S.SILENT, 9.4),
        (seen(S.DEGRADED, age=4.9, fault="the machine is full."), 4.5, S.SILENT, 9.4),
        (seen(age=0.1), 4.5, S.RUNNING, 4.6),
        (seen(S.RECONNECTING, age=9.0, fault="no connection."), 1.0, S.RECONNECTING, 10.0),
        (seen(S.STARTING), 9.0, S.STARTING, None),
    ],
)
def test_who_asks_hears_of_a_silent_camera_however_late_its_worker_tells(told, told_s, state, age):
    worker = WorkerStatus("w", alive=True, cameras=(told,))
    (now,) = as_of_now(worker, told_s, {"cam"}).cameras
    assert now.state is state
    assert now.last_frame_age_s == (None if age is None else pytest.approx(age))
    if state is S.SILENT:
        assert now.fault == "no picture for 9 s, as far as its worker told 4 s ago."
    else:
        assert now.fault == told.fault


def test_a_file_is_not_silent():
    worker = WorkerStatus("w", alive=True, cameras=(seen(age=4.9),))
    (now,) = as_of_now(worker, 60.0, set()).cameras
    assert now.state is S.RUNNING
