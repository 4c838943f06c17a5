"""The ledger cannot be written: writers are told so, nothing is half there, answers go on, and it mends by itself."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import func, select, update

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from serving.ledger.tables import AUDIT, EVENTS, HOLDS, IDEMPOTENCY, LEDGER_CLOCK
from tests.faults.conftest import Served

# As the owner: who makes two changes cross sets a limit that only he may.
pytestmark = pytest.mark.owner


def post(served: Served, route: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return httpx.post(served.service.url + route, json=body, headers=headers, timeout=120)


def free_lead(served: Served) -> str:
    """A lead that a rep would be offered."""
    with served.ledger.reading() as connection:
        held = set(connection.execute(select(HOLDS.c.lead_id)).scalars())
        rows = connection.execute(select(OFFERS.c.lead_id).distinct().order_by(OFFERS.c.lead_id)).scalars().all()
    for lead_id in reversed(rows):
        if lead_id not in held and post(served, "/recommend_reps", {"lead_id": lead_id}).json().get("items"):
            return str(lead_id)
    raise AssertionError("no lead is free")


def workers_of(served: Served) -> set[int]:
    """The processes that answer; beside them may run a model's trial."""
    found = set()
    for child in psutil.Process(served.service.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just died
            if "--worker-id" in child.cmdline():
                found.add(child.pid)
    return found


def written(ledger: Ledger) -> list[int]:
    """How much there is of everything that a commit or an event writes."""
    with ledger.reading() as connection:
        return [
            int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (OFFERS, HOLDS, EVENTS, AUDIT, IDEMPOTENCY)
        ]


def asked_meanwhile(served: Served, lead_id: str, decision_id: str, offer_id: str) -> dict[str, httpx.Response]:
    """One of each kind, at once: what writes, and what only asks; in the order in which they were answered."""
    rep = {"rep_id": "nobody", "lead_id": lead_id}
    event = {"event_id": f"event-{lead_id}", "offer_id": offer_id, "kind": "accepted", "at": "2026-03-02T09:00:00Z"}
    account = {"account_id": f"A-{lead_id}", "name": "New", "country": "DE", "created_at": "2026-01-01T00:00:00Z"}
    url = served.service.url
    asks = {
        "commit": lambda: post(served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, f"commit-{lead_id}"),
        "record": lambda: post(served, "/record", {"events": [event]}, f"record-{lead_id}"),
        "ingest": lambda: post(served, "/ingest", {"tables": {"accounts": [account]}}, f"ingest-{lead_id}"),
        "advice": lambda: post(served, "/recommend_reps", {"lead_id": lead_id}),
        "score": lambda: post(served, "/score", {"pairs": [rep]}),
        "explain": lambda: httpx.get(f"{url}/explain/{decision_id}", timeout=120),
        "model": lambda: httpx.get(f"{url}/model", timeout=120),
        "ready": lambda: httpx.get(f"{url}/readyz", timeout=120),
    }
    with ThreadPoolExecutor(len(asks)) as pool:
        made = {pool.submit(ask): name for name, ask in asks.items()}
        return {made[one]: one.result() for one in as_completed(made)}


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Somebody else's transaction has written, and does not end."""
    with ledger.writing() as connection:
        connection.execute(update(LEDGER_CLOCK).values(seq=LEDGER_CLOCK.c.seq))
        yield


@contextmanager
def full(served: Served) -> Iterator[None]:
    """No process of the service can write to any file, its logs included."""
    supervisor = psutil.Process(served.service.process.pid)
    pids = [supervisor.pid, *(child.pid for child in supervisor.children(recursive=True))]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def refused_and_mended(served: Served, failing: Any) -> dict[str, httpx.Response]:
    """What was answered meanwhile; every write was refused, left nothing, and is done by its retry afterwards."""
    lead_id = free_lead(served)
    made = post(served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, f"before-{lead_id}").json()
    decision_id, offer_id = made["decision_id"], made["items"][0]["offer_id"]
    lead_id = free_lead(served)
    before = written(served.ledger)
    workers = workers_of(served)
    with failing:
        said = asked_meanwhile(served, lead_id, decision_id, offer_id)
    for name in ("commit", "record", "ingest"):
        assert (said[name].status_code, said[name].json()["error"]["code"]) == (503, "ledger_unavailable"), name
        assert int(said[name].headers["retry-after"]) >= 1
    assert {name: said[name].status_code for name in ("advice", "explain", "model", "ready")} == dict.fromkeys(
        ("advice", "explain", "model", "ready"), 200
    )
    assert said["score"].json()["error"]["code"] == "rep_unknown"  # it was computed
    assert said["advice"].json()["items"]
    assert written(served.ledger) == before
    again = asked_meanwhile(served, lead_id, decision_id, offer_id)
    assert {name: again[name].status_code for name in ("commit", "record", "ingest", "advice")} == dict.fromkeys(
        ("commit", "record", "ingest", "advice"), 200
    )
    assert again["commit"].json()["items"][0]["offer_id"]
    assert again["record"].json()["results"][0]["result"] == "applied"
    with served.ledger.reading() as connection:
        assert verify(connection) is None
        if served.ledger.journal:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
    assert workers_of(served) == workers
    return said


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [1, 5])
def test_who_writes_while_somebody_holds_the_ledger_for_a_while_is_answered_when_it_is_free(
    served: Served, seconds: int
) -> None:
    lead_id, key = free_lead(served), f"waits-{seconds}"
    with ThreadPoolExecutor(1) as pool:
        with held(served.ledger):
            asked = pool.submit(post, served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, key)
            time.sleep(seconds)
            assert not asked.done()
        said = asked.result()
    assert (said.status_code, said.headers.get("idempotent-replayed")) == (200, None)
    assert said.json()["items"][0]["offer_id"]


