"""'Why did she get more than I?': load, share, refusals and the reason of every decision of a rep's week."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

import callsheet
from features.errors import InputError, ModelGone, UnknownId, UsageError
from models.product import Product
from serving.actor import LOCAL
from serving.explain import Load
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.weeks import week_of
from serving.plan import plan
from serving.week import rep_week
from tests.serving.conftest import Crm
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, hours, rows
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def none(content_hash: str) -> Product:
    raise ModelGone(f"There is no model {content_hash[:12]}.")


def load_of(stand: Stand) -> Load:
    return lambda content_hash: stand.crm.products[1]


def test_a_rep_s_week_lists_load_share_refusals_and_reasons(stand: Stand) -> None:
    lead_id = stand.free_lead()
    asked = stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True).answer
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer
    first, second = (item["rep_id"] for item in answer["items"][:2])
    refused = next(iter(stand.known.rank_reps(lead_id).refused_ids.items()))
    hers = rep_week(stand.ledger, first, None, stand.crm.config, stand.now, load_of(stand))
    his = rep_week(stand.ledger, second, None, stand.crm.config, stand.now, load_of(stand))
    theirs = rep_week(stand.ledger, refused[1][0], None, stand.crm.config, stand.now, load_of(stand))
    line = next(row for row in hers["offers"] if row["decision_id"] == answer["decision_id"])
    assert (line["rank"], line["answer"], line["lead_id"]) == (1, "open", lead_id)
    assert line["reason"] == asked["items"][0]["reasons"][0]["text"]  # for which nobody asked at the commit
    assert line["expected_value"] == answer["items"][0]["expected_value"]
    assert hers["used"] >= 1
    assert sum(hers["answers"].values()) == len(hers["offers"])
    assert answer["decision_id"] not in [row["decision_id"] for row in his["offers"]]
    assert theirs["refused"] == {refused[0]: 2}
    assert hers["asked"] == 2
    assert 0 < hers["share"] <= 1


def test_a_committed_plan_tells_each_rep_s_refusals_and_his_own_rank(stand: Stand) -> None:
    year, number, _ = stand.now.isocalendar()
    answer = plan(stand.decider, f"{year}-W{number:02d}", actor=LOCAL, once=stand.once()).answer
    lines = {line["rep_id"]: line["lead_id"] for line in answer["assignments"]}
    weeks = {one: rep_week(stand.ledger, one, None, stand.crm.config, stand.now, load_of(stand)) for one in lines}
    asked = len(stand.known.open_leads)
    for rep_id, week in weeks.items():
        offered = sum(line["rep_id"] == rep_id for line in answer["assignments"])
        own = {line["lead_id"]: line for line in week["offers"] if line["decision_id"] == answer["decision_id"]}
        assert len(own) == offered
        assert week["asked"] == asked
        assert 0 < sum(week["refused"].values()) <= asked - offered
        lead_id = lines[rep_id]
        assert own[lead_id]["rank"] == stand.known.rank_reps(lead_id).best_ids.index(rep_id) + 1


def test_a_week_is_that_of_the_rep_s_own_clock(stand: Stand) -> None:
    rep_id = str(stand.known.book.rep_ids[0])
    zone = stand.known.book.reps.timezone[0] or "UTC"
    year, number, _ = stand.now.isocalendar()
    now = rep_week(stand.ledger, rep_id, None, stand.crm.config, stand.now, load_of(stand))
    named = rep_week(stand.ledger, rep_id, f"{year}-W{number:02d}", stand.crm.config, stand.now, load_of(stand))
    assert (now["from"], now["to"]) == (named["from"], named["to"])
    assert now["from"].startswith(week_of(stand.now, zone)[0].strftime("%Y-%m-%dT%H:%M"))
    with pytest.raises(InputError):
        rep_week(stand.ledger, rep_id, "2026-W77", stand.crm.config, stand.now, load_of(stand))
    with pytest.raises(UnknownId):
        rep_week(stand.ledger, "nobody", None, stand.crm.config, stand.now, load_of(stand))


def test_load_is_told_by_the_working_hour_that_the_rep_is_there(stand: Stand) -> None:
    """Four offers in two days are the pace of ten in five."""
    year, number, _ = stand.now.isocalendar()
    given = plan(stand.decider, f"{year}-W{number:02d}", actor=LOCAL, once=stand.once()).answer["assignments"]
    rep_id = given[0]["rep_id"]
    monday, end = week_of(stand.now, "UTC")
    with changing(stand.ledger, stand.now) as change:
        reps, time_off = CRM["reps"], CRM["time_off"]
        change.connection.execute(time_off.delete())
        everyone = {"weekly_capacity": 10.0, "timezone": "UTC", "hired_at": None, "active_until": None}
        change.connection.execute(reps.update().values(**everyone))
        off = {"starts_at": monday, "ends_at": monday + timedelta(days=3)}
        change.upsert("time_off", rows("time_off", {"time_off_id": "T", "rep_id": rep_id} | off))
    told = rep_week(stand.ledger, rep_id, None, stand.crm.config, stand.now, load_of(stand))
    with stand.ledger.reading() as connection:
        takers = connection.execute(select(func.count()).where(reps.c.role.not_in(["ldr", "bdr"]))).scalar_one()
        within = OFFERS.c.offered_at >= monday, OFFERS.c.offered_at < end
        made = connection.execute(select(func.count()).where(*within)).scalar_one()
    assert (told["capacity"], told["places"]) == (10.0, 4)
    assert (told["hours"], told["of_hours"]) == (16.0, 40.0)
    assert told["per_hour"] == len(told["offers"]) / 16
    assert made >= len(given) > 0
    assert told["of_all_per_hour"] == made / (40 * takers - 24)


def test_the_pace_of_all_is_that_of_those_whom_the_filters_give_leads(ledger: Ledger) -> None:
    """Not of who pre-qualifies, however it is spelt, and of who has room for none."""
    furnish(ledger)

    def pace(rep_id: str) -> float:
        told = rep_week(ledger, rep_id, "2026-W10", CONFIG, hours(5), none)
        return float(told["of_all_per_hour"]) * 40

    assert pace("R1") == pytest.approx(1 / 3)
    idle = {"B1": {"role": "bdr"}, "B2": {"role": " LDR"}, "B3": {"role": "segment", "weekly_capacity": 0.0}}
    for rep_id, given in idle.items():
        with changing(ledger, OFFERED) as change:
            change.upsert("reps", rows("reps", {"rep_id": rep_id, "name": rep_id, "timezone": "UTC"} | given))
        assert (pace("R1"), pace(rep_id)) == pytest.approx((1 / 3, 1 / 3)), rep_id
    last = {"rep_id": "R4", "name": "R4", "timezone": "UTC"}
    with changing(ledger, OFFERED) as change:
        change.upsert("reps", rows("reps", last | {"role": "inside", "weekly_capacity": 5.0}))
    assert pace("R1") == pytest.approx(1 / 4)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_a_small_pace_is_more_than_none(stand: Stand, crm: Crm, tmp_path: Path) -> None:
    rep_id = str(stand.known.book.rep_ids[0])
    told = rep_week(stand.ledger, rep_id, "2025-W10", stand.crm.config, stand.now, load_of(stand))
    said = explain(stand, crm, tmp_path, "--rep", rep_id, "--week", "2025-W10")
    assert said.exit_code == 0, said.output
    pace = re.search(r"there; (\S+) for all who take leads", said.stderr)
    assert pace is not None
    assert 0 < float(pace[1]) == pytest.approx(8 * told["of_all_per_hour"], rel=0.05)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_a_decision_takes_no_week(stand: Stand, crm: Crm, tmp_path: Path) -> None:
    """It would be left aside without a word."""
    decided = stand.decider.reps(stand.free_lead(), None, 3, actor=LOCAL).answer["decision_id"]
    assert explain(stand, crm, tmp_path, decided).exit_code == 0
    said = explain(stand, crm, tmp_path, decided, "--week", "2026-W10")
    assert isinstance(said.exception, UsageError)
    assert said.exception.field == "--week"
    assert "--rep" in str(said.exception)


def explain(stand: Stand, crm: Crm, home: Path, *args: str) -> Result:
    """`callsheet explain` on the stand's ledger."""
    ours = ("--db", stand.ledger.url, "--config", str(crm.config_path), "--home", str(home))
    return CliRunner().invoke(callsheet.app, ["explain", *args, *ours])
