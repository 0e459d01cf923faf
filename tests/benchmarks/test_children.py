"""The processes that benchmarks measure, on two seconds of video: they run to the end and say what they are asked."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import av
import pytest

from benchmarks import ours, rtsp_camera_cost, scaling
from benchmarks.clips import site_text
from benchmarks.serving import LoadServer


@pytest.fixture
def site(stage, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(site_text(stage))
    return path


def child(module, *words):
    done = subprocess.run(
        [sys.executable, module.__file__, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("more", [(), ("--no-evidence",)], ids=["whole", "no evidence"])
def test_one_run_of_the_pipeline(short_clip, site, more):
    said = child(ours, short_clip, site, "--small", "--seconds", "2", "--gate", "every", *more)
    assert (said["frames"], said["read"], said["decoded"]) == (10, 50, 50)
    assert said["analysed"] == list(range(0, 50, 5))
    assert said["cpu_s"] > 0
    assert {"decode", "infer", "track", "rules"} <= set(said["stage_s"])
    assert said["stage_n"]["infer"] == 10
    assert said["events"] == []


def test_one_worker_with_two_cameras(short_clip, site):
    said = child(
        scaling, "--work", "2", "--clip", short_clip, "--site", site, "--gate", "every", "--threads", "1"
    )
    assert said["video_s"] == pytest.approx(4.0)
    assert said["analysed"] == 20
    assert said["rss_mb"] >= said["pss_mb"] > 0


def test_one_worker_with_a_paced_camera(short_clip, site):
    with LoadServer(short_clip, 1, 0.0) as load:
        said = child(
            rtsp_camera_cost,
            *("--work", "1", "--port", load.port, "--site", site, "--gate", "every"),
            *("--warm", "10", "--seconds", "4"),
        )
    assert said["cpu"] >= said["rtsp"] + said["camera"] > said["rtsp"] > 0
    assert 0 < said["analysed"] < 6
    assert said["rss_mb"] > 0


def test_a_still_clip_is_cut_at_key_frames(short_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(rtsp_camera_cost, "STILL_S", (1.0, 2.0))
    film = tmp_path / "still.mp4"
    rtsp_camera_cost.cut_still(SimpleNamespace(path=short_clip), film)
    with av.open(str(film)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 25
    assert packets[0].is_keyframe
