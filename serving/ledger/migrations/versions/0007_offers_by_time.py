"""Offers in the order in which they were made, without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_offers_offered_at", "offers", ["offered_at"])


def downgrade() -> None:
    """A ledger goes one way."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
