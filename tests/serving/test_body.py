"""The body of a request is read to its cap and no further, whatever length it announces, and not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serving import body
from serving.crowd import Crowd
from serving.refusal import Turned
from serving.wire.base import MAX_BODY

PART = 400_000


def refused(headers: dict[bytes, bytes], *, stalls: float = 0) -> tuple[int, str, int]:
    """Status and code of the refusal of a body that never ends, and how much of it was read."""
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        await asyncio.sleep(stalls)
        read += PART
        return {"type": "http.request", "body": bytes(PART), "more_body": read < 100 * MAX_BODY}

    with pytest.raises(Turned) as caught:
        asyncio.run(body.read(headers, receive, Crowd(held=1000 * MAX_BODY)))
    return caught.value.status, caught.value.code, read


def test_a_body_whose_length_is_over_the_cap_is_not_read() -> None:
    assert refused({b"content-length": b"%d" % (MAX_BODY + 1)}) == (413, "body_too_large", 0)


def test_a_body_without_a_length_is_read_to_the_cap_and_no_further() -> None:
    status, code, read = refused({})
    assert (status, code) == (413, "body_too_large")
    assert MAX_BODY < read <= MAX_BODY + PART


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)
    assert refused({}, stalls=1) == (408, "body_timeout", 0)
