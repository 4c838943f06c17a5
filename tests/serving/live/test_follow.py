"""A process that follows the ledger: it meets what others write, outlives the database, and swaps models."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.engine import Engine
from features.errors import UnknownId
from serving.card import card_of
from serving.instants import micros
from serving.ledger import Ledger, LedgerError
from serving.ledger.change import changing
from serving.ledger.releases import Releases
from serving.live import Live, ledger_book
from serving.recommend import Recommender
from tests.serving.conftest import Crm
from tests.serving.live.standing import fill, release, row, write

HOUR = timedelta(hours=1)


def until(true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for something that happens in another thread."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


class Time:
    """A clock that the tests turn: an hour after the CRM was loaded at first."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0) + HOUR

    def __call__(self) -> int:
        return micros(self.now)


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def live(stocked: Ledger, crm: Crm, tmp_path: Path, clock: Time) -> Iterator[Live]:
    """On a ledger of either kind; nothing is released, so the rules answer."""
    made = Live(stocked, crm.config, tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture
def modelled(crm: Crm, tmp_path: Path, clock: Time) -> Iterator[Live]:
    """With a champion. How a release is stored is the same on both kinds of database."""
    ledger = Ledger.open(None, tmp_path)
    fill(ledger, crm)
    release(ledger, crm, tmp_path)
    made = Live(ledger, crm.config, tmp_path, clock=clock)
    yield made
    made.close()
    ledger.close()


def at_of(clock: Time) -> datetime:
    return clock.now - timedelta(minutes=1)


def placed(recommender: Recommender) -> tuple[str, str]:
    """An open lead, and the best rep for it."""
    for code in recommender.open_leads:
        lead = str(recommender.book.lead_ids[code])
        items = recommender.reps_for_lead(lead)["items"]
        if items:
            return lead, items[0]["rep_id"]
    raise AssertionError("no open lead can be placed")


def account_of(recommender: Recommender, lead: str) -> str:
    """The lead's account."""
    book = recommender.book
    code = book.account_of(np.array([book.lead_index.code(lead)]), np.array([recommender.now]))
    return str(book.account_ids[code[0]])


def like(recommender: Recommender, lead: str) -> dict[str, Any]:
    """A lead of the same contact and solution."""
    book = recommender.book
    code = book.lead_index.code(lead)
    contact = str(book.contact_ids[book.leads.contact[code]])
    return {"contact_id": contact, "solution": book.solutions.values[book.leads.solution[code]], "status": "open"}


def assert_as_from_scratch(live: Live) -> None:
    """What is followed answers as what is read anew, to the last bit."""
    ours, theirs = live.recommender.book, ledger_book(live.ledger, live.config)
    now = live.recommender.now
    leads = ours.open_leads(now)[-20:]
    np.testing.assert_array_equal(ours.open_leads(now), theirs.open_leads(now))
    lead, rep = np.repeat(leads, len(ours.rep_ids)), np.tile(np.arange(len(ours.rep_ids)), len(leads))
    t = np.full(len(lead), now)
    one, two = (Engine(book, live.config) for book in (ours, theirs))
    np.testing.assert_array_equal(one.eligibility_of(lead, rep, t), two.eligibility_of(lead, rep, t))
    np.testing.assert_array_equal(
        one.matrix_of(lead, rep, t).values.view(np.uint32), two.matrix_of(lead, rep, t).values.view(np.uint32)
    )


# -- rows -----------------------------------------------------------------------------------------------------------


def test_the_ledger_is_answered_from_as_of_now(modelled: Live, clock: Time) -> None:
    lead, _ = placed(modelled.recommender)
    clock.now += HOUR
    answer = modelled.recommender.reps_for_lead(lead)
    assert (answer["rung"], answer["model_version"], answer["degraded"]) == ("champion", "2", False)
    assert answer["as_of"] == clock.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    clock.now += HOUR
    assert modelled.recommender.reps_for_lead(lead)["as_of"] > answer["as_of"]
    assert modelled.recommender.seq == modelled.seq


def test_what_another_process_writes_is_met(live: Live, clock: Time) -> None:
    """A meeting, a preference, an offer, a lead of new people: each counts without a restart, as if read anew."""
    live.start()
    lead, rep = placed(live.recommender)
    account_id, at = account_of(live.recommender, lead), at_of(clock)

    def met(table: str, **told: Any) -> None:
        seq = write(live.ledger.url, table, told)
        until(lambda: live.seq >= seq)
        assert_as_from_scratch(live)

    def value(feature: str) -> float:
        book = live.recommender.book
        return float(Engine(book, live.config).matrix([lead], [rep], clock()).column(feature)[0])

    met("meetings", meeting_id="new", rep_id=rep, account_id=account_id, starts_at=at + 24 * HOUR, created_at=at)
    assert value("meeting_14d") == 1.0
    wish = {"preference_id": "new", "rep_id": rep, "subject": "account", "subject_id": account_id, "since": at}
    met("preferences", **wish, rule="exclude")
    assert rep not in [item["rep_id"] for item in live.recommender.reps_for_lead(lead, 100)["items"]]
    met("preferences", **wish, rule="include")
    assert rep in [item["rep_id"] for item in live.recommender.reps_for_lead(lead, 100)["items"]]
    met("offers", offer_id="new", lead_id=lead, rep_id=rep, offered_at=at)
    assert live.recommender.reps_for_lead(lead)["refused"].get("lead_taken")
    met("accounts", account_id="new", name="New", created_at=at)
    met("contacts", contact_id="new", account_id="new", title="CFO", created_at=at)
    met("leads", lead_id="new", contact_id="new", solution="payments", created_at=at)
    assert live.recommender.reps_for_lead("new")["lead_id"] == "new"


def test_a_caller_meets_its_own_write_at_once(live: Live, stocked: Ledger, clock: Time) -> None:
    lead, _ = placed(live.recommender)
    with pytest.raises(UnknownId):
        live.recommender.reps_for_lead("mine")
    with changing(stocked) as change:
        change.upsert("leads", [row("leads", lead_id="mine", created_at=at_of(clock), **like(live.recommender, lead))])
    assert live.catch_up().reps_for_lead("mine")["items"]
    assert live.recommender.seq == change.seq
    assert_as_from_scratch(live)


def test_an_offer_counts_though_this_machine_s_clock_is_behind(live: Live, stocked: Ledger, clock: Time) -> None:
    """Whoever wrote it had another clock; the order of the stocked decides, not the time of day."""
    lead, rep = placed(live.recommender)
    ahead = clock.now + HOUR
    with changing(stocked, at=ahead) as change:
        change.upsert("offers", [row("offers", offer_id="new", lead_id=lead, rep_id=rep, offered_at=ahead)])
    live.catch_up()
    assert live.recommender.reps_for_lead(lead)["refused"].get("lead_taken")


def test_open_leads_follow_the_clock(live: Live, stocked: Ledger, clock: Time) -> None:
    lead, _ = placed(live.recommender)
    with changing(stocked, at=at_of(clock)) as change:
        told = like(live.recommender, lead)
        change.upsert("leads", [row("leads", lead_id="later", created_at=clock.now + HOUR, **told)])
    live.catch_up()
    code = live.recommender.book.lead_index.code("later")
    assert code not in live.recommender.open_leads
    clock.now += 2 * HOUR
    assert code in live.recommender.open_leads


def test_a_change_without_rows_makes_nothing_anew(live: Live, stocked: Ledger) -> None:
    before = live.recommender
    with changing(stocked) as change:
        pass
    live.catch_up()
    assert (live.recommender.book, live.recommender.seq) == (before.book, change.seq)


def test_a_table_that_is_wholly_another_one_is_read_anew(live: Live, stocked: Ledger, crm: Crm) -> None:
    from serving.ledger.load import load

    some = {n: f.iloc[: len(f) // 2] if n == "touches" else f for n, f in crm.snapshot.tables.items()}
    load(stocked, type(crm.snapshot)(**{**vars(crm.snapshot), "tables": some}), replace=True)
    live.catch_up()
    assert len(live.recommender.book.tables["touches"]) == len(some["touches"])
    assert_as_from_scratch(live)


def test_an_answer_keeps_the_state_that_it_began_with(live: Live, stocked: Ledger, clock: Time) -> None:
    lead, rep = placed(live.recommender)
    began = live.recommender
    before = began.reps_for_lead(lead)
    with changing(stocked, at=at_of(clock)) as change:
        change.upsert("offers", [row("offers", offer_id="new", lead_id=lead, rep_id=rep, offered_at=at_of(clock))])
    live.catch_up()
    assert began.reps_for_lead(lead) == before
    assert live.recommender.reps_for_lead(lead) != before


def test_what_was_replaced_is_freed_with_its_last_answer(live: Live, stocked: Ledger, clock: Time) -> None:
    """By counting alone: a collector that comes by now and then would leave several books in memory."""
    lead, rep = placed(live.recommender)
    gc.collect()
    gc.disable()
    try:
        prior = weakref.ref(live.recommender.book)
        with changing(stocked, at=at_of(clock)) as change:
            change.upsert("offers", [row("offers", offer_id="new", lead_id=lead, rep_id=rep, offered_at=at_of(clock))])
        live.catch_up()
        live.recommender.warm()
        assert prior() is None
    finally:
        gc.enable()


# -- the database is gone, and comes back -----------------------------------------------------------------------------


def break_off(ledger: Ledger) -> None:
    """Take the CRM's tables and the clock away from under the follower, as a database that is not there does."""
    with ledger.writing() as connection:
        for table in ("ledger_clock", "releases"):
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO gone_{table}")


def mend(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for table in ("ledger_clock", "releases"):
            connection.exec_driver_sql(f"ALTER TABLE gone_{table} RENAME TO {table}")


@pytest.mark.owner
def test_a_database_that_is_gone_leaves_the_answers_and_says_how_stale(live: Live, clock: Time) -> None:
    live.start()
    lead, rep = placed(live.recommender)
    before = live.recommender.reps_for_lead(lead)
    admin = Ledger(live.ledger.url)
    break_off(admin)
    until(lambda: live.stale_seconds > 1.5)
    assert live.recommender.reps_for_lead(lead) == before
    with pytest.raises(LedgerError):
        live.catch_up()
    mend(admin)
    admin.close()
    seq = write(
        live.ledger.url, "offers", {"offer_id": "new", "lead_id": lead, "rep_id": rep, "offered_at": at_of(clock)}
    )
    until(lambda: live.seq == seq and live.stale_seconds < 1.5)
    assert live.recommender.reps_for_lead(lead)["refused"].get("lead_taken")


# -- models ---------------------------------------------------------------------------------------------------------


def answers(live: Live, version: str) -> Callable[[], bool]:
    return lambda: live.recommender.standing.version == version


def test_a_released_model_is_swapped_in_and_the_prior_one_is_freed(modelled: Live, crm: Crm) -> None:
    modelled.start()
    releases = Releases(modelled.ledger)
    lead, _ = placed(modelled.recommender)
    prior = weakref.ref(modelled.recommender.standing.product)
    releases.promote(crm.released(0), seen=2, reason="the other one")
    until(answers(modelled, "1"))
    answer = modelled.recommender.reps_for_lead(lead)
    assert (answer["model_version"], answer["rung"], answer["degraded"]) == ("1", "champion", False)
    gc.collect()
    assert prior() is None
    releases.rollback(seen=3, reason="back")
    until(answers(modelled, "2"))
    assert card_of(modelled.recommender)["revision"] == 4


def test_a_rollback_to_the_rules_serves_the_rules(modelled: Live) -> None:
    modelled.start()
    releases = Releases(modelled.ledger)
    releases.rollback(seen=2, reason="one back")
    releases.rollback(seen=3, reason="reps complained")
    until(lambda: modelled.recommender.standing.product is None)
    answer = modelled.recommender.reps_for_lead(placed(modelled.recommender)[0])
    assert answer["rung"] == "owner_territory"
    assert answer["degraded_reason"] == "rolled back to the rules: reps complained"


def test_a_damaged_model_is_refused_and_the_one_that_serves_goes_on(modelled: Live, crm: Crm, tmp_path: Path) -> None:
    place = tmp_path / "models" / crm.products[0].content_hash / "product.json"
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    lead, _ = placed(modelled.recommender)
    scores = [item["score"] for item in modelled.recommender.reps_for_lead(lead)["items"]]
    modelled.start()
    Releases(modelled.ledger).promote(crm.released(0), seen=2, reason="damaged")
    until(lambda: modelled.recommender.standing.reason)
    answer = modelled.recommender.reps_for_lead(lead)
    assert (answer["model_version"], answer["rung"], answer["degraded"]) == ("2", "last_good", True)
    assert "model 1 cannot serve" in answer["degraded_reason"]
    assert [item["score"] for item in answer["items"]] == scores
    Releases(modelled.ledger).promote(crm.released(1), seen=3, reason="the good one again")
    until(lambda: not modelled.recommender.standing.reason)
    assert card_of(modelled.recommender)["revision"] == 4


def test_a_refused_model_is_tried_again_once_its_files_are_put_right(
    modelled: Live, crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.live.follow.MODEL_RETRY", 0.5)
    place = tmp_path / "models" / crm.products[0].content_hash
    place.rename(tmp_path / "away")
    modelled.start()
    Releases(modelled.ledger).promote(crm.released(0), seen=2, reason="its files are not here yet")
    until(lambda: modelled.recommender.standing.reason)
    (tmp_path / "away").rename(place)
    until(answers(modelled, "1"))
    assert modelled.recommender.standing.reason is None


def test_a_swap_leaves_what_was_followed_meanwhile(modelled: Live, crm: Crm, clock: Time) -> None:
    lead, rep = placed(modelled.recommender)
    modelled.start()
    Releases(modelled.ledger).promote(crm.released(0), seen=2, reason="while rows come in")
    seq = write(
        modelled.ledger.url, "offers", {"offer_id": "new", "lead_id": lead, "rep_id": rep, "offered_at": at_of(clock)}
    )
    until(lambda: modelled.seq == seq and answers(modelled, "1")())
    assert modelled.recommender.reps_for_lead(lead)["refused"].get("lead_taken")
