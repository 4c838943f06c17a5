"""What the reason of a no does: who is asked next, what is asked of the data, and when a lead that waits goes on."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

import callsheet
from features.clock import Hours
from features.errors import UsageError
from features.schema import TABLES
from serving.actor import CLI, LOCAL
from serving.due import questions, unplaced
from serving.ledger import Ledger, audit
from serving.ledger.change import changing
from serving.ledger.events import record
from serving.ledger.ingest import ingest
from serving.ledger.offers import Desk
from serving.ledger.questions import QuestionSettled
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS
from serving.ledger.unplaced import NOT_ASKED, waiting
from serving.sla import apply
from serving.whereabouts import whereabouts
from tests.serving.ledger.small import CONFIG, furnish, give, holds, hours, offer, rows
from tests.serving.routed import Ranking, reject, reps_of, run


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


def queue(ledger: Ledger) -> dict[str, tuple[dict[str, int], str]]:
    """Why leads are unplaced that somebody asked about, and what they wait for."""
    with ledger.reading() as connection:
        rows = unplaced(connection, hours(99), 100)[1]
    return {row["lead_id"]: (row["because"], row["waits_for"]) for row in rows if row["because"] != NOT_ASKED}


def asked(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.reading() as connection:
        return [(row["rep_id"], row["reason"]) for row in questions(connection, 100)[1]]


def where(ledger: Ledger, lead_id: str) -> Any:
    with ledger.reading() as connection:
        return whereabouts(connection, CONFIG, lead_id, hours(3))


def tell(ledger: Ledger, kind: str, at: datetime, **more: str) -> None:
    told = {"event_id": kind, "offer_id": "F1", "kind": kind, "at": at} | more
    with changing(ledger, hours(2)) as change:
        assert record(change, CONFIG, [told], LOCAL)[0].result == "applied"


@pytest.mark.parametrize(
    ("reason", "goes_on", "waits", "question"),
    [
        ("bad_fit", True, None, False),
        ("other", True, None, False),
        ("no_capacity", True, None, False),
        ("not_my_territory", True, None, True),
        ("not_my_product", True, None, True),
        ("bad_data", False, ({"bad_data": 1}, "data"), True),
        ("known_dead", False, ({"known_dead": 1}, "person"), True),
    ],
)
def test_what_the_reason_of_a_no_does(
    stood: Ledger, reason: str, goes_on: bool, waits: tuple[dict[str, int], str] | None, question: bool
) -> None:
    reject(stood, "F1", hours(1), reason)
    run(stood, hours(2))
    assert reps_of(stood, "L1") == (["R1", "R2"] if goes_on else ["R1"])
    assert queue(stood).get("L1") == waits
    assert asked(stood) == ([("R1", reason)] if question else [])
    here = where(stood, "L1")
    assert (here["state"], here["waits_for"]) == (("held", None) if goes_on else ("unplaced", (waits or ("", ""))[1]))
    assert (here["because"], here["rep_id"]) == (waits[0] if waits else {}, "R2" if goes_on else None)


def test_a_lead_that_was_taken_back_does_not_silently_go_nowhere(stood: Ledger) -> None:
    tell(stood, "withdrawn", hours(1))
    here = where(stood, "L1")
    assert (queue(stood), run(stood, hours(2)).reoffered) == ({"L1": ({"withdrawn": 1}, "person")}, {})
    assert (here["state"], here["because"], here["waits_for"]) == ("unplaced", {"withdrawn": 1}, "person")
    assert Ranking(stood, hours(2)).offer("L1", "somebody asks").offer_id
    assert (queue(stood), reps_of(stood, "L1")) == ({}, ["R1", "R2"])


def test_a_no_that_was_told_after_the_lead_was_taken_back_sends_it_on(stood: Ledger) -> None:
    tell(stood, "withdrawn", hours(2))
    tell(stood, "rejected", hours(1), reason="other")
    assert (queue(stood), where(stood, "L1")["waits_for"]) == ({}, "reps")
    run(stood, hours(3))
    assert reps_of(stood, "L1") == ["R1", "R2"]


def test_nobody_is_told_to_wait_for_reps_of_a_lead_that_nothing_but_a_plan_takes_up(stood: Ledger) -> None:
    old = offer("F2", "L2", "R2", hours(-300), answer="rejected", answered_at=hours(-290), decision_id=None)
    give(stood, old)
    run(stood, hours(2))
    for lead_id in ("L2", "L3"):  # its no came with the data; nobody asked
        here = where(stood, lead_id)
        assert (here["state"], here["because"], here["waits_for"]) == ("unplaced", {"not_asked": 1}, "plan")


def test_a_lead_that_nobody_asked_about_is_unplaced_and_comes_after_those_that_somebody_did(stood: Ledger) -> None:
    """However long it has lain there: it is in every list and count, until it is offered, closed or unplaced else."""
    older = {"lead_id": "L0", "contact_id": "C1", "solution": "payments", "created_at": hours(-500)}
    with changing(stood, hours(0.5)) as change:
        change.upsert("leads", [dict.fromkeys(TABLES["leads"].names) | older])
    tell(stood, "withdrawn", hours(1))

    def listed(limit: int | None) -> list[tuple[str, dict[str, int], int]]:
        with stood.reading() as connection:
            total, rows = unplaced(connection, hours(2), limit)
            assert total == sum(waiting(connection, hours(2)).values())
        return [(row["lead_id"], row["because"], row["attempts"]) for row in rows]

    never = {"not_asked": 1}
    assert listed(None) == [("L1", {"withdrawn": 1}, 1), ("L0", never, 0), ("L2", never, 0), ("L3", never, 0)]
    assert listed(2) == listed(None)[:2]
    assert listed(1) == listed(None)[:1]
    with stood.reading() as connection:
        assert waiting(connection, hours(2)) == {"reps": 0, "data": 0, "person": 1, "plan": 3}
    assert Ranking(stood, hours(2)).offer("L2", "somebody asks").offer_id
    assert [one[0] for one in listed(None)] == ["L1", "L0", "L3"]
    with changing(stood, hours(1.5)) as change:
        change.upsert("leads", [dict.fromkeys(TABLES["leads"].names) | older | {"closed_at": hours(1.5)}])
    assert [one[0] for one in listed(None)] == ["L1", "L3"]


def test_when_two_reps_say_the_same_of_a_lead_its_data_is_asked_before_a_third(stood: Ledger) -> None:
    for n in (1, 2):
        reject(stood, holds(stood)["L1"], hours(n), "not_my_territory")
        run(stood, hours(n + 0.5))
    assert (reps_of(stood, "L1"), queue(stood)) == (["R1", "R2"], {"L1": ({"not_my_territory": 2}, "data")})


def test_a_question_is_settled_by_the_data_put_right_and_the_lead_goes_on(stood: Ledger) -> None:
    reject(stood, "F1", hours(1), "bad_data")
    run(stood, hours(2))
    for column, value, still in (("behavior_score", 7.0, True), ("contact_id", "C1", True), ("budget", "50k", False)):
        with changing(stood, hours(3)) as change:
            ingest(change, {"leads": [{"lead_id": "L1", column: value}]})
        assert bool(asked(stood)) is still
    run(stood, hours(4))
    assert (asked(stood), queue(stood), reps_of(stood, "L1")) == ([], {}, ["R1", "R2"])


@pytest.mark.parametrize("reason", ["bad_data", "known_dead"])
def test_a_question_is_settled_by_hand_once_and_the_lead_goes_on(stood: Ledger, reason: str) -> None:
    def command(*told: str) -> Any:
        return CliRunner().invoke(callsheet.app, ["questions", "--db", stood.url, *told])

    reject(stood, "F1", hours(1), reason)
    run(stood, hours(2))
    assert reps_of(stood, "L1") == ["R1"]
    (listed,) = json.loads(command("--format", "json").stdout)
    assert (listed["question_id"], listed["lead_id"], listed["reason"]) == ("no-F1", "L1", reason)
    for wrong in (("--settle", "no-F1"), ("--reason", "x"), ("--settle", "no-F1", "--reason", " ")):
        assert isinstance(command(*wrong).exception, UsageError)
    settle = ("--reason", "she is well", "--settle")
    assert command(*settle, "no-F1").exit_code == 0
    with stood.reading() as connection:
        last = audit.head(connection).number
        row = connection.execute(select(AUDIT).where(AUDIT.c.number == last)).one()
        body = connection.execute(select(AUDIT_PAYLOADS.c.body).where(AUDIT_PAYLOADS.c.number == last)).scalar_one()
    assert (row.actor, row.action, row.subject) == (CLI.name, "settle", "L1")
    assert json.loads(body) == {
        "question_id": "no-F1", "asked": {"offer_id": "F1", "rep_id": "R1", "reason": reason}, "why": "she is well"
    }  # fmt: skip
    assert isinstance(command(*settle, "no-F1").exception, QuestionSettled)
    assert getattr(command(*settle, "no-F9").exception, "code", None) == "question_unknown"
    with stood.reading() as connection:
        assert audit.head(connection).number == last
    run(stood, hours(3))
    assert (asked(stood), queue(stood), reps_of(stood, "L1")) == ([], {}, ["R1", "R2"])


def test_a_rep_who_has_no_capacity_gets_nothing_more_this_week_and_everything_next_week(stood: Ledger) -> None:
    reject(stood, "F1", hours(1), "no_capacity")
    for at, refusal in ((2, "capacity_full"), (24 * 6.5, "capacity_full"), (24 * 7, None)):
        with changing(stood, hours(at)) as change:
            assert Desk(change, "UTC", Hours()).pair("L2", "R1").rep == refusal
            assert Desk(change, "UTC", Hours()).pair("L2", "R2").rep is None


def test_an_unplaced_lead_goes_on_by_itself_when_a_rep_can_take_it(stood: Ledger) -> None:
    away = [
        {"time_off_id": rep, "rep_id": rep, "starts_at": hours(0.5), "ends_at": hours(20)} for rep in ("R2", "R3")
    ]  # fmt: skip
    with changing(stood, hours(0)) as change:
        change.upsert("time_off", rows("time_off", *away))
    reject(stood, "F1", hours(1))
    run(stood, hours(2))
    assert queue(stood) == {"L1": ({"already_offered": 1, "time_off": 2}, "reps")}
    ranking = Ranking(stood, hours(10))
    assert apply(stood, CONFIG, ranking, hours(10)).reoffered == {}
    assert ranking.asked == []  # the filters are looked at; nothing is ranked or written for it
    assert set(run(stood, hours(21)).reoffered) == {"L1"}
    assert (queue(stood), reps_of(stood, "L1")) == ({}, ["R1", "R2"])


def test_one_place_that_is_given_back_takes_one_of_those_who_wait(stood: Ledger) -> None:
    give(stood, offer("F2", "L2", "R2"), offer("F3", "L3", "R3"))
    with changing(stood, hours(0)) as change:
        people = [{"rep_id": rep, "name": rep, "role": "segment", "timezone": "UTC"} for rep in ("R1", "R2", "R3")]
        change.upsert("reps", rows("reps", *(one | {"weekly_capacity": 1.0} for one in people)))
    reject(stood, "F1", hours(1), "no_capacity")
    run(stood, hours(2))
    assert queue(stood) == {"L1": ({"already_offered": 1, "capacity_full": 2}, "reps")}
    reject(stood, "F2", hours(3), "bad_fit")
    done = run(stood, hours(4)).reoffered
    assert (set(done), reps_of(stood, "L1")) == ({"L1"}, ["R1", "R2"])
    assert queue(stood)["L2"] == ({"already_offered": 1, "capacity_full": 2}, "reps")
