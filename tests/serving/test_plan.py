"""A week's plan: no lead twice, no rep over his room, the best first, and a because for every lead without a rep."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import select

from features.errors import InputError
from serving import metrics
from serving.actor import LOCAL
from serving.due import said
from serving.explain import explained
from serving.instants import monday_of
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.decisions import read
from serving.ledger.tables import HOLDS
from serving.ledger.unplaced import PERSON, PLAN, Unplaced, listed, put
from serving.plan import made, plan
from serving.whereabouts import whereabouts
from tests.serving.conftest import Crm
from tests.serving.ledger.small import rows
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def this_week(stand: Stand) -> str:
    year, week, _ = stand.now.isocalendar()
    return f"{year}-W{week:02d}"


def test_every_open_lead_is_assigned_or_unplaced_with_its_because(stand: Stand) -> None:
    answer = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    recommender = stand.known
    assigned = [line["lead_id"] for line in answer["assignments"]]
    unplaced = {line["lead_id"]: line["because"] for line in answer["unplaced"]}
    assert assigned
    assert len(set(assigned)) == len(assigned)
    everyone = {str(recommender.book.lead_ids[code]) for code in recommender.open_leads}
    assert everyone == set(assigned) | set(unplaced)
    assert not set(assigned) & set(unplaced)
    reps = len(recommender.book.rep_ids)
    assert all(sum(because.values()) == reps for because in unplaced.values())
    values = [line["expected_value"] for line in answer["assignments"]]
    assert values == sorted(values, reverse=True)
    assert all(left >= 0 for left in answer["room"].values())
    assert answer["dry_run"]
    assert not any(line["offer_id"] for line in answer["assignments"])
    with stand.ledger.reading() as connection:
        told = read(connection, answer["decision_id"])
    assert told.detail is not None
    assert told.detail["items"] == answer["assignments"]
    said = explained(told, lambda content_hash: stand.crm.products[1])
    assert said["replay"] == {"model": "here", "agrees": True, "because": None}
    assert set(said["features"]) == set(assigned)
    found = made(recommender, this_week(stand))
    pairs = found.pairs
    matrix = recommender.judge(pairs.lead, pairs.rep, found.now)[1](np.arange(len(pairs.lead))).matrix
    assert matrix is not None
    assert found.look.digest.digest() == hashlib.sha256(np.ascontiguousarray(matrix.values).tobytes()).digest()


def test_a_committed_plan_makes_its_offers_once_and_holds_nobody_over_his_room(stand: Stand) -> None:
    once, before = stand.once(), metrics.OFFERS.labels("champion", "/plan")._value.get()
    first = plan(stand.decider, this_week(stand), actor=LOCAL, once=once)
    again = plan(stand.decider, this_week(stand), actor=LOCAL, once=once)
    assert again.replayed
    assert again.answer == first.answer
    with stand.ledger.reading() as connection:
        offers = connection.execute(select(OFFERS).where(OFFERS.c.decision_id == first.answer["decision_id"])).all()
        assert verify(connection) is None
        queued = {one.lead_id: one for one in listed(connection, stand.now)}
        said = explained(read(connection, first.answer["decision_id"]), lambda content_hash: stand.crm.products[1])
        held = set(connection.execute(select(HOLDS.c.lead_id)).scalars())
    open_leads = {str(stand.known.book.lead_ids[code]) for code in stand.known.open_leads}
    assigned = {line["lead_id"] for line in first.answer["assignments"]}
    assert open_leads == {one for one in held if one in open_leads} | set(queued)
    assert assigned <= held
    assert said["unplaced"] == first.answer["unplaced"]
    assert metrics.OFFERS.labels("champion", "/plan")._value.get() - before == len(offers)
    assert {one: dict(queued[one].because) for one in queued} == {
        line["lead_id"]: line["because"] for line in first.answer["unplaced"]
    }
    assert {row.offer_id for row in offers} == {line["offer_id"] for line in first.answer["assignments"]}
    stand.follow()
    dry = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    given = Counter(line["rep_id"] for line in first.answer["assignments"])
    full = {rep for rep, left in first.answer["room"].items() if not left}
    assert full
    assert not full & {line["rep_id"] for line in dry["assignments"]}
    assert all(given[rep] for rep in full & set(given))


def test_a_rep_back_from_holiday_or_hired_mid_month_is_not_flooded_to_catch_up(stand: Stand) -> None:
    """Who works the week's last day alone has a fifth of its places, and nobody is owed what others got before."""
    stand.minutes += int((monday_of(this_week(stand), "week") - stand.now.date()).total_seconds() / 60) % 10_080
    stand.minutes += int(timedelta(days=4).total_seconds() / 60)  # Friday, at the same time of day
    stand.follow()
    before = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    limited = [rep for rep, left in before["room"].items() if left]
    given = Counter(line["rep_id"] for line in before["assignments"] if line["rep_id"] in limited)
    back, joined = (rep for rep, _ in given.most_common(2))
    friday = stand.now.replace(hour=0, minute=0, second=0, microsecond=0)
    with changing(stand.ledger, stand.now) as change:
        off = {"starts_at": friday - timedelta(days=21), "ends_at": friday}
        change.upsert("time_off", rows("time_off", {"time_off_id": "T", "rep_id": back} | off))
        reps = CRM["reps"]
        change.connection.execute(CRM["changes"].delete().where(CRM["changes"].c.table_name == "reps"))
        change.connection.execute(reps.update().values(weekly_capacity=10.0, timezone="UTC"))
        change.connection.execute(reps.update().where(reps.c.rep_id == joined).values(hired_at=friday))
        change.touch("reps", [str(rep) for rep in stand.known.book.rep_ids])
    stand.minutes += 1
    stand.follow()
    after = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    got = Counter(line["rep_id"] for line in after["assignments"])
    for rep in (back, joined):
        assert 0 < got[rep] + after["room"][rep] <= 2
    others = [rep for rep in after["room"] if rep not in (back, joined)]
    assert max(got[rep] + after["room"][rep] for rep in others) == 10


