"""What no request tells: every few seconds each worker says how old its model is and how far it is behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from features.errors import CallsheetError
from serving import ends, metrics
from serving.due import due
from serving.ledger.change import seq_of
from serving.ledger.events import expired
from serving.ledger.unplaced import waiting

if TYPE_CHECKING:
    from serving.edge import Edge

log = logging.getLogger(__name__)

SECONDS: Final = 2.0
#: Between two looks at what is overdue, which reads every open offer.
DUE_SECONDS: Final = 30.0


class Pulse:
    """A thread of one worker that ends with it.

    answers  what it answers from: `recommender`, and `live` where it follows the ledger; None while it starts
    """

    def __init__(self, edge: Edge, answers: Callable[[], Any]) -> None:
        self.edge, self.answers = edge, answers
        self._stopped = Event()
        self._due_at = 0.0

    def start(self) -> None:
        """Beat from now on."""
        Thread(target=self._beat, name="pulse", daemon=True).start()

    def _beat(self) -> None:
        while not self._stopped.wait(SECONDS):
            try:
                self.beat()
            except CallsheetError:
                pass  # the ledger cannot be read, which its follower says; the gauges keep what they said
            except Exception:
                log.exception("What the metrics tell could not be told")

    def beat(self) -> None:
        """Say once how things stand. Raises LedgerError."""
        metrics.RUNNING.set(self.edge.turns.running + self.edge.writes.running)
        metrics.WAITING.set(self.edge.turns.waiting + self.edge.writes.waiting)
        metrics.OPEN.set(self.edge.crowd.open)
        for how, count in ends.counts().items():
            metrics.ENDS.labels(how).set(count)
        answers = self.answers()
        if answers is None:
            return
        standing = answers.recommender.standing
        about = standing.product.card.get("about", {}) if standing.product else {}
        for rung in ("champion", "last_good"):
            metrics.MODEL_AGE.labels(rung).set(_age(about.get("cut")) if rung == standing.rung else 0)
        contender = answers.recommender.contender
        metrics.CHALLENGER_REFUSED.set(contender is not None and contender.product is None)
        live = getattr(answers, "live", None)
        if live is not None:
            metrics.LEDGER_STALE.set(live.stale_seconds)
            with live.ledger.reading() as connection:
                metrics.LEDGER_LAG.set(max(0, seq_of(connection) - live.seq))
                if time.monotonic() >= self._due_at:
                    self._due_at = time.monotonic() + DUE_SECONDS
                    now = datetime.now(UTC)
                    listed = due(connection, live.config, now)
                    metrics.EXPIRED.set(expired(connection))
                    metrics.OVERDUE.set(sum(one.breached and not one.expired for one in listed))
                    for what, count in waiting(connection, now).items():
                        metrics.UNPLACED.labels(what).set(count)


def _age(cut: str | None) -> float:
    """Seconds since a day; 0 where the model does not tell it."""
    return time.time() - datetime.fromisoformat(cut).replace(tzinfo=UTC).timestamp() if cut else 0.0
