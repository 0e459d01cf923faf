"""What every source must do, run over all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from ingest.sources import KINDS, Source, SourceSettings, kind_of, open_source
from ingest.types import Frame
from tests.rtsp_server import RtspServer
from tests.videos import make_video, regular

SECONDS = 3.0
FPS = 5.0
STARTS_AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def _file(folder: Path) -> Iterator[str]:
    yield str(make_video(folder / "a.mp4", regular(int(SECONDS * 25), 25.0)))


def _images(folder: Path) -> Iterator[str]:
    for number in range(int(SECONDS * FPS)):
        cv2.imwrite(str(folder / f"{number:03}.jpg"), np.full((64, 96, 3), number, np.uint8))
    yield str(folder)


def _rtsp(folder: Path) -> Iterator[str]:
    missing = RtspServer.missing()
    if missing:
        pytest.skip(missing)
    clip = make_video(folder / "a.mp4", regular(int(SECONDS * 25) + 10, 25.0), options={"bf": "0", "g": "25"})
    with RtspServer(clip, "--at-end", "exit", epoch=time.time() + 1.0) as server:
        yield server.url


pytestmark = pytest.mark.xdist_group("rtsp")  # the fixture is made once, and not beside other servers
MAKERS = {"file": _file, "images": _images, "rtsp": _rtsp}
SETTINGS = SourceSettings(
    fps=FPS, starts_at=STARTS_AT, interval_s=1 / FPS, max_down_s=0.5, read_timeout_s=3.0, backoff_s=(0.1, 0.2)
)


@pytest.fixture(
    scope="module", params=[pytest.param(k, marks=[pytest.mark.rtsp] * (k == "rtsp")) for k in KINDS]
)
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Source, list[Frame]]:
    """Give a source of every kind with all its frames, closed twice."""
    made = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    address = next(made)
    assert kind_of(address) == request.param
    with open_source(address, "cam-7", settings=SETTINGS) as source:
        frames = list(source.frames())
    source.close()
    next(made, None)
    return source, frames


def test_index_and_time_increase(played: tuple[Source, list[Frame]]) -> None:
    _, frames = played
    assert all(a.index < b.index and a.at < b.at for a, b in pairwise(frames))


def test_times_are_aware_utc(played: tuple[Source, list[Frame]]) -> None:
    _, frames = played
    assert all(frame.at.tzinfo is UTC for frame in frames)


def test_pictures_are_read_only_bgr(played: tuple[Source, list[Frame]]) -> None:
    _, frames = played
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (64, 96, 3)
        assert not frame.image.flags.writeable


def test_rate_is_kept(played: tuple[Source, list[Frame]]) -> None:
    _, frames = played
    span = (frames[-1].at - frames[0].at).total_seconds()
    assert span == pytest.approx((len(frames) - 1) / FPS, abs=0.25)
    assert len(frames) == pytest.approx(SECONDS * FPS, abs=3)


def test_status_tells_what_was_given(played: tuple[Source, list[Frame]]) -> None:
    source, frames = played
    assert source.status.given == len(frames)
    assert source.status.frames_in > frames[-1].index
    assert source.status.last_frame_at == frames[-1].at
    assert all(frame.source_id == "cam-7" for frame in frames)


def test_closed_source_gives_nothing_more(played: tuple[Source, list[Frame]]) -> None:
    source, _ = played
    assert list(source.frames()) == []


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "rtsp"])
def test_stop_ends_the_frames(kind: str, tmp_path: Path) -> None:
    with open_source(next(MAKERS[kind](tmp_path)), "c", settings=SETTINGS) as source:
        frames = source.frames()
        next(frames)
        source.stop()
        assert list(frames) == []
