"""Workers that die under load, killed or by a crash in native code: what they had in hand is done by its retry."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import func, select

from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from serving.ledger.tables import IDEMPOTENCY
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of
from tests.faults.test_racing import leads_of
from tests.serving.live.test_workers import until

pytestmark = pytest.mark.faults

#: How often a worker is killed, how many ask meanwhile, and how long after one is back the next one dies, in seconds.
KILLS, CALLERS, PAUSE = 6, 4, 2.0
WORKERS = 2
#: SIGSEGV is what a crash in native code looks like.
SIGNALS = signal.SIGKILL, signal.SIGSEGV
#: Answers of a thousand that may be missing although they were asked for twice.
MISSING = 1


@dataclass
class Caller:
    """Asks again and again, every third time to commit, and once more where nothing came."""

    url: str
    name: int
    leads: list[str]
    stop: threading.Event
    said: Counter[int] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    offers: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        for number in itertools.count():
            if self.stop.is_set():
                return
            key = f"dying-{self.name}-{number}"
            body = {"lead_id": self.leads[number % len(self.leads)], "k": 1, "commit": number % 3 == 0}
            answer = self._ask(body, key) or self._ask(body, key)
            self.said[answer.status_code if answer else 0] += 1
            if answer and answer.status_code == 200 and body["commit"]:
                self.keys.add(key)
                self.offers |= {i["offer_id"]: str(body["lead_id"]) for i in answer.json()["items"] if i["offer_id"]}

    def _ask(self, body: dict[str, object], key: str) -> httpx.Response | None:
        """The answer; None where the connection died, or the worker refused for the moment."""
        headers = {"Idempotency-Key": key} if body["commit"] else {}
        try:
            answer = httpx.post(f"{self.url}/recommend_reps", json=body, headers=headers, timeout=60)
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer


def answering(served: Served, pids: set[int]) -> bool:
    """Whether all these workers answer: they are there, and so many questions on new connections are answered."""
    if workers_of(served) != pids:
        return False
    try:
        return all(httpx.get(f"{served.service.url}/readyz", timeout=30).status_code == 200 for _ in range(20))
    except httpx.TransportError:
        return False


def test_workers_that_die_take_nothing_along_that_a_retry_does_not_bring_back(served: Served) -> None:
    leads = leads_of(served)
    stop = threading.Event()
    callers = [Caller(served.service.url, name, leads[name::CALLERS], stop) for name in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(caller.run) for caller in callers]
        try:
            for number in range(KILLS):
                time.sleep(PAUSE)
                victim = sorted(workers_of(served))[number % WORKERS]
                os.kill(victim, SIGNALS[number % len(SIGNALS)])
                until(lambda v=victim: v not in workers_of(served), 30)
                until(lambda: len(workers_of(served)) == WORKERS, 90)
                until(lambda: answering(served, workers_of(served)), 90)
        finally:
            stop.set()
        for one in asking:
            one.result()
    said = sum((caller.said for caller in callers), Counter[int]())
    assert set(said) <= {200, 0}
    assert 1000 * said[0] <= MISSING * said.total()
    keys = set().union(*(caller.keys for caller in callers))
    offers = {offer: lead for caller in callers for offer, lead in caller.offers.items()}
    assert offers
    with served.ledger.reading() as connection:
        assert keys <= set(connection.execute(select(IDEMPOTENCY.c.key)).scalars())
        made = select(OFFERS.c.offer_id, OFFERS.c.lead_id).where(OFFERS.c.offer_id.in_(offers))
        assert {row.offer_id: row.lead_id for row in connection.execute(made)} == offers
        open_now = select(func.count()).where(OFFERS.c.answer.is_(None)).group_by(OFFERS.c.lead_id)
        assert max(connection.execute(open_now.where(OFFERS.c.decision_id.like("D-%"))).scalars()) == 1
        assert verify(connection) is None
    print(f"{KILLS} workers killed under {said.total()} requests: {said[0]} without an answer after one retry;")
    print(f"{len(keys)} commits and {len(offers)} offers said, 0 lost, 0 twice")
