"""Each fault of a camera has its state and its sentence."""

from __future__ import annotations

import doctest

import pytest

from ingest.fleet import guard, health, placement, slots, tally
from ingest.fleet.health import Look, judge
from ingest.fleet.status import CameraState as S


@pytest.mark.parametrize("module", [guard, health, placement, slots, tally])
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
