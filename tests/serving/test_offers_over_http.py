"""Offers as callers meet them: a real service of two workers on a ledger; committed once, explained, given once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.load import load
from serving.ledger.tables import HOLDS
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import Site


@pytest.fixture(scope="module")
def on_ledger(crm: Crm, site: Site) -> Iterator[Service]:
    home = make_home(crm, site.home, site.url)
    with closing(site.open()) as ledger:
        load(ledger, crm.snapshot)
    with running(crm.folder, crm.config_path, home, "--db", site.url, "--workers", "2", ledger=True) as made:
        yield made


@pytest.fixture(scope="module")
def http(on_ledger: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=on_ledger.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def ledger(site: Site) -> Iterator[Ledger]:
    with closing(site.open()) as opened:
        yield opened


def open_leads(http: httpx.Client) -> list[str]:
    answer = http.post("/plan", json={"week": week(http), "dry_run": True}).json()
    return [line["lead_id"] for line in answer["assignments"]]


def week(http: httpx.Client) -> str:
    from datetime import datetime

    year, number, _ = datetime.fromisoformat(http.get("/model").json()["as_of"]).isocalendar()
    return f"{year}-W{number:02d}"


def commit(http: httpx.Client, route: str, body: dict[str, Any], key: str) -> httpx.Response:
    return http.post(route, json=body | {"commit": True}, headers={"Idempotency-Key": key})


def test_every_answer_is_a_decision_that_can_be_explained(http: httpx.Client) -> None:
    lead_id = open_leads(http)[0]
    answer = http.post("/recommend_reps", json={"lead_id": lead_id, "k": 3}).json()
    assert not answer["advice_only"]
    said = http.get(f"/explain/{answer['decision_id']}").json()
    assert said["replay"]["agrees"] is True
    assert [item["rep_id"] for item in said["items"]] == [item["rep_id"] for item in answer["items"]]
    assert any(item["reasons"] for item in said["items"])
    unknown = http.get("/explain/D-none")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "decision_unknown")


def test_a_commit_takes_a_key_and_its_retry_gets_the_same_answer(http: httpx.Client, ledger: Ledger) -> None:
    lead_id = open_leads(http)[0]
    bare = http.post("/recommend_reps", json={"lead_id": lead_id, "commit": True})
    assert (bare.status_code, bare.json()["error"]["code"]) == (400, "idempotency_key_missing")
    first = commit(http, "/recommend_reps", {"lead_id": lead_id, "k": 2}, "one")
    again = commit(http, "/recommend_reps", {"lead_id": lead_id, "k": 2}, "one")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    other = commit(http, "/recommend_reps", {"lead_id": lead_id, "k": 3}, "one")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")
    offer_id = first.json()["items"][0]["offer_id"]
    with ledger.reading() as connection:
        (offer,) = connection.execute(select(OFFERS).where(OFFERS.c.offer_id == offer_id)).all()
        assert verify(connection) is None
    assert (offer.lead_id, offer.rep_id) == (lead_id, first.json()["items"][0]["rep_id"])
    sheet = http.post("/recommend_leads", json={"rep_id": offer.rep_id, "k": 100}).json()
    assert offer_id in [item["offer_id"] for item in sheet["items"]]


def test_an_inline_lead_is_stored_by_its_commit(http: httpx.Client, ledger: Ledger, crm: Crm) -> None:
    stored = crm.snapshot.tables["leads"].set_index("lead_id").loc[open_leads(http)[0]]
    lead = {"lead_id": "inline-1", "contact_id": stored["contact_id"], "solution": stored["solution"]}
    made = commit(http, "/recommend_reps", {"lead": lead, "k": 1}, "inline")
    assert made.status_code == 200, made.text
    assert made.json()["items"][0]["offer_id"]
    with ledger.reading() as connection:
        row = connection.execute(select(CRM["leads"]).where(CRM["leads"].c.lead_id == "inline-1")).one()
    assert row.solution == stored["solution"]
    assert commit(http, "/recommend_reps", {"lead": lead, "k": 1}, "inline").json() == made.json()


def test_racing_callers_of_two_workers_give_no_lead_twice(
    http: httpx.Client, ledger: Ledger, on_ledger: Service
) -> None:
    leads = open_leads(http)[:20]

    def call(number: int) -> list[int]:
        with httpx.Client(base_url=on_ledger.url, timeout=60) as client:
            return [
                commit(client, "/recommend_reps", {"lead_id": lead_id, "k": 1}, f"race-{number}-{lead_id}").status_code
                for lead_id in leads
            ]

    with ThreadPoolExecutor(16) as pool:
        statuses = {status for part in pool.map(call, range(16)) for status in part}
    assert statuses <= {200, 429, 503}
    with ledger.reading() as connection:
        rows = connection.execute(
            select(OFFERS).where(OFFERS.c.lead_id.in_(leads), OFFERS.c.decision_id.like("D-%"))
        ).all()
        held = connection.execute(select(HOLDS.c.lead_id).where(HOLDS.c.lead_id.in_(leads))).scalars().all()
        assert verify(connection) is None
    assert len(rows) == len({row.lead_id for row in rows}) == len(held) == len(leads)


def test_a_committed_plan_leaves_nothing_that_could_still_be_placed(http: httpx.Client) -> None:
    body = {"week": week(http), "dry_run": False}
    made = http.post("/plan", json=body, headers={"Idempotency-Key": "plan"})
    assert made.status_code == 200, made.text
    assert all(line["offer_id"] for line in made.json()["assignments"])
    assert http.post("/plan", json=body, headers={"Idempotency-Key": "plan"}).json() == made.json()
