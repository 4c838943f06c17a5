"""SIGTERM in the middle of something: what was begun is finished or was never there, and nothing is left half done."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import CRM
from serving.ledger.releases import Releases
from tests.serving.conftest import Crm, running
from tests.serving.live.standing import fill, release
from tests.serving.live.test_workers import until
from tests.serving.test_overload import POST, answer

pytestmark = pytest.mark.faults

#: How often a load is stopped.
STOPS = 6
ROOT = str(Path(__file__).resolve().parents[2])


def test_a_service_that_is_told_to_stop_while_it_swaps_models_answers_first_and_comes_back_with_the_new_one(
    crm: Crm, url: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ledger = Ledger.open(url, home)
    fill(ledger, crm)
    release(ledger, crm, home)

    body = b'{"pairs": []}'
    with running(crm.folder, crm.config_path, home, "--db", url, ledger=True) as service, ExitStack() as open_ones:
        before = httpx.get(f"{service.url}/model", timeout=60).json()["revision"]
        Releases(ledger).promote(crm.released(before % 2), seen=before, reason="for the test")
        until(lambda: on_trial(service.process.pid), 30)
        lines = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
            for _ in range(20)
        ]
        for line in lines:
            line.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body[:5])
        assert httpx.get(f"{service.url}/livez", timeout=60).status_code == 200  # so the lines were taken before it
        service.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        for line in lines:
            line.sendall(body[5:])
        assert [answer(line)[:12] for line in lines] == [b"HTTP/1.1 200"] * len(lines)
        assert service.process.wait(60) == 0
    again = tmp_path / "again"
    again.mkdir()
    (again / "models").symlink_to(home / "models")
    with running(crm.folder, crm.config_path, again, "--db", url, ledger=True) as service:
        model = httpx.get(f"{service.url}/model", timeout=60).json()
    now = Releases(ledger).current()
    assert now is not None
    assert (model["revision"], model["rung"], model["degraded"]) == (now.revision, "champion", False)
    ledger.close()


def on_trial(pid: int) -> bool:
    """Whether a worker is trying a model."""
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "serving.probe" in child.cmdline():
                return True
    return False


def rows(ledger: Ledger) -> dict[str, int]:
    """How many rows each table of the CRM has."""
    with ledger.reading() as connection:
        count = select(func.count())
        return {name: int(connection.execute(count.select_from(table)).scalar_one()) for name, table in CRM.items()}


@pytest.fixture
def loading(crm: Crm, url: str, tmp_path: Path) -> Iterator[Any]:
    """`callsheet load` as a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "callsheet", "load", "--data", str(crm.folder), "--db", url]
        options = ["--config", str(crm.config_path), "--home", str(tmp_path / "home")]
        out = subprocess.DEVNULL
        environment = os.environ | {"PYTHONPATH": ROOT}
        started.append(subprocess.Popen([*command, *options], env=environment, stdout=out, stderr=out))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_load_that_is_stopped_leaves_all_of_it_or_nothing_and_is_simply_begun_again(
    ledger: Ledger, crm: Crm, loading: Any
) -> None:
    """At instants spread over the second half of the time that a whole one takes, told to stop and killed in turn."""
    began = time.monotonic()
    assert loading().wait(300) == 0
    took, whole = time.monotonic() - began, rows(ledger)
    assert whole["leads"] == len(crm.snapshot.tables["leads"])
    with ledger.writing() as connection:
        for table in CRM.values():
            connection.execute(table.delete())
    empty = rows(ledger)
    assert set(empty.values()) == {0}
    ended = []
    for part in range(STOPS):
        process = loading()
        time.sleep(took * (0.5 + 0.5 * part / STOPS))
        process.send_signal((signal.SIGTERM, signal.SIGKILL)[part % 2])
        ended.append(process.wait(60))
        assert rows(ledger) in (empty, whole)
        with ledger.reading() as connection:
            assert verify(connection) is None
    assert any(ended)  # one at least was stopped
    assert loading().wait(300) == 0
    assert rows(ledger) == whole
