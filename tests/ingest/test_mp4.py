"""Packets to an mp4: the same pictures as before, bit by bit, whatever the form they came in."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ingest.mp4 import Sample, configuration, remuxed
from tests.videos import make_video, regular

WH = (96, 64)


def read(source: str | io.BytesIO) -> tuple[list[Sample], bytes, Fraction]:
    with av.open(source) as container:
        stream = container.streams.video[0]
        samples = [Sample(bytes(p), p.pts or 0, p.is_keyframe) for p in container.demux(stream) if p.size]
        extradata, time_base = stream.codec_context.extradata, stream.time_base
    assert extradata is not None
    assert time_base is not None
    return samples, extradata, time_base


def shown(source: str | io.BytesIO) -> list[tuple[float, np.ndarray]]:
    with av.open(source) as container:
        return [(float(one.time), one.to_ndarray(format="gray")) for one in container.decode(video=0)]


@pytest.fixture(scope="module", params=["0", "3"], ids=["no B-frames", "B-frames"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mp4")
    return make_video(folder / "a.mp4", regular(60, 25.0), WH, options={"bf": request.param, "g": "25"})


def test_pictures_and_times_are_those_of_the_camera(path: Path) -> None:
    samples, extradata, time_base = read(str(path))
    data = remuxed(samples, extradata, time_base, WH)
    assert data is not None
    assert data.index(b"moov") < data.index(b"mdat")
    then, now = shown(str(path)), shown(io.BytesIO(data))
    assert [at for at, _ in now] == pytest.approx([at for at, _ in then], abs=1e-4)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(then, now, strict=True))
    assert data == remuxed(samples, extradata, time_base, WH)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (*WH, "h264")
        assert float(stream.duration * stream.time_base) == pytest.approx(60 / 25, abs=0.04)


def test_start_codes_become_lengths(path: Path, tmp_path: Path) -> None:
    """As RTSP gives them: parameter sets and pictures with start codes."""
    raw = tmp_path / "a.ts"
    with av.open(str(path)) as source, av.open(str(raw), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    samples, extradata, time_base = read(str(raw))
    assert extradata[:3] in {b"\0\0\0", b"\0\0\1"}
    data = remuxed(samples, extradata, time_base, WH)
    assert data is not None
    then, now = shown(str(path)), shown(io.BytesIO(data))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(then, now, strict=True))
    assert [at for at, _ in now] == pytest.approx([at for at, _ in then], abs=0.001)


def test_ends_with_the_picture_that_is_meant(path: Path) -> None:
    samples, extradata, time_base = read(str(path))
    times = sorted(sample.pts for sample in samples)
    last = max(place for place, sample in enumerate(samples) if sample.pts <= times[40])
    data = remuxed(samples[: last + 1], extradata, time_base, WH, times[40])
    assert data is not None
    now = shown(io.BytesIO(data))
    assert now[-1][0] == pytest.approx(40 / 25, abs=0.001)
    assert len(now) == 41


def test_one_picture_is_a_clip(path: Path) -> None:
    samples, extradata, time_base = read(str(path))
    data = remuxed(samples[:1], extradata, time_base, WH)
    assert data is not None
    assert len(shown(io.BytesIO(data))) == 1


def test_what_cannot_be_told_is_not_written(path: Path) -> None:
    samples, extradata, time_base = read(str(path))
    assert remuxed(samples, None, time_base, WH) is None
    assert remuxed(samples, b"\0\0\0\1\x67", time_base, WH) is None
    assert remuxed([], extradata, time_base, WH) is None
    assert remuxed([*samples, samples[-1]], extradata, time_base, WH) is None
    assert configuration(b"\1\x7a" + extradata[2:]) is None  # High 4:2:2: no browser plays it
