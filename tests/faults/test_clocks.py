"""Clocks that are wrong: an hour off, stepped back, at the change to summer time, on a leap day."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from features.clock import Hours
from serving.actor import LOCAL
from serving.instants import micros
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing, seq_of
from serving.ledger.crm import OFFERS
from serving.ledger.load import load
from serving.ledger.offers import Desk
from serving.ledger.tables import DECISIONS, JOURNAL
from serving.live import Live
from serving.recording import record_events
from serving.sla import Applied, tick
from serving.wire.record import RecordAsk
from tests.serving.conftest import Crm
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, holds, hours, kept, offer_of, rows
from tests.serving.routed import Ranking
from tests.serving.standing_ledger import Stand

pytestmark = pytest.mark.faults

#: Minutes from the CRM's last fact to a time at which an hour more or less is the same week.
MIDWEEK = 3 * 24 * 60


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


@pytest.mark.parametrize("step", [-60, 60])
def test_the_order_of_commits_is_the_ledgers_whatever_the_clock_says(stand: Stand, step: int) -> None:
    """Shown to fail where who holds a lead is told by the times of its offers."""
    lead_id, minutes = stand.free_lead(), [61, 61 + step, 61 + 2 * step]
    answers = []
    for stand.minutes in minutes:
        answers.append(stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once()).answer)
    first, *later = answers
    assert first["items"][0]["offer_id"]
    assert [(one["items"], set(one["refused"]) & {"lead_taken"}) for one in later] == [([], {"lead_taken"})] * 2
    stand.minutes = 61 + step
    again = stand.decider.reps(lead_id, None, 3, actor=LOCAL, once=stand.once("key-1"))
    assert (again.replayed, again.answer) == (True, first)
    with stand.ledger.reading() as connection:
        said = connection.execute(select(JOURNAL.c.seq, JOURNAL.c.at).order_by(JOURNAL.c.seq)).all()
        decided = connection.execute(select(DECISIONS.c.at)).scalars().all()
        assert verify(connection) is None
        assert seq_of(connection) >= said[-1].seq
    assert set(decided) == {stand.crm.snapshot.now.to_pydatetime() + timedelta(minutes=m) for m in minutes}


@pytest.mark.parametrize("step", [-60, 60])
def test_a_rep_gets_no_more_than_fits_while_the_clock_steps(stand: Stand, step: int) -> None:
    """Within his week; the places are counted from what is written, not from what this process remembers."""
    rep_id, stand.minutes = str(stand.crm.book.rep_ids[0]), MIDWEEK
    with changing(stand.ledger, stand.now) as change:
        desk = Desk(change, "UTC", Hours())
        room = desk.room(rep_id)
    assert room
    given: list[str] = []
    for n in range(room + 3):
        stand.minutes = MIDWEEK + step * (n % 2)
        answer = stand.decider.leads(rep_id, 1 + len(given), actor=LOCAL, once=stand.once()).answer
        given += [item["offer_id"] for item in answer["items"] if item["offer_id"] and item["offer_id"] not in given]
    with stand.ledger.reading() as connection:
        made = connection.execute(select(OFFERS.c.offer_id).where(OFFERS.c.offer_id.in_(given))).scalars().all()
    assert len(made) == len(given) == room


def told(event_id: str, at: datetime) -> Any:
    """The event of the offer's acceptance, as it comes over the wire."""
    event = {"event_id": event_id, "offer_id": "F1", "kind": "accepted", "at": at.isoformat()}
    return RecordAsk.model_validate_json(json.dumps({"events": [event]})).events


def results(ledger: Ledger, events: Any, key: str, now: datetime) -> list[str]:
    answer = record_events(ledger, CONFIG, events, LOCAL, key, now).answer
    return [one["result"] for one in answer["results"]]


def test_an_event_of_the_future_is_refused_and_taken_once_the_clock_is_right(stood: Ledger) -> None:
    """Our clock is an hour behind the caller's: nothing of the event is kept, so it can be told again."""
    happened = told("e1", hours(1))
    assert results(stood, happened, "k1", OFFERED) == ["refused"]
    assert (kept(stood), offer_of(stood, "F1")["answer"]) == ({}, None)
    assert results(stood, happened, "k1", hours(1)) == ["refused"]  # the answer that this key got
    assert results(stood, happened, "k2", hours(1)) == ["applied"]
    assert offer_of(stood, "F1")["answer"] == "accepted"


