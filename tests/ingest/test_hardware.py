from __future__ import annotations

import logging
from datetime import UTC
from pathlib import Path

import av
import numpy as np
import pytest

from detector.errors import WrongUse
from detector.types import Detections
from ingest.config import load_site
from ingest.site import Camera
from ingest.sources import hardware, open_source
from ingest.sources.choice import settings_of
from ingest.sources.hardware import hwaccel_or_none
from ingest.sources.packets import Codec
from ingest.sources.signs import things_of

CLIP = Path(__file__).parents[2] / "datasets" / "demo" / "street.mp4"


@pytest.fixture(autouse=True)
def forgotten():
    hardware._missing.cache_clear()
    hardware._warn_once.cache_clear()


@pytest.mark.parametrize("device", [None, "", "cpu"])
def test_nothing_is_tried_unless_asked_for(device, monkeypatch):
    monkeypatch.setattr(hardware, "_missing", lambda kind, number: pytest.fail("it was tried"))
    assert hwaccel_or_none(device) is None


def test_a_device_that_is_missing_is_named_once_and_the_cpu_decodes(monkeypatch, caplog):
    class Broken:
        def __init__(self, kind, device=None):
            assert (kind, device) == ("cuda", "1")

        def create(self, codec):
            raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(hardware, "HWAccel", Broken)
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda"])
    with caplog.at_level(logging.WARNING):
        assert [hwaccel_or_none("cuda:1") for _ in range(3)] == [None] * 3
    (said,) = caplog.messages
    assert said == (
        "decode_device cuda:1 cannot be had ([Errno 1] Operation not permitted); the CPU decodes instead"
    )


def test_a_kind_that_this_ffmpeg_lacks(monkeypatch, caplog):
    monkeypatch.setattr(hardware, "hwdevices_available", list)
    assert hwaccel_or_none("vaapi") is None
    assert "this build of FFmpeg does not have it" in caplog.text


@pytest.mark.parametrize("device", ["gpu", "none", "nvidia:0"])
def test_a_device_that_nobody_knows(device):
    with pytest.raises(WrongUse, match=f"decode_device: wanted cpu, cuda, .* got '{device}'"):
        hwaccel_or_none(device)


def test_a_device_that_is_there_is_used_with_a_way_back(monkeypatch):
    monkeypatch.setattr(hardware, "_missing", lambda kind, number: "")
    accel = hwaccel_or_none("cuda:1")
    assert accel.device_id == 1
    assert not accel.is_hw_owned


def test_a_clip_is_read_whatever_this_machine_has():
    with av.open(str(CLIP), hwaccel=hwaccel_or_none("cuda")) as container:
        frame = next(container.decode(video=0))
    assert frame.to_ndarray(format="bgr24").shape == (720, 1280, 3)


def test_a_camera_that_wants_hardware_is_decoded_all_the_same(monkeypatch):
    """Without the device by the CPU; with it, the decoder is made with it."""
    camera = Camera(id="c", source=str(CLIP), lat=1, lon=2, fps=5, decode_device="cuda:1")
    settings = settings_of(camera, UTC, "lookback")
    assert settings.decode_device == "cuda:1"
    asked = []

    def noted(device):
        asked.append(device)

    monkeypatch.setattr("ingest.sources.packets.hwaccel_or_none", noted)
    with open_source(str(CLIP), "c", settings=settings) as source:
        frames = [frame for frame, _ in zip(source.frames(), range(2), strict=False)]
    assert [frame.wh for frame in frames] == [(1280, 720)] * 2
    assert set(asked) == {"cuda:1"}


class Newcomers:
    """Sees another car in the middle with every other look."""

    def __init__(self):
        self.looks = 0

    def look(self, picture):
        self.looks += 1
        if self.looks % 4 < 2:
            return Detections.empty(("car",))
        box = np.array([[600, 300, 700, 400]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("car",))

    def things(self, seen, wh):
        return things_of(seen, {})


@pytest.mark.parametrize("there", [False, True], ids=["missing", "there"])
def test_with_a_device_no_more_is_decoded_than_without(there, monkeypatch):
    """A device's decoder is kept, and emptied: it must begin with the key frame again.

    One that is there is played by a CPU's that is kept.
    """
    counts = []
    for device in (None, "cuda"):
        if there and device:
            monkeypatch.setattr(Codec, "on_device", property(lambda _: True))
        camera = Camera(id="c", source=str(CLIP), lat=1, lon=2, fps=5, decode_device=device)
        with open_source(str(CLIP), "c", settings=settings_of(camera, UTC, "lookback")) as source:
            source.consult(Newcomers())
            frames = sum(1 for _ in source.frames())
            counts.append((frames, source.status.decoded))
    assert counts[0][1] > 50
    assert counts[0] == counts[1]


def test_a_site_file_with_such_a_device_is_told_which_there_are(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(
        '[site]\nname = "s"\ntimezone = "Asia/Shanghai"\n'
        '[[camera]]\nid = "c"\nsource = "rtsp://h/1"\nlat = 1\nlon = 2\ndecode_device = "warp"\n',
        encoding="utf-8",
    )
    with pytest.raises(WrongUse, match=r"`decode_device` = \"warp\" .*; give cpu, cuda, cuda:N, vaapi"):
        load_site(path)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "CUDA"])
def test_a_site_file_that_asks_for_a_device_nobody_knows(device):
    with pytest.raises(ValueError, match="decode_device"):
        Camera(id="c", source=str(CLIP), lat=1, lon=2, decode_device=device)
