"""The RTSP load server as FFmpeg sees it: pictures whole, times going on through the clip's end."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import av.error
import pytest

from benchmarks import rtsp_load_server

SERVER = Path(rtsp_load_server.__file__)


@contextmanager
def served(clip, *options):
    words = [sys.executable, str(SERVER), str(clip), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = process.stdout.readline().split()
            assert ready[0] == "READY"
            yield int(ready[1]), float(ready[2])
        finally:
            process.kill()


def read(port, camera, pictures, patience_s=30.0):
    """Decode so many pictures of a camera: their times in seconds, and how many packets could not be decoded."""
    until, times, bad = time.monotonic() + patience_s, [], 0
    with av.open(
        f"rtsp://127.0.0.1:{port}/{camera}", options={"rtsp_transport": "tcp"}, timeout=20
    ) as container:
        for packet in container.demux(video=0):
            try:
                times += [float(picture.time) for picture in packet.decode() if picture.pts is not None]
            except av.error.FFmpegError:
                bad += 1
            if len(times) >= pictures or bad >= 10 or time.monotonic() > until:
                break
    return times, bad


def test_two_cameras_send_whole_pictures_whose_times_go_on_through_the_clips_end(short_clip):
    with served(short_clip, "--cameras", "2", "--spread", "1") as (port, _):
        for camera in (0, 1):
            times, bad = read(port, camera, 70)
            assert bad == 0
            assert len(times) >= 70
            steps = [later - earlier for earlier, later in pairwise(times)]
            assert all(step == pytest.approx(0.04, abs=0.002) for step in steps)


def test_pictures_come_in_real_time(short_clip):
    with served(short_clip) as (port, _):
        began = time.monotonic()
        times, _ = read(port, 0, 100)
        assert time.monotonic() - began > times[-1] - times[0] - 1.5  # at most a group of pictures at once


def test_noise_after_the_first_second_cannot_be_decoded(short_clip):
    with served(short_clip, "--garbage-after", "1") as (port, _):
        times, bad = read(port, 0, 500)
        assert bad == 10
        assert len(times) < 100


def test_a_camera_that_is_not_there_is_not_found(short_clip):
    with served(short_clip, "--cameras", "2") as (port, _), pytest.raises(av.error.FFmpegError):
        av.open(f"rtsp://127.0.0.1:{port}/2", options={"rtsp_transport": "tcp"}, timeout=20)


def test_sequence_numbers_go_on_where_the_last_round_ended(short_clip):
    film = rtsp_load_server.read_film(short_clip)
    first, last = film.units[0], film.units[-1]

    def numbers(unit, lap):
        data = unit.packets(lap, film.packets, film.length_s)
        return [int.from_bytes(data[start + 2 : start + 4]) for start in unit.starts]

    assert numbers(first, 0)[0] == 0
    assert numbers(first, 1)[0] == (numbers(last, 0)[-1] + 1) & 0xFFFF
    assert film.length_s == pytest.approx(2.0)
