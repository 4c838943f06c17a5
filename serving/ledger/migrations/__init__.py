"""Alembic's scripts: how a ledger of any age becomes one of today."""
