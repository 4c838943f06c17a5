"""Clears the database's files of what was erased: deleted rows lie in free pages and logs until they are rewritten."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from features.sql import sqlite_module
from serving.ledger.database import BUSY_SECONDS, Ledger
from serving.ledger.person import WIPED

log = logging.getLogger(__name__)

#: What is said where the files could not be rewritten.
TRACES: Final = "The database's files still hold traces of erased contacts; `callsheet erase` clears them."
#: How long others may keep a table or the log from being rewritten, in seconds.
PATIENCE: Final = 10


def scrub(ledger: Ledger) -> bool:
    """Rewrite the database's files without what is no row any more; False: not all could be, the log says why.

    Then do it again: others were using them, or the role may not (`grants`). On SQLite the whole file, and its log is
    emptied. On PostgreSQL the tables that an erasure bears on; what its write-ahead log and its archive hold goes when
    they are recycled, by that server's settings.
    """
    return _sqlite(ledger) if ledger.journal is not None else _postgresql(ledger)


def _sqlite(ledger: Ledger) -> bool:
    connection = ledger.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        driver.execute("VACUUM")
        if ledger.journal != "wal":
            return True
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite_module().OperationalError as error:
        log.warning("The ledger's file could not be rewritten: %s", error)
        return False
    finally:
        connection.close()


def _postgresql(ledger: Ledger) -> bool:
    skipped: list[str] = []
    try:
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{PATIENCE}s"})
            quote = connection.dialect.identifier_preparer.quote
            with _warned(connection, skipped):
                for name in WIPED:
                    connection.execute(text(f"VACUUM (FULL) {quote(name)}"))
            connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{BUSY_SECONDS}s"})
    except DBAPIError as error:
        log.warning("The ledger's tables could not be rewritten: %s", error.orig)
        return False
    if skipped:
        log.warning("The ledger's tables could not be rewritten: %s. Their owner may.", skipped[0])
    return not skipped


@contextmanager
def _warned(connection: Connection, said: list[str]) -> Iterator[None]:
    """Collect the server's warnings: to a role that may not rewrite a table it says no more than that."""

    def hear(diagnostic: Any) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            said.append(diagnostic.message_primary)

    driver: Any = connection.connection.driver_connection
    driver.add_notice_handler(hear)
    try:
        yield
    finally:
        driver.remove_notice_handler(hear)


__all__ = ["TRACES", "scrub"]
