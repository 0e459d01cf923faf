"""Evidence takes turns and steps back; memory is shared; threads are metered by what they do."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from ingest.fleet.cpu import ThreadMeter, camera_threads
from ingest.fleet.memory import TIDY_S, Tidy, free_bytes, share_arenas
from ingest.fleet.turns import NICE, Turns

linux = pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")


@linux
def test_who_has_a_turn_steps_back_and_nobody_else_does() -> None:
    turns, before, found = Turns(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), []

    def make() -> None:
        for _ in range(2):
            with turns:
                found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    maker = threading.Thread(target=make)
    maker.start()
    maker.join(10)
    assert found == [max(before, NICE)] * 2
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_one_at_a_time() -> None:
    turns, inside, most = Turns(1), [], []

    def make() -> None:
        with turns:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(10)
    assert most == [1, 1, 1, 1]


@linux
def test_a_meter_tells_what_each_of_a_cameras_threads_took_and_keeps_that_of_ended_ones() -> None:
    go_on, meter = threading.Event(), ThreadMeter()

    def burn() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        go_on.wait(20)

    made = threading.Thread(target=burn, name="evidence metered", daemon=True)
    idle = threading.Thread(target=go_on.wait, args=(20,), name="camera metered", daemon=True)
    made.start()
    idle.start()
    deadline = time.monotonic() + 20
    while meter.read(camera_threads()["metered"]).get("evidence", 0.0) < 0.05:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    go_on.set()
    made.join(10)
    idle.join(10)
    left = meter.read(camera_threads().get("metered", {}))
    assert left["evidence"] >= 0.05
    assert left["camera"] < 0.05


@linux
@pytest.mark.skipif(not Path("/lib/x86_64-linux-gnu/libc.so.6").exists(), reason="needs glibc")
def test_glibc_can_be_told_how_many_arenas() -> None:
    assert share_arenas(4)


@pytest.mark.skipif(free_bytes() is None, reason="the C library does not tell what it holds")
def test_what_is_free_is_given_back_once_in_a_while() -> None:
    eager, patient = Tidy(free_max_bytes=-1), Tidy(free_max_bytes=1 << 60)
    assert eager.tidy(0.0)
    assert not eager.tidy(TIDY_S - 0.1)
    assert eager.tidy(TIDY_S)
    assert not patient.tidy(0.0)


@pytest.mark.skipif(free_bytes() is None, reason="the C library does not tell what it holds")
def test_free_memory_between_what_stays_is_seen_and_shrinks() -> None:
    blocks = [bytearray(60_000) for _ in range(400)]
    before = free_bytes()
    del blocks[::2]
    held = free_bytes()
    assert held is not None
    assert before is not None
    assert held - before > 5_000_000
