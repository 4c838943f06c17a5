"""Holds the SLA beside the service: each minute one worker of all lets overdue offers go on."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from features.errors import CallsheetError
from serving.reoffer import Rerouted
from serving.sla import Applied, tick

if TYPE_CHECKING:
    from serving.decide import Decider
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
        """Do it, unless another worker does it this minute. Raises LedgerError."""
        done = tick(self.live.ledger, self.live.config, self.router, self.holder)
        if done is not None and (done.expired or done.reoffered or done.unplaced):
            log.info(
                "SLA: %d offers expired, %d leads offered again, %d unplaced", len(done.expired), len(done.reoffered),
                len(done.unplaced),
            )  # fmt: skip
        return done

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            try:
                self.once()
            except CallsheetError as error:
                log.warning("What is overdue waits a minute more: %s", error)
            except Exception:
                log.exception("What is overdue waits a minute more")
