"""Case, its status and the legal steps between them. Pure: no clock, no IO.

    reported ──confirm──> confirmed ──dispatch──> dispatched ──handle──> handled ──close──> closed
        └────reject──> rejected                        └──return──> returned

`STAGE_OF` says in which of the seven stages of digital city management each status stands. The closed loop
adds a post-fix check between handled and closed, the desk adds cancelling and dispatching again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, Field, model_validator

from api.correction import Correction, ReasonCode, fault_of
from ingest.report import Box, CaseReport, EventEnd, EvidenceRef, Wire

CASE_NAMESPACE: Final = UUID("c9a0c1de-52d7-5b0b-8f63-2f8f6d0ce0a4")
"""Namespace of case ids, fixed for ever: two runs over the same footage name the same case."""

DISPATCH_NAMESPACE: Final = UUID("1b0f6a7e-91f3-5d1c-9c35-7de0c2f6f1aa")
"""Namespace of idempotency keys, fixed for ever: changing it would file every case a second time."""

AUTO: Final = "auto"
"""The reviewer named in cases that `--auto-confirm` confirmed."""

ALWAYS_REVIEWED: Final = frozenset({"flying_wire"})
"""Kinds that no setting may confirm without a person."""


class CaseStatus(StrEnum):
    """Where a case stands."""

    REPORTED = "reported"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    DISPATCHED = "dispatched"
    RETURNED = "returned"
    HANDLED = "handled"
    CLOSED = "closed"


class Stage(StrEnum):
    """The seven stages: 信息收集 核实 立案 派遣 处置 核查 结案."""

    COLLECTION = "collection"
    PRE_FILING_VERIFY = "pre_filing_verify"
    FILING = "filing"
    DISPATCH = "dispatch"
    DISPOSAL = "disposal"
    POST_FIX_CHECK = "post_fix_check"
    CLOSING = "closing"


STAGE_OF: Final[Mapping[CaseStatus, Stage]] = MappingProxyType(
    {
        CaseStatus.REPORTED: Stage.PRE_FILING_VERIFY,
        CaseStatus.REJECTED: Stage.PRE_FILING_VERIFY,
        CaseStatus.CONFIRMED: Stage.FILING,
        CaseStatus.RETURNED: Stage.DISPATCH,
        CaseStatus.DISPATCHED: Stage.DISPOSAL,
        CaseStatus.HANDLED: Stage.POST_FIX_CHECK,
        CaseStatus.CLOSED: Stage.CLOSING,
    }
)


class Step(StrEnum):
    """What moves a case from one status to the next."""

    CONFIRM = "confirm"
    REJECT = "reject"
    DISPATCH = "dispatch"
    RETURN = "return"
    HANDLE = "handle"
    CLOSE = "close"


LEGAL_STEPS: Final[Mapping[tuple[CaseStatus, Step], CaseStatus]] = MappingProxyType(
    {
        (CaseStatus.REPORTED, Step.CONFIRM): CaseStatus.CONFIRMED,
        (CaseStatus.REPORTED, Step.REJECT): CaseStatus.REJECTED,
        (CaseStatus.CONFIRMED, Step.DISPATCH): CaseStatus.DISPATCHED,
        (CaseStatus.DISPATCHED, Step.RETURN): CaseStatus.RETURNED,
        (CaseStatus.DISPATCHED, Step.HANDLE): CaseStatus.HANDLED,
        (CaseStatus.HANDLED, Step.CLOSE): CaseStatus.CLOSED,
    }
)


def after(status: CaseStatus, step: Step) -> CaseStatus | None:
    """Give the status after a step, None where the step is not legal.

    >>> after(CaseStatus.REPORTED, Step.CONFIRM)
    <CaseStatus.CONFIRMED: 'confirmed'>
    >>> after(CaseStatus.REJECTED, Step.CONFIRM) is None
    True
    """
    return LEGAL_STEPS.get((status, step))


def case_id_of(report_id: UUID) -> UUID:
    """Give the id of the case that a report opens.

    >>> case_id_of(UUID(int=1)) == case_id_of(UUID(int=1))
    True
    """
    return uuid5(CASE_NAMESPACE, str(report_id))


def idempotency_key_of(case_id: UUID, action: str) -> UUID:
    """Give the key under which a receiver makes one thing of one action, however often it is sent.

    Source: draft-ietf-httpapi-idempotency-key-header-07.
    """
    return uuid5(DISPATCH_NAMESPACE, f"{case_id}|{action}")


Verdict = Literal["confirm", "reject"]
DispatchState = Literal["pending", "delivered", "dead"]


class ReviewRequest(Wire):
    """What an operator decides, and which version of the case was looked at (left out: any will do)."""

    verdict: Verdict = Field(description="confirm files the case and hands it to dispatch; reject ends it.")
    operator: str = Field(min_length=1, max_length=100, description="Who decided.", examples=["li.na"])
    reason: str = Field(default="", max_length=1000, description="Why; shown in the history.")
    reason_code: ReasonCode | None = Field(
        default=None, description="Why it is rejected, as the training of the next model reads it."
    )
    correction: Correction | None = Field(
        default=None, description="Where or what the thing really is, for the training of the next model."
    )
    version: int | None = Field(
        default=None, ge=1, description="Version of the case that was looked at; 409 when it moved on."
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if fault := fault_of(self.verdict, self.reason_code, self.correction):
            raise ValueError(fault)
        return self


class Review(Wire):
    """One decision of one operator, or of `auto`."""

    verdict: Verdict
    operator: str
    reason: str
    reason_code: ReasonCode | None = None
    correction: Correction | None = None
    at: AwareDatetime


class Receipt(Wire):
    """What a platform answers: its own number for the case, kept as an opaque string."""

    receipt_id: str = Field(min_length=1, max_length=200, examples=["SZ20261123091500000001"])
    accepted_at: AwareDatetime | None = None
    deadline: AwareDatetime | None = None


class Dispatch(Wire):
    """How far the filing of one case has come."""

    dispatch_id: UUID
    action: str
    state: DispatchState
    attempts: int = Field(ge=0)
    idempotency_key: UUID
    created_at: AwareDatetime
    next_at: AwareDatetime | None = Field(default=None, description="When it is tried (again).")
    last_error: str = ""
    receipt: Receipt | None = None


class HistoryEntry(Wire):
    """One line of append-only history; `entry` counts over all cases: a cursor for what is new."""

    entry: int
    case_id: UUID
    at: AwareDatetime
    what: str = Field(examples=["reported", "confirm", "dispatch_failed"])
    actor: str
    note: str
    status: CaseStatus


class Case(Wire):
    """What people did with one report. `version` grows with every change (optimistic lock)."""

    case_id: UUID
    report: CaseReport
    status: CaseStatus
    version: int = Field(ge=1)
    received_at: AwareDatetime
    updated_at: AwareDatetime
    end: EventEnd | None = None
    reviews: tuple[Review, ...] = ()
    dispatch: Dispatch | None = None
    traceparent: str = Field(default="", description="Its place in the trace of the frame that it came of.")

    @property
    def evidence(self) -> tuple[EvidenceRef, ...]:
        """Give all evidence, sealed originals included, that of the end of the event last."""
        return self.report.evidence + (self.end.evidence if self.end else ())

    @property
    def public_evidence(self) -> tuple[EvidenceRef, ...]:
        """Give the evidence that may be shown and sent: never a sealed original."""
        return tuple(ref for ref in self.evidence if not ref.sealed)

    @property
    def box(self) -> Box:
        """Give where the thing is in the far still, fractions of width and height."""
        return self.report.box

    @property
    def ended_at(self) -> datetime | None:
        """Give when the thing was gone, None while it is still there as far as known."""
        return self.end.ended_at if self.end else None


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """Which cases, newest first. `before` is the cursor that a page gave."""

    statuses: tuple[CaseStatus, ...] = ()
    kinds: tuple[str, ...] = ()
    source_ids: tuple[str, ...] = ()
    since: datetime | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CasePage:
    """Some cases, newest first, and the cursor of the next older ones (None: these were the last)."""

    cases: tuple[Case, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One decision and the case it was about; `entry` counts over all decisions: a cursor."""

    entry: int
    case: Case
    review: Review


