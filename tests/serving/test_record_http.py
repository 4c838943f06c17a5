"""POST /record and GET /due over HTTP, on a service that follows the ledger and on one that answers from a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from serving.ledger import Ledger
from serving.wire.due import DueAnswer
from serving.wire.record import RecordAnswer
from tests.serving.conftest import Crm, Service, running
from tests.serving.databases import Site
from tests.serving.ledger.small import give, holds, offer, offer_of, table
from tests.serving.live.standing import fill, release

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def kept(crm: Crm, site: Site) -> Iterator[Ledger]:
    with closing(site.open()) as ledger:
        fill(ledger, crm)
        release(ledger, crm, site.home)
        leads = [row["lead_id"] for row in table(ledger, "leads") if row["lead_id"] not in holds(ledger)]
        rep = table(ledger, "reps")[0]["rep_id"]
        give(ledger, *(offer(f"F{n}", leads[n], rep, NOW - timedelta(hours=2)) for n in range(1, 5)))
        yield ledger


@pytest.fixture(scope="module")
def client(crm: Crm, site: Site, kept: Ledger) -> Iterator[httpx.Client]:
    with (
        running(crm.folder, crm.config_path, site.home, "--db", site.url, ledger=True) as service,
        httpx.Client(base_url=service.url, timeout=30) as made,
    ):
        yield made


def event(kind: str, event_id: str, offer_id: str, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(hours=1)
    return {"event_id": event_id, "offer_id": offer_id, "kind": kind, "at": at.isoformat()} | more


def test_events_are_recorded_and_a_retry_is_answered_as_before(client: httpx.Client, kept: Ledger) -> None:
    body = {"events": [event("accepted", "e1", "F1"), event("rejected", "e2", "F2", reason="bad_data", text="gone")]}
    first = client.post("/record", json=body, headers={"idempotency-key": "k1"})
    assert first.status_code == 200
    assert [r["result"] for r in RecordAnswer.model_validate(first.json()).model_dump()["results"]] == ["applied"] * 2
    again = client.post("/record", json=body, headers={"idempotency-key": "k1"})
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert offer_of(kept, "F1")["answer"] == "accepted"
    assert offer_of(kept, "F2")["reject_reason"] == "bad_data"
    other = client.post("/record", json={"events": body["events"][:1]}, headers={"idempotency-key": "k1"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


def test_each_event_of_a_request_has_a_result_of_its_own(client: httpx.Client) -> None:
    far = event("accepted", "e12", "F3") | {"at": (NOW + timedelta(days=2)).isoformat()}
    body = {
        "events": [event("accepted", "e10", "F3"), event("accepted", "e10", "F3"), event("expired", "e11", "F9"), far]
    }
    answer = client.post("/record", json=body)
    assert [r["result"] for r in answer.json()["results"]] == ["applied", "duplicate", "parked", "refused"]


def test_what_is_wrong_is_refused_at_its_field_and_nothing_of_the_request_is_kept(
    client: httpx.Client, kept: Ledger
) -> None:
    body = {"events": [event("accepted", "e20", "F4"), event("rejected", "e21", "F4", reason="no idea")]}
    answer = client.post("/record", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "events[1].reason")
    assert offer_of(kept, "F4")["answer"] is None


def test_what_is_due_is_listed_with_when_and_how_fast(client: httpx.Client) -> None:
    answer = client.get("/due", params={"limit": 2})
    assert answer.status_code == 200
    told = DueAnswer.model_validate(answer.json())
    assert len(told.items) == min(2, told.total)
    assert [item.due_at for item in told.items] == sorted(item.due_at for item in told.items)
    late = client.get("/due", params={"breached": "true"}).json()["items"]
    assert all(item["state"] != "open" for item in late)
    assert told.speed.offers >= 4
    assert client.get("/due", params={"rep_id": "nobody"}).json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("breached=maybe", "breached"), ("limit=0", "limit"), ("limit=1e3", "limit"), ("rep_id=", "rep_id"),
     ("limit=1&limit=2", "limit"), ("since=2026", "since")],
)  # fmt: skip
def test_a_parameter_that_is_wrong_is_refused_by_its_name(client: httpx.Client, query: str, field: str) -> None:
    answer = client.get(f"/due?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "input_invalid")
    assert answer.json()["error"]["field"] == field


def test_a_snapshot_keeps_no_events_and_knows_of_nothing_due(service: Service) -> None:
    body = json.dumps({"events": [event("accepted", "e1", "F1")]})
    headers = {"content-type": "application/json"}
    for answer in (
        httpx.post(f"{service.url}/record", content=body, headers=headers),
        httpx.get(f"{service.url}/due"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "commit_unavailable")
