"""`callsheet monitor` on a real store: the page, the run, the exit code, and nobody's name in any of it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

import callsheet
from features.config import load_config
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.load import load
from serving.ledger.releases import Released, Releases
from training.compare import compare
from training.monitor.reference import ARTIFACT
from training.sample import write_sample
from training.tracking import Store
from training.train import train

CANARY = "zz-canary-7f3@example.test"
CANARY_NAME = "Zz-Canary Holdings"


@dataclass(frozen=True)
class Trained:
    """A CRM with a person in it who must stay there, and a home in which a model was trained on it, as of spring."""

    crm: Path
    home: Path

    @property
    def common(self) -> list[str]:
        return ["--data", str(self.crm), "--config", str(self.crm / "callsheet.yaml"), "--home", str(self.home)]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    crm = tmp_path_factory.mktemp("monitor") / "crm"
    write_sample(crm, accounts=120, reps=14, offers=2500, seed=7, end=date(2026, 6, 30))
    contacts = pd.read_csv(crm / "contacts.csv", dtype=str, keep_default_na=False)
    contacts["email"] = CANARY
    contacts.to_csv(crm / "contacts.csv", index=False)
    accounts = pd.read_csv(crm / "accounts.csv", dtype=str, keep_default_na=False)
    accounts["name"] = CANARY_NAME
    accounts.to_csv(crm / "accounts.csv", index=False)
    config = load_config(crm / "callsheet.yaml")
    home = crm.parent / "home"
    spring = read_snapshot(str(crm), config=config, as_of=pd.Timestamp("2026-03-10", tz="UTC"))
    train(spring, config, home, recipe="fast", cuts=1, replicates=20, progress=False)
    return Trained(crm, home)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`callsheet monitor` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # The trial of a model's files costs seconds and has tests of its own.
    monkeypatch.setattr("serving.cache.probe", lambda *_: None)
    for name in ("CALLSHEET_HOME", "CALLSHEET_DB"):
        monkeypatch.delenv(name, raising=False)

    def call(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["callsheet", "monitor", *args])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            callsheet.main()
        said = capfd.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return call


def test_the_whole_command(run: Run, trained: Trained) -> None:
    """Enough offers since the cut to judge some of it by: keep, and 0; page and run tell the same."""
    ran = run(*trained.common, "--as-of", "2026-06-02")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "recommendation: keep"
    assert "No model is released" in ran.err
    assert "below 500 chance looks like drift" in ran.out

    page = trained.home / "reports" / "monitor-model-1-2026-06-02.html"
    html = page.read_text()
    assert str(page) in ran.err
    assert "Model 1: is it still what it was?" in html
    assert set(re.findall(r'src="([^,"]*)', html)) == {"data:image/png;base64"}
    assert not re.search(r"https?://|<script|<link|@import", html)

    store = Store(trained.home)
    made = store.client.get_run(ran.err.rsplit("its run ", 1)[1].split(".")[0])
    assert made.info.status == "FINISHED"
    assert re.fullmatch(r"Monitor of model 1, 2026-05-0\d to 2026-06-0\d: keep", made.info.run_name)
    version = store.version("1")
    tags = made.data.tags
    assert (tags["kind"], tags["model_version"], tags["recommendation"]) == ("monitor", "1", "keep")
    assert tags["healthy"] == "yes"
    assert tags["model_run"] == version.run_id
    assert tags["mlflow.note.content"].startswith("**keep**")
    assert "below 500 chance looks like drift" in tags["mlflow.note.content"]
    source = store.client.get_model_version("callsheet", "1").source
    assert [f"models:/{one.model_id}" for one in made.inputs.model_inputs] == [source]
    assert made.info.run_id in store.client.get_model_version("callsheet", "1").tags["monitor"]
    assert made.data.metrics["accept_rate/then"] > 0
    opened = store.open(made.info.run_id)
    assert opened.read("report.html").read_text() == html
    assert json.loads(opened.read("findings.json").read_text())["recommendation"] == "keep"
    assert opened.read("plots/rates.png").read_bytes().startswith(b"\x89PNG")
    assert [one.run_id for one in compare(trained.home)] == [version.run_id], "a look is no training"


def test_where_there_are_enough_offers_features_are_judged_and_listed(run: Run, trained: Trained) -> None:
    ran = run(*trained.common, "--as-of", "2026-06-02", "--window", "13w", "--format", "json", "--out", "wide.html")
    rows = json.loads(ran.out)
    assert rows[-1]["check"] == "recommendation"
    assert ran.code == (0 if all(row["asks"] in (None, "keep") for row in rows) else 1)
    by = {row["check"]: row for row in rows}
    assert by["features"]["numbers"]["judged"] > 50
    assert by["feature level"]["numbers"]["limit"] >= 0.2
    assert "How far did each feature move?" not in Path("wide.html").read_text(), "the charts are pictures"
    assert 'alt="features"' in Path("wide.html").read_text()


def test_a_change_of_market_ends_with_1_and_says_why(run: Run, trained: Trained, tmp_path: Path) -> None:
    config = tmp_path / "callsheet.yaml"
    text = (trained.crm / "callsheet.yaml").read_text()
    config.write_text(text.replace("unknown: refuse", "unknown: allow"))
    common = ["--data", str(trained.crm), "--config", str(config), "--home", str(trained.home)]
    ran = run(*common, "--as-of", "2026-06-02", "--format", "csv")
    assert ran.code == 1, ran.err
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert (rows[-1]["check"], rows[-1]["state"]) == ("recommendation", "retrain")
    assert next(row["state"] for row in rows if row["check"] == "served market") == "alarm"


def test_what_is_released_is_what_is_looked_at(run: Run, trained: Trained) -> None:
    version = Store(trained.home).version("1")
    ledger = Ledger.open("sqlite:///own.db", trained.home)
    model = Released("1", version.content_hash, version.feature_version, version.market_fingerprint)
    Releases(ledger).promote(model, seen=0, reason="agreed")
    ledger.close()
    ran = run(*trained.common, "--db", "sqlite:///own.db", "--as-of", "2026-06-02", "--out", "own.html")
    assert ran.code == 0, ran.err
    assert "No model is released" not in ran.err
    assert "The released model" in Path("own.html").read_text()


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["--model", "99"], "99"),
        (["--window", "a month"], "--window"),
        (["--window", "16wh"], "days or weeks"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_it(run: Run, trained: Trained, more: list[str], names: str) -> None:
    ran = run(*trained.common, *more)
    assert (ran.code, ran.out) == (2, "")
    assert names in ran.err


def test_where_nothing_could_be_judged_it_is_said_and_ends_with_1(run: Run, trained: Trained) -> None:
    ran = run(*trained.common, "--as-of", "2026-04-07", "--out", "silent.html")
    assert ran.code == 1, ran.out
    assert "Nothing could be judged" in ran.out
    assert ran.out.splitlines()[-1] == "recommendation: keep"
    assert "Nothing could be judged" in Path("silent.html").read_text()
    rows = json.loads(run(*trained.common, "--as-of", "2026-04-07", "--format", "json").out)
    assert "Nothing could be judged" in rows[-1]["text"]


@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_data_that_are_refused_say_so_where_a_recommendation_would_stand(
    run: Run, trained: Trained, tmp_path: Path, format: str
) -> None:
    broken = tmp_path / "crm"
    shutil.copytree(trained.crm, broken)
    leads = pd.read_csv(broken / "leads.csv", dtype=str, keep_default_na=False)
    leads.loc[3, "created_at"] = "yesterday"
    leads.to_csv(broken / "leads.csv", index=False)
    ran = run("--data", str(broken), *trained.common[2:], "--format", format)
    assert ran.code == 1
    assert "recommendation" not in ran.out
    assert "leads.created_at" in ran.err
    if format == "table":
        assert ran.out.startswith("refused: leads.created_at: expected")
    else:
        (row,) = json.loads(ran.out) if format == "json" else csv.DictReader(io.StringIO(ran.out))
        assert (row["check"], row["state"]) == ("data", "refused")
        assert "leads.created_at" in row["text"]


def test_a_log_without_offers_is_refused_and_a_feed_that_stopped_ends_with_1(
    run: Run, trained: Trained, tmp_path: Path
) -> None:
    empty = tmp_path / "crm"
    shutil.copytree(trained.crm, empty)
    header = (empty / "offers.csv").read_text().splitlines()[0]
    (empty / "offers.csv").write_text(f"{header}\n")
    ran = run("--data", str(empty), *trained.common[2:])
    assert (ran.code, ran.out.startswith("refused: There are no offers")) == (1, True)
    old = run(*trained.common, "--window", "13w")
    assert old.code == 1
    assert "Because of: data age" in old.out


def test_nothing_trained_is_nothing_to_look_at(run: Run, trained: Trained, tmp_path: Path) -> None:
    ran = run(*trained.common[:4], "--home", str(tmp_path / "empty"))
    assert ran.code == 2
    assert "callsheet train" in ran.err


def test_a_training_that_kept_no_reference_is_named(run: Run, trained: Trained, tmp_path: Path) -> None:
    version = Store(trained.home).version("1")
    kept = Store(trained.home).open(version.run_id).read(ARTIFACT)
    shutil.move(kept, tmp_path / "away")
    try:
        ran = run(*trained.common)
    finally:
        shutil.move(tmp_path / "away", kept)
    assert ran.code == 2
    assert "kept no reference.json" in ran.err


def test_nobody_is_named_anywhere(run: Run, trained: Trained) -> None:
    """Runs after the others in this file, so that all that they wrote is looked at."""
    run(*trained.common, "--as-of", "2026-06-02")
    for path in trained.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (CANARY, CANARY_NAME):
                assert secret.encode() not in content, path


def test_without_data_it_looks_at_the_ledger(run: Run, trained: Trained, tmp_path: Path) -> None:
    home = shutil.copytree(trained.home, tmp_path / "home")
    (home / "ledger.db").unlink(missing_ok=True)
    at = ["--config", str(trained.crm / "callsheet.yaml"), "--home", str(home)]
    none = run(*at)
    assert none.code == 2
    assert "callsheet load --data" in none.err
    with closing(Ledger.open(None, home)) as ledger:
        load(ledger, read_snapshot(str(trained.crm), config=load_config(trained.crm / "callsheet.yaml")))
    told = ["--as-of", "2026-06-02", "--format", "json"]
    ran, of_the_files = run(*at, *told), run(*trained.common, *told)
    assert ran.code == 0, ran.err
    assert ran.out == of_the_files.out
