"""The service under clients that are slow, many, or never end: a normal one is answered, and work stays bounded."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import select
from starlette.responses import Response

from serving import deadline
from serving.body import checked
from serving.deadline import DeadlinePassed
from serving.edge import PASSED, Edge
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.tables import IDEMPOTENCY
from serving.routes import ROUTES
from serving.turns import FOR_OTHERS, RUNNING, WAITING, WRITING
from serving.wire.base import MAX_BODY
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import BOTH
from tests.serving.live.standing import fill

JSON = {"content-type": "application/json"}
POST = b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def answer(line: socket.socket) -> bytes:
    """All that comes until the end of the body; the answers here are small."""
    line.settimeout(30)
    got = line.recv(65536)
    while got and b"\r\n\r\n" not in got:
        got += line.recv(65536)
    return got


def test_two_hundred_half_sent_bodies_leave_a_normal_client_its_answer(service: Service, http: httpx.Client) -> None:
    with ExitStack() as open_ones:
        for _ in range(200):
            line = open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
            line.sendall(POST + b'content-length: 1000\r\n\r\n{"pairs": [')
        assert http.post("/score", json={"pairs": []}).status_code == 200
        assert http.get("/livez").status_code == 200


def test_two_hundred_half_sent_headers_leave_a_normal_client_its_answer(service: Service, http: httpx.Client) -> None:
    with ExitStack() as open_ones:
        for _ in range(200):
            line = open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
            line.sendall(b"POST /score HTTP/1.1\r\nhost: localhost\r\nx-long: ")
        assert http.post("/score", json={"pairs": []}).status_code == 200
        assert b" 408 " in answer(line)  # they are given up


@pytest.mark.parametrize("header", [{"x-forwarded-for": "203.0.113.9"}, {"host": "callsheet.example.test"}])
def test_a_proxy_on_this_machine_does_not_open_the_service_to_others(
    http: httpx.Client, header: dict[str, str]
) -> None:
    assert http.get("/model").status_code == 200
    assert http.get("/model", headers=header).status_code == 401


def test_many_at_once_are_answered_or_told_to_wait_and_probes_are_not_held_up(
    service: Service, http: httpx.Client
) -> None:
    many = 3 * (RUNNING + WAITING)
    answers: list[httpx.Response] = []
    probes: list[int] = []
    start = threading.Barrier(many + 1)
    body = {"pairs": [{"lead_id": "nobody", "rep_id": "nobody"}] * 4_000}

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            start.wait()
            answers.append(client.post("/score", json=body))

    threads = [threading.Thread(target=ask) for _ in range(many)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        probes.append(http.get("/livez").status_code)
        time.sleep(0.02)
    assert len(answers) == many
    assert set(probes) == {200}
    for got in answers:
        assert got.status_code in (404, 503), got.text
        if got.status_code == 503:
            assert got.json()["error"]["code"] == "overloaded"
            assert int(got.headers["retry-after"]) >= 1
    assert http.post("/score", json={"pairs": []}).status_code == 200


@pytest.mark.parametrize("where", BOTH, indirect=True)
def test_what_is_being_answered_when_told_to_stop_is_answered(crm: Crm, ledger: Ledger, tmp_path: Path) -> None:
    """A body that was half there when SIGTERM came, and a commit that waited for the ledger."""
    home = make_home(crm, tmp_path / "home", ledger.url)
    fill(ledger, crm)
    body, commit = b'{"pairs": []}', b'{"lead_id": "%b", "commit": true}' % crm.book.lead_ids[-1].encode()
    with (
        running(crm.folder, crm.config_path, home, "--db", ledger.url, ledger=True) as service,
        ExitStack() as open_ones,
    ):
        asking, committing = (
            open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30)) for _ in range(2)
        )
        asking.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body[:5])
        with ledger.writing():
            head = POST.replace(b"/score", b"/recommend_reps") + b"idempotency-key: k\r\n"
            committing.sendall(head + b"content-length: %d\r\n\r\n" % len(commit) + commit)
            assert httpx.get(f"{service.url}/livez", timeout=30).status_code == 200  # so both were taken before it
            service.process.send_signal(signal.SIGTERM)
            time.sleep(1)
        asking.sendall(body[5:])
        assert answer(asking).startswith(b"HTTP/1.1 200")
        assert answer(committing).startswith(b"HTTP/1.1 200")
        assert service.process.wait(60) == 0
    with ledger.reading() as connection:
        assert connection.execute(select(IDEMPOTENCY.c.key)).scalars().all() == ["k"]
        assert verify(connection) is None


# -- BentoML's own deadline, with the edge before it ------------------------------------------------------------------


def in_process(app: Any) -> httpx.AsyncClient:
    """A client of the edge before an application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(Edge(app)), base_url="http://x", headers=JSON)


