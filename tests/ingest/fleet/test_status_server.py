"""The supervisor's HTTP: status, cameras in and out, and what cannot be done as one sentence."""

from __future__ import annotations

import socket

import httpx2
import pytest

from detector.errors import Failure, WrongUse
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus
from ingest.fleet.status_server import NoSuchCamera, Refusal, StatusServer, create_app

ROW = WorkerStatus("host:1", alive=True, cameras=(CameraStatus("街 1", "host:1", CameraState.RUNNING),))


class Fleet:
    """Keeps what it was told; refuses by name."""

    def __init__(self):
        self.cameras = {}

    def status(self):
        return [ROW]

    def add(self, table):
        for name, error in (("wrong", WrongUse), ("full", Refusal), ("broken", Failure)):
            if table["id"] == name:
                raise error(f"{name}: no.")
        self.cameras[table["id"]] = table

    def remove(self, camera_id):
        if camera_id not in self.cameras:
            raise NoSuchCamera(f"there is no camera '{camera_id}'.")
        del self.cameras[camera_id]


@pytest.fixture
def fleet():
    return Fleet()


@pytest.fixture
def url(fleet):
    def extend(app, watched):
        @app.get("/more")
        def more():
            return {"workers": len(watched.status())}

    with StatusServer(create_app(fleet, [extend]), 0) as server:
        yield server.url


def test_status_is_what_workers_told(url):
    (row,) = httpx2.get(f"{url}/status").json()
    assert WorkerStatus.from_json(row) == ROW
    assert httpx2.get(f"{url}/more").json() == {"workers": 1}


def test_cameras_come_and_go(url, fleet):
    assert httpx2.post(f"{url}/cameras", json={"id": "街 2"}).json() == {"camera_id": "街 2"}
    assert set(fleet.cameras) == {"街 2"}
    assert httpx2.delete(f"{url}/cameras/街 2").status_code == 204
    gone = httpx2.delete(f"{url}/cameras/街 2")
    assert (gone.status_code, gone.json()["detail"]) == (404, "there is no camera '街 2'.")


@pytest.mark.parametrize(("name", "status"), [("wrong", 422), ("full", 409), ("broken", 503)])
def test_what_cannot_be_done_is_a_problem_document(url, name, status):
    answer = httpx2.post(f"{url}/cameras", json={"id": name})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"{name}: no."


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"cam"'])
def test_what_is_no_table_is_refused(url, body):
    answer = httpx2.post(f"{url}/cameras", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_a_form_of_another_page_cannot_add_a_camera(url, fleet):
    """A browser sends such a body without asking first."""
    answer = httpx2.post(f"{url}/cameras", content=b'{"id": "cam"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422
    assert fleet.cameras == {}


def test_a_port_in_use_is_said(fleet):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Failure, match=f"cannot listen on 127.0.0.1:{port}: choose another --status-port"),
            StatusServer(create_app(fleet), port),
        ):
            pass
