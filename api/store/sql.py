"""CaseStore in SQL: SQLite (default, WAL) and PostgreSQL, both through SQLAlchemy."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, Select, case, create_engine, delete, event, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.pool import ConnectionPoolEntry

from api.errors import Conflict, OutOfSpace, StoreBusy
from api.store import AlreadyReportedError
from api.store.tables import CallbackRow, CaseRow, DispatchRow, HistoryRow, LeaseRow, ReviewRow
from api.types import (
    Case,
    CasePage,
    CaseQuery,
    CaseStatus,
    Counts,
    Dispatch,
    DispatchJob,
    HistoryEntry,
    Judged,
    Lease,
    Receipt,
    Review,
    VerdictPage,
    VerdictQuery,
)
from detector.errors import Failure, WrongUse
from ingest.report import CaseReport, EventEnd

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
UPGRADE_LOCK: Final = 0x6B657262
"""Any number that no other program on the same database takes: "kerb"."""
BUSY_TIMEOUT_MS: Final = 10_000
WRITES: Final = "kerbwatch_writes"


class SqlStore:
    """Keep cases in the database of a SQLAlchemy URL.

    Raises:
        WrongUse: the URL is none, or its driver is not installed.
        Failure: the database cannot be opened or was written by a newer Kerbwatch.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine_of(url)
        try:
            upgrade(self._engine)
        except CommandError as error:
            self._engine.dispose()
            raise Failure(f"the store {_shown(url)} was written by a newer Kerbwatch: {error}") from error
        except DatabaseError as error:
            self._engine.dispose()
            raise Failure(f"the store {_shown(url)} cannot be opened: {error.orig}.") from error

    @contextmanager
    def read(self) -> Iterator[SqlTransaction]:
        """Begin a transaction that only reads."""
        with _plain_errors(), self._engine.connect() as connection, Session(connection) as session:
            yield SqlTransaction(session, locking=False)

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        """Begin a transaction that may write; commit at the end, roll back on an exception."""
        with (
            _plain_errors(),
            self._engine.connect().execution_options(**{WRITES: True}) as connection,
            Session(connection) as session,
            session.begin(),
        ):
            yield SqlTransaction(session, locking=True)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


