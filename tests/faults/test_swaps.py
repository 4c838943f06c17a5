"""Twenty swaps of the model under ten thousand questions: none fails, and none is answered by two models at once."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil
import pytest

from features.catalogue import FEATURE_VERSION
from models import store
from models.product import Product
from serving.ledger import Ledger
from serving.ledger.releases import Released, Releases
from tests.faults.conftest import Served
from tests.serving.conftest import Crm, Service
from tests.serving.live.test_workers import Loop, every_worker, golden, models, promote, third, until

__all__ = ["models", "third"]  # what may be swapped

pytestmark = pytest.mark.faults

SWAPS, QUESTIONS, CALLERS = 20, 10_000, 3


def workers(service: Service) -> dict[int, int]:
    """The processes that answer: pid -> resident bytes."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return {child.pid: child.memory_info().rss for child in children if "--worker-id" in child.cmdline()}


def settled(service: Service) -> dict[int, int]:
    """`workers`, the least of a few looks: a question in flight holds memory of its own."""
    looks = []
    for _ in range(10):
        looks.append(workers(service))
        time.sleep(0.2)
    return {pid: min(look[pid] for look in looks) for pid in looks[0]}


@pytest.fixture(scope="module")
def standing(served: Served, third: Product) -> Served:
    """Model 2 answers, and model 3 lies there, too."""
    third.save(served.service.home / "models" / third.content_hash)
    return served


@dataclass
class Swapping:
    """Swaps models in turn: one is promoted, then rolled back."""

    service: Service
    beside: str
    crm: Crm
    models: dict[str, Product]
    done: int = 0
    seconds: list[float] = field(default_factory=list)

    def swap(self) -> None:
        """The next one, until every worker answers by it."""
        version = "23"[(self.done + 1) % 2]
        if version == "3":
            promote(self.beside, self.crm, self.models, "3")
        else:
            ledger = Ledger(self.beside)
            now = Releases(ledger).current()
            assert now is not None
            Releases(ledger).rollback(seen=now.revision, reason="for the test")
            ledger.close()
        begun = time.monotonic()
        until(lambda: every_worker(self.service, "/model", None, lambda said: said["model_version"] == version), 120)
        self.seconds.append(time.monotonic() - begun)
        self.done += 1


def test_no_question_fails_and_no_answer_mixes_models(standing: Served, crm: Crm, models: dict[str, Product]) -> None:
    service, beside = standing.service, standing.ledger.url
    body, scores = golden(crm, beside, models)
    loops = [Loop(service.url, body) for _ in range(CALLERS)]
    swapping, early = Swapping(service, beside, crm, models), {}
    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(loop.run) for loop in loops]
        try:
            while swapping.done < SWAPS:
                swapping.swap()
                if swapping.done == 2:
                    early = settled(service)
            late = settled(service)
            until(lambda: sum(len(loop.said) for loop in loops) >= QUESTIONS, 600)
        finally:
            for loop in loops:
                loop.stop.set()
        for one in asking:
            one.result()
    assert not [failure for loop in loops for failure in loop.failed]
    answers = [answer for loop in loops for answer in loop.said]
    assert len(answers) >= QUESTIONS
    assert {(version, rung) for version, rung, _ in answers} == {("2", "champion"), ("3", "champion")}
    assert not [version for version, _, said in answers if said != scores[str(version)]]
    assert set(late) == set(early)
    growth = max(late[pid] / early[pid] for pid in late)
    print(f"{SWAPS} swaps, {len(answers)} answers: 0 failed, 0 mixed; resident memory at most x {growth:.2f}")
    told = sorted(swapping.seconds)
    print(f"from the release to the answer of every worker: median {told[SWAPS // 2]:.1f} s, at most {told[-1]:.1f} s")
    assert growth < 1.1


def test_a_model_that_kills_its_reader_leaves_every_worker_as_it_was(
    standing: Served, crm: Crm, models: dict[str, Product]
) -> None:
    """Released with a hash that is right, so that only the trial stands between it and the workers."""
    service = standing.service
    files = dict(models["2"].files)
    files["accept.txt"] = re.sub(rb"num_leaves=\d+", b"num_leaves=999999", files["accept.txt"])
    forged = store.content_hash(files)
    store.write(files, service.home / "models" / forged)
    before = workers(service)
    ledger = Ledger(standing.ledger.url)
    now = Releases(ledger).current()
    assert now is not None
    fatal = Released("4", forged, FEATURE_VERSION, crm.config.market_fingerprint)
    revision = Releases(ledger).promote(fatal, seen=now.revision, reason="for the test").revision
    until(lambda: every_worker(service, "/model", None, lambda said: said["revision"] == revision), 120)
    assert every_worker(service, "/model", None, lambda said: "failed its trial" in said["degraded_reason"])
    assert set(workers(service)) == set(before)
    Releases(ledger).rollback(seen=revision, reason="back to the good one")
    ledger.close()
    until(lambda: every_worker(service, "/model", None, lambda said: not said["degraded"]), 120)
