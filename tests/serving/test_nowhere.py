"""Whatever became of a lead before: an open lead is held, offered on next minute, or unplaced, and one of these."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from typing import Any

import pytest

from features.clock import Hours
from serving.actor import LOCAL
from serving.due import unplaced
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.erase import erase
from serving.ledger.events import record
from serving.ledger.ingest import ingest
from serving.ledger.offers import Desk
from serving.ledger.unplaced import waiting as gauged
from serving.onward import waiting
from serving.whereabouts import whereabouts
from tests.serving.ledger.small import CONFIG, DECIDED, furnish, holds, hours, rows, table
from tests.serving.routed import REPS, run

#: What may befall a lead: an offer decided here, or one of another system's, with what is told of it; or its end.
HERE = ("open", "accepted", "rejected", "bad_data", "known_dead", "expired", "withdrawn", "reassigned")
ELSEWHERE = ("open", "accepted", "rejected", "expired", "withdrawn", "open, then told rejected")
OURS, THEIRS = [f"here {one}" for one in HERE], [f"elsewhere {one}" for one in ELSEWHERE]
STEPS = [*OURS, *THEIRS, "closed", "erased"]
#: None, each alone, one of ours and one of theirs in either order, and some longer ones.
_LONGER = [random.Random(n).choices(STEPS, k=2 + n % 3) for n in range(50)]
_EACH = [(), *((step,) for step in STEPS), *product(OURS, THEIRS), *product(THEIRS, OURS), *_LONGER]
HISTORIES = {f"H{n}": tuple(steps) for n, steps in enumerate(_EACH)}
#: Between two steps: longer than any SLA.
PAUSE = 200.0


def born(ledger: Ledger) -> None:
    """A lead of its own contact for each history."""
    furnish(ledger, leads=1)
    with changing(ledger, hours(0)) as change:
        people = [{"contact_id": f"C-{name}", "account_id": "A1", "created_at": hours(-9)} for name in HISTORIES]
        leads = [
            {"lead_id": name, "contact_id": f"C-{name}", "solution": "payments", "created_at": hours(-1)}
            for name in HISTORIES
        ]
        change.upsert("contacts", rows("contacts", *people))
        change.upsert("leads", rows("leads", *leads))


def walk(ledger: Ledger, n: int, at: datetime, later: datetime) -> None:
    """Let the n-th step of each history happen, where it can, and what became of it be told later.

    It cannot where the lead is closed or held, for there nobody else is offered it.
    """
    steps = {name: steps[n] for name, steps in HISTORIES.items() if n < len(steps)}
    held = holds(ledger)
    brought: dict[str, list[dict[str, Any]]] = {"offers": [], "leads": []}
    told: list[dict[str, Any]] = []
    with changing(ledger, at) as change:
        desk = Desk(change, "UTC", Hours())
        for name, step in steps.items():
            where, _, what = step.partition(" ")
            tell = {"event_id": f"{name}-{n}", "at": later}
            if where == "here":
                fit = [rep for rep in REPS if desk.pair(name, rep).rule is None]
                if fit:
                    made = desk.offer(name, fit[0], decision_id=DECIDED, policy="champion", propensity=None)
                    told += _told_of_ours(made, what, fit, tell)
            elif where == "elsewhere" and not (name in held and what[:4] in ("open", "acce")):
                answer = None if what.startswith("open") else what
                one = {"offer_id": f"E-{name}-{n}", "lead_id": name, "rep_id": REPS[n % 3], "offered_at": at}
                brought["offers"].append(one | ({"answer": answer, "answered_at": at} if answer else {}))
                if "told" in what:
                    told.append(tell | {"offer_id": one["offer_id"], "kind": "rejected", "reason": "bad_fit"})
            elif where == "closed":
                brought["leads"].append({"lead_id": name, "status": "closed", "closed_at": at})
        ingest(change, {of: given for of, given in brought.items() if given})
    with changing(ledger, later) as change:
        assert {outcome.result for outcome in record(change, CONFIG, told, LOCAL)} <= {"applied"}
    for name in (name for name, step in steps.items() if step == "erased"):
        with changing(ledger, later) as change:
            if f"C-{name}" in {row["contact_id"] for row in table(ledger, "contacts")}:
                erase(change, CONFIG, f"C-{name}", LOCAL)


def _told_of_ours(offer_id: str, what: str, fit: list[str], tell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = "rejected" if what in ("rejected", "bad_data", "known_dead") else what
    more = {"reason": "bad_fit" if what == "rejected" else what} if kind == "rejected" else {}
    if kind == "reassigned":
        if len(fit) < 2:
            return
        more = {"to_rep_id": fit[1]}
    if kind != "open":
        yield tell | {"offer_id": offer_id, "kind": kind} | more


def lists(ledger: Ledger, at: datetime) -> dict[str, list[str]]:
    """In which of the lists each open lead is; every count is that of its list, and a closed lead is in none."""
    with ledger.reading() as connection:
        total, rows = unplaced(connection, at, None)
        gauge = gauged(connection, at)
        next_minute = [lead.lead_id for lead in waiting(connection, at)]
    assert total == len(rows) == sum(gauge.values())
    leads = table(ledger, "leads")
    found: dict[str, list[str]] = {
        row["lead_id"]: [] for row in leads if row["closed_at"] is None or row["closed_at"] > at
    }
    for lead_id in holds(ledger):
        found[lead_id].append("held")
    for lead_id in next_minute:
        found[lead_id].append("offered on")
    for row in rows:
        found[row["lead_id"]].append(f"unplaced, {row['because']}, {row['waits_for']}")
    return found


def check(ledger: Ledger, at: datetime) -> None:
    """Each open lead is in one list, and /explain says the same of one of each kind."""
    found = lists(ledger, at)
    lost = {name: (HISTORIES.get(name), where) for name, where in found.items() if len(where) != 1}
    assert not lost, f"{len(lost)} of {len(found)} open leads are in no list or in two"
    for where, name in {where: name for name, (where,) in found.items()}.items():
        with ledger.reading() as connection:
            here = whereabouts(connection, CONFIG, name, at)
        assert here is not None
        if where == "held":
            assert here["state"] in ("held", "assigned")
        elif where == "offered on":
            assert (here["state"], here["because"], here["waits_for"]) == ("open", {}, "reps")
        else:
            assert f"{here['state']}, {here['because']}, {here['waits_for']}" == where


@pytest.mark.parametrize("each", [False, True], ids=["the SLA's minute last", "a minute after each step"])
def test_every_open_lead_is_in_exactly_one_list_whatever_became_of_it(ledger: Ledger, each: bool) -> None:
    born(ledger)
    check(ledger, hours(0))
    last = max(map(len, HISTORIES.values())) - 1
    for n in range(last + 1):
        at = 1 + n * PAUSE
        walk(ledger, n, hours(at), hours(at + 1))
        check(ledger, hours(at + 1))
        if each or n == last:
            run(ledger, hours(at + PAUSE / 2))
            check(ledger, hours(at + PAUSE / 2))
            with ledger.reading() as connection:
                assert waiting(connection, hours(at + PAUSE / 2)) == []