class SqlTransaction:
    """One transaction; see `api.store.CaseTransaction` for what each method promises."""

    def __init__(self, session: Session, *, locking: bool) -> None:
        self._session = session
        self._locking = locking

    def add_case(self, case: Case, digest: str) -> None:
        """Add a new case."""
        report = case.report
        self._session.add(
            CaseRow(
                case_id=case.case_id,
                report_id=report.report_id,
                kind=report.kind,
                source_id=report.source_id,
                observed_at=report.observed_at,
                status=case.status,
                version=case.version,
                received_at=case.received_at,
                updated_at=case.updated_at,
                digest=digest,
                report=report.model_dump(mode="json"),
                traceparent=case.traceparent,
                end=None,
            )
        )
        try:
            self._session.flush()
        except IntegrityError as error:
            raise AlreadyReportedError(str(report.report_id)) from error

    def case(self, case_id: UUID) -> Case | None:
        """Give one case."""
        row = self._one(select(CaseRow).where(CaseRow.case_id == case_id))
        return _case(row) if row else None

    def case_of_report(self, report_id: UUID) -> tuple[Case, str] | None:
        """Give the case of a report and the digest of its payload."""
        row = self._one(select(CaseRow).where(CaseRow.report_id == report_id))
        return (_case(row), row.digest) if row else None

    def _one(self, statement: Select[CaseRow]) -> CaseRow | None:
        if self._locking:
            statement = statement.with_for_update(of=CaseRow)
        return self._session.scalars(
            statement.options(*_PARTS).execution_options(populate_existing=True)
        ).first()

    def cases(self, query: CaseQuery) -> CasePage:
        """Give a page of cases, newest first."""
        statement = select(CaseRow).options(*_PARTS).order_by(CaseRow.seq.desc()).limit(query.limit + 1)
        if query.statuses:
            statement = statement.where(CaseRow.status.in_(query.statuses))
        if query.kinds:
            statement = statement.where(CaseRow.kind.in_(query.kinds))
        if query.source_ids:
            statement = statement.where(CaseRow.source_id.in_(query.source_ids))
        if query.since is not None:
            statement = statement.where(CaseRow.observed_at >= query.since)
        if query.before is not None:
            statement = statement.where(CaseRow.seq < query.before)
        rows = self._session.scalars(statement).all()
        page = rows[: query.limit]
        return CasePage(tuple(map(_case, page)), page[-1].seq if len(rows) > query.limit else None)

    def save(self, case: Case) -> None:
        """Write status and version back, if nobody else did meanwhile."""
        done = self._session.execute(
            update(CaseRow)
            .where(CaseRow.case_id == case.case_id, CaseRow.version == case.version - 1)
            .values(status=case.status, version=case.version, updated_at=case.updated_at)
            .returning(CaseRow.seq)
        ).first()
        if done is None:
            raise Conflict(f"case {case.case_id} was changed by someone else meanwhile: read it again.")

    def set_end(self, case_id: UUID, end: EventEnd, at: datetime) -> None:
        """Note that the thing is gone."""
        self._session.execute(
            update(CaseRow)
            .where(CaseRow.case_id == case_id)
            .values(end=end.model_dump(mode="json"), updated_at=at)
        )

    def add_review(self, case_id: UUID, review: Review) -> None:
        """Add a decision."""
        correction = review.correction.model_dump(mode="json") if review.correction else None
        fields = review.model_dump(exclude={"correction"})
        self._session.add(ReviewRow(case_id=case_id, correction=correction, **fields))
        self._session.flush()

    def verdicts(self, query: VerdictQuery) -> VerdictPage:
        """Give decisions with their cases, oldest first."""
        statement = (
            select(ReviewRow, CaseRow)
            .join(CaseRow, CaseRow.case_id == ReviewRow.case_id)
            .options(*_PARTS)
            .where(ReviewRow.seq > query.after)
            .order_by(ReviewRow.seq)
            .limit(query.limit + 1)
        )
        if query.since is not None:
            statement = statement.where(ReviewRow.at >= query.since)
        rows = self._session.execute(statement).all()
        page = [Judged(review.seq, _case(case), _review(review)) for review, case in rows[: query.limit]]
        return VerdictPage(tuple(page), page[-1].entry if len(rows) > query.limit else None)

    def add_history(self, entry: HistoryEntry) -> None:
        """Append a line."""
        self._session.add(HistoryRow(**entry.model_dump(exclude={"entry"})))
        self._session.flush()

    def history(self, case_id: UUID) -> Sequence[HistoryEntry]:
        """Give a case's lines, oldest first."""
        statement = select(HistoryRow).where(HistoryRow.case_id == case_id).order_by(HistoryRow.seq)
        return [_entry(row) for row in self._session.scalars(statement)]

    def changes(self, after: int, limit: int) -> Sequence[HistoryEntry]:
        """Give the lines of all cases after a cursor, oldest first."""
        statement = select(HistoryRow).where(HistoryRow.seq > after).order_by(HistoryRow.seq).limit(limit)
        return [_entry(row) for row in self._session.scalars(statement)]

    def last_change(self) -> int:
        """Give the cursor of the newest line, 0 where there is none."""
        return self._session.scalar(select(func.max(HistoryRow.seq))) or 0

    def add_dispatch(self, job: DispatchJob) -> None:
        """Put something to send into the outbox."""
        dispatch = job.dispatch
        self._session.add(
            DispatchRow(
                dispatch_id=dispatch.dispatch_id,
                case_id=job.case_id,
                action=dispatch.action,
                idempotency_key=dispatch.idempotency_key,
                body=job.body,
                state=dispatch.state,
                attempts=dispatch.attempts,
                created_at=dispatch.created_at,
                next_at=dispatch.next_at,
                leased_until=None,
                last_error=dispatch.last_error,
                traceparent=job.traceparent,
                receipt=None,
            )
        )
        self._session.flush()

    def dispatch(self, dispatch_id: UUID) -> DispatchJob | None:
        """Give one dispatch."""
        statement = select(DispatchRow).where(DispatchRow.dispatch_id == dispatch_id)
        if self._locking:
            statement = statement.with_for_update()
        row = self._session.scalars(statement.execution_options(populate_existing=True)).first()
        return _job(row) if row else None

    def lease_dispatches(self, now: datetime, until: datetime, limit: int) -> Sequence[DispatchJob]:
        """Take what is due and not taken."""
        rows = self._session.scalars(
            select(DispatchRow)
            .where(DispatchRow.state == "pending", DispatchRow.next_at <= now)
            .where(or_(DispatchRow.leased_until.is_(None), DispatchRow.leased_until <= now))
            .order_by(DispatchRow.next_at, DispatchRow.seq)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        for row in rows:
            row.leased_until = until
        self._session.flush()
        return [_job(row) for row in rows]

    def save_dispatch(self, dispatch: Dispatch) -> None:
        """Write a dispatch back and give up the lease on it."""
        self._session.execute(
            update(DispatchRow)
            .where(DispatchRow.dispatch_id == dispatch.dispatch_id)
            .values(
                state=dispatch.state,
                attempts=dispatch.attempts,
                next_at=dispatch.next_at,
                leased_until=None,
                last_error=dispatch.last_error,
                receipt=dispatch.receipt.model_dump(mode="json") if dispatch.receipt else None,
            )
        )

    def dispatches(self, state: str, limit: int) -> Sequence[DispatchJob]:
        """Give the dispatches in one state, oldest first."""
        statement = (
            select(DispatchRow).where(DispatchRow.state == state).order_by(DispatchRow.seq).limit(limit)
        )
        return [_job(row) for row in self._session.scalars(statement)]

    def first_callback(self, message_id: str, at: datetime) -> bool:
        """Note a callback's message id; False where it was noted before."""
        if self._session.get(CallbackRow, message_id) is not None:
            return False
        self._session.add(CallbackRow(message_id=message_id, at=at))
        self._session.flush()
        return True

    def take_leases(
        self, sources: Sequence[str], owner: str, now: datetime, until: datetime
    ) -> Sequence[Lease]:
        """Take or renew what nobody else has at `now`; one statement, so that two askers cannot both win."""
        names = sorted(set(sources))  # sorted: two askers lock the rows in the same order
        insert = postgresql.insert if self._session.get_bind().dialect.name == "postgresql" else sqlite.insert
        statement = insert(LeaseRow).values(
            [{"source_id": name, "owner": owner, "since": now, "until": until} for name in names]
        )
        new = statement.excluded
        renewed = (LeaseRow.owner == owner) & (LeaseRow.until > now)
        self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[LeaseRow.source_id],
                set_={
                    "owner": new.owner,
                    "since": case((renewed, LeaseRow.since), else_=new.since),
                    "until": new.until,
                },
                where=or_(LeaseRow.owner == owner, LeaseRow.until <= now),
            )
        )
        rows = self._session.scalars(
            select(LeaseRow).where(LeaseRow.source_id.in_(names)).order_by(LeaseRow.source_id)
        )
        return [
            Lease(source_id=row.source_id, owner=row.owner, since=row.since, until=row.until) for row in rows
        ]

    def drop_leases(self, sources: Sequence[str], owner: str) -> None:
        """Give up what `owner` has."""
        self._session.execute(
            delete(LeaseRow).where(LeaseRow.source_id.in_(sources), LeaseRow.owner == owner)
        )

    def counts(self) -> Counts:
        """Count cases and dispatches."""
        return Counts(
            by_status=self._counted(CaseRow.status),
            by_kind=self._counted(CaseRow.kind),
            by_source=self._counted(CaseRow.source_id),
            by_dispatch_state=self._counted(DispatchRow.state),
            oldest_pending_at=self._session.scalar(
                select(func.min(DispatchRow.created_at)).where(DispatchRow.state == "pending")
            ),
        )

    def _counted(self, column: Any) -> dict[str, int]:
        rows = self._session.execute(select(column, func.count()).group_by(column).order_by(column))
        return {str(name): int(count) for name, count in rows}


