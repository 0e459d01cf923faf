"""Reports for tests."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.report import Box, CaseReport, EventCode, EventEnd, EvidenceRef, GeoPoint, report_id_of

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def ref_with_file(text: str, folder: Path, *, sealed: bool = False) -> EvidenceRef:
    """Write a piece of evidence to `folder`/<sha256>."""
    folder.mkdir(parents=True, exist_ok=True)
    data = b"\xff\xd8\xff" + text.encode()
    sha256 = hashlib.sha256(data).hexdigest()
    draft = folder / f"{sha256}.{os.getpid()}"
    draft.write_bytes(data)
    draft.replace(folder / sha256)
    return EvidenceRef(
        role="far",
        sha256=sha256,
        media_type="image/jpeg",
        size_bytes=len(data),
        sealed=sealed,
        frame_index=5,
        at=AT,
    )


def report_with_files(number: int, folder: Path) -> CaseReport:
    """Give report `number`, with a public and a sealed picture on the disk."""
    at = AT + timedelta(minutes=number)
    return CaseReport(
        report_id=report_id_of("cam", "illegal_parking", "kerb", str(number), at),
        kind="illegal_parking",
        code=EventCode(scheme="GB/T 47678.5", version="2026", code="09009"),
        source_id="cam",
        zone_id="kerb",
        started_at=at,
        observed_at=at + timedelta(seconds=30),
        location=GeoPoint(lat=31.7, lon=119.9, error_m=2, method="camera_position"),
        confidence=0.9,
        model="street@1",
        label="car",
        box=Box(x0=0.1, y0=0.1, x1=0.2, y1=0.2),
        evidence=(
            ref_with_file(f"far {number}", folder),
            ref_with_file(f"sealed {number}", folder, sealed=True),
        ),
    )


def end_of(report: CaseReport, folder: Path) -> EventEnd:
    """Give the end of a report, with an "after" picture."""
    after = ref_with_file(f"after {report.report_id}", folder).model_copy(update={"role": "after"})
    return EventEnd(report_id=report.report_id, ended_at=AT + timedelta(hours=1), evidence=(after,))
