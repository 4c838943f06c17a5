"""Hundreds of damaged models released to workers that answer: each is refused, and no worker notices more than that."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from features.errors import ModelError
from models import store
from models.product import Product
from serving.ledger.releases import Releases
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of
from tests.serving.conftest import Crm
from tests.serving.live.test_workers import Loop, every_worker, golden, models, third, until
from tests.serving.test_ladder import mutations

__all__ = ["models", "third"]

pytestmark = pytest.mark.faults

#: On each database.
ROUNDS = 250


def damaged(rng: random.Random, sound: Path, target: Path) -> str:
    """Put a copy of a model there that is not it any more; what was done."""
    while True:
        how = mutations(rng, sound, target)
        try:
            store.read(target, expected=sound.name)
        except ModelError:
            return how


def refuses(said: Any, revision: int) -> bool:
    """Whether a worker knows the release and answers by another model."""
    return said["revision"] == revision and "cannot serve" in (said["degraded_reason"] or "")


def test_no_damaged_model_is_taken_by_a_worker_that_answers(
    served: Served, crm: Crm, models: dict[str, Product], tmp_path: Path
) -> None:
    service, releases = served.service, Releases(served.ledger)
    product = crm.products[0]
    sound, target = tmp_path / product.content_hash, service.home / "models" / product.content_hash
    shutil.copytree(target, sound)
    body, scores = golden(crm, served.ledger.engine.url.render_as_string(hide_password=False), models)
    rng, seen, before = random.Random(11), Counter[str](), workers_of(served)
    loop = Loop(service.url, body)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(loop.run)
        try:
            for _ in range(ROUNDS):
                seen[damaged(rng, sound, target).split()[0]] += 1
                now = releases.current()
                assert now is not None
                revision = releases.promote(crm.released(0), seen=now.revision, reason="for the test").revision
                until(lambda r=revision: every_worker(service, "/model", None, lambda said: refuses(said, r)), 120)
        finally:
            loop.stop.set()
        asking.result()
    assert workers_of(served) == before
    assert not loop.failed
    assert {(version, said) for version, _, said in loop.said} == {("2", scores["2"])}
    shutil.rmtree(target)
    shutil.copytree(sound, target)
    releases.promote(crm.released(1), seen=revision, reason="back to the good one")
    until(lambda: every_worker(service, "/model", None, lambda said: not said["degraded"]), 120)
    assert workers_of(served) == before
    print(f"{ROUNDS} damaged models released, {dict(seen)}: all refused by both workers, which stayed;")
    print(f"{len(loop.said)} answers meanwhile, 0 failed, all by the model that they had")
