"""Until when a lead is unplaced, and what it waits for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.ledger.types import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; who was offered as often as may be waits for a person, the others for a rep who may take them."""
    op.add_column("unplaced", sa.Column("until", Instant()))
    op.add_column("unplaced", sa.Column("waits_for", sa.String(16), nullable=False, server_default="reps"))
    op.execute("UPDATE unplaced SET waits_for = 'person' WHERE because LIKE '%reoffers_used_up%'")


def downgrade() -> None:
    """What was told is not thrown away."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
