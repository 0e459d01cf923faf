"""Many cameras on one machine, as a user would start them: faults stay where they are, and are named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

import httpx2
import pytest

from ingest.fleet.status import CameraState as S
from tests.e2e import support
from tests.e2e.fleet import Serving, write_site
from tests.ingest.fleet.sites import always_a_car
from tests.rtsp_server import RtspServer

NAMED_WITHIN_S = 10.0
"""A fault is named in status within so long."""

needs_rtsp = pytest.mark.skipif(bool(RtspServer.missing()), reason=RtspServer.missing() or "-")


@pytest.fixture
def model(tmp_path):
    return always_a_car(tmp_path / "model")


class Nonsense:
    """A TCP server that answers whatever comes with bytes that mean nothing, and many of them."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._socket.getsockname()[1]}/live"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        with client:
            try:
                while True:
                    client.sendall(os.urandom(65536))
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def rate_of(serving, camera_id, seconds=15.0):
    """Give a camera's analysed frames per second of its own time, over some seconds."""
    since = serving.camera(camera_id, lambda camera: camera.analysed > 0)
    until = serving.camera(
        camera_id, lambda camera: (camera.last_frame_at - since.last_frame_at).total_seconds() > seconds
    )
    return (until.analysed - since.analysed) / (until.last_frame_at - since.last_frame_at).total_seconds()


def worker_pids(serving):
    return [int(row.worker.rpartition(":")[2]) for row in serving.workers() if row.cores]


