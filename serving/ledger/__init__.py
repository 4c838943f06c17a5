"""The ledger: the SQL system of record, and all that is written to it or read from it."""

from serving.ledger.database import WAL_SAFE, Ledger, LedgerError

__all__ = ["WAL_SAFE", "Ledger", "LedgerError"]
