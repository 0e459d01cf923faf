"""The use cases, one method each. Page, routes and dispatch worker call these; nothing else writes.

Every method is one short transaction. Whatever is raised, nothing of it was stored.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid5

from pydantic import AwareDatetime, Field

from api import tracing
from api.correction import ReasonCode, reason_code_of
from api.errors import Conflict, MissingEvidence, NotFound, ReportDiffers, Unacceptable, UnsupportedMedia
from api.evidence import MEDIA_TYPES, EvidenceFile, EvidenceStore
from api.settings import AutoConfirm, Limits, Retry
from api.store import AlreadyReportedError, CaseStore, CaseTransaction
from api.types import (
    AUTO,
    Case,
    CasePage,
    CaseQuery,
    CaseStatus,
    Counts,
    Dispatch,
    DispatchJob,
    HistoryEntry,
    LeaseAnswer,
    LeaseRequest,
    Receipt,
    Review,
    ReviewRequest,
    Step,
    VerdictPage,
    VerdictQuery,
    idempotency_key_of,
    moved,
    open_case,
)
from api.view import outgoing
from ingest.report import CaseReport, EventEnd, EvidenceRef, Wire

__all__ = ["Callback", "CasePage", "CaseQuery", "Counts", "DispatchJob", "Services", "utc_now"]

log = logging.getLogger(__name__)

FILE_CASE: Final = "file"
"""The one action sent so far: file this case (立案上报). The closed loop adds more."""

SAME_IOU: Final = 0.5
"""Overlap of two boxes from which they are one thing's, as the rules have it."""
TWINS_MAX: Final = 200
"""Newest cases of a camera and kind that are looked at for the thing of an unaware report."""
STEP_OF_VERDICT: Final = {"confirm": Step.CONFIRM, "reject": Step.REJECT}
DISPATCHER: Final = "dispatcher"
PLATFORM: Final = "platform"


class Callback(Wire):
    """What a platform tells about a case it took."""

    case_id: UUID
    receipt_id: str = Field(min_length=1, max_length=200)
    status: Literal["accepted", "handled", "returned", "closed"]
    at: AwareDatetime
    note: str = Field(default="", max_length=1000)


STEPS_OF_CALLBACK: Final = {
    "accepted": (),
    "handled": (Step.HANDLE,),
    "returned": (Step.RETURN,),
    "closed": (Step.HANDLE, Step.CLOSE),
}


