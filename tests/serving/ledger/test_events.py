"""Events on offers: each has its effect once, whoever sends it, however often, in whatever order."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from features.ahead import AHEAD
from serving.actor import LOCAL
from serving.ledger import Ledger
from serving.ledger.change import changed_since, changing
from serving.ledger.events import Outcome, join_parked, record
from serving.ledger.holds import fill_holds
from serving.ledger.tables import CRM_COLUMNS, DATA_QUESTIONS, EVENTS, HOLDS
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, give, holds, hours, kept, offer, offer_of, rows, table

REP = replace(LOCAL, name="key:1", rep_id="R1")
NOW = hours(100)


def event(kind: str, at: float, event_id: str | None = None, offer_id: str = "F1", **more: Any) -> dict[str, Any]:
    return {"event_id": event_id or f"{kind}-{at}", "offer_id": offer_id, "kind": kind, "at": hours(at)} | more


def send(ledger: Ledger, *events: dict[str, Any], actor: Any = LOCAL, at: datetime | None = None) -> list[Outcome]:
    """Record as of when the last of them happened, unless `at` says when."""
    with changing(ledger, at or max(e["at"] for e in events)) as change:
        return record(change, CONFIG, events, actor)


def results(ledger: Ledger, *events: dict[str, Any], **more: Any) -> list[str]:
    return [outcome.result for outcome in send(ledger, *events, **more)]


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


def test_an_acceptance_keeps_the_lead_and_is_followed(stood: Ledger) -> None:
    with stood.reading() as connection:
        before = changed_since(connection, 0).seq
    assert results(stood, event("accepted", 2)) == ["applied"]
    made = offer_of(stood, "F1")
    assert (made["answer"], made["answered_at"], made["known_at"]) == ("accepted", hours(2), None)
    assert holds(stood) == {"L1": "F1"}
    with stood.reading() as connection:
        assert changed_since(connection, before).rows == {"offers": [("F1",)]}


@pytest.mark.parametrize("kind", ["rejected", "expired", "withdrawn"])
def test_what_is_not_taken_frees_the_lead(stood: Ledger, kind: str) -> None:
    more = {"reason": "bad_fit"} if kind == "rejected" else {}
    assert results(stood, event(kind, 2, **more)) == ["applied"]
    assert offer_of(stood, "F1")["answer"] == kind
    assert holds(stood) == {}


def test_the_same_event_again_is_a_duplicate_and_another_body_is_refused(stood: Ledger) -> None:
    first = event("rejected", 2, "e1", reason="bad_fit")
    assert results(stood, first, first) == ["applied", "duplicate"]
    assert results(stood, first) == ["duplicate"]
    elsewhere = first | {"at": first["at"].astimezone(OFFERED.astimezone().tzinfo)}
    assert results(stood, elsewhere) == ["duplicate"]
    for other in (first | {"reason": "other"}, first | {"at": hours(3)}, event("accepted", 2, "e1")):
        (outcome,) = send(stood, other)
        assert (outcome.result, "event_id" in str(outcome.message)) == ("refused", True)
    assert offer_of(stood, "F1")["reject_reason"] == "bad_fit"


def test_one_event_from_fifty_threads_has_one_effect(stood: Ledger) -> None:
    once = event("rejected", 2, "e1", reason="bad_data")
    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(lambda _: results(stood, once)[0], range(50)))
    assert sorted(outcomes) == ["applied"] + ["duplicate"] * 49
    with stood.reading() as connection:
        assert len(connection.execute(select(DATA_QUESTIONS)).all()) == 1


def test_events_of_an_unknown_offer_are_parked_and_joined(stood: Ledger) -> None:
    early = [event("opportunity", 20, opportunity_id="O1", forecast_weight=0.3, offer_id="F2")]
    early.append(event("accepted", 2, offer_id="F2"))
    assert [results(stood, one) for one in early] == [["parked"], ["parked"]]
    assert results(stood, *early) == ["duplicate", "duplicate"]
    give(stood, offer("F2", "L2", "R2"))
    with changing(stood, NOW) as change:
        assert join_parked(change, CONFIG) == 2
        assert join_parked(change, CONFIG) == 0
    made = offer_of(stood, "F2")
    assert (made["answer"], made["answered_at"]) == ("accepted", hours(2))
    assert (made["opportunity_id"], made["converted_at"]) == ("O1", hours(20))


def test_what_lies_in_the_future_is_refused_and_a_clock_that_is_a_little_ahead_is_not(stood: Ledger) -> None:
    (outcome,) = send(stood, event("accepted", 2), at=hours(2) - AHEAD - timedelta(seconds=1))
    assert outcome.result == "refused"
    assert "future" in str(outcome.message)
    assert kept(stood) == {}
    assert results(stood, event("accepted", 2), at=hours(2) - AHEAD) == ["applied"]


def test_a_late_event_is_flagged_and_the_past_stays_as_it_was_known(stood: Ledger) -> None:
    month = 30 * 24
    events = [
        event("accepted", 2),
        event("opportunity", 20, opportunity_id="O1", forecast_weight=0.3, stage="new"),
        event("won", 40),
    ]
    assert {outcome.late for outcome in send(stood, *events, at=hours(month))} == {True}
    made = offer_of(stood, "F1")
    assert (made["answered_at"], made["known_at"], made["converted_at"]) == (hours(month), None, None)
    (deal,) = table(stood, "opportunities")
    assert (deal["opened_at"], deal["known_at"], deal["closed_at"]) == (hours(20), hours(month), hours(month))
    assert {row["known_at"] for row in table(stood, "changes")} == {hours(month)}
    (again,) = send(stood, events[0], at=hours(month))
    assert (again.result, again.late) == ("duplicate", True)


def test_a_rep_records_own_answers_only(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2"))
    assert results(stood, event("accepted", 2, "a", "F2"), actor=REP) == ["refused"]
    assert results(stood, event("accepted", 2, "b", "F9"), actor=REP) == ["refused"]
    assert results(stood, event("withdrawn", 2, "c"), actor=REP) == ["refused"]
    assert results(stood, event("reassigned", 2, "d", to_rep_id="R2"), actor=REP) == ["refused"]
    assert results(stood, event("accepted", 2, "e"), actor=REP) == ["applied"]
    assert kept(stood) == {"e": False}
    (foreign, unknown) = (send(stood, event("accepted", 3, "f", of), actor=REP)[0].message for of in ("F2", "F9"))
    assert foreign == unknown


def test_a_rep_does_not_close_the_deal_of_another(stood: Ledger) -> None:
    deal = {"opportunity_id": "O7", "account_id": "A1", "rep_id": "R2", "opened_at": hours(-5)}
    with changing(stood, OFFERED) as change:
        change.upsert("opportunities", rows("opportunities", deal))
    assert results(stood, event("won", 2, opportunity_id="O7"), actor=REP) == ["refused"]
    assert table(stood, "opportunities")[0]["outcome"] is None


@pytest.mark.parametrize("reason", ["not_my_territory", "not_my_product", "bad_data"])
def test_a_rejection_that_blames_the_data_opens_a_question(stood: Ledger, reason: str) -> None:
    send(stood, event("rejected", 2, "e1", reason=reason))
    with stood.reading() as connection:
        (asked,) = connection.execute(select(DATA_QUESTIONS)).all()
    assert (asked.event_id, asked.offer_id, asked.lead_id, asked.rep_id) == ("e1", "F1", "L1", "R1")
    assert (asked.reason, asked.asked_at, asked.settled_at) == (reason, hours(2), None)


def test_any_other_rejection_opens_none(stood: Ledger) -> None:
    send(stood, event("rejected", 2, reason="no_capacity"))
    with stood.reading() as connection:
        assert connection.execute(select(DATA_QUESTIONS)).all() == []


def test_a_lead_reassigned_by_hand_is_offered_to_the_other(stood: Ledger) -> None:
    (outcome,) = send(stood, event("reassigned", 2, to_rep_id="R2"))
    assert outcome.result == "applied"
    old, new = offer_of(stood, "F1"), offer_of(stood, holds(stood)["L1"])
    assert (old["answer"], old["answered_at"]) == ("reassigned", hours(2))
    assert (new["rep_id"], new["answer"], new["policy"], new["attempt"]) == ("R2", None, "manual", 2)
    assert str(outcome.message).endswith(f"{new['offer_id']}.")


def test_never_reassigned_to_who_had_it_to_nobody_or_from_who_does_not_hold_it(stood: Ledger) -> None:
    assert results(stood, event("reassigned", 2, to_rep_id="R1")) == ["refused"]
    assert results(stood, event("reassigned", 2, to_rep_id="R99")) == ["refused"]
    send(stood, event("rejected", 3, reason="other"))
    give(stood, offer("F2", "L1", "R2", hours(4)))
    assert results(stood, event("reassigned", 5, to_rep_id="R3")) == ["refused"]
    assert offer_of(stood, "F1")["answer"] == "rejected"
    assert holds(stood) == {"L1": "F2"}


@pytest.mark.parametrize("known", [{"hired_at": hours(48)}, {"active_until": hours(1)}], ids=["not begun", "left"])
def test_never_reassigned_to_who_is_not_there_yet_or_no_more(stood: Ledger, known: dict[str, datetime]) -> None:
    with changing(stood, OFFERED) as change:
        rep = {"rep_id": "R2", "name": "Rep 2", "role": "segment", "timezone": "UTC"}
        change.upsert("reps", rows("reps", rep | known))
    (outcome,) = send(stood, event("reassigned", 2, to_rep_id="R2"))
    assert outcome.result == "refused"
    assert "inactive" in str(outcome.message)
    assert holds(stood) == {"L1": "F1"}


def test_an_acceptance_after_the_lead_went_on_is_refused(stood: Ledger) -> None:
    send(stood, event("expired", 16))
    give(stood, offer("F2", "L1", "R2", hours(17)))
    assert results(stood, event("accepted", 3), at=hours(18)) == ["refused"]
    assert offer_of(stood, "F1")["answer"] == "expired"
    assert holds(stood) == {"L1": "F2"}


def loaded(ledger: Ledger, *offers: dict[str, Any]) -> None:
    """Offers as the data of a CRM may have them: several that are open for one lead."""
    with changing(ledger, OFFERED) as change:
        change.upsert("offers", rows("offers", *offers))
        fill_holds(change, [made["lead_id"] for made in offers])


@pytest.mark.parametrize("second", ["accepted", "opportunity"])
def test_two_reps_are_not_given_one_lead_by_accepting_it_both(stood: Ledger, second: str) -> None:
    loaded(stood, offer("F2", "L2", "R1"), offer("F3", "L2", "R2", hours(1)))
    assert holds(stood)["L2"] == "F3"
    late = event(second, 3, offer_id="F3") | ({"opportunity_id": "O1"} if second == "opportunity" else {})
    first, refused = send(stood, late, event("accepted", 2, "first", "F2"))[::-1]
    assert (first.result, refused.result, "by offer F2" in str(refused.message)) == ("applied", "refused", True)
    assert (holds(stood)["L2"], offer_of(stood, "F3")["answer"], table(stood, "opportunities")) == ("F2", None, [])
    assert results(stood, event("withdrawn", 4, offer_id="F2")) + results(stood, late) == ["applied", "applied"]
    assert (holds(stood)["L2"], kept(stood).keys()) == ("F3", {"first", "withdrawn-4", late["event_id"]})


def test_whoever_gives_a_lead_back_leaves_it_to_the_other_open_offer_of_it(stood: Ledger) -> None:
    loaded(stood, offer("F2", "L2", "R1"), offer("F3", "L2", "R2", hours(1)))
    assert results(stood, event("rejected", 2, offer_id="F3", reason="other")) == ["applied"]
    assert holds(stood)["L2"] == "F2"


def test_events_of_one_request_count_in_the_order_in_which_they_happened(stood: Ledger) -> None:
    send(stood, event("expired", 16))
    give(stood, offer("F2", "L1", "R2", hours(17)))
    events = [event("accepted", 20), event("withdrawn", 19, offer_id="F2")]
    assert results(stood, *events) == ["applied", "applied"]
    assert holds(stood) == {"L1": "F1"}


def test_an_acceptance_that_was_in_time_undoes_an_expiry(stood: Ledger) -> None:
    assert results(stood, event("expired", 16)) == ["applied"]
    assert holds(stood) == {}
    assert results(stood, event("accepted", 15.5), at=hours(16)) == ["applied"]
    assert offer_of(stood, "F1")["answer"] == "accepted"
    assert holds(stood) == {"L1": "F1"}


def test_who_gave_the_place_back_does_not_take_it_again_once_it_is_taken(stood: Ledger) -> None:
    with changing(stood, OFFERED) as change:
        rep = next(row for row in table(stood, "reps") if row["rep_id"] == "R1")
        change.upsert("reps", [rep | {"weekly_capacity": 1.0}])
    send(stood, event("rejected", 1, reason="other"))
    give(stood, offer("F2", "L2", "R1", hours(2)))
    (outcome,) = send(stood, event("accepted", 3))
    assert (outcome.result, "capacity_full" in str(outcome.message)) == ("refused", True)


def test_an_answer_that_came_with_the_data_is_one_of_the_events(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2", answer="accepted", answered_at=hours(5)))
    (outcome,) = send(stood, event("rejected", 3, offer_id="F2", reason="other"), at=hours(6))
    assert outcome.message == "It is kept and changes nothing: the offer is accepted."
    assert offer_of(stood, "F2")["answered_at"] == hours(5)
    assert results(stood, event("rejected", 7, offer_id="F2", reason="other")) == ["applied"]
    assert offer_of(stood, "F2")["answer"] == "rejected"


def test_what_happens_to_an_opportunity_that_nobody_opened_yet_waits_for_it(stood: Ledger) -> None:
    (outcome,) = send(stood, event("won", 30, amount=12.0))
    assert (outcome.result, outcome.message) == ("applied", "It is kept and counts once its opportunity is known.")
    (outcome,) = send(stood, event("opportunity", 20, opportunity_id="O1"), at=hours(31))
    assert (outcome.result, outcome.message) == ("applied", None)
    (deal,) = table(stood, "opportunities")
    assert (deal["outcome"], deal["closed_at"], deal["amount"]) == ("won", hours(30), 12.0)


def test_what_the_crm_says_of_an_opportunity_stays_where_events_are_silent(stood: Ledger) -> None:
    deal = {
        "opportunity_id": "O1", "account_id": "A1", "rep_id": "R9", "stage": "new", "amount": 7.0,
        "opened_at": hours(-50),
    }  # fmt: skip
    with changing(stood, OFFERED) as change:
        change.upsert("opportunities", rows("opportunities", deal))
    send(stood, event("opportunity", 20, opportunity_id="O1", stage="demo", forecast_weight=0.4))
    (made,) = table(stood, "opportunities")
    assert (made["rep_id"], made["amount"], made["opened_at"]) == ("R9", 7.0, hours(-50))
    assert (made["stage"], made["forecast_weight"]) == ("demo", 0.4)


def test_a_crm_that_came_without_opportunities_has_them_from_then_on(stood: Ledger) -> None:
    send(stood, event("opportunity", 20, opportunity_id="O1", forecast_weight=0.4))
    with stood.reading() as connection:
        told = {(row.table_name, row.column_name) for row in connection.execute(select(CRM_COLUMNS))}
        whole = changed_since(connection, 0).whole
    assert {("opportunities", "forecast_weight"), ("opportunities", "opened_at"), ("changes", "value")} <= told
    assert ("opportunities", "amount") not in told
    assert {"opportunities", "changes"} <= whole


SENT = [
    event("accepted", 2), event("accepted", 2, "second"), event("rejected", 4, reason="bad_data", text="gone"),
    event("accepted", 6), event("expired", 16), event("withdrawn", 90),
    event("opportunity", 20, opportunity_id="O1", stage="new", forecast_weight=0.05, amount=10.0),
    event("opportunity", 18, opportunity_id="O1", solution="payments"),
    event("stage", 30, stage="demo", forecast_weight=0.2), event("stage", 25, stage="demo"),
    event("stage", 30, "tie", stage="offer", forecast_weight=0.4, expected_close=hours(900)),
    event("stage", 42, stage="offer"), event("stage", 45, stage="offer"),
    event("lost", 60, reason="price"), event("won", 50, amount=12.0), event("no_decision", 60),
]  # fmt: skip
STATE = ("offers", "opportunities", "changes")


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """One SQLite ledger for many examples: each starts from the same rows."""
    folder = tmp_path_factory.mktemp("orders")
    made = Ledger.open(None, Path(folder))
    furnish(made)
    return made


def fingerprint(ledger: Ledger) -> str:
    """All that events write."""
    state: dict[str, Any] = {name: table(ledger, name) for name in STATE} | {"holds": holds(ledger)}
    with ledger.reading() as connection:
        state["questions"] = [row.event_id for row in connection.execute(select(DATA_QUESTIONS))]
    return json.dumps(state, default=str, sort_keys=True)


def fresh(ledger: Ledger) -> None:
    from serving.ledger.crm import CRM

    with ledger.writing() as connection:
        for made in (*(CRM[name] for name in STATE), EVENTS, HOLDS, DATA_QUESTIONS):
            connection.execute(delete(made))
    give(ledger, offer("F1", "L1", "R1"))


def deliver(ledger: Ledger, batches: list[list[dict[str, Any]]]) -> str:
    for batch in batches:
        with changing(ledger, NOW) as change:
            record(change, CONFIG, batch, LOCAL)
    return fingerprint(ledger)


@given(order=st.permutations(SENT), cuts=st.lists(st.integers(1, len(SENT) - 1)), again=st.randoms())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_batches_and_duplicates_make_the_same_rows(
    reused: Ledger, order: list[dict[str, Any]], cuts: list[int], again: random.Random
) -> None:
    fresh(reused)
    wanted = deliver(reused, [SENT])
    fresh(reused)
    mixed = [*order, *again.sample(SENT, 5)]
    places = [0, *sorted(cuts), len(mixed)]
    assert deliver(reused, [mixed[a:b] for a, b in pairwise(places)]) == wanted


@pytest.mark.owner
def test_the_reverse_order_one_by_one_makes_the_same_rows(stood: Ledger) -> None:
    wanted = deliver(stood, [SENT])
    fresh(stood)
    assert deliver(stood, [[one] for one in reversed(SENT)]) == wanted
