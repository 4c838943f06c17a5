"""Whose the lead of a decision is that was sent along and never stored, so that it can be told of and forgotten.

Of earlier ones nobody knows, so what explains them goes, unless an offer came of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column and its index, and take out what could not be forgotten any more."""
    op.add_column("decision_details", sa.Column("contact_hash", sa.String(64)))
    sent_along = sa.text("contact_hash IS NOT NULL")
    op.create_index(
        "ix_decision_details_contact_hash", "decision_details", ["contact_hash"],
        sqlite_where=sent_along, postgresql_where=sent_along,
    )  # fmt: skip
    op.execute(
        "DELETE FROM decision_details WHERE decision_id IN (SELECT decision_id FROM decisions WHERE lead_id IS NOT "
        "NULL AND lead_id NOT IN (SELECT lead_id FROM leads) AND decision_id NOT IN (SELECT decision_id FROM offers "
        "WHERE decision_id IS NOT NULL))"
    )


def downgrade() -> None:
    """A ledger goes one way."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
