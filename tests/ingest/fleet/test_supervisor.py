"""The supervisor with real worker processes: placing, killing, hanging, changing, refusing."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import contextmanager

import pytest

from detector.errors import Failure, WrongUse
from ingest.client import ApiClient
from ingest.fleet import slots
from ingest.fleet.claims import Claims, LockFiles
from ingest.fleet.group import GroupSettings
from ingest.fleet.orders import Open
from ingest.fleet.site_file import SiteFile
from ingest.fleet.size import Size
from ingest.fleet.status import CameraState, cameras_of
from ingest.fleet.status_server import NoSuchCamera, Refusal
from ingest.fleet.supervisor import Supervisor
from ingest.uplink import Uplink
from tests.api_stand_in import ApiStandIn
from tests.ingest.fleet.sites import always_a_car, camera, clip, eventually, site_of
from tests.rtsp_server import RtspServer


@pytest.fixture
def model(tmp_path):
    return str(always_a_car(tmp_path / "model"))


@pytest.fixture
def api():
    with ApiStandIn() as api:
        yield api


@contextmanager
def fleet(site, model, data, api, size=None, site_file=None, backend="scripted"):
    """A supervisor as `serve` puts it together: it sends what its workers keep."""
    settings = GroupSettings(model=model, backend=backend, sends=False)
    order = Open(site, settings, data, api.url, "")
    with (
        Uplink(data, api.url, "", lambda _: None),
        ApiClient(api.url) as client,
        Claims(LockFiles(data / "claims", f"test:{os.getpid()}"), client) as claims,
        Supervisor(order, size or Size(workers=2), claims, site_file) as supervisor,
    ):
        yield supervisor


def of(supervisor, camera_id):
    return next((found for found in cameras_of(supervisor.status()) if found.camera_id == camera_id), None)


def test_a_camera_whose_worker_falls_is_never_missing_from_status(tmp_path, model, api):
    """From kill -9 to the first frame in the next worker: somebody who asks is told of it."""
    site = site_of(camera("one", clip(tmp_path / "one.mp4", seconds=600)))
    with fleet(site, model, tmp_path / "data", api, Size(workers=1)) as supervisor:
        before = eventually(lambda: (found := of(supervisor, "one")) and found.analysed and found)
        os.kill(int(before.worker.rpartition(":")[2]), signal.SIGKILL)
        until, states = time.monotonic() + 60, set()
        while time.monotonic() < until:
            found = of(supervisor, "one")
            assert found is not None
            states.add(found.state)
            if found.worker not in {"", before.worker} and found.analysed:
                break
            time.sleep(0.01)
        assert CameraState.STARTING in states
        assert found.analysed


def in_state(supervisor, camera_id, state):
    found = of(supervisor, camera_id)
    return found if found and found.state is state else None


def test_cameras_are_spread_over_the_workers_and_their_cases_arrive_once(tmp_path, api, model):
    cameras = [camera(f"cam-{number}", clip(tmp_path / f"{number}.mp4")) for number in range(4)]
    with fleet(site_of(*cameras), model, tmp_path / "data", api) as supervisor:
        for one in cameras:
            eventually(lambda one=one: in_state(supervisor, one.id, CameraState.ENDED))
        rows = supervisor.status()
        assert [len(row.cameras) for row in rows] == [2, 2]
        assert all(row.alive and row.restarts == 0 for row in rows)
        eventually(lambda: len(api.cases) == 4)
    assert set(api.made.values()) == {1}


def test_a_killed_worker_is_replaced_and_its_cameras_go_on(tmp_path, api, model):
    one = camera("one", clip(tmp_path / "one.mp4", seconds=600))
    with fleet(site_of(one), model, tmp_path / "data", api, Size(workers=1)) as supervisor:
        eventually(lambda: (found := of(supervisor, "one")) and found.analysed)
        (before,) = supervisor.status()
        os.kill(int(before.worker.rpartition(":")[2]), signal.SIGKILL)
        eventually(lambda: supervisor.status()[0].restarts == 1)
        eventually(
            lambda: (found := of(supervisor, "one")) and found.worker != before.worker and found.analysed
        )


def test_a_worker_that_hangs_is_named_and_replaced(tmp_path, api, model, monkeypatch):
    monkeypatch.setattr(slots, "HANG_S", 8.0)
    monkeypatch.setattr(slots, "DOUBT_S", 4.0)
    one = camera("one", clip(tmp_path / "one.mp4", seconds=600))
    with fleet(site_of(one), model, tmp_path / "data", api, Size(workers=1)) as supervisor:
        eventually(lambda: (found := of(supervisor, "one")) and found.analysed)
        pid = int(supervisor.status()[0].worker.rpartition(":")[2])
        os.kill(pid, signal.SIGSTOP)
        named = eventually(lambda: not supervisor.status()[0].alive and of(supervisor, "one"), within_s=10)
        assert "does not answer" in named.fault
        eventually(lambda: supervisor.status()[0].restarts == 1)
        eventually(lambda: (found := of(supervisor, "one")) and found.state is CameraState.RUNNING)


def test_workers_end_with_their_supervisor(tmp_path, api, model):
    one = camera("one", clip(tmp_path / "one.mp4", seconds=600))
    with fleet(site_of(one), model, tmp_path / "data", api, Size(workers=1)) as supervisor:
        pid = eventually(lambda: supervisor._slots[0].process and supervisor._slots[0].process.pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_wrong_model_or_backend_is_said_at_the_start(tmp_path, api):
    one = camera("one", clip(tmp_path / "one.mp4"))
    with (
        pytest.raises(WrongUse, match="there is no backend 'abacus'"),
        fleet(site_of(one), None, tmp_path / "data", api, Size(workers=1), backend="abacus"),
    ):
        pass
    with (
        pytest.raises(Failure, match="nowhere"),
        fleet(site_of(one), "nowhere@1", tmp_path / "data", api, Size(workers=1)),
    ):
        pass


SITE = """
[site]
name = "Test"
timezone = "Asia/Shanghai"
"""
CAMERA = """
[[camera]]
id = "{0}"
source = "{0}.mp4"
lat = 31.779
lon = 119.951
fps = {1}
"""


def test_a_changed_site_file_touches_only_the_cameras_that_changed(tmp_path, api, model, caplog):
    for name in ("one", "two", "three"):
        clip(tmp_path / f"{name}.mp4", seconds=600)
    path = tmp_path / "site.toml"

    def write(text):
        (tmp_path / "new.toml").write_text(text)
        (tmp_path / "new.toml").replace(path)

    write(SITE + CAMERA.format("one", 5) + CAMERA.format("two", 5))
    from ingest.config import load_site

    site = load_site(path)
    with fleet(site, model, tmp_path / "data", api, site_file=SiteFile(path, site)) as supervisor:
        started = eventually(lambda: (found := of(supervisor, "one")) and found.analysed > 20 and found)
        write(SITE + CAMERA.format("one", 5) + CAMERA.format("three", 5))
        eventually(lambda: of(supervisor, "three") and not of(supervisor, "two"))
        assert of(supervisor, "one").analysed >= started.analysed  # its counters went on
        write(SITE + CAMERA.format("one", 5) + CAMERA.format("three", "-1"))
        eventually(lambda: "stays in force" in caplog.text)
        assert "`fps` = -1 is below 0.1" in caplog.text
        time.sleep(1)
        assert of(supervisor, "three")
        write(SITE + CAMERA.format("one", 2))
        eventually(lambda: (found := of(supervisor, "one")) and found.fps_wanted == 2.0)
        eventually(
            lambda: not of(supervisor, "three")
        )  # told apart from the change: it may come a status later


def test_cameras_are_sent_and_removed_at_run_time(tmp_path, api, model):
    one = camera("one", clip(tmp_path / "one.mp4", seconds=600))
    table = {"id": "two", "source": str(clip(tmp_path / "two.mp4")), "lat": 31.7, "lon": 119.9}
    with fleet(site_of(one), model, tmp_path / "data", api) as supervisor:
        with pytest.raises(WrongUse, match=r"camera 'two': `lat` = 131.* is above 90"):
            supervisor.add({**table, "lat": 131.0})
        supervisor.add(table)
        eventually(lambda: in_state(supervisor, "two", CameraState.ENDED))
        supervisor.remove("one")
        eventually(lambda: of(supervisor, "one") is None)
        with pytest.raises(NoSuchCamera, match="no camera 'one'"):
            supervisor.remove("one")


@pytest.mark.rtsp
@pytest.mark.skipif(bool(RtspServer.missing()), reason=RtspServer.missing() or "there")
def test_a_camera_that_leaves_its_worker_leaves_what_its_rules_were_counting(tmp_path, api, model):
    with RtspServer(clip(tmp_path / "street.mp4", seconds=20), "--loop") as server:
        one = camera("one", server.url, dwell_s=600)
        with fleet(site_of(one), model, tmp_path / "data", api, Size(1)) as supervisor:
            eventually(lambda: (found := of(supervisor, "one")) and found.analysed > 20, 60)
            with supervisor._lock:
                supervisor._admission.drop("one")
                supervisor._admission.next_try = float("inf")  # nobody takes it yet
            _, handed = eventually(lambda: supervisor._admission._handed.get("one"))
            (place,) = handed["illegal_parking"].places
            assert place.dwell_s > 1
            supervisor._admission.next_try = 0.0
            eventually(lambda: not supervisor._admission._handed)  # given to the worker that takes it
            eventually(lambda: in_state(supervisor, "one", CameraState.RUNNING))


def test_what_does_not_fit_is_refused_with_the_figures_and_taken_when_there_is_room(tmp_path, api, model):
    """0.2 cores hold two cameras on the estimate of 0.08."""
    names = ("one", "two", "three")
    cameras = [camera(name, clip(tmp_path / f"{name}.mp4", seconds=600)) for name in names]
    with fleet(site_of(*cameras), model, tmp_path / "data", api, Size(1, 0.2 / _cores())) as supervisor:
        refused = eventually(lambda: in_state(supervisor, "three", CameraState.REFUSED))
        assert "no room: it would take 0.08 cores, and 2 cameras use 0.16 of the 0.20" in refused.fault
        assert refused.fps_wanted == 0.0
        table = {"id": "four", "source": str(tmp_path / "one.mp4"), "lat": 31.7, "lon": 119.9}
        with pytest.raises(Refusal, match="camera 'four' is refused: no room"):
            supervisor.add(table)
        supervisor.remove("one")
        eventually(lambda: in_state(supervisor, "three", CameraState.RUNNING))


def _cores():
    return len(os.sched_getaffinity(0))


def test_ten_thousand_cameras_are_refused_in_one_sentence(tmp_path, api, model, caplog):
    clip(tmp_path / "one.mp4", seconds=600)
    cameras = [camera(f"cam-{number}", tmp_path / "one.mp4") for number in range(10_000)]
    with fleet(site_of(*cameras), model, tmp_path / "data", api, Size(1, 0.2 / _cores())) as supervisor:
        caplog.set_level(logging.WARNING)
        eventually(lambda: "cameras are refused" in caplog.text)
        lines = [line for line in caplog.text.splitlines() if "refused" in line]
        assert len(lines) == 1
        assert "9998 of 10000 cameras are refused, from 'cam-2' on: no room" in lines[0]
        assert len(cameras_of(supervisor.status())) <= 210
        assert sum(row.unlisted for row in supervisor.status()) == 9998 - 200


def test_a_second_supervisor_on_the_same_data_does_not_watch_the_same_camera(tmp_path, api, model):
    one = camera("one", clip(tmp_path / "one.mp4", seconds=600))
    data = tmp_path / "data"
    with fleet(site_of(one), model, data, api, Size(1)) as first:
        eventually(lambda: of(first, "one"))
        eventually(lambda: in_state(first, "one", CameraState.RUNNING))
        with fleet(site_of(one), model, data, api, Size(1)) as second:
            refused = eventually(lambda: in_state(second, "one", CameraState.REFUSED))
            assert f"camera 'one' is taken: test:{os.getpid()} watches it since" in refused.fault
            first.remove("one")
            eventually(lambda: in_state(second, "one", CameraState.RUNNING))
