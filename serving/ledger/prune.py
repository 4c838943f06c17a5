"""Takes out what nobody asks for any more: the journal that every worker has followed, and decisions past retention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select, update

from features.config import Config
from serving.ledger import audit
from serving.ledger.change import changing
from serving.ledger.crm import OFFERS
from serving.ledger.database import Ledger
from serving.ledger.tables import DECISION_DETAILS, DECISIONS, JOURNAL, LEDGER_CLOCK, SHADOWS

#: How long the journal is kept; whoever is further behind reads everything anew.
FOLLOWED: Final = timedelta(days=7)
#: How much older its oldest row may be before the minute's work prunes.
SLACK: Final = timedelta(days=1)
#: Decisions that are taken out in one change; others write in between.
BATCH: Final = 2_000


@dataclass(frozen=True)
class Pruned:
    """Rows that went: of the journal; what explained decisions; and decisions that made no offer."""

    journal: int = 0
    details: int = 0
    decisions: int = 0


def is_due(ledger: Ledger, now: datetime) -> bool:
    """Whether the journal's oldest row has been kept for long enough: about once a day."""
    oldest = select(JOURNAL.c.at).order_by(JOURNAL.c.seq, JOURNAL.c.place).limit(1)
    with ledger.reading() as connection:
        at = connection.execute(oldest).scalar()
    return at is not None and at < now - FOLLOWED - SLACK


def prune(ledger: Ledger, config: Config, now: datetime) -> Pruned:
    """Prune once. The audit, events and offers stay, so its chain and the reps' records are what they were.

    A decision older than `retention.decisions` loses what explains it; one that made no offer goes. Raises LedgerError.
    """
    with changing(ledger, now) as change:
        upto = change.connection.execute(select(func.max(JOURNAL.c.seq)).where(JOURNAL.c.at < now - FOLLOWED)).scalar()
        journal = 0
        if upto is not None:
            journal = change.connection.execute(delete(JOURNAL).where(JOURNAL.c.seq <= upto)).rowcount
            change.connection.execute(update(LEDGER_CLOCK).values(journal_from=upto))
    details = decisions = 0
    before = now - timedelta(microseconds=config.retention.decisions.microseconds)
    for old in _old(ledger, before):
        with changing(ledger, now) as change:
            details += change.connection.execute(
                delete(DECISION_DETAILS).where(DECISION_DETAILS.c.decision_id.in_(old))
            ).rowcount
            change.connection.execute(delete(SHADOWS).where(SHADOWS.c.decision_id.in_(old)))
            made = select(OFFERS.c.decision_id).where(OFFERS.c.decision_id.in_(old))
            idle = DECISIONS.c.decision_id.in_(old), DECISIONS.c.decision_id.not_in(made)
            decisions += change.connection.execute(delete(DECISIONS).where(*idle)).rowcount
            audit.record(change, "retention", "prune", before.isoformat(), {"decisions": len(old)})
    return Pruned(journal, details, decisions)


def _old(ledger: Ledger, before: datetime) -> Iterator[list[str]]:
    """Decisions older than that of which there is more than the row of an offer's."""
    explained = DECISIONS.c.decision_id.in_(select(DECISION_DETAILS.c.decision_id))
    idle = DECISIONS.c.decision_id.not_in(select(OFFERS.c.decision_id).where(OFFERS.c.decision_id.is_not(None)))
    wanted = select(DECISIONS.c.decision_id).where(DECISIONS.c.at < before, explained | idle).limit(BATCH)
    while True:
        with ledger.reading() as connection:
            found = list(connection.execute(wanted).scalars())
        if not found:
            return
        yield found
