"""Whose turn it is: how much a worker computes at once, who waits for it, fairly among callers, and for how long."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from types import TracebackType
from typing import Final

from features.errors import CallsheetError

#: Requests that one worker computes at once; LightGBM lets go of the interpreter while it predicts.
RUNNING: Final = 4
#: Requests that write more than what was decided, such as commits, that one worker has at work besides: the ledger lets
#: one in at a time, so however many come and however long they wait for it, they keep no question from its turn.
WRITING: Final = 4
#: Of each kind, what one caller leaves to others, however long his own take.
FOR_OTHERS: Final = 1
#: Requests that wait for their turn; at milliseconds each, the last one's wait is well below a second.
WAITING: Final = 64
#: Who has waited this long is told so instead of being started: the caller has given up by then.
WAIT_SECONDS: Final = 5.0


class Overloaded(CallsheetError):
    """More is asked than can be answered; nothing was done."""

    code = "overloaded"
    status = 503

    def __init__(self) -> None:
        super().__init__("More is asked than can be answered now, and nothing was done; try again after a moment.")


class Turn:
    """One request's place among those that run.

    It is given back when the work has ended, by the thread that does it: a request whose answer came too late for
    its caller still computes, and still counts. One that never started is given back by the edge.
    """

    def __init__(self, back: Callable[[], None]) -> None:
        self._back = back
        self._lock = threading.Lock()
        self._state = "given"

    def __enter__(self) -> None:
        """The work starts. Raises Overloaded where the caller was answered before it could."""
        with self._lock:
            if self._state != "given":
                raise Overloaded
            self._state = "running"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The work has ended, well or not."""
        with self._lock:
            self._state = "over"
        self._back()

    def give_up(self) -> None:
        """The caller has its answer; what has not started will not."""
        with self._lock:
            if self._state != "given":
                return
            self._state = "over"
        self._back()


class Turns:
    """The turns of one worker; all but the end of a turn happens in the event loop.

    No turn is free while somebody waits who may have it.
    """

    def __init__(self, running: int = RUNNING, waiting: int = WAITING, seconds: float = WAIT_SECONDS) -> None:
        self._most_running, self._most_waiting, self._seconds = running, waiting, seconds
        self._each = max(running - FOR_OTHERS, 1)
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._at_work: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """How many are at work."""
        return self._at_work.total()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(line) for line in self._lines.values())

    async def take(self, who: str, seconds: float = math.inf) -> Turn:
        """A turn, as soon as there is one; callers take theirs in rotation, however many requests each has waiting.

        Where all places to wait are taken, one who has fewer waiting takes the last place of who has most.

        seconds   how long to wait at most, where that is less than everybody waits
        Raises    Overloaded
        """
        loop = asyncio.get_running_loop()
        if self._free(who):
            self._at_work[who] += 1
        else:
            await self._wait(who, loop.create_future(), min(seconds, self._seconds))
        return Turn(lambda: _call(loop, lambda: self._over(who)))

    def _free(self, who: str) -> bool:
        """Whether there is a turn for this caller."""
        return self.running < self._most_running and self._at_work[who] < self._each

    async def _wait(self, who: str, place: asyncio.Future[None], seconds: float) -> None:
        self._make_room(who)
        line = self._lines.setdefault(who, deque())
        line.append(place)
        try:
            async with asyncio.timeout(seconds):
                await place
        except BaseException as error:
            if place in line:
                line.remove(place)
                if not line and self._lines.get(who) is line:
                    del self._lines[who]
            elif place.done() and not place.cancelled() and place.exception() is None:
                self._over(who)  # it was given at the very moment in which the wait ended
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise

    def _make_room(self, who: str) -> None:
        if self.waiting < self._most_waiting:
            return
        longest = max(self._lines.values(), key=len, default=deque())
        if len(self._lines.get(who, ())) + 1 >= len(longest):
            raise Overloaded
        longest.pop().set_exception(Overloaded())

    def _over(self, who: str) -> None:
        """A turn is over: the next one's, or nobody's."""
        self._at_work[who] -= 1
        self._at_work += Counter()  # callers with none are forgotten
        while (other := next(filter(self._free, self._lines), None)) is not None:
            place = self._lines[other].popleft()
            self._lines.move_to_end(other)
            if not self._lines[other]:
                del self._lines[other]
            if not place.done():
                self._at_work[other] += 1
                place.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, back: Callable[[], None]) -> None:
    """From any thread; a loop that is closed has no more turns to give."""
    try:
        loop.call_soon_threadsafe(back)
    except RuntimeError:
        if not loop.is_closed():
            raise
