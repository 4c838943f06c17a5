"""Which offer holds each lead, read out of offers that came from elsewhere."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select

from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.tables import DECISIONS, EVENTS, HOLDS

ASKED = 2_000


def decided_here() -> ColumnElement[bool]:
    """Whether a row of offers was made here: by a decision, or by a person who gave the lead to another rep."""
    by_hand = and_(OFFERS.c.policy == "manual", OFFERS.c.offer_id.like("O-" + "_" * 32))
    return or_(OFFERS.c.decision_id.in_(select(DECISIONS.c.decision_id)), by_hand)


def made_here() -> ColumnElement[bool]:
    """Whether this ledger knows more of a row of offers than whoever it could be loaded from.

    It was made here, or events tell of it: then its answer is what they make of it.
    """
    told = OFFERS.c.offer_id.in_(select(EVENTS.c.offer_id).where(~EVENTS.c.parked))
    return or_(decided_here(), told)


def fill_holds(change: Change, leads: Collection[str] | None = None) -> tuple[int, int]:
    """Let each open lead be held by its open or accepted offer: the one that was made here, else the latest.

    leads    those to look at; None: all
    Returns  how many leads are held; of how many more than one offer said so
    """
    every = [None] if leads is None else [sorted(leads)[i : i + ASKED] for i in range(0, len(leads), ASKED)]
    held = doubled = 0
    for batch in every:
        one, two = _fill(change, batch)
        held, doubled = held + one, doubled + two
    return held, doubled


def _fill(change: Change, batch: list[str] | None) -> tuple[int, int]:
    lead = CRM["leads"]
    shut = or_(
        and_(lead.c.closed_at.is_not(None), lead.c.closed_at <= change.at),
        and_(lead.c.closed_at.is_(None), lead.c.status == "closed"),
    )
    holding = or_(OFFERS.c.answer.is_(None), OFFERS.c.answer == "accepted")
    wanted = (
        select(OFFERS.c.lead_id, OFFERS.c.offer_id, OFFERS.c.rep_id, made_here().label("ours"))
        .join(lead, lead.c.lead_id == OFFERS.c.lead_id)
        .where(holding, or_(shut.is_(None), ~shut))
        .order_by(OFFERS.c.lead_id, OFFERS.c.offered_at, OFFERS.c.offer_id)
    )
    old = delete(HOLDS)
    if batch is not None:
        wanted, old = wanted.where(OFFERS.c.lead_id.in_(batch)), old.where(HOLDS.c.lead_id.in_(batch))
    latest: dict[str, dict[str, str]] = {}
    ours: set[str] = set()
    seen: set[str] = set()
    doubled: set[str] = set()
    for row in change.connection.execute(wanted):
        if row.lead_id in seen:
            doubled.add(row.lead_id)
        seen.add(row.lead_id)
        if row.ours or row.lead_id not in ours:
            latest[row.lead_id] = {"lead_id": row.lead_id, "offer_id": row.offer_id, "rep_id": row.rep_id}
        if row.ours:
            ours.add(row.lead_id)
    change.connection.execute(old)
    if latest:
        change.connection.execute(insert(HOLDS), list(latest.values()))
    return len(latest), len(doubled)


__all__ = ["decided_here", "fill_holds", "made_here"]