@needs_rtsp
@pytest.mark.rtsp
@pytest.mark.timeout(300)
def test_a_frozen_a_nonsensical_and_a_corrupt_camera_are_named_and_the_others_do_not_notice(tmp_path, model):
    clip = support.write_clip(tmp_path / "clip.mp4", 250, fps=25)
    fast = support.write_clip(tmp_path / "fast.mp4", 600, fps=60)
    with (
        RtspServer(fast, "--loop") as flood,
        RtspServer(clip, "--loop") as good,
        RtspServer(clip, "--loop") as frozen,
        RtspServer(clip, "--loop", "--garbage-from", 20) as corrupt,
        Nonsense() as nonsense,
    ):
        sources = {
            "good": good.url,
            "frozen": frozen.url,
            "corrupt": corrupt.url,
            "nonsense": nonsense.url,
            "flood": flood.url,
            "absent": "rtsp://127.0.0.1:9/live",
        }
        site = write_site(tmp_path / "site.toml", sources)
        with Serving(tmp_path, site, "--gate", "every", "--workers", 1, model=model) as serving:
            for name in ("good", "frozen"):
                serving.camera(name, lambda camera: camera.state is S.RUNNING and camera.analysed > 10)
            before = rate_of(serving, "good")
            told = serving.camera("flood", lambda camera: camera.fault)
            assert "sends 6" in told.fault or "sends 5" in told.fault
            os.kill(frozen.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            silent = serving.camera("frozen", lambda camera: camera.state is S.SILENT, NAMED_WITHIN_S)
            assert "no picture for" in silent.fault
            assert time.monotonic() - began < NAMED_WITHIN_S + 1
            told = serving.camera("nonsense", lambda camera: camera.fault, NAMED_WITHIN_S)
            assert told.state in {S.RECONNECTING, S.SILENT, S.FAILED}
            told = serving.camera("absent", lambda camera: camera.fault, NAMED_WITHIN_S)
            assert told.state in {S.RECONNECTING, S.FAILED}
            told = serving.camera("corrupt", lambda camera: camera.fault, NAMED_WITHIN_S)
            assert "cannot be decoded" in told.fault or "no picture for" in told.fault
            # Past the read time-out, when FFmpeg gives the last picture after all.
            while time.monotonic() - began < 17:
                assert serving.cameras()["frozen"].state in {S.SILENT, S.RECONNECTING}
                time.sleep(0.3)
            # Whatever else the machine does, one of three looks finds the good camera's rate as it was.
            assert any(abs(rate_of(serving, "good") / before - 1) < 0.01 for _ in range(3))
            good_now = serving.cameras()["good"]
            assert (good_now.state, good_now.fault) == (S.RUNNING, "")
            os.kill(frozen.process.pid, signal.SIGCONT)
            serving.camera("frozen", lambda camera: camera.state is S.RUNNING and camera.fps_analysed > 0, 90)
            assert serving.stop() == 0


@needs_rtsp
@pytest.mark.rtsp
@pytest.mark.timeout(300)
def test_killed_workers_lose_no_case_and_make_none_twice(tmp_path, model):
    """Live cameras on which one car stands for ever: one case each, however often their workers die."""
    clip = support.write_clip(tmp_path / "clip.mp4", 100, fps=10)
    with RtspServer(clip, "--loop") as one, RtspServer(clip, "--loop") as two:
        site = write_site(tmp_path / "site.toml", {"one": one.url, "two": two.url})
        with Serving(tmp_path, site, "--gate", "every", "--workers", 2, model=model) as serving:
            for kill in range(3):
                serving.wait(lambda first=kill == 0: first or len(serving.cases()) == 2)
                analysed = serving.camera(
                    "one", lambda camera: camera.state is S.RUNNING and camera.analysed > 5
                )
                for pid in worker_pids(serving):
                    os.kill(pid, signal.SIGKILL)
                serving.camera(
                    "one",
                    lambda camera, old=analysed: camera.worker != old.worker and camera.analysed > 20,
                )
            serving.wait(lambda: len(serving.cases()) >= 2)
            serving.camera("two", lambda camera: camera.analysed > 20)
            time.sleep(3)
            counted = Counter(case["source_id"] for case in serving.cases())
            assert counted == {"one": 1, "two": 1}
            assert sum(row.restarts for row in serving.workers()) >= 3
            assert serving.stop() == 0


@pytest.mark.timeout(240)
def test_cameras_come_and_go_over_http_and_by_the_file(tmp_path, model):
    clip = support.write_clip(tmp_path / "clip.mp4", 3000)
    site = write_site(tmp_path / "site.toml", {"one": clip})
    with Serving(tmp_path, site, model=model) as serving:
        serving.camera("one", lambda camera: camera.analysed)
        table = {"id": "two", "source": str(clip), "lat": 31.7, "lon": 119.9}
        cameras = f"{serving.status_url}/cameras"
        assert httpx2.post(cameras, json=table).status_code == 201
        serving.camera("two", lambda camera: camera.analysed)
        wrong = httpx2.post(cameras, json={**table, "id": "three", "fsp": 5})
        assert wrong.status_code == 422
        assert "camera 'three': unknown key `fsp`; did you mean `fps`?" in wrong.json()["detail"]
        assert httpx2.delete(f"{cameras}/two").status_code == 204
        assert httpx2.delete(f"{cameras}/two").status_code == 404
        serving.wait(lambda: "two" not in serving.cameras())

        site.write_text("[site]\nname = 3\n", encoding="utf-8")
        serving.process.send_signal(signal.SIGHUP)
        serving.wait(lambda: "The old site file stays in force" in serving.said())
        assert "one" in serving.cameras()
        write_site(site, {"one": clip, "four": clip})
        serving.camera("four", lambda camera: camera.analysed)
        assert httpx2.get(f"{serving.status_url}/metrics").status_code == 200
        assert serving.stop() == 0
    assert "Traceback" not in serving.said()


@pytest.mark.timeout(240)
def test_ten_thousand_cameras_are_read_and_refused_in_seconds(tmp_path, model):
    clip = support.write_clip(tmp_path / "clip.mp4", 3000)
    site = write_site(tmp_path / "site.toml", {f"cam-{number}": clip for number in range(10_000)})
    began = time.monotonic()
    with Serving(tmp_path, site, "--workers", 1, model=model) as serving:
        serving.wait(lambda: "cameras are refused" in serving.said())
        assert time.monotonic() - began < 60
        lines = [line for line in serving.said().splitlines() if "refused" in line]
        assert len(lines) == 1
        assert " of 10000 cameras are refused, from 'cam-" in lines[0]
        assert "no room: it would take 0.08 cores" in lines[0]
        assert len(httpx2.get(f"{serving.status_url}/status").content) < 300_000
        assert _rss_bytes(serving.process.pid) < 600_000_000
        assert serving.stop() == 0


@pytest.mark.timeout(240)
def test_ctrl_c_in_a_terminal_ends_it_in_order(tmp_path, model):
    """A terminal sends SIGINT to all processes of the group: API and workers are ended by their parent."""
    clip = support.write_clip(tmp_path / "clip.mp4", 6000)
    with Serving(tmp_path, write_site(tmp_path / "site.toml", {"one": clip}), model=model) as serving:
        serving.camera("one", lambda camera: camera.analysed)
        os.killpg(serving.process.pid, signal.SIGINT)
        assert serving.process.wait(timeout=90) == 0
        assert "Traceback" not in serving.said()
        assert "ended with code" not in serving.said()
        assert "cannot be reached" not in serving.said()


@pytest.mark.timeout(240)
def test_a_second_serve_on_the_same_data_waits_until_the_first_is_no_more(tmp_path, model):
    clip = support.write_clip(tmp_path / "clip.mp4", 6000)
    site = write_site(tmp_path / "site.toml", {"one": clip})
    with Serving(tmp_path, site, model=model) as first:
        first.camera("one", lambda camera: camera.analysed)
        with Serving(tmp_path, site, model=model) as second:
            refused = second.camera("one", lambda camera: camera.state is S.REFUSED)
            assert f":{first.process.pid} watches it since" in refused.fault
            pids = worker_pids(first)
            first.process.kill()
            second.camera("one", lambda camera: camera.analysed)
            second.wait(lambda: not any(_runs(pid) for pid in pids))
            assert second.stop() == 0


@pytest.mark.timeout(240)
def test_a_second_machine_with_the_same_api_leaves_the_cameras_alone(tmp_path, model):
    """Two data folders stand for two machines."""
    clip = support.write_clip(tmp_path / "clip.mp4", 6000)
    site = write_site(tmp_path / "site.toml", {"one": clip})
    with Serving(tmp_path, site, model=model) as first:
        first.camera("one", lambda camera: camera.analysed)
        words = support.command("serve", "--site", site, "--data", tmp_path / "other", "--api", first.page)
        words += [
            "--status-port",
            str(port := support.free_port()),
            "--model",
            str(model),
            "--backend",
            "scripted",
        ]
        with subprocess.Popen(words, cwd=support.ROOT, stderr=subprocess.DEVNULL) as second:
            try:
                sentence = first.wait(lambda: _refusal(port, "one"))
            finally:
                second.terminate()
        assert f":{first.process.pid} watches it and reports to the same API." in sentence


def _refusal(port, camera_id):
    try:
        rows = httpx2.get(f"http://127.0.0.1:{port}/status", timeout=10).json()
    except httpx2.HTTPError:
        return None
    cameras = [camera for row in rows for camera in row["cameras"] if camera["camera_id"] == camera_id]
    return next((camera["fault"] for camera in cameras if camera["state"] == "refused"), None)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _rss_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers", "0"], "--workers 0: give a number from 1 to 256."),
        (["--max-load", "1.5"], "--max-load 1.5: give a share of the cores, above 0 and up to 1."),
        (["--status-port", "70000"], "--status-port 70000: give a port from 0 to 65535."),
        (["--address", "10.0.0.5:6379"], "--address is for a Ray cluster: add --fleet ray."),
        (["--gpu-fraction", "2"], "--gpu-fraction 2: a worker uses one GPU; give a share from 0.01 to 1."),
        (
            ["--gpu-fraction", "0.5", "--device", "cpu"],
            "--gpu-fraction is of a GPU, --device cpu asks for none: leave one of the two out.",
        ),
        (
            ["--site", "{site}", "--gpu-fraction", "0.5"],
            (
                "--gpu-fraction 0.5: nothing here computes on a GPU; add --device cuda and a --backend for it, or leave "
                "it out."
            ),
        ),
        (
            ["--site", "{site}", "--device", "cuda"],
            (
                "the backend openvino computes on the CPU, not on cuda; take --backend ultralytics, tensorrt or onnx "
                "for a GPU."
            ),
        ),
        (
            ["--site", "{site}", "--fleet", "ray", "--device", "cuda:1"],
            "--device cuda:1: on a cluster Ray says which GPU a group gets; take cuda.",
        ),
        (
            ["--site", "{site}", "--fleet", "ray", "--gpu-fraction", "0.5"],
            (
                "the backend openvino computes on the CPU, not on cuda; take --backend ultralytics, tensorrt or onnx "
                "for a GPU."
            ),
        ),
        (
            ["--site", "{site}", "--fleet", "ray", "--address", "abc"],
            "'abc' is no address of a Ray cluster; give HOST:PORT, such as 10.0.0.5:6379.",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(kerbwatch, tmp_path, words, sentence):
    site = write_site(tmp_path / "site.toml", {"one": "rtsp://127.0.0.1:9/live"})
    done = kerbwatch("serve", *(word.format(site=site) for word in words), "--data", tmp_path / "data")
    assert done.code == 2
    assert done.sentence.endswith(sentence)
