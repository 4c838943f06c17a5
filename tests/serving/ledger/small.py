"""A small CRM in a ledger: three leads of one account's contact, three reps, one open offer of L1 to R1."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from features.config import Config, read_config
from features.schema import TABLES
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.crm import CRM
from serving.ledger.decisions import row_of
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, DECISIONS, EVENTS, HOLDS

#: A Monday, 9:00.
OFFERED = datetime(2026, 3, 2, 9, tzinfo=UTC)
CONFIG: Config = read_config("markets: {all: {countries: [DE]}}\ntimezone: UTC\n")
#: The decision that its offers are of.
DECIDED = "D-small"


def hours(n: float) -> datetime:
    return OFFERED + timedelta(hours=n)


def rows(table: str, *given: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict.fromkeys(TABLES[table].names) | dict(row) for row in given]


def offer(offer_id: str, lead_id: str, rep_id: str, at: datetime = OFFERED, **more: Any) -> dict[str, Any]:
    """An offer that was decided here, unless `more` says decision_id=None."""
    return {
        "offer_id": offer_id, "lead_id": lead_id, "rep_id": rep_id, "offered_at": at, "decision_id": DECIDED
    } | more  # fmt: skip


def furnish(ledger: Ledger, reps: int = 3, leads: int = 3) -> None:
    """Put it in."""
    born = OFFERED - timedelta(days=30)
    with changing(ledger, OFFERED) as change:
        change.upsert(
            "accounts", rows("accounts", {"account_id": "A1", "name": "Acme", "country": "DE", "created_at": born})
        )
        change.upsert("contacts", rows("contacts", {"contact_id": "C1", "account_id": "A1", "created_at": born}))
        people = [
            {"rep_id": f"R{n}", "name": f"Rep {n}", "role": "segment", "timezone": "UTC"} for n in range(1, reps + 1)
        ]
        change.upsert("reps", rows("reps", *people))
        made = [
            {"lead_id": f"L{n}", "contact_id": "C1", "solution": "payments", "created_at": hours(-1)}
            for n in range(1, leads + 1)
        ]
        change.upsert("leads", rows("leads", *made))
    give(ledger, offer("F1", "L1", "R1"))


def give(ledger: Ledger, *offers: Mapping[str, Any]) -> None:
    """Put offers in; those that are open or accepted hold their leads."""
    with changing(ledger, OFFERED) as change:
        if change.connection.execute(select(DECISIONS.c.decision_id)).first() is None:
            said = dict.fromkeys(("policy", "rung", "degraded_reason", "model_version")) | {"candidates": 1}
            row = row_of(
                said | {"policy": "champion", "rung": "champion"}, route="test", actor="test", at=OFFERED, seq=0,
                config="", now=0, content_hash=None, inputs_hash="",
            )  # fmt: skip
            change.connection.execute(insert(DECISIONS).values(row | {"decision_id": DECIDED}))
        change.upsert("offers", rows("offers", *offers))
        for made in offers:
            if made.get("answer") in (None, "accepted"):
                held = {name: made[name] for name in ("lead_id", "offer_id", "rep_id")}
                change.connection.execute(insert(HOLDS).values(**held))


def last_audited(ledger: Ledger) -> tuple[Any, str]:
    """The newest row of the audit, and what it tells, as JSON."""
    with ledger.reading() as connection:
        row = connection.execute(select(AUDIT).order_by(AUDIT.c.number.desc())).first()
        assert row is not None
        told = select(AUDIT_PAYLOADS.c.body).where(AUDIT_PAYLOADS.c.number == row.number)
        return row, str(connection.execute(told).scalar_one())


def table(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """All rows of a CRM table, in the order of its key."""
    target = CRM[name]
    with ledger.reading() as connection:
        found = connection.execute(select(target).order_by(*(target.c[key] for key in TABLES[name].key)))
        return [dict(row._mapping) for row in found]


def offer_of(ledger: Ledger, offer_id: str) -> dict[str, Any]:
    return next(row for row in table(ledger, "offers") if row["offer_id"] == offer_id)


def holds(ledger: Ledger) -> dict[str, str]:
    """lead_id -> offer_id."""
    with ledger.reading() as connection:
        return {row.lead_id: row.offer_id for row in connection.execute(select(HOLDS))}


def kept(ledger: Ledger) -> dict[str, bool]:
    """event_id -> whether it is parked."""
    with ledger.reading() as connection:
        return {row.event_id: row.parked for row in connection.execute(select(EVENTS))}