def test_a_ledger_that_somebody_holds_refuses_writes_after_a_while_and_nothing_else(served: Served) -> None:
    said = refused_and_mended(served, held(served.ledger))
    assert set(list(said)[:5]) == {"advice", "score", "explain", "model", "ready"}  # no question waits like a write
    # SQLite lets nobody else write; on PostgreSQL only writers that count the clock up wait for each other.
    assert said["advice"].json()["advice_only"] is (served.ledger.journal is not None)


@pytest.mark.faults
@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_a_change_that_the_database_ends_in_favour_of_another_is_made_again(served: Served) -> None:
    """Shown to fail where an answer is not begun anew: 503."""
    lead_id = free_lead(served)
    made = post(served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, f"crossed-{lead_id}").json()
    offer_id = made["items"][0]["offer_id"]
    at = datetime.now(UTC).isoformat()
    event = {"event_id": f"crossed-{lead_id}", "offer_id": offer_id, "kind": "accepted", "at": at}
    with ThreadPoolExecutor(1) as pool:
        with served.ledger.writing() as connection:
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '60s'")  # so that it is the other who notices
            connection.execute(select(OFFERS).where(OFFERS.c.offer_id == offer_id).with_for_update())
            recorded = pool.submit(post, served, "/record", {"events": [event]}, f"crossed-{lead_id}")
            while not waiting(served.ledger):
                time.sleep(0.01)
            connection.execute(update(LEDGER_CLOCK).values(seq=LEDGER_CLOCK.c.seq))
        said = recorded.result()
    assert (said.status_code, [one["result"] for one in said.json()["results"]]) == (200, ["applied"])
    with served.ledger.reading() as connection:
        kept = select(func.count()).select_from(EVENTS).where(EVENTS.c.event_id == event["event_id"])
        assert connection.execute(kept).scalar_one() == 1
        assert verify(connection) is None


def waiting(ledger: Ledger) -> int:
    """How many wait for a lock of the database."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ledger.reading() as connection:
        return int(connection.exec_driver_sql(waits).scalar_one())


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_disk_that_takes_no_more_refuses_writes_and_nothing_else(served: Served) -> None:
    said = refused_and_mended(served, full(served))
    assert said["advice"].json()["advice_only"] is True
    assert said["advice"].json()["decision_id"] is None
