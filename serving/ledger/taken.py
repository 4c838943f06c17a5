"""Says in the audit that what the ledger holds of people was taken out of it: by whom, when, how much, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.actor import CLI
from serving.ledger.audit import record
from serving.ledger.change import changing
from serving.ledger.database import Ledger, LedgerError


class NotNoted(LedgerError):
    """Data would leave the ledger without a row of the audit that says so: it was not taken."""

    code = "not_noted"


def note_taken(ledger: Ledger, action: str, what: Mapping[str, Any], otherwise: str = "") -> None:
    """Add a row that the person at the command line takes `what` out; call it before that has its name.

    If it then gets none, one row too many was written, never one too few.
    otherwise   what else may be done where it cannot be written
    Raises      NotNoted
    """
    try:
        with changing(ledger) as change:
            record(change, CLI.name, action, f"change {change.seq}", what)
    except LedgerError as error:
        raise NotNoted(
            f"Nothing was taken out, for the audit cannot say that it was. {error} Do it again when the ledger can be "
            f"written to{otherwise}."
        ) from error
