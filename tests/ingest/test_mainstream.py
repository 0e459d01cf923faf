"""Substream analysed, main stream for evidence: opened when wanted, closed after, never waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from detector.types import Detections
from ingest.config import load_site
from ingest.mainstream import MainStream
from ingest.recorder import EvidenceRecorder
from ingest.sources import SourceBase
from ingest.types import Event, EventKind, EventPhase, Frame
from tests.ingest import streets
from tests.rtsp_server import RtspServer

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
MISSING = RtspServer.missing()


def until(true: Callable[[], bool], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


class Ticking(SourceBase):
    """A camera that gives a picture every 20 ms."""

    live = True

    def __init__(self) -> None:
        super().__init__("cam")
        self.closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        number = 0
        while not self.stopped:
            time.sleep(0.02)
            yield Frame("cam", number, AT, np.zeros((36, 64, 3), np.uint8))
            number += 1

    def close(self) -> None:
        super().close()
        self.closed.set()


def test_is_opened_when_wanted_and_closed_after() -> None:
    opened: list[Ticking] = []

    def open_(address: str, camera_id: str) -> Ticking:
        opened.append(Ticking())
        return opened[-1]

    main = MainStream("rtsp://main", "cam", open_)
    assert main.at(AT) is None
    assert not opened
    main.want(0.4)
    main.want(0.6)
    assert until(lambda: main._latest is not None)
    assert main.at(AT + timedelta(seconds=2)) is not None
    assert opened[0].closed.wait(15)
    assert len(opened) == 1
    assert until(lambda: main._thread is None)
    main.want(60.0)
    assert until(lambda: len(opened) == 2 and main._latest is not None)
    main.close()
    assert opened[1].closed.wait(15)


def test_picture_of_another_time_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    main = MainStream("rtsp://main", "cam", lambda *_: Ticking())
    main.want(60.0)
    assert until(lambda: main._latest is not None)
    assert main.at(AT + timedelta(seconds=60)) is None
    assert "evidence is of the substream" in caplog.text
    main.close()


def test_stream_that_cannot_be_opened_is_said_and_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def open_(address: str, camera_id: str) -> Ticking:
        raise Failure("rtsp://main gave no picture.")

    main = MainStream("rtsp://main", "cam", open_)
    main.want(5.0)
    assert until(lambda: "cannot be had" in caplog.text)
    assert main.at(AT) is None
    main.close()


def test_stills_are_of_the_main_stream_and_the_rest_of_the_substream() -> None:
    """Main stream: twice as wide, four times as high; a person of its own is hidden in it."""
    recorder = EvidenceRecorder()
    person = Detections(
        np.array([[900.0, 200.0, 1000.0, 500.0]]), np.array([0.9]), np.array([0]), ("person", "car")
    )
    recorder.use(None, lambda _: person)
    for number in range(60):
        image = np.full((180, 640, 3), 120, np.uint8)
        frame = Frame("cam", number, AT + timedelta(seconds=number / 5), image)
        recorder.add(frame, Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0), ("person", "car")))
    picture = np.full((720, 1280, 3), 120, np.uint8)
    picture[200:300, 880:1020] = np.random.default_rng(1).integers(0, 256, (100, 140, 3))
    main = Frame("cam", 7, frame.at + timedelta(seconds=0.5), picture)
    event = Event(
        event_id="e",
        kind=EventKind.ILLEGAL_PARKING,
        variant="",
        zone_id="z",
        phase=EventPhase.CONFIRMED,
        started_at=AT,
        observed_at=frame.at,
        ended_at=None,
        confidence=0.9,
        label="car",
        xyxy=(100.0, 50.0, 200.0, 100.0),
        frame_index=frame.index,
    )
    pieces = {(piece.role, piece.sealed): piece for piece in recorder.prepare(event, main).make()}
    far = cv2.imdecode(np.frombuffer(pieces["far", False].data, np.uint8), cv2.IMREAD_COLOR)
    sealed = cv2.imdecode(np.frombuffer(pieces["far", True].data, np.uint8), cv2.IMREAD_COLOR)
    assert far.shape == sealed.shape == (720, 1280, 3)
    assert far[300, 200, 2] > far[300, 200, 0] + 60  # the box's left side, in the main stream's pixels
    head = np.s_[215:260, 910:990]
    assert np.abs(np.diff(sealed[head].astype(int), axis=1)).mean() > 30
    assert np.abs(np.diff(far[head].astype(int), axis=1)).mean() < 12
    assert pieces["far", False].at == main.at
    before = cv2.imdecode(np.frombuffer(pieces["before", False].data, np.uint8), cv2.IMREAD_COLOR)
    assert before.shape == (180, 640, 3)
    assert set(pieces) == {
        ("near", False),
        ("far", False),
        ("before", False),
        ("clip", False),
        ("far", True),
        ("clip", True),
    }


def test_address_is_checked(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        '[site]\nname = "T"\ntimezone = "Asia/Shanghai"\n[[camera]]\nid = "c"\nlat = 31.0\nlon = 119.0\n'
        'evidence_source = "main.mp4"\n',
        encoding="utf-8",
    )
    with pytest.raises(WrongUse, match=r"`evidence_source` .* is not of that form; give the rtsp:// address"):
        load_site(site)


@pytest.mark.rtsp
@pytest.mark.xdist_group("rtsp")
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_key_frames_of_a_real_stream(tmp_path: Path) -> None:
    clip = streets.render(tmp_path / "a.mp4", [], 6.0, options={"g": "25", "bf": "0"})
    with RtspServer(clip, "--loop", epoch=time.time() - 1) as server:
        main = MainStream(server.url, "cam")
        main.want(30.0)
        assert until(lambda: main._latest is not None)
        frame = main.at(datetime.now(UTC))
        source = main._source
        main.close()
    assert frame is not None
    assert frame.wh == streets.WH
    assert source is not None
    assert source.status.decoded <= source.status.frames_in / 5 + 2
