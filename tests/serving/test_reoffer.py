"""Leads that nobody took go on through the service's own ranking: to the next best, never back, and then nowhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from serving.actor import LOCAL
from serving.due import said
from serving.instants import micros
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.crm import OFFERS
from serving.ledger.decisions import read
from serving.ledger.events import record
from serving.ledger.unplaced import Unplaced, put
from serving.onward import FREE, USED_UP, Placed
from serving.reoffer import Rerouted
from serving.sla import Applied, apply
from serving.whereabouts import whereabouts
from tests.serving.conftest import Crm
from tests.serving.ledger.small import last_audited, rows
from tests.serving.routed import reject
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def offers_of(stand: Stand, lead_id: str) -> list[Any]:
    with stand.ledger.reading() as connection:
        return list(
            connection.execute(
                select(OFFERS).where(OFFERS.c.lead_id == lead_id).order_by(OFFERS.c.offered_at, OFFERS.c.attempt)
            )
        )


def hold(stand: Stand) -> Applied:
    stand.minutes += 1
    return apply(stand.ledger, stand.crm.config, Rerouted(stand.decider, stand.follow), stand.now)


def test_a_rejected_lead_goes_to_the_next_best_and_in_the_end_to_the_queue(stand: Stand) -> None:
    lead_id = stand.free_lead()
    hold(stand)  # what the data left overdue is dealt with first
    stand.follow()
    ranked = stand.decider.reps(lead_id, None, 10, actor=LOCAL).answer
    stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once())
    done = Applied()
    while lead_id not in done.unplaced:
        stand.minutes += 1
        last = offers_of(stand, lead_id)[-1]
        no = {
            "event_id": f"no-{last.offer_id}", "offer_id": last.offer_id, "kind": "rejected", "at": stand.now,
            "reason": "no_capacity",
        }  # fmt: skip
        with changing(stand.ledger, stand.now) as change:
            assert record(change, stand.crm.config, [no], LOCAL)[0].result == "applied"
        done = hold(stand)
    made = [row for row in offers_of(stand, lead_id) if row.offered_at > stand.crm.snapshot.now]
    reps = [row.rep_id for row in made]
    assert len(set(reps)) == len(reps) <= 1 + stand.crm.config.reoffers.attempts
    best = [item["rep_id"] for item in ranked["items"]]
    assert reps[0] == best[0]
    assert reps[1] in best[1:3]  # that he said no is known to the next ranking
    assert set(done.unplaced[lead_id]) & {USED_UP, "already_offered"}
    with stand.ledger.reading() as connection:
        decided = read(connection, made[1].decision_id)
    assert decided.row["actor"] == "sla"


@pytest.mark.parametrize("reason", ["bad_fit", FREE])
def test_why_a_lead_was_offered_again_is_committed_with_the_offer(stand: Stand, reason: str) -> None:
    """Whoever is killed the moment after leaves no offer without its reason."""

    class Killed(Rerouted):
        def offer(self, lead_id: str, reason: str) -> Placed:
            super().offer(lead_id, reason)
            raise SystemExit

    hold(stand)
    stand.follow()
    lead_id = stand.free_lead()
    if reason == FREE:
        with changing(stand.ledger, stand.now) as change:
            put(change, [Unplaced(lead_id, {"time_off": 3})])
    else:
        stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once())
        first = offers_of(stand, lead_id)[-1]
        reject(stand.ledger, first.offer_id, stand.now, reason)
    stand.minutes += 1
    with pytest.raises(SystemExit):
        apply(stand.ledger, stand.crm.config, Killed(stand.decider, stand.follow), stand.now)
    row, payload = last_audited(stand.ledger)
    made = offers_of(stand, lead_id)[-1]
    told = json.loads(payload)
    assert (row.actor, row.action, row.subject) == ("sla", "offer", made.decision_id)
    assert (told["reoffered"], told["offers"]) == (reason, {made.rep_id: made.offer_id})


def test_an_offer_that_nobody_answers_goes_on_when_its_time_is_up(stand: Stand) -> None:
    hold(stand)
    lead_id = stand.free_lead()
    first = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer["items"][0]
    assert lead_id not in hold(stand).reoffered
    stand.minutes += int(timedelta(days=7) / timedelta(minutes=1))
    stand.follow()
    done = hold(stand)
    assert first["offer_id"] in done.expired
    made = offers_of(stand, lead_id)
    assert (made[0].answer, made[-1].offer_id) == ("expired", done.reoffered[lead_id])
    assert made[-1].rep_id != first["rep_id"]


def test_a_lead_that_nobody_can_take_is_held_until_a_stated_time_and_then_goes_on_by_itself(stand: Stand) -> None:
    hold(stand)
    stand.follow()
    lead_id = stand.free_lead()
    back = stand.now + timedelta(hours=5)
    takers = stand.known.rank_reps(lead_id).best_ids
    spans = [
        {"time_off_id": f"T-{rep}", "rep_id": rep, "starts_at": stand.now, "ends_at": back + timedelta(hours=place)}
        for place, rep in enumerate(takers)
    ]  # fmt: skip
    with changing(stand.ledger, stand.now) as change:
        change.upsert("time_off", rows("time_off", *spans))
    stand.minutes += 1
    stand.follow()
    answer = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer
    assert (answer["items"], answer["refused"]["time_off"]) == ([], len(takers))
    with stand.ledger.reading() as connection:
        here = whereabouts(connection, stand.crm.config, lead_id, stand.now)
    assert here is not None
    assert (here["state"], here["until"], here["because"]) == ("held", said(back), answer["refused"])
    assert lead_id not in hold(stand).reoffered
    stand.minutes += 5 * 60
    stand.known.clock = lambda: micros(stand.now)  # nothing was written since, so nothing is read again
    assert lead_id in hold(stand).reoffered
    assert offers_of(stand, lead_id)[-1].rep_id == takers[0]  # the others are away for longer
