"""Which model is tried beside what serves: rows that are only added, by compare-and-set and audited, as releases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from features.errors import Conflict, Refused
from serving.actor import CLI
from serving.ledger.audit import record
from serving.ledger.change import changing
from serving.ledger.database import Ledger
from serving.ledger.releases import Released
from serving.ledger.tables import CHALLENGERS


@dataclass(frozen=True)
class Challenger:
    """One row: from `at` on `model` is the challenger, or nothing is where it is None. revision counts up from 1."""

    revision: int
    model: Released | None
    at: datetime
    reason: str


class Challengers:
    """The challengers of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def current(self) -> Challenger | None:
        """The last row; None before the first."""
        with self.ledger.reading() as connection:
            return _current(connection)

    def name(self, model: Released, *, seen: int, reason: str) -> Challenger:
        """Make a model the challenger. `seen` is the revision that the decision was based on, 0 for none.

        Raises Conflict when another was named, or its trial was ended, in between
        """
        return self._add(Challenger(seen + 1, model, datetime.now(UTC), reason))

    def end(self, *, seen: int, reason: str) -> Challenger:
        """Have no challenger any more. Raises Refused when there is none, Conflict as `name`."""
        now = self.current()
        if now is None or now.model is None:
            raise Refused("There is no challenger whose trial could be ended.")
        return self._add(Challenger(seen + 1, None, datetime.now(UTC), reason))

    def _add(self, row: Challenger) -> Challenger:
        about = Released.columns(row.model) | {"reason": row.reason}
        with changing(self.ledger, row.at) as change:
            now = _current(change.connection)
            if (now.revision if now else 0) != row.revision - 1:
                raise _beaten(now)
            change.connection.execute(insert(CHALLENGERS).values(revision=row.revision, at=row.at, **about))
            kind = "challenger" if row.model else "challenger_ended"
            record(change, CLI.name, kind, f"challenger {row.revision}", about)
        return row


def _beaten(now: Challenger | None) -> Conflict:
    what = f"model {now.model.version} is" if now and now.model else "no model is"
    return Conflict(
        f"Another came first: {what} the challenger now. Look at it with `callsheet models`, then decide again.",
        field="revision",
    )


def _current(connection: Connection) -> Challenger | None:
    row = connection.execute(select(CHALLENGERS).order_by(CHALLENGERS.c.revision.desc()).limit(1)).first()
    return _read(row) if row else None


def _read(row: Row[Any]) -> Challenger:
    return Challenger(row.revision, Released.of(row), row.at, row.reason)
