"""Commits offers and what became of them until it is killed, and says each id as soon as it is committed.

Run as a process: for each line on its standard input it forks a writer, which ends by itself only where its database
does. `early` makes one that says a decision's id before it is committed, as nothing in the service does.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from contextlib import suppress
from datetime import timedelta

from features.schema import TABLES
from serving.actor import LOCAL
from serving.body import checked
from serving.instants import micros
from serving.ledger import Ledger, LedgerError
from serving.ledger.audit import record
from serving.ledger.change import changing
from serving.ledger.decisions import Decision, row_of
from serving.ledger.idempotency import Once, keep
from serving.ledger.offers import Desk
from serving.recording import record_events
from serving.wire.record import RecordAsk
from tests.serving.ledger.small import CONFIG, OFFERED

ROUTE = "/recommend_reps"
ANSWER = {
    "policy": "champion", "rung": "champion", "degraded_reason": None, "model_version": "1", "candidates": 1,
}  # fmt: skip


def main(url: str) -> None:
    """Fork a writer for each line, and say when it is over."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            with suppress(LedgerError):  # the database itself was killed
                write(url, early=line.strip() == "early")
            os._exit(1)
        say("pid", pid)
        os.waitpid(pid, 0)
        say("over")


def write(url: str, *, early: bool) -> None:
    """Offer a new lead and record that it was accepted, again and again."""
    ledger = Ledger(url)
    while True:
        offer_id = offer(ledger, f"L-{uuid.uuid4().hex}", early=early)
        event_id = f"E-{uuid.uuid4().hex}"
        told = {"event_id": event_id, "offer_id": offer_id, "kind": "accepted", "at": OFFERED.isoformat()}
        asked = checked(RecordAsk, json.dumps({"events": [told]}).encode())
        assert isinstance(asked, RecordAsk)
        record_events(ledger, CONFIG, asked.events, LOCAL, event_id, OFFERED + timedelta(hours=3))
        say("event", event_id)


def offer(ledger: Ledger, lead_id: str, *, early: bool) -> str:
    """A lead, its offer, the decision, the audit's row and the kept answer, in one change; the offer's id."""
    with changing(ledger, OFFERED) as change:
        row = row_of(
            ANSWER | {"lead_id": lead_id}, route=ROUTE, actor=LOCAL.name, at=OFFERED, seq=change.seq, config="",
            now=micros(OFFERED), content_hash=None, inputs_hash="",
        )  # fmt: skip
        made = Decision(row, {"items": []})
        if early:
            say("decision", made.decision_id)
        lead = {"lead_id": lead_id, "contact_id": "C1", "solution": "payments", "created_at": OFFERED}
        change.upsert("leads", [dict.fromkeys(TABLES["leads"].names) | lead])
        desk = Desk(change, "UTC")
        assert desk.pair(lead_id, "R2").rule is None
        offer_id = desk.offer(lead_id, "R2", decision_id=made.decision_id, policy="champion", propensity=1.0)
        made.write(change.connection)
        keep(change, Once.of(LOCAL.name, ROUTE, made.decision_id, {"lead_id": lead_id}), 200, "{}")
        record(change, LOCAL.name, "offer", made.decision_id, {"lead_id": lead_id, "offer_id": offer_id})
    if not early:
        say("decision", made.decision_id)
    return offer_id


def say(*words: object) -> None:
    """At once and as a whole, for the process may be killed at any instant."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1])
