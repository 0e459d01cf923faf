from __future__ import annotations

import logging
from pathlib import Path

import av
import pytest

from detector.errors import WrongUse
from ingest.sources import hardware
from ingest.sources.hardware import hwaccel_or_none

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
