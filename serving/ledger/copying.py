"""Copies all rows of one ledger into another, whatever databases the two are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text

from serving.ledger.tables import AUDIT, JOURNAL, LEASES, METADATA

#: Rows that are sent to the database at once.
BATCH = 5_000
#: What tells running services of changes, and who of them does what: of no use in another ledger.
OF_THE_MOMENT = (JOURNAL.name, LEASES.name)
#: Takes the table that is being copied and how many rows of it are done since the last call.
Tick = Callable[[str, int], None]


def copy_rows(source: Connection, target: Connection, tick: Tick = lambda _table, _rows: None) -> dict[str, int]:
    """Put the rows of every table in place of the target's, in the target's transaction. Returns rows by table."""
    rows = {}
    with _audit_open(target):
        for table in reversed(METADATA.sorted_tables):
            target.execute(delete(table))
        for table in METADATA.sorted_tables:
            if table.name in OF_THE_MOMENT:
                continue
            found = source.execution_options(yield_per=BATCH).execute(select(table))
            rows[table.name] = 0
            for batch in found.mappings().partitions(BATCH):
                target.execute(insert(table), [{name: _instant(v) for name, v in row.items()} for row in batch])
                rows[table.name] += len(batch)
                tick(table.name, len(batch))
    return rows


def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each table holds."""
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in METADATA.sorted_tables
    }


def _instant(value: Any) -> Any:
    """SQLite loses the zone of the instants in `releases`; they are in UTC there."""
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


@contextmanager
def _audit_open(connection: Connection) -> Iterator[None]:
    """The audit without its guards, until the end of the block: a restored ledger has the audit of its backup."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        yield
        connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
        return
    kept = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
    guards = connection.execute(kept, {"table": AUDIT.name}).all()
    quote = connection.dialect.identifier_preparer.quote
    for name, _ in guards:
        connection.exec_driver_sql(f"DROP TRIGGER {quote(name)}")
    yield
    for _, sql in guards:
        connection.exec_driver_sql(sql)


__all__ = ["copy_rows", "count_rows"]
