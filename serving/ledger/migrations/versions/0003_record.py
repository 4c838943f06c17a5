"""Decisions and what became of them, who may ask, and the audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from serving.ledger.types import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the ledger's own tables."""
    op.create_table(
        "ledger_clock",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("audit_number", sa.BigInteger, nullable=False),
        sa.Column("audit_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("table_name", sa.String(64), nullable=False),
        sa.Column("row_id", sa.Text),
        sa.Column("gone", sa.Boolean, nullable=False),
    )
    op.create_table(
        "crm_columns",
        sa.Column("table_name", sa.String(64), primary_key=True),
        sa.Column("column_name", sa.String(64), primary_key=True),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("lead_id", sa.Text),
        sa.Column("rep_id", sa.Text),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("policy", sa.String(32), nullable=False),
        sa.Column("rung", sa.String(32), nullable=False),
        sa.Column("degraded_reason", sa.Text),
        sa.Column("model_version", sa.String(64)),
        sa.Column("content_hash", sa.String(64)),
        sa.Column("feature_version", sa.String(200), nullable=False),
        sa.Column("config_fingerprint", sa.String(64), nullable=False),
        sa.Column("inputs_hash", sa.String(64), nullable=False),
        sa.Column("book_seq", sa.BigInteger, nullable=False),
        sa.Column("candidates", sa.Integer, nullable=False),
        sa.Column("refused", sa.Text, nullable=False),
    )
    op.create_index("ix_decisions_lead_id", "decisions", ["lead_id"])
    op.create_index("ix_decisions_rep_id", "decisions", ["rep_id", "at"])
    op.create_table(
        "decision_details",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("lead_id", sa.Text, primary_key=True),
        sa.Column("offer_id", sa.Text, unique=True, nullable=False),
        sa.Column("rep_id", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(200), primary_key=True),
        sa.Column("offer_id", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("parked", sa.Boolean, nullable=False),
    )
    op.create_index("ix_events_offer_id", "events", ["offer_id"])
    op.create_table(
        "unplaced",
        sa.Column("lead_id", sa.Text, primary_key=True),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
    )
    op.create_table(
        "data_questions",
        sa.Column("event_id", sa.String(200), primary_key=True),
        sa.Column("offer_id", sa.Text, nullable=False),
        sa.Column("lead_id", sa.Text, nullable=False),
        sa.Column("rep_id", sa.Text, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("settled_at", Instant()),
    )
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", Instant(), nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secret_hash", sa.String(64), unique=True, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("rep_id", sa.Text),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant()),
        sa.Column("revoked_at", Instant()),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload_hash", sa.String(64), nullable=False),
        sa.Column("prior_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_payloads",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("task", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("until", Instant(), nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("contact_hash", sa.String(64), primary_key=True),
        sa.Column("at", Instant(), nullable=False),
    )
    names = ("id", "seq", "audit_number", "audit_hash")
    clock = sa.table("ledger_clock", *(sa.column(name) for name in names))
    op.bulk_insert(clock, [dict(zip(names, (1, 0, 0, "0" * 64), strict=True))])
    _guard_the_audit()


def _guard_the_audit() -> None:
    """What is written there stays as it is; on PostgreSQL the grants of another owner can say the same.

    On SQLite a REPLACE deletes without telling a trigger of deletion, so it is stopped where it inserts.
    """
    if op.get_bind().dialect.name == "sqlite":
        stop = "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
        op.execute(f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit {stop}")
        op.execute(f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit {stop}")
        taken = "EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)"
        op.execute(f"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN {taken} {stop}")
        return
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$"
    )
    run = "EXECUTE FUNCTION audit_append_only()"
    op.execute(f"CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW {run}")
    op.execute(f"CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT {run}")


def downgrade() -> None:
    """What was recorded is not thrown away."""
    raise NotImplementedError("A ledger does not go back to an older schema; restore a backup instead.")