def utc_now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases over a store, an evidence store and a few settings."""

    store: CaseStore
    evidence: EvidenceStore
    auto_confirm: tuple[AutoConfirm, ...] = ()
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    now: Callable[[], datetime] = utc_now
    chance: Callable[[], float] = random.random

    # -- evidence --

    def put_evidence(
        self, sha256: str, media_type: str, chunks: Iterable[bytes], *, sealed: bool
    ) -> EvidenceFile:
        """Store a picture or clip under its sha256; storing it twice is storing it once.

        Raises:
            UnsupportedMedia, Unacceptable, EvidenceMismatch, TooLarge, OutOfSpace
        """
        if media_type not in MEDIA_TYPES:
            raise UnsupportedMedia(f"evidence is image/jpeg or video/mp4, not {media_type[:80]!r}.")
        limit = self.limits.evidence_bytes
        return self.evidence.put(sha256, media_type, chunks, sealed=sealed, limit_bytes=limit)

    def find_evidence(self, sha256: str) -> EvidenceFile:
        """Give a public file; a sealed original is not found, whoever asks. Raises: NotFound."""
        file = self.evidence.find(sha256, sealed=False)
        if file is None:
            raise NotFound(f"there is no public evidence {sha256}.")
        return file

    def read_evidence(self, file: EvidenceFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes of a file from start up to, not including, stop."""
        return self.evidence.read(file, start, stop)

    def _require_evidence(self, refs: Sequence[EvidenceRef]) -> None:
        found = [(ref, self.evidence.find(ref.sha256, sealed=ref.sealed)) for ref in refs]
        missing = sorted({ref.sha256 for ref, file in found if file is None})
        if missing:
            raise MissingEvidence(
                f"evidence {', '.join(missing)} was not uploaded: PUT it to /v1/evidence, then send again.",
                missing=missing,
            )
        for ref, file in found:
            if file and (file.size_bytes, file.media_type) != (ref.size_bytes, ref.media_type):
                raise Unacceptable(
                    f"evidence {ref.sha256} is {file.media_type} of {file.size_bytes} bytes, "
                    f"the report says {ref.media_type} of {ref.size_bytes}."
                )

    # -- reports --

    def accept_report(self, report: CaseReport) -> tuple[Case, bool]:
        """Open the case of a report; give it and whether it is new (the same report again is not).

        A report that is `unaware` opens none where its thing has one: a case of the same camera, zone and
        kind at the same place that was open when the thing was seen. Others are taken at their word, for a
        watcher that knows what is open may well see the next thing where the last one stood.

        Raises:
            ReportDiffers: this id was used with another payload. MissingEvidence: upload first.
            Unacceptable: the report contradicts itself or its evidence.
        """
        with tracing.step("accept_report", **{"kerbwatch.report_id": str(report.report_id)}):
            return self._accept(report)

    def _accept(self, report: CaseReport) -> tuple[Case, bool]:
        digest = _digest(report)
        if report.observed_at < report.started_at:
            raise Unacceptable("observed_at: an event cannot be observed before it started.")
        known = self._known(report, digest)
        if known is not None:
            return known, False
        self._require_evidence(report.evidence)
        try:
            with self.store.write() as tx:
                if report.unaware and (twin := _twin(tx, report)) is not None:
                    log.info("report %s is of the thing of case %s", report.report_id, twin.case_id)
                    return twin, False
                case = self._open(tx, report, digest)
        except AlreadyReportedError:
            known = self._known(report, digest)
            if known is None:
                raise
            return known, False
        return case, True

    def _known(self, report: CaseReport, digest: str) -> Case | None:
        with self.store.read() as tx:
            known = tx.case_of_report(report.report_id)
        if known is None:
            return None
        case, known_digest = known
        if known_digest != digest and not report.unaware:
            raise ReportDiffers(
                f"report {report.report_id} was accepted before with another payload.",
                case_id=str(case.case_id),
            )
        return case

    def _open(self, tx: CaseTransaction, report: CaseReport, digest: str) -> Case:
        case = open_case(report, self.now(), tracing.carried())
        tx.add_case(case, digest)
        self._note(tx, case, "reported", report.source_id, f"{report.model} {report.confidence:.2f}")
        rule = next((rule for rule in self.auto_confirm if rule.covers(report)), None)
        if rule is None:
            return case
        return self._decide(tx, case, ReviewRequest(verdict="confirm", operator=AUTO, reason=rule.reason))

    def end_event(self, end: EventEnd) -> Case:
        """Note that the thing of a report is gone; told twice, the first end stands.

        Raises:
            NotFound: no such report. MissingEvidence. Unacceptable: it ended before it started.
        """
        with self.store.read() as tx:
            known = tx.case_of_report(end.report_id)
        if known is None:
            raise NotFound(f"there is no report {end.report_id}.")
        if known[0].end is not None:
            return known[0]
        if end.ended_at < known[0].report.started_at:
            raise Unacceptable("ended_at: an event cannot end before it started.")
        self._require_evidence(end.evidence)
        with self.store.write() as tx:
            case = _found(tx, known[0].case_id)
            if case.end is None:
                tx.set_end(case.case_id, end, self.now())
                self._note(tx, case, "ended", case.report.source_id, "")
            return _found(tx, case.case_id)

    # -- cameras --

    def take_leases(self, request: LeaseRequest) -> LeaseAnswer:
        """Give an owner those of the cameras that nobody else has now; 0 s gives them up."""
        now = self.now()
        with self.store.write() as tx:
            if not request.ttl_s:
                tx.drop_leases(request.sources, request.owner)
                return LeaseAnswer(held=(), refused=())
            leases = tx.take_leases(
                request.sources, request.owner, now, now + timedelta(seconds=request.ttl_s)
            )
        return LeaseAnswer(
            held=tuple(lease for lease in leases if lease.owner == request.owner),
            refused=tuple(lease for lease in leases if lease.owner != request.owner),
        )

    # -- cases --

    def list_cases(self, query: CaseQuery) -> CasePage:
        """Give a page of cases, newest first."""
        with self.store.read() as tx:
            return tx.cases(query)

    def get_case(self, case_id: UUID) -> Case:
        """Give one case. Raises: NotFound."""
        with self.store.read() as tx:
            return _found(tx, case_id)

    def history(self, case_id: UUID) -> Sequence[HistoryEntry]:
        """Give everything that happened to a case, oldest first. Raises: NotFound."""
        with self.store.read() as tx:
            _found(tx, case_id)
            return tx.history(case_id)

    def changes(self, after: int, limit: int = 100) -> Sequence[HistoryEntry]:
        """Give what happened to any case after a cursor, oldest first: the way to follow along live."""
        with self.store.read() as tx:
            return tx.changes(after, limit)

    def last_change(self) -> int:
        """Give the cursor of the newest change, 0 where nothing ever happened."""
        with self.store.read() as tx:
            return tx.last_change()

    def statistics(self) -> Counts:
        """Count cases by status, kind and source, and dispatches by state."""
        with self.store.read() as tx:
            return tx.counts()

    def verdicts(self, query: VerdictQuery) -> VerdictPage:
        """Give decisions with their cases, oldest first: what the next model learns from."""
        with self.store.read() as tx:
            return tx.verdicts(query)

    def review_case(self, case_id: UUID, review: ReviewRequest) -> Case:
        """Take a person's decision. A confirmed case is handed to dispatch in the same transaction.

        Raises:
            NotFound. Conflict: decided otherwise before, or changed since `version`.
            Unacceptable: the operator is called `auto`.
        """
        if review.operator == AUTO:
            raise Unacceptable(f"operator: {AUTO!r} is the name of automatic confirmation, not of a person.")
        _no_nul(review.operator, review.reason)
        with self.store.write() as tx:
            case = _found(tx, case_id)
            if _said_before(case, review):
                return case
            if review.version is not None and review.version != case.version:
                raise Conflict(
                    f"case {case_id} is at version {case.version} by now, not {review.version}: look again.",
                    version=case.version,
                    case_status=case.status,
                )
            return self._decide(tx, case, review)

    def _decide(self, tx: CaseTransaction, case: Case, request: ReviewRequest) -> Case:
        reason = request.reason or request.reason_code or ""  # a code alone is shown like one written as text
        after = self._step(tx, case, STEP_OF_VERDICT[request.verdict], request.operator, reason)
        review = Review(
            verdict=request.verdict,
            operator=request.operator,
            reason=reason,
            reason_code=_code_of(request),
            correction=request.correction,
            at=after.updated_at,
        )
        tx.add_review(case.case_id, review)
        if after.status is CaseStatus.CONFIRMED:
            tx.add_dispatch(_filing(after))
        return _found(tx, case.case_id)

    def _step(self, tx: CaseTransaction, case: Case, step: Step, actor: str, note: str) -> Case:
        after = moved(case, step, self.now())
        if after is None:
            raise Conflict(
                f"case {case.case_id} is {case.status}: {step} is not possible.",
                version=case.version,
                case_status=case.status,
            )
        tx.save(after)
        self._note(tx, after, step, actor, note)
        return after

    def _note(self, tx: CaseTransaction, case: Case, what: str, actor: str, note: str) -> None:
        tx.add_history(
            HistoryEntry(
                entry=0,
                case_id=case.case_id,
                at=self.now(),
                what=what,
                actor=actor,
                note=note,
                status=case.status,
            )
        )

    # -- dispatch --

    def due_dispatches(self, limit: int = 16) -> Sequence[DispatchJob]:
        """Take what is due to be sent; nobody else gets it until the lease ends."""
        now = self.now()
        with self.store.write() as tx:
            return tx.lease_dispatches(now, now + timedelta(seconds=self.retry.lease_s), limit)

    def record_receipt(self, dispatch_id: UUID, receipt: Receipt) -> Case:
        """Note a platform's receipt: the case is dispatched. Told twice, the first receipt stands."""
        with self.store.write() as tx:
            job = _found_job(tx, dispatch_id)
            case = _found(tx, job.case_id)
            if job.dispatch.state == "delivered":
                return case
            return self._delivered(tx, case, job, receipt)

    def _delivered(self, tx: CaseTransaction, case: Case, job: DispatchJob, receipt: Receipt) -> Case:
        done = {
            "state": "delivered",
            "attempts": job.dispatch.attempts + 1,
            "next_at": None,
            "last_error": "",
            "receipt": receipt,
        }
        tx.save_dispatch(job.dispatch.model_copy(update=done))
        self._step(tx, case, Step.DISPATCH, PLATFORM, receipt.receipt_id)
        return _found(tx, case.case_id)

    def record_failure(
        self, dispatch_id: UUID, reason: str, *, permanent: bool, retry_after_s: float | None = None
    ) -> Dispatch:
        """Note a failed attempt: tried again later, or a dead letter when permanent or tried too often."""
        with self.store.write() as tx:
            job = _found_job(tx, dispatch_id)
            if job.dispatch.state != "pending":
                return job.dispatch
            attempts = job.dispatch.attempts + 1
            dead = permanent or attempts >= self.retry.attempts_max
            pause = self.retry.delay_s(attempts, self.chance(), retry_after_s)
            change = {
                "state": "dead" if dead else "pending",
                "attempts": attempts,
                "next_at": None if dead else self.now() + timedelta(seconds=pause),
                "last_error": reason,
            }
            dispatch = job.dispatch.model_copy(update=change)
            tx.save_dispatch(dispatch)
            if dead or reason != job.dispatch.last_error:  # a night without the platform is one line, not 120
                case = _found(tx, job.case_id)
                self._note(tx, case, "dead_letter" if dead else "dispatch_failed", DISPATCHER, reason)
            return dispatch

    def handle_callback(self, message_id: str, callback: Callback) -> Case:
        """Take a platform's word on a case; the same message twice counts once.

        A callback that overtakes the answer to our own request proves that the request arrived: it stands
        for the receipt.

        Raises:
            NotFound. Conflict: the case was never sent, has another receipt, or is past that step.
        """
        _no_nul(message_id, callback.receipt_id, callback.note)
        with self.store.write() as tx:
            case = _found(tx, callback.case_id)
            if not tx.first_callback(message_id, self.now()):
                return case
            case = self._with_receipt(tx, case, callback)
            for step in STEPS_OF_CALLBACK[callback.status]:
                if not _behind(case.status, step):
                    case = self._step(tx, case, step, PLATFORM, callback.note)
            return _found(tx, case.case_id)

    def _with_receipt(self, tx: CaseTransaction, case: Case, callback: Callback) -> Case:
        dispatch = case.dispatch
        if dispatch is None:
            raise Conflict(f"case {case.case_id} was never sent to a platform.")
        if dispatch.receipt is None:
            receipt = Receipt(receipt_id=callback.receipt_id, accepted_at=callback.at)
            return self._delivered(tx, case, _found_job(tx, dispatch.dispatch_id), receipt)
        if dispatch.receipt.receipt_id != callback.receipt_id:
            raise Conflict(
                f"case {case.case_id} has the receipt {dispatch.receipt.receipt_id!r}, "
                f"not {callback.receipt_id!r}."
            )
        return case

    def dead_letters(self, limit: int = 200) -> Sequence[DispatchJob]:
        """Give what could not be sent, oldest first."""
        with self.store.read() as tx:
            return tx.dispatches("dead", limit)

    def redrive(self, dispatch_id: UUID, operator: str) -> DispatchJob:
        """Send a dead letter again, under the same idempotency key.

        Raises:
            NotFound: no such dispatch. Conflict: it is not dead.
        """
        _no_nul(operator)
        with self.store.write() as tx:
            job = _found_job(tx, dispatch_id)
            if job.dispatch.state != "dead":
                raise Conflict(f"dispatch {dispatch_id} is {job.dispatch.state}, not a dead letter.")
            change = {"state": "pending", "attempts": 0, "next_at": self.now()}
            dispatch = job.dispatch.model_copy(update=change)
            tx.save_dispatch(dispatch)
            self._note(tx, _found(tx, job.case_id), "redrive", operator, job.dispatch.last_error)
            return DispatchJob(case_id=job.case_id, dispatch=dispatch, body=job.body)


