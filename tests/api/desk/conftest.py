"""Real services over SQLite and a folder, and reports to feed them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from api.evidence import open_evidence
from api.services import Services
from api.store import open_store
from api.types import Case, open_case
from ingest.report import Box, CaseReport, EventCode, EvidenceRef, GeoPoint

START = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
MEDIA = {"far": "image/jpeg", "near": "image/jpeg", "before": "image/jpeg", "clip": "video/mp4"}


def evidence_ref(role: str, *, sealed: bool = False) -> EvidenceRef:
    sha256 = hashlib.sha256(f"{role}{sealed}".encode()).hexdigest()
    return EvidenceRef(
        role=role, sha256=sha256, media_type=MEDIA[role], size_bytes=1, sealed=sealed, frame_index=1, at=START
    )


def report_of(number: int = 1, **changes: object) -> CaseReport:
    values: dict[str, object] = {
        "report_id": UUID(int=number),
        "kind": "illegal_parking",
        "variant": "motor",
        "code": EventCode(scheme="GB/T 47678.5", version="2026", code="09009"),
        "source_id": "cam-1",
        "zone_id": "kerb-east",
        "site": "Nandajie",
        "started_at": START,
        "observed_at": START + timedelta(seconds=200 + number),
        "location": GeoPoint(lat=31.779 + number * 1e-4, lon=119.951, error_m=4.2, method="homography"),
        "confidence": 0.874,
        "model": "street@1",
        "label": "car",
        "box": Box(x0=0.1, y0=0.2, x1=0.3, y1=0.4),
    }
    return CaseReport.model_validate({**values, **changes})


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    store = open_store(f"sqlite:///{tmp_path / 'kerbwatch.db'}")
    yield Services(store=store, evidence=open_evidence("folder", str(tmp_path / "evidence")))
    store.close()


@pytest.fixture
def report(services: Services) -> Callable[..., Case]:
    def accept(number: int = 1, **changes: object) -> Case:
        return services.accept_report(report_of(number, **changes))[0]

    return accept


@pytest.fixture
def case() -> Callable[..., Case]:
    """A case that no store knows."""

    def make(number: int = 1, **changes: object) -> Case:
        return open_case(report_of(number, **changes), START + timedelta(seconds=210))

    return make


@pytest.fixture
def evidence() -> Callable[..., EvidenceRef]:
    return evidence_ref
