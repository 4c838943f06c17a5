"""Makes offers: what the answer was based on may have changed since, so each rule that can is asked once more here."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, or_, select

from features.clock import instant, iso_week_start
from features.schema import TABLES
from serving.instants import EPOCH
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.tables import HOLDS, UNPLACED
from serving.ledger.vouched import hash_of

_LEADS, _REPS, _TIME_OFF = CRM["leads"], CRM["reps"], CRM["time_off"]
#: Answers that keep a place in the rep's week, and the lead from others; none yet is one of them.
HOLDING = or_(OFFERS.c.answer.is_(None), OFFERS.c.answer == "accepted")


@dataclass
class Desk:
    """Makes the offers of one change; what it has read of a rep is read once, for the change writes alone.

    zone  of reps who have none
    """

    change: Change
    zone: str
    _reps: dict[str, Any] = field(default_factory=dict)
    _room: dict[str, int | None] = field(default_factory=dict)

    def lead_refusal(self, lead_id: str) -> str | None:
        """The rule by which nobody can be offered a lead now; None: it is free."""
        row = self.change.connection.execute(
            select(_LEADS.c.status, _LEADS.c.closed_at).where(_LEADS.c.lead_id == lead_id)
        ).first()
        if row is None or (row.closed_at is not None and row.closed_at <= self.change.at):
            return "lead_closed"
        if row.closed_at is None and row.status == "closed":
            return "lead_closed"
        held = self.change.connection.execute(select(HOLDS.c.offer_id).where(HOLDS.c.lead_id == lead_id)).first()
        return "lead_taken" if held else None

    def rep_refusal(self, lead_id: str, rep_id: str) -> str | None:
        """The rule by which this rep cannot be offered a free lead now; None: he can."""
        connection, at = self.change.connection, self.change.at
        asked = select(OFFERS.c.offer_id).where(OFFERS.c.lead_id == lead_id, OFFERS.c.rep_id == rep_id)
        if connection.execute(asked.limit(1)).first():
            return "already_offered"
        rep = self._rep(rep_id)
        if rep is None or (rep.active_until is not None and rep.active_until <= at):
            return "inactive"
        away = select(_TIME_OFF.c.rep_id).where(
            _TIME_OFF.c.rep_id == rep_id, _TIME_OFF.c.starts_at <= at, _TIME_OFF.c.ends_at > at,
            or_(_TIME_OFF.c.known_at.is_(None), _TIME_OFF.c.known_at <= at),
        )  # fmt: skip
        if connection.execute(away.limit(1)).first():
            return "time_off"
        room = self.room(rep_id)
        return "capacity_full" if (room is not None and room < 1) or self._spent(rep) else None

    def room(self, rep_id: str) -> int | None:
        """How many offers more the rep can take this week of his time zone; None: no limit."""
        if rep_id not in self._room:
            rep = self._rep(rep_id)
            capacity = rep.weekly_capacity if rep is not None else None
            used = 0 if rep is None or capacity is None else self._used(rep)
            self._room[rep_id] = None if capacity is None else math.ceil(capacity) - used
        return self._room[rep_id]

    def offer(
        self, lead_id: str, rep_id: str, *, decision_id: str | None, policy: str, propensity: float | None
    ) -> str:
        """Write the offer down, and that it holds the lead. Ask both refusals before. Returns its id."""
        connection = self.change.connection
        before = select(func.count()).select_from(OFFERS).where(OFFERS.c.lead_id == lead_id)
        attempt = int(connection.execute(before).scalar_one()) + 1
        offer_id = f"O-{uuid.uuid4().hex}"
        row = dict.fromkeys(TABLES["offers"].names) | {
            "offer_id": offer_id, "lead_id": lead_id, "rep_id": rep_id, "offered_at": self.change.at,
            "decision_id": decision_id, "attempt": float(attempt), "policy": policy, "propensity": propensity,
        }  # fmt: skip
        self.change.upsert("offers", [row])
        self.change.vouch("offers", offer_id, hash_of("offers", row))
        connection.execute(insert(HOLDS).values(lead_id=lead_id, offer_id=offer_id, rep_id=rep_id))
        connection.execute(UNPLACED.delete().where(UNPLACED.c.lead_id == lead_id))
        room = self.room(rep_id)
        if room is not None and self._room[rep_id] is not None:
            self._room[rep_id] = room - 1
        return offer_id

    def _rep(self, rep_id: str) -> Any:
        if rep_id not in self._reps:
            wanted = select(_REPS.c.rep_id, _REPS.c.weekly_capacity, _REPS.c.active_until, _REPS.c.timezone)
            self._reps[rep_id] = self.change.connection.execute(wanted.where(_REPS.c.rep_id == rep_id)).first()
        return self._reps[rep_id]

    def _spent(self, rep: Any) -> bool:
        """Whether the rep said this week that he has no capacity left."""
        start, end = week_of(self.change.at, rep.timezone or self.zone)
        said = select(OFFERS.c.offer_id).where(
            OFFERS.c.rep_id == rep.rep_id, OFFERS.c.answer == "rejected", OFFERS.c.reject_reason == "no_capacity",
            OFFERS.c.answered_at >= start, OFFERS.c.answered_at < end,
        )  # fmt: skip
        return self.change.connection.execute(said.limit(1)).first() is not None

    def _used(self, rep: Any) -> int:
        start, end = week_of(self.change.at, rep.timezone or self.zone)
        counted = select(func.count()).select_from(OFFERS).where(
            OFFERS.c.rep_id == rep.rep_id, OFFERS.c.offered_at >= start, OFFERS.c.offered_at < end, HOLDING
        )  # fmt: skip
        return int(self.change.connection.execute(counted).scalar_one())


def open_offers(connection: Connection, rep_id: str) -> dict[str, str]:
    """Offers of a rep that wait for an answer: lead_id -> offer_id, the oldest first."""
    waiting = (
        select(OFFERS.c.lead_id, OFFERS.c.offer_id)
        .join(HOLDS, HOLDS.c.offer_id == OFFERS.c.offer_id)
        .where(OFFERS.c.rep_id == rep_id, OFFERS.c.answer.is_(None))
        .order_by(OFFERS.c.offered_at, OFFERS.c.offer_id)
    )
    return {row.lead_id: row.offer_id for row in connection.execute(waiting)}


def week_of(at: datetime, zone: str) -> tuple[datetime, datetime]:
    """The ISO week of an instant in a time zone: its first instant, and that of the next week, UTC."""
    first = int(iso_week_start(np.array([instant(at)]), zone)[0])
    later = int(iso_week_start(np.array([first + 8 * 86_400_000_000]), zone)[0])  # a week may be an hour longer
    return EPOCH + timedelta(microseconds=first), EPOCH + timedelta(microseconds=later)
