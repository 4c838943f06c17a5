"""Complaints of the field, each as a test: what an SLA does with offers that nobody takes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from features.config import read_config
from features.errors import Conflict
from serving.actor import LOCAL
from serving.due import unplaced
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.events import record
from serving.ledger.idempotency import Once, keep, stored
from serving.ledger.tables import AUDIT, EVENTS
from serving.ledger.unplaced import NOT_ASKED
from serving.onward import USED_UP, Placed, waiting
from serving.sla import Applied, apply, tick
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, give, holds, hours, offer, offer_of, table
from tests.serving.routed import Ranking, reject, reps_of, run

#: The offer of the Monday, 9:00, is due on Tuesday, 17:00.
DUE = hours(32)


class Says(Ranking):
    """Says the same of every lead, or breaks."""

    def __init__(self, ledger: Ledger, says: Placed) -> None:
        super().__init__(ledger, OFFERED)
        self.says = says

    def offer(self, lead_id: str, reason: str) -> Placed:
        return self.says

    def look(self, lead_ids: Sequence[str]) -> dict[str, Placed]:
        return dict.fromkeys(lead_ids, self.says)


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


def fallback(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Why leads are unplaced that somebody asked about."""
    with ledger.reading() as connection:
        rows = unplaced(connection, hours(99), 100)[1]
    return {row["lead_id"]: row["because"] for row in rows if row["because"] != NOT_ASKED}


def test_nothing_is_done_before_it_is_due(stood: Ledger) -> None:
    assert run(stood, hours(31.9)) == Applied()
    assert offer_of(stood, "F1")["answer"] is None


def test_a_lead_does_not_get_stuck_with_one_who_never_answers(stood: Ledger) -> None:
    done = run(stood, DUE)
    assert done.expired == ("F1",)
    old = offer_of(stood, "F1")
    assert (old["answer"], old["answered_at"]) == ("expired", DUE)
    assert holds(stood) == dict(done.reoffered)
    assert reps_of(stood, "L1") == ["R1", "R2"]


def test_a_lead_is_never_offered_again_to_the_rep_who_declined_it(stood: Ledger) -> None:
    at = 1.0
    for _ in range(5):
        held = holds(stood).get("L1")
        if held:
            reject(stood, held, hours(at))
        run(stood, hours(at + 0.1))
        at += 1
    assert reps_of(stood, "L1") == ["R1", "R2", "R3"]


def test_when_all_have_declined_it_goes_to_the_fallback_queue_and_says_so(stood: Ledger) -> None:
    for at in (1, 2, 3):
        reject(stood, holds(stood)["L1"], hours(at))
        run(stood, hours(at + 0.5))
    assert fallback(stood) == {"L1": {"already_offered": 3}}
    ranking = Ranking(stood, hours(5))
    assert apply(stood, CONFIG, ranking, hours(5)) == Applied()
    assert ranking.asked == []  # and it is not tried each minute


def test_a_lead_is_offered_again_as_often_as_configured_and_then_unplaced(stood: Ledger) -> None:
    once = read_config("markets: {all: {countries: [DE]}}\ntimezone: UTC\nreoffers: {attempts: 1}\n")
    reject(stood, "F1", hours(1))
    assert set(run(stood, hours(1.5), once).reoffered) == {"L1"}
    reject(stood, holds(stood)["L1"], hours(2))
    assert run(stood, hours(2.5), once).unplaced == {"L1": {USED_UP: 2}}
    assert reps_of(stood, "L1") == ["R1", "R2"]


def test_an_unplaced_lead_that_gets_an_offer_is_unplaced_no_more(stood: Ledger) -> None:
    never = read_config("markets: {all: {countries: [DE]}}\ntimezone: UTC\nreoffers: {attempts: 0}\n")
    reject(stood, "F1", hours(1))
    run(stood, hours(2), never)
    assert set(fallback(stood)) == {"L1"}
    Ranking(stood, hours(3)).offer("L1", "by hand")
    assert fallback(stood) == {}


