"""What every Dispatcher promises: a receipt, or one of two errors with a reason, within its time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.dispatch import KINDS, DeliveryError, RefusedError, Target, open_dispatcher
from api.dispatch.signature import new_secret, verified_id
from api.types import Dispatch, DispatchJob, Receipt
from detector.errors import WrongUse

SECRET = new_secret()
AT = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
CASE_ID = UUID(int=7)
JOB = DispatchJob(
    case_id=CASE_ID,
    dispatch=Dispatch(
        dispatch_id=UUID(int=1),
        action="file",
        state="pending",
        attempts=0,
        idempotency_key=UUID(int=2),
        created_at=AT,
        next_at=AT,
    ),
    body=json.dumps({"case_id": str(CASE_ID), "evidence": [{"role": "far", "path": "/v1/evidence/ab"}]}),
)
RECEIPT = b'{"receipt_id": "SZ1", "deadline": "2026-11-24T01:15:00+08:00", "window": 7}'


class Platform:
    """A server at the other end, made of a socket: it says exactly the bytes it is told to, or nothing."""

    def __init__(self, answer):
        self._answer = answer
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):
            self.requests.append(read_request(connection))
            self._answer(connection)

    def close(self):
        self._listener.close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers = {name.lower(): value for name, value in headers.items()}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return headers, body


def http(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda connection: connection.sendall(data)


def drip(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.1)


@pytest.fixture
def platform():
    made = []

    def make(answer):
        made.append(Platform(answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Fake:
    """The fake: takes everything, remembers it."""

    def __init__(self):
        self.taken = {}

    async def send(self, job):
        return self.taken.setdefault(job.dispatch.idempotency_key, Receipt(receipt_id=f"F{len(self.taken)}"))

    async def close(self):
        self.taken.clear()


def send(dispatcher, job=JOB):
    async def go():
        try:
            return await dispatcher.send(job)
        finally:
            await dispatcher.close()

    return asyncio.run(go())


def open_at(url, kind="webhook", **changes):
    target = {"url": url, "secret": SECRET, "timeout_s": 1.0, "local": True, **changes}
    return open_dispatcher(kind, Target(**target))


@pytest.mark.parametrize("kind", [*KINDS, "fake"])
def test_what_is_sent_gets_a_receipt(kind, platform):
    dispatcher = Fake() if kind == "fake" else open_at(platform(http(201, RECEIPT)).url, kind)
    assert send(dispatcher).receipt_id


def test_the_receipt_is_the_platforms_own(platform):
    receipt = send(open_at(platform(http(200, RECEIPT)).url))
    assert receipt == Receipt(receipt_id="SZ1", deadline=datetime(2026, 11, 23, 17, 15, tzinfo=UTC))


def test_a_signed_cloudevent_is_sent(platform):
    there = platform(http(200, RECEIPT))
    send(open_at(there.url, public_url="https://kerb.example/"))
    headers, body = there.requests[0]
    assert verified_id(SECRET, headers, body) == str(JOB.dispatch.dispatch_id)
    assert headers["idempotency-key"] == f'"{JOB.dispatch.idempotency_key}"'
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    event = json.loads(body)
    assert (event["specversion"], event["subject"]) == ("1.0", str(CASE_ID))
    assert {"id", "source", "type", "time", "datacontenttype"} <= set(event)
    assert event["data"]["evidence"][0]["url"] == "https://kerb.example/v1/evidence/ab"


def test_every_attempt_sends_the_same_bytes_under_the_same_key(platform):
    there = platform(http(200, RECEIPT))
    for _ in range(2):
        send(open_at(there.url))
    (first, body), (second, again) = there.requests
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    assert first["idempotency-key"] == second["idempotency-key"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(503, b"down for tea"), "HTTP 503: down for tea"),
        (http(500), "HTTP 500"),
        (http(429), "HTTP 429"),
        (http(409), "HTTP 409"),
        (http(200, b"<html>Welcome to our guest network</html>"), "no receipt"),
        (http(200, b""), "no receipt"),
        (http(200, b'{"ok": true}'), "receipt_id"),
        (http(200, b'{"receipt_id": ""}'), "receipt_id"),
        (http(200, b'{"receipt_id": "1", "deadline": "tomorrow"}'), "deadline"),
        (http(200, b"[" * 5000), "no receipt"),
        (http(200, b"\xff\xfe\x00"), "no receipt"),
        (http(200, b" " * 100_000), "longer than"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "RemoteProtocolError"),
        (lambda connection: connection.close(), "Error"),
        (lambda _: time.sleep(5), "no answer within 1 s"),
        (drip, "no answer within 1 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_pass_is_tried_again(platform, answer, said):
    began = time.monotonic()
    with pytest.raises(DeliveryError, match=said) as raised:
        send(open_at(platform(answer).url))
    assert not isinstance(raised.value, RefusedError)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - began < 4


def test_a_closed_port_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    with pytest.raises(DeliveryError, match="ConnectError"):
        send(open_at(url))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 415, 422, 301, 302])
def test_a_refusal_is_final(platform, status):
    with pytest.raises(RefusedError, match=f"HTTP {status}"):
        send(open_at(platform(http(status, b"no", location="http://127.0.0.1:1/")).url))


def test_retry_after_is_passed_on(platform):
    with pytest.raises(DeliveryError) as raised:
        send(open_at(platform(http(503, b"", retry_after="17")).url))
    assert raised.value.retry_after_s == 17.0


@pytest.mark.parametrize(
    "url", ["", "ftp://host/", "host:80", "http://", "http://[::1", "file:///etc/passwd"]
)
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(WrongUse, match="no http or https address"):
        open_at(url)


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_!!!", "whsec_c2hvcnQ="])
def test_what_is_no_secret_is_refused_at_once(secret):
    with pytest.raises(WrongUse, match="webhook secret"):
        open_at("http://127.0.0.1:1/", secret=secret)


def test_an_unknown_kind_is_refused():
    with pytest.raises(WrongUse, match="there is no dispatcher 'fax'"):
        open_at("http://127.0.0.1:1/", kind="fax")
