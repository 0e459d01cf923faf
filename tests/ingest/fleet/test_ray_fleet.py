"""A real Ray cluster of several nodes on this machine: cameras placed, moved, taken over; nodes killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request

import pytest

pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")

from detector.errors import Failure
from ingest.client import ApiClient, Refused, TryLater
from ingest.embedded import EmbeddedApi
from ingest.fleet import ray_link
from ingest.fleet.group import GroupSettings
from ingest.fleet.ray_fleet import RayFleet
from ingest.fleet.ray_link import check_gpu, connected
from ingest.fleet.ray_uploads import TaskClient
from ingest.fleet.status import CameraState, cameras_of
from ingest.fleet.status_server import NoSuchCamera
from tests.api_stand_in import Answer, ApiStandIn
from tests.e2e.support import command, environment, free_port, write_site
from tests.ingest.fleet.ray_cluster import Machines, actors, node_of, terms_of
from tests.ingest.fleet.sites import always_a_car, camera, clip, eventually, site_of
from tests.rtsp_server import RtspServer

LONG_S = 120.0
"""Deadline of whatever a cluster does on a machine that does ten other things."""
ELSEWHERE_S = 30.0
"""So soon the cameras of a killed node run elsewhere, where the machine has time for that."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.rtsp,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(bool(RtspServer.missing()), reason=RtspServer.missing() or "there"),
    # Ray leaves sockets and files to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Give a live camera that always shows one parked car, for as many as want to look through it."""
    with RtspServer(clip(tmp_path_factory.mktemp("clip") / "street.mp4", seconds=20), "--loop") as server:
        yield server.url


@pytest.fixture
def api(tmp_path):
    (tmp_path / "api").mkdir()
    with EmbeddedApi(tmp_path / "api") as api:
        yield api


