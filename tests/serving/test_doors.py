"""Ingest and erase as their callers meet them: a real service on a ledger, which answers at once with what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest

from serving.ledger.load import load
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import Site
from tests.serving.ledger.test_erase import everything

CANARY = "zz-canary-7f3@example.test"


@pytest.fixture(scope="module")
def standing(crm: Crm, site: Site) -> Iterator[Service]:
    """The service on a ledger that holds the small CRM."""
    home = make_home(crm, site.home, site.url)
    with closing(site.open()) as ledger:
        load(ledger, crm.snapshot)
    with running(crm.folder, crm.config_path, home, "--db", site.url, ledger=True) as made:
        yield made


@pytest.fixture(scope="module")
def http(standing: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=standing.url, timeout=30) as client:
        yield client


def now() -> str:
    return datetime.now(UTC).isoformat()


def newcomer(name: str, account_id: str) -> dict[str, list[dict[str, Any]]]:
    """A contact with a lead, as a form brings them."""
    contact = {
        "contact_id": f"C-{name}",
        "account_id": account_id,
        "title": "CFO",
        "email": CANARY,
        "created_at": now(),
    }
    lead = {"lead_id": f"L-{name}", "contact_id": f"C-{name}", "solution": "payments", "created_at": now()}
    return {"contacts": [contact], "leads": [lead]}


@pytest.fixture
def account(crm: Crm) -> str:
    return str(crm.snapshot.tables["accounts"]["account_id"][0])


def test_an_ingested_lead_is_in_the_very_next_answer(http: httpx.Client, account: str) -> None:
    assert http.post("/recommend_reps", json={"lead_id": "L-one"}).status_code == 404
    answer = http.post("/ingest", json={"tables": newcomer("one", account)})
    assert answer.status_code == 200
    assert answer.json()["rows"] == {"contacts": 1, "leads": 1}
    ranked = http.post("/recommend_reps", json={"lead_id": "L-one"})
    assert ranked.status_code == 200
    assert ranked.json()["candidates"] > 0
    later = http.post("/ingest", json={"tables": {"leads": [{"lead_id": "L-one", "status": "closed"}]}}).json()
    assert later["seq"] > answer.json()["seq"]
    closed = http.post("/recommend_reps", json={"lead_id": "L-one"}).json()
    assert set(closed["refused"]) & {"lead_closed"} or closed["items"] == []


def test_bentoml_s_own_client_ingests_by_field(standing: Service, account: str) -> None:
    with bentoml.SyncHTTPClient(standing.url) as client:
        assert client.ingest(tables=newcomer("bento", account))["rows"] == {"contacts": 1, "leads": 1}


def test_the_same_key_is_one_ingest(http: httpx.Client, account: str) -> None:
    body, key = {"tables": newcomer("twice", account)}, {"idempotency-key": "twice-1"}
    first = http.post("/ingest", json=body, headers=key)
    again = http.post("/ingest", json=body, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = http.post("/ingest", json={"tables": newcomer("thrice", account)}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("tables", "code", "field"),
    [
        ({"touches": [{}] * 5_001}, "input_invalid", "tables"),
        ({"meetings": [{"rep_id": 7}]}, "input_invalid", "tables.meetings[0].rep_id"),
        ({"meetings": [{"rep_id": "R", "starts": now()}]}, "input_invalid", "tables.meetings[0].starts"),
        ({"nonsense": []}, "input_invalid", "tables.nonsense"),
        ({"reps": [{"name": "no key"}]}, "input_invalid", "tables.reps[0].rep_id"),
        ({"accounts": [{"account_id": "A", "employees": -1}]}, "input_invalid", "tables.accounts[0].employees"),
        ({"reps": [{"rep_id": "R-new", "name": "no role"}]}, "table_invalid", "tables.reps[0].role"),
        ({"contacts": [{"contact_id": "C-y", "account_id": "A-x"}]}, "table_invalid", "tables.contacts[0].created_at"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused_by_its_place(http: httpx.Client, tables: Any, code: str, field: str) -> None:
    answer = http.post("/ingest", json={"tables": tables})
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == (code, field)


def test_an_erased_contact_is_known_no_more_and_in_no_file(
    standing: Service, site: Site, http: httpx.Client, account: str
) -> None:
    http.post("/ingest", json={"tables": newcomer("gone", account)})
    for name in ("one", "bento", "twice"):
        http.post("/erase", json={"contact_id": f"C-{name}"})
    answer = http.post("/erase", json={"contact_id": "C-gone"})
    assert answer.status_code == 200
    assert (answer.json()["before"], answer.json()["scrubbed"]) == (False, True)
    assert http.post("/recommend_reps", json={"lead_id": "L-gone"}).json()["items"] == []
    assert http.post("/erase", json={"contact_id": "C-gone"}).json()["before"] is True
    unknown = http.post("/erase", json={"contact_id": "C-nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "contact_unknown")
    back = http.post("/ingest", json={"tables": newcomer("gone", account)})
    assert (back.status_code, back.json()["error"]["code"]) == (409, "contact_erased")
    contact = {"contact_id": "C-gone", "account_id": account}
    inline = {"lead": {"solution": "payments", "contact": contact}, "commit": True}
    commit = http.post("/recommend_reps", json=inline, headers={"idempotency-key": "gone-1"})
    assert (commit.status_code, commit.json()["error"]["field"]) == (409, "lead.contact.contact_id")
    files = [p for p in Path(standing.home).rglob("*") if p.is_file()]
    assert [p.name for p in files if CANARY.encode() in p.read_bytes()] == []
    with closing(site.open()) as ledger:  # whose files are not in there on PostgreSQL
        assert CANARY not in everything(ledger)


def test_on_a_snapshot_nothing_is_taken_in(service: Service, account: str) -> None:
    for route, body in (("/ingest", {"tables": newcomer("x", account)}), ("/erase", {"contact_id": "C-x"})):
        answer = httpx.post(f"{service.url}{route}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "commit_unavailable")
