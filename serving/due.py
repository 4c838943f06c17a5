"""What the SLA makes due: open offers and by when each must be answered; and how fast leads are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from features.config import Config
from features.known import Known
from features.schema import TABLES
from serving.instants import EPOCH, iso, micros
from serving.ledger import unplaced as queue
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.frames import Key, read_rows
from serving.ledger.questions import open_questions

#: How long an offer that ran out stays on the list.
SEEN: Final = timedelta(days=7)
#: Offers whose speed is told.
LATELY: Final = timedelta(days=28)

_LEADS, _TIME_OFF, _TOUCHES, _CHANGES = (CRM[name] for name in ("leads", "time_off", "touches", "changes"))


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
    limit: int | None = 1_000,
) -> dict[str, Any]:  # fmt: skip
    """What /due and `callsheet sla` answer; the parameters and fields are those of `serving.wire.due`; None: all."""
    every = [
        one for one in due(connection, config, now)
        if breached in (None, one.breached) and rep_id in (None, one.rep_id)
    ]  # fmt: skip
    lost, without = unplaced(connection, now, limit)
    doubts, asked = questions(connection, limit)
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
        "unplaced": without, "unplaced_total": lost, "questions": asked, "questions_total": doubts,
        "speed": dict(vars(speed(connection, now))),
    }  # fmt: skip


def unplaced(connection: Connection, now: datetime, limit: int | None) -> tuple[int, list[dict[str, Any]]]:
    """How many open leads nobody can take for now, and the oldest of them: the fields of `UnplacedLead`."""
    count, rows = queue.lines(connection, now, limit)
    return count, [_spelt(row) for row in rows]


def questions(connection: Connection, limit: int | None) -> tuple[int, list[dict[str, Any]]]:
    """How many questions about the data are open, and the oldest of them."""
    asked = open_questions(connection)
    told = ("lead_id", "rep_id", "offer_id", "reason", "asked_at")
    rows = [{"question_id": row["event_id"]} | {name: row[name] for name in told} for row in asked[:limit]]
    return len(asked), [_spelt(row) for row in rows]


def _spelt(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said(value) if isinstance(value, datetime) else value for name, value in row.items()}


def said(at: datetime) -> str:
    """An instant as ISO 8601 in UTC."""
    return iso(micros(at))


def due(connection: Connection, config: Config, now: datetime) -> list[Due]:
    """Open offers, and those that ran out lately, by the instant at which they are due: see `features.sla`."""
    listed = or_(
        OFFERS.c.answer.is_(None), and_(OFFERS.c.answer == "expired", OFFERS.c.answered_at > now - SEEN)
    )  # fmt: skip
    rows = _offers(connection, listed)
    touched = _touched(connection, listed)
    ends = deadlines(connection, config, listed, now)
    found = []
    for row in rows:
        (due_at, limit), expired = ends[row.offer_id], row.answer == "expired"
        found.append(
            Due(
                row.offer_id, row.lead_id, row.rep_id, row.offered_at, due_at, limit, expired or due_at <= now, expired,
                _seconds(row.created_at, row.offered_at), _seconds(row.offered_at, touched.get(row.offer_id)),
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
    """Offers, and when their leads came."""
    wanted = (
        select(
            OFFERS.c.offer_id, OFFERS.c.lead_id, OFFERS.c.rep_id, OFFERS.c.offered_at, OFFERS.c.answer,
            _LEADS.c.created_at,
        )
        .outerjoin(_LEADS, _LEADS.c.lead_id == OFFERS.c.lead_id)
        .where(which)
        .order_by(OFFERS.c.offer_id)
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


def deadlines(
    connection: Connection, config: Config, which: ColumnElement[bool], now: datetime
) -> dict[str, tuple[datetime, str]]:
    """By when each offer must be answered and which limit says so, as training reckons it, from the rows it takes."""
    told = or_(_TIME_OFF.c.known_at.is_(None), _TIME_OFF.c.known_at <= now)
    leads, reps = (select(OFFERS.c[column]).where(which) for column in ("lead_id", "rep_id"))
    history = or_(
        and_(_CHANGES.c.table_name == "leads", _CHANGES.c.column_name == "grade", _CHANGES.c.row_id.in_(leads)),
        and_(
            _CHANGES.c.table_name == "reps", _CHANGES.c.column_name.in_(("role", "regions")),
            _CHANGES.c.row_id.in_(reps),
        ),
    )  # fmt: skip
    keys = {
        "offers": _keys(connection, "offers", which),
        "leads": _keys(connection, "leads", _LEADS.c.lead_id.in_(leads)),
        "reps": _keys(connection, "reps", CRM["reps"].c.rep_id.in_(reps)),
        "time_off": _keys(connection, "time_off", and_(told, _TIME_OFF.c.rep_id.in_(reps))),
        "changes": _keys(connection, "changes", history),
    }
    known = Known({name: read_rows(connection, name, wanted) for name, wanted in keys.items()}, config, micros(now))
    ends = (EPOCH + timedelta(microseconds=at) for at in known.deadlines.at.tolist())
    ids = known.tables["offers"]["offer_id"]
    return {str(one): (at, limit) for one, at, limit in zip(ids, ends, known.deadlines.limit, strict=True)}


def _keys(connection: Connection, name: str, where: ColumnElement[bool]) -> list[Key]:
    return [tuple(row) for row in connection.execute(select(*(CRM[name].c[c] for c in TABLES[name].key)).where(where))]


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None