_PARTS: Final = (selectinload(CaseRow.reviews), selectinload(CaseRow.dispatches))


def _case(row: CaseRow) -> Case:
    return Case(
        case_id=row.case_id,
        report=CaseReport.model_validate(row.report),
        status=CaseStatus(row.status),
        version=row.version,
        received_at=row.received_at,
        updated_at=row.updated_at,
        traceparent=row.traceparent,
        end=EventEnd.model_validate(row.end) if row.end else None,
        reviews=tuple(_review(review) for review in row.reviews),
        dispatch=_dispatch(row.dispatches[-1]) if row.dispatches else None,
    )


def _review(row: ReviewRow) -> Review:
    names = ("verdict", "operator", "reason", "reason_code", "correction", "at")
    return Review.model_validate({name: getattr(row, name) for name in names})


def _entry(row: HistoryRow) -> HistoryEntry:
    return HistoryEntry(
        entry=row.seq,
        case_id=row.case_id,
        at=row.at,
        what=row.what,
        actor=row.actor,
        note=row.note,
        status=CaseStatus(row.status),
    )


def _dispatch(row: DispatchRow) -> Dispatch:
    return Dispatch.model_validate(
        {
            "dispatch_id": row.dispatch_id,
            "action": row.action,
            "state": row.state,
            "attempts": row.attempts,
            "idempotency_key": row.idempotency_key,
            "created_at": row.created_at,
            "next_at": row.next_at,
            "last_error": row.last_error,
            "receipt": Receipt.model_validate(row.receipt) if row.receipt else None,
        }
    )


def _job(row: DispatchRow) -> DispatchJob:
    return DispatchJob(
        case_id=row.case_id, dispatch=_dispatch(row), body=row.body, traceparent=row.traceparent
    )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables up to a revision; one transaction, so that two servers starting at once do it once."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _engine_of(url: str) -> Engine:
    try:
        parsed = make_url(url)
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError) as error:
        raise WrongUse(f"{url!r} is no address of a store: {error}.") from error
    except ImportError as error:
        raise WrongUse(f"the store {_shown(url)} needs a driver that is not installed: {error}.") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    """Set what SQLite forgets between connections; BEGIN becomes ours (see SQLAlchemy's notes on sqlite3)."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _switch_to_wal(connection: Any) -> None:
    """Ask until it is done: SQLite does not wait by itself where two processes switch a new file at once."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where writing is meant: a read lock cannot always be turned into one."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn the database's troubles into sentences.

    Raises:
        OutOfSpace: the disk is full. StoreBusy: anything else that may pass.
    """
    try:
        yield
    except OperationalError as error:
        said = str(error.orig)
        if "disk is full" in said or "No space left" in said:
            raise OutOfSpace("no space is left for the database: free some, then send again.") from error
        log.warning("the database answered: %s", said)
        raise StoreBusy(f"the database did not do it ({said}): send again.") from error
    except PoolTimeoutError as error:
        raise StoreBusy("all connections to the database are busy: send again.") from error
