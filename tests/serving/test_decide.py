"""Decisions are written down; offers are made once, to a rep who has room, of a lead that is free, whoever races."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from features.errors import InputError, UnknownId
from serving.actor import LOCAL
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.decisions import read
from serving.ledger.events import record
from serving.ledger.idempotency import KeyRefused
from serving.ledger.tables import AUDIT, DECISIONS, HOLDS
from serving.ledger.weeks import week_of
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def offers_of(stand: Stand, **wanted: Any) -> list[Any]:
    with stand.ledger.reading() as connection:
        asked = select(OFFERS).where(*(OFFERS.c[name] == value for name, value in wanted.items()))
        return list(connection.execute(asked.order_by(OFFERS.c.offer_id)))


def actions(stand: Stand, decision_id: str) -> list[str]:
    """What the audit calls a decision."""
    with stand.ledger.reading() as connection:
        return list(connection.execute(select(AUDIT.c.action).where(AUDIT.c.subject == decision_id)).scalars())


def set_rep(stand: Stand, rep_id: str, **values: Any) -> None:
    with changing(stand.ledger) as change:
        change.connection.execute(update(CRM["reps"]).where(CRM["reps"].c.rep_id == rep_id).values(**values))
        change.touch("reps", [rep_id])
        if "weekly_capacity" in values:  # a column with a history is read from it
            row = {"table_name": "reps", "row_id": rep_id, "column_name": "weekly_capacity", "known_at": None,
                   "value": str(values["weekly_capacity"]), "valid_from": stand.now - timedelta(hours=1)}  # fmt: skip
            change.upsert("changes", [row])


def test_an_answer_is_a_decision_that_reads_back_with_everything_that_explains_it(stand: Stand) -> None:
    lead_id = stand.free_lead()
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True).answer
    assert not answer["advice_only"]
    with stand.ledger.reading() as connection:
        told = read(connection, answer["decision_id"])
    assert told.row["actor"] == "local"
    assert told.row["model_version"] == answer["model_version"] == "2"
    assert told.row["content_hash"] == stand.crm.products[1].content_hash
    assert told.detail is not None
    assert told.detail["items"] == answer["items"]
    assert [item["rep_id"] for item in answer["items"]] == told.detail["candidates"][:3]
    assert sum(map(len, told.detail["refused"].values())) == sum(answer["refused"].values())
    assert list(told.detail["vectors"]) == [item["rep_id"] for item in answer["items"]]
    assert {len(vector) for vector in told.detail["vectors"].values()} == {len(told.detail["columns"])}
    assert told.detail["propensity"][0] == 1.0
    assert not told.offers
    with pytest.raises(UnknownId), stand.ledger.reading() as connection:
        read(connection, "D-unknown")


def test_a_commit_offers_the_lead_to_the_best_rep_and_holds_it(stand: Stand) -> None:
    lead_id = stand.free_lead()
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer
    first = answer["items"][0]
    assert first["offer_id"]
    assert [item["offer_id"] for item in answer["items"][1:]] == [None, None]
    (offer,) = offers_of(stand, decision_id=answer["decision_id"])
    assert (offer.offer_id, offer.rep_id, offer.lead_id) == (first["offer_id"], first["rep_id"], lead_id)
    assert (offer.propensity, offer.policy, offer.answer) == (1.0, "champion", None)
    again = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer
    assert again["items"] == []
    assert [actions(stand, one["decision_id"]) for one in (answer, again)] == [["offer"], ["no_offer"]]
    assert again["refused"]["lead_taken"] > 0
    with stand.ledger.reading() as connection:
        assert (
            connection.execute(select(func.count()).select_from(HOLDS).where(HOLDS.c.lead_id == lead_id)).scalar() == 1
        )
        assert verify(connection) is None


def test_the_same_key_gets_the_same_answer_and_no_second_offer(stand: Stand) -> None:
    lead_id, once = stand.free_lead(), stand.once()
    first = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=once)
    second = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=once)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.answer == second.answer
    assert len(offers_of(stand, lead_id=lead_id, policy="champion", decision_id=first.answer["decision_id"])) == 1


def test_a_retry_that_could_offer_again_gets_its_first_answer_all_the_same(stand: Stand) -> None:
    lead_id, once = stand.free_lead(), stand.once()
    first = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=once).answer
    (offer,) = offers_of(stand, decision_id=first["decision_id"])
    stand.minutes += 1
    no = {"event_id": "no", "offer_id": offer.offer_id, "kind": "rejected", "at": stand.now, "reason": "no_capacity"}
    with changing(stand.ledger, stand.now) as change:
        assert record(change, stand.crm.config, [no], LOCAL)[0].result == "applied"
    stand.follow()
    again = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=once)
    assert (again.replayed, again.answer) == (True, first)
    with pytest.raises(KeyRefused) as refused:
        stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=replace(once, body_hash="another"))
    assert refused.value.status == 422
    assert [row.offer_id for row in offers_of(stand, lead_id=lead_id, policy=offer.policy)] == [offer.offer_id]
    with stand.ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(DECISIONS)).scalar_one() == 1
        assert verify(connection) is None
    assert stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer["items"][0]["offer_id"]


def test_what_changed_since_the_book_was_read_is_seen_when_the_offer_is_made(stand: Stand) -> None:
    lead_id = stand.free_lead()
    best = [item["rep_id"] for item in stand.decider.reps(lead_id, None, 3, actor=LOCAL).answer["items"]]
    set_rep(stand, best[0], active_until=stand.now - timedelta(seconds=5))  # left just now, and the book does not know
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer
    assert answer["items"][0]["rep_id"] == best[1]
    assert answer["items"][0]["offer_id"]
    assert answer["refused"]["inactive"] >= 1


def test_a_rep_on_leave_since_a_minute_ago_gets_nothing(stand: Stand) -> None:
    lead_id = stand.free_lead()
    best = stand.decider.reps(lead_id, None, 1, actor=LOCAL).answer["items"][0]["rep_id"]
    row = {"time_off_id": "away", "rep_id": best, "starts_at": stand.now - timedelta(seconds=30),
           "ends_at": stand.now + timedelta(days=3), "known_at": None}  # fmt: skip
    with changing(stand.ledger) as change:
        change.upsert("time_off", [row])
    answer = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer
    assert answer["items"][0]["rep_id"] != best
    assert answer["refused"]["time_off"] >= 1


def test_a_call_sheet_commits_up_to_the_room_that_is_left_and_shows_the_same_offers_again(stand: Stand) -> None:
    rep_id = max(
        (str(r) for r in stand.known.book.rep_ids),
        key=lambda r: len(stand.known.rank_leads(r).best),
    )
    start, _ = week_of(stand.now, "UTC")
    used = sum(o.offered_at >= start and o.answer in (None, "accepted") for o in offers_of(stand, rep_id=rep_id))
    set_rep(stand, rep_id, weekly_capacity=float(used + 2), timezone="UTC")
    stand.follow()
    answer = stand.decider.leads(rep_id, 5, actor=LOCAL, once=stand.once()).answer
    offered = [item["offer_id"] for item in answer["items"] if item["offer_id"]]
    assert len(offered) == 2
    again = stand.decider.leads(rep_id, 5, actor=LOCAL, once=stand.once()).answer
    assert [item["offer_id"] for item in again["items"] if item["offer_id"]][:2] == [
        item["offer_id"] for item in answer["items"] if item["offer_id"]
    ][:2]
    assert {o.offer_id for o in offers_of(stand, rep_id=rep_id) if o.decision_id == again["decision_id"]} == set()


def test_an_inline_lead_is_stored_with_its_offer_or_not_at_all(stand: Stand) -> None:
    tables = stand.crm.snapshot.tables
    recommender = stand.known
    model = tables["leads"].set_index("lead_id").loc[stand.free_lead()]
    lead = {"lead_id": "brand-new", "contact_id": model["contact_id"], "solution": model["solution"]}
    advice = stand.decider.reps(None, lead, 3, actor=LOCAL).answer
    assert advice["items"]
    with pytest.raises(InputError, match="5 minutes ahead") as caught:
        stand.decider.reps(None, lead | {"created_at": stand.now + timedelta(minutes=6)}, 3, actor=LOCAL)
    assert caught.value.field == "lead.created_at"
    with pytest.raises(UnknownId):
        stand.decider.reps("brand-new", None, 3, actor=LOCAL)
    made = stand.decider.reps(None, lead, 3, actor=LOCAL, once=stand.once("inline")).answer
    assert made["lead_id"] == "brand-new"
    assert made["items"][0]["offer_id"]
    assert stand.decider.reps(None, lead, 3, actor=LOCAL, once=stand.once("inline")).answer == made
    stand.follow()
    assert "brand-new" in stand.known.book.lead_index
    assert "brand-new" not in recommender.book.lead_index


def test_racing_callers_give_no_lead_twice_and_no_rep_too_many(stand: Stand) -> None:
    """Callers who know nothing of each other's offers until they try: 8 at once, each wants six leads."""
    recommender = stand.known
    leads = [str(recommender.book.lead_ids[code]) for code in recommender.open_leads[:12]]
    for rep_id in recommender.book.rep_ids:
        set_rep(stand, str(rep_id), weekly_capacity=1.0, timezone="UTC")
    stand.follow()

    def call(number: int) -> None:
        for lead_id in leads[number % 2 :: 2]:
            stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once(f"{number}-{lead_id}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    start, end = week_of(stand.now, "UTC")
    with stand.ledger.reading() as connection:
        rows = connection.execute(select(OFFERS).where(OFFERS.c.offered_at >= start, OFFERS.c.offered_at < end)).all()
        decisions = connection.execute(select(func.count()).select_from(DECISIONS)).scalar_one()
        assert verify(connection) is None
    held = [row for row in rows if row.answer in (None, "accepted")]
    made = [row for row in rows if row.decision_id and row.decision_id.startswith("D-")]
    assert made
    assert decisions >= len(made)
    assert len({row.lead_id for row in held}) == len(held)
    loads = [sum(row.rep_id == rep_id for row in held) for rep_id in {row.rep_id for row in made}]
    before = [
        sum(row.rep_id == rep_id for row in held if row not in made) for rep_id in {row.rep_id for row in made}
    ]  # fmt: skip
    assert all(load <= max(1, old) for load, old in zip(loads, before, strict=True))
