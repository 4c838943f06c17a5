"""What a ledger's database is: its schema's revision, how it survives a crash, how many changes and rows it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, inspect, select

from features.errors import Refused
from serving.ledger.change import seq_of
from serving.ledger.database import Ledger, known_revisions, newest_revision
from serving.ledger.tables import LEDGER_CLOCK, METADATA

NO_LEDGER = Refused("There is no ledger yet; `callsheet db upgrade` makes it.")
#: What is said where `forgets`.
FORGETS = (
    "PostgreSQL's fsync is off: when its machine stops, what it said was committed may be lost, or the whole database "
    "damaged. Set `fsync = on` in its configuration."
)


@dataclass(frozen=True)
class Status:
    """journal: wal or delete (the rollback journal) on SQLite, none on PostgreSQL; rows by table.

    forgets  what it says is committed need not be there once its machine has stopped
    known    whether this version knows the revision; False: a newer one made it
    """

    database: str
    journal: str | None
    forgets: bool
    revision: str
    newest: str
    known: bool
    seq: int
    rows: dict[str, int]


def status(ledger: Ledger) -> Status:
    """Look at the ledger and leave it as it is, whatever its revision. Raises Refused where there is none."""
    file = ledger.engine.url.database
    if ledger.journal is not None and file and not Path(file).exists():  # SQLite would make it
        raise NO_LEDGER
    with ledger.reading() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            raise NO_LEDGER
        names = set(inspect(connection).get_table_names())
        rows = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
            if table.name in names
        }
        seq = seq_of(connection) if LEDGER_CLOCK.name in names else 0
        loses = forgets(connection)
    known = revision in known_revisions()
    return Status(ledger.shown, ledger.journal, loses, revision, newest_revision(), known, seq, rows)


def forgets(connection: Connection) -> bool:
    """Whether PostgreSQL is set to say what is committed before it is safe; SQLite is set by `Ledger`, so it is not."""
    return connection.dialect.name == "postgresql" and connection.exec_driver_sql("SHOW fsync").scalar_one() == "off"
