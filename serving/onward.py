"""Sends leads on that nobody took: to the next best rep, to a queue with the reason, and on again when one can."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import Connection, func, select

from features.config import Config
from features.errors import CallsheetError
from serving.actor import SLA
from serving.ledger import Ledger
from serving.ledger import unplaced as queue
from serving.ledger.audit import record as audit
from serving.ledger.change import changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.questions import asked_of
from serving.ledger.unplaced import Unplaced

log = logging.getLogger(__name__)

#: Why a lead is unplaced that was offered as often as may be.
USED_UP: Final = "reoffers_used_up"
#: Why one is offered that was unplaced: a rep may take it now.
FREE: Final = "a rep may take it now"
#: Unplaced leads that are offered again in one run; the others are in the next.
MOST: Final = 100
#: Reps who say the same of a lead before its data, and not only theirs, is doubted.
AGREED: Final = 2

_LEADS = CRM["leads"]


@dataclass(frozen=True)
class Placed:
    """What became of offering a lead again: an offer, or how many reps each rule refused, and until when at least."""

    offer_id: str | None
    because: Mapping[str, int] = field(default_factory=dict)
    until: datetime | None = None


class Router(Protocol):
    """Who ranks leads by what is committed now."""

    def offer(self, lead_id: str, reason: str) -> Placed:
        """Rank a lead anew and offer it to the best who may have it: never to one who had it.

        The audit's row of the offer, written with it, says why.
        """
        ...

    def look(self, lead_ids: Sequence[str]) -> Mapping[str, Placed]:
        """Of each open lead that no rep may take now, why; nothing is offered. The others are left out."""
        ...


@dataclass(frozen=True)
class Waiting:
    """A free lead whose last offer was rejected or ran out. offers: how many it had; reason: why the last one ended."""

    lead_id: str
    offers: int
    reason: str


@dataclass(frozen=True)
class Sent:
    """Leads that were offered on (lead_id -> offer_id), and leads that nobody can take."""

    reoffered: Mapping[str, str] = field(default_factory=dict)
    unplaced: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def send_on(ledger: Ledger, config: Config, router: Router, now: datetime) -> Sent:
    """Offer the leads on whose last offer was rejected or ran out, and those that waited for a rep who can take them.

    What the routing of one lead raises is logged, and it waits for the next time. Raises LedgerError.
    """
    reoffered: dict[str, str] = {}
    unplaced: dict[str, Mapping[str, int]] = {}
    for lead, stopped in _judged(ledger, config, now):
        placed = _offered(router, lead.lead_id, lead.reason) if stopped is None else None
        if stopped is None and placed is None:
            continue
        if placed is not None and placed.offer_id is not None:
            reoffered[lead.lead_id] = placed.offer_id
            continue
        nobody = stopped or Unplaced(lead.lead_id, placed.because, placed.until)  # type: ignore[union-attr]
        if not queue.SETTLED & nobody.because.keys() and _unplace(ledger, nobody, now):
            unplaced[lead.lead_id] = nobody.because
    reoffered |= _tried_again(ledger, router, now)
    return Sent(reoffered, unplaced)


def waiting(connection: Connection, now: datetime, *, lead_id: str | None = None) -> list[Waiting]:
    """Free leads whose last offer was rejected or ran out here; lead_id: only whether this one is.

    Every other free lead is listed as unplaced (`serving.ledger.unplaced`), by the same two conditions.
    """
    every = OFFERS.alias("every")
    count = select(func.count()).select_from(every).where(every.c.lead_id == OFFERS.c.lead_id).scalar_subquery()
    wanted = (
        select(OFFERS.c.lead_id, OFFERS.c.answer, OFFERS.c.reject_reason, count.label("offers"))
        .join(_LEADS, _LEADS.c.lead_id == OFFERS.c.lead_id)
        .where(queue.sends_on(), queue.free(now))
        .order_by(OFFERS.c.answered_at, OFFERS.c.lead_id)
    )
    if lead_id is not None:
        wanted = wanted.where(OFFERS.c.lead_id == lead_id)
    rows = connection.execute(wanted).all()
    return [Waiting(row.lead_id, row.offers, row.reject_reason or row.answer) for row in rows]


def stopped_by(lead: Waiting, said: Mapping[str, int], attempts: int) -> Unplaced | None:
    """Why a lead is not offered on, whoever is left; None: it is.

    said      open questions about its data: reason of the rejection -> how many reps gave it
    attempts  how often a lead may be offered again
    """
    if "known_dead" in said:
        return Unplaced(lead.lead_id, {"known_dead": said["known_dead"]}, waits_for=queue.PERSON)
    if lead.offers > attempts:
        return Unplaced(lead.lead_id, {USED_UP: lead.offers}, waits_for=queue.PERSON)
    doubted = {
        reason: reps
        for reason, reps in said.items()
        if reason == "bad_data" or (reason in ("not_my_territory", "not_my_product") and reps >= AGREED)
    }
    return Unplaced(lead.lead_id, doubted, waits_for=queue.DATA) if doubted else None


def _judged(ledger: Ledger, config: Config, now: datetime) -> Iterator[tuple[Waiting, Unplaced | None]]:
    with ledger.reading() as connection:
        those = waiting(connection, now)
        said = asked_of(connection, [lead.lead_id for lead in those]) if those else {}
    for lead in those:
        yield lead, stopped_by(lead, said.get(lead.lead_id, {}), config.reoffers.attempts)


def _tried_again(ledger: Ledger, router: Router, now: datetime) -> dict[str, str]:
    """Offer unplaced leads that a rep may take by now, the oldest first, and say anew why the others are unplaced."""
    with ledger.reading() as connection:
        those = queue.listed(connection, now, waits_for=queue.REPS)
    known = router.look([lead.lead_id for lead in those]) if those else {}
    seen = [Unplaced(lead_id, placed.because, placed.until) for lead_id, placed in known.items()]
    told = {lead.lead_id: lead for lead in those}
    if changed := [
        lead for lead in seen if lead != told[lead.lead_id] and not queue.SETTLED & lead.because.keys()
    ]:  # fmt: skip
        with changing(ledger, now) as change:
            queue.put(change, changed)
    free, offered = [lead.lead_id for lead in those if lead.lead_id not in known], dict[str, str]()
    for lead_id in free[:MOST]:
        if router.look([lead_id]):  # one before it in this run took the place
            continue
        placed = _offered(router, lead_id, FREE)
        if placed is not None and placed.offer_id is not None:
            offered[lead_id] = placed.offer_id
    return offered


def _offered(router: Router, lead_id: str, reason: str) -> Placed | None:
    try:
        return router.offer(lead_id, reason)
    except CallsheetError as error:
        log.warning("Lead %s waits for its next offer: %s", lead_id, error)
        return None


def _unplace(ledger: Ledger, nobody: Unplaced, now: datetime) -> bool:
    """List a lead as unplaced; False: someone holds it, or it is listed already."""
    with changing(ledger, now) as change:
        if not queue.put(change, [nobody]):
            return False
        payload = {"because": dict(nobody.because), "waits_for": nobody.waits_for}
        audit(change, SLA.name, "unplace", nobody.lead_id, payload)
        return True
