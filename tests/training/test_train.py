"""A whole training on a small synthetic CRM, against a real MLflow store; then judged and compared."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from datetime import date
from html import escape
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.catalogue import COLUMNS, FAMILIES, families
from features.config import Config, load_config
from features.errors import NotEnoughData, UsageError
from features.snapshot import Snapshot, read_snapshot
from models.product import Product
from training import report
from training.compare import compare
from training.contestants import CHAMPION, RANKER, RULES
from training.contestants import TITLES as EVERY_TITLE
from training.evaluate import evaluate
from training.gate import PRIMARY, judge
from training.offpolicy.routing import ARTIFACT as VALUE
from training.origin import without_secrets
from training.pool import ARTIFACT, Pool
from training.results import HEADLINES
from training.sample import write_sample
from training.tracking import Run, Store
from training.train import TrainResult, train

PLOTS = (
    "calibration_accept_by_slice", "calibration_convert_by_slice", "threshold",
    "baselines_compared", "calibration", "contributions", "cumulative_gain", "families_worth", "importance",
    "metric_by_slice",
)  # fmt: skip


#: No model serves here, so there is no champion's recipe among the recipes.
TITLES = {key: title for key, title in EVERY_TITLE.items() if key != CHAMPION}


class Trained(NamedTuple):
    snapshot: Snapshot
    config: Config
    home: Path
    result: TrainResult
    store: Store
    run: Run


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Config]:
    folder = tmp_path_factory.mktemp("crm")
    write_sample(folder, accounts=300, reps=16, offers=2500, seed=1, end=date(2026, 9, 1))
    config = load_config(folder / "callsheet.yaml")
    return read_snapshot(str(folder), config=config), config


@pytest.fixture(scope="module")
def trained(crm: tuple[Snapshot, Config], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp("home")
    snapshot, config = crm
    source = "postgresql://ops:hunter2@db.example.com/crm?token=s3cret"
    result = train(snapshot, config, home, recipe="fast", cuts=2, replicates=100, source=source, progress=False)
    store = Store(home)
    return Trained(snapshot, config, home, result, store, store.open(result.run_id))


def test_the_run_says_in_words_what_it_found(trained: Trained) -> None:
    run = trained.store.client.get_run(trained.result.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "Model 1: fast recipe, data to 2026-09-01, seed 0"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(trained.result.sentence)
    for title in TITLES.values():
        assert title in note
    assert (
        f"(#/experiments/{trained.store.experiment}/runs/{trained.result.run_id}/artifacts/plots?workflowType" in note
    )
    described = trained.store.client.get_model_version("callsheet", trained.result.version).description
    assert described.startswith(trained.result.sentence)
    assert trained.result.run_id in described
    assert run.data.params["data.fingerprint"] == trained.snapshot.fingerprint
    assert run.data.params["recipe.accept.rounds"] == "40"
    assert run.data.params["code.version"]
    named = {one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs}
    assert named["offers to 2026-09-01"] == trained.snapshot.fingerprint[:36]
    assert "test offers" in named


def test_every_recipe_has_a_run_of_its_own_with_intervals(trained: Trained) -> None:
    below = compare(trained.home, last=1, nested=True)[1:]
    assert [run.name for run in below] == [title for key, title in TITLES.items() if key != RANKER]
    for run in below:
        value, low, high = run.metrics[PRIMARY]
        assert low is not None
        assert high is not None
        assert low <= value <= high


def test_the_runs_own_metrics_are_few_and_have_intervals(trained: Trained) -> None:
    metrics = trained.store.client.get_run(trained.result.run_id).data.metrics
    assert len(metrics) < 115
    for name in (*HEADLINES, "lead/rules", "lead/closest", "family/graph/dropped", "canary/added"):
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
    assert metrics["calibration_error_accept_by_chance"] > 0
    assert metrics["behaviour_share"] >= 0
    row = next(r for r in trained.result.table if r.recipe == RULES and r.metric == PRIMARY)
    assert metrics["lead/rules"] == pytest.approx(row.difference)
    assert metrics["lead/closest"] <= metrics["lead/rules"]


def test_the_page_of_runs_opens_on_metrics_that_a_training_logs(trained: Trained) -> None:
    metrics = trained.store.client.get_run(trained.result.run_id).data.metrics
    tags = trained.store.client.get_experiment(trained.store.experiment).tags
    view = json.loads(tags["mlflow.sharedViewState.callsheet-headlines"])
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    columns = [c for c in state["selectedColumns"] if c.startswith("metrics.")]
    assert len(columns) >= 5
    assert {c.split("`")[1] for c in columns} <= metrics.keys()
    assert {chart["metricKey"] for chart in state["compareRunCharts"] if "metricKey" in chart} <= metrics.keys()
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    assert [one.name for one in trained.store.client.search_experiments()] == ["callsheet"]


def test_the_rest_is_in_tables(trained: Trained) -> None:
    recipes, slices, reliability = (_table(trained.run, name) for name in ("recipes", "slices", "reliability"))
    seen = recipes[recipes.recipe == TITLES[RANKER]].set_index("metric")
    for name in ("ndcg_at_1", "ndcg_at_10", "mrr", "map", "accept_at_1", "convert_at_5", "log_loss_convert"):
        assert seen.low[name] <= seen.value[name] <= seen.high[name]
    assert set(recipes.recipe) == set(TITLES.values())
    rules = recipes[(recipes.recipe == TITLES[RULES]) & (recipes.metric == PRIMARY)].iloc[0]
    row = next(r for r in trained.result.table if r.recipe == RULES and r.metric == PRIMARY)
    assert (rules.value, rules.lead) == pytest.approx((row.value, row.difference))
    assert {"new", "existing"} <= set(slices[slices.slice == "relationship"]["part"])
    assert set(reliability[reliability.slice == "all"]["head"]) == {"accept", "convert"}
    assert reliability[(reliability["head"] == "accept") & (reliability.slice == "all")].offers.sum() == len(
        pd.read_parquet(trained.run.read(ARTIFACT))
    )


def _table(run: Run, name: str) -> pd.DataFrame:
    return pd.read_json(run.read(f"tables/{name}.json"), orient="split")


def test_routing_by_each_recipe_is_valued_on_the_reps_who_could_have_got_the_lead(trained: Trained) -> None:
    pool = Pool.of_frame(pd.read_parquet(trained.run.read(ARTIFACT)))
    valued = {key for key in TITLES if not key.startswith("without_")}
    assert set(pool.worth) == valued
    told = json.loads(trained.run.read(VALUE).read_text())
    table = _table(trained.run, "value").set_index(["recipe", "reward", "estimator"])
    metrics = trained.store.client.get_run(trained.result.run_id).data.metrics
    answered = 0
    for key in valued:
        said = told["recipes"][key]["converted"]
        worth = pool.worth[key]
        assert np.isnan(worth).all() == (said["refused"] is not None)
        if said["refused"] is not None:
            continue
        answered += 1
        dr = said["estimates"][2]
        assert dr["value"] == pytest.approx(np.nanmean(worth))
        assert table.loc[(TITLES[key], "converted", "dr"), "low"] == pytest.approx(dr["low"])
        assert dr["low"] < dr["value"] < dr["high"]
        if key == RANKER:
            assert metrics["value/converted/dr"] == pytest.approx(dr["value"])
            assert metrics["value/effective_sample_size"] == pytest.approx(said["effective_sample_size"])
    assert answered
    assert said["rounds"] + sum(told["left_out"].values()) == len(pool)
    # The sample's later offers have their propensities logged; those made by hand went to reps whom the rules refuse.
    assert said["propensities"] is None or said["propensities"]["fitted"] == 0


def test_the_charts_and_tables_are_there(trained: Trained) -> None:
    for name in PLOTS:
        assert trained.run.read(f"plots/{name}.png").read_bytes().startswith(b"\x89PNG")
    counts = json.loads(trained.run.read("counts.json").read_text())
    assert counts["offers"] == len(trained.snapshot.tables["offers"])
    assert counts["examples"] + counts["withdrawn"] + counts["reassigned"] <= counts["offers"]
    assert counts["train: offers"] > counts["calibrate: offers"] > 0


def test_the_feature_report_holds_every_family_feature_and_canary(trained: Trained) -> None:
    told = json.loads(trained.run.read("feature_report.json").read_text())
    table = pd.read_csv(trained.run.read("feature_report.csv"))
    assert {row["name"] for row in told["families"]} == set(families())
    assert {row["name"] for row in told["features"]} == set(COLUMNS)
    assert table.groupby("what").size().to_dict() == {"family": len(FAMILIES), "feature": len(COLUMNS), "canary": 2}
    for row in told["families"]:
        assert sum(row["shares"]) > 0
        assert row["cost_ms"] > 0
        assert row["dropped"]["lost"].keys() == row["permuted"]["lost"].keys() >= {PRIMARY, "log_loss_convert"}
    assert sum(row["cost_ms"] for row in told["features"]) == pytest.approx(
        sum(row["cost_ms"] for row in told["families"])
    )
    assert [row["name"] for row in told["features"] if row["permuted"]] == [r["name"] for r in told["features"][:20]]
    assert all(0 <= row["known"] <= 1 for row in told["features"])
    assert -1 <= told["agreement"] <= 1
    metrics = trained.store.client.get_run(trained.result.run_id).data.metrics
    graph = next(row for row in told["families"] if row["name"] == "graph")
    for way in ("dropped", "permuted"):
        spelled = [metrics[f"family/graph/{way}{end}"] for end in ("", "_low", "_high")]
        assert spelled == pytest.approx(graph[way]["lost"][PRIMARY])
    lead = next(r.difference for r in trained.result.table if r.recipe == "without_graph" and r.metric == PRIMARY)
    assert metrics["family/graph/dropped"] == pytest.approx(lead)
    assert metrics["canary/singing"] == len(told["canaries"]["singing"])
    promise = {end: metrics[f"threshold/accept_one_in_three/{end}"] for end in ("low", "forecast", "high", "kept")}
    assert promise["kept"] == float(promise["low"] <= promise["forecast"] <= promise["high"])
    assert metrics["canary/noise/place"] == told["canaries"]["kinds"]["noise"]["place"]


def test_the_report_is_kept_with_the_run_and_in_the_home(trained: Trained) -> None:
    page = trained.run.read("report.html").read_text()
    assert trained.result.report == trained.home / "reports" / "training-model-1.html"
    assert trained.result.report.read_text() == page
    assert escape(trained.result.sentence) in page
    assert page.count("data:image/png;base64,") == len(PLOTS)
    assert not re.search(r"<script|https?:", page)
    for feature in COLUMNS:
        assert f"<td>{feature}</td>" in page
    below = compare(trained.home, last=1, nested=True)[1]
    with pytest.raises(UsageError, match="no training"):
        report.write(trained.store, below.run_id)


def test_what_was_tested_can_be_judged_again_from_the_run(trained: Trained) -> None:
    pool = Pool.of_frame(pd.read_parquet(trained.run.read(ARTIFACT)))
    metrics = trained.store.client.get_run(trained.result.run_id).data.metrics
    again = evaluate(pool.board, pool.said[RANKER]).value
    assert again[PRIMARY] == pytest.approx(metrics[PRIMARY], abs=1e-12)
    assert set(pool.said) == set(TITLES)
    assert set(np.unique(pool.cut)) == {0, 1}


def test_the_registered_model_is_the_product_to_the_last_bit(trained: Trained) -> None:
    version = trained.store.challenger()
    assert version is not None
    assert (version.version, version.aliases) == (trained.result.version, ("challenger",))
    folder = trained.store.product_folder(version.version)
    product = Product.load(folder, expected=trained.result.content_hash)
    assert product.content_hash == version.content_hash == Product.load(trained.result.model_dir).content_hash
    model = mlflow.pyfunc.load_model(str(folder.parent.parent))
    rows = model.input_example
    assert [column.name for column in model.metadata.signature.inputs.inputs] == list(product.contract.columns)
    said = model.predict(rows)
    assert said.columns.tolist() == ["score", "p_accept", "p_convert"]
    saved = json.loads((folder.parent.parent / "serving_input_example.json").read_text())
    assert len(said) == len(saved["dataframe_split"]["data"])
    assert ((said["p_convert"] > 0) & (said["p_convert"] <= said["p_accept"])).all()


def test_nothing_is_pickled_and_no_person_or_password_is_written(trained: Trained) -> None:
    contacts, accounts = trained.snapshot.tables["contacts"], trained.snapshot.tables["accounts"]
    personal = [str(mail).encode() for mail in contacts["email"].dropna().unique()[:50]]
    personal += [str(name).encode() for name in accounts["name"].unique()[:20]]
    for path in trained.home.rglob("*"):
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".cloudpickle")
        if path.is_file():
            content = path.read_bytes()
            assert not content.startswith(b"\x80\x04"), path
            for secret in (b"hunter2", b"s3cret", *personal):
                assert secret not in content, path


def test_the_same_data_and_seed_make_the_same_model_and_the_next_version(trained: Trained) -> None:
    tables = {name: frame.sample(frac=1, random_state=7) for name, frame in trained.snapshot.tables.items()}
    again = train(
        replace(trained.snapshot, tables=tables), trained.config, trained.home, recipe="fast", cuts=1, replicates=20,
        progress=False,
    )  # fmt: skip
    assert again.content_hash == trained.result.content_hash
    assert int(again.version) == int(trained.result.version) + 1
    challenger = trained.store.challenger()
    assert challenger is not None
    assert challenger.version == again.version


def test_the_gate_writes_its_verdict_down(trained: Trained) -> None:
    verdict = judge(trained.home, trained.result.run_id, trained.config)
    written = json.loads(trained.run.read("gate.json").read_text())
    assert written["passed"] is verdict.passed
    assert len(written["checks"]) == len(verdict.checks)
    assert next(check for check in verdict.checks if check.name == "artefact_whole").passed
    tags = trained.store.client.get_run(trained.result.run_id).data.tags
    assert tags["gate"] == ("passed" if verdict.passed else "refused")
    assert tags["gate_reason"] == verdict.reason


def test_with_todays_data_the_gate_looks_for_features_in_it_and_not_in_what_the_run_saw(trained: Trained) -> None:
    def complete(snapshot: Snapshot | None) -> bool:
        verdict = judge(trained.home, trained.result.run_id, trained.config, snapshot=snapshot)
        return next(check for check in verdict.checks if check.name == "features_complete").passed

    tables = dict(trained.snapshot.tables)
    tables["meetings"] = tables["meetings"].iloc[:0]
    assert complete(None)
    assert complete(trained.snapshot)
    assert not complete(replace(trained.snapshot, tables=tables))


def test_where_everyone_accepts_p_accept_is_absent_and_the_gate_says_so(
    crm: tuple[Snapshot, Config], tmp_path: Path
) -> None:
    snapshot, config = crm
    offers = snapshot.tables["offers"].copy()
    offers["answer"] = "accepted"
    offers["answered_at"] = offers["answered_at"].fillna(offers["offered_at"])
    every = replace(snapshot, tables={**snapshot.tables, "offers": offers})
    result = train(every, config, tmp_path, recipe="fast", cuts=1, replicates=20, progress=False)
    assert not [row for row in result.table if row.recipe == RANKER and row.metric.startswith("log_loss")]
    metrics = Store(tmp_path).client.get_run(result.run_id).data.metrics
    assert "log_loss_accept" not in metrics
    assert PRIMARY in metrics
    verdict = judge(tmp_path, result.run_id, config)
    assert not verdict.passed
    assert "p_accept" in next(check for check in verdict.checks if check.name == "heads_estimable").text


def test_a_short_log_is_refused_before_anything_is_written(crm: tuple[Snapshot, Config], tmp_path: Path) -> None:
    snapshot, config = crm
    offers = snapshot.tables["offers"]
    late = offers[offers["offered_at"] > snapshot.now - pd.Timedelta(days=120)]
    with pytest.raises(NotEnoughData, match="Not enough data"):
        train(replace(snapshot, tables={**snapshot.tables, "offers": late}), config, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_an_unknown_recipe_is_refused(crm: tuple[Snapshot, Config], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="recipe 'best'"):
        train(*crm, tmp_path, recipe="best", progress=False)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("postgresql+psycopg://u:p@h:5432/crm?sslkey=x", "postgresql+psycopg://h:5432/crm"),
        ("sqlite:///crm.db", "sqlite:///crm.db"),
        ("exports/may", "exports/may"),
    ],
)
def test_a_source_is_named_without_credentials(source: str, named: str) -> None:
    assert without_secrets(source) == named
