"""The whole circle at everybody's doors: load, train, serve, decide, record, train again, promote, swapped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from tests.serving.conftest import running
from training.sample import write_sample

MIX = "\npolicy: {holdout: 0.2, explore: {share: 0.5, how: epsilon, loss: 1.0}}\n"


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A CRM up to today, for what is decided here is decided today; a share is left to chance and to the rules."""
    folder = tmp_path / "crm"
    write_sample(folder, accounts=100, reps=14, offers=900, seed=7, end=datetime.now(UTC).date())
    config = folder / "callsheet.yaml"
    config.write_text(config.read_text() + MIX)
    return folder


def callsheet(*args: str) -> str:
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "callsheet", *args], env=os.environ | {"PYTHONPATH": root}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_circle_closes(crm: Path, tmp_path: Path) -> None:
    home, config = tmp_path / "home", crm / "callsheet.yaml"
    where = ("--config", str(config), "--home", str(home))
    callsheet("load", "--data", str(crm), *where)
    first = callsheet("train", "--recipe", "fast", *where)
    callsheet("promote", "--force", "--reason", "a sample is too small for the gate", *where)
    with (
        running(crm, config, home, "--workers", "2", ledger=True) as service,
        httpx.Client(base_url=service.url, timeout=60) as http,
    ):
        assert http.get("/model").json()["model_version"] == version(first)
        made = _decided(http)
        _recorded(http, made)
        second = callsheet("train", "--recipe", "fast", "--seed", "1", *where)
        assert offers(second) == offers(first) + len(made)
        _swapped_under_load(service.url, version(first), version(second), where)
    _written_down(home, made)


def version(trained: str) -> str:
    return trained.splitlines()[-1].split()[1]


def offers(trained: str) -> int:
    """How many offers a training read."""
    found = re.search(r"^offers +([\d,]+)", trained, re.MULTILINE)
    assert found
    return int(found[1].replace(",", ""))


def _decided(http: httpx.Client) -> dict[str, str]:
    """Offers of the open leads, as a routing system would have them made: offer_id -> rep_id."""
    year, week, _ = datetime.now(UTC).isocalendar()
    plan = http.post("/plan", json={"week": f"{year}-W{week:02d}", "dry_run": True}).json()
    made = {}
    for line in plan["assignments"][:30]:
        body = {"lead_id": line["lead_id"], "k": 1, "commit": True}
        answer = http.post("/recommend_reps", json=body, headers={"Idempotency-Key": line["lead_id"]}).json()
        made |= {item["offer_id"]: item["rep_id"] for item in answer["items"] if item["offer_id"]}
    assert len(made) > 15
    return made


def _recorded(http: httpx.Client, made: dict[str, str]) -> None:
    """Every third is accepted, and turns into an opportunity; the others are rejected."""
    events: list[dict[str, Any]] = []
    at = datetime.now(UTC)
    for place, offer_id in enumerate(made):
        event = {"event_id": f"a{place}", "offer_id": offer_id, "at": at.isoformat()}
        events.append(event | ({"kind": "rejected", "reason": "bad_fit"} if place % 3 else {"kind": "accepted"}))
        if place % 3 == 0:
            deal = {"kind": "opportunity", "opportunity_id": f"OP{place}", "stage": "qualify", "forecast_weight": 0.3}
            later = (at + timedelta(milliseconds=1)).isoformat()
            events.append({"event_id": f"o{place}", "offer_id": offer_id, "at": later} | deal)
    answer = http.post("/record", json={"events": events}, headers={"Idempotency-Key": "outcomes"})
    assert {one["result"] for one in answer.json()["results"]} == {"applied"}, answer.text


def _written_down(home: Path, made: dict[str, str]) -> None:
    """Each offer has its answer, its policy and true propensity; the audit's chain is whole."""
    ledger = Ledger.open(None, home)
    with ledger.reading() as connection:
        rows = connection.execute(select(OFFERS).where(OFFERS.c.offer_id.in_(made))).all()
        assert verify(connection) is None
    ledger.close()
    assert len(rows) == len(made)
    assert {row.answer for row in rows} == {"accepted", "rejected"}
    assert {row.policy for row in rows} <= {"champion", "holdout", "explore"}
    assert any(row.propensity is not None and 0 < row.propensity < 1 for row in rows)


def _swapped_under_load(url: str, before: str, after: str, where: tuple[str, ...]) -> None:
    """Promotion while both workers answer: no request fails, and both come to answer with the new model."""
    stop, statuses, versions = Event(), [], set()

    def ask() -> None:
        while not stop.is_set():
            with httpx.Client(base_url=url, timeout=60) as http:  # a new connection may meet either worker
                answer = http.post("/score", json={"pairs": []})
                statuses.append(answer.status_code)
                versions.add(answer.json()["model_version"])
                last.append(answer.json()["model_version"])

    last: list[str] = []
    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        callsheet("promote", "--force", "--reason", "for the swap", *where)
        until = time.monotonic() + 60
        while time.monotonic() < until and not (len(last) > 30 and set(last[-30:]) == {after}):
            time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    assert versions == {before, after}
    assert set(last[-30:]) == {after}
