"""A worker that is killed: another takes its place, in a container too, and no metric goes on telling of the dead."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from serving.ledger import Ledger
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of
from tests.faults.test_killed_workers import answering
from tests.serving.conftest import Crm, Service, running
from tests.serving.live.standing import fill, release
from tests.serving.live.test_workers import until
from tests.serving.test_metrics import scrape, total

pytestmark = pytest.mark.faults

HALF = b"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
SENT = 24


def told(service: Service, name: str) -> float:
    """A metric's value, all labels together."""
    return total(scrape(service), name)


@pytest.mark.parametrize("environment", [{}, {"BENTOML_CONTAINERIZED": "1"}], ids=["", "container"])
def test_what_a_killed_worker_told_is_forgotten_and_another_takes_its_place(
    crm: Crm, ledger: Ledger, tmp_path: Path, environment: dict[str, str]
) -> None:
    home, options = tmp_path / "home", ("--db", ledger.url, "--workers", "2")
    fill(ledger, crm)
    release(ledger, crm, home)
    with running(crm.folder, crm.config_path, home, *options, ledger=True, also=environment) as service:
        served = Served(service, ledger)
        until(lambda: len(workers_of(served)) == 2)
        with ExitStack() as open_now:
            for _ in range(SENT):
                one = open_now.enter_context(socket.create_connection(("127.0.0.1", service.port)))
                one.sendall(HALF)
            until(lambda: told(service, "callsheet_requests_open") >= SENT)
            before = workers_of(served)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            until(lambda: len(workers_of(served) - before) == 2)
        until(lambda: answering(served, workers_of(served)))
        until(lambda: told(service, "callsheet_worker_ends") == 2)
        until(lambda: told(service, "callsheet_requests_open") < SENT / 2)
        assert 'callsheet_worker_ends{how="SIGKILL"} 2.0' in httpx.get(f"{service.url}/metrics", timeout=30).text
        assert (home / "serve.log").read_text().count("ended by SIGKILL; another is started") == 2
