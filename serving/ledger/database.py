"""The ledger's database: an engine that commits durably on SQLite and PostgreSQL, brought to its newest schema."""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from features.errors import CallsheetError, UsageError
from features.sql import sqlite_module
from serving import deadline, traces
from serving.ledger.waits import ANSWER_SECONDS, CONNECT_SECONDS

log = logging.getLogger(__name__)

Done = TypeVar("Done")

#: From this version on a WAL checkpoint can no longer lose to a concurrent reset (sqlite.org/wal.html).
WAL_SAFE = (3, 51, 3)
#: How long a writer waits for another.
BUSY_SECONDS = 10
#: How long it pauses, in seconds, where SQLite itself does not wait.
BUSY_PAUSE = 0.01
#: Names the advisory lock under which PostgreSQL migrates; any constant will do.
MIGRATION_LOCK = 0x63616C6C
#: How PostgreSQL says that it chose a transaction to fail: one of a deadlock, or one that saw what has changed since.
CROSSED = ("40P01", "40001")
#: And that the role may not do this: to a table, or to any in a schema that it may not use.
DENIED = ("42501", "3F000")

MIGRATIONS = Path(__file__).with_name("migrations")


class LedgerError(CallsheetError):
    """The ledger's database cannot be reached or written; nothing was changed.

    Its message may repeat the database's own words, which name servers and users.
    """

    code = "ledger_unavailable"
    exit_code = 3
    status = 503
    outside = "The ledger cannot be read or written just now; nothing was changed. Ask again in a moment."


class Unanswered(LedgerError):
    """The database was lost while it committed, so nobody knows whether it did."""

    outside = "The ledger did not say whether this was written. Ask again in a moment, with the same Idempotency-Key."


class Crossed(LedgerError):
    """The database ended this transaction because it crossed another's; done again as a whole it may well succeed."""


class NotAllowed(LedgerError):
    """PostgreSQL's role may not do this to the ledger's tables; their owner may."""


class LedgerNewer(LedgerError):
    """A ledger has tables that this version does not know."""

    code = "ledger_newer"


class LedgerOlder(LedgerError):
    """A ledger is not there, or its tables are of an older version, and the role may not bring them to this one."""

    code = "ledger_older"


