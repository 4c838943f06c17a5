"""Which model is the challenger, and what it would have done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.ledger.types import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "challengers",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_version", sa.String(64)),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("feature_version", sa.String(200)),
        sa.Column("market_fingerprint", sa.String(64)),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "shadows",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("rep_id", sa.Text),
        sa.Column("agrees", sa.Boolean),
        sa.Column("error", sa.Text),
        sa.Column("p_accept", sa.Float),
        sa.Column("p_accept_serving", sa.Float),
        sa.Column("scores", sa.Text),
    )
    op.create_index("ix_shadows_content_hash", "shadows", ["content_hash"])


def downgrade() -> None:
    """What was tried is not thrown away."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
