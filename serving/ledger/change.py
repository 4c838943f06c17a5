"""A change of the ledger: one transaction that writes alone, counts the clock up, and says which rows it touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from features.schema import TABLES, Kind
from serving.ledger.crm import CRM
from serving.ledger.database import Ledger
from serving.ledger.prepared import Prepared
from serving.ledger.tables import JOURNAL, LEDGER_CLOCK
from serving.ledger.types import read_instant, write_instant

Row = Mapping[str, Any]
#: The values of a row's key columns, in the order of the contract.
Key = Sequence[str | datetime]

#: Rows that are sent to the database at once.
BATCH = 5_000


_COUNTED = Prepared(
    update(LEDGER_CLOCK)
    .values(seq=LEDGER_CLOCK.c.seq + 1)
    .returning(LEDGER_CLOCK.c.seq, LEDGER_CLOCK.c.audit_number, LEDGER_CLOCK.c.audit_hash)
)
_TOUCHED = Prepared(insert(JOURNAL))


@dataclass
class Change:
    """What is being written; it is committed as a whole at the end of `changing`, or not at all.

    connection  to write with; no network and no model call while it is open
    seq         the number of this change; at: its instant, UTC
    audited     number and hash of the audit's last row: whoever writes alone need not read it again
    written     hashes of rows that it wrote, for the next row of the audit to vouch for (vouched.py)
    """

    connection: Connection
    seq: int
    at: datetime
    audited: tuple[int, str]
    touched: list[tuple[str, str | None, bool]] = field(default_factory=list)
    written: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        """Put rows of a CRM table in, each with every column of the contract, in place of those with the same key."""
        self.put(table, rows)
        for row in rows:
            self.touch(table, [row[name] for name in TABLES[table].key])

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """As `upsert`, but say nothing of it: for who says that the whole table is another one."""
        put = _putting(table, self.connection.dialect.name)
        for start in range(0, len(rows), BATCH):
            self.connection.execute(put, [dict(row) for row in rows[start : start + BATCH]])

    def vouch(self, table: str, key: str, hashed: str | None) -> None:
        """Have the audit say what a row was when it was written, by its hash; None: that an erasure took it out."""
        self.written.setdefault(table, {})[key] = hashed

    def touch(self, table: str, key: Key | None, *, gone: bool = False) -> None:
        """Say that a row of a CRM table is another one now; key None: all of the table is."""
        self.touched.append((table, None if key is None else _written(key), gone))


@lru_cache
def _putting(table: str, dialect: str) -> Insert:
    """The statement that puts whole rows in; kept, for it takes longer to build than a row takes to write."""
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(CRM[table])
    others = {c.name: statement.excluded[c.name] for c in CRM[table].columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(TABLES[table].key), set_=others)


def _written(key: Key) -> str:
    values = [write_instant(value) if isinstance(value, datetime) else value for value in key]
    return json.dumps(values, ensure_ascii=False)


def _read(table: str, row_id: str) -> tuple[str | datetime, ...]:
    contract = TABLES[table]
    kinds = [contract[name].kind for name in contract.key]
    return tuple(read_instant(v) if k is Kind.TIME else v for k, v in zip(kinds, json.loads(row_id), strict=True))


@contextmanager
def changing(ledger: Ledger, at: datetime | None = None) -> Iterator[Change]:
    """Write to the ledger, alone: writers wait for each other here, on SQLite and PostgreSQL alike.

    So what is read in it (capacity, who holds a lead) still holds when it commits, and the numbers of changes are
    committed in their order: whoever has seen one has seen all before it. Raises LedgerError.
    """
    with ledger.writing() as connection:
        clock = ledger.alone(connection, lambda: _COUNTED.one(connection, {}))
        change = Change(connection, clock.seq, at or datetime.now(UTC), (clock.audit_number, clock.audit_hash))
        yield change
        if change.touched:
            seen = dict.fromkeys(change.touched)
            rows = [
                {"seq": change.seq, "place": i, "at": change.at, "table_name": table, "row_id": key, "gone": gone}
                for i, (table, key, gone) in enumerate(seen)
            ]
            _TOUCHED.run_each(connection, rows)


@dataclass(frozen=True)
class Changed:
    """What changed since a number: rows by table and key, tables that are wholly new, and the number reached."""

    seq: int
    rows: Mapping[str, Sequence[tuple[str | datetime, ...]]]
    gone: Mapping[str, Sequence[tuple[str | datetime, ...]]]
    whole: frozenset[str]


def seq_of(connection: Connection) -> int:
    """The number of the last change that was committed."""
    return int(connection.execute(select(LEDGER_CLOCK.c.seq)).scalar_one())


def changed_since(connection: Connection, seq: int) -> Changed:
    """What was touched after change `seq`; ask in one transaction with reading the rows.

    Where the journal was pruned since, every table is another one.
    """
    reached = seq_of(connection)  # first, so that no change is counted as seen whose rows were not
    if seq < connection.execute(select(LEDGER_CLOCK.c.journal_from)).scalar_one():
        return Changed(reached, {}, {}, frozenset(TABLES))
    found = (
        select(JOURNAL).where(JOURNAL.c.seq > seq, JOURNAL.c.seq <= reached).order_by(JOURNAL.c.seq, JOURNAL.c.place)
    )
    last: dict[tuple[str, str], bool] = {}
    whole = set()
    for row in connection.execute(found):
        if row.row_id is None:
            whole.add(row.table_name)
        else:
            last[row.table_name, row.row_id] = row.gone
    rows: dict[str, list[tuple[str | datetime, ...]]] = {}
    gone: dict[str, list[tuple[str | datetime, ...]]] = {}
    for (table, row_id), lost in last.items():
        if table not in whole:
            (gone if lost else rows).setdefault(table, []).append(_read(table, row_id))
    return Changed(reached, rows, gone, frozenset(whole))


__all__ = ["Change", "Changed", "Key", "changed_since", "changing", "seq_of"]
