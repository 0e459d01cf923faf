"""Reviews: reason code and correction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WRITTEN_AS_TEXT = ("not_an_offence", "wrong_kind", "duplicate", "permitted", "picture_unclear")
"""The codes that the page has been writing as text; fixed here, whatever the page does later."""


def upgrade() -> None:
    """Add the columns; rejections whose text is a code get the code."""
    op.add_column("reviews", sa.Column("reason_code", sa.String(40), nullable=True))
    op.add_column("reviews", sa.Column("correction", sa.JSON(), nullable=True))
    reviews = sa.table("reviews", sa.column("verdict"), sa.column("reason"), sa.column("reason_code"))
    op.execute(
        sa.update(reviews)
        .where(reviews.c.verdict == "reject", reviews.c.reason.in_(WRITTEN_AS_TEXT))
        .values(reason_code=reviews.c.reason)
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("reviews", "correction")
    op.drop_column("reviews", "reason_code")
