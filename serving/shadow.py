"""Looks on: what the challenger would have done of a committed decision, found and written after its answer."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Final

import numpy as np

from features.config_policy import Policy
from models.rules import HASH
from serving import metrics
from serving.ledger import Ledger, LedgerError
from serving.ledger.shadows import write
from serving.policy import drawn
from serving.ranking import OBJECTS, Ranking
from serving.recommend import Recommender

log = logging.getLogger(__name__)

#: Decisions that wait to be looked on at; each keeps the book of its moment, and what comes beyond them is left out.
WAITING: Final = 16
#: Rows that are written at once, at the latest after so many seconds; more than KEPT are not kept for a ledger that is
#: down.
ROWS, SECONDS, KEPT = 100, 1.0, 1_000


@dataclass(frozen=True)
class Seen:
    """A committed decision on a lead. ranking: by the model that serves, or the rules; items: as it was answered."""

    decision_id: str
    at: datetime
    recommender: Recommender
    ranking: Ranking
    items: list[Mapping[str, Any]]


class Shadow:
    """A thread of one worker, which ends with it; what it has not written by then is lost, and so is its count.

    Nothing of it reaches a caller: `see` only puts a decision down, and what fails is a row, a metric and a log line.
    """

    def __init__(self, ledger: Ledger, policy: Policy) -> None:
        self.ledger, self.policy = ledger, policy
        self._waiting: Queue[Seen] = Queue(WAITING)
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        self._stopped = Event()

    def start(self) -> Shadow:
        """Look on from now on."""
        Thread(target=self._run, name="shadow", daemon=True).start()
        return self

    def stop(self) -> None:
        """Look on no more."""
        self._stopped.set()

    def see(self, decision: Seen) -> None:
        """Take a committed decision, if it is drawn and a challenger is there to look on. Waits for nothing.

        Whether it is drawn, its id alone decides.
        """
        if not drawn("shadow", decision.decision_id, self.policy.shadow):
            return
        contender = decision.recommender.contender
        if contender is None or contender.product is None:
            return
        try:
            self._waiting.put_nowait(decision)
        except Full:
            metrics.CHALLENGED.labels("shadow", "skipped").inc()

    def once(self) -> None:
        """Look on at all that waits, and write it. Raises LedgerError."""
        while not self._waiting.empty():
            self._look(self._waiting.get_nowait())
        self._write()

    def _run(self) -> None:
        while not self._stopped.is_set():
            took = 0.0
            try:
                decision = self._waiting.get(timeout=SECONDS)
                begun = time.thread_time()
                self._look(decision)
                took = time.thread_time() - begun
                del decision  # and the book of its moment
            except Empty:
                pass
            except Exception:
                log.exception("The challenger could not look on")
            if self._rows and (len(self._rows) >= ROWS or time.monotonic() - self._written > SECONDS):
                self._written = time.monotonic()
                try:
                    self._write()
                except LedgerError as error:
                    log.warning("What the challenger would have done is written later: %s", error)
            self._stopped.wait(took)  # half of a core at most, whatever is committed

    def _look(self, decision: Seen) -> None:
        begun = time.perf_counter()
        row = looked(decision)
        if row is None:
            return
        metrics.CHALLENGER_SECONDS.observe(time.perf_counter() - begun)
        result = "error" if row["error"] else "agrees" if row["agrees"] else "differs"
        metrics.CHALLENGED.labels("shadow", result).inc()
        if len(self._rows) < KEPT:
            self._rows.append(row)

    def _write(self) -> None:
        if self._rows:
            write(self.ledger, self._rows)
            self._rows.clear()


def looked(decision: Seen) -> dict[str, Any] | None:
    """A row of SHADOWS: whom the challenger takes of the same candidates; None: there was nothing to rank by a model.

    Cost: features and model of the candidates, as an answer's.
    """
    challenger, ranking = decision.recommender.beside, decision.ranking
    if challenger is None or not len(ranking.best) or ranking.order.rung == HASH:
        return None
    theirs = challenger.quiet.again(ranking)
    order = theirs.order
    if order.reason == OBJECTS:
        return None
    model = challenger.standing
    assert model.product is not None
    row = {
        "decision_id": decision.decision_id, "at": decision.at, "model_version": model.version,
        "content_hash": model.product.content_hash, "rep_id": None, "agrees": None, "error": order.reason,
        "p_accept": None, "p_accept_serving": None, "scores": None,
    }  # fmt: skip
    if order.reason is None and not np.isfinite(order.score).all():
        row["error"] = f"model {model.version} answers with numbers that are no scores"
    if row["error"] is not None:
        log.error("The challenger failed at decision %s: %s", decision.decision_id, row["error"])
        return row
    pick = theirs.best_ids[0]
    place = {str(one): i for i, one in enumerate(ranking.ids[ranking.rows])}
    shown = dict.fromkeys([*(item["rep_id"] for item in decision.items), pick])
    scores = {
        one: {
            "score": float(order.score[place[one]]), "p_accept": float(order.p_accept[place[one]]),
            "p_convert": float(order.p_convert[place[one]]), "expected_value": float(order.value[place[one]]),
        }
        for one in shown
    }  # fmt: skip
    for rep_id in (item["rep_id"] for item in decision.items if item["offer_id"]):
        served = float(ranking.order.p_accept[place[rep_id]])
        row |= {"p_accept": scores[rep_id]["p_accept"], "p_accept_serving": None if served != served else served}
    return row | {"rep_id": pick, "agrees": pick == ranking.best_ids[0], "scores": json.dumps(scores)}
