"""Cases and dispatches: their place in a trace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("cases", "dispatches")


def upgrade() -> None:
    """Add the columns; what is there already has none."""
    for table in TABLES:
        op.add_column(
            table, sa.Column("traceparent", sa.String(60), nullable=False, server_default=sa.text("''"))
        )


def downgrade() -> None:
    """Drop them."""
    for table in TABLES:
        op.drop_column(table, "traceparent")
