"""A client that asks at a fixed rate whatever the answers do, as the world does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Seconds after which a request without an answer is given up.
PATIENCE = 60.0


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Reply:
    """What came of one request.

    status   0: no answer came, or half of one
    seconds  since the request was due, so that a client that falls behind hides nothing
    headers  names in small letters
    sent     when it was, by the client's own clock; None: never, for no connection came about
    """

    number: int
    status: int
    seconds: float
    headers: Mapping[str, str]
    body: bytes
    sent: float | None = None

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def request(path: str, body: Any = None, *, kept: bool = False, **headers: str) -> bytes:
    """A request as it goes over the wire: POST where there is a body.

    kept     on a connection that is asked on again, as a routing system's client does; else on one of its own
    headers  with _ in place of -
    """
    content = b"" if body is None else json.dumps(body).encode()
    said = {
        "host": "localhost",
        "connection": "keep-alive" if kept else "close",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    if body is not None:
        said |= {"content-type": "application/json", "content-length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


async def arriving(port: int, asked: Callable[[int], bytes], rate: float, seconds: float) -> list[Reply]:
    """Send `rate` requests a second for some seconds, and wait for all that becomes of them."""
    free: list[Connection] = []
    began = time.perf_counter()
    pending = []
    for number in range(max(int(rate * seconds), 1)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        pending.append(asyncio.create_task(_one(port, number, asked(number), due, free)))
        if number % 50 == 0:
            await asyncio.sleep(0)  # a client that is behind still reads its answers
    replies = list(await asyncio.gather(*pending))
    for _, writer in free:
        writer.close()
    return replies


async def _one(port: int, number: int, said: bytes, due: float, free: list[Connection]) -> Reply:
    writer, whole, sent = None, False, None
    first, headers, body = "", dict[str, str](), b""
    try:
        async with asyncio.timeout(PATIENCE):
            while free and free[-1][0].at_eof():  # the service closes those that ask nothing for a while
                free.pop()[1].close()
            reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            sent = time.perf_counter()
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            whole = "content-length" in headers
    except (OSError, TimeoutError, EOFError):
        whole = False
    took = time.perf_counter() - due
    if writer is not None and whole and headers.get("connection") != "close":
        free.append((reader, writer))
    elif writer is not None:
        writer.close()
    return Reply(number, int(first.split(" ")[1]) if whole else 0, took, headers, body, sent)


def sent_rate(replies: Sequence[Reply]) -> float:
    """Requests a second that were sent, from the first of them to the last; NaN of fewer than two.

    What the answers took is no part of it: a client is as fast as it asks, however long it is then kept waiting.
    """
    sent = sorted(reply.sent for reply in replies if reply.sent is not None)
    return (len(sent) - 1) / (sent[-1] - sent[0]) if len(sent) > 1 else float("nan")


def at_percent(replies: Sequence[Reply], percent: float) -> float:
    """The latency in ms below which so many percent of the replies came; NaN where there is none."""
    spent = sorted(reply.seconds for reply in replies)
    return 1e3 * spent[min(int(len(spent) * percent / 100), len(spent) - 1)] if spent else float("nan")
