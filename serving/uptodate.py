"""Holds a commit to the CRM as it is: what the hard filters read may have changed since the state that ranked."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from sqlalchemy import bindparam, or_, select

from features.errors import CallsheetError
from serving import deadline
from serving.ledger import LedgerError
from serving.ledger.change import Change
from serving.ledger.prepared import Prepared
from serving.ledger.tables import JOURNAL
from serving.recommend import Recommender

#: Seconds for which a worker that cannot follow the ledger may still commit; then nobody's memory is trusted.
STALE: Final = 30.0
#: How often an answer is made anew because what it was judged by changed.
MOVES: Final = 3

#: What the filters read of a lead, and of reps; offers, time off and the rep's week are asked in the transaction.
_OF_LEADS, _OF_REPS = ("leads", "contacts", "accounts"), ("reps", "preferences")
_SINCE = Prepared(
    select(JOURNAL.c.table_name, JOURNAL.c.row_id)
    .where(JOURNAL.c.seq > bindparam("known"), JOURNAL.c.seq < bindparam("mine"))
    .where(or_(*(JOURNAL.c.table_name == name for name in (*_OF_LEADS, *_OF_REPS, "changes"))))
)


class Busy(CallsheetError):
    """Others took or changed what was about to be offered, again and again."""

    code = "busy"
    status = 503

    def __init__(self, what: str = "Others are taking the same leads and reps at once") -> None:
        super().__init__(f"{what}; nothing was offered. Ask again.")


class Moved(Exception):
    """What the filters read of these leads and reps is not what the answer knew."""


class Follower(Protocol):
    """Who keeps the state that answers up with the ledger."""

    @property
    def stale_seconds(self) -> float:
        """For how long the state may not have known all that was committed."""
        ...

    def catch_up(self) -> object:
        """Know all that is committed now."""
        ...


@dataclass
class UpToDate:
    """Asks, in the transaction that commits, whether the answer's state still holds; one for each Decider.

    follower   brings the state up; None: there is one state, and it holds
    """

    follower: Follower | None = None
    _quiet: tuple[int, int] = (-1, -1)

    def trust(self) -> None:
        """Go on with a commit. Raises LedgerError where the ledger has not been followed for STALE seconds."""
        seconds = self.follower.stale_seconds if self.follower is not None else 0.0
        if seconds > STALE:
            raise LedgerError(f"The ledger has not been followed for {seconds:.0f} s, so nothing is offered.")

    def check(self, change: Change, recommender: Recommender, leads: Sequence[str]) -> bool:
        """Ask first in the transaction; where nobody else wrote since, nothing is read.

        leads     those that may be offered
        Returns   whether none of these tables was written at all
        Raises    Moved: others changed a rep, a preference, or one of these leads, its contact or its account
        """
        if self.follower is None:
            return False
        known = int(recommender.seq or 0)
        state, upto = self._quiet
        upto = upto if state == known else known
        if change.seq - 1 == upto:
            return True
        rows = _SINCE.all(change.connection, {"known": upto, "mine": change.seq})
        if change.seq <= known or (rows and _bears(rows, _ids(recommender, leads))):
            raise Moved
        return not rows

    def passed(self, change: Change, recommender: Recommender) -> None:
        """Up to this change, which was committed, nobody wrote one of these tables since the recommender's state."""
        self._quiet = int(recommender.seq or 0), change.seq

    def again(self, moves: int) -> None:
        """Know what is committed, for the answer is made anew; `moves` times because of this.

        Raises Busy where that was often enough, LedgerError where the ledger cannot be followed, DeadlinePassed
        """
        if self.follower is None or moves > MOVES:
            raise Busy("The data of these leads and reps changes faster than they are ranked")
        try:
            self.follower.catch_up()
        except (LedgerError, deadline.DeadlinePassed):
            raise
        except CallsheetError as error:
            raise LedgerError(f"The ledger cannot be followed, so nothing is offered: {error}") from error


def _ids(recommender: Recommender, leads: Sequence[str]) -> Mapping[str, Container[Any]]:
    """The ids of what the filters read of these leads, by table."""
    book = recommender.book
    codes = book.lead_index.codes([lead for lead in leads if lead in book.lead_index])
    contact, account = book.leads.contact[codes], book.account_of(codes, np.full(len(codes), recommender.now, np.int64))
    return {
        "leads": set(leads), "contacts": set(book.contact_ids[contact[contact >= 0]].tolist()),
        "accounts": set(book.account_ids[account[account >= 0]].tolist()),
    }  # fmt: skip


def _bears(rows: list[Any], ids: Mapping[str, Container[Any]]) -> bool:
    """Whether one of the touched rows is of a rep or of these leads; others' new leads are none of these."""
    for row in rows:
        if row.row_id is None:
            return True
        table, key = row.table_name, json.loads(row.row_id)
        if table == "changes":
            table, key = key[0], key[1:]
        if table in _OF_REPS or (table in ids and key[0] in ids[table]):
            return True
    return False
