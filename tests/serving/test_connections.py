"""Connections that never say what they ask: they are closed in time, and never so many that others find no place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http import auto

from serving import connections

HALF = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: "
WHOLE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
OK = "HTTP/1.1 200 OK ok"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """What BentoML runs, before an application that answers at once."""
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)  # so that it is put back
    connections.guard()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(PlainTextResponse("ok"), log_config=None, lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.01)
            yield lambda: asyncio.open_connection(*listening.getsockname())
            server.should_exit = True
            await running


async def answer(reader: asyncio.StreamReader) -> str:
    """The first line, and the body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    body = await reader.readexactly(int(head.lower().partition("content-length: ")[2].split()[0]))
    return head.partition("\r\n")[0] + " " + body.decode()


def test_headers_that_do_not_end_are_given_up_on_a_new_connection_and_on_a_kept_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)

    async def test() -> None:
        async with served(monkeypatch) as connect:
            for answered, begins in ((0, b""), (0, HALF), (1, HALF)):
                reader, writer = await connect()
                for _ in range(answered):
                    writer.write(WHOLE)
                    assert await answer(reader) == OK
                writer.write(begins)
                said = await answer(reader)
                assert said.startswith("HTTP/1.1 408")
                assert '"head_timeout"' in said
                assert await reader.read() == b""  # it is closed
                writer.close()

    asyncio.run(test())


def test_who_takes_his_time_after_the_headers_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)

    async def test() -> None:
        async with served(monkeypatch) as connect:
            reader, writer = await connect()
            for _ in range(2):
                writer.write(WHOLE)
                assert await answer(reader) == OK
                await asyncio.sleep(0.3)  # keeping a connection is not beginning a request
            writer.close()

    asyncio.run(test())


def test_a_connection_too_many_is_closed_and_the_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 2)

    async def test() -> None:
        async with served(monkeypatch) as connect:
            kept, idle = await connect(), await connect()
            reader, writer = await connect()
            assert (await answer(reader)).startswith("HTTP/1.1 503")
            assert await reader.read() == b""
            kept[1].write(WHOLE)
            assert await answer(kept[0]) == OK
            idle[1].close()
            await idle[1].wait_closed()
            again = await connect()
            again[1].write(WHOLE)
            assert await answer(again[0]) == OK
            for one in (kept[1], again[1], writer):
                one.close()

    asyncio.run(test())


def test_files_for_the_ledger_are_left_where_the_process_may_have_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    assert connections.most() == 1024 - connections.RESERVED
