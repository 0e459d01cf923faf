"""The tables, as SQLAlchemy models. A change needs a migration too; a test compares them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC in Python, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"wanted an aware time, got {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give UTC back; SQLite has dropped the zone, PostgreSQL may give its own."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Serial = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Base of all tables."""


class CaseRow(Base):
    """One case; `report` is the payload as it came, `digest` tells two payloads of one id apart."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_status_seq", "status", "seq"),
        Index("ix_cases_kind_seq", "kind", "seq"),
        Index("ix_cases_source_seq", "source_id", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    report_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    source_id: Mapped[str] = mapped_column(String(100))
    observed_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    status: Mapped[str] = mapped_column(String(30))
    version: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    digest: Mapped[str] = mapped_column(String(64))
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    traceparent: Mapped[str] = mapped_column(String(60), server_default=text("''"))
    end: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    reviews: Mapped[list[ReviewRow]] = relationship(order_by="ReviewRow.seq", lazy="raise")
    dispatches: Mapped[list[DispatchRow]] = relationship(order_by="DispatchRow.seq", lazy="raise")


class ReviewRow(Base):
    """One decision."""

    __tablename__ = "reviews"

    seq: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.case_id"), index=True)
    verdict: Mapped[str] = mapped_column(String(20))
    operator: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(Text)
    reason_code: Mapped[str | None] = mapped_column(String(40))
    correction: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    at: Mapped[datetime] = mapped_column(UtcTime)


class HistoryRow(Base):
    """One line of history; rows are only ever added."""

    __tablename__ = "history"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.case_id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    what: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(100))
    note: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(30))


class DispatchRow(Base):
    """One thing to send (transactional outbox), with its lease and what became of it."""

    __tablename__ = "dispatches"
    __table_args__ = (Index("ix_dispatches_due", "state", "next_at"),)

    seq: Mapped[int] = mapped_column(Serial, primary_key=True)
    dispatch_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.case_id"), index=True)
    action: Mapped[str] = mapped_column(String(40))
    idempotency_key: Mapped[UUID] = mapped_column(Uuid, unique=True)
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    next_at: Mapped[datetime | None] = mapped_column(UtcTime)
    leased_until: Mapped[datetime | None] = mapped_column(UtcTime)
    last_error: Mapped[str] = mapped_column(Text)
    traceparent: Mapped[str] = mapped_column(String(60), server_default=text("''"))
    receipt: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class LeaseRow(Base):
    """Who watches a camera; a lease that is over may be taken by anybody."""

    __tablename__ = "leases"

    source_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime] = mapped_column(UtcTime)
    until: Mapped[datetime] = mapped_column(UtcTime)


class CallbackRow(Base):
    """A platform's message that was taken in."""

    __tablename__ = "callbacks"

    message_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
