from __future__ import annotations

import doctest
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import WrongUse
from ingest.gate import Gate, MotionGate, Rate, open_gate
from ingest.sources import clock
from ingest.sources.clock import LiveClock, StreamClock
from ingest.types import Frame

MS = Fraction(1, 1000)


def test_the_examples_are_right() -> None:
    assert doctest.testmod(clock).failed == 0


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), max_size=60))
def test_stream_clock_begins_at_zero_and_increases(times: list[int | None]) -> None:
    clock = StreamClock(25.0)
    seconds = [clock.seconds(pts, MS) for pts in times]
    assert seconds[:1] in ([], [0.0])
    assert all(a < b for a, b in pairwise(seconds))


def test_stream_clock_without_a_first_time() -> None:
    clock = StreamClock(25.0)
    assert [clock.seconds(pts, MS) for pts in (None, 540, 580)] == pytest.approx([0, 0.04, 0.08])


def test_stream_clock_with_a_hole() -> None:
    clock = StreamClock(10.0)
    assert [clock.seconds(pts, MS) for pts in (0, 100, None, 300)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.guessed == 1


def test_live_clock_measures_by_the_stream_not_by_arrival() -> None:
    jitter = random.Random(1)
    clock = LiveClock()
    sent = [i * 0.04 for i in range(2000)]
    at = [clock.seconds(t, 1000 + t + jitter.uniform(0, 0.8)) for t in sent]
    steps = [b - a for a, b in pairwise(at[200:])]
    assert min(steps) > 0.03
    assert max(steps) < 0.05


def test_live_clock_follows_a_wrong_camera_clock() -> None:
    for wrong in (-80e-6, 80e-6, 0.01):
        clock = LiveClock()
        for i in range(100_000):
            arrived = i * 0.04
            at = clock.seconds(arrived * (1 + wrong), arrived)
        assert at == pytest.approx(arrived, abs=0.1)


def test_live_clock_takes_no_backlog_for_time() -> None:
    clock = LiveClock()
    for i in range(500):
        at = clock.seconds(i * 0.04, i * 0.08)
    assert at == pytest.approx(499 * 0.04, abs=0.1)
    assert clock.lag_s == pytest.approx(499 * 0.04, abs=0.1)


def test_live_clock_goes_on_over_a_reconnect() -> None:
    clock = LiveClock()
    before = [clock.seconds(i * 0.04, 100 + i * 0.04) for i in range(10)]
    clock.connected()
    after = clock.seconds(7000.0, 99.0)
    assert after > before[-1]
    assert clock.seconds(7000.5, 130.0) == pytest.approx(99.5, abs=2)


def test_live_clock_is_settled_once_a_burst_is_over() -> None:
    clock = LiveClock()
    settled = []
    for i in range(100):
        clock.seconds(i * 0.04, max(3.0, i * 0.04))
        settled.append(clock.settled)
    assert not any(settled[:75])
    assert all(settled[77:])


def test_live_clock_without_times_takes_arrival() -> None:
    clock = LiveClock()
    assert [clock.seconds(None, at) for at in (5.0, 5.2, 5.1)] == pytest.approx([5.0, 5.2, 5.201])


@given(st.floats(3.0, 60.0), st.floats(0.5, 10.0))
def test_rate_gives_what_was_asked_or_all_there_is(stream_fps: float, fps: float) -> None:
    rate = Rate(fps)
    due = sum(rate.due(i / stream_fps) for i in range(int(stream_fps * 20)))
    assert due == pytest.approx(min(fps, stream_fps) * 20, abs=0.12 * fps * 20 + 2)


def frame(seconds: float, grey: int, square: int = 0) -> Frame:
    image = np.full((90, 160, 3), grey, np.uint8)
    image[:square, :square] = 255 - grey
    return Frame(
        "cam", round(seconds * 10), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds), image
    )


def test_default_gate_admits_all() -> None:
    gate: Gate = open_gate()
    assert all(gate.admit(frame(i, 0)) for i in range(3))


def test_motion_gate_admits_change_and_now_and_then() -> None:
    gate = MotionGate()
    admitted = [
        gate.admit(frame(t, 100, square)) for t, square in ((0, 0), (0.2, 0), (0.4, 20), (0.6, 20), (2.5, 20))
    ]
    assert admitted == [True, False, True, False, True]


def test_motion_gate_survives_a_size_change() -> None:
    gate = MotionGate()
    assert gate.admit(frame(0, 100))
    other = Frame("cam", 1, datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), np.zeros((1, 1, 3), np.uint8))
    assert gate.admit(other)


def test_unknown_gate() -> None:
    with pytest.raises(WrongUse, match="no gate 'x'"):
        open_gate("x")
