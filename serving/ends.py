"""Workers that end unasked: the supervisor says so, counts it, takes their gauges back and notes whose crash it was."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from serving import computing
from serving.crashes import NATIVE, Crashes

log = logging.getLogger(__name__)

#: Names the folder where the supervisor and its workers leave word for each other.
FOLDER: Final = "CALLSHEET_STARTING"


def watched() -> None:
    """In a worker: a crash in native code leaves its place in the log, and its model for the supervisor."""
    if sys.stderr is not None and not faulthandler.is_enabled():
        faulthandler.enable()
    folder = os.environ.get(FOLDER)
    computing.tell(_marks(Path(folder), os.getpid()) if folder else None)


def counts() -> Counter[str]:
    """In a worker: how workers of this service ended unasked since it started, and how often."""
    try:
        return Counter(Path(os.environ[FOLDER], "ends").read_text(encoding="utf-8").split())
    except (KeyError, OSError):
        return Counter()


def how(code: int) -> str:
    """What ended a process: the signal's name, or the code that it left with."""
    return signal.Signals(-code).name if code < 0 else f"exit_{code}"


class Ends:
    """In the supervisor. gauges: the folder of the workers' metrics; None: they keep none."""

    def __init__(self, folder: Path, crashes: Crashes) -> None:
        self.folder, self.crashes = folder, crashes
        self.gauges: str | None = None

    def of(self, pid: int, code: int, *, asked: bool) -> None:
        """A worker has ended; asked: it was told to."""
        try:
            if self.gauges is not None:
                mark_process_dead(pid, self.gauges)  # type: ignore[no-untyped-call]
            models = self._models(pid, -code)
            if asked:
                return
            log.error("Worker %d ended by %s; another is started. What it was answering is lost.", pid, how(code))
            with (self.folder / "ends").open("a", encoding="utf-8") as file:
                file.write(f"{how(code)}\n")
            for content_hash in models:
                held = self.crashes.note(content_hash, -code)
                log.error("Model %s computed when it crashed%s.", content_hash[:12], f": {held}" if held else "")
        except OSError as error:
            log.error("What became of worker %d could not be written down: %s", pid, error.strerror)

    def _models(self, pid: int, number: int) -> list[str]:
        """The models in which a crash may have begun: those on trial alone, where one of them computed.

        A crash tells no more than which threads were at work, and nothing of a challenger is to cost the champion.
        """
        marks = _marks(self.folder, pid)
        if not marks.exists():
            return []
        told = computing.told(marks) if number in NATIVE else {}
        marks.unlink()
        tried = [one for one, on_trial in told.items() if on_trial]
        return sorted(tried or told)


def _marks(folder: Path, pid: int) -> Path:
    return folder / f"computing-{pid}"
