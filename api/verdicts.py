"""Verdict JSON: what people decided about a report, as the training of the next model reads it. Pure.

No operator's name and no free text leave with it. Sealed originals are named by hash, never by address: who
may read the server's own disk finds them there, nobody else.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from api.correction import Correction, ReasonCode
from api.types import AUTO, Judged, Verdict
from ingest.report import Box, EvidenceRef, Wire


class VerdictView(Wire):
    """One decision and the claim it judges."""

    model_config = ConfigDict(title="Verdict")

    entry: int = Field(description="Counts over all decisions; pass the last one as `after`.")
    case_id: UUID
    verdict: Verdict
    by: Literal["person", "auto"] = Field(description="auto: no person has looked.")
    reason_code: ReasonCode | None
    correction: Correction | None
    reviewed_at: AwareDatetime
    kind: str
    variant: str
    label: str
    box: Box = Field(description="Fractions of width and height of the far still.")
    confidence: float
    model: str
    source_id: str
    zone_id: str
    site: str
    started_at: AwareDatetime
    observed_at: AwareDatetime
    stills: tuple[EvidenceRef, ...] = Field(
        description="Pictures; the sealed far one is the unredacted frame of `box`, and is never served."
    )


def verdict_view(judged: Judged) -> VerdictView:
    """Give the Verdict JSON of a decision."""
    report, review = judged.case.report, judged.review
    return VerdictView(
        entry=judged.entry,
        case_id=judged.case.case_id,
        verdict=review.verdict,
        by="auto" if review.operator == AUTO else "person",
        reason_code=review.reason_code,
        correction=review.correction,
        reviewed_at=review.at,
        kind=report.kind,
        variant=report.variant,
        label=report.label,
        box=report.box,
        confidence=report.confidence,
        model=report.model,
        source_id=report.source_id,
        zone_id=report.zone_id,
        site=report.site,
        started_at=report.started_at,
        observed_at=report.observed_at,
        stills=tuple(ref for ref in report.evidence if ref.media_type == "image/jpeg"),
    )