def _found(tx: CaseTransaction, case_id: UUID) -> Case:
    case = tx.case(case_id)
    if case is None:
        raise NotFound(f"there is no case {case_id}.")
    return case


def _found_job(tx: CaseTransaction, dispatch_id: UUID) -> DispatchJob:
    job = tx.dispatch(dispatch_id)
    if job is None:
        raise NotFound(f"there is no dispatch {dispatch_id}.")
    return job


def _said_before(case: Case, review: ReviewRequest) -> bool:
    """Say whether this operator decided just this before: a repeated click, a repeated request.

    One that brings a correction or a reason code that the first did not have is not: it would be lost.
    """
    if not case.reviews:
        return False
    last = case.reviews[-1]
    return (
        (last.verdict, last.operator) == (review.verdict, review.operator)
        and review.correction in {None, last.correction}
        and review.reason_code in {None, last.reason_code}
    )


def _code_of(request: ReviewRequest) -> ReasonCode | None:
    """Give the reason code of a rejection; the page writes it as the reason's text."""
    return request.reason_code or (reason_code_of(request.reason) if request.verdict == "reject" else None)


def _behind(status: CaseStatus, step: Step) -> bool:
    """Say whether a status is one that a step has led to, or passed through, already."""
    return status in {
        Step.HANDLE: {CaseStatus.HANDLED, CaseStatus.CLOSED},
        Step.CLOSE: {CaseStatus.CLOSED},
        Step.RETURN: {CaseStatus.RETURNED},
    }.get(step, set())


