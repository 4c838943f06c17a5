"""Makes offers: what the answer was based on may have changed since, so each rule that can is asked once more here."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, delete, exists, func, insert, or_, select

from features.attendance import places
from features.clock import Hours
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.prepared import Prepared
from serving.ledger.tables import HOLDS, LEDGER_CLOCK, UNPLACED
from serving.ledger.types import Instant
from serving.ledger.vouched import hash_of
from serving.ledger.weeks import MISSES, attended, week_of

_LEADS, _REPS, _TIME_OFF = CRM["leads"], CRM["reps"], CRM["time_off"]
#: Answers that keep a place in the rep's week, and the lead from others; none yet is one of them.
HOLDING = or_(OFFERS.c.answer.is_(None), OFFERS.c.answer == "accepted")

# -- Statements are made once: to build one takes SQLAlchemy longer than to run it ----------------------------------

_LEAD, _REP, _AT = bindparam("lead", type_=Text), bindparam("rep", type_=Text), bindparam("now", type_=Instant())
_START, _END = bindparam("start", type_=Instant()), bindparam("end", type_=Instant())
#: All that the rules ask of a lead and a rep, in one row whether there are such or not: the clock's row always is.
_PAIR = Prepared(
    select(
        _LEADS.c.lead_id, _LEADS.c.status, _LEADS.c.closed_at,
        exists().where(HOLDS.c.lead_id == _LEAD).label("held"),
        exists().where(UNPLACED.c.lead_id == _LEAD).label("unplaced"),
        exists().where(OFFERS.c.lead_id == _LEAD, OFFERS.c.rep_id == _REP).label("had"),
        _REPS.c.rep_id, _REPS.c.weekly_capacity, _REPS.c.hired_at, _REPS.c.active_until, _REPS.c.timezone,
        _REPS.c.country, _REPS.c.regions,
        exists().where(*MISSES, _TIME_OFF.c.starts_at <= _AT, _TIME_OFF.c.ends_at > _AT).label("away"),
        exists().where(*MISSES).label("misses"),
        select(func.count()).select_from(OFFERS).where(
            OFFERS.c.rep_id == _REP, OFFERS.c.offered_at >= _START, OFFERS.c.offered_at < _END, HOLDING,
        ).scalar_subquery().label("used"),
        exists().where(
            OFFERS.c.rep_id == _REP, OFFERS.c.answer == "rejected", OFFERS.c.reject_reason == "no_capacity",
            OFFERS.c.answered_at >= _START, OFFERS.c.answered_at < _END,
        ).label("spent"),
    ).select_from(
        LEDGER_CLOCK.outerjoin(_LEADS, _LEADS.c.lead_id == _LEAD).outerjoin(_REPS, _REPS.c.rep_id == _REP)
    )
)  # fmt: skip
_OFFERED = Prepared(
    insert(OFFERS).values(
        attempt=select(func.count() + 1).select_from(OFFERS).where(OFFERS.c.lead_id == _LEAD).scalar_subquery()
    ),
    ("offer_id", "lead_id", "rep_id", "offered_at", "decision_id", "policy", "propensity"),
)
_HELD = Prepared(insert(HOLDS))
_PLACED = delete(UNPLACED).where(UNPLACED.c.lead_id == _LEAD)

#: The zone that each rep was found in last, where it is not the one of reps who have none.
_ZONES: dict[str, str] = {}


@dataclass(frozen=True)
class Pair:
    """How a lead and a rep stand to each other now.

    lead  the rule by which nobody can be offered the lead; None: it is free
    rep   the rule by which this rep cannot be offered a free lead; None: he can
    room  how many offers more the rep can take this week of his time zone; None: no limit
    """

    lead: str | None
    rep: str | None
    room: int | None

    @property
    def rule(self) -> str | None:
        """The first rule that refuses; None: the lead can be offered to the rep."""
        return self.lead or self.rep


@dataclass
class Desk:
    """Makes the offers of one change: what it reads still holds when they are written, for the change writes alone.

    zone   of reps who have none
    hours  in which reps work
    """

    change: Change
    zone: str
    hours: Hours
    _placed: set[str] = field(default_factory=set)

    def pair(self, lead_id: str, rep_id: str) -> Pair:
        """How the two stand to each other now, in one statement."""
        row = self._row(lead_id, rep_id)
        if not row.unplaced:
            self._placed.add(lead_id)
        room = self._room(row)
        return Pair(_lead_refusal(row, self.change.at), _rep_refusal(row, room, self.change.at), room)

    def room(self, rep_id: str) -> int | None:
        """How many offers more the rep can take this week of his time zone; None: no limit."""
        return self._room(self._row(None, rep_id))

    def _room(self, row: Any) -> int | None:
        if row.weekly_capacity is None:
            return None
        week, share = week_of(self.change.at, row.timezone or self.zone), 1.0
        if row.misses or _within(week, row.hired_at) or _within(week, row.active_until):
            at = self.change.at
            share = attended(self.change.connection, [row], at, at, self.zone, self.hours)[row.rep_id].share
        return int(places(row.weekly_capacity, share)) - int(row.used)

    def offer(
        self, lead_id: str, rep_id: str, *, decision_id: str | None, policy: str, propensity: float | None,
        offer_id: str | None = None,
    ) -> str:  # fmt: skip
        """Write the offer down, and that it holds the lead. Ask how the two stand before. Returns its id."""
        connection, offer_id = self.change.connection, offer_id or new_offer_id()
        row = {
            "offer_id": offer_id, "lead_id": lead_id, "rep_id": rep_id, "offered_at": self.change.at,
            "decision_id": decision_id, "policy": policy, "propensity": propensity,
        }  # fmt: skip
        _OFFERED.run(connection, row | {"lead": lead_id})
        self.change.touch("offers", [offer_id])
        self.change.vouch("offers", offer_id, hash_of("offers", row))
        _HELD.run(connection, {"lead_id": lead_id, "offer_id": offer_id, "rep_id": rep_id})
        if lead_id not in self._placed:
            connection.execute(_PLACED, {"lead": lead_id})
        return offer_id

    def _row(self, lead_id: str | None, rep_id: str) -> Any:
        """What _PAIR tells, its week that of the rep's zone: where that is another one than last time, asked again."""
        zone = _ZONES.get(rep_id, self.zone)
        row = self._asked(lead_id, rep_id, zone)
        found = row.timezone or self.zone
        if found == zone:
            return row
        _ZONES[rep_id] = found
        return self._asked(lead_id, rep_id, found)

    def _asked(self, lead_id: str | None, rep_id: str, zone: str) -> Any:
        start, end = week_of(self.change.at, zone)
        told = {"lead": lead_id, "rep": rep_id, "now": self.change.at, "start": start, "end": end}
        return _PAIR.one(self.change.connection, told)


