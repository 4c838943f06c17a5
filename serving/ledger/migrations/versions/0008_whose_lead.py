"""Whose the lead of a decision is that was sent along and never stored, so that it can be told of and forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column and its index; of decisions that are there already nobody knows."""
    op.add_column("decision_details", sa.Column("contact_hash", sa.String(64)))
    op.create_index("ix_decision_details_contact_hash", "decision_details", ["contact_hash"])


def downgrade() -> None:
    """A ledger goes one way."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
