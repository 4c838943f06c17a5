"""What a process answers from while the ledger moves on: the CRM in memory, and the model that is released."""

from serving.live.follow import Live, ledger_book

__all__ = ["Live", "ledger_book"]
