"""Leads that nobody can take for now: why, until when, and what each waits for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from serving.actor import SLA
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.holds import decided_here
from serving.ledger.tables import EVENTS, HOLDS, UNPLACED

#: What a lead waits for: a rep who may take it (asked each minute), the data put right, a person, the next plan.
REPS, DATA, PERSON, PLAN = "reps", "data", "person", "plan"
#: Rules that say that the lead needs no other rep, not that there is none.
SETTLED: Final = frozenset(("lead_taken", "lead_closed"))
#: Why a lead is unplaced that somebody took back: a person meant it, so a person or a system asks again.
TAKEN_BACK: Final = {"withdrawn": 1}
#: Why an open lead is unplaced that nobody asked to place since it became free: only the next plan takes it up.
NOT_ASKED: Final = {"not_asked": 1}

_LEADS = CRM["leads"]


@dataclass(frozen=True)
class Unplaced:
    """A lead without a rep.

    because    rule, or reason of a rejection -> how many reps it refused, or gave it
    until      when the first of these refusals ends by itself; None: none does
    waits_for  REPS, DATA, PERSON or PLAN
    """

    lead_id: str
    because: Mapping[str, int]
    until: datetime | None = None
    waits_for: str = REPS


def closed(at: datetime) -> ColumnElement[bool]:
    """Whether a lead is closed at an instant."""
    by_status = and_(_LEADS.c.closed_at.is_(None), func.coalesce(_LEADS.c.status, "open") == "closed")
    return or_(and_(_LEADS.c.closed_at.is_not(None), _LEADS.c.closed_at <= at), by_status)


def free(at: datetime) -> ColumnElement[bool]:
    """Whether a lead is open, and neither held nor kept as unplaced.

    It is offered on within a minute where its last offer is one that `sends_on`; else nobody asked to place it.
    """
    return and_(
        ~closed(at), ~exists().where(HOLDS.c.lead_id == _LEADS.c.lead_id),
        ~exists().where(UNPLACED.c.lead_id == _LEADS.c.lead_id),
    )  # fmt: skip


def sends_on() -> ColumnElement[bool]:
    """Whether an offer is the last of its lead, and was rejected or ran out here; what came with the data is history.

    That is an answer of the data's own, and the end of an offer that was not decided here and that nobody answered:
    it frees the lead, which then waits for a plan or a question, so that a ledger that was just filled offers nothing.
    """
    later = OFFERS.alias("later")
    after = or_(
        later.c.offered_at > OFFERS.c.offered_at,
        and_(later.c.offered_at == OFFERS.c.offered_at, later.c.offer_id > OFFERS.c.offer_id),
    )
    reported = and_(EVENTS.c.offer_id == OFFERS.c.offer_id, EVENTS.c.kind == OFFERS.c.answer, ~EVENTS.c.parked)
    return and_(
        OFFERS.c.answer.in_(("rejected", "expired")),
        exists().where(reported, EVENTS.c.actor != "data", or_(EVENTS.c.actor != SLA.name, decided_here())),
        ~exists().where(later.c.lead_id == OFFERS.c.lead_id, after),
    )


def put(change: Change, those: Iterable[Unplaced]) -> list[str]:
    """List leads as unplaced, or say anew why they are; those that someone holds are left out. Returns the new ones."""
    connection, dialect = change.connection, postgresql if change.connection.dialect.name == "postgresql" else sqlite
    fresh = []
    for one in those:
        if connection.execute(select(HOLDS.c.lead_id).where(HOLDS.c.lead_id == one.lead_id)).first():
            continue
        had = select(UNPLACED.c.lead_id).where(UNPLACED.c.lead_id == one.lead_id)
        if connection.execute(had).first() is None:
            fresh.append(one.lead_id)
        offers = select(func.count()).select_from(OFFERS).where(OFFERS.c.lead_id == one.lead_id)
        told = {
            "attempts": int(connection.execute(offers).scalar_one()), "because": json.dumps(dict(one.because)),
            "until": one.until, "waits_for": one.waits_for,
        }  # fmt: skip
        row = dialect.insert(UNPLACED).values(lead_id=one.lead_id, since=change.at, **told)
        connection.execute(row.on_conflict_do_update(index_elements=["lead_id"], set_=told))
    return fresh


def taken_back(change: Change, lead_id: str, answer: str | None, before: str | None) -> None:
    """List a lead whose offer is withdrawn now, and no more one whose offer turns out to have ended before that."""
    if answer == "withdrawn" != before:
        put(change, [Unplaced(lead_id, TAKEN_BACK, waits_for=PERSON)])
    elif before == "withdrawn" != answer:
        so = UNPLACED.c.lead_id == lead_id, UNPLACED.c.because == json.dumps(TAKEN_BACK)
        change.connection.execute(delete(UNPLACED).where(*so))


def drop(change: Change, leads: Collection[str]) -> None:
    """These leads are unplaced no more."""
    change.connection.execute(delete(UNPLACED).where(UNPLACED.c.lead_id.in_(leads)))


def listed(
    connection: Connection, at: datetime, *, waits_for: str | None = None, lead_id: str | None = None
) -> list[Unplaced]:  # fmt: skip
    """Open leads that are unplaced, the oldest first; those that wait for one thing, or one lead."""
    wanted = _open(at)
    wanted = wanted if waits_for is None else wanted.where(UNPLACED.c.waits_for == waits_for)
    wanted = wanted if lead_id is None else wanted.where(UNPLACED.c.lead_id == lead_id)
    rows = connection.execute(wanted).mappings()
    return [Unplaced(r["lead_id"], json.loads(r["because"]), r["until"], r["waits_for"]) for r in rows]


def lines(connection: Connection, at: datetime, limit: int | None) -> tuple[int, list[dict[str, Any]]]:
    """How many open leads are unplaced, and the oldest of them as rows with `attempts` and `since`.

    Those that nobody asked to place come last, for there may be many of them.
    """
    rows = [
        dict(r) | {"because": json.loads(r["because"])} for r in connection.execute(_open(at).limit(limit)).mappings()
    ]
    if limit is None or len(rows) < limit:
        more = None if limit is None else limit - len(rows)
        told = {"because": NOT_ASKED, "until": None, "waits_for": PLAN}
        first = _not_asked(at).limit(more).subquery()  # only their offers are counted, not those of the others
        offers = select(func.count()).select_from(OFFERS).where(OFFERS.c.lead_id == first.c.lead_id).scalar_subquery()
        wanted = select(first, offers.label("attempts")).order_by(first.c.since, first.c.lead_id)
        rows += [dict(r) | told for r in connection.execute(wanted).mappings()]
    return sum(waiting(connection, at).values()), rows


def waiting(connection: Connection, at: datetime) -> dict[str, int]:
    """How many open leads are unplaced, by what they wait for, each of the four told."""
    rows = _open(at).order_by(None).subquery()
    found = connection.execute(select(rows.c.waits_for, func.count()).group_by(rows.c.waits_for)).all()
    counts = dict.fromkeys((REPS, DATA, PERSON, PLAN), 0) | {what: int(count) for what, count in found}
    untold = select(func.count()).select_from(_not_asked(at).order_by(None).subquery())
    return counts | {PLAN: counts[PLAN] + int(connection.execute(untold).scalar_one())}


def not_asked(connection: Connection, at: datetime, lead_id: str) -> bool:
    """Whether it is an open lead that nobody asked to place since it became free."""
    return connection.execute(_not_asked(at).where(_LEADS.c.lead_id == lead_id)).first() is not None


def _open(at: datetime) -> Select[Any]:
    return (
        select(UNPLACED)
        .join(_LEADS, _LEADS.c.lead_id == UNPLACED.c.lead_id)
        .where(~closed(at), ~exists().where(HOLDS.c.lead_id == UNPLACED.c.lead_id))
        .order_by(UNPLACED.c.since, UNPLACED.c.lead_id)
    )


def _not_asked(at: datetime) -> Select[Any]:
    """Free leads that are not offered on: no offer yet, or the last one came from elsewhere and ended."""
    sent_on = exists().where(OFFERS.c.lead_id == _LEADS.c.lead_id, sends_on())
    return (
        select(_LEADS.c.lead_id, _LEADS.c.created_at.label("since"))
        .where(free(at), _LEADS.c.created_at <= at, ~sent_on)
        .order_by(_LEADS.c.created_at, _LEADS.c.lead_id)
    )
