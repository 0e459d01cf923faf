"""Cases, reviews, history, dispatches, callbacks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "cases",
        sa.Column("seq", SERIAL, primary_key=True),
        sa.Column("case_id", sa.Uuid(), nullable=False, unique=True),
        sa.Column("report_id", sa.Uuid(), nullable=False, unique=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("source_id", sa.String(100), nullable=False),
        sa.Column("observed_at", TIME, nullable=False),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("end", sa.JSON(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cases_observed_at", "cases", ["observed_at"])
    op.create_index("ix_cases_status_seq", "cases", ["status", "seq"])
    op.create_index("ix_cases_kind_seq", "cases", ["kind", "seq"])
    op.create_index("ix_cases_source_seq", "cases", ["source_id", "seq"])
    op.create_table(
        "reviews",
        sa.Column("seq", SERIAL, primary_key=True),
        sa.Column("case_id", sa.Uuid(), sa.ForeignKey("cases.case_id"), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("operator", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    op.create_index("ix_reviews_case_id", "reviews", ["case_id"])
    op.create_table(
        "history",
        sa.Column("seq", SERIAL, primary_key=True),
        sa.Column("case_id", sa.Uuid(), sa.ForeignKey("cases.case_id"), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("status", sa.String(30), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_case_id", "history", ["case_id"])
    op.create_table(
        "dispatches",
        sa.Column("seq", SERIAL, primary_key=True),
        sa.Column("dispatch_id", sa.Uuid(), nullable=False, unique=True),
        sa.Column("case_id", sa.Uuid(), sa.ForeignKey("cases.case_id"), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("idempotency_key", sa.Uuid(), nullable=False, unique=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=True),
    )
    op.create_index("ix_dispatches_case_id", "dispatches", ["case_id"])
    op.create_index("ix_dispatches_due", "dispatches", ["state", "next_at"])
    op.create_table(
        "callbacks",
        sa.Column("message_id", sa.String(200), primary_key=True),
        sa.Column("at", TIME, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("callbacks", "dispatches", "history", "reviews", "cases"):
        op.drop_table(table)
