"""The workers' ends: where none comes up, the supervisor ends with what it said; a crash is put down to its model."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from features.errors import CallsheetError
from serving import computing, logs
from serving.crashes import NATIVE, Crashes

log = logging.getLogger(__name__)

#: Names the folder where workers leave word of their start.
FOLDER: Final = "CALLSHEET_STARTING"
#: Starts that may fail before one succeeds, all workers together. What passes by itself (memory that another process
#: holds, a lock) may have passed by then; after the first success a worker that dies is started again without end.
TRIES: Final = 3


class WorkersFailed(CallsheetError):
    """No worker of the service could start."""

    code = "workers_failed"


@contextmanager
def told() -> Iterator[None]:
    """In a worker: what its start breaks on is left for the supervisor, who alone has somebody's ear."""
    try:
        yield
    except Exception as error:
        _leave("words", _words(error))
        raise


def ready() -> None:
    """In a worker: it can answer."""
    _leave("ready", "")


def watched() -> None:
    """In a worker: a crash in native code leaves its place in the log, and its model for the supervisor."""
    if sys.stderr is not None and not faulthandler.is_enabled():
        faulthandler.enable()
    folder = os.environ.get(FOLDER)
    computing.tell(_marks(Path(folder), os.getpid()) if folder else None)


def _marks(folder: Path, pid: int) -> Path:
    return folder / f"computing-{pid}"


def _leave(name: str, text: str) -> None:
    if folder := os.environ.get(FOLDER):
        with suppress(OSError):  # a disk that is full is no reason not to serve
            Path(folder, name).write_text(text, encoding="utf-8")


def _words(error: Exception) -> str:
    """What was raised on purpose in full, as the command line has it; of all else the story, as the log has it."""
    if not isinstance(error, CallsheetError):
        return logs.story(error)
    return f"{error.field}: {error}" if error.field and error.field not in str(error) else str(error)


class Starts:
    """In the supervisor: counts what fails before the first success, and gives up; after it, writes crashes down.

    Used around BentoML's serving.

    Raises WorkersFailed on the way out when no worker came up and they failed TRIES times, or none may be started
    again (BentoML starts none again in a container, where that is the runtime's work).
    """

    def __init__(self, home: Path) -> None:
        self.crashes = Crashes(home)
        self.failed, self.last, self.gave_up = 0, 0, False

    def __enter__(self) -> Self:
        from bentoml import serving  # only here is the environment set that BentoML reads on import

        self._kept = tempfile.TemporaryDirectory(prefix="callsheet-start-")
        self.folder = Path(self._kept.name)
        os.environ[FOLDER] = self._kept.name
        # Circus tells who asks when a worker has ended; BentoML asks nothing and hands nothing on.
        self._bentoml, self._make = serving, serving.create_watcher
        serving.create_watcher = partial(self._make, hooks={"after_reap": (self.reaped, True)})
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._bentoml.create_watcher = self._make
        ready, said = (self.folder / "ready").exists(), self._said()
        self._kept.cleanup()
        if self.failed and not ready and (self.gave_up or isinstance(error, RuntimeError)):
            raise WorkersFailed(said) from error

    def reaped(self, *, watcher: Any, arbiter: Any, process_pid: int, exit_code: int | None, **_: Any) -> None:
        """A worker has ended: circus's hook, called in the supervisor's loop."""
        self._blame(process_pid, -(exit_code or 0))
        if self.gave_up or watcher.is_stopping() or watcher.is_stopped() or (self.folder / "ready").exists():
            return
        self.failed, self.last = self.failed + 1, exit_code or 0
        if self.failed == TRIES:
            self.gave_up = True
            self._end(arbiter.loop)

    def _blame(self, pid: int, number: int) -> None:
        """Put a crash down to the models by which the worker computed, so that one which crashes on answers no more."""
        marks = _marks(self.folder, pid)
        try:
            models = sorted(computing.told(marks)) if number in NATIVE and marks.exists() else []
            marks.unlink(missing_ok=True)
            if number in NATIVE and not models:
                log.error("A worker crashed by %s; no model computed then.", signal.Signals(number).name)
            for content_hash in models:
                held = self.crashes.note(content_hash, number)
                log.error(
                    "A worker crashed by %s while model %s computed%s.", signal.Signals(number).name,
                    content_hash[:12], f": {held}" if held else "",
                )  # fmt: skip
        except OSError as error:
            log.error("A worker's crash could not be written down: %s", error.strerror)

    def _end(self, loop: Any) -> None:
        """Stop as a person would, which ends the workers that are on their way, too; told again until it is heard.

        Circus does not hear it while it looks after its workers, and this is called when it does.
        """
        loop.call_later(1, self._end, loop)
        os.kill(os.getpid(), signal.SIGTERM)

    def _said(self) -> str:
        """Why, and what to do."""
        words = self.folder / "words"
        times = "once" if self.failed == 1 else f"{self.failed} times"
        if words.exists():
            return (
                f"No worker could start; tried {times}. The last one said:\n{words.read_text(encoding='utf-8')}\n"
                "Put that right and start again; nothing was served."
            )
        ended = f"was killed by {signal.Signals(-self.last).name}" if self.last < 0 else f"ended with {self.last}"
        hint = "The system kills what asks for more memory than there is: give it more, or fewer --workers. " * (
            self.last == -signal.SIGKILL
        )
        return (
            f"No worker could start; tried {times}. The last one {ended} and left no word, so the lines above are all "
            f"that is known. {hint}Nothing was served."
        )
