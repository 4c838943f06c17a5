"""How many requests one worker has open, how much of their bodies it holds, and how often each caller may ask."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from serving.actor import LOCAL, Actor
from serving.refusal import Turned

#: Requests that are open at once, in any state, and how many of them may be one caller's: who holds many open, with
#: bodies that never end, leaves room for the others.
OPEN: Final = 1_000
OPEN_EACH: Final = 400
#: Bytes of bodies that have not come to their end, in all.
HELD: Final = 64_000_000
#: Bytes of a body that cost as much as a request without one: what is read and checked grows with them.
BYTES_EACH: Final = 32_000
#: Callers whose spending is remembered.
REMEMBERED: Final = 10_000


class Crowd:
    """The requests that one worker has open; all in the event loop."""

    def __init__(self, most: int = OPEN, each: int = OPEN_EACH, held: int = HELD) -> None:
        self._most, self._each, self._held = most, each, held
        self._open: Counter[str] = Counter()
        self.held = 0

    @property
    def open(self) -> int:
        """How many are open."""
        return self._open.total()

    @contextmanager
    def inside(self, who: Actor) -> Iterator[None]:
        """Count a request while it is open. Raises Turned: too_many (429) for this caller, overloaded (503) for all."""
        if self._open[who.name] >= self._each:
            raise Turned(429, "too_many", f"This credential has {self._each} requests open; wait for some to end.")
        if self.open >= self._most:
            raise Turned(503, "overloaded", "Too many requests are open; try again after a moment.")
        self._open[who.name] += 1
        try:
            yield
        finally:
            self._open[who.name] -= 1
            self._open += Counter()  # callers with none are forgotten

    @contextmanager
    def body(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of a body while it is read. What is yielded raises Turned: overloaded (503)."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            mine += size
            self.held += size
            if self.held > self._held:
                raise Turned(503, "overloaded", "Too many large bodies are on their way; try again after a moment.")

        try:
            yield hold
        finally:
            self.held -= mine


class Quota:
    """How often each caller may ask: a bucket of tokens that fills steadily and holds two seconds' worth.

    per_second  tokens that come in for each caller on this worker; 0: no limit
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self._clock = per_second, clock
        self._spent: dict[str, tuple[float, float]] = {}

    def spend(self, who: Actor) -> None:
        """Take a token. Raises Turned: quota_exceeded (429), saying after how many seconds there is one again.

        Whoever is on this machine, of a service without keys, has no quota.
        """
        if not self.per_second or who is LOCAL:
            return
        most, now = max(2 * self.per_second, 1.0), self._clock()
        left, at = self._spent.get(who.name, (most, now))
        left = min(most, left + (now - at) * self.per_second)
        if left < 1:
            wait = math.ceil((1 - left) / self.per_second)
            raise Turned(
                429, "quota_exceeded", f"This credential may ask {self.per_second:g} times a second.",
                headers={"retry-after": str(wait)},
            )  # fmt: skip
        self._spent[who.name] = left - 1, now
        self._forget(most, now)

    def owe(self, who: Actor, size: int) -> None:
        """Take more tokens for a body of so many bytes that was read: the next request waits until they are back."""
        if who.name in self._spent:
            left, at = self._spent[who.name]
            self._spent[who.name] = left - size / BYTES_EACH, at

    def _forget(self, most: float, now: float) -> None:
        if len(self._spent) > REMEMBERED:  # a bucket that is full again tells as much as none
            self._spent = {k: v for k, v in self._spent.items() if v[0] + (now - v[1]) * self.per_second < most}
