"""The ledger's CRM tables in memory, as a snapshot has them: read whole once, then row by row as they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, func, select

from features.contracts import as_frame, check
from features.errors import UsageError
from features.schema import TABLES
from features.source import always_there, named_columns, read_connection
from serving.instants import micros
from serving.ledger.change import Changed, changed_since, seq_of
from serving.ledger.frames import Key, read_rows, read_whole, sound
from serving.ledger.tables import JOURNAL


class LedgerEmpty(UsageError):
    """A ledger without any data has nothing to answer from."""

    code = "ledger_empty"

    def __init__(self) -> None:
        super().__init__(
            "The ledger holds no CRM yet: bring one in with `callsheet load --data D`, or answer from a snapshot with "
            "--data D.",
            field="--data",
        )


@dataclass(frozen=True)
class Crm:
    """The CRM as of a change of the ledger; never changed, only replaced.

    tables   those that are there, typed, rows in the order of their keys
    columns  the columns of each that a source had or something has filled
    named    the columns that sources had, by table
    seq      the last change that it knows; latest: the latest instant of a change, None where there was none
    """

    tables: Mapping[str, pd.DataFrame]
    columns: Mapping[str, frozenset[str]]
    named: Mapping[str, frozenset[str]]
    seq: int
    latest: datetime | None

    @classmethod
    def read(cls, connection: Connection) -> Crm:
        """All of it, held to its contracts; one transaction that sees one state. Raises LedgerEmpty, TableError."""
        seq, latest, named = seq_of(connection), _latest(connection, -1), named_columns(connection)
        raw = read_connection(connection)
        required = [name for name, table in TABLES.items() if table.required]
        if not any(name in raw and raw[name].cells.num_rows for name in required):
            raise LedgerEmpty
        checked = sound(check(raw))
        tables = {name: _ordered(name, as_frame(table)) for name, table in checked.tables.items()}
        return cls(tables, checked.columns, _frozen(named), seq, latest)

    def instant(self, clock: int) -> int:
        """Now by a clock (microseconds UTC), and no earlier than anything that is known to have been written."""
        return max(clock, micros(self.latest)) if self.latest else clock

    def caught_up(self, connection: Connection) -> Crm:
        """What is committed now: touched rows are read by key, a table that is wholly another one is read anew.

        Tables of which nothing was touched are the same frames. One transaction that sees one state. Raises TableError.
        """
        changed = changed_since(connection, self.seq)
        if changed.seq < self.seq:
            return Crm.read(connection)  # another ledger, restored from a backup, lies there now
        if changed.seq == self.seq:
            return self
        latest = _latest(connection, self.seq)
        named = _frozen(named_columns(connection)) if changed.whole else self.named
        tables, columns = dict(self.tables), dict(self.columns)
        for name in (n for n in TABLES if n in changed.whole or n in changed.rows or n in changed.gone):
            self._put(connection, changed, name, tables, columns, named)
        return Crm(tables, columns, named, changed.seq, max(filter(None, (self.latest, latest)), default=None))

    def _put(
        self, connection: Connection, changed: Changed, name: str, tables: dict[str, pd.DataFrame],
        columns: dict[str, frozenset[str]], named: Mapping[str, frozenset[str]],
    ) -> None:  # fmt: skip
        """Replace one table by what it is now, or take it out where nothing of it is there."""
        if name in changed.whole:
            frame = read_whole(connection, name)
        else:
            fresh = read_rows(connection, name, changed.rows.get(name, ()))
            frame = merged(name, tables.get(name), fresh, changed.gone.get(name, ()))
        told = (
            named.get(name, frozenset())
            | always_there(name)
            | {c for c in frame.columns if bool(frame[c].notna().any())}
        )
        if told:
            tables[name], columns[name] = _ordered(name, frame), frozenset(told)
        else:
            tables.pop(name, None)
            columns.pop(name, None)


def merged(name: str, frame: pd.DataFrame | None, fresh: pd.DataFrame, gone: Sequence[Key]) -> pd.DataFrame:
    """A table with rows put in, in place of those with the same key, and without those that are gone."""
    key = list(TABLES[name].key)
    if frame is not None:
        fresh = pd.concat([frame, fresh], ignore_index=True).drop_duplicates(key, keep="last")
    if gone:
        lost = {tuple(_cell(value) for value in one) for one in gone}
        held = [one in lost for one in zip(*(fresh[c].tolist() for c in key), strict=True)]
        fresh = fresh[[not one for one in held]]
    return fresh


def _cell(value: str | datetime) -> str | pd.Timestamp:
    return pd.Timestamp(value) if isinstance(value, datetime) else value


def _ordered(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """In the order of the key, whatever the database's collation: so every worker has the same rows in one order."""
    return frame.sort_values(list(TABLES[name].key), kind="stable", ignore_index=True)


def _frozen(named: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(columns) for name, columns in named.items()}


def _latest(connection: Connection, seq: int) -> datetime | None:
    """The latest instant of the changes after `seq`."""
    found: datetime | None = connection.execute(select(func.max(JOURNAL.c.at)).where(JOURNAL.c.seq > seq)).scalar_one()
    return found


__all__ = ["Crm", "LedgerEmpty", "merged"]
