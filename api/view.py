"""Case JSON: the public face of a case, as the API answers it and the dispatcher sends it. Pure."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from api.types import STAGE_OF, Case, CaseStatus, Dispatch, DispatchState, Receipt, Review, Stage
from ingest.report import Box, EventCode, EvidenceRef, GeoPoint, Wire

REPORT_SOURCE: Final = "视频智能上报"
"""问题来源 as city platforms name it."""


def evidence_path(sha256: str) -> str:
    """Give the path under which the API serves a public file."""
    return f"/v1/evidence/{sha256}"


class EvidenceView(Wire):
    """A public picture or clip and where to fetch it."""

    role: str
    sha256: str
    media_type: str
    path: str = Field(examples=["/v1/evidence/" + "0" * 64])
    size_bytes: int
    frame_index: int
    at: AwareDatetime


class DispatchView(Wire):
    """How far the filing of a case has come."""

    dispatch_id: UUID
    state: DispatchState
    attempts: int
    next_at: AwareDatetime | None
    last_error: str
    receipt: Receipt | None


class CaseView(Wire):
    """Case JSON."""

    model_config = ConfigDict(title="Case")

    case_id: UUID
    kind: str
    variant: str
    code: EventCode
    source_id: str
    zone_id: str
    site: str
    started_at: AwareDatetime
    observed_at: AwareDatetime
    ended_at: AwareDatetime | None
    location: GeoPoint
    confidence: float
    model: str
    label: str
    box: Box
    evidence: tuple[EvidenceView, ...]
    status: CaseStatus
    stage: Stage
    version: int
    report_id: UUID
    received_at: AwareDatetime
    updated_at: AwareDatetime
    reviews: tuple[Review, ...]
    dispatch: DispatchView | None


class OutgoingCase(Wire):
    """What leaves for a city platform: the public facts of a confirmed case, never a name of an operator."""

    case_id: UUID
    kind: str
    variant: str
    code: EventCode
    source: str
    source_id: str
    zone_id: str
    site: str
    started_at: AwareDatetime
    observed_at: AwareDatetime
    ended_at: AwareDatetime | None
    location: GeoPoint
    confidence: float
    model: str
    label: str
    evidence: tuple[EvidenceView, ...]
    status: CaseStatus
    report_id: UUID


def view(case: Case) -> CaseView:
    """Give the Case JSON of a case."""
    report = case.report
    return CaseView(
        case_id=case.case_id,
        kind=report.kind,
        variant=report.variant,
        code=report.code,
        source_id=report.source_id,
        zone_id=report.zone_id,
        site=report.site,
        started_at=report.started_at,
        observed_at=report.observed_at,
        ended_at=case.ended_at,
        location=report.location,
        confidence=report.confidence,
        model=report.model,
        label=report.label,
        box=report.box,
        evidence=tuple(map(_evidence, case.public_evidence)),
        status=case.status,
        stage=STAGE_OF[case.status],
        version=case.version,
        report_id=report.report_id,
        received_at=case.received_at,
        updated_at=case.updated_at,
        reviews=case.reviews,
        dispatch=_dispatch(case.dispatch) if case.dispatch else None,
    )


def outgoing(case: Case) -> OutgoingCase:
    """Give what is sent about a case."""
    shown = view(case)
    common = {name: getattr(shown, name) for name in OutgoingCase.model_fields if name != "source"}
    return OutgoingCase(source=REPORT_SOURCE, **common)


def _evidence(ref: EvidenceRef) -> EvidenceView:
    return EvidenceView(
        role=ref.role,
        sha256=ref.sha256,
        media_type=ref.media_type,
        path=evidence_path(ref.sha256),
        size_bytes=ref.size_bytes,
        frame_index=ref.frame_index,
        at=ref.at,
    )


def _dispatch(dispatch: Dispatch) -> DispatchView:
    return DispatchView(
        dispatch_id=dispatch.dispatch_id,
        state=dispatch.state,
        attempts=dispatch.attempts,
        next_at=dispatch.next_at,
        last_error=dispatch.last_error,
        receipt=dispatch.receipt,
    )
