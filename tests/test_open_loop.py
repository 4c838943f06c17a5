"""What the benchmarks at a fixed rate tell of a client: how fast it asked, and when it was answered as usual again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import count

import numpy as np
import pytest

from benchmarks.open_loop import Reply, arriving, request, sent_rate
from benchmarks.overload import IN_A_ROW, recovered


async def asked(rate: float, seconds: float, later: float) -> list[Reply]:
    """Ask a server that answers each request so many seconds later than the one before."""
    takes = count(0.0, later)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(next(takes))
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(one, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return await arriving(port, lambda _: request("/livez"), rate, seconds)


def test_how_fast_a_client_asked_is_told_without_the_wait_for_the_last_answer() -> None:
    """To the last answer it takes three times as long as to ask."""
    replies = asyncio.run(asked(40.0, 1.0, later=0.05))
    assert {reply.status for reply in replies} == {200}
    assert sent_rate(replies) == pytest.approx(40, rel=0.25)


def test_what_found_no_connection_was_not_sent() -> None:
    reached = [Reply(n, 200, 0.01, {}, b"", sent=100 + n / 2) for n in range(5)]
    nowhere = [Reply(n, 0, 0.01, {}, b"") for n in range(5, 50)]
    assert sent_rate(reached + nowhere) == 2
    assert np.isnan(sent_rate(nowhere))


def replies(slow: Iterable[int] = (), refused: Iterable[int] = (), n: int = 300) -> list[Reply]:
    """To 20 requests a second, of which the usual 99 in 100 take 30 ms at most: 20, or 200 where one is slow."""
    slow, refused = set(slow), set(refused)
    return [Reply(i, 503 if i in refused else 200, 0.2 if i in slow else 0.02, {}, b"") for i in range(n)]


@pytest.mark.parametrize(
    ("given", "after"),
    [
        (replies(), 0.0),
        (replies(slow=range(0, 300, 40)), 0.0),  # a slow one every other second is not the overload's
        (replies(slow=range(40)), 1.8),  # all of the first two seconds, but for the last four of them
        (replies(slow=range(60, 80)), 3.8),
        (replies(refused=[139]), 7.0),
        (replies(slow=range(20), refused=[139]), 7.0),
        (replies(slow=range(300)), np.inf),
        (replies(slow=range(240, 300)), np.inf),
        (replies(slow=range(3), n=IN_A_ROW // 2), np.inf),  # three of fifty are more than one in twenty
    ],
)
def test_an_overload_is_over_once_refusals_and_slow_stretches_are(given: list[Reply], after: float) -> None:
    assert recovered(given, 20.0, usual=30.0) == pytest.approx(after)
