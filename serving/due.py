"""What the SLA makes due: open offers and by when each must be answered; and how fast leads are reached."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, and_, func, or_, select

from features.clock import due as ends
from features.clock import instant
from features.config import Config
from serving.instants import EPOCH, iso, micros
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.tables import UNPLACED

#: How long an offer that ran out stays on the list.
SEEN: Final = timedelta(days=7)
#: Offers whose speed is told.
LATELY: Final = timedelta(days=28)
#: An absence further ahead than this is planned anew before it matters.
AHEAD: Final = timedelta(days=366)
#: The limit of an offer whose rep left.
LEFT: Final = "left"

_LEADS, _REPS, _TIME_OFF, _TOUCHES = (CRM[name] for name in ("leads", "reps", "time_off", "touches"))


@dataclass(frozen=True)
class Due:
    """An offer that waits for its answer, or that ran out lately.

    due_at          by when it must be answered: until then it holds its lead
    limit           what ended first: a time such as 16wh, or that the rep left
    breached        nobody answered by then
    expired         it ran out, and the lead is free
    lead_to_offer   seconds from the lead's creation to the offer
    offer_to_touch  seconds from the offer to the rep's first touch of the contact; None: none yet
    """

    offer_id: str
    lead_id: str
    rep_id: str
    offered_at: datetime
    due_at: datetime
    limit: str
    breached: bool
    expired: bool
    lead_to_offer: float | None
    offer_to_touch: float | None


@dataclass(frozen=True)
class Speed:
    """Speed-to-lead of the offers of the last four weeks: medians in seconds; None where there are none.

    untouched  offers without a touch of the contact by their rep since
    """

    offers: int
    untouched: int
    lead_to_offer: float | None
    offer_to_touch: float | None
    lead_to_touch: float | None


def lines(
    connection: Connection, config: Config, now: datetime, *, breached: bool | None = None, rep_id: str | None = None,
    limit: int = 1_000,
) -> dict[str, Any]:  # fmt: skip
    """What /due and `callsheet sla` answer; the parameters and fields are those of `serving.wire.due`."""
    every = [
        one for one in due(connection, config, now)
        if breached in (None, one.breached) and rep_id in (None, one.rep_id)
    ]  # fmt: skip
    return {
        "as_of": said(now),
        "total": len(every),
        "items": [
            {
                "offer_id": one.offer_id, "lead_id": one.lead_id, "rep_id": one.rep_id,
                "offered_at": said(one.offered_at), "due_at": said(one.due_at), "limit": one.limit,
                "state": "expired" if one.expired else "breached" if one.breached else "open",
                "lead_to_offer": one.lead_to_offer, "offer_to_touch": one.offer_to_touch,
            }
            for one in every[:limit]
        ],
        "unplaced": unplaced(connection, limit),
        "speed": dict(vars(speed(connection, now))),
    }  # fmt: skip


def unplaced(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Leads that nobody can take for now, the oldest first: lead_id, since, attempts, because (rule -> reps)."""
    rows = connection.execute(select(UNPLACED).order_by(UNPLACED.c.since, UNPLACED.c.lead_id).limit(limit))
    return [
        {"lead_id": row.lead_id, "since": said(row.since), "attempts": row.attempts, "because": json.loads(row.because)}
        for row in rows
    ]


def said(at: datetime) -> str:
    """An instant as ISO 8601 in UTC."""
    return iso(micros(at))


def due(connection: Connection, config: Config, now: datetime) -> list[Due]:
    """Open offers, and those that ran out lately, by the instant at which they are due.

    An offer must be answered within `sla.accept`, or the time that `by_role` names instead; and within the time of
    the lead's grade, if `by_grade` names one: whichever ends first. Working hours are those of the rep's zone,
    without the public holidays of the rep's country and without the rep's time off; elapsed time (h, d, w) runs on.
    Nobody waits for a rep who left.
    """
    listed = or_(
        OFFERS.c.answer.is_(None), and_(OFFERS.c.answer == "expired", OFFERS.c.answered_at > now - SEEN)
    )  # fmt: skip
    rows = _offers(connection, listed)
    touched = _touched(connection, listed)
    away = _away(connection, listed, now)
    found = []
    for rep_id, theirs in groupby(rows, key=lambda row: row.rep_id):
        for row, due_at, limit in _ends(list(theirs), config, away.get(rep_id, ())):
            first, expired = touched.get(row.offer_id), row.answer == "expired"
            found.append(
                Due(
                    row.offer_id, row.lead_id, rep_id, row.offered_at, due_at, limit, expired or due_at <= now, expired,
                    _seconds(row.created_at, row.offered_at), _seconds(row.offered_at, first),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.due_at, one.offer_id))


