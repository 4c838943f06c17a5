"""Whether the workers come up at all: where none does, the supervisor ends with what the last one said."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from features.errors import CallsheetError
from serving import logs
from serving.crashes import Crashes
from serving.ends import FOLDER, Ends

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
    """In the supervisor: counts what fails before the first success, and gives up. Used around BentoML's serving.

    Raises WorkersFailed on the way out when no worker came up and they failed TRIES times.
    """

    def __init__(self, home: Path) -> None:
        self.crashes = Crashes(home)
        self.failed, self.last, self.gave_up = 0, 0, False

    def __enter__(self) -> Self:
        from bentoml import serving  # only here is the environment set that BentoML reads on import

        self._kept = tempfile.TemporaryDirectory(prefix="callsheet-start-")
        self.folder = Path(self._kept.name)
        os.environ[FOLDER] = self._kept.name
        self.ends = Ends(self.folder, self.crashes)
        self._bentoml, self._make = serving, serving.create_watcher
        serving.create_watcher = self._watcher
        return self

    def _watcher(self, *told: Any, **options: Any) -> Any:
        """BentoML's, that tells when a worker has ended, and starts another one wherever it runs.

        In a container BentoML would start none: of two workers one would be left, and nobody told.
        """
        watcher = self._make(*told, **options, hooks={"after_reap": (self.reaped, True)})
        watcher.respawn = True
        self.ends.gauges = (options.get("env") or {}).get("PROMETHEUS_MULTIPROC_DIR")
        return watcher

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._bentoml.create_watcher = self._make
        ready, said = (self.folder / "ready").exists(), self._said()
        self._kept.cleanup()
        if self.failed and not ready and (self.gave_up or isinstance(error, RuntimeError)):
            raise WorkersFailed(said) from error

    def reaped(self, *, watcher: Any, arbiter: Any, process_pid: int, exit_code: int | None, **_: Any) -> None:
        """A worker has ended: circus's hook, called in the supervisor's loop."""
        asked = self.gave_up or watcher.is_stopping() or watcher.is_stopped()
        started = (self.folder / "ready").exists()
        self.ends.of(process_pid, exit_code or 0, asked=asked or not started)
        if asked or started:
            return
        self.failed, self.last = self.failed + 1, exit_code or 0
        if self.failed == TRIES:
            self.gave_up = True
            self._end(arbiter.loop)

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
