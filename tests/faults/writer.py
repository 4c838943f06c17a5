"""Decides on new leads, commits and records what became of it until it is killed, and says each as soon as it is so.

Run as a process: for each line on its standard input it forks a writer, which ends by itself only where its database
does. A decision is said by the key that its caller would have sent. `early` makes a writer that says it before the
answer is there, as nothing in the service does.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from contextlib import closing, suppress
from datetime import UTC, datetime

from serving.actor import LOCAL
from serving.body import checked
from serving.decide import Decider
from serving.ladder import RULES
from serving.ledger import Ledger, LedgerError
from serving.ledger.idempotency import Once
from serving.live import ledger_book
from serving.recommend import Recommender
from serving.recording import record_events
from serving.wire.record import RecordAsk
from tests.serving.ledger.small import CONFIG

ROUTE = "recommend_reps"


def main(url: str) -> None:
    """Fork a writer for each line, and say when it is over. What they rank by is read once for all."""
    with closing(Ledger(url)) as ledger:
        recommender = deciding(ledger).now()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            with suppress(LedgerError):  # the database itself was killed
                say("pid", os.getpid())  # its first word, for whoever reads takes it for that
                write(url, recommender, early=line.strip() == "early")
            os._exit(1)
        os.waitpid(pid, 0)
        say("over")


def deciding(ledger: Ledger) -> Decider:
    """Decides by the rules on what the ledger holds now."""
    recommender = Recommender(ledger_book(ledger, CONFIG), CONFIG, RULES)
    return Decider(ledger, CONFIG, lambda: recommender)


def write(url: str, recommender: Recommender, *, early: bool) -> None:
    """Offer a new lead and record that it was accepted, again and again."""
    ledger = Ledger(url)
    decider = Decider(ledger, CONFIG, lambda: recommender)
    while True:
        key = f"K-{uuid.uuid4().hex}"
        if early:
            say("decision", key)
        offer_id = offer(decider, key)
        if not early:
            say("decision", key)
        event_id = f"E-{uuid.uuid4().hex}"
        now = datetime.now(UTC)
        told = {"event_id": event_id, "offer_id": offer_id, "kind": "accepted", "at": now.isoformat()}
        asked = checked(RecordAsk, json.dumps({"events": [told]}).encode())
        assert isinstance(asked, RecordAsk)
        record_events(ledger, CONFIG, asked.events, LOCAL, event_id, now)
        say("event", event_id)


def offer(decider: Decider, key: str | None = None) -> str:
    """Have a lead that is not stored yet offered, as `commit` of POST /recommend_reps does; the offer's id."""
    lead = {"lead_id": f"L-{uuid.uuid4().hex}", "contact_id": "C1", "solution": "payments"}
    once = Once.of(LOCAL.name, ROUTE, key or uuid.uuid4().hex, {"lead": lead})
    said = decider.reps(None, lead, 1, actor=LOCAL, once=once).answer
    return str(said["items"][0]["offer_id"])


def say(*words: object) -> None:
    """At once and as a whole, for the process may be killed at any instant."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1])
