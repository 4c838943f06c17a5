"""A ledger with the small CRM in it, models in its home, and what others write to it meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from features.schema import TABLES
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.load import load
from serving.ledger.releases import Releases
from tests.serving.conftest import Crm


def fill(ledger: Ledger, crm: Crm) -> None:
    """Load the CRM."""
    load(ledger, crm.snapshot)


def release(ledger: Ledger, crm: Crm, home: Path) -> None:
    """Put both models into the home, and release the second last."""
    for place, product in enumerate(crm.products):
        product.save(home / "models" / product.content_hash)
        Releases(ledger).promote(crm.released(place), seen=place, reason="for the tests")


def row(table: str, **told: Any) -> dict[str, Any]:
    """A whole row of a table, null where nothing is told."""
    return dict.fromkeys(TABLES[table].names) | told


def write(url: str, table: str, *rows: dict[str, Any]) -> int:
    """Commit rows as another process would, through a connection of its own; the change's number."""
    ledger = Ledger(url)
    try:
        with changing(ledger) as change:
            change.upsert(table, [row(table, **told) for told in rows])
        return change.seq
    finally:
        ledger.close()