class Ledger:
    """One SQL database; `reading` and `writing` are its only two kinds of transaction.

    url      any SQLAlchemy URL of SQLite or PostgreSQL
    journal  how SQLite survives a crash: wal, or delete (the rollback journal); None on PostgreSQL
    limit    how long PostgreSQL may take to answer a statement where no caller waits with a deadline, in seconds; None:
             as long as it takes, for there are jobs whose statements take minutes
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.journal: str | None = None
        self.limit: float | None = None
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            if parsed.get_backend_name() == "sqlite":
                self.engine = self._sqlite(parsed.render_as_string(hide_password=False), parsed.database)
            elif parsed.get_backend_name() == "postgresql":
                self.engine = self._postgresql(parsed)
            else:
                raise UsageError(f"A ledger is SQLite or PostgreSQL, not {parsed.get_backend_name()}.", field="--db")
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise UsageError(f"--db is no database URL that can be opened: {error}", field="--db") from None

    @classmethod
    def open(cls, url: str | None, home: Path, *, limit: float | None = None) -> Ledger:
        """The ledger at `url`, by default HOME/ledger.db, made or upgraded where need be. Raises LedgerError."""
        if url is None:
            home.mkdir(parents=True, exist_ok=True)
        ledger = cls(url or url_in(home))
        ledger.upgrade()
        ledger.limit = limit
        return ledger

    def _postgresql(self, url: URL) -> Engine:
        from serving.ledger.silence import KEEPALIVE, Silence  # without the driver there is SQLite

        engine = create_engine(
            url, pool_pre_ping=True, isolation_level="READ COMMITTED", hide_parameters=True,
            pool_timeout=CONNECT_SECONDS, connect_args={k: v for k, v in KEEPALIVE.items() if k not in url.query},
        )  # fmt: skip
        silence = Silence()
        event.listen(engine, "do_connect", lambda _, __, args, params: silence.connect(*args, **params))
        event.listen(engine, "checkout", lambda connection, *_: connection.lent(None))
        event.listen(engine, "checkin", lambda connection, _: connection and connection.given_back())

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _: object) -> None:
            connection.autocommit = True
            # Without it a writer would wait for another for ever; SQLite's busy_timeout says the same.
            connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
            # As a default of the role or the database it would have commits said that a crash takes back.
            connection.execute(
                "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit'"
                " AND setting = 'off'"
            )
            connection.autocommit = False

        return engine

    def _sqlite(self, url: str, database: str | None) -> Engine:
        module = sqlite_module()
        if database and database != ":memory:":
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        self.journal = "wal" if module.sqlite_version_info >= WAL_SAFE else "delete"
        engine = create_engine(url, module=module, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _: object) -> None:
            connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
            connection.execute("PRAGMA busy_timeout=0")
            _waiting(connection, f"PRAGMA journal_mode={self.journal}")
            for pragma in (
                "synchronous=FULL", "foreign_keys=ON", "mmap_size=0", f"busy_timeout={BUSY_SECONDS * 1000}"
            ):  # fmt: skip
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # A transaction that reads first and writes later cannot wait for its lock, so a writer takes it at once.
            options = connection.get_execution_options()
            if "seconds" in options:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_ms(options['seconds'])}")
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")
            finally:
                if "seconds" in options:  # whoever has this connection next waits as long as everybody
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")

        return engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state throughout. Raises LedgerError."""
        with self._reported(), self._lent() as connection:
            if self.journal is None:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self, *, seconds: float | None = None) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, or not at all when it raises.

        seconds   how long to wait for another writer at most, BUSY_SECONDS unless told, and never past the deadline
        Raises    LedgerError; DeadlinePassed when the deadline is over before the commit begins: nothing is written;
                  Unanswered
        """
        deadline.check()
        wait = min(BUSY_SECONDS if seconds is None else seconds, deadline.left())
        told = {} if wait == BUSY_SECONDS else {"seconds": wait}
        commits = False
        with traces.step("transaction"), self._reported(), self._lent(seconds) as connection:
            writer = connection.execution_options(writes=True, **told)
            try:
                with writer.begin():
                    if told and self.journal is None:
                        writer.exec_driver_sql(f"SET LOCAL lock_timeout = {_ms(wait)}")
                    yield writer
                    deadline.check()
                    commits = True
            except DBAPIError as error:
                if commits and error.connection_invalidated:
                    raise Unanswered(f"The ledger's database was lost while it committed: {error.orig}") from error
                raise

    @contextmanager
    def _lent(self, seconds: float | None = None) -> Iterator[Connection]:
        """A connection of the pool, on which PostgreSQL has this long for each answer besides what it takes anyway.

        Where nobody says how long, and no caller waits, it has the ledger's limit.
        """
        with self.engine.connect() as connection:
            if self.journal is None:
                waits = seconds is not None or not math.isinf(deadline.left())
                limit = (BUSY_SECONDS if seconds is None else seconds) + ANSWER_SECONDS if waits else self.limit
                driver: Any = connection.connection.dbapi_connection
                driver.lent(limit)
            yield connection

    def alone(self, connection: Connection, work: Callable[[], Done]) -> Done:
        """Do by one statement, first in `writing`, what writers wait for each other in, no longer than a writer waits.

        On PostgreSQL lock_timeout is of each lock that a statement takes in turn: first the place behind those who
        wait for the row already, then the row. So there the statement has a limit of its own.
        """
        if self.journal is not None:
            return work()
        left = deadline.left()
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_ms(min(BUSY_SECONDS, left))}")
        done = work()
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {0 if math.isinf(left) else _ms(deadline.left())}")
        return done

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema to its newest revision; of several that start at once, one does it and the rest wait.

        A schema that is the newest is only looked at, so that nobody who just reads waits for a writer.
        Returns  the revision that was found, None where there was no ledger, and the newest
        Raises   LedgerNewer, LedgerOlder, LedgerError
        """
        config, newest = alembic_config(), newest_revision()
        file = Path(self.engine.url.database or ":memory:")
        if self.journal is not None and str(file) != ":memory:" and not file.exists():
            file.touch(mode=0o600)  # it holds contacts and the hashes of keys
        with self.reading() as connection:
            found = self._revision(connection)
        if found == newest:
            return found, newest
        try:
            with self.writing() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                found = self._revision(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except NotAllowed as error:
            have = "is not there yet" if found is None else f"has tables of revision {found}"
            raise LedgerOlder(
                f"The ledger {self.shown} {have}, and its role may not bring it to {newest}. As the owner of its "
                "tables run `callsheet db upgrade`, then what `callsheet db grants` prints."
            ) from error
        if found not in (None, newest):
            log.info("The ledger was upgraded: %s -> %s", found, newest)
        return found, newest

    def _revision(self, connection: Connection) -> str | None:
        """The revision of the schema; None: there is no ledger. Raises LedgerNewer."""
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in known_revisions():
            raise LedgerNewer(
                f"The ledger {self.shown} was made by a newer Callsheet: its tables are of revision {found}, and this "
                f"version knows them up to {newest_revision()}. Install the newer version again."
            )
        return found

    @contextmanager
    def _reported(self) -> Iterator[None]:
        driver = self.engine.dialect.loaded_dbapi
        try:
            yield
        except (SQLAlchemyError, driver.Error) as error:
            deadline.check()  # it may be why the database gave up
            said = error.orig if isinstance(error, DBAPIError) else error
            # What follows the first line are details, and repeat the row.
            first = str(said).partition("\n")[0]
            state = getattr(said, "sqlstate", None)
            if state in DENIED:
                raise NotAllowed(
                    f"The ledger's database refused: {first}. Where a role that serves may do it, `callsheet db "
                    "grants` lets it; else the owner of the tables may."
                ) from error
            kind = Crossed if state in CROSSED else LedgerError
            raise kind(f"The ledger's database refused: {first}") from error

    @property
    def shown(self) -> str:
        """The URL, without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _waiting(connection: Any, sql: str) -> None:
    """Change the journal, for which SQLite does not always ask its busy_timeout: several may start at once."""
    until = time.monotonic() + min(BUSY_SECONDS, deadline.left())
    while True:
        try:
            connection.execute(sql)
        except connection.OperationalError as error:
            # The low byte, for what is locked and how stands in the next.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return


def _ms(seconds: float) -> int:
    """For a limit, of which 0 is none."""
    return max(1, math.ceil(seconds * 1000))


def url_in(home: Path) -> str:
    """Where the ledger of a home is, unless --db names another."""
    return f"sqlite:///{home.resolve() / 'ledger.db'}"


@cache
def newest_revision() -> str:
    """The revision that this version's tables are of."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


@cache
def known_revisions() -> frozenset[str]:
    """Every revision that this version can upgrade from, and its own."""
    return frozenset(one.revision for one in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def alembic_config() -> AlembicConfig:
    """Where the migrations are; they run on the connection in `attributes`."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
