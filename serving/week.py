"""A rep's week: what he got and why, what he was refused by which rule, and his load and share beside the others'."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, or_, select

from features.attendance import Worked, places
from features.clock import HOUR
from features.config import Config
from features.eligibility import presells
from features.errors import UnknownId
from serving.explain import Load, replayed
from serving.instants import iso, micros, monday_of
from serving.ledger import Ledger
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.details import unpack
from serving.ledger.offers import HOLDING
from serving.ledger.tables import DECISION_DETAILS, DECISIONS
from serving.ledger.weeks import attended, week_of

Answer = dict[str, Any]
_REPS = CRM["reps"]
_OFFERED = exists().where(OFFERS.c.decision_id == DECISIONS.c.decision_id)


def rep_week(
    ledger: Ledger, rep_id: str, week: str | None, config: Config, now: datetime, load: Load
) -> Answer:  # fmt: skip
    """What a rep got in an ISO week of his time zone, and why. week: as 2026-W10; None: the current one.

    capacity         of a whole week; places: of this one, by the part of it that he is there; used: how many are taken
    share            of all offers made that week
    hours            working hours of the week in which he is there; of_hours: all that it has
    per_hour         offers to him by the hour that he is there; of_all_per_hour: to all who take leads, by their hours
    no_capacity_at   when the rep said that he has no capacity left, which fills the rest of the week; None: he did not
    refused          by rule, in how many decisions on a lead he was refused; asked: how many decisions there were, each
                     lead of a committed plan being one
    offers           each with its rank and worth in its decision, and the strongest reason for it: as it was answered,
                     else made anew by the model of then, which `load` brings; None: it cannot be asked, or was erased;
                     rank: of a plan's, that of the rep among those who could have the lead
    Raises           UnknownId, InputError
    """
    with ledger.reading() as connection:
        rep = connection.execute(select(_REPS).where(_REPS.c.rep_id == rep_id)).mappings().first()
        if rep is None:
            raise UnknownId("rep", rep_id)
        start, end = _span(week, rep["timezone"] or config.timezone or "UTC", now)
        within = (OFFERS.c.offered_at >= start, OFFERS.c.offered_at < end)
        given = connection.execute(
            select(OFFERS).where(OFFERS.c.rep_id == rep_id, *within).order_by(OFFERS.c.offered_at, OFFERS.c.offer_id)
        ).mappings()
        offers = [dict(row) for row in given]
        used = connection.execute(
            select(func.count()).select_from(OFFERS).where(OFFERS.c.rep_id == rep_id, HOLDING, *within)
        ).scalar_one()
        everyone = connection.execute(select(func.count()).select_from(OFFERS).where(*within)).scalar_one()
        mine, theirs = _hours(connection, rep_id, start, now, config)
        spent = connection.execute(
            select(func.min(OFFERS.c.answered_at)).where(
                OFFERS.c.rep_id == rep_id, OFFERS.c.answer == "rejected", OFFERS.c.reject_reason == "no_capacity",
                OFFERS.c.answered_at >= start, OFFERS.c.answered_at < end,
            )
        ).scalar()  # fmt: skip
        details = _details(connection, [row["decision_id"] for row in offers if row["decision_id"]])
        asked, refused = _refusals(connection, rep_id, start, end)
    # Outside of it: models take long to load, and on SQLite's rollback journal nobody commits while somebody reads.
    load = functools.cache(load)
    return {
        "rep_id": rep_id, "from": iso(micros(start)), "to": iso(micros(end)), "capacity": rep["weekly_capacity"],
        "places": None if rep["weekly_capacity"] is None else int(places(rep["weekly_capacity"], mine.share)),
        "used": int(used), "no_capacity_at": iso(micros(spent)) if spent else None,
        "share": len(offers) / everyone if everyone else None,
        "hours": mine.there / HOUR, "of_hours": mine.whole / HOUR,
        "per_hour": len(offers) * HOUR / mine.there if mine.there else None,
        "of_all_per_hour": everyone * HOUR / theirs if theirs else None,
        "answers": dict(Counter(row["answer"] or "open" for row in offers)), "asked": asked, "refused": refused,
        "offers": [_line(row, rep_id, details.get(row["decision_id"]), load) for row in offers],
    }  # fmt: skip


def _hours(
    connection: Connection, rep_id: str, start: datetime, now: datetime, config: Config
) -> tuple[Worked, int]:  # fmt: skip
    """Working time of the rep's week; and how much all who take leads are there in theirs, microseconds."""
    reps = [rep for rep in connection.execute(select(_REPS)) if rep.rep_id == rep_id or _takes(rep)]
    there = attended(connection, reps, start + timedelta(days=3), now, config.timezone or "UTC", config.hours)
    return there[rep_id], sum(there[rep.rep_id].there for rep in reps if _takes(rep))