def test_a_lead_that_waits_for_a_person_or_the_data_is_left_where_it_is(stand: Stand) -> None:
    before = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    dead = before["assignments"][0]["lead_id"]
    with changing(stand.ledger, stand.now) as change:
        put(change, [Unplaced(dead, {"known_dead": 1}, waits_for=PERSON)])
    answer = plan(stand.decider, this_week(stand), actor=LOCAL, once=stand.once()).answer
    assert dead not in {line["lead_id"] for line in answer["assignments"]}
    mine = {"lead_id": dead, "because": {"known_dead": 1}, "waits_for": "person", "until": None}
    assert mine in answer["unplaced"]


def test_a_lead_for_which_nobody_has_room_is_held_until_the_first_of_their_weeks_is_over(stand: Stand) -> None:
    def planned(capacity: float, **how: Any) -> dict[str, Any]:
        with changing(stand.ledger, stand.now) as change:
            change.connection.execute(CRM["changes"].delete().where(CRM["changes"].c.table_name == "reps"))
            change.connection.execute(CRM["reps"].update().values(weekly_capacity=capacity, timezone="Europe/Berlin"))
            change.touch("reps", None)
        stand.minutes += 1
        stand.follow()
        return plan(stand.decider, this_week(stand), actor=LOCAL, **how).answer

    assert planned(1.0, once=stand.once())["assignments"]
    answer = planned(1.0)
    assert answer["assignments"] == []
    never = planned(0.0)  # who takes no leads takes none next week either
    assert {line["until"] for line in never["unplaced"] if line["because"].keys() == {"capacity_full"}} <= {None}
    assert not any(line["until"] for line in never["unplaced"] if "capacity_full" not in line["because"])
    monday = (stand.now + timedelta(days=7 - stand.now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    until = said(monday.replace(tzinfo=ZoneInfo("Europe/Berlin")))
    told = {("capacity_full" in line["because"], line["until"]) for line in answer["unplaced"]}
    assert told == {(True, until), (False, None)}


def test_what_a_plan_left_waits_for_the_next_one_whatever_ends_meanwhile(stand: Stand) -> None:
    lead_id, until = stand.free_lead(), stand.now + timedelta(days=1)
    with changing(stand.ledger, stand.now) as change:
        put(change, [Unplaced(lead_id, {"capacity_full": 3}, until, PLAN)])
    with stand.ledger.reading() as connection:
        before = whereabouts(connection, stand.crm.config, lead_id, stand.now)
        after = whereabouts(connection, stand.crm.config, lead_id, until)
    assert before is not None
    assert (before["state"], before["until"], before["waits_for"]) == ("unplaced", said(until), "plan")
    assert after == before | {"until": None}


def test_a_coming_week_has_its_own_room_and_cannot_be_committed(stand: Stand) -> None:
    later = stand.now + timedelta(days=7)
    year, week, _ = later.isocalendar()
    coming = f"{year}-W{week:02d}"
    now = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    then = plan(stand.decider, coming, actor=LOCAL).answer

    def room(answer: dict[str, Any], rep_id: str) -> int:
        return sum(line["rep_id"] == rep_id for line in answer["assignments"]) + int(answer["room"][rep_id])

    limited = now["room"].keys() & then["room"].keys()
    assert sum(room(then, rep_id) for rep_id in limited) > sum(room(now, rep_id) for rep_id in limited)
    with pytest.raises(InputError, match="current week"):
        plan(stand.decider, coming, actor=LOCAL, once=stand.once())
    for wrong in ("2020-W01", "2026-W60", "2026-10"):
        with pytest.raises(InputError):
            plan(stand.decider, wrong, actor=LOCAL)


def test_a_coming_week_is_for_whoever_is_there_in_it(stand: Stand) -> None:
    """Away or gone now says nothing of then, and who leaves or goes on leave meanwhile gets nothing of it."""
    year, week, _ = (stand.now + timedelta(days=7)).isocalendar()
    coming = f"{year}-W{week:02d}"
    monday = datetime.combine(monday_of(coming, "week"), time(), UTC)
    reps = [str(rep) for rep in stand.known.book.rep_ids]
    lines = Counter(line["rep_id"] for line in plan(stand.decider, coming, actor=LOCAL).answer["assignments"])
    back, begins, leaves, leave, part = (rep for rep, _ in lines.most_common(5))
    days = timedelta(days=1)
    with changing(stand.ledger, stand.now) as change:
        table = CRM["reps"]
        change.connection.execute(CRM["changes"].delete().where(CRM["changes"].c.table_name == "reps"))
        change.connection.execute(CRM["time_off"].delete())
        everyone = {"weekly_capacity": 5.0, "timezone": "UTC", "hired_at": None, "active_until": None}
        change.connection.execute(table.update().values(**everyone))
        for rep_id, terms in (
            (begins, {"hired_at": monday + 2 * days}), (leave, {"weekly_capacity": None}),
            (leaves, {"active_until": monday - days, "weekly_capacity": None}),
        ):  # fmt: skip
            change.connection.execute(table.update().where(table.c.rep_id == rep_id).values(**terms))
        off = [
            {"time_off_id": rep_id, "rep_id": rep_id, "starts_at": start, "ends_at": end}
            for rep_id, start, end in (
                (back, stand.now - days, monday), (leave, monday - days, monday + 9 * days),
                (part, monday, monday + 3 * days),
            )
        ]  # fmt: skip
        change.upsert("time_off", rows("time_off", *off))
        change.touch("reps", reps)
    stand.minutes += 1
    stand.follow()
    then = plan(stand.decider, coming, actor=LOCAL).answer
    got = Counter(line["rep_id"] for line in then["assignments"])
    places = {rep_id: got[rep_id] + then["room"].get(rep_id, 0) for rep_id in (back, begins, leaves, leave, part)}
    assert places == {back: 5, begins: 3, leaves: 0, leave: 0, part: 2}
    assert all(got[rep_id] for rep_id in (back, begins, part))
    now = Counter(line["rep_id"] for line in plan(stand.decider, this_week(stand), actor=LOCAL).answer["assignments"])
    assert now[back] == now[begins] == 0


def test_what_was_taken_in_between_is_unplaced_with_the_rule(stand: Stand) -> None:
    dry = plan(stand.decider, this_week(stand), actor=LOCAL).answer
    gone = dry["assignments"][0]["rep_id"]
    with changing(stand.ledger) as change:
        left = {"active_until": stand.now - timedelta(seconds=1)}
        change.connection.execute(CRM["reps"].update().where(CRM["reps"].c.rep_id == gone).values(**left))
    answer = plan(stand.decider, this_week(stand), actor=LOCAL, once=stand.once()).answer
    assert gone not in {line["rep_id"] for line in answer["assignments"]}
    assert {"inactive": 1} in [line["because"] for line in answer["unplaced"]]


def test_an_explanation_says_what_was_said_with_reasons_and_what_came_of_it(stand: Stand) -> None:
    lead_id = stand.free_lead()
    asked = stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True).answer
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer
    with stand.ledger.reading() as connection:
        told = read(connection, answer["decision_id"])
    said = explained(told, lambda content_hash: stand.crm.products[1])
    assert said["replay"] == {"model": "here", "agrees": True, "because": None}
    assert [item["rep_id"] for item in said["items"]] == [item["rep_id"] for item in answer["items"]]
    assert [item["reasons"] for item in said["items"]] == [item["reasons"] for item in asked["items"]]
    account = stand.known.book.accounts.name[
        stand.known.book.account_ids.tolist().index(stand.known.account_of(lead_id))
    ]
    assert any(account in one["text"] for item in said["items"] for one in item["reasons"])
    assert said["offers"][0]["offer_id"] == answer["items"][0]["offer_id"]
    assert said["scores"][0]["propensity"] == 1.0
    assert told.detail is not None
    changed = replace(told, detail={**told.detail, "score": [told.detail["score"][0] + 1, *told.detail["score"][1:]]})
    assert explained(changed, lambda content_hash: stand.crm.products[1])["replay"]["agrees"] is False


def test_what_the_rules_decide_has_the_rule_as_its_reason_when_it_is_asked_and_when_it_is_explained(
    stand: Stand,
) -> None:
    lead_id = stand.free_lead()
    stand.known.standing = Standing(None, "owner_territory", None, "no model was released")
    asked = stand.decider.reps(lead_id, None, 14, actor=LOCAL, reasons=True).answer
    answer = stand.decider.reps(lead_id, None, 14, actor=LOCAL, once=stand.once()).answer
    with stand.ledger.reading() as connection:
        said = explained(read(connection, answer["decision_id"]), lambda content_hash: stand.crm.products[1])
    told = [[(one["feature"], one["text"]) for one in item["reasons"]] for item in said["items"]]
    assert said["replay"] is None
    assert told == [[(one["feature"], one["text"]) for one in item["reasons"]] for item in asked["items"]]
    levels = {int(item["score"]): item["reasons"][0]["feature"] for item in said["items"]}
    assert levels.items() <= {2: "owner_is_rep", 1: "region_match", 0: "draw"}.items()
    assert len(levels) > 1
