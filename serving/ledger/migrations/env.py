"""Runs the migrations inside the transaction that the ledger opened for them."""

from __future__ import annotations

from alembic import context

from serving.ledger.crm import CRM  # noqa: F401  -- its tables join the metadata
from serving.ledger.tables import METADATA

# The ledger holds the lock and commits: a migration that fails leaves nothing behind, on SQLite too.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
