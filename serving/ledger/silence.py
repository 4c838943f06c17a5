"""A PostgreSQL that hangs answers nothing and closes nothing, so whoever waits for its answer ends the wait here."""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

from serving import deadline
from serving.ledger.waits import ANSWER_SECONDS, CONNECT_SECONDS

Got = TypeVar("Got")

#: How much longer than the deadline, so that the database's own limits, which end with it, are heard.
GRACE: Final = 1.0
#: How a connection finds out that the other machine is gone, or the way to it; an URL may say otherwise.
KEEPALIVE: Final = {
    "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4", "tcp_user_timeout": "30000",
}  # fmt: skip


class Limited(psycopg.Connection[Any]):
    """A connection that is closed when an answer of the server does not come in time.

    silence  of its server
    limit    seconds that an answer may take, and no longer than the deadline; None: as long as it takes
    idle     nobody has it, so that what it is asked is only whether it still works
    """

    silence: Silence
    limit: float | None = float(CONNECT_SECONDS)
    idle = True
    _commits = False

    def commit(self) -> None:
        """One that began in time is waited for past the deadline, so that its caller need not guess."""
        self._commits = True
        try:
            super().commit()
        finally:
            self._commits = False

    def wait(self, gen: PQGen[Got], interval: float = 0.1, timeout: float | None = None) -> Got:
        """Every wait of the driver for what the server says. Raises OperationalError."""
        if self.limit is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        seconds = self.limit if self._commits else min(self.limit, deadline.left() + GRACE)
        until = time.monotonic() + seconds
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.OperationalError as error:
            if time.monotonic() < until:
                raise
            self.close()  # what it still says would be taken for the answer to the next question
            if self.idle and seconds == self.limit:
                self.silence.silent = True
            raise psycopg.OperationalError(f"there was no answer within {seconds:.3g} s") from error

    def lent(self, limit: float | None) -> None:
        """Somebody has it from now on, and waits so long for each answer."""
        self.idle, self.limit = False, limit

    def given_back(self) -> None:
        """Nobody has it."""
        self.idle, self.limit = True, ANSWER_SECONDS


class Silence:
    """Of one server. While it is silent one at a time tries to reach it, and whoever else would is told at once."""

    def __init__(self) -> None:
        self.silent = False
        self._trying = Lock()

    def connect(self, *args: Any, **params: Any) -> Limited:
        """A new connection. Raises OperationalError."""
        if not self.silent:
            return self._made(*args, **params)
        if not self._trying.acquire(blocking=False):
            raise psycopg.OperationalError("it did not answer a moment ago, and another is just trying again")
        try:
            return self._made(*args, **params)
        finally:
            self._trying.release()

    def _made(self, *args: Any, **params: Any) -> Limited:
        seconds = math.ceil(min(CONNECT_SECONDS, deadline.left()))
        if not seconds:
            raise psycopg.OperationalError("nobody waits for it any more")
        try:
            made = Limited.connect(*args, **(params | {"connect_timeout": seconds}))
        except ConnectionTimeout:
            self.silent = True
            raise
        self.silent, made.silence = False, self
        return made


__all__ = ["KEEPALIVE", "Limited", "Silence"]
