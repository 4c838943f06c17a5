"""What the tests of faults share with those of the service, and a service of two workers on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from serving.ledger import Ledger
from tests.serving.conftest import Crm, Service, crm, running
from tests.serving.databases import Site, ledger, nothing, postgres, site, stocked, templates, url, where
from tests.serving.live.standing import fill, release

__all__ = ["crm", "ledger", "nothing", "postgres", "site", "stocked", "templates", "url", "where"]


@dataclass(frozen=True)
class Served:
    """A service of two workers, and the ledger that it is on."""

    service: Service
    ledger: Ledger


@pytest.fixture(scope="module")
def served(crm: Crm, site: Site) -> Iterator[Served]:
    ledger = site.open()
    fill(ledger, crm)
    release(ledger, crm, site.home)
    with running(crm.folder, crm.config_path, site.home, "--db", site.url, "--workers", "2", ledger=True) as service:
        yield Served(service, ledger)
    ledger.close()
