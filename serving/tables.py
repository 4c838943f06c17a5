"""The ledger's tables as SQLAlchemy Core knows them; migrations/ brings a database to just these."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, String, Table, Text

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Which model serves: the row with the highest revision. Rows are added, never changed, so it is its own history.
RELEASES = Table(
    "releases",
    METADATA,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # promote, rollback
    Column("model_name", String(200), nullable=False),
    Column("model_version", String(64)),  # null: no model, the rules serve
    Column("content_hash", String(64)),
    Column("feature_version", String(200)),
    Column("market_fingerprint", String(64)),
    Column("promoted_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("gate", Text, nullable=False),  # JSON: what the gate said
    Column("prior", Integer),  # the revision to which a rollback returns
)
