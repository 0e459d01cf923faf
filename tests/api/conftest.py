from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import Parts, create_app
from api.evidence import open_evidence
from api.services import Services
from api.serving import listen, server_of, url_of
from api.settings import Retry
from api.store import open_store
from ingest.report import CaseReport, report_id_of

START = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 300
SHA256 = hashlib.sha256(JPEG).hexdigest()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def payload(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Give a report as a machine sends it."""
    report = {
        "report_id": str(report_id_of("cam-1", "illegal_parking", "kerb-east", f"{number}", START)),
        "kind": "illegal_parking",
        "variant": "motor",
        "code": {"scheme": "GB/T 47678.5", "version": "2026", "code": "09009"},
        "source_id": "cam-1",
        "zone_id": "kerb-east",
        "site": "南大街",
        "started_at": START.isoformat(),
        "observed_at": (START + timedelta(minutes=3)).isoformat(),
        "location": {"lat": 31.77912, "lon": 119.95111, "error_m": 1.8, "method": "homography"},
        "confidence": 0.9,
        "model": "street@1",
        "label": "car",
        "box": {"x0": 0.1, "y0": 0.2, "x1": 0.3, "y1": 0.4},
        "evidence": [],
    }
    return {**report, **changes}


def picture(**changes: Any) -> dict[str, Any]:
    """Give the reference to JPEG as a report carries it."""
    ref = {
        "role": "far",
        "sha256": SHA256,
        "media_type": "image/jpeg",
        "size_bytes": len(JPEG),
        "frame_index": 900,
        "at": START.isoformat(),
    }
    return {**ref, **changes}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_services(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Services]]:
    made: list[Services] = []

    def make(**changes: Any) -> Services:
        settings: dict[str, Any] = {"now": clock, "chance": lambda: 0.0, "retry": Retry(), **changes}
        services = Services(
            store=open_store(f"sqlite:///{tmp_path}/cases.db"),
            evidence=open_evidence("folder", str(tmp_path / "evidence")),
            **settings,
        )
        made.append(services)
        return services

    yield make
    for services in made:
        services.store.close()


@pytest.fixture
def services(make_services: Callable[..., Services]) -> Services:
    return make_services()


@pytest.fixture
def make_report() -> Callable[..., CaseReport]:
    def make(number: int = 1, **changes: Any) -> CaseReport:
        return CaseReport.model_validate(payload(number, **changes))

    return make


@pytest.fixture
def make_payload() -> Callable[..., dict[str, Any]]:
    return payload


@pytest.fixture
def make_picture() -> Callable[..., dict[str, Any]]:
    return picture


@pytest.fixture
def jpeg() -> tuple[str, bytes]:
    return SHA256, JPEG


@pytest.fixture
def make_client(services: Services) -> Iterator[Callable[..., TestClient]]:
    clients: list[TestClient] = []

    def make(**parts: Any) -> TestClient:
        app = create_app(Parts(**{"services": services, **parts}))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Serve an app on a port of this machine, in a thread."""
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = server_of(app, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def served() -> Callable[[FastAPI], AbstractContextManager[str]]:
    return serve


@pytest.fixture
def open_case_id(client: TestClient) -> UUID:
    return UUID(client.post("/v1/reports", json=payload()).json()["case_id"])
