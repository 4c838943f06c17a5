"""A ledger of an older version, with rows in it, becomes one of this version; one of a newer is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, Table, insert, text

from features.config import read_config
from features.snapshot import read_snapshot
from features.sql import sqlite_module
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import CRM
from serving.ledger.database import LedgerNewer, alembic_config, newest_revision
from serving.ledger.releases import Releases
from serving.ledger.status import status
from tests.features.crm_files import read
from tests.features.small_crm import MARKET

pytestmark = pytest.mark.owner

RELEASE = {
    "revision": 1, "kind": "promote", "model_name": "callsheet", "model_version": "7", "content_hash": "7" * 64,
    "feature_version": "f", "market_fingerprint": "m", "promoted_at": datetime(2025, 1, 2, tzinfo=UTC),
    "reason": "better", "forced": False, "gate": "{}",
}  # fmt: skip


def _brought(ledger: Ledger, revision: str) -> None:
    config = alembic_config()
    with ledger.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@pytest.fixture
def older(nothing: str) -> Ledger:
    """A ledger of the first revision, with the release that served then."""
    ledger = Ledger(nothing)
    _brought(ledger, "0001")
    with ledger.writing() as connection:
        connection.execute(insert(Table("releases", MetaData(), autoload_with=connection)).values(RELEASE))
    return ledger


def test_a_ledger_of_every_older_version_keeps_what_it_holds(older: Ledger, tmp_path: Path) -> None:
    """The release of the first revision, the tables of the second; then all that came since."""
    _brought(older, "0003")
    crm = read(tmp_path / "crm")
    with older.writing() as connection:
        for name, rows in crm.tables.items():
            whole = rows.astype(object).where(rows.notna(), None).to_dict("records")
            connection.execute(insert(CRM[name]), whole)
        told = Table("crm_columns", MetaData(), autoload_with=connection)
        columns = [{"table_name": t, "column_name": c} for t, known in crm.columns.items() for c in known]
        connection.execute(insert(told), columns)
    before = status(older).rows
    assert older.upgrade() == ("0003", newest_revision())
    after = status(older).rows
    assert {name: after[name] for name in before} == before
    assert before["leads"]
    release = Releases(older).current()
    assert release is not None
    assert (release.called, release.promoted_at) == ("model 7", RELEASE["promoted_at"])
    found = read_snapshot(older.url, config=read_config(MARKET))
    assert {name: len(rows) for name, rows in found.tables.items()} == {n: len(r) for n, r in crm.tables.items()}
    with older.reading() as connection:
        assert verify(connection) is None
    older.close()


def test_what_explains_advice_on_a_lead_that_nobody_can_find_any_more_goes(older: Ledger, tmp_path: Path) -> None:
    """It was sent along before its decision kept whose it is."""
    _brought(older, "0007")
    crm = read(tmp_path / "crm")
    lead = str(crm.tables["leads"]["lead_id"].iloc[0])
    made = {
        "at": datetime(2025, 1, 2, tzinfo=UTC), "as_of": datetime(2025, 1, 2, tzinfo=UTC), "actor": "x", "route": "x",
        "policy": "champion", "rung": "champion", "feature_version": "f", "config_fingerprint": "m",
        "inputs_hash": "0" * 64, "book_seq": 1, "candidates": 1, "refused": "{}",
    }  # fmt: skip
    with older.writing() as connection:
        tables = {n: Table(n, MetaData(), autoload_with=connection) for n in ("leads", "decisions", "decision_details")}
        stored = crm.tables["leads"].astype(object).where(crm.tables["leads"].notna(), None).to_dict("records")
        connection.execute(insert(CRM["leads"]), stored)
        for decision_id, lead_id in (("D-stored", lead), ("D-sent", "inline-1"), ("D-sheet", None)):
            connection.execute(insert(tables["decisions"]).values(decision_id=decision_id, lead_id=lead_id, **made))
            connection.execute(insert(tables["decision_details"]).values(decision_id=decision_id, body=b""))
    older.upgrade()
    with older.reading() as connection:
        kept = set(connection.execute(text("SELECT decision_id FROM decision_details")).scalars())
    assert kept == {"D-stored", "D-sheet"}
    older.close()


def test_a_ledger_of_a_newer_version_is_left_alone_and_says_what_to_do(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerNewer, match=r"revision 9999.*newer version again"):
        Ledger.open(ledger.url, tmp_path)
    assert (status(ledger).revision, status(ledger).known) == ("9999", False)


def test_who_only_reads_waits_for_no_writer(tmp_path: Path) -> None:
    """Opening looks at the schema, and takes the write lock only where there is something to bring up to date."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.open(url, tmp_path).close()
    assert (tmp_path / "ledger.db").stat().st_mode & 0o077 == 0  # contacts are for its owner alone
    module = sqlite_module()
    writer = module.connect(str(tmp_path / "ledger.db"), isolation_level=None, timeout=0)
    writer.execute("BEGIN IMMEDIATE")
    try:
        reader = Ledger.open(url, tmp_path)
        assert Releases(reader).current() is None
        reader.close()
    finally:
        writer.execute("ROLLBACK")
        writer.close()
