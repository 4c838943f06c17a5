"""What a worker answers before it has followed an erasure is written down without what the erasure took out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from serving.actor import LOCAL
from serving.decide import Decider
from serving.doors import Doors
from serving.instants import micros
from serving.ledger import Ledger, late, shadows
from serving.ledger.crm import CRM
from serving.ledger.decisions import Decision, decision, read
from serving.ledger.idempotency import Once
from serving.ledger.tables import JOURNAL, LEDGER_CLOCK, SHADOWS
from serving.live import Live
from serving.plan import plan
from serving.uptodate import UpToDate
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    """It follows nothing by itself."""
    return Stand(stocked, crm)


@pytest.fixture
def doors(stand: Stand, tmp_path: Path) -> Doors:
    """Those of another worker."""
    return Doors(stand.ledger, stand.crm.config, tmp_path, lambda: None)


def contact_of(ledger: Ledger, lead_id: str) -> str:
    leads = CRM["leads"]
    with ledger.reading() as connection:
        return str(connection.execute(select(leads.c.contact_id).where(leads.c.lead_id == lead_id)).scalar_one())


def leads_of(ledger: Ledger, contact_id: str) -> set[str]:
    leads = CRM["leads"]
    with ledger.reading() as connection:
        return set(connection.execute(select(leads.c.lead_id).where(leads.c.contact_id == contact_id)).scalars())


def detail_of(ledger: Ledger, decision_id: str) -> Mapping[str, Any] | None:
    with ledger.reading() as connection:
        return read(connection, decision_id).detail


def explained(detail: Mapping[str, Any] | None) -> set[str]:
    """The leads of which a call sheet or a plan says more than ids and scores."""
    assert detail is not None
    reasons = {item["lead_id"] for item in detail["items"] if item.get("reasons")}
    return reasons.union(detail["facts"], detail["vectors"])


def test_advice_on_a_lead_is_written_without_what_explains_it_once_its_contact_was_erased(
    stand: Stand, doors: Doors
) -> None:
    lead_id = stand.free_lead()
    contact_id = contact_of(stand.ledger, lead_id)
    other = next(
        one for one in stand.known.book.lead_ids[stand.known.open_leads] if contact_of(stand.ledger, one) != contact_id
    )
    inline = {"contact_id": contact_id, "solution": crm_solution(stand, lead_id)}
    doors.forget(contact_id, LOCAL)
    for lead in ((lead_id, None), (None, inline)):
        answer = stand.decider.reps(*lead, 2, actor=LOCAL, reasons=True).answer
        assert answer["items"]
        assert (answer["advice_only"], detail_of(stand.ledger, answer["decision_id"])) == (False, None)
    kept = detail_of(stand.ledger, stand.decider.reps(other, None, 2, actor=LOCAL).answer["decision_id"])
    assert kept is not None
    assert kept["facts"]


def test_a_worker_that_is_behind_the_journal_writes_nothing_either_of_whom_it_may_not_know_to_be_erased(
    stand: Stand, doors: Doors
) -> None:
    lead_id = stand.free_lead()
    doors.forget(contact_of(stand.ledger, lead_id), LOCAL)
    with stand.ledger.writing() as connection:
        connection.execute(delete(JOURNAL))
        connection.execute(update(LEDGER_CLOCK).values(journal_from=LEDGER_CLOCK.c.seq))
    answer = stand.decider.reps(lead_id, None, 2, actor=LOCAL).answer
    assert detail_of(stand.ledger, answer["decision_id"]) is None


def crm_solution(stand: Stand, lead_id: str) -> str:
    leads = stand.crm.snapshot.tables["leads"].set_index("lead_id")
    return str(leads.loc[lead_id, "solution"])


def sheet_of(stand: Stand) -> dict[str, Any]:
    rep_id = stand.known.rank_reps(stand.free_lead()).best_ids[0]
    return stand.decider.leads(rep_id, 5, actor=LOCAL, reasons=True).answer | {"lines": "items"}


def dry_run_of(stand: Stand) -> dict[str, Any]:
    week = "{}-W{:02d}".format(*stand.now.isocalendar())
    return plan(stand.decider, week, actor=LOCAL).answer | {"lines": "assignments"}


@pytest.mark.parametrize("asked", [sheet_of, dry_run_of])
def test_of_a_call_sheet_and_a_plan_goes_what_is_said_of_the_erased_contact_s_leads_alone(
    stand: Stand, doors: Doors, asked: Callable[[Stand], dict[str, Any]]
) -> None:
    before = asked(stand)
    whole = explained(detail_of(stand.ledger, before["decision_id"]))
    contact_id = contact_of(stand.ledger, before[before["lines"]][0]["lead_id"])
    gone = leads_of(stand.ledger, contact_id)
    doors.forget(contact_id, LOCAL)
    after = asked(stand)
    detail = detail_of(stand.ledger, after["decision_id"])
    assert whole & gone
    assert explained(detail) == whole - gone
    assert detail is not None
    assert gone & set(detail["candidates"])  # ids and scores are nobody's


def test_a_plan_that_was_ranked_before_an_erasure_is_committed_without_what_it_took_out(
    stocked: Ledger, crm: Crm, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    week = "{}-W{:02d}".format(*now.isocalendar())
    with closing(Live(stocked, crm.config, tmp_path, clock=lambda: micros(now))) as live:
        decider = Decider(stocked, crm.config, lambda: live.recommender, lambda: now, uptodate=UpToDate(live))
        lead_id = plan(decider, week, actor=LOCAL).answer["assignments"][0]["lead_id"]
        gone = leads_of(stocked, contact_of(stocked, lead_id))
        Doors(stocked, crm.config, tmp_path, lambda: None).forget(contact_of(stocked, lead_id), LOCAL)
        answer = plan(decider, week, actor=LOCAL, once=Once.of(LOCAL.name, "test", "key", {})).answer
    said = explained(detail_of(stocked, answer["decision_id"]))
    assert said
    assert not said & gone


def advice_on(stand: Stand, lead_id: str) -> Decision:
    """As the decider makes it."""
    ranking = stand.known.rank_reps(lead_id)
    answer = {"lead_id": lead_id, "policy": "champion"} | stand.known.answer(ranking, 2, reasons=True)
    return decision(
        ranking, answer, route="test", actor="test", at=stand.now, seq=1, config="", propensity=ranking.best * 1.0,
        facts=stand.known.facts(ranking, 2),
    )  # fmt: skip


def test_an_erasure_that_ends_just_before_advice_is_written_is_noticed(stand: Stand, doors: Doors) -> None:
    if stand.ledger.journal is not None:
        pytest.skip("on SQLite one writes at a time")
    lead_id = stand.free_lead()

    class Overtaken(Decision):
        """An erasure begins and ends before it is written."""

        def write(self, connection: Connection) -> None:
            doors.forget(contact_of(stand.ledger, lead_id), LOCAL)
            super().write(connection)

    plain = advice_on(stand, lead_id)
    with stand.ledger.writing() as connection:
        late.write(connection, Overtaken(plain.row, plain.detail))
    assert detail_of(stand.ledger, plain.decision_id) is None


def test_an_erasure_waits_for_advice_that_is_being_written_and_finds_it(stand: Stand, doors: Doors) -> None:
    """On PostgreSQL neither waits for the other's changes, and each sees what was committed alone."""
    lead_id = stand.free_lead()
    made = advice_on(stand, lead_id)
    erasing = Thread(target=doors.forget, args=(contact_of(stand.ledger, lead_id), LOCAL))
    with stand.ledger.writing() as connection:
        late.write(connection, made)
        erasing.start()
        erasing.join(0.5)
        assert erasing.is_alive()
    erasing.join()
    assert detail_of(stand.ledger, made.decision_id) is None


