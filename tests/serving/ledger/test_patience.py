"""Patience with a ledger that somebody holds: the first wait, and soon nobody does, until it can be written again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import insert

from serving.ledger import Ledger, LedgerError
from serving.ledger.patience import Patience
from serving.ledger.tables import ERASURES
from tests.serving.ledger.test_change import AT

PATIENT, BRIEF = 0.05, 0.01


def write(ledger: Ledger, patience: Patience, meanwhile: Callable[[], object] | None = None) -> float:
    """Write a row; for how long it would have waited. What is tried meanwhile is not begun."""
    with patience.waiting() as seconds:
        if meanwhile is not None:
            with pytest.raises(LedgerError, match="another is just trying"):
                meanwhile()
        with ledger.writing(seconds=seconds) as connection:
            connection.execute(insert(ERASURES).values(contact_hash=f"{seconds}", at=AT))
    return seconds


@pytest.mark.owner
def test_after_one_has_waited_in_vain_one_at_a_time_tries_until_one_succeeds(ledger: Ledger, url: str) -> None:
    other, patience = Ledger(url), Patience(PATIENT, BRIEF)
    with ledger.writing() as connection:
        if ledger.journal is None:
            connection.exec_driver_sql("LOCK TABLE erasures IN EXCLUSIVE MODE")
        with pytest.raises(LedgerError, match="refused"):
            write(other, patience)
        with pytest.raises(LedgerError, match="refused"):
            write(other, patience, meanwhile=lambda: write(other, patience))
    assert write(other, patience) == BRIEF
    assert write(other, patience) == PATIENT
    other.close()
