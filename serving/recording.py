"""Answers /record: a request's events in one change, with its row in the audit and the answer kept for its key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from features.config import Config
from serving import metrics
from serving.actor import Actor
from serving.decided import Decided, replayed
from serving.ledger import Ledger
from serving.ledger.audit import record as audit
from serving.ledger.change import changing
from serving.ledger.events import record, wordless
from serving.ledger.idempotency import Once, keep
from serving.wire.record import Event, RecordAsk, told

ROUTE: Final = "/record"


def record_events(
    ledger: Ledger, config: Config, events: Sequence[Event], actor: Actor, key: str | None, now: datetime | None = None
) -> Decided:
    """Record a request's events: all that can be, in one change.

    key      the caller's Idempotency-Key: a retry with it gets this answer again. Without one a retry gets duplicates,
             for each event has its effect once anyway
    Raises   KeyRefused, LedgerError; then nothing was recorded
    """
    said = RecordAsk.model_construct(events=list(events)).model_dump(mode="json", exclude_none=True)
    once = Once.of(actor.whose, ROUTE, key, said) if key is not None else None
    with changing(ledger, now or datetime.now(UTC)) as change:
        if before := replayed(change.connection, once):
            return before
        outcomes = record(change, config, wordless(change.connection, [told(event) for event in events]), actor)
        answer = {"results": [asdict(outcome) for outcome in outcomes]}
        offers = sorted({event.offer_id for event in events})
        kept = {"events": wordless(change.connection, said["events"])}
        audit(change, actor.name, "record", " ".join(offers), said | kept | answer)
        if once is not None:
            keep(change, once, 200, json.dumps(answer, ensure_ascii=False))
        received = change.at
    for event, outcome in zip(events, outcomes, strict=True):
        metrics.FEEDBACK.labels(outcome.result).inc()
        if outcome.result in ("applied", "parked"):
            metrics.FEEDBACK_LAG.observe(max(0.0, (received - event.at).total_seconds()))
        if outcome.result == "applied" and event.kind == "reassigned":
            metrics.OFFERS.labels("manual", ROUTE).inc()
    return Decided(answer)
