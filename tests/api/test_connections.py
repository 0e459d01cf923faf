"""What only a real connection shows: stalled and broken uploads, the stream of changes, the sandbox verb."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from api.app import Parts, create_app
from api.cli import sandbox
from api.dispatch.signature import new_secret, signed
from api.services import utc_now
from api.settings import Limits
from detector.errors import Failure, WrongUse

ROOT = Path(__file__).resolve().parents[2]


def half_an_upload(url, sha256, data):
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    head = f"PUT /v1/evidence/{sha256} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data[: len(data) // 2])
    return connection


def incoming(tmp_path):
    return list((tmp_path / "evidence" / "incoming").iterdir())


def eventually(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sender_that_goes_away_leaves_nothing(served, services, tmp_path, jpeg):
    with served(create_app(Parts(services=services))) as url:
        connection = half_an_upload(url, *jpeg)
        eventually(lambda: incoming(tmp_path))
        connection.close()
        eventually(lambda: not incoming(tmp_path))
        assert httpx2.get(f"{url}/v1/evidence/{jpeg[0]}", trust_env=False).status_code == 404


def test_a_sender_that_stalls_is_let_go(served, make_services, tmp_path, jpeg):
    services = make_services(limits=Limits(idle_s=0.3))
    with (
        served(create_app(Parts(services=services))) as url,
        half_an_upload(url, *jpeg) as connection,
    ):
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"no byte of the upload came for 0.3 s" in answer
        assert not incoming(tmp_path)


def test_stalled_uploads_do_not_hold_up_reports(served, services, make_payload, jpeg):
    with served(create_app(Parts(services=services))) as url, contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(half_an_upload(url, *jpeg))
        time.sleep(0.5)
        answer = httpx2.post(f"{url}/v1/reports", json=make_payload(), trust_env=False, timeout=10.0)
        assert answer.status_code == 201


def test_changes_are_streamed_from_a_cursor(served, services, make_report):
    services.accept_report(make_report(1))
    with served(create_app(Parts(services=services))) as url, httpx2.Client(trust_env=False) as http:
        with http.stream("GET", f"{url}/v1/events", params={"after": 0}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = (line for line in answer.iter_lines() if line.startswith(("id:", "event:", "data:")))
            assert [next(lines), next(lines)] == ["id: 1", "event: reported"]
            assert json.loads(next(lines).removeprefix("data: "))["actor"] == "cam-1"
        with http.stream("GET", f"{url}/v1/events", headers={"last-event-id": "1"}) as answer:
            lines = (line for line in answer.iter_lines() if line.startswith("id:"))
            services.accept_report(make_report(2))
            assert next(lines) == "id: 2"


def test_the_sandbox_verb_runs_a_receiver(tmp_path):
    secret = new_secret()
    words = ["--port", "0", "--folder", str(tmp_path / "box"), "--secret", secret]
    program = [sys.executable, "kerbwatch.py", "sandbox", *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT) as receiver:
        url = receiver.stdout.readline().split(" at ")[1].split("/events")[0]
        assert receiver.stdout.readline() == f"secret {secret}\n"
        body = b'{"data": {"case_id": "c1"}}'
        with httpx2.Client(trust_env=False, base_url=url) as http:
            for status in (201, 200):
                answer = http.post("/events", content=body, headers=signed(secret, "m1", utc_now(), body))
                assert answer.status_code == status
            assert (
                http.post(
                    "/events", content=body, headers=signed(new_secret(), "m1", utc_now(), body)
                ).status_code
                == 401
            )
            assert (
                http.post(
                    "/events", content=b"[]", headers=signed(secret, "m2", utc_now(), b"[]")
                ).status_code
                == 400
            )
            assert len(http.get("/received").json()) == 1
        receiver.terminate()
        receiver.wait(20)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["--fail-rate", "2"], WrongUse, "from 0 to 1"),
        (["--hang", "-1"], WrongUse, "seconds from 0 on"),
        (["--secret", "short"], WrongUse, "webhook secret"),
        (["--port", "99999"], WrongUse, "is no port"),
        (["--folder", "/proc/none"], Failure, "cannot write"),
    ],
)
def test_wrong_use_of_the_sandbox_verb(words, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        sandbox(words)
