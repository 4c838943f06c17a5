"""Rows of CRM tables on their way into the ledger: what is stored of them, and the history that a change leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, insert, select, tuple_

from features.schema import OUTCOME_MOVED, TABLES, TRACKED, Kind
from features.snapshot import as_arrow, shortest
from serving.ledger.change import Change, Row
from serving.ledger.crm import CRM
from serving.ledger.tables import CRM_COLUMNS
from serving.ledger.types import write_instant

#: Since when what was never otherwise was so, where a row has no time of its own.
EVER = datetime(1970, 1, 2, tzinfo=UTC)
#: Keys that one statement asks for; SQLite takes 32,766 bound values.
ASKED = 2_000

_ARROW: Final = {Kind.TIME: pa.timestamp("us", tz="UTC"), Kind.FLAG: pa.bool_()} | dict.fromkeys(
    (Kind.MONEY, Kind.NUMBER, Kind.SHARE), pa.float64()
)

Key = tuple[Any, ...]
Cells = tuple[Any, ...]


def arrow_of(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as their contract reads them; what a row leaves out is null."""
    columns = {
        c.name: pa.array([row.get(c.name) for row in rows], _ARROW.get(c.kind, pa.string()))
        for c in TABLES[name].columns
    }
    return pa.table(columns)


def cells_of(name: str, frame: pd.DataFrame) -> list[Cells]:
    """The rows of a snapshot's table as the ledger takes them, cells in the order of the contract."""
    return list(zip(*(column.to_pylist() for column in as_arrow(frame[list(TABLES[name].names)]).columns), strict=True))


def as_rows(name: str, cells: Iterable[Cells]) -> list[Row]:
    """Cells with their columns' names."""
    names = TABLES[name].names
    return [dict(zip(names, row, strict=True)) for row in cells]


def key_of(name: str, row: Cells) -> Key:
    """A row's key."""
    names = TABLES[name].names
    return tuple(row[names.index(column)] for column in TABLES[name].key)


def stored(connection: Connection, name: str, keys: Collection[Key] | None = None) -> dict[Key, Cells]:
    """The rows that the ledger holds, by key; of `keys` only, where given."""
    table = CRM[name]
    columns = [table.c[column] for column in TABLES[name].names]
    if keys is None:
        return {key_of(name, row): row for row in map(tuple, connection.execute(select(*columns)))}
    found: dict[Key, Cells] = {}
    asked = list(keys)
    parts = [table.c[column] for column in TABLES[name].key]
    for start in range(0, len(asked), ASKED):
        batch = asked[start : start + ASKED]
        wanted = parts[0].in_([key[0] for key in batch]) if len(parts) == 1 else tuple_(*parts).in_(batch)
        found |= {key_of(name, row): row for row in map(tuple, connection.execute(select(*columns).where(wanted)))}
    return found


def tell_columns(change: Change, columns: Mapping[str, Collection[str]]) -> set[str]:
    """Remember which columns a source has. Returns the tables of which more is known to be there than before."""
    told = {(row.table_name, row.column_name) for row in change.connection.execute(select(CRM_COLUMNS))}
    fresh = sorted({(t, c) for t, names in columns.items() for c in names} - told)
    if fresh:
        change.connection.execute(insert(CRM_COLUMNS), [{"table_name": t, "column_name": c} for t, c in fresh])
    return {table for table, _ in fresh}


def history(
    change: Change, name: str, before: Mapping[Key, Cells], after: Mapping[Key, Cells], brought: Collection[Key]
) -> list[Row]:
    """The rows of `changes` that keep what tracked columns held before this change, and that they hold it no more.

    before, after  rows with the same keys, as stored and as they will be
    brought        (table, row, column) of which the source tells the history itself
    The first change of a value that could be read for the past also says what it was until now, so that the past
    keeps it.
    """
    names, contract = TABLES[name].names, TABLES[name]
    moved: list[tuple[Key, str, Any, Any, Cells]] = []
    for column in TRACKED.get(name, ()):
        place = names.index(column)
        for key, new in after.items():
            old = before[key]
            if old[place] != new[place] and (name, key[0], column) not in brought:
                moved.append((key, column, old[place], new[place], old))
    if not moved:
        return []
    known = _told(change.connection, name, [key[0] for key, *_ in moved])
    rows: list[Row] = []
    for key, column, old_value, new_value, row in moved:
        kind = contract[column].kind
        said = {"table_name": name, "row_id": key[0], "column_name": column}
        seen = row[names.index("known_at")]
        believed = column not in OUTCOME_MOVED.get(name, ()) or seen is not None
        if (key[0], column) not in known and believed:
            since = (row[names.index(contract.event)] if contract.event else None) or EVER
            if since < change.at:
                rows.append({**said, "value": _text(old_value, kind), "valid_from": since, "known_at": seen})
        rows.append({**said, "value": _text(new_value, kind), "valid_from": change.at, "known_at": None})
    return rows


def _told(connection: Connection, name: str, ids: Sequence[str]) -> set[tuple[str, str]]:
    """(row, column) of which `changes` tells something already."""
    changes = CRM["changes"]
    found: set[tuple[str, str]] = set()
    for start in range(0, len(ids), ASKED):
        mine = changes.c.row_id.in_(ids[start : start + ASKED])
        asked = select(changes.c.row_id, changes.c.column_name).where(changes.c.table_name == name, mine)
        found |= {(row.row_id, row.column_name) for row in connection.execute(asked)}
    return found


def _text(value: Any, kind: Kind) -> str | None:
    """A value as `changes` spells it."""
    if value is None:
        return None
    if kind is Kind.TIME:
        return write_instant(value)
    return shortest(value) if isinstance(value, float) else str(value)