@dataclass(frozen=True, slots=True)
class VerdictQuery:
    """Which decisions, oldest first: made at or after `since`, and after the cursor that a page gave."""

    since: datetime | None = None
    after: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class VerdictPage:
    """Some decisions, oldest first, and the cursor of the next newer ones (None: these were the last)."""

    verdicts: tuple[Judged, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class DispatchJob:
    """One thing to send: the dispatch row, the case it is about, and the body as it stood at confirmation.

    `traceparent`: the case's place in a trace, "" where none is recorded.
    """

    case_id: UUID
    dispatch: Dispatch
    body: str
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cases there are, by status, kind and source; how many dispatches, by state.

    `oldest_pending_at`: when the dispatch was decided that has waited longest; None: none waits.
    """

    by_status: dict[str, int] = field(default_factory=dict)
    by_kind: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, int] = field(default_factory=dict)
    by_dispatch_state: dict[str, int] = field(default_factory=dict)
    oldest_pending_at: datetime | None = None


class LeaseRequest(Wire):
    """Who asks for which cameras, and for how long; 0 s gives them up."""

    owner: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    ttl_s: float = Field(ge=0, le=3600, allow_inf_nan=False)
    sources: tuple[Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$")], ...] = Field(
        min_length=1, max_length=1000
    )


class Lease(Wire):
    """Who watches a camera, since when and until when if it is not renewed."""

    source_id: str
    owner: str
    since: AwareDatetime
    until: AwareDatetime


class LeaseAnswer(Wire):
    """Which cameras the asker has now, and which are another's."""

    held: tuple[Lease, ...]
    refused: tuple[Lease, ...]


def open_case(report: CaseReport, at: datetime, traceparent: str = "") -> Case:
    """Give the new case of a report; `traceparent`: its place in a trace."""
    return Case(
        case_id=case_id_of(report.report_id),
        report=report,
        status=CaseStatus.REPORTED,
        version=1,
        received_at=at,
        updated_at=at,
        traceparent=traceparent,
    )


def moved(case: Case, step: Step, at: datetime) -> Case | None:
    """Give the case after a step, one version on; None where the step is not legal."""
    status = after(case.status, step)
    if status is None:
        return None
    return case.model_copy(update={"status": status, "version": case.version + 1, "updated_at": at})
