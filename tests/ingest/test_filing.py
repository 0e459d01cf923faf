"""Filing: in order, nothing lost, nobody waits for it longer than must be."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from detector.errors import Failure
from ingest import filing
from ingest.evidence import Piece
from ingest.filing import UNMADE_MAX, Filed, Filing
from ingest.types import Event, EventKind, EventPhase

AT = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int) -> Event:
    return Event(
        event_id=str(number),
        kind=EventKind.ILLEGAL_PARKING,
        variant="",
        zone_id="z",
        phase=EventPhase.CONFIRMED,
        started_at=AT,
        observed_at=AT,
        ended_at=None,
        confidence=0.9,
        label="car",
        xyxy=(0.0, 0.0, 1.0, 1.0),
        frame_index=number,
    )


class Slow:
    """Stands in for a capture."""

    def __init__(self, until: threading.Event | None = None) -> None:
        self.until = until

    def make(self) -> tuple[()]:
        if self.until is not None:
            assert self.until.wait(20)
        return ()


def filed(number: int, capture: Any = None) -> Filed:
    return Filed(event(number), (10, 10), capture)


def test_all_is_written_in_order_before_finish_returns() -> None:
    written: list[str] = []
    files = Filing(lambda one: written.append(one.event.event_id), live=True, name="t")
    for number in range(30):
        files.put(filed(number, Slow()))
    files.finish()
    assert written == [str(number) for number in range(30)]


def test_making_evidence_does_not_hold_up_the_camera_until_too_much_waits() -> None:
    go, written = threading.Event(), []
    files = Filing(lambda one: written.append(one.event.event_id), live=True, name="t")
    for number in range(UNMADE_MAX):
        files.put(filed(number, Slow(go)))
    assert not written
    blocked = threading.Thread(target=files.put, args=(filed(99, Slow()),), daemon=True)
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    go.set()
    blocked.join(20)
    assert not blocked.is_alive()
    files.finish()
    assert written == [*(str(number) for number in range(UNMADE_MAX)), "99"]


def test_full_disk_keeps_live_events_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "RETRY_S", 0.05)
    written: list[str] = []
    tries = 0

    def write(one: Filed) -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise Failure("The disk is full.")
        written.append(one.event.event_id)

    files = Filing(write, live=True, name="t")
    for number in range(6):
        files.put(filed(number, Slow()))
    until = time.monotonic() + 20
    while len(written) < 6 and time.monotonic() < until:
        time.sleep(0.02)
    files.finish()
    assert written == [str(number) for number in range(6)]


def test_full_disk_ends_the_reading_of_a_file() -> None:
    def write(one: Filed) -> None:
        raise Failure("The disk is full.")

    files = Filing(write, live=False, name="t")
    files.put(filed(0, Slow()))
    with pytest.raises(Failure, match="disk is full"):
        files.finish()


def test_a_fault_in_the_making_is_not_swallowed() -> None:
    class Broken:
        def make(self) -> tuple[()]:
            raise ValueError("broken")

    files = Filing(lambda one: None, live=True, name="t")
    files.put(filed(0, Broken()))
    with pytest.raises(ValueError, match="broken"):
        files.finish()


def test_nothing_to_file_is_finished_at_once() -> None:
    Filing(lambda one: None, live=True, name="t").finish()


def test_cameras_of_a_process_make_evidence_one_after_the_other() -> None:
    at_once: list[int] = []
    busy, lock = 0, threading.Lock()

    class Counting:
        def make(self) -> tuple[()]:
            nonlocal busy
            with lock:
                busy += 1
                at_once.append(busy)
            time.sleep(0.01)
            with lock:
                busy -= 1
            return ()

    cameras = [Filing(lambda one: None, live=True, name=f"t{number}") for number in range(6)]
    for number in range(3):
        for files in cameras:
            files.put(filed(number, Counting()))
    for files in cameras:
        files.finish()
    assert at_once == [1] * 18


def test_a_file_waits_for_its_evidence() -> None:
    go = threading.Event()
    files = Filing(lambda one: None, live=False, name="t")
    waiting = threading.Thread(target=files.put, args=(filed(0, Slow(go)),), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    go.set()
    waiting.join(20)
    assert not waiting.is_alive()
    files.finish()


def test_evidence_that_cannot_be_written_is_held_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "RETRY_S", 0.05)
    monkeypatch.setattr(filing, "HELD_BYTES_MAX", 3000)
    full, written = threading.Event(), []
    full.set()

    class Large:
        def make(self) -> tuple[Piece, ...]:
            return (Piece("clip", bytes(1000), "video/mp4", 0, AT),)

    def write(one: Filed) -> None:
        if full.is_set():
            raise Failure("The disk is full.")
        written.append(one.event.event_id)

    def put_all() -> None:
        for number in range(12):
            files.put(filed(number, Large()))

    files = Filing(write, live=True, name="t")
    camera = threading.Thread(target=put_all, daemon=True)
    camera.start()
    camera.join(1.0)
    assert camera.is_alive()  # it waits for the disk
    assert sum(len(one.pieces) for one in files._waiting) <= 3 + UNMADE_MAX
    full.clear()
    camera.join(20)
    assert not camera.is_alive()
    files.finish()
    assert written == [str(number) for number in range(12)]