@pytest.fixture
def elsewhere_s():
    """Give what is promised where the machine has cores to spare before the test begins, else the long deadline."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load < cores:
        return ELSEWHERE_S
    print(f"{ELSEWHERE_S:.0f} s are not asked for: the load is {load:.1f} on {cores} cores")  # noqa: T201
    return LONG_S


@pytest.fixture
def machines():
    with Machines() as machines:
        yield machines


@pytest.fixture
def settings(tmp_path):
    return GroupSettings(model=str(always_a_car(tmp_path / "model")), backend="scripted", gate="every")


def cases(api):
    with urllib.request.urlopen(f"{api.url}/v1/cases?limit=200", timeout=20) as answer:
        return json.load(answer)["cases"]


def reported(api):
    return sorted(case["source_id"] for case in cases(api))


def groups_of(fleet, *names):
    """Give which group each running camera is in, if all of `names` run, else nothing."""
    found = {
        row.camera_id: row.worker
        for row in cameras_of(worker for worker in fleet.status() if worker.alive)
        if row.state is CameraState.RUNNING and row.analysed
    }
    return found if set(names) <= found.keys() else {}


def watched_on(fleet, *names):
    """Give where each running camera is, if all of `names` run, else nothing."""
    return {name: node_of(worker) for name, worker in groups_of(fleet, *names).items()}


def four(street):
    return [camera(f"cam-{n}", street, dwell_s=2) for n in range(4)]


NAMES = tuple(f"cam-{n}" for n in range(4))


def test_a_killed_process_and_a_killed_node_lose_no_case_and_report_none_twice(
    tmp_path, elsewhere_s, machines, street, api, settings
):
    machines.add("a")
    machines.add("b")
    cameras = [*four(street), camera("slow", street, dwell_s=30)]
    terms = terms_of(site_of(*cameras), settings, tmp_path / "data", api.url)
    shown = []
    with connected(machines.address), RayFleet(terms, cameras, show=shown.append) as fleet:
        where = eventually(lambda: watched_on(fleet, *NAMES, "slow"), LONG_S)
        assert set(where.values()) == {"a", "b"}, "spread over the nodes"
        assert len({row.worker for row in fleet.status() if row.cameras}) == 2
        eventually(lambda: set(reported(api)) >= set(NAMES), LONG_S)
        victim = next(worker for worker in fleet.status() if node_of(worker.worker) == "a")
        pid = told_by(victim.worker).pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: any(worker.restarts == 1 for worker in fleet.status()), LONG_S)
        eventually(lambda: watched_on(fleet, *NAMES, "slow"), LONG_S)

        machines.kill("b")
        began = time.monotonic()
        eventually(lambda: set(watched_on(fleet, *NAMES, "slow").values()) == {"a"}, LONG_S)
        took_s = time.monotonic() - began
        print(f"cameras of a killed node ran elsewhere after {took_s:.1f} s")  # noqa: T201
        assert took_s < elsewhere_s
        # what had not stood for long enough is reported after all; nothing that was is reported again
        eventually(lambda: "slow" in reported(api), LONG_S)
        assert reported(api) == [*NAMES, "slow"]
        # what a group had not told when it was killed is asked of the API
        eventually(lambda: sorted(case["source_id"] for case in shown) == [*NAMES, "slow"], LONG_S)
    assert actors_left(machines) == []


def told_by(worker):
    """Ask a group itself."""
    import ray

    return ray.get(ray.get_actor(worker.rpartition("@")[0]).tell.remote(), timeout=60)


def actors_left(machines):
    with connected(machines.address):
        return sorted(actors())


def test_cameras_wait_for_room_and_go_to_nodes_that_join_and_away_from_those_that_leave(
    tmp_path, machines, street, api, settings
):
    machines.add("a")
    cameras = [
        camera(f"cam-{n}", street, dwell_s=2, fps=35.0) for n in range(4)
    ]  # 0.32 cores each, as estimated
    terms = terms_of(site_of(*cameras), settings, tmp_path / "data", api.url)
    with connected(machines.address), RayFleet(terms, cameras) as fleet:
        eventually(lambda: watched_on(fleet, "cam-0", "cam-1"), LONG_S)
        refused = [row for row in cameras_of(fleet.status()) if row.state is CameraState.REFUSED]
        assert refused
        assert all("no room on the cluster" in row.fault or "waits" in row.fault for row in refused)

        machines.add("b")
        where = eventually(lambda: watched_on(fleet, *NAMES), LONG_S)
        assert "b" in where.values()

        with pytest.raises(NoSuchCamera):
            fleet.remove("cam-9")
        fleet.remove("cam-3")
        eventually(lambda: [row.camera_id for row in cameras_of(fleet.status())] == list(NAMES[:3]), LONG_S)

        machines.add("c", cpus=2)
        machines.drain("b")
        eventually(lambda: "b" not in (watched_on(fleet, *NAMES[:3]) or {"": "b"}).values(), LONG_S)
        eventually(lambda: reported(api) == sorted({*reported(api)} | set(NAMES[:3])), LONG_S)


def test_a_group_that_hangs_is_made_anew_elsewhere_and_finds_its_cameras_taken_when_it_wakes(
    tmp_path, machines, street, api, settings
):
    machines.add("a")
    machines.add("b")
    cameras = four(street)[:2]
    terms = terms_of(site_of(*cameras), settings, tmp_path / "data", api.url)
    with connected(machines.address), RayFleet(terms, cameras) as fleet:
        eventually(lambda: watched_on(fleet, *NAMES[:2]), LONG_S)
        eventually(lambda: reported(api) == list(NAMES[:2]), LONG_S)
        asleep = next(worker for worker in fleet.status() if node_of(worker.worker) == "a")
        pid = told_by(asleep.worker).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            # in other groups: on the other node, until the load is balanced between the two again
            eventually(
                lambda: (found := groups_of(fleet, *NAMES[:2])) and asleep.worker not in found.values(),
                LONG_S,
            )
        finally:
            with contextlib.suppress(ProcessLookupError):  # its node may have ended it
                os.kill(pid, signal.SIGCONT)
        assert reported(api) == list(NAMES[:2])


def test_the_supervisor_is_killed_and_the_next_takes_its_groups_over(
    tmp_path, machines, street, api, settings
):
    machines.add("a")
    site = write_site(
        tmp_path / "site.toml", [("kerb", "no_parking", 2, WHOLE_TABLE)], "cam-0", source=street
    )
    words = ["serve", "--fleet", "ray", "--address", machines.address, "--site", site, "--api", api.url]
    words += [
        "--model",
        settings.model,
        "--backend",
        "scripted",
        "--data",
        tmp_path / "data",
        "--gate",
        "every",
    ]
    log = (tmp_path / "serve.log").open("a")

    def serve():
        port = free_port()
        process = subprocess.Popen(
            command(*words, "--status-port", port), env=environment(), stdout=log, stderr=log, cwd=tmp_path
        )
        return process, f"http://127.0.0.1:{port}"

    first, url = serve()
    second = None
    try:
        before = eventually(lambda: running(url), LONG_S)
        eventually(lambda: reported(api) == ["cam-0"], LONG_S)
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            assert b'camera="cam-0"' in answer.read()
        first.kill()
        first.wait()
        with connected(machines.address):
            analysed = eventually(lambda: told(before.worker), LONG_S)
            eventually(lambda: told(before.worker) > analysed, LONG_S)
        second, url = serve()
        after = eventually(lambda: running(url), LONG_S)
        assert after.worker == before.worker
        assert after.analysed >= before.analysed, "it went on all the while"
        second.send_signal(signal.SIGTERM)
        assert second.wait(LONG_S) == 0
        assert reported(api) == ["cam-0"]
        assert actors_left(machines) == []
    finally:
        for process in (first, second):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        log.close()


WHOLE_TABLE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def running(url):
    from ingest.fleet.status import WorkerStatus

    try:
        with urllib.request.urlopen(f"{url}/status", timeout=20) as answer:
            workers = [WorkerStatus.from_json(row) for row in json.load(answer)]
    except OSError:
        return None
    rows = [row for row in cameras_of(workers) if row.state is CameraState.RUNNING and row.analysed]
    return rows[0] if rows else None


def told(worker):
    """Ask a group itself how many frames it analysed."""
    return sum(row.analysed for row in told_by(worker).status.cameras)


def test_what_a_cluster_cannot_do_is_said(tmp_path, machines, street, api, settings):
    machines.add("a")
    cameras = four(street)[:1]
    terms = terms_of(site_of(*cameras), settings, tmp_path / "data", api.url)
    with connected(machines.address):
        with pytest.raises(Failure, match="no node of the Ray cluster has one"):
            check_gpu(0.25)
        broken = GroupSettings(model=str(tmp_path / "nothing"), backend="scripted")
        lacking = terms_of(site_of(*cameras), broken, tmp_path / "data", api.url)
        with pytest.raises(Failure, match=r"^node a: "), RayFleet(lacking, cameras):
            raise AssertionError("there is no such model")
        with RayFleet(terms, cameras), pytest.raises(Failure, match="supervises the cameras of 'Test'"):
            RayFleet(terms, cameras).__enter__()
        assert sorted(actors()) == []
        pretend_version(ray="2.0.0")
        with pytest.raises(Failure, match=r"runs Ray 2\.0\.0 on Python .* install the same versions"):
            ray_link._check(machines.address)


def pretend_version(ray):
    """Have the cluster say that it runs another Ray."""
    from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

    said = json.loads(_internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster"))
    changed = json.dumps({**said, "ray_version": ray}).encode()
    _internal_kv_put(b"CLUSTER_METADATA", changed, overwrite=True, namespace=b"cluster")


def test_uploads_are_tasks_and_their_answers_come_back_as_the_api_gave_them(tmp_path, machines):
    machines.add("a")
    report = '{"report_id": "r-1", "kind": "illegal_parking", "evidence": []}'
    picture = tmp_path / "picture"
    picture.write_bytes(b"\xff\xd8\xff picture")
    sha256 = "5e57ab9b3ee5ae3a3a0e0ff6b1ab3d1a0c2b0b2ac0bd7d0ff8d0a0a6a57a7f9f"
    odd = {"busy": Answer(503, headers={"Retry-After": "7"}), "never": Answer(422)}
    mood = ["fine"]
    with connected(machines.address), ApiStandIn(lambda *_: odd.get(mood[0])) as stand_in:
        client = TaskClient(stand_in.url, "")
        assert isinstance(client, ApiClient)
        assert client.post_report(report) == client.post_report(report)
        assert stand_in.made == {"r-1": 1}
        with pytest.raises(Refused, match="announced sha256"):
            client.put_evidence(sha256, picture, "image/jpeg", sealed=False)
        with pytest.raises(Refused, match="is gone"):
            client.put_evidence(sha256, tmp_path / "none", "image/jpeg", sealed=False)
        mood[0] = "busy"
        with pytest.raises(TryLater) as caught:
            client.post_report(report)
        assert caught.value.after_s == 7.0
        mood[0] = "never"
        with pytest.raises(Refused):
            client.post_ended("r-1", report)
        client.close()
