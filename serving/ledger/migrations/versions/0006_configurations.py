"""Which configurations decided, and up to where the journal was pruned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.ledger.types import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the column."""
    op.create_table(
        "configurations",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.add_column("ledger_clock", sa.Column("journal_from", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """What decided is not forgotten."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