def test_an_answer_counts_though_its_offer_was_made_by_a_clock_that_was_ahead(stood: Ledger) -> None:
    """The rep accepts before the instant at which he was offered it, as the clocks have it."""
    assert results(stood, told("e1", hours(-1)), "k1", hours(-1)) == ["applied"]
    assert offer_of(stood, "F1")["answer"] == "accepted"
    assert holds(stood)["L1"] == "F1"
    assert results(stood, told("e1", hours(-1)), "k2", hours(1)) == ["duplicate"]


def test_who_holds_the_lease_by_a_clock_that_was_ahead_does_not_keep_the_others_from_it(stood: Ledger) -> None:
    """One process took it, the clock stepped back an hour, the process ended: the next one waits a minute, no hour."""

    nobody = Ranking(stood, hours(1))
    assert tick(stood, CONFIG, nobody, "one", hours(1)) is not None
    assert tick(stood, CONFIG, nobody, "two", hours(1)) is None
    assert tick(stood, CONFIG, nobody, "two", OFFERED) == Applied()
    assert tick(stood, CONFIG, nobody, "one", OFFERED) is None


def test_nothing_known_gets_a_negative_age_when_the_clock_steps_back(ledger: Ledger, crm: Crm, tmp_path: Path) -> None:
    """What is asked now is asked as of no earlier than what is written: a clock that steps back hides no fact."""
    load(ledger, crm.snapshot)
    now = datetime.now(UTC)
    live = Live(ledger, crm.config, tmp_path, clock=lambda: 0)  # the clock of 1970
    with changing(ledger, now + timedelta(hours=1)) as change:
        change.touch("reps", [str(crm.book.rep_ids[0])])
    before = live.catch_up().now
    assert before >= micros(now + timedelta(hours=1))
    lead = str(live.recommender.book.lead_ids[live.recommender.open_leads[-1]])
    assert live.recommender.reps_for_lead(lead)["lead_id"] == lead
    live.close()


#: Zone, the last instant of a week, and the first of the next, around a change of the clocks or a leap day.
WEEKS = {
    "to summer time": ("Europe/Berlin", "2026-03-29T23:59:59+02:00", "2026-03-30T00:00:00+02:00"),
    "to winter time": ("Europe/Berlin", "2026-10-25T23:59:59+01:00", "2026-10-26T00:00:00+01:00"),
    "of the other half of the globe": ("Australia/Sydney", "2026-04-05T23:59:59+10:00", "2026-04-06T00:00:00+10:00"),
    "leap day": ("America/New_York", "2032-02-29T23:59:59-05:00", "2032-03-01T00:00:00-05:00"),
    "leap year's end": ("Pacific/Auckland", "2028-12-31T23:59:59+13:00", "2029-01-01T00:00:00+13:00"),
}


@pytest.mark.parametrize("week", WEEKS)
def test_a_week_begins_at_the_reps_midnight_whatever_the_clocks_do_that_night(stood: Ledger, week: str) -> None:
    zone, *ends = WEEKS[week]
    last, first = (datetime.fromisoformat(end).astimezone(UTC) for end in ends)
    rep = {"rep_id": "R9", "name": "Nine", "role": "segment", "timezone": zone, "weekly_capacity": 1.0}
    with changing(stood, OFFERED) as change:
        change.upsert("reps", rows("reps", rep))
    for at, lead_id in ((last, "L2"), (first, "L3")):
        with changing(stood, at) as change:
            desk = Desk(change, "UTC", Hours())
            assert desk.pair(lead_id, "R9").rep is None
            desk.offer(lead_id, "R9", decision_id=None, policy="fallback", propensity=None)
        with changing(stood, at) as change:
            assert Desk(change, "UTC", Hours()).pair("L1", "R9").rep == "capacity_full"
