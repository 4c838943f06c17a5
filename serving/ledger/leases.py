"""What one process of many does for all: it takes a lease on the task, which ends by itself when it is gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_
from sqlalchemy.dialects import postgresql, sqlite

from serving.ledger.database import Ledger
from serving.ledger.tables import LEASES

#: For how long it keeps the others from it: what is done each minute is done by one.
LEASE: Final = timedelta(seconds=55)


def take(ledger: Ledger, task: str, holder: str, now: datetime) -> bool:
    """Take or renew the lease on a task; False: another holder has it. Raises LedgerError."""
    with ledger.writing() as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        mine = dialect.insert(LEASES).values(task=task, holder=holder, until=now + LEASE)
        # One that reaches further than any can was taken by a clock that was wrong, and would keep all off for long.
        ended = or_(LEASES.c.until <= now, LEASES.c.until > now + 2 * LEASE)
        free = or_(ended, LEASES.c.holder == holder)
        taken = mine.on_conflict_do_update(
            index_elements=["task"], set_={"holder": holder, "until": now + LEASE}, where=free
        )
        return connection.execute(taken.returning(LEASES.c.holder)).first() is not None