def test_the_reason_why_the_last_one_ended_is_told_to_the_ranking(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2"))
    reject(stood, "F2", hours(1), "not_my_product")
    ranking = Ranking(stood, DUE)
    apply(stood, CONFIG, ranking, DUE)
    assert ranking.asked == [("L2", "not_my_product"), ("L1", "expired")]


def test_what_was_withdrawn_or_closed_or_is_history_is_not_offered_again(stood: Ledger) -> None:
    give(
        stood,
        offer("F2", "L2", "R2"),
        offer("F3", "L3", "R3", hours(-300), answer="rejected", answered_at=hours(-290), reject_reason="other"),
    )
    with changing(stood, hours(1)) as change:
        told = {"event_id": "w", "offer_id": "F2", "kind": "withdrawn", "at": hours(1)}
        record(change, CONFIG, [told], LOCAL)
        lead = next(row for row in table(stood, "leads") if row["lead_id"] == "L1")
        change.upsert("leads", [lead | {"closed_at": hours(1), "status": "closed"}])
    reject(stood, "F1", hours(2))
    with stood.reading() as connection:
        assert waiting(connection, hours(3)) == []


def test_an_offer_that_came_with_the_data_and_ran_out_frees_its_lead_and_is_not_offered_on(stood: Ledger) -> None:
    """A ledger that was just filled with history offers nothing by itself; what was decided here goes on."""
    give(stood, offer("F2", "L2", "R2", decision_id=None), offer("F3", "L3", "R3", decision_id="D-of-another-ledger"))
    done = run(stood, DUE)
    assert set(done.expired) == {"F1", "F2", "F3"}
    assert (set(done.reoffered), done.unplaced) == ({"L1"}, {})
    assert set(holds(stood)) == {"L1"}
    reject(stood, holds(stood)["L1"], hours(33))
    give(stood, offer("F4", "L2", "R1", hours(33), decision_id=None))
    reject(stood, "F4", hours(34))
    assert set(run(stood, hours(35)).reoffered) == {"L1", "L2"}, "what a person says of it here is heard"


def test_an_answer_that_came_in_time_but_is_told_late_undoes_the_expiry_where_nobody_has_the_lead_yet(
    stood: Ledger,
) -> None:
    apply(stood, CONFIG, Says(stood, Placed(None, {"capacity_full": 2})), DUE)
    assert set(fallback(stood)) == {"L1"}
    with changing(stood, hours(33)) as change:
        told = {"event_id": "yes", "offer_id": "F1", "kind": "accepted", "at": hours(31)}
        assert record(change, CONFIG, [told], LOCAL)[0].result == "applied"
    assert offer_of(stood, "F1")["answer"] == "accepted"
    assert (fallback(stood), holds(stood)) == ({}, {"L1": "F1"})


def test_two_workers_that_race_have_one_effect(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2"), offer("F3", "L3", "R3"))
    others = Ledger(stood.url)
    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(lambda made: run(made, DUE), [stood, others] * 3))
    others.close()
    assert sorted(one for made in done for one in made.expired) == ["F1", "F2", "F3"]
    assert sorted(lead for made in done for lead in made.reoffered) == ["L1", "L2", "L3"]
    assert len(table(stood, "offers")) == 6
    assert fallback(stood) == {}
    with stood.reading() as connection:
        assert len(connection.execute(select(EVENTS)).all()) == 3
        actions = [row.action for row in connection.execute(select(AUDIT))]
    assert set(actions) == {"expire"}  # of an offer the ranking writes one, with it


def test_two_workers_that_race_list_an_unplaced_lead_once(stood: Ledger) -> None:
    reject(stood, "F1", hours(1))
    with ThreadPoolExecutor(4) as threads:
        nobody = Says(stood, Placed(None, {"territory": 60}))
        done = list(threads.map(lambda _: apply(stood, CONFIG, nobody, hours(2)), range(8)))
    assert [made.unplaced for made in done if made.unplaced] == [{"L1": {"territory": 60}}]
    with stood.reading() as connection:
        assert [row.action for row in connection.execute(select(AUDIT))] == ["unplace"]


def test_one_process_of_many_does_it(stood: Ledger) -> None:
    at = hours(1)
    assert tick(stood, CONFIG, Ranking(stood, at), "one", at) == Applied()
    assert tick(stood, CONFIG, Ranking(stood, at), "two", at) is None
    assert tick(stood, CONFIG, Ranking(stood, at), "one", hours(1.001)) == Applied()
    later = hours(1.1)  # one is gone: its lease ran out
    assert tick(stood, CONFIG, Ranking(stood, later), "two", later) == Applied()


def test_a_ranking_that_breaks_leaves_the_lead_waiting_and_the_others_are_served(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2"))
    reject(stood, "F1", hours(1))
    reject(stood, "F2", hours(2))

    class Breaks(Ranking):
        def offer(self, lead_id: str, reason: str) -> Placed:
            if lead_id == "L1":
                raise Conflict("someone was quicker")
            return super().offer(lead_id, reason)

    assert set(apply(stood, CONFIG, Breaks(stood, hours(3)), hours(3)).reoffered) == {"L2"}
    with stood.reading() as connection:
        assert [lead.lead_id for lead in waiting(connection, hours(3))] == ["L1"]
    assert set(run(stood, hours(4)).reoffered) == {"L1"}


def test_answers_kept_for_their_key_are_forgotten_when_it_is_time(stood: Ledger) -> None:
    once = Once.of("key:a", "/record", "k1", {})
    with changing(stood, hours(0)) as change:
        keep(change, once, 200, "{}")
    for later, there in ((hours(23), True), (hours(25), False)):
        run(stood, later)
        with stood.reading() as connection:
            assert (stored(connection, once) is not None) is there