def _takes(rep: Row[Any]) -> bool:
    """Whether a rep gets leads at all."""
    return not presells(rep.role) and (rep.weekly_capacity is None or rep.weekly_capacity > 0)


def _span(week: str | None, zone: str, now: datetime) -> tuple[datetime, datetime]:
    if week is None:
        return week_of(now, zone)
    midweek = monday_of(week, "--week") + timedelta(days=3)
    return week_of(datetime.combine(midweek, time(12), UTC), zone)


def _details(connection: Connection, decision_ids: list[str]) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Row and particulars of each decision that has any left."""
    rows = connection.execute(
        select(DECISIONS, DECISION_DETAILS.c.body)
        .join(DECISION_DETAILS, DECISION_DETAILS.c.decision_id == DECISIONS.c.decision_id)
        .where(DECISIONS.c.decision_id.in_(decision_ids))
    ).mappings()
    return {row["decision_id"]: (dict(row), unpack(row["body"])) for row in rows}


def _refusals(connection: Connection, rep_id: str, start: datetime, end: datetime) -> tuple[int, dict[str, int]]:
    """How many decisions on a lead there were, and by which rules the rep was refused in how many of them."""
    asked = (
        select(DECISION_DETAILS.c.body)
        .join(DECISIONS, DECISIONS.c.decision_id == DECISION_DETAILS.c.decision_id)
        .where(DECISIONS.c.at >= start, DECISIONS.c.at < end)
        .where(or_(DECISIONS.c.lead_id.is_not(None), and_(DECISIONS.c.route == "plan", _OFFERED)))
    )
    count, refused = 0, Counter[str]()
    for body in connection.execute(asked).scalars():
        told = unpack(body)
        count += told.get("asked", 1)
        refused.update(told.get("by_rep", {}).get(rep_id, {}))
        refused.update(rule for rule, reps in told["refused"].items() if rep_id in reps)
    return count, dict(sorted(refused.items()))


def _line(
    row: Mapping[str, Any], rep_id: str, told: tuple[Mapping[str, Any], Mapping[str, Any]] | None, load: Load
) -> Answer:  # fmt: skip
    """One offer: when, how it was answered, where it stood in its decision, and the strongest reason."""
    line = {name: row[name] for name in ("offer_id", "lead_id", "decision_id", "policy", "propensity", "attempt")} | {
        "offered_at": iso(micros(row["offered_at"])), "answer": row["answer"] or "open",
        "reject_reason": row["reject_reason"], "rank": None, "expected_value": None, "reason": None,
    }  # fmt: skip
    if told is None:
        return line
    decision, detail = told
    other = rep_id if detail["ranked"] == "rep_id" else row["lead_id"]
    if other in detail["candidates"]:
        place = detail["candidates"].index(other)
        rank = detail["rank"][place] if "rank" in detail else place + 1
        line |= {"rank": rank, "expected_value": detail["expected_value"][place]}
    shown = [item for item in detail["items"] if item.get(detail["ranked"]) == other]
    reasons = (shown[0].get("reasons") if shown else None) or replayed(decision, detail, load, other)[1].get(other, [])
    return line | {"reason": reasons[0]["text"] if reasons else None}
