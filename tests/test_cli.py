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


# -- The other doors ------------------------------------------------------------------------------------------------


def test_sample_writes_a_crm_that_check_and_audit_take(run: Run) -> None:
    made = run(
        "sample", "made", "--accounts", "50", "--reps", "12", "--offers", "300", "--seed", "3", "--format", "csv"
    )
    assert made.code == 0, made.err
    sizes = {row["table"]: int(row["rows"]) for row in csv.DictReader(io.StringIO(made.out))}
    assert (sizes["accounts"], sizes["reps"]) == (50, 12)
    assert Path("made/truth/pairs.csv").read_text().startswith('"lead_id","rep_id","as_of","p_accept","p_convert"')

    common = ("--data", "made", "--config", "made/callsheet.yaml")
    assert run("check", *common).code == 0
    audit = json.loads(run("audit", *common, "--format", "json").out)
    assert {row["market"] for row in audit["rules"]} == {"banks", "food"}
    gaps = list(csv.DictReader(io.StringIO(run("audit", *common, "--list", "gaps", "--format", "csv").out)))
    assert len(gaps) == len(audit["gaps"])
    assert run("sample", "made").code == 2, "a folder that holds something is not written over"
    assert run("sample", "other", "--end", "June").code == 2


def test_init_writes_what_the_other_commands_read_and_overwrites_nothing(run: Run, crm: Path) -> None:
    assert run("init", "--data", "crm").code == 2
    assert Path("callsheet.yaml").read_text() == CONFIG
    written = run("init", "--data", "crm", "--config", "draft.yaml")
    assert (written.code, written.out) == (0, "draft.yaml\n")
    assert run("audit", "--data", "crm", "--config", "draft.yaml").code == 0
    assert run("init", "--data", "crm", "--force").code == 0
    assert Path("callsheet.yaml").read_text() == Path("draft.yaml").read_text()


def test_before_anything_is_trained_the_rules_serve_and_each_door_says_so(run: Run, crm: Path) -> None:
    assert run("models", "--format", "json").out == "[]\n"
    assert run("compare").code == 2
    assert run("promote").code == 2
    assert run("rollback").code == 1
    told = run("report")
    assert (told.code, told.out) == (2, "")
    assert "callsheet train" in told.err
    told = run("recommend", "--data", "crm", "--lead", "L1", "--format", "json")
    answer = json.loads(told.out)
    assert (answer["rung"], answer["degraded"], answer["model_version"]) == ("hash", True, None)  # nobody owns it
    assert "not enough data" in answer["degraded_reason"]
    assert [item["rep_id"] for item in answer["items"]] == ["R1"]
    assert "not enough data" in run("recommend", "--data", "crm", "--rep", "R1").out
    assert run("train", "--data", "crm").code == 1, "nothing to learn from is an answer, not a crash"


@pytest.mark.parametrize("args", [[], ["--lead", "L1", "--rep", "R1"]])
def test_recommend_takes_a_lead_or_a_rep(run: Run, crm: Path, args: list[str]) -> None:
    assert run("recommend", "--data", "crm", *args).code == 2


def test_who_is_unknown_is_named(run: Run, crm: Path) -> None:
    ran = run("recommend", "--data", "crm", "--lead", "L404")
    assert (ran.code, ran.out) == (1, "")
    assert "L404" in ran.err


# -- score ----------------------------------------------------------------------------------------------------------


def test_score_keeps_the_order_and_says_which_rule_refused(run: Run, crm: Path) -> None:
    (crm / "accounts.csv").write_text(TABLES["accounts"] + "A2,Other,FR,prospect,2026-01-01T00:00:00Z\n")
    (crm / "contacts.csv").write_text(TABLES["contacts"] + "C2,A2,CFO,2026-01-02T00:00:00Z\n")
    (crm / "leads.csv").write_text(TABLES["leads"] + "L2,C2,payments,2026-01-04T00:00:00Z\n")
    Path("pairs.csv").write_text("rep_id,lead_id,p_accept\nR1,L2,0.5\nR1,L1,0.5\nR1,L2,0.5\n")
    ran = run("score", "--data", "crm", "pairs.csv", "--out", "scores.csv")
    assert ran.code == 0, ran.err
    assert "no model" in ran.err
    rows = list(csv.DictReader(io.StringIO(Path("scores.csv").read_text())))
    assert list(rows[0]) == [
        "lead_id", "rep_id", "as_of", "eligible", "rule", "score", "p_accept", "p_convert", "expected_value",
    ]  # fmt: skip
    assert [row["lead_id"] for row in rows] == ["L2", "L1", "L2"]
    assert [(row["eligible"], row["rule"]) for row in rows] == [
        ("false", "country"),
        ("true", ""),
        ("false", "country"),
    ]
    assert {row["as_of"] for row in rows} == {"2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"}
    assert not [row for row in rows if row["score"] or row["p_accept"] or row["expected_value"]]


@pytest.mark.parametrize(
    ("pairs", "code", "names"),
    [
        ("lead_id,rep\nL1,R1\n", 1, "rep_id"),
        ("lead_id,rep_id\nL1,R1\n,R1\n", 1, "rows 2"),
        ("lead_id,rep_id,as_of\nL1,R1,2026-01-05T09:00:00\n", 1, "as_of"),
        ("lead_id,rep_id\nL1,R1\nL9,R1\n", 1, "row 2, lead_id"),
    ],
)
def test_pairs_that_cannot_be_scored_are_named_and_nothing_is_written(
    run: Run, crm: Path, pairs: str, code: int, names: str
) -> None:
    Path("pairs.csv").write_text(pairs)
    ran = run("score", "--data", "crm", "pairs.csv", "--out", "scores.csv")
    assert (ran.code, ran.out) == (code, "")
    assert names in ran.err
    assert not Path("scores.csv").exists()
    assert not list(Path().glob(".scores*"))


def test_the_version_is_told() -> None:
    told = subprocess.run([sys.executable, "-m", "callsheet", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("callsheet 0.")
