"""The ledger's doors at the command line, one after the other, as an operator would open them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from features.snapshot import read_snapshot
from tests.features.crm_files import write
from tests.features.small_crm import MARKET

CONTACTS = "contact_id,account_id,email,created_at\nC1,A1,a@example.test,2025-01-03T00:00:00Z\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration and a CRM, and no ledger yet."""
    write(tmp_path / "crm", contacts=CONTACTS)
    (tmp_path / "callsheet.yaml").write_text(MARKET)
    return tmp_path


def call(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, str(root / "callsheet.py"), *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120)


def told(place: Path, *words: str) -> list[dict[str, Any]]:
    done = call(place, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_in_and_out_and_back(place: Path) -> None:
    none = call(place, "db", "status")
    assert (none.returncode, "callsheet db upgrade" in none.stderr) == (1, True)
    loaded = {row["table"]: row["inserted"] for row in told(place, "load", "--data", "crm")}
    assert loaded == {"accounts": 2, "contacts": 1, "leads": 1, "reps": 2}
    state = {row["what"]: row["value"] for row in told(place, "db", "status")}
    assert (state["seq"], state["rows.contacts"], state["revision"]) == (1, 1, state["newest"])
    assert call(place, "db", "upgrade").stdout == f"up to date: {state['newest']}\n"
    told(place, "backup", "backup.db")
    erased = {row["table"] for row in told(place, "erase", "--contact", "C1")}
    assert {"contacts", "leads"} <= erased
    assert call(place, "erase", "--contact", "C9").returncode == 1
    refused = call(place, "restore", "backup.db")
    assert (refused.returncode, "--replace" in refused.stderr) == (1, True)
    told(place, "restore", "backup.db", "--replace")
    told(place, "export", "--out", "out")
    assert "a@example.test" not in (place / "out" / "contacts.csv").read_text()
    assert (
        read_snapshot(str(place / "out")).fingerprint
        == read_snapshot(f"sqlite:///{place / '.callsheet' / 'ledger.db'}").fingerprint
    )


def test_a_broken_table_loads_nothing_and_ends_with_1(place: Path) -> None:
    write(place / "crm", reps="rep_id,name,role\nR1,Ada,king\n")
    done = call(place, "load", "--data", "crm")
    assert done.returncode == 1
    assert "Nothing was loaded" in done.stderr
    assert not (place / ".callsheet").exists()
