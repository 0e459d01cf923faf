"""A real RTSP server (GStreamer), killed, silenced and garbled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from detector.errors import Failure
from ingest.sources import SourceSettings, open_source
from ingest.sources.rtsp import RtspSource, masked
from ingest.types import Frame
from tests.ingest import streets
from tests.rtsp_relay import WrongClock
from tests.rtsp_server import RtspServer
from tests.videos import make_video, regular

pytestmark = [pytest.mark.rtsp, pytest.mark.timeout(60), pytest.mark.xdist_group("rtsp")]
MISSING = RtspServer.missing()
needs_server = pytest.mark.skipif(bool(MISSING), reason=MISSING)
FAST = {"read_timeout_s": 1.0, "open_timeout_s": 3.0, "backoff_s": (0.05, 0.2)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give 6 s of numbered pictures with a key frame every second."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return make_video(path, regular(150, 25.0), options={"g": "25", "bf": "0"})


def number_of(frame: Frame) -> int:
    return round((float(frame.image[..., 1].mean()) - 39) / 4)


def positions(frames: list[Frame], server: RtspServer) -> list[float]:
    """Give where in the clip the frames are by their times, s."""
    return [frame.at.timestamp() - server.epoch for frame in frames]


def take(source: RtspSource, seconds: float) -> list[Frame]:
    """Give what comes in so many seconds."""
    threading.Timer(seconds, source.stop).start()
    return list(source.frames())


@needs_server
def test_frames_carry_the_time_of_the_camera(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "hold", epoch=time.time() - 1.5) as server:
        with open_source(server.url, "cam", settings=SourceSettings(**FAST)) as source:
            frames = take(source, 3.0)
        assert len(frames) >= 8
        assert not source.status.dropped["late"]
        for frame, position in zip(frames, positions(frames, server), strict=True):
            shown = number_of(frame) / 25
            assert abs((position - shown + 1) % 2 - 1) < 0.4
        steps = [(b.at - a.at).total_seconds() for a, b in pairwise(frames)]
        assert steps == pytest.approx([0.2] * len(steps), abs=0.045)


@needs_server
@pytest.mark.parametrize(("shift_s", "error_s"), [(0, 0.0), (7, 7.0), (-3600, -3600.0), (None, None)])
def test_the_error_of_the_cameras_clock_is_what_its_sender_reports_say(
    clip: Path, shift_s: int | None, error_s: float | None
) -> None:
    with (
        RtspServer(clip, "--loop") as server,
        WrongClock(server.url, shift_s) as camera,
        open_source(camera.url, "cam", settings=SourceSettings(**FAST)) as source,
    ):
        until = time.monotonic() + 30
        for _ in source.frames():
            if time.monotonic() > until or source.status.clock_error_s is not None:
                break
            if shift_s is None and source.status.frames_in > 100:
                break
    assert source.status.frames_in
    if error_s is None:
        assert source.status.clock_error_s is None
    else:
        assert source.status.clock_error_s == pytest.approx(error_s, abs=1.5)


@needs_server
def test_killed_and_restarted_server(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "exit", epoch=time.time() + 0.5) as server:

        def kill_and_restart() -> None:
            time.sleep(2.0)
            server.kill()
            time.sleep(0.5)
            server.start()

        thread = threading.Thread(target=kill_and_restart)
        thread.start()
        settings = SourceSettings(max_down_s=2.0, **FAST)
        with open_source(server.url, "cam", settings=settings) as source:
            frames = list(source.frames())
        thread.join()
    assert source.status.reconnects == 1
    assert len(source.warnings) == 1
    assert "given up" in source.warnings[0]
    assert all(a.index < b.index and a.at < b.at for a, b in pairwise(frames))
    at = positions(frames, server)
    assert at[-1] == pytest.approx(6, abs=0.7)
    longest = max(b - a for a, b in pairwise(at))
    assert 0.4 < longest < 3.5
    for frame, position in zip(frames, at, strict=True):
        assert abs((position - number_of(frame) / 25 + 1) % 2 - 1) < 0.5


@needs_server
def test_silence_is_taken_for_loss(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "exit", "--stall-at", 1.5, epoch=time.time()) as server:
        with open_source(server.url, "cam", settings=SourceSettings(max_down_s=3.0, **FAST)) as source:
            frames = take(source, 5.0)
        at = positions(frames, server)
    assert source.status.reconnects == 1
    assert at[-1] > 4
    assert 0.9 < max(b - a for a, b in pairwise(at)) < 4


@needs_server
def test_the_picture_that_ffmpeg_keeps_until_reading_fails_does_not_make_a_silent_camera_run(
    clip: Path,
) -> None:
    """It is given after the read time-out; the connection is taken for lost only a time-out later."""
    patient = {**FAST, "read_timeout_s": 3.0}
    ages: list[float] = []
    with (
        RtspServer(clip, "--at-end", "hold", "--stall-at", 1.0, epoch=time.time()) as server,
        open_source(server.url, "cam", settings=SourceSettings(**patient)) as source,
    ):
        reader = threading.Thread(target=lambda: list(source.frames()))
        reader.start()
        until = time.monotonic() + 20
        while time.monotonic() < until and (source.status.connected or not ages):
            if source.status.last_frame_s is not None:
                ages.append(time.monotonic() - source.status.last_frame_s)
            time.sleep(0.05)
        source.stop()
        reader.join()
    silent = next(number for number, age in enumerate(ages) if age > 2.5)
    assert min(ages[silent:]) > 2.4


@needs_server
def test_garbled_pictures_are_passed_over(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "hold", "--garbage-at", 1, epoch=time.time()) as server:
        with open_source(server.url, "cam", settings=SourceSettings(**FAST)) as source:
            frames = take(source, 3.0)
        assert positions(frames, server)[-1] > 2.2
    assert source.status.reconnects == 0


@needs_server
def test_size_change_is_survived(clip: Path, tmp_path: Path) -> None:
    first = make_video(tmp_path / "a.mp4", regular(50, 25.0), options={"bf": "0"})
    second = make_video(tmp_path / "b.mp4", regular(50, 25.0), (160, 128), options={"bf": "0"})
    with (
        RtspServer(first, "--then", second, "--at-end", "exit", epoch=time.time() + 0.5) as server,
        open_source(server.url, "cam", settings=SourceSettings(max_down_s=0.5, **FAST)) as source,
    ):
        sizes = [frame.wh for frame in source.frames()]
    assert sizes.count((96, 64)) >= 4
    assert sizes.count((160, 128)) >= 7


@needs_server
def test_slow_analysis_loses_the_oldest(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "hold", epoch=time.time()) as server:
        with open_source(server.url, "cam", fps=5.0, settings=SourceSettings(**FAST)) as source:
            frames = source.frames()
            first = next(frames)
            time.sleep(3.2)
            second = next(frames)
        assert source.status.dropped["late"] > 3
        assert (second.at - first.at).total_seconds() > 1.0
        assert positions([second], server)[0] > 1.9


@needs_server
def test_password_is_used_and_never_shown(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RtspServer(clip, "--at-end", "hold", user="root:s3cret", epoch=time.time()) as server:
        with open_source(server.url, "cam", settings=SourceSettings(**FAST)) as source:
            assert next(source.frames()).wh == (96, 64)
        wrong = server.url.replace("s3cret", "wr0ng")
        with (
            open_source(wrong, "cam", settings=SourceSettings(**FAST)) as source,
            pytest.raises(Failure, match="refuses the name or password") as caught,
        ):
            list(source.frames())
    assert "wr0ng" not in str(caught.value) + caplog.text
    assert "***@127.0.0.1" in str(caught.value)


def test_dead_address_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"rtsp://admin:hunter2@127.0.0.1:{taken.getsockname()[1]}/live"
        settings = SourceSettings(connect_s=0.5, **FAST)
        with open_source(address, "cam", settings=settings) as source, pytest.raises(Failure) as caught:
            list(source.frames())
    assert "gave no picture" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "hunter2" not in str(caught.value) + caplog.text


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the address of one who takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"


def test_one_who_takes_the_call_and_says_nothing(silent: str) -> None:
    settings = SourceSettings(connect_s=0.5, open_timeout_s=0.5, read_timeout_s=0.5, backoff_s=(0.05, 0.1))
    started = time.monotonic()
    with open_source(silent, "cam", settings=settings) as source, pytest.raises(Failure, match="no answer"):
        list(source.frames())
    assert time.monotonic() - started < 5


def test_stop_from_another_thread_ends_a_hopeless_wait(silent: str) -> None:
    settings = SourceSettings(connect_s=None, open_timeout_s=2.0, read_timeout_s=2.0)
    with open_source(silent, "cam", settings=settings) as source:
        threading.Timer(0.3, source.stop).start()
        started = time.monotonic()
        assert list(source.frames()) == []
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:geheim@10.0.0.9/live",
        "rtsp://admin:a@geheim#b@10.0.0.9:554/live",
        "rtsp://10.0.0.9/user=admin&password=geheim&channel=1",
        "rtsp://10.0.0.9/live?Token=geheim",
    ],
)
def test_masked(address: str) -> None:
    assert "geheim" not in masked(address)
    assert "10.0.0.9" in masked(address)


def test_pause_grows_and_is_capped() -> None:
    source = RtspSource("rtsp://x/", "cam", SourceSettings(backoff_s=(0.5, 30.0)))
    pauses = [np.mean([source._pause(attempt) for _ in range(200)]) for attempt in range(10)]
    assert pauses[0] == pytest.approx(0.375, abs=0.05)
    assert pauses[3] == pytest.approx(3.0, abs=0.4)
    assert pauses[9] == pytest.approx(22.5, abs=2)


@needs_server
def test_looks_at_key_frames_only_while_nothing_changes(tmp_path: Path) -> None:
    """A car comes at 7 s into a still street: the second before is decoded too, with its true times."""
    car = streets.Thing("car", (60, 40), streets.visit(120, 80, 8.0, 99.0))
    options = {"g": "25", "bf": "0", "sc_threshold": "0"}
    clip = streets.render(tmp_path / "a.mp4", [car], 12.0, options=options)
    settings = SourceSettings(decode="lookback", **FAST)
    with RtspServer(clip, "--at-end", "hold", epoch=time.time()) as server:
        with open_source(server.url, "cam", settings=settings) as source:
            threading.Timer(10.5, source.stop).start()
            frames, rested = [], False
            for frame in source.frames():
                frames.append(frame)
                rested |= source.status.resting
        at = positions(frames, server)
    assert rested
    assert source.status.dropped["still"] > 5
    assert source.status.decoded < 0.85 * source.status.frames_in
    quiet = [position for position in at if 3.5 < position < 5.0]
    moving = [position for position in at if 6.0 < position < 8.2]
    assert len(quiet) <= 3
    assert len(moving) >= 5
    assert source.tape is not None
    assert source.tape.holds(frames[-1].mark)


@needs_server
def test_rate_can_be_changed_while_it_runs(clip: Path) -> None:
    with RtspServer(clip, "--at-end", "hold", epoch=time.time()) as server:
        with open_source(server.url, "cam", settings=SourceSettings(**FAST)) as source:
            threading.Timer(2.5, source.set_fps, [1.0]).start()
            frames = take(source, 5.0)
        at = positions(frames, server)
    assert sum(position > 2.8 for position in at) <= 4
    assert sum(position < 2.4 for position in at) >= 4