def _filing(case: Case) -> DispatchJob:
    key = idempotency_key_of(case.case_id, FILE_CASE)
    dispatch = Dispatch(
        dispatch_id=uuid5(key, "dispatch"),
        action=FILE_CASE,
        state="pending",
        attempts=0,
        idempotency_key=key,
        created_at=case.updated_at,
        next_at=case.updated_at,
    )
    return DispatchJob(
        case_id=case.case_id,
        dispatch=dispatch,
        body=outgoing(case).model_dump_json(),
        traceparent=case.traceparent,
    )


def _twin(tx: CaseTransaction, report: CaseReport) -> Case | None:
    """Give the case of the thing that a report is of, if there is one."""
    query = CaseQuery(source_ids=(report.source_id,), kinds=(report.kind,), limit=TWINS_MAX)
    for case in tx.cases(query).cases:
        known = case.report
        was_open = case.end is None or case.end.ended_at >= report.observed_at
        alike = known.zone_id == report.zone_id and known.box.iou(report.box) >= SAME_IOU
        if was_open and alike and known.started_at <= report.started_at:
            return case
    return None


def _digest(report: CaseReport) -> str:
    try:
        fields = report.model_dump(mode="json", exclude=None if report.unaware else {"unaware"})
        payload = json.dumps(fields, sort_keys=True, allow_nan=False)
    except ValueError as error:
        raise Unacceptable("the report holds a number that is not finite.") from error
    _no_nul(*_strings(report))
    return hashlib.sha256(payload.encode()).hexdigest()


def _strings(report: CaseReport) -> Iterator[str]:
    yield from (report.variant, report.source_id, report.zone_id, report.site, report.label)
    yield from (report.code.scheme, report.code.version, report.code.code)


def _no_nul(*texts: str) -> None:
    if any("\x00" in text for text in texts):
        raise Unacceptable("text must not hold the character NUL.")
