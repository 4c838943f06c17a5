"""An offer's state is a function of the set of its events: golden cases by hand, and every order of any set."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from features.schema import REJECT_REASONS
from serving.ledger.answers import KINDS, LATE, Moved, State, Terms, Told, fold

OFFERED = datetime(2026, 3, 2, 9, tzinfo=UTC)
TERMS = Terms(OFFERED, 0.10, timedelta(days=90))


def hours(n: float) -> datetime:
    return OFFERED + timedelta(hours=n)


def told(kind: str, at: float, *, event_id: str | None = None, known: float | None = None, **body: Any) -> Told:
    """An event `at` hours after the offer, received at once unless `known` says when."""
    received = hours(at if known is None else known)
    return Told(event_id or f"{kind}-{at}", "F1", kind, hours(at), received, body)


def state(*events: Told, terms: Terms = TERMS) -> State:
    return fold(terms, events)


def answered(*events: Told) -> tuple[str | None, datetime | None]:
    made = state(*events)
    return made.answer, made.answered_at


def test_an_offer_without_events_is_open() -> None:
    assert state() == State(None, None, None, None, None, ())


def test_the_last_answer_by_event_time_counts_from_its_first_time_on() -> None:
    assert answered(told("accepted", 2)) == ("accepted", hours(2))
    assert answered(told("accepted", 2), told("rejected", 5, reason="bad_fit")) == ("rejected", hours(5))
    assert answered(told("rejected", 2, reason="bad_fit"), told("accepted", 5)) == ("accepted", hours(5))
    assert answered(told("accepted", 2), told("accepted", 5)) == ("accepted", hours(2))


def test_the_reason_is_that_of_a_rejection_that_stands() -> None:
    assert state(told("rejected", 2, reason="bad_data")).reject_reason == "bad_data"
    assert state(told("rejected", 2, reason="bad_data"), told("accepted", 3)).reject_reason is None


def test_an_expiry_holds_only_while_nobody_answered() -> None:
    assert answered(told("expired", 16)) == ("expired", hours(16))
    assert answered(told("expired", 16), told("accepted", 3)) == ("accepted", hours(3))
    assert answered(told("expired", 16), told("accepted", 20)) == ("accepted", hours(20))
    assert answered(told("expired", 16), told("accepted", 16)) == ("accepted", hours(16))


def test_what_was_taken_back_stays_so_and_of_a_no_nothing_is_taken_back() -> None:
    assert answered(told("accepted", 1), told("withdrawn", 2)) == ("withdrawn", hours(2))
    assert answered(told("withdrawn", 2), told("accepted", 3)) == ("withdrawn", hours(2))
    assert answered(told("rejected", 1, reason="other"), told("withdrawn", 2)) == ("rejected", hours(1))
    assert answered(told("reassigned", 2, to_rep_id="R2"), told("rejected", 3, reason="other"))[0] == "reassigned"


def test_nobody_answers_before_being_asked() -> None:
    assert answered(told("accepted", -0.5)) == ("accepted", OFFERED)


def test_who_opens_an_opportunity_on_an_open_offer_has_taken_it() -> None:
    made = state(told("opportunity", 30, opportunity_id="O1", forecast_weight=0.2))
    assert (made.answer, made.answered_at) == ("accepted", hours(30))
    late_answer = state(told("opportunity", 30, opportunity_id="O1"), told("accepted", 4))
    assert (late_answer.answer, late_answer.answered_at) == ("accepted", hours(4))


def test_a_new_opportunity_of_enough_weight_is_a_conversion() -> None:
    made = state(told("accepted", 1), told("opportunity", 30, opportunity_id="O1", forecast_weight=0.10))
    assert (made.opportunity_id, made.converted_at) == ("O1", hours(30))
    light = state(told("opportunity", 30, opportunity_id="O1", forecast_weight=0.05))
    assert (light.opportunity_id, light.converted_at) == ("O1", None)
    grown = state(
        told("opportunity", 30, opportunity_id="O1", forecast_weight=0.05),
        told("stage", 50, stage="demo", forecast_weight=0.3),
    )
    assert grown.converted_at == hours(50)
    unweighed = state(told("opportunity", 30, opportunity_id="O1"))
    assert unweighed.converted_at == hours(30)


def test_what_was_open_before_the_offer_or_came_after_the_horizon_is_none() -> None:
    assert state(told("opportunity", -1, opportunity_id="O1", forecast_weight=0.5)).converted_at is None
    assert state(told("opportunity", 91 * 24, opportunity_id="O1", forecast_weight=0.5)).converted_at is None


def test_of_two_opportunities_the_offer_names_the_one_that_converts() -> None:
    made = state(
        told("opportunity", 10, opportunity_id="O1", forecast_weight=0.0),
        told("opportunity", 20, opportunity_id="O2", forecast_weight=0.4),
    )
    assert (made.opportunity_id, made.converted_at) == ("O2", hours(20))
    assert [deal.opportunity_id for deal in made.deals] == ["O1", "O2"]


def test_the_last_end_by_event_time_counts_and_its_history_is_kept() -> None:
    made = state(
        told("lost", 200, reason="price"),
        told("won", 100, amount=5000.0),
        told("opportunity", 30, opportunity_id="O1", stage="new", forecast_weight=0.2, amount=4000.0),
        told("stage", 60, stage="demo", forecast_weight=0.5),
        told("stage", 70, stage="demo", forecast_weight=0.5),
    )
    (deal,) = made.deals
    assert deal.ended is not None
    assert (deal.ended.kind, deal.ended.at, deal.ended.body["reason"]) == ("lost", hours(200), "price")
    assert deal.told == {"stage": "demo", "forecast_weight": 0.5, "amount": 5000.0}
    assert deal.moves == (
        Moved("stage", "new", hours(30), None),
        Moved("stage", "demo", hours(60), None),
        Moved("forecast_weight", "0.2", hours(30), None),
        Moved("forecast_weight", "0.5", hours(60), None),
        Moved("amount", "4000.0", hours(30), None),
        Moved("amount", "5000.0", hours(100), None),
    )


def test_a_stage_waits_for_its_opportunity() -> None:
    assert state(told("stage", 40, stage="demo")).deals == ()
    known = replace(TERMS, opportunity_id="O0")
    made = state(told("stage", 40, stage="demo"), terms=known)
    assert (made.opportunity_id, made.deals[0].opportunity_id, made.deals[0].opened) == ("O0", "O0", None)


def test_a_late_event_happened_when_it_became_known() -> None:
    late = 1 + LATE / timedelta(hours=1)
    assert answered(told("accepted", 1, known=late)) == ("accepted", hours(1))
    assert answered(told("accepted", 1, known=720)) == ("accepted", hours(720))
    assert answered(told("accepted", 1, known=720), told("accepted", 5)) == ("accepted", hours(5))
    assert answered(told("opportunity", 1, opportunity_id="O1", known=720), told("accepted", 5))[1] == hours(5)
    made = state(told("opportunity", 30, opportunity_id="O1", forecast_weight=0.5, stage="new", known=720))
    assert (made.opportunity_id, made.converted_at) == ("O1", None)
    assert {move.known_at for move in made.deals[0].moves} == {hours(720)}


def test_an_answer_of_the_table_stays_until_an_event_says_otherwise() -> None:
    known = replace(TERMS, opportunity_id="O9", converted_at=hours(9))
    made = state(told("accepted", 2), terms=known)
    assert (made.opportunity_id, made.converted_at) == ("O9", hours(9))


@st.composite
def sets(draw: st.DrawFn) -> list[Told]:
    """Events of one offer, with ties in time and every kind."""
    made = []
    for number in range(draw(st.integers(0, 9))):
        kind, at = draw(st.sampled_from(KINDS)), draw(st.integers(-2, 12))
        body: dict[str, Any] = {}
        if kind == "rejected":
            body["reason"] = draw(st.sampled_from(REJECT_REASONS))
        if kind == "opportunity":
            body["opportunity_id"] = draw(st.sampled_from(("O1", "O2")))
        if kind in ("opportunity", "stage"):
            body |= draw(st.fixed_dictionaries({}, optional={"forecast_weight": st.sampled_from((0.0, 0.1, 0.4))}))
            body["stage"] = draw(st.sampled_from(("new", "demo")))
        known = at + draw(st.sampled_from((0, 0, 300)))
        made.append(told(kind, at, event_id=f"e{number}", known=known, **body))
    return made


@given(sets(), st.randoms(use_true_random=False), st.data())
def test_any_order_with_duplicates_gives_the_same_state(
    events: list[Told], shuffle: random.Random, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(events))) if events else []
    mixed = [*events, *again]
    shuffle.shuffle(mixed)
    assert state(*mixed) == state(*events)
