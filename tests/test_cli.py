"""The doors of the command line: where results go, how it ends, and what it says when something is wrong."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import callsheet

CONFIG = "markets: {all: {countries: [US]}}\n"
TABLES = {
    "accounts": "account_id,name,country,status,created_at\nA1,Acme,US,prospect,2026-01-01T00:00:00Z\n",
    "contacts": "contact_id,account_id,title,created_at\nC1,A1,CFO,2026-01-02T00:00:00Z\n",
    "leads": "lead_id,contact_id,solution,created_at\nL1,C1,payments,2026-01-03T00:00:00Z\n",
    "reps": "rep_id,name,role\nR1,Ann,inside\n",
}


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The console command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("CALLSHEET_HOME", "CALLSHEET_DB"):
        monkeypatch.delenv(name, raising=False)

    def call(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["callsheet", *args])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            callsheet.main()
        said = capfd.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A small sound CRM and its configuration, where the command looks for them."""
    (tmp_path / "crm").mkdir()
    for name, text in TABLES.items():
        (tmp_path / "crm" / f"{name}.csv").write_text(text)
    (tmp_path / "callsheet.yaml").write_text(CONFIG)
    return tmp_path / "crm"


# -- How it ends ----------------------------------------------------------------------------------------------------


def test_help_is_fast_because_it_loads_no_heavy_room() -> None:
    """A number of seconds would test the machine; what is imported is what makes it slow."""
    code = "import sys, callsheet; print(*[m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "pandas", "pydantic", "mlflow", "bentoml", "lightgbm", "sqlalchemy", "duckdb"} & set(loaded)


def test_nobody_is_told_that_callsheet_runs() -> None:
    code = "import callsheet, os; print(os.environ['BENTOML_DO_NOT_TRACK'], os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PATH": ""})
    assert said.stdout.split() == ["true", "true"]


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["chekc"], "check"),
        (["check"], "--data"),
        (["check", "--data", "crm", "--fromat", "json"], "--format"),
        (["check", "--data", "crm", "--format", "xml"], "xml"),
        (["check", "--data", "nowhere"], "nowhere"),
        (["check", "--data", "crm", "--config", "other.yaml"], "other.yaml"),
        (["check", "--data", "crm", "--as-of", "soon"], "--as-of"),
        (["check", "--data", "crm", "--as-of", "2026-03-02T09:00"], "time zone"),
    ],
)
def test_wrong_usage_is_2_and_names_what_is_wrong(run: Run, crm: Path, args: list[str], names: str) -> None:
    ran = run(*args)
    assert (ran.code, ran.out) == (2, "")
    assert names in ran.err


@pytest.mark.parametrize(
    ("config", "path"),
    [("markets: {}\n", "markets"), (CONFIG + "markte: 1\n", "markte"), (CONFIG + "hours: 3\n", "hours")],
)
def test_a_wrong_configuration_is_2_and_says_where(run: Run, crm: Path, config: str, path: str) -> None:
    Path("callsheet.yaml").write_text(config)
    ran = run("check", "--data", "crm")
    assert (ran.code, ran.out) == (2, "")
    assert path in ran.err


def test_what_breaks_is_3_and_leaves_the_story_in_home(run: Run, crm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("features.config.load_config", broken)
    ran = run("train", "--data", "crm", "--home", "mine")
    assert ran.code == 3
    assert "ZeroDivisionError: by nothing" in ran.err
    assert "Traceback" not in ran.err
    assert "in broken" in Path("mine/error.log").read_text()
    assert "Traceback" in run("--debug", "train", "--data", "crm").err


# -- check ----------------------------------------------------------------------------------------------------------


def test_a_sound_crm_passes(run: Run, crm: Path) -> None:
    ran = run("check", "--data", "crm")
    assert ran.code == 0, ran.err
    assert "accounts.status" in ran.out.replace(" ", ".") or "status" in ran.out
    assert "2026-01-03 00:00 UTC" in ran.err


def test_every_breach_is_listed_and_exits_1(run: Run, crm: Path) -> None:
    (crm / "contacts.csv").write_text(
        "contact_id,account_id,title,created_at\nC1,A9,CFO,2026-01-02T00:00:00Z\nC1,A1,CTO,yesterday\n"
    )
    ran = run("check", "--data", "crm", "--format", "json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert {f["level"] for f in found} == {"breach"}
    assert {(f["table"], f["column"]) for f in found} >= {("contacts", "account_id"), ("contacts", "created_at")}
    assert next(f for f in found if f["column"] == "created_at")["value"] == "yesterday"
    assert next(f for f in found if f["column"] == "created_at")["rows"] == [2]

    table = run("check", "--data", "crm")
    assert (table.code, "yesterday" in table.out) == (1, True)
    sheet = list(csv.DictReader(io.StringIO(run("check", "--data", "crm", "--format", "csv").out)))
    assert len(sheet) == len(found)


def test_a_breach_cannot_write_to_the_terminal(run: Run, crm: Path) -> None:
    """A value is data: what looks like markup or a control sequence is shown, not obeyed."""
    (crm / "reps.csv").write_text("rep_id,name,role\nR1,Ann,[bold]chief[/bold]\nR2,Bob,\x1b[2Jx\n")
    ran = run("check", "--data", "crm")
    assert ran.code == 1
    assert "[bold]chief[/bold]" in ran.out
    assert "\x1b[2J" not in ran.out


def test_how_changing_columns_are_read_is_listed(run: Run, crm: Path) -> None:
    (crm / "changes.csv").write_text(
        "table_name,row_id,column_name,value,valid_from\nreps,R1,role,inside,2026-01-02T00:00:00Z\n"
    )
    rows = json.loads(run("check", "--data", "crm", "--format", "json").out)
    how = {r["column"]: r["expected"] for r in rows if r["level"] == "read"}
    assert how["reps.role"].startswith("history")
    assert how["accounts.status"].startswith("hidden")
    assert how["contacts.title"].startswith("constant")
    Path("callsheet.yaml").write_text(CONFIG + "history: {assume_constant: [accounts.status]}\n")
    rows = json.loads(run("check", "--data", "crm", "--format", "json").out)
    assert next(r for r in rows if r["column"] == "accounts.status")["expected"].startswith("constant")
