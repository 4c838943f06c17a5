"""What the tests of faults share with those of the service, and a service of two workers on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from serving.ledger import Ledger
from tests.serving.conftest import Crm, Service, crm, running
from tests.serving.databases import database, ledger, new_database, nothing, postgres, stocked, templates, url, where
from tests.serving.live.standing import fill, release

__all__ = ["crm", "ledger", "nothing", "postgres", "stocked", "templates", "url", "where"]


@dataclass(frozen=True)
class Served:
    """A service of two workers, and the ledger that it is on."""

    service: Service
    ledger: Ledger


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.faults)])
def served(request: pytest.FixtureRequest, crm: Crm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served") / "home"
    address = f"sqlite:///{home / 'ledger.db'}"
    if request.param == "postgresql":
        address = new_database(database(request.getfixturevalue("postgres"), "served"))
    ledger = Ledger.open(address, home)
    fill(ledger, crm)
    release(ledger, crm, home)
    with running(crm.folder, crm.config_path, home, "--db", address, "--workers", "2", ledger=True) as service:
        yield Served(service, ledger)
    ledger.close()