def test_an_erasure_waits_for_what_a_challenger_says_and_empties_it(stand: Stand, doors: Doors) -> None:
    if stand.ledger.journal is not None:
        pytest.skip("on SQLite one writes at a time")
    lead_id = stand.free_lead()
    decision_id = stand.decider.reps(lead_id, None, 2, actor=LOCAL).answer["decision_id"]
    row = {
        "decision_id": decision_id, "at": stand.now, "model_version": "9", "content_hash": "9" * 64, "rep_id": "R",
        "agrees": False, "error": None, "p_accept": 0.5, "p_accept_serving": None, "scores": "{}",
    }  # fmt: skip
    watching = Thread(target=shadows.write, args=(stand.ledger, [row]))
    erasing = Thread(target=doors.forget, args=(contact_of(stand.ledger, lead_id), LOCAL))
    with stand.ledger.writing() as connection:
        connection.exec_driver_sql("LOCK TABLE shadows IN SHARE MODE")  # it has looked, and has not written yet
        for one in (watching, erasing):
            one.start()
            one.join(0.3)
            assert one.is_alive()
    watching.join()
    erasing.join()
    with stand.ledger.reading() as connection:
        (kept,) = connection.execute(select(SHADOWS)).all()
    assert (kept.rep_id, kept.p_accept, kept.scores) == ("R", None, None)
