"""The connections of one worker: how many there are, and how long they may take to say what they ask."""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

import h11
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving import metrics
from serving.refusal import Turned, envelope

#: Connections at once, whatever they are at; and open files that are left for the ledger, models and logs where the
#: process may not have so many.
MOST: Final = 2_000
RESERVED: Final = 200
#: Seconds in which a request's headers come to their end: before that no application sees it. h11 bounds their bytes.
HEAD_SECONDS: Final = 5.0


class Guarded(H11Protocol):
    """A connection that is closed when it does not get to the end of its headers, or is one too many."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller connects."""
        super().connection_made(transport)
        if len(self.connections) > most():
            self._turn_away(Turned(503, "overloaded", "Too many connections are open; try again after a moment."))
        self._watch()

    def data_received(self, data: bytes) -> None:
        """The next bytes of a request, or of several."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        super().connection_lost(exc)
        self._watch()

    def _watch(self) -> None:
        """Let the time run while a request has begun, or is yet to, and its headers are not at their end."""
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._late = self._late or self.loop.call_later(HEAD_SECONDS, self._is_late)
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        self._turn_away(Turned(408, "head_timeout", f"The headers did not arrive within {HEAD_SECONDS:.0f} s."))

    def _turn_away(self, error: Turned) -> None:
        metrics.TURNED_AWAY.labels(error.code).inc()
        answer = envelope(error)
        headers = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n%b" % (error.status, headers, bytes(answer.body)))
        self.transport.close()


def most() -> int:
    """How many connections may be open here."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if files == resource.RLIM_INFINITY else max(1, min(MOST, files - RESERVED))


def guard() -> None:
    """Let every connection that this process serves be such a one: BentoML leaves the choice to uvicorn, made there."""
    protocols: Any = auto
    protocols.AutoHTTPProtocol = Guarded
