"""Opens a SQL database by its URL, through the driver and the SQLite library that all of Callsheet shares."""

from __future__ import annotations

import sqlite3
from types import ModuleType

import sqlalchemy as sa


def sqlite_module() -> ModuleType:
    """The newest SQLite library at hand: the pysqlite3 wheel's where it is newer than Python's own.

    A process must open a file through one library only: closing it through another drops the locks of the first.
    """
    try:
        import pysqlite3.dbapi2 as wheel
    except ImportError:
        return sqlite3
    newer: ModuleType = wheel if wheel.sqlite_version_info > sqlite3.sqlite_version_info else sqlite3
    return newer


def reading_engine(url: str) -> sa.Engine:
    """An engine to read with. Raises SQLAlchemy's ArgumentError, NoSuchModuleError, or ImportError."""
    parsed = sa.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return sa.create_engine(parsed, module=sqlite_module())
    return sa.create_engine(parsed)


def see_one_state(connection: sa.Connection) -> None:
    """Let everything that the connection reads from here on be of one instant, whoever writes meanwhile."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    elif connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
