"""What the ledger's database itself refuses, whatever the code above it forgot to ask: two holds of one lead."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from serving.ledger import Ledger, LedgerError
from serving.ledger.tables import HOLDS


@pytest.mark.parametrize("second", [("L1", "F2"), ("L2", "F1")], ids=["lead", "offer"])
def test_the_database_itself_lets_one_offer_hold_a_lead(ledger: Ledger, second: tuple[str, str]) -> None:
    with ledger.writing() as connection:
        connection.execute(insert(HOLDS).values(lead_id="L1", offer_id="F1", rep_id="R1"))
    with pytest.raises(LedgerError), ledger.writing() as connection:
        connection.execute(insert(HOLDS).values(lead_id=second[0], offer_id=second[1], rep_id="R2"))
