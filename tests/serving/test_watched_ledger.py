"""A service on a ledger, watched: its offers, feedback and lag are counted, and nothing personal is logged of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.unplaced import PERSON, Unplaced, put
from tests.serving.conftest import Crm, Service, running
from tests.serving.databases import Site
from tests.serving.ledger.small import give, holds, offer, table
from tests.serving.live.standing import fill, release
from tests.serving.test_metrics import Samples, scrape, total

CANARY = "zz-canary-7f3@example.test"


@pytest.fixture(scope="module")
def watched(crm: Crm, site: Site) -> Iterator[Service]:
    """With an offer F1 that is long overdue, and a lead that waits for a person."""
    ledger = site.open()
    fill(ledger, crm)
    release(ledger, crm, site.home)
    lead, other = [
        row["lead_id"] for row in table(ledger, "leads") if row["lead_id"] not in holds(ledger) and not row["closed_at"]
    ][:2]
    with changing(ledger) as change:
        put(change, [Unplaced(other, {"already_offered": 3}, waits_for=PERSON)])
    give(ledger, offer("F1", lead, table(ledger, "reps")[0]["rep_id"], datetime.now(UTC) - timedelta(days=60)))
    ledger.close()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CALLSHEET_LOG", "json")
        with running(crm.folder, crm.config_path, site.home, "--db", site.url, ledger=True) as made:
            yield made


def once(service: Service, seen: Callable[[Samples], bool]) -> Samples:
    """The first scrape of which it holds."""
    deadline = time.monotonic() + 60
    while not seen(samples := scrape(service)):
        assert time.monotonic() < deadline, samples
        time.sleep(0.2)
    return samples


def test_what_no_request_tells_is_told(watched: Service) -> None:
    samples = once(
        watched,
        lambda s: total(s, "callsheet_offers_overdue") >= 1 and total(s, "callsheet_ledger_lag_changes") == 0,
    )
    unplaced = {who["waits_for"]: n for who, n in samples["callsheet_leads_unplaced"]}
    assert {what: unplaced[what] for what in ("reps", "data", "person")} == {"reps": 0, "data": 0, "person": 1}
    assert unplaced["plan"] > 50  # nobody asked about the sample's open leads
    assert 0 < total(samples, "callsheet_ledger_stale_seconds") < 60


def test_offers_and_feedback_are_counted_and_say_nothing_of_anyone(watched: Service, site: Site, crm: Crm) -> None:
    contact = {"contact_id": "C-canary", "account_id": str(crm.book.account_ids[0]), "email": CANARY, "title": CANARY}
    lead = {"lead_id": "L-new", "contact": contact, "solution": crm.book.solutions.values[0]}
    said = {"event_id": "e1", "offer_id": "F1", "kind": "rejected", "reason": "other", "text": f"ask {CANARY}",
            "at": datetime.now(UTC).isoformat()}  # fmt: skip
    with httpx.Client(base_url=watched.url, timeout=60) as http:
        made = http.post(
            "/recommend_reps", json={"lead": lead, "commit": True}, headers={"idempotency-key": f"{CANARY}"}
        )
        assert made.status_code == 200, made.text
        for _ in range(2):
            assert http.post("/record", json={"events": [said]}).status_code == 200
        assert http.post("/record", json={"events": [said | {"kind": CANARY}]}).status_code == 400
        assert http.get(f"/explain/{made.json()['decision_id']}").status_code == 200
        assert http.get(f"/explain/{CANARY}").status_code == 404
        assert http.get(f"/due?limit={CANARY}").status_code == 400
    counted = once(watched, lambda s: total(s, "callsheet_request_duration_seconds_count", route="/due") >= 1)
    assert total(counted, "callsheet_feedback_total", result="applied") == 1
    assert total(counted, "callsheet_feedback_total", result="duplicate") == 1
    assert total(counted, "callsheet_feedback_lag_seconds_count") == 1
    assert total(counted, "callsheet_decisions_total", given="offer" if made.json()["items"] else "decision") == 1
    assert total(counted, "callsheet_request_duration_seconds_count", route="/explain/{decision_id}") == 2
    assert CANARY not in json.dumps(counted)
    assert CANARY not in (watched.home / "serve.log").read_text()
    with closing(site.open()) as ledger, ledger.reading() as connection:
        assert verify(connection) is None
