"""Holds the SLA: offers that ran out expire, and their leads, like rejected ones, go to the next best rep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select

from features.config import Config
from serving.actor import SLA
from serving.due import due
from serving.ledger import Ledger
from serving.ledger.audit import record as audit
from serving.ledger.change import changing
from serving.ledger.crm import OFFERS
from serving.ledger.events import any_joinable, join_parked, own_id, record
from serving.ledger.idempotency import any_expired, expire
from serving.ledger.leases import take
from serving.ledger.prune import is_due, prune
from serving.onward import Router, send_on

#: What one process of many does.
TASK: Final = "sla"
#: Offers that expire in one change; others write in between.
BATCH: Final = 100


@dataclass(frozen=True)
class Applied:
    """What was done: offers that expired, leads offered again (lead_id -> offer_id), leads that nobody can take."""

    expired: Sequence[str] = ()
    reoffered: Mapping[str, str] = field(default_factory=dict)
    unplaced: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def apply(ledger: Ledger, config: Config, router: Router, now: datetime) -> Applied:
    """Expire what is overdue and send free leads on; asked twice, or by two at once, it happens once.

    Parked events whose offers came in since have their effect first; answers that were kept for their idempotency key
    long enough are forgotten, and about once a day what is past its retention goes. Raises LedgerError.
    """
    with ledger.reading() as connection:
        late, old = any_joinable(connection), any_expired(connection, now)
    if late or old:
        with changing(ledger, now) as change:
            join_parked(change, config)
            expire(change)
    expired = _expire(ledger, config, now)
    sent = send_on(ledger, config, router, now)
    if is_due(ledger, now):
        prune(ledger, config, now)
    return Applied(expired, sent.reoffered, sent.unplaced)


def tick(ledger: Ledger, config: Config, router: Router, holder: str, now: datetime | None = None) -> Applied | None:
    """As `apply`, by one process of many; None: another one does it this minute. holder: names this process."""
    at = now or datetime.now(UTC)
    return apply(ledger, config, router, at) if take(ledger, TASK, holder, at) else None


def _expire(ledger: Ledger, config: Config, now: datetime) -> tuple[str, ...]:
    """Record that overdue offers expired when they were due; an id of its own for each lets it happen once."""
    with ledger.reading() as connection:
        overdue = [one for one in due(connection, config, now) if one.breached and not one.expired]
    done: list[str] = []
    for start in range(0, len(overdue), BATCH):
        batch = overdue[start : start + BATCH]
        with changing(ledger, now) as change:
            ids = [one.offer_id for one in batch]
            unanswered = select(OFFERS.c.offer_id).where(OFFERS.c.offer_id.in_(ids), OFFERS.c.answer.is_(None))
            still = set(change.connection.execute(unanswered).scalars())
            events = [
                {
                    "event_id": own_id("expired", one.offer_id), "offer_id": one.offer_id, "kind": "expired",
                    "at": one.due_at,
                }
                for one in batch
                if one.offer_id in still
            ]  # fmt: skip
            outcomes = zip(events, record(change, config, events, SLA), strict=True)
            gone = [str(event["offer_id"]) for event, outcome in outcomes if outcome.result == "applied"]
            if gone:
                audit(change, SLA.name, "expire", " ".join(gone), {})
        done += gone
    return tuple(done)