class Slow:
    """What the service's methods are to the edge, but slower than BentoML's deadline."""

    at_once = most = ended = stopped = 0
    lock = threading.Lock()


def slow_service() -> Any:
    from serving.service import _FromEdge
    from serving.wire import ask

    question = type("Question", (_FromEdge, ask.ScoreAsk), {"__doc__": "", "__module__": __name__})

    class Inner:
        @bentoml.api(input_spec=question)  # type: ignore[untyped-decorator]
        def score(self, pairs: list[Any]) -> str:
            with PASSED.get().working():
                with Slow.lock:
                    Slow.at_once += 1
                    Slow.most = max(Slow.most, Slow.at_once)
                try:
                    for _ in range(1_000):
                        time.sleep(0.02)
                        deadline.check()
                    Slow.ended += 1
                except DeadlinePassed:
                    Slow.stopped += 1
                finally:
                    with Slow.lock:
                        Slow.at_once -= 1
            return "done"

    return bentoml.Service(
        name="slow",
        inner=Inner,
        config={"threads": RUNNING, "traffic": {"timeout": 0.1}, "metrics": {"enabled": False}},
    )


def test_work_that_outlives_its_deadline_still_counts_until_it_ends() -> None:
    """BentoML answers 504 and forgets the thread, so that the next one starts beside it: here it waits its turn.

    And the work ends, for nobody waits for it.
    """

    async def test() -> list[int]:
        app = slow_service().to_asgi()
        edge = Edge(app)
        async with app.router.lifespan_context(app):
            client = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://x", timeout=60)
            async with client:
                asked = [client.post("/score", json={"pairs": []}) for _ in range(4 * RUNNING)]
                got = [reply.status_code for reply in await asyncio.gather(*asked)]
                while edge.turns.running:
                    await asyncio.sleep(0.05)
        return got

    got = asyncio.run(test())
    assert set(got) == {503}
    assert 0 < Slow.most <= RUNNING
    assert (Slow.at_once, Slow.ended) == (0, 0)
    assert Slow.stopped > 0


QUESTIONS = {
    "/score": b'{"pairs": []}', "/recommend_reps": b'{"lead_id": "L"}', "/recommend_leads": b'{"rep_id": "R"}',
    "/plan": b'{"week": "2026-W10"}',
}  # fmt: skip
EVENT = b'{"events": [{"event_id": "e", "offer_id": "o", "kind": "accepted", "at": "2026-03-02T09:00:00Z"}]}'


@pytest.mark.parametrize(
    ("path", "writing"),
    [
        ("/record", EVENT),
        ("/recommend_reps", b'{"lead_id": "L", "commit": true}'),
        ("/recommend_leads", b'{"rep_id": "R", "commit": true}'),
        ("/plan", b'{"week": "2026-W10", "dry_run": false}'),
    ],
)
def test_writes_that_take_long_keep_no_question_from_its_turn(path: str, writing: bytes) -> None:
    """As when the ledger is locked by someone else, or thousands of rows are taken in."""
    at_once = WRITING - FOR_OTHERS

    async def test() -> None:
        locked = asyncio.Event()
        at_work = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal at_work
            with PASSED.get().working():
                if scope["callsheet"].ask == written:
                    at_work += 1
                    await locked.wait()
                await Response("{}")(scope, receive, send)

        written = checked(ROUTES[path].ask or BaseModel, writing)
        async with in_process(app) as client:
            writes = [asyncio.create_task(client.post(path, content=writing)) for _ in range(RUNNING + WRITING + 3)]
            while at_work < at_once:
                await asyncio.sleep(0)
            for question, content in QUESTIONS.items():
                assert (await client.post(question, content=content)).status_code == 200
            assert at_work == at_once
            locked.set()
            assert {(await write).status_code for write in writes} == {200}

    asyncio.run(test())


def test_what_serves_is_told_however_many_questions_are_computed() -> None:
    async def test() -> None:
        waits = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            with PASSED.get().working():
                if scope["path"] == "/score":
                    await waits.wait()
                await Response("{}")(scope, receive, send)

        async with in_process(app) as client:
            asked = [asyncio.create_task(client.post("/score", content=b'{"pairs": []}')) for _ in range(2 * RUNNING)]
            await asyncio.sleep(0.05)
            assert (await client.get("/model")).status_code == 200
            waits.set()
            assert {(await one).status_code for one in asked} == {200}

    asyncio.run(test())


def test_a_body_is_never_held_beyond_its_cap(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as line:
        line.sendall(POST + b"content-length: %d\r\n\r\n" % (MAX_BODY + 1))
        assert b" 413 " in answer(line)
