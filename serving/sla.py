"""Holds the SLA: offers that ran out expire, and their leads, like rejected ones, go to the next best rep."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from features.config import Config
from features.errors import CallsheetError
from serving import metrics
from serving.actor import Actor
from serving.due import due
from serving.ledger import Ledger
from serving.ledger.audit import record as audit
from serving.ledger.change import changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.events import any_joinable, join_parked, own_id, record
from serving.ledger.idempotency import any_expired, expire
from serving.ledger.tables import EVENTS, HOLDS, LEASES, UNPLACED

log = logging.getLogger(__name__)

#: Who does it, as events and audit keep it.
SLA: Final = Actor("sla", frozenset(("record",)))
#: What one process of many does, and for how long it keeps the others from it.
TASK: Final = "sla"
LEASE: Final = timedelta(seconds=55)
#: Offers that expire in one change; others write in between.
BATCH: Final = 100
#: Rules that say that the lead needs no other rep, not that there is none.
SETTLED: Final = frozenset(("lead_taken", "lead_closed"))
#: Why a lead is unplaced that was offered as often as may be.
USED_UP: Final = "reoffers_used_up"

_LEADS = CRM["leads"]


@dataclass(frozen=True)
class Placed:
    """What became of offering a lead again: an offer, or by which rule how many reps were refused."""

    offer_id: str | None
    because: Mapping[str, int] = field(default_factory=dict)


#: Ranks a lead anew and offers it to the best who may have it: (lead_id, reason) -> Placed.
Reoffer = Callable[[str, str], Placed]


@dataclass(frozen=True)
class Waiting:
    """A free lead whose last offer was rejected or ran out. offers: how many it had; reason: why the last one ended."""

    lead_id: str
    offers: int
    reason: str


@dataclass(frozen=True)
class Applied:
    """What was done: offers that expired, leads offered again (lead_id -> offer_id), leads that nobody can take."""

    expired: Sequence[str] = ()
    reoffered: Mapping[str, str] = field(default_factory=dict)
    unplaced: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def apply(ledger: Ledger, config: Config, reoffer: Reoffer, now: datetime) -> Applied:
    """Expire what is overdue and offer free leads again; asked twice, or by two at once, it happens once.

    Parked events whose offers came in since have their effect first; answers that were kept for their idempotency key
    long enough are forgotten. Raises LedgerError. What one lead's ranking
    raises is logged, and the lead waits for the next time.
    """
    with ledger.reading() as connection:
        late, old = any_joinable(connection), any_expired(connection, now)
    if late or old:
        with changing(ledger, now) as change:
            join_parked(change, config)
            expire(change)
    expired = _expire(ledger, config, now)
    reoffered: dict[str, str] = {}
    unplaced: dict[str, Mapping[str, int]] = {}
    for lead in waiting(ledger, now):
        if lead.offers > config.reoffers.attempts:
            placed = Placed(None, {USED_UP: lead.offers})
        else:
            try:
                placed = reoffer(lead.lead_id, lead.reason)
            except CallsheetError as error:
                log.warning("Lead %s waits for its next offer: %s", lead.lead_id, error)
                continue
        if placed.offer_id is not None:
            _note(ledger, lead, placed.offer_id, now)
            reoffered[lead.lead_id] = placed.offer_id
        elif not SETTLED & placed.because.keys() and _unplace(ledger, lead, placed.because, now):
            unplaced[lead.lead_id] = placed.because
    return Applied(expired, reoffered, unplaced)


def tick(ledger: Ledger, config: Config, reoffer: Reoffer, holder: str, now: datetime | None = None) -> Applied | None:
    """As `apply`, by one process of many; None: another one does it this minute. holder: names this process."""
    at = now or datetime.now(UTC)
    return apply(ledger, config, reoffer, at) if _leased(ledger, holder, at) else None


def waiting(ledger: Ledger, now: datetime) -> list[Waiting]:
    """Free leads whose last offer was rejected or ran out here; the answers that came with the data are history.

    A lead that is closed, held or known to be unplaced does not wait.
    """
    later = OFFERS.alias("later")
    every = OFFERS.alias("every")
    count = select(func.count()).select_from(every).where(every.c.lead_id == OFFERS.c.lead_id).scalar_subquery()
    after = or_(
        later.c.offered_at > OFFERS.c.offered_at,
        and_(later.c.offered_at == OFFERS.c.offered_at, later.c.offer_id > OFFERS.c.offer_id),
    )
    reported = and_(EVENTS.c.offer_id == OFFERS.c.offer_id, EVENTS.c.kind == OFFERS.c.answer, ~EVENTS.c.parked)
    wanted = (
        select(OFFERS.c.lead_id, OFFERS.c.answer, OFFERS.c.reject_reason, count.label("offers"))
        .join(_LEADS, _LEADS.c.lead_id == OFFERS.c.lead_id)
        .where(
            OFFERS.c.answer.in_(("rejected", "expired")),
            or_(
                _LEADS.c.closed_at > now, and_(_LEADS.c.closed_at.is_(None), _LEADS.c.status.is_distinct_from("closed"))
            ),
            exists().where(reported, EVENTS.c.actor != "data"),
            ~exists().where(HOLDS.c.lead_id == OFFERS.c.lead_id),
            ~exists().where(UNPLACED.c.lead_id == OFFERS.c.lead_id),
            ~exists().where(later.c.lead_id == OFFERS.c.lead_id, after),
        )
        .order_by(OFFERS.c.answered_at, OFFERS.c.lead_id)
    )
    with ledger.reading() as connection:
        rows = connection.execute(wanted).all()
    return [Waiting(row.lead_id, row.offers, row.reject_reason or row.answer) for row in rows]


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
        metrics.SLA_BREACHES.inc(len(gone))
        done += gone
    return tuple(done)


def _note(ledger: Ledger, lead: Waiting, offer_id: str, now: datetime) -> None:
    """Say in the audit why the lead was offered again."""
    with changing(ledger, now) as change:
        audit(change, SLA.name, "reoffer", lead.lead_id, {"offer_id": offer_id, "reason": lead.reason})


def _unplace(ledger: Ledger, lead: Waiting, because: Mapping[str, int], now: datetime) -> bool:
    """List a lead as unplaced; False: someone holds it, or it is listed already."""
    with changing(ledger, now) as change:
        connection = change.connection
        if connection.execute(select(HOLDS.c.lead_id).where(HOLDS.c.lead_id == lead.lead_id)).first():
            return False
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        row = {"lead_id": lead.lead_id, "since": now, "attempts": lead.offers, "because": json.dumps(dict(because))}
        put = dialect.insert(UNPLACED).values(row).on_conflict_do_nothing(index_elements=["lead_id"])
        if connection.execute(put.returning(UNPLACED.c.lead_id)).first() is None:
            return False
        audit(change, SLA.name, "unplace", lead.lead_id, {"because": dict(because), "offers": lead.offers})
        return True


def _leased(ledger: Ledger, holder: str, now: datetime) -> bool:
    """Take or renew the lease; False: another holder has it."""
    with ledger.writing() as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        mine = dialect.insert(LEASES).values(task=TASK, holder=holder, until=now + LEASE)
        # One that reaches further than any can was taken by a clock that was wrong, and would keep all off for long.
        ended = or_(LEASES.c.until <= now, LEASES.c.until > now + 2 * LEASE)
        free = or_(ended, LEASES.c.holder == holder)
        taken = mine.on_conflict_do_update(
            index_elements=["task"], set_={"holder": holder, "until": now + LEASE}, where=free
        )
        return connection.execute(taken.returning(LEASES.c.holder)).first() is not None
