"""What comes out of the ledger goes in again as it was, opens safely in a spreadsheet, and overwrites nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from sqlalchemy import delete, select

from features.errors import Refused, UsageError
from features.snapshot import read_snapshot
from serving.actor import CLI
from serving.ledger import Ledger, database
from serving.ledger.change import changing
from serving.ledger.crm import CRM
from serving.ledger.export import export
from serving.ledger.load import load
from serving.ledger.tables import CRM_COLUMNS, DECISIONS
from serving.ledger.taken import NotNoted
from tests.features.crm_files import read
from tests.features.test_snapshot import accounts_and_reps, whole
from tests.serving.conftest import Crm
from tests.serving.ledger.small import last_audited
from tests.serving.ledger.test_load import decide


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_exported_is_what_was_loaded(
    ledger: Ledger, crm: Crm, tmp_path: Path, form: Literal["csv", "parquet"]
) -> None:
    load(ledger, crm.snapshot)
    rows = export(ledger, tmp_path / "out", form=form)
    again = read_snapshot(str(tmp_path / "out"))
    assert again.fingerprint == crm.snapshot.fingerprint
    assert again.missing == crm.snapshot.missing
    assert not [w for w in again.warnings if "not read" in w.expected]
    assert rows["leads"] == len(crm.snapshot.tables["leads"])


@settings(max_examples=12)
@given(tables=accounts_and_reps())
def test_any_text_goes_out_and_in_again(tmp_path_factory: pytest.TempPathFactory, tables: dict) -> None:  # type: ignore[type-arg]
    from features.snapshot import write_snapshot

    folder = tmp_path_factory.mktemp("any")
    write_snapshot(whole(tables), folder / "in", format="parquet")
    given_ = read_snapshot(str(folder / "in"))
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", folder)
    try:
        load(ledger, given_)
        export(ledger, folder / "out")
        assert read_snapshot(ledger.url).fingerprint == given_.fingerprint
        again = read_snapshot(str(folder / "out"))
        assert again.fingerprint == given_.fingerprint
        load(ledger, again, replace=True)
        assert read_snapshot(ledger.url).fingerprint == given_.fingerprint
    finally:
        ledger.close()


def test_decisions_go_along_and_their_cells_are_safe_too(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, read(tmp_path / "crm"))
    decide(ledger, "=cmd|' /C calc'!A0")
    rows = export(ledger, tmp_path / "out")
    with (tmp_path / "out" / "record" / "decisions.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert (rows["decisions"], rows["events"]) == (1, 0)
    assert written[0]["decision_id"] == "D-=cmd|' /C calc'!A0"
    assert written[0]["at"] == "2025-03-01T00:00:00.000000Z"
    offers = (tmp_path / "out" / "offers.csv").read_text()
    assert "\n'=cmd" in offers
    with ledger.reading() as connection:
        assert set(written[0]) == set(connection.execute(select(DECISIONS)).keys())


def test_that_an_export_was_taken_is_written_down_or_it_is_not_taken(
    ledger: Ledger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ledger, read(tmp_path / "crm"))
    rows = export(ledger, tmp_path / "out")
    row, body = last_audited(ledger)
    told = {"folder": "out", "format": "csv", "rows": rows, "fingerprint": read_snapshot(ledger.url).fingerprint}
    assert (row.actor, row.action, json.loads(body)) == (CLI.name, "export", told)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    hurried = Ledger(url)
    with changing(ledger), pytest.raises(NotNoted, match="Nothing was taken out"):
        export(hurried, tmp_path / "again")
    hurried.close()
    assert [p.name for p in tmp_path.iterdir() if "again" in p.name] == []


def test_a_folder_that_holds_something_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, read(tmp_path / "crm"))
    (tmp_path / "out").mkdir()
    export(ledger, tmp_path / "out")
    with pytest.raises(UsageError, match="not empty"):
        export(ledger, tmp_path / "out")


def test_an_empty_ledger_has_nothing_to_export(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="callsheet load"):
        export(ledger, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be_made_leaves_no_folder(ledger: Ledger, tmp_path: Path) -> None:
    load(ledger, read(tmp_path / "crm"))
    with changing(ledger) as change:  # somebody wrote past the contracts
        change.connection.execute(delete(CRM["accounts"]))
        change.connection.execute(delete(CRM_COLUMNS))
    with pytest.raises(Exception, match="accounts"):
        export(ledger, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []
