"""Which model serves, with compare-and-set on the revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of releases."""
    op.create_table(
        "releases",
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model_name", sa.String(200), nullable=False),
        sa.Column("model_version", sa.String(64)),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("feature_version", sa.String(200)),
        sa.Column("market_fingerprint", sa.String(64)),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("gate", sa.Text, nullable=False),
        sa.Column("prior", sa.Integer),
    )


def downgrade() -> None:
    """The history of releases is not thrown away."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
