"""Answers /record: a request's events in one change, with its row in the audit and the answer kept for its key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from features.config import Config
from serving import metrics
from serving.actor import Actor
from serving.ledger import Ledger
from serving.ledger.audit import record as audit
from serving.ledger.change import changing
from serving.ledger.events import record
from serving.ledger.idempotency import Once, keep, stored
from serving.wire.record import Event, RecordAsk, told

ROUTE: Final = "/record"


@dataclass(frozen=True)
class Recorded:
    """The answer; replayed: it was committed before, under the same key."""

    answer: Mapping[str, Any]
    replayed: bool = False


def record_events(
    ledger: Ledger, config: Config, events: Sequence[Event], actor: Actor, key: str | None, now: datetime | None = None
) -> Recorded:
    """Record a request's events: all that can be, in one change.

    key      the caller's Idempotency-Key: a retry with it gets this answer again. Without one a retry gets duplicates,
             for each event has its effect once anyway
    Raises   KeyRefused, LedgerError; then nothing was recorded
    """
    said = RecordAsk.model_construct(events=list(events)).model_dump(mode="json", exclude_none=True)
    once = Once.of(actor.name, ROUTE, key, said) if key is not None else None
    with changing(ledger, now or datetime.now(UTC)) as change:
        before = stored(change.connection, once) if once is not None else None
        if before is not None:
            return Recorded(json.loads(before.body), replayed=True)
        outcomes = record(change, config, [told(event) for event in events], actor)
        answer = {"results": [asdict(outcome) for outcome in outcomes]}
        offers = sorted({event.offer_id for event in events})
        audit(change, actor.name, "record", " ".join(offers), said | answer)
        if once is not None:
            keep(change, once, 200, json.dumps(answer, ensure_ascii=False))
        received = change.at
    for event, outcome in zip(events, outcomes, strict=True):
        metrics.FEEDBACK.labels(outcome.result).inc()
        if outcome.result in ("applied", "parked"):
            metrics.FEEDBACK_LAG.observe(max(0.0, (received - event.at).total_seconds()))
    return Recorded(answer)
