"""The weeks of reps in the ledger: from when to when one lasts, and how much of it a rep is there to work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Text, bindparam, or_, select

from features.attendance import Worked, worked_in
from features.cast import split
from features.clock import Hours, instant, iso_week_start
from features.public_holidays import place_of
from serving.instants import EPOCH
from serving.ledger.crm import CRM
from serving.ledger.prepared import Prepared
from serving.ledger.types import Instant

#: From an instant until another.
Span = tuple[datetime, datetime]

_TIME_OFF = CRM["time_off"]
#: An absence that is known at `now` and touches the week from `start` to `end`; and one of the rep `rep`.
_TOUCHES: Sequence[ColumnElement[bool]] = (
    or_(_TIME_OFF.c.known_at.is_(None), _TIME_OFF.c.known_at <= bindparam("now", type_=Instant())),
    _TIME_OFF.c.starts_at < bindparam("end", type_=Instant()),
    _TIME_OFF.c.ends_at > bindparam("start", type_=Instant()),
)
MISSES: Sequence[ColumnElement[bool]] = (_TIME_OFF.c.rep_id == bindparam("rep", type_=Text), *_TOUCHES)
_SPANS = select(_TIME_OFF.c.rep_id, _TIME_OFF.c.starts_at, _TIME_OFF.c.ends_at)
#: Of one rep it is asked in the transaction that makes an offer.
_OF_ALL, _OF_ONE = Prepared(_SPANS.where(*_TOUCHES)), Prepared(_SPANS.where(*MISSES))

#: The week that each zone was found in last.
_WEEKS: dict[str, Span] = {}


def week_of(at: datetime, zone: str) -> Span:
    """The ISO week of an instant in a time zone: its first instant, and that of the next week, UTC."""
    known = _WEEKS.get(zone)
    if known is None or not known[0] <= at < known[1]:
        first = int(iso_week_start(np.array([instant(at)]), zone)[0])
        later = int(iso_week_start(np.array([first + 8 * 86_400_000_000]), zone)[0])  # a week may be an hour longer
        known = _WEEKS[zone] = EPOCH + timedelta(microseconds=first), EPOCH + timedelta(microseconds=later)
    return known


def attended(
    connection: Connection, reps: Iterable[Any], at: datetime, now: datetime, zone: str, hours: Hours
) -> dict[str, Worked]:  # fmt: skip
    """How much of the week of `at` each rep is there to work, by what is known at `now`; rep_id -> working time.

    reps   rows of `reps`: rep_id, timezone, hired_at, active_until, country, regions
    zone   of reps who have none
    """
    reps = list(reps)
    weeks = {rep.rep_id: week_of(at, rep.timezone or zone) for rep in reps}
    told = {
        "now": now,
        "start": min(start for start, _ in weeks.values()),
        "end": max(end for _, end in weeks.values()),
    }
    one = {"rep": reps[0].rep_id} if len(reps) == 1 else {}
    absences: dict[str, list[Span]] = {}
    for row in (_OF_ONE if one else _OF_ALL).all(connection, told | one):
        absences.setdefault(row.rep_id, []).append((row.starts_at, row.ends_at))
    return {
        rep.rep_id: _worked(rep, weeks[rep.rep_id], absences.get(rep.rep_id, []), rep.timezone or zone, hours)
        for rep in reps
    }


def _worked(rep: Any, week: Span, absences: list[Span], zone: str, hours: Hours) -> Worked:
    start, end = week
    before, after = (start, rep.hired_at or start), (rep.active_until or end, end)
    away = tuple(sorted(span for span in (*absences, before, after) if span[0] < span[1]))
    return _counted(week, away, zone, place_of(split(rep.regions or ""), rep.country, hours.holidays), hours)


@lru_cache(maxsize=4096)
def _counted(week: Span, away: tuple[Span, ...], zone: str, place: str | None, hours: Hours) -> Worked:
    """A rep's week is asked for at each of his offers, and costs more to reckon than all else that is asked then."""
    spans = np.array([(instant(begin), instant(until)) for begin, until in away], np.int64).reshape(-1, 2)
    return worked_in(instant(week[0]), instant(week[1]), spans, zone, place, hours)
