"""Where a lead is now: assigned, held until a stated time, unplaced with its because, or closed; never nowhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from features.config import Config
from serving.due import deadlines, said
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.tables import HOLDS
from serving.ledger.unplaced import NOT_ASKED, PLAN, REPS, closed, listed, not_asked
from serving.onward import waiting

_LEADS = CRM["leads"]


def whereabouts(connection: Connection, config: Config, lead_id: str, now: datetime) -> dict[str, Any] | None:
    """Where a lead is; None: there is no such lead. The fields are those of `serving.wire.explain.LeadNow`."""
    lead = connection.execute(select(closed(now).label("closed")).where(_LEADS.c.lead_id == lead_id)).first()
    if lead is None:
        return None
    here: dict[str, Any] = {
        "lead_id": lead_id, "state": "open", "rep_id": None, "offer_id": None, "until": None, "because": {},
        "waits_for": None,
    }  # fmt: skip
    if lead.closed:
        return here | {"state": "closed"}
    its = OFFERS.c.offer_id == HOLDS.c.offer_id
    held = connection.execute(select(OFFERS).join(HOLDS, its).where(HOLDS.c.lead_id == lead_id)).first()
    if held is not None:
        here |= {"rep_id": held.rep_id, "offer_id": held.offer_id}
        if held.answer == "accepted":
            return here | {"state": "assigned"}
        due_at, _ = deadlines(connection, config, OFFERS.c.offer_id == held.offer_id, now)[held.offer_id]
        return here | {"state": "held", "until": said(due_at)}
    for one in listed(connection, now, lead_id=lead_id):
        until = one.until if one.until is not None and one.until > now else None
        told = {"because": dict(one.because), "waits_for": one.waits_for, "until": said(until) if until else None}
        # Each minute who waits for reps is looked at; a plan's leads wait for the next, whatever has ended by then.
        return here | told | {"state": "held" if until and one.waits_for == REPS else "unplaced"}
    if not_asked(connection, now, lead_id):
        return here | {"state": "unplaced", "because": dict(NOT_ASKED), "waits_for": PLAN}
    # It is offered on within a minute; one that is created ahead of the clock is for a plan.
    return here | {"waits_for": REPS if waiting(connection, now, lead_id=lead_id) else PLAN}
