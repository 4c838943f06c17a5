"""Models under which workers crashed: one that does so again and again answers no more for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from features.errors import ModelHeldBack

#: Crashes within so long after which a model is held back, and for how long after the last one.
TRIES: Final = 3
WITHIN: Final = timedelta(minutes=10)
HELD: Final = timedelta(hours=1)
#: By these a process ends when its native code fails. SIGKILL is not among them: whoever sends it says nothing of a
#: model, and what a model may take of memory is bounded in its trial.
NATIVE: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


class Crashes:
    """HOME/crashes/<content hash>: a line for each crash of a worker of this machine that computed by the model."""

    def __init__(self, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.root, self._clock = home.resolve() / "crashes", clock

    def note(self, content_hash: str, number: int) -> str | None:
        """Write a crash by this signal down. Returns why the model is held back now, if it is. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        line = f"{self._clock().isoformat(timespec='seconds')} {signal.Signals(number).name}\n"
        handle = os.open(self.root / content_hash, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
        return self.held(content_hash)

    def held(self, content_hash: str) -> str | None:
        """Why the model may not answer for now; None: it may. Cost: a look at a file that is hardly ever there."""
        try:
            lines = (self.root / content_hash).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        now = self._clock()
        # A clock that was set back may not hold a model for longer, so what is ahead of it does not count.
        crashes = sorted(crash for crash in map(_crash, lines) if crash is not None and crash[0] <= now)
        for (first, _), (last, by) in reversed(list(zip(crashes, crashes[TRIES - 1 :], strict=False))):
            if last - first <= WITHIN and now < last + HELD:
                return (
                    f"{TRIES} workers crashed within {WITHIN // timedelta(minutes=1)} minutes while it computed, the "
                    f"last by {by}; it is tried again at {last + HELD:%Y-%m-%d %H:%M} UTC. Roll it back, or train again"
                )
        return None

    def check(self, content_hash: str) -> None:
        """Go on with a model. Raises ModelHeldBack where it is."""
        if (why := self.held(content_hash)) is not None:
            raise ModelHeldBack(why)


def _crash(line: str) -> tuple[datetime, str] | None:
    """When, and by which signal; None: it is no such line, as half of one that a full disk took."""
    at, _, by = line.partition(" ")
    try:
        when = datetime.fromisoformat(at)
        return (when, signal.Signals[by].name) if when.tzinfo else None
    except (ValueError, KeyError):
        return None