def new_offer_id() -> str:
    """An offer's id, which nobody chooses."""
    return f"O-{uuid.uuid4().hex}"


def _lead_refusal(row: Any, at: datetime) -> str | None:
    if row.lead_id is None or (row.closed_at is not None and row.closed_at <= at):
        return "lead_closed"
    if row.closed_at is None and row.status == "closed":
        return "lead_closed"
    return "lead_taken" if row.held else None


def _rep_refusal(row: Any, room: int | None, at: datetime) -> str | None:
    if row.had:
        return "already_offered"
    if row.rep_id is None or (row.hired_at or at) > at or (row.active_until is not None and row.active_until <= at):
        return "inactive"
    if row.away:
        return "time_off"
    # A rep who said this week that he has no capacity left has none, whatever was agreed.
    return "capacity_full" if (room is not None and room < 1) or row.spent else None


def _within(week: tuple[datetime, datetime], at: datetime | None) -> bool:
    return at is not None and week[0] < at < week[1]


def open_offers(connection: Connection, rep_id: str) -> dict[str, str]:
    """Offers of a rep that wait for an answer: lead_id -> offer_id, the oldest first."""
    waiting = (
        select(OFFERS.c.lead_id, OFFERS.c.offer_id)
        .join(HOLDS, HOLDS.c.offer_id == OFFERS.c.offer_id)
        .where(OFFERS.c.rep_id == rep_id, OFFERS.c.answer.is_(None))
        .order_by(OFFERS.c.offered_at, OFFERS.c.offer_id)
    )
    return {row.lead_id: row.offer_id for row in connection.execute(waiting)}
