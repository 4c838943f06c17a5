"""What became of an offer, in the words of the field: accepted, expired, converted, won; and when each was known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.asof import NAT
from features.book import Book
from features.config import read_config
from features.outcomes import ACCEPTED, EXPIRED, OPEN
from tests.features.small_crm import MARKET, T, base, day, micros, typed


def book(offers: list[dict[str, Any]], **more: list[dict[str, Any]]) -> Book:
    rows = base() | {"offers": offers} | more
    return Book({name: typed(name, table) for name, table in rows.items()}, read_config(MARKET), micros(day(400)))


def offer(**more: Any) -> dict[str, Any]:
    return {"offer_id": "O1", "lead_id": "L1", "rep_id": "R1", "offered_at": T} | more


def opportunity(**more: Any) -> dict[str, Any]:
    return {"opportunity_id": "P1", "account_id": "A1", "rep_id": "R1", "opened_at": day(10)} | more


def converted(offers: list[dict[str, Any]], **more: list[dict[str, Any]]) -> int:
    return int(book(offers, **more).outcomes.converted[0])


def test_an_unanswered_offer_is_due_after_sixteen_working_hours() -> None:
    outcome = book([offer()]).outcomes  # Monday 09:00 in London, eight working hours a day: Tuesday 17:00
    assert outcome.answer[0] == OPEN
    assert outcome.due[0] == micros(T) + 32 * 3_600_000_000


def test_an_expiry_without_a_date_falls_on_the_due_instant() -> None:
    outcome = book([offer(answer="expired")]).outcomes
    assert outcome.answer[0] == EXPIRED
    assert outcome.answered[0] == outcome.due[0]


def test_an_answer_known_late_counts_from_when_it_was_known() -> None:
    outcome = book([offer(answer="accepted", answered_at=day(0.1), known_at=day(9))]).outcomes
    assert outcome.answer[0] == ACCEPTED
    assert outcome.answered[0] == micros(day(9))


def test_converted_at_decides_over_every_opportunity() -> None:
    opps = [opportunity(opened_at=day(3))]
    assert converted([offer(converted_at=day(7))], opportunities=opps) == micros(day(7))


def test_its_opportunity_decides_over_the_first_of_account_and_rep() -> None:
    opps = [opportunity(opened_at=day(3)), opportunity(opportunity_id="P2", opened_at=day(5))]
    assert converted([offer(opportunity_id="P2")], opportunities=opps) == micros(day(5))


def test_else_the_first_new_opportunity_of_account_and_rep_counts() -> None:
    opps = [
        opportunity(opportunity_id="old", opened_at=day(-3)),
        opportunity(opportunity_id="other", rep_id="R2", opened_at=day(1)),
        opportunity(opportunity_id="second", opened_at=day(8)),
        opportunity(opportunity_id="first", opened_at=day(5)),
    ]
    assert converted([offer()], opportunities=opps) == micros(day(5))


def test_an_opportunity_that_another_offer_names_is_that_ones_conversion() -> None:
    opps = [opportunity(opened_at=day(5))]
    both = [offer(), offer(offer_id="O2", offered_at=day(2), opportunity_id="P1")]
    outcome = book(both, opportunities=opps).outcomes
    assert outcome.converted.tolist() == [NAT, micros(day(5))]


@pytest.mark.parametrize(
    ("opp", "why"),
    [
        ({"opened_at": day(-1)}, "it was open before the offer: advanced, not converted"),
        ({"opened_at": T}, "it must be new: opened after the offer"),
        ({"opened_at": day(91)}, "beyond the horizon of 90 days"),
        ({"forecast_weight": 0.09}, "below ten percent"),
    ],
)
def test_what_is_no_conversion(opp: dict[str, Any], why: str) -> None:
    assert converted([offer(opportunity_id="P1")], opportunities=[opportunity(**opp)]) == NAT, why


def test_a_conversion_dated_before_its_offer_is_none() -> None:
    assert converted([offer(converted_at=day(-7))]) == NAT


def test_a_lost_deal_without_a_history_of_weights_was_one_all_the_same() -> None:
    lost = opportunity(closed_at=day(30), outcome="lost", forecast_weight=0.0)
    assert converted([offer()], opportunities=[lost]) == micros(day(10))


@pytest.mark.parametrize("weight", [None, 0.10, 1.0])
def test_ten_percent_or_an_unknown_weight_converts(weight: float | None) -> None:
    assert converted([offer()], opportunities=[opportunity(forecast_weight=weight)]) == micros(day(10))


def test_a_weight_that_was_reached_and_lost_again_still_converted_and_is_known_since_then() -> None:
    rose = {"table_name": "opportunities", "row_id": "P1", "column_name": "forecast_weight"}
    changes = [rose | {"value": "0.05", "valid_from": day(10)}, rose | {"value": "0.2", "valid_from": day(12)}]
    made = book([offer()], opportunities=[opportunity(forecast_weight=0.0)], changes=changes).outcomes
    assert made.converted[0] == micros(day(10))
    assert made.converted_known[0] == micros(day(12))


def test_the_opportunitys_win_is_the_offers() -> None:
    opps = [opportunity(closed_at=day(60), outcome="won")]
    outcome = book([offer()], opportunities=opps).outcomes
    assert outcome.won[0] == micros(day(60))
    assert book([offer()], opportunities=[opportunity(closed_at=day(60), outcome="lost")]).outcomes.won[0] == NAT


def tally(offers: list[dict[str, Any]], at: float) -> tuple[float, float]:
    made = book(offers)
    hits, count = made.offer_logs.rep.accept.before(np.array([0]), np.array([micros(day(at))]))
    return float(hits[0]), float(count[0])


def test_a_quick_yes_is_judged_no_earlier_than_a_slow_no() -> None:
    quick = [offer(answer="accepted", answered_at=day(0.01))]
    assert tally(quick, 1.0) == (0, 0)  # due only after 32 hours
    assert tally(quick, 1.5) == (1, 1)


def test_a_late_yes_is_a_failure_until_it_is_given() -> None:
    late = [offer(answer="accepted", answered_at=day(5))]
    assert tally(late, 2) == (0, 1) == tally([offer()], 2)
    assert tally(late, 6) == (1, 1)


@pytest.mark.parametrize("answer", ["withdrawn", "reassigned"])
def test_an_offer_that_is_taken_back_while_its_sla_runs_says_nothing_of_its_rep(answer: str) -> None:
    assert tally([offer(answer=answer, answered_at=day(0.1))], 9) == (0, 0)
    assert tally([offer(answer=answer, answered_at=day(1.3))], 9) == (0, 0)


@pytest.mark.parametrize("answer", ["withdrawn", "reassigned"])
def test_an_offer_that_was_let_lie_and_then_taken_back_stays_an_expiry(answer: str) -> None:
    """That it was handed on is no more than what came of the silence, and nobody knew of it when it expired."""
    log = [offer(answer=answer, answered_at=day(4))]
    for at in (2, 3, 5, 9):
        assert tally(log, at) == (0, 1) == tally([offer()], at)
    made = book(log).outcomes
    assert not made.taken_back[0]
    assert book([offer(answer=answer)]).outcomes.taken_back[0], "without a date it counts as taken back in time"


def test_conversions_count_what_was_let_lie_and_leave_out_what_was_taken_back_in_time() -> None:
    log = [
        offer(answer="reassigned", answered_at=day(4)),
        offer(offer_id="O2", answer="withdrawn", answered_at=day(0.5)),
    ]
    made = book(log).outcomes.conversions()
    assert (made.row.tolist(), made.hits.tolist(), made.count.tolist()) == ([0], [0.0], [1.0])


@pytest.mark.parametrize(
    ("more", "held"),
    [
        ({}, [(0.0, 0), (1.0, 1), (2.0, 0)]),
        ({"answer": "accepted", "answered_at": day(0.5)}, [(1.0, 1), (4.0, 1)]),
        ({"answer": "rejected", "answered_at": day(0.5)}, [(0.4, 1), (0.6, 0)]),
        ({"answer": "rejected", "answered_at": day(3)}, [(1.0, 1), (2.0, 0), (4.0, 0)]),
        ({"answer": "accepted", "answered_at": day(3)}, [(1.0, 1), (2.0, 0), (4.0, 1)]),
    ],
)
def test_an_offer_holds_its_lead_and_its_place_while_open_or_accepted(
    more: dict[str, Any], held: list[tuple[float, int]]
) -> None:
    made = book([offer(**more)])
    for at, expected in held:
        t = np.array([micros(day(at))])
        assert made.taken(np.array([0]), t)[0] == bool(expected)
        assert made.used(np.array([0]), t)[0] == expected


def test_a_new_week_of_the_reps_own_zone_starts_empty() -> None:
    accepted = [offer(answer="accepted", answered_at=day(0.1))]
    made = book(accepted)
    sunday_night = micros(day(6) + (T.normalize() - T)) + 86_400_000_000 - 1  # London is on UTC in early March
    assert made.used(np.array([0]), np.array([sunday_night]))[0] == 1
    assert made.used(np.array([0]), np.array([sunday_night + 1]))[0] == 0
