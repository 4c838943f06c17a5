"""A client that asks at a fixed rate whatever the answers do, as the world does: each request on its own connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Seconds after which a request without an answer is given up.
PATIENCE = 60.0


@dataclass(frozen=True)
class Reply:
    """What came of one request.

    status   0: no answer came, or half of one
    seconds  since the request was due, so that a client that falls behind hides nothing
    headers  names in small letters
    """

    number: int
    status: int
    seconds: float
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def request(path: str, body: Any = None, **headers: str) -> bytes:
    """A request as it goes over the wire: POST where there is a body. headers: with _ in place of -."""
    content = b"" if body is None else json.dumps(body).encode()
    said = {"host": "localhost", "connection": "close", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if body is not None:
        said |= {"content-type": "application/json", "content-length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


async def arriving(port: int, asked: Callable[[int], bytes], rate: float, seconds: float) -> list[Reply]:
    """Send `rate` requests a second for some seconds, and wait for all that becomes of them."""
    began = time.perf_counter()
    pending = []
    for number in range(max(int(rate * seconds), 1)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        pending.append(asyncio.create_task(_one(port, number, asked(number), due)))
        if number % 50 == 0:
            await asyncio.sleep(0)  # a client that is behind still reads its answers
    return list(await asyncio.gather(*pending))


async def _one(port: int, number: int, sent: bytes, due: float) -> Reply:
    said = b""
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            said = await reader.read(-1)
    except (OSError, TimeoutError):
        said = b""
    finally:
        if writer is not None:
            writer.close()
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    whole = len(body) == int(headers.get("content-length", -1))
    return Reply(number, int(first.split(" ")[1]) if whole else 0, time.perf_counter() - due, headers, body)


def at_percent(replies: Sequence[Reply], percent: float) -> float:
    """The latency in ms below which so many percent of the replies came; NaN where there is none."""
    spent = sorted(reply.seconds for reply in replies)
    return 1e3 * spent[min(int(len(spent) * percent / 100), len(spent) - 1)] if spent else float("nan")
