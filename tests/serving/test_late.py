"""What is learned a month late is kept, and changes nothing of what was known in between: features of then stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.book import Book
from features.engine import Engine
from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.instants import micros
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.events import record
from tests.serving.conftest import Crm
from tests.serving.ledger.small import table

DAY = timedelta(days=1)


def book_of(ledger: Ledger, crm: Crm, now: datetime) -> Book:
    url = ledger.engine.url.render_as_string(hide_password=False)
    return Book.of(read_snapshot(url, config=crm.config, as_of=pd.Timestamp(now)), crm.config)


def late_events(offers: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """What befell offers of five to nine weeks ago, a month ago or longer: nobody had told."""
    made: list[dict[str, Any]] = []
    for row in offers:
        at, of = row["offered_at"], row["offer_id"]
        if not now - 63 * DAY < at < now - 35 * DAY:
            continue
        if row["answer"] == "expired":
            made.append({"event_id": f"yes-{of}", "offer_id": of, "kind": "accepted", "at": at + 4 * DAY})
        elif row["answer"] == "accepted" and row["opportunity_id"] is None:
            made.append(
                {"event_id": f"deal-{of}", "offer_id": of, "kind": "opportunity", "at": at + 3 * DAY,
                 "opportunity_id": f"late-{of}", "forecast_weight": 0.5, "stage": "proposal", "amount": 9_000.0}
            )  # fmt: skip
            made.append({"event_id": f"won-{of}", "offer_id": of, "kind": "won", "at": at + 4 * DAY})
    return made


@pytest.mark.parametrize("days", [3, 15, 29])
def test_what_was_known_in_between_stays_as_it_was(stocked: Ledger, crm: Crm, days: int) -> None:
    ledger = stocked
    now = crm.snapshot.now.to_pydatetime() + timedelta(minutes=1)
    before = book_of(ledger, crm, now)
    events = late_events(table(ledger, "offers"), now)
    with changing(ledger, now) as change:
        outcomes = record(change, crm.config, events, LOCAL)
    applied = {e["kind"] for e, o in zip(events, outcomes, strict=True) if o.result == "applied" and o.late}
    assert applied == {"accepted", "opportunity", "won"}
    after = book_of(ledger, crm, now + timedelta(minutes=1))

    rng = np.random.default_rng(days)
    leads = rng.choice(before.lead_ids, 400)
    reps = rng.choice(before.rep_ids, 400)
    then = micros(now - days * DAY)
    engine = Engine(before, crm.config)
    was = engine.matrix(leads, reps, then)
    same = Engine(after, crm.config, engine.vocabulary)
    np.testing.assert_array_equal(same.matrix(leads, reps, then).values, was.values)
    today = micros(now + timedelta(minutes=1))
    assert not np.array_equal(same.matrix(leads, reps, today).values, engine.matrix(leads, reps, today).values, True)
