"""One camera, one watcher: by lock files on one machine, by leases across machines."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from detector.errors import Failure
from ingest.client import ApiClient
from ingest.fleet.claims import Claims, LockFiles
from tests.api_stand_in import Answer, ApiStandIn
from tests.e2e.support import ROOT
from tests.ingest.fleet.sites import eventually

HOLDER = """
import sys
from pathlib import Path
from ingest.fleet.claims import LockFiles
locks = LockFiles(Path(sys.argv[1]), "other:4711")
assert locks.take(sys.argv[2]) is None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that watches 'cam/1' with the same data folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), "街 1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_camera_that_another_process_watches_is_refused_with_its_name(tmp_path, other):
    locks = LockFiles(tmp_path, "me:1")
    sentence = locks.take("街 1")
    assert sentence.startswith("other:4711 watches it since 2")
    assert locks.take("街 2") is None
    other.kill()
    other.wait()
    assert eventually(lambda: locks.take("街 1") is None)
    locks.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=r"claims .* cannot be made"):
        LockFiles(tmp_path / "file" / "claims", "me:1")


@pytest.fixture
def api():
    from tests.ingest.fleet.lease_server import LeaseServer

    with LeaseServer() as server:
        yield server


def test_two_machines_with_one_api_do_not_watch_the_same_camera(tmp_path, api):
    with (
        ApiClient(api.url) as client,
        Claims(LockFiles(tmp_path / "a", "a:1"), client, "a:1") as one,
        Claims(LockFiles(tmp_path / "b", "b:1"), client, "b:1") as other,
    ):
        assert one.take(["cam-1", "cam-2"]) == {}
        assert other.take(["cam-2", "cam-3"]) == {
            "cam-2": "camera 'cam-2' is taken: a:1 watches it and reports to the same API."
        }
        one.give_up(["cam-2"])
        assert other.take(["cam-2"]) == {}


def test_leases_are_renewed_and_a_lost_one_is_told(tmp_path, api):
    lost = []
    with (
        ApiClient(api.url) as client,
        Claims(None, client, "a:1", lambda *told: lost.append(told), ttl_s=0.3) as one,
    ):
        one.take(["cam-1", "cam-2"])
        eventually(lambda: api.asked > 3)
        assert lost == []
        api.owners["cam-1"] = "b:1"
        eventually(lambda: lost)
        assert lost == [("cam-1", "camera 'cam-1' is taken: b:1 watches it and reports to the same API.")]


def test_an_api_that_is_away_or_old_keeps_nobody_from_watching(tmp_path):
    with ApiClient("http://127.0.0.1:9") as client, Claims(None, client) as claims:
        assert claims.take(["cam-1"]) == {}
    with (
        ApiStandIn(lambda *_: Answer(404)) as old,
        ApiClient(old.url) as client,
        Claims(None, client) as claims,
    ):
        assert claims.take(["cam-1"]) == {}


def test_a_lease_that_could_not_be_had_is_asked_for_again(api):
    api.away = True
    with ApiClient(api.url) as client, Claims(None, client, "a:1", ttl_s=0.3) as claims:
        assert claims.take(["cam-1"]) == {}
        api.away = False
        eventually(lambda: api.owners.get("cam-1") == "a:1")
    assert json.dumps(api.owners) == "{}"  # given up at the end
