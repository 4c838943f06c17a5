"""The sample CRM keeps the contracts of its tables, is the same each time, and has the rates and traps it should."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.asof import NAT
from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.errors import UsageError
from features.outcomes import ACCEPTED
from features.schema import TABLES
from features.snapshot import read_snapshot
from training.sample import SampleReport, sample_config, write_sample
from training.world.life import live
from training.world.setting import NONE, Setting

END = date(2026, 3, 1)
SMALL = {"accounts": 200, "reps": 20, "offers": 1000, "seed": 3, "end": END}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleReport]:
    out = tmp_path_factory.mktemp("sample") / "crm"
    return out, write_sample(out, **SMALL, world="rough", graph="strong", traits=True)


@pytest.fixture(scope="module")
def tables(sample: tuple[Path, SampleReport]) -> dict[str, pd.DataFrame]:
    return {p.stem: pd.read_csv(p, dtype=str, keep_default_na=False) for p in sorted(sample[0].glob("*.csv"))}


def instants(column: pd.Series) -> pd.Series:
    return pd.to_datetime(column.replace("", None), utc=True)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_arguments_give_the_same_bytes_and_another_seed_does_not(
    sample: tuple[Path, SampleReport], tmp_path: Path
) -> None:
    again, other = tmp_path / "crm", tmp_path / "other"
    assert write_sample(again, **SMALL, world="rough").rows == sample[1].rows
    assert digest(again) == digest(sample[0])
    write_sample(other, **(SMALL | {"seed": 4}), world="rough")
    same = {name for name, sha in digest(other).items() if sha == digest(again)[name]}
    assert not {"offers.csv", "accounts.csv", "truth/pairs.csv"} & same


def test_every_table_of_the_contract_is_there_with_its_columns(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tables) == set(TABLES)
    for name, frame in tables.items():
        assert set(frame.columns) >= set(TABLES[name].names) - {"known_at"}, name
        assert len(frame), name


def test_sizes_are_those_asked_for(sample: tuple[Path, SampleReport]) -> None:
    rows = sample[1].rows
    assert (rows["accounts"], rows["contacts"], rows["reps"], rows["offers"]) == (200, 2000, 20, 1000)


def test_the_snapshot_reads_without_a_breach_and_knows_nothing_after_the_end(sample: tuple[Path, SampleReport]) -> None:
    out = sample[0]
    config = load_config(out / "callsheet.yaml")
    snapshot = read_snapshot(str(out), config=config)
    assert not snapshot.missing
    assert pd.Timestamp("2026-02-27", tz="UTC") < snapshot.now < pd.Timestamp("2026-03-02", tz="UTC")
    assert list(config.markets) == ["banks", "food"]


def test_the_truth_holds_exactly_the_pairs_that_the_engine_lets_through(sample: tuple[Path, SampleReport]) -> None:
    out, report = sample
    config = load_config(out / "callsheet.yaml")
    snapshot = read_snapshot(str(out), config=config)
    engine = Engine(Book.of(snapshot, config), config)
    truth = pd.read_csv(out / "truth" / "pairs.csv", dtype={"lead_id": str, "rep_id": str})
    leads = snapshot.tables["leads"]
    late = leads[leads["created_at"] >= pd.Timestamp("2026-02-02", tz="UTC")]
    reps = snapshot.tables["reps"]["rep_id"].to_numpy(object)
    lead, rep = np.repeat(late["lead_id"].to_numpy(object), reps.size), np.tile(reps, len(late))
    at = np.repeat(late["created_at"].astype("int64").to_numpy(), reps.size)
    able = engine.eligibility(lead, rep, at) == 0
    assert set(zip(lead[able], rep[able], strict=True)) == set(zip(truth["lead_id"], truth["rep_id"], strict=True))
    assert len(truth) == report.truth_pairs


def test_rates_are_those_of_the_trade(sample: tuple[Path, SampleReport]) -> None:
    report = sample[1]
    assert 0.24 < report.accept_rate < 0.36
    assert 0.035 < report.convert_rate < 0.07
    assert report.converted_seen <= report.convert_rate + 0.015
    assert 0 < report.outside < 0.05 * report.rows["offers"]
    assert 2.0 < report.oracle_lift < 5.0


def test_true_chances_are_chances_and_converting_needs_accepting(sample: tuple[Path, SampleReport]) -> None:
    truth = pd.read_csv(sample[0] / "truth" / "pairs.csv")
    assert truth["p_accept"].between(0, 1, inclusive="neither").all()
    assert (truth["p_convert"] < truth["p_accept"]).all()
    assert not truth.duplicated(["lead_id", "rep_id"]).any()
    best = truth.groupby("lead_id")["p_convert"].agg(["max", "mean"])
    assert best["max"].mean() > 2 * best["mean"].mean()


def test_leads_of_the_test_period_are_open_and_never_offered(
    sample: tuple[Path, SampleReport], tables: dict[str, pd.DataFrame]
) -> None:
    truth = pd.read_csv(sample[0] / "truth" / "pairs.csv", dtype=str)
    leads, offers = tables["leads"].set_index("lead_id"), tables["offers"]
    asked = leads.loc[truth["lead_id"].unique()]
    assert (asked["status"] == "open").all()
    assert not set(asked.index) & set(offers["lead_id"])
    assert instants(asked["created_at"]).min() > instants(offers["offered_at"]).max()


def test_no_lead_is_offered_twice_to_a_rep_nor_while_another_offer_is_open(tables: dict[str, pd.DataFrame]) -> None:
    offers = tables["offers"]
    assert not offers.duplicated(["lead_id", "rep_id"]).any()
    offers = offers.assign(at=instants(offers["offered_at"]), end=instants(offers["answered_at"]))
    offers = offers.sort_values(["lead_id", "at"])
    before = offers.groupby("lead_id")[["end", "answer"]].shift()
    again = offers["attempt"].astype(int) > 1
    assert set(offers["attempt"].astype(int)) == {1, 2, 3}
    assert (offers.loc[again, "at"] > before.loc[again, "end"]).all()
    assert set(before.loc[again, "answer"]) <= {"rejected", "expired", "reassigned"}


def test_answers_agree_with_themselves(tables: dict[str, pd.DataFrame]) -> None:
    offers = tables["offers"]
    assert ((offers["answer"] == "rejected") == (offers["reject_reason"] != "")).all()
    converted = offers[offers["converted_at"] != ""]
    assert (converted["answer"] == "accepted").all()
    assert (instants(converted["converted_at"]) > instants(converted["answered_at"])).all()
    assert (instants(converted["converted_at"]) - instants(converted["offered_at"]) < pd.Timedelta(days=90)).all()
    waits = instants(offers["answered_at"]) - instants(offers["offered_at"])
    late = (offers["answer"] != "expired") & (waits > pd.Timedelta(days=4))
    assert late.any(), "some answers come after the SLA"


def test_an_offer_is_handed_on_after_it_was_let_lie(tables: dict[str, pd.DataFrame]) -> None:
    offers = tables["offers"]
    waits = instants(offers["answered_at"]) - instants(offers["offered_at"])
    for answer, share in (("withdrawn", 0.012), ("reassigned", 0.012)):
        assert (offers["answer"] == answer).mean() == pytest.approx(share, abs=0.006)
    assert waits[offers["answer"] == "reassigned"].min() > waits[offers["answer"] == "expired"].min()
    assert waits[offers["answer"] == "reassigned"].median() > waits[offers["answer"] == "expired"].median()


def test_conversions_are_censored_at_the_end(tables: dict[str, pd.DataFrame]) -> None:
    offers = tables["offers"]
    accepted = offers[offers["answer"] == "accepted"]
    at = instants(accepted["offered_at"])
    late = at > instants(offers["offered_at"]).max() - pd.Timedelta(days=28)
    opportunity = tables["opportunities"].set_index("opportunity_id")["opened_at"]
    opened = instants(accepted["opportunity_id"].map(opportunity).fillna(""))
    converted = (accepted["converted_at"] != "") | (opened > at)
    assert converted[late].mean() < converted[~late].mean()
    assert instants(tables["opportunities"]["opened_at"]).max() < pd.Timestamp("2026-03-02", tz="UTC")


def test_a_conversion_is_one_opportunity_of_the_offers_account_and_rep(tables: dict[str, pd.DataFrame]) -> None:
    offers, deals = tables["offers"], tables["opportunities"].set_index("opportunity_id")
    led = offers[(offers["converted_at"] != "") & (offers["opportunity_id"] != "")]
    deal = deals.loc[led["opportunity_id"]]
    assert (deal["rep_id"].to_numpy() == led["rep_id"].to_numpy()).all()
    assert (deal["opened_at"].to_numpy() == led["converted_at"].to_numpy()).all()
    assert not led["opportunity_id"].duplicated().any()
    # No other opportunity of the pair may look like the conversion of an offer.
    contact = tables["contacts"].set_index("contact_id")["account_id"]
    account = offers["lead_id"].map(tables["leads"].set_index("lead_id")["contact_id"]).map(contact)
    pairs = offers.assign(account_id=account, at=instants(offers["offered_at"]))
    claimed = set(offers["opportunity_id"]) | set(converted_without_id(offers, account, deals))
    free = deals[~deals.index.isin(claimed)].reset_index()
    both = pairs.merge(free, on=["rep_id", "account_id"])
    gap = instants(both["opened_at"]) - both["at"]
    assert not ((gap > pd.Timedelta(0)) & (gap < pd.Timedelta(days=90))).any()


def converted_without_id(offers: pd.DataFrame, account: pd.Series, deals: pd.DataFrame) -> list[str]:
    """Opportunities of conversions that the log dates but does not name."""
    blank = offers.assign(account_id=account)[(offers["converted_at"] != "") & (offers["opportunity_id"] == "")]
    keys = ["rep_id", "account_id", "opened_at"]
    found = blank.rename(columns={"converted_at": "opened_at"})[keys].merge(deals.reset_index(), on=keys)
    return list(found["opportunity_id"])


def test_an_offer_counts_as_converted_where_the_world_converted_it_and_nowhere_else(
    sample: tuple[Path, SampleReport],
) -> None:
    """However a row tells of it: by both columns, by one of them, or by naming a deal that was open already."""
    config = load_config(sample[0] / "callsheet.yaml")
    read = Book.of(read_snapshot(str(sample[0]), config=config), config).outcomes
    log = live(
        Setting(*(SMALL[k] for k in ("accounts", "reps", "offers", "seed", "end")), "rough"), lambda _: None
    ).offers
    place = np.argsort(read.offer_id.astype(str))
    yes = read.answer[place] == ACCEPTED
    np.testing.assert_array_equal(yes & (read.converted[place] != NAT), log.converted != NONE)
    np.testing.assert_array_equal(read.attempt[place], log.attempt)
    assert (read.advanced & (read.answer == ACCEPTED)).sum() > 5


def test_changes_begin_with_the_value_of_the_first_day(tables: dict[str, pd.DataFrame]) -> None:
    changes = tables["changes"].assign(at=instants(tables["changes"]["valid_from"]))
    kept = {
        ("accounts", "status"): ("account_id", "created_at"),
        ("accounts", "owner_rep_id"): ("account_id", "created_at"),
        ("leads", "status"): ("lead_id", "created_at"),
        ("opportunities", "stage"): ("opportunity_id", "opened_at"),
        ("opportunities", "amount"): ("opportunity_id", "opened_at"),
    }
    for (table, column), (key, born) in kept.items():
        rows = changes[(changes["table_name"] == table) & (changes["column_name"] == column)].sort_values("at")
        first, last = rows.groupby("row_id").first(), rows.groupby("row_id").last()
        frame = tables[table].set_index(key)
        assert set(first.index) == set(frame.index), table
        assert (first["valid_from"] == frame.loc[first.index, born]).all(), (table, column)
        assert (last["value"] == frame.loc[last.index, column]).all(), (table, column)


def test_wins_make_customers(tables: dict[str, pd.DataFrame]) -> None:
    changes = tables["changes"]
    turned = changes[(changes["column_name"] == "status") & (changes["value"] == "customer")]
    deals = tables["opportunities"]
    won = deals[deals["outcome"] == "won"]
    by_win = turned.merge(won, left_on=["row_id", "valid_from"], right_on=["account_id", "closed_at"])
    assert len(by_win) > 3


def test_codes_keep_their_zeros_and_words_that_look_like_nulls_are_there(tables: dict[str, pd.DataFrame]) -> None:
    assert tables["accounts"]["sic"].str.startswith("0").any()
    assert {"NA", "None"} & set(tables["contacts"]["title"])
    assert tables["accounts"]["name"].str.contains(",").any()
    assert tables["campaigns"]["name"].str.contains('"').any()


def test_propensities_are_logged_on_part_of_the_offers_and_weigh_them_right(
    sample: tuple[Path, SampleReport], tables: dict[str, pd.DataFrame]
) -> None:
    offers = tables["offers"]
    logged = offers["propensity"] != ""
    assert 0.3 < logged.mean() < 0.9
    assert set(offers.loc[logged, "policy"]) == {"softmax", "explore"}
    assert set(offers.loc[~logged, "policy"]) == {"owner_first", "manual"}
    chance = offers.loc[logged, "propensity"].astype(float)
    assert chance.between(0, 1, inclusive="right").all()
    # The mean of 1/propensity is the number of reps that the policy could have chosen.
    choices = pd.read_csv(sample[0] / "truth" / "pairs.csv").groupby("lead_id").size().mean()
    assert 0.6 * choices < (1 / chance).mean() < 1.4 * choices


def test_the_configuration_is_the_one_that_was_written(sample: tuple[Path, SampleReport]) -> None:
    assert (sample[0] / "callsheet.yaml").read_text() == sample_config(sample[0])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"accounts": 3}, "accounts"), ({"reps": 2}, "reps"), ({"world": "flat"}, "world"), ({"graph": "some"}, "graph")],
)
def test_arguments_that_make_no_world_are_refused(tmp_path: Path, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        write_sample(tmp_path / "x", **(SMALL | wrong))
    assert refused.value.field == field
    assert not (tmp_path / "x").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        write_sample(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
