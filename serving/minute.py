"""The minute's work beside the service: one worker of all lets overdue offers go on, and one looks at the release."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from features.errors import CallsheetError
from serving import guard
from serving.reoffer import Rerouted
from serving.sla import Applied, tick

if TYPE_CHECKING:
    from serving.decide import Decider
    from serving.ledger.releases import Release
    from serving.live import Live

log = logging.getLogger(__name__)

SECONDS: Final = 60.0


class Minute:
    """A thread of one worker, which ends with it; workers of all machines share the lease of the ledger."""

    def __init__(self, live: Live, decider: Decider) -> None:
        self.live, self.router = live, Rerouted(decider, live.catch_up)
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._stopped = Event()

    def start(self) -> Minute:
        """Begin in a minute, and each minute."""
        Thread(target=self._run, name="sla", daemon=True).start()
        return self

    def stop(self) -> None:
        """Begin no more."""
        self._stopped.set()

    def once(self) -> Applied | None:
        """Hold the SLA, unless another worker does it this minute. Raises LedgerError."""
        done = tick(self.live.ledger, self.live.config, self.router, self.holder)
        if done is not None and (done.expired or done.reoffered or done.unplaced):
            log.info(
                "SLA: %d offers expired, %d leads offered again, %d unplaced", len(done.expired), len(done.reoffered),
                len(done.unplaced),
            )  # fmt: skip
        return done

    def guard(self) -> Release | None:
        """Look whether the release on probation does harm, unless another worker does it. Raises LedgerError."""
        return guard.tick(self.live.ledger, self.live.config, self.holder)

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            self._try(self.once, "What is overdue")
            self._try(self.guard, "The release on probation")

    def _try(self, work: Callable[[], Any], what: str) -> None:
        """Whatever one of the two breaks on, the other is done."""
        try:
            work()
        except CallsheetError as error:
            log.warning("%s waits a minute more: %s", what, error)
        except Exception:
            log.exception("%s waits a minute more", what)
