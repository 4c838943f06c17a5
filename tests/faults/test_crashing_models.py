"""A model that crashes its workers while it computes: after the third crash the last good one answers for an hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.crashes import TRIES
from serving.ledger import Ledger
from tests.faults import crashing
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of
from tests.faults.test_killed_workers import answering
from tests.faults.test_racing import leads_of
from tests.serving.conftest import Crm, running
from tests.serving.live.standing import fill, release
from tests.serving.live.test_workers import every_worker, until

pytestmark = pytest.mark.faults


@dataclass(frozen=True)
class Crashing:
    """A service of two workers whose champion crashes once the file is there."""

    served: Served
    file: Path
    champion: str


@pytest.fixture
def standing(crm: Crm, ledger: Ledger, tmp_path: Path) -> Iterator[Crashing]:
    home, file, champion = tmp_path / "home", tmp_path / "crash", crm.products[1].content_hash
    fill(ledger, crm)
    release(ledger, crm, home)
    also = {"CALLSHEET_ALSO": crashing.__name__, crashing.MODEL: champion, crashing.FILE: str(file)}
    options = "--db", ledger.url, "--workers", "2"
    with running(crm.folder, crm.config_path, home, *options, ledger=True, also=also) as service:
        yield Crashing(Served(service, ledger), file, champion)


def test_a_model_that_crashes_its_workers_gives_way_to_the_last_good_one(standing: Crashing) -> None:
    served = standing.served
    service, leads = served.service, leads_of(served)
    assert every_worker(service, "/model", None, lambda said: said["rung"] == "champion")
    standing.file.touch()

    def ask(number: int) -> str:
        try:
            answer = httpx.post(
                f"{service.url}/recommend_reps", json={"lead_id": leads[number % len(leads)]}, timeout=60
            )
        except httpx.TransportError:
            return "died"
        return str(answer.json()["rung"]) if answer.status_code == 200 else str(answer.status_code)

    def last_good() -> bool:
        return {ask(number) for number in range(10)} == {"last_good"}

    until(last_good, 180)
    until(lambda: len(workers_of(served)) == 2 and answering(served, workers_of(served)), 90)
    stays = workers_of(served)
    said = Counter(ask(number) for number in range(40))
    assert said == {"last_good": 40}
    assert every_worker(service, "/model", None, lambda one: "workers crashed within" in one["degraded_reason"])
    assert workers_of(served) == stays
    noted = (service.home / "crashes" / standing.champion).read_text().splitlines()
    assert len(noted) >= TRIES
    assert {line.split()[1] for line in noted} == {"SIGSEGV"}
    log = (service.home / "serve.log").read_text()
    assert "ended by SIGSEGV; another is started" in log
    assert f"Model {standing.champion[:12]} computed when it crashed: 3 workers crashed within 10 minutes" in log
    assert "Fatal Python error: Segmentation fault" in log
    print(f"{len(noted)} crashes, then the last good model in every worker")
