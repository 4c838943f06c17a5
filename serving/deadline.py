"""Until when an answer is waited for: its work looks at that as it goes, and ends soon after without a trace."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Final

from features.errors import CallsheetError, InputError

#: Seconds that every answer has; the routes take milliseconds.
SECONDS: Final = 30.0
#: With it a caller says for how many seconds it waits.
HEADER: Final = "Request-Timeout"
GIVEN: Final = re.compile(r"[1-9][0-9]{0,8}(\.[0-9]{1,3})?")


class DeadlinePassed(CallsheetError):
    """Nobody waits for the answer any more; nothing was written."""

    code = "deadline"
    status = 503

    def __init__(self) -> None:
        super().__init__("The answer took too long, so its work was stopped and nothing was written; try again.")


class Deadline:
    """When one answer must be there.

    seconds  from now on; clock: tells seconds
    """

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._at = self._began + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, none when it has passed."""
        return max(self._at - self._clock(), 0.0)

    def told(self, given: str) -> None:
        """Let it pass as soon as the caller says, by the header. Raises InputError for what is no number of seconds."""
        if not GIVEN.fullmatch(given):
            raise InputError("Seconds, from 1 on, such as 2.5.", field=HEADER)
        self._at = min(self._at, self._began + float(given))

    def end(self) -> None:
        """Let it pass now: the caller has an answer, or is gone."""
        self._at = -math.inf


#: That of the work at hand, here and in the threads that do it; none has it that no caller waits for.
CURRENT: Final[ContextVar[Deadline | None]] = ContextVar("callsheet_deadline", default=None)


def left() -> float:
    """Seconds that the work at hand has left; infinite where nobody waits for it."""
    deadline = CURRENT.get()
    return math.inf if deadline is None else deadline.left


def check() -> None:
    """Go on with the work at hand. Raises DeadlinePassed."""
    if not left():
        raise DeadlinePassed


@contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Hold a lock that others hold while they work. Raises DeadlinePassed where it is not free in time."""
    seconds = left()
    if not lock.acquire(timeout=-1 if math.isinf(seconds) else seconds):
        raise DeadlinePassed
    try:
        yield
    finally:
        lock.release()
