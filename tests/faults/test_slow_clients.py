"""Clients that read slowly, or not at all, or hang up half-way: a normal one gets its answers, and nothing piles up."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of
from tests.serving.live.test_workers import until
from tests.serving.test_overload import POST

pytestmark = pytest.mark.faults

MANY = 200


def connected(served: Served) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", served.service.port), timeout=30)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return line


def open_requests(served: Served) -> float:
    """As the metrics of all workers tell."""
    said = httpx.get(f"{served.service.url}/metrics", timeout=30).text
    lines = [line for line in said.splitlines() if line.startswith("callsheet_requests_open")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@contextmanager
def answered_as_always(served: Served) -> Iterator[None]:
    """A normal client meanwhile and afterwards; the same workers, no more open sockets, nothing left open."""
    workers = workers_of(served)
    before = {pid: psutil.Process(pid).num_fds() for pid in workers}

    def normal() -> None:
        assert httpx.post(f"{served.service.url}/score", json={"pairs": []}, timeout=60).status_code == 200
        assert httpx.get(f"{served.service.url}/readyz", timeout=60).status_code == 200

    with ExitStack() as inside:
        inside.callback(normal)
        yield
        for _ in range(10):
            normal()
    assert workers_of(served) == workers
    until(lambda: open_requests(served) <= 1, 60)  # its own
    until(lambda: all(psutil.Process(pid).num_fds() < before[pid] + MANY // 4 for pid in workers), 60)


def test_clients_that_do_not_read_hold_nobody_up(served: Served) -> None:
    """Each asks for the OpenAPI document ten times over one connection, far more than fits into its buffers."""
    ask = b"GET /docs.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 10
    with answered_as_always(served), ExitStack() as lines:
        for _ in range(MANY):
            lines.enter_context(connected(served)).sendall(ask)


def test_clients_that_hang_up_before_their_answer_hold_nobody_up(served: Served) -> None:
    """Half close their end and half reset the connection, right after a question that takes some work."""
    body = json.dumps({"pairs": [{"lead_id": "nobody", "rep_id": "nobody"}] * 1_000}).encode()
    with answered_as_always(served):
        for number in range(MANY):
            with connected(served) as line:
                line.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
                if number % 2:  # no goodbye: the other end is gone
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_connections_on_which_nothing_ever_comes_hold_nobody_up(served: Served) -> None:
    with answered_as_always(served), ExitStack() as lines:
        for _ in range(MANY):
            lines.enter_context(connected(served))


def test_bodies_as_large_deep_or_long_as_may_be_are_refused_and_take_no_memory(served: Served) -> None:
    """One after the other, so that whatever is kept of one adds up."""
    most = 1_000_000
    bodies = {
        "deep": b"[" * most, "deep objects": b'{"pairs":' * (most // 9), "a long text": b'"' + b"x" * (most - 2) + b'"',
        "many numbers": b"[" + b"0," * (most // 2 - 2) + b"0]", "too large": b"x" * (most + 1),
    }  # fmt: skip
    workers = workers_of(served)

    def resident() -> int:
        return sum(psutil.Process(pid).memory_info().rss for pid in workers)

    def all_of_them() -> None:
        for name, body in bodies.items():
            answer = httpx.post(
                f"{served.service.url}/score", content=body, headers={"content-type": "application/json"}, timeout=60
            )
            assert answer.status_code == (413 if name == "too large" else 400), name

    for _ in range(10):  # until each of the workers has had each of them
        all_of_them()
    before = resident()
    for _ in range(20):
        all_of_them()
    assert resident() < before + 50 * 1024 * 1024
    assert workers_of(served) == workers