def speed(connection: Connection, now: datetime) -> Speed:
    """How fast the offers of the last four weeks were made and followed by a touch."""
    lately = and_(OFFERS.c.offered_at > now - LATELY, OFFERS.c.offered_at <= now)
    rows, touched = _offers(connection, lately), _touched(connection, lately)
    firsts = [touched.get(row.offer_id) for row in rows]
    return Speed(
        offers=len(rows), untouched=firsts.count(None),
        lead_to_offer=_median(_seconds(row.created_at, row.offered_at) for row in rows),
        offer_to_touch=_median(_seconds(row.offered_at, first) for row, first in zip(rows, firsts, strict=True)),
        lead_to_touch=_median(_seconds(row.created_at, first) for row, first in zip(rows, firsts, strict=True)),
    )  # fmt: skip


def _offers(connection: Connection, which: Any) -> Sequence[Any]:
    """Offers with what their SLA needs of lead and rep, by rep."""
    wanted = (
        select(
            OFFERS.c.offer_id, OFFERS.c.lead_id, OFFERS.c.rep_id, OFFERS.c.offered_at, OFFERS.c.answer,
            _LEADS.c.created_at, _LEADS.c.grade, _REPS.c.role, _REPS.c.timezone, _REPS.c.country,
            _REPS.c.active_until,
        )
        .outerjoin(_LEADS, _LEADS.c.lead_id == OFFERS.c.lead_id)
        .outerjoin(_REPS, _REPS.c.rep_id == OFFERS.c.rep_id)
        .where(which)
        .order_by(OFFERS.c.rep_id, OFFERS.c.offer_id)
    )  # fmt: skip
    return connection.execute(wanted).all()


def _touched(connection: Connection, which: Any) -> dict[str, datetime]:
    """When the rep first touched the lead's contact after the offer, by offer."""
    wanted = (
        select(OFFERS.c.offer_id, func.min(_TOUCHES.c.occurred_at).label("first"))
        .join(_LEADS, _LEADS.c.lead_id == OFFERS.c.lead_id)
        .join(_TOUCHES, and_(_TOUCHES.c.rep_id == OFFERS.c.rep_id, _TOUCHES.c.contact_id == _LEADS.c.contact_id))
        .where(which, _TOUCHES.c.occurred_at >= OFFERS.c.offered_at)
        .group_by(OFFERS.c.offer_id)
    )
    return {row.offer_id: row.first for row in connection.execute(wanted)}


def _away(connection: Connection, which: Any, now: datetime) -> dict[str, list[tuple[int, int]]]:
    """Absences of the reps of these offers that are known now, by rep, microseconds UTC."""
    theirs = select(OFFERS.c.rep_id).where(which)
    known = or_(_TIME_OFF.c.known_at.is_(None), _TIME_OFF.c.known_at <= now)
    made: dict[str, list[tuple[int, int]]] = {}
    for row in connection.execute(select(_TIME_OFF).where(known, _TIME_OFF.c.rep_id.in_(theirs))):
        until = min(row.ends_at, now + AHEAD)
        made.setdefault(row.rep_id, []).append((instant(row.starts_at), instant(until)))
    return made


def _ends(rows: Sequence[Any], config: Config, away: Sequence[tuple[int, int]]) -> Iterable[tuple[Any, datetime, str]]:
    """Each offer of one rep with its due instant and the limit that made it."""
    by_limits: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        by_limits.setdefault(config.sla.limits(row.role, row.grade), []).append(row)
    for limits, those in by_limits.items():
        starts = np.array([instant(row.offered_at) for row in those], np.int64)
        zone = those[0].timezone or config.timezone or "UTC"
        all_ends = np.stack([ends(starts, each, zone, those[0].country, config.hours, away) for each in limits])
        first = all_ends.argmin(axis=0)
        for place, row in enumerate(those):
            at = EPOCH + timedelta(microseconds=int(all_ends[first[place], place]))
            if row.active_until is not None and row.active_until < at:
                yield row, max(row.active_until, row.offered_at), LEFT
            else:
                yield row, at, str(limits[first[place]])


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None
