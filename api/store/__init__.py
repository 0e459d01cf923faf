"""CaseStore: where cases live. Protocol and kinds only; nothing but `api.services` writes through it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol, cast
from uuid import UUID

from api.types import (
    Case,
    CasePage,
    CaseQuery,
    Counts,
    Dispatch,
    DispatchJob,
    HistoryEntry,
    Lease,
    Review,
    VerdictPage,
    VerdictQuery,
)
from detector.errors import WrongUse
from ingest.report import EventEnd

KINDS: Final = MappingProxyType({"sqlite": "api.store.sql:SqlStore", "postgresql": "api.store.sql:SqlStore"})


class AlreadyReportedError(Exception):
    """A case of this report id is there already; another thread or process was faster."""


class CaseTransaction(Protocol):
    """Everything between one begin and one commit; an exception rolls all of it back."""

    def add_case(self, case: Case, digest: str) -> None:
        """Add a new case. Raises: AlreadyReportedError."""

    def case(self, case_id: UUID) -> Case | None:
        """Give one case; in a writing transaction nobody else changes it until commit."""

    def case_of_report(self, report_id: UUID) -> tuple[Case, str] | None:
        """Give the case of a report and the digest of the payload that opened it."""

    def cases(self, query: CaseQuery) -> CasePage:
        """Give a page of cases, newest first."""

    def save(self, case: Case) -> None:
        """Write status and version back. Raises: Conflict when the stored version is not the one before."""

    def set_end(self, case_id: UUID, end: EventEnd, at: datetime) -> None:
        """Note that the thing is gone; no decision of a person is affected, so the version stays."""

    def add_review(self, case_id: UUID, review: Review) -> None:
        """Add a decision."""

    def verdicts(self, query: VerdictQuery) -> VerdictPage:
        """Give decisions with their cases, oldest first."""

    def add_history(self, entry: HistoryEntry) -> None:
        """Append a line (its `entry` number is given by the store)."""

    def history(self, case_id: UUID) -> Sequence[HistoryEntry]:
        """Give a case's lines, oldest first."""

    def changes(self, after: int, limit: int) -> Sequence[HistoryEntry]:
        """Give the lines of all cases after a cursor, oldest first."""

    def last_change(self) -> int:
        """Give the cursor of the newest line, 0 where there is none."""

    def add_dispatch(self, job: DispatchJob) -> None:
        """Put something to send into the outbox; committed with the decision that caused it."""

    def dispatch(self, dispatch_id: UUID) -> DispatchJob | None:
        """Give one dispatch."""

    def lease_dispatches(self, now: datetime, until: datetime, limit: int) -> Sequence[DispatchJob]:
        """Take what is due and not taken, for oneself alone until a time."""

    def save_dispatch(self, dispatch: Dispatch) -> None:
        """Write a dispatch back and give up the lease on it."""

    def dispatches(self, state: str, limit: int) -> Sequence[DispatchJob]:
        """Give the dispatches in one state, oldest first."""

    def first_callback(self, message_id: str, at: datetime) -> bool:
        """Note a callback's message id; False where it was noted before."""

    def take_leases(
        self, sources: Sequence[str], owner: str, now: datetime, until: datetime
    ) -> Sequence[Lease]:
        """Take or renew what nobody else has at `now`; give the leases of all, as they stand then."""

    def drop_leases(self, sources: Sequence[str], owner: str) -> None:
        """Give up what `owner` has."""

    def counts(self) -> Counts:
        """Count cases and dispatches."""


class CaseStore(Protocol):
    """Where cases live."""

    def read(self) -> AbstractContextManager[CaseTransaction]:
        """Begin a transaction that only reads."""

    def write(self) -> AbstractContextManager[CaseTransaction]:
        """Begin a transaction that may write; committed at the end, rolled back on an exception."""

    def close(self) -> None:
        """Close all connections."""


def open_store(url: str) -> CaseStore:
    """Open the store of a SQLAlchemy URL and bring its tables up to date.

    Raises:
        WrongUse: no such kind of store.
        Failure: the store cannot be opened, is no database, or was written by a newer Kerbwatch.
    """
    kind = url.partition(":")[0].partition("+")[0]
    if kind not in KINDS:
        raise WrongUse(f"there is no store of kind {kind!r}; there are {', '.join(sorted(KINDS))}.")
    module, _, name = KINDS[kind].partition(":")
    return cast("CaseStore", getattr(importlib.import_module(module), name)(url))
