"""kill -9 between the commit and its reply: the caller asks again with its key, and gets the answer that it missed."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from serving.ledger.tables import IDEMPOTENCY
from tests.serving.conftest import Crm, Service, running
from tests.serving.databases import BOTH
from tests.serving.live.standing import fill, release

pytestmark = pytest.mark.faults

HEADERS = {"content-type": "application/json", "idempotency-key": "the-only-one"}


def killed(service: Service) -> None:
    """The supervisor and its workers, at once and for good."""
    supervisor = psutil.Process(service.process.pid)
    for process in (supervisor, *supervisor.children(recursive=True)):
        process.kill()
    service.process.wait()


def committed(ledger: Ledger) -> dict[str, Any]:
    """The answer that was kept with the commit, as soon as there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with ledger.reading() as connection:
            body = connection.execute(select(IDEMPOTENCY.c.body)).scalar_one_or_none()
        if body is not None:
            return dict(json.loads(body))
    raise AssertionError("nothing was committed")


@pytest.mark.parametrize("where", BOTH, indirect=True)
def test_the_retry_of_a_commit_whose_reply_never_came_gets_that_reply(crm: Crm, url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ledger = Ledger.open(url, home)
    fill(ledger, crm)
    release(ledger, crm, home)
    body = b""
    with running(crm.folder, crm.config_path, home, "--db", url, ledger=True) as service:
        line = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        for rep in map(str, crm.book.rep_ids):  # one who may be offered something
            asked = {"rep_id": rep, "k": 2}
            if httpx.post(f"{service.url}/recommend_leads", json=asked, timeout=30).json()["items"]:
                body = json.dumps(asked | {"commit": True}).encode()
                break
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        line.sendall(
            f"POST /recommend_leads HTTP/1.1\r\nhost: localhost\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
        )
        line.sendall(body)
        kept = committed(ledger)
        killed(service)
        line.close()  # whatever came on it, nobody read
    shutil.rmtree(home / "elsewhere")
    with running(crm.folder, crm.config_path, home, "--db", url, ledger=True) as again:
        for _ in range(2):
            retry = httpx.post(f"{again.url}/recommend_leads", content=body, headers=HEADERS, timeout=60)
            assert retry.status_code == 200
            assert retry.headers["idempotent-replayed"] == "true"
            assert retry.json() == kept
    offered = {item["offer_id"] for item in kept["items"] if item["offer_id"]}
    assert offered
    with ledger.reading() as connection:
        made = select(func.count()).select_from(OFFERS).where(OFFERS.c.decision_id == kept["decision_id"])
        assert connection.execute(made).scalar_one() == len(offered)
        assert verify(connection) is None
    ledger.close()
