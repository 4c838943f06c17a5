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
import pandas as pd
import pytest
from sqlalchemy import select

from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import OFFERS
from serving.ledger.releases import Releases
from tests.serving.conftest import running
from tests.serving.databases import BOTH, database, new_database, postgres
from tests.taste import likes, write_tastes

__all__ = ["postgres"]

MIX = "\npolicy: {holdout: 0.2, explore: {share: 0.5, how: epsilon, loss: 1.0}}\n"


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A CRM up to this week, for what is decided here is decided today; a share is left to chance and to the rules."""
    folder = tmp_path / "crm"
    config = write_tastes(folder)
    config.write_text(config.read_text() + MIX)
    return folder


def callsheet(*args: str) -> str:
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "callsheet", *args], env=os.environ | {"PYTHONPATH": root}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(params=BOTH)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return new_database(database(request.getfixturevalue("postgres"), "circle"))


def test_the_circle_closes(crm: Path, tmp_path: Path, db: str) -> None:
    home, config = tmp_path / "home", crm / "callsheet.yaml"
    where = ("--config", str(config), "--home", str(home), "--db", db)
    callsheet("load", "--data", str(crm), *where)
    first = callsheet("train", "--recipe", "fast", "--promote", *where)
    with (
        running(crm, config, home, "--workers", "2", "--db", db, ledger=True) as service,
        httpx.Client(base_url=service.url, timeout=60) as http,
    ):
        assert http.get("/model").json()["model_version"] == version(first)
        made = _decided(http, crm)
        _recorded(http, made)
        second = callsheet("train", "--recipe", "fast", "--seed", "1", *where)
        assert offers(second) == offers(first) + len(made)
        _swapped_under_load(service.url, version(first), version(second), where)
    _written_down(db, made, crm)


def version(trained: str) -> str:
    found = re.search(r"^model (\d+) run", trained, re.MULTILINE)
    assert found
    return found[1]


def offers(trained: str) -> int:
    """How many offers a training read."""
    found = re.search(r"^offers +([\d,]+)", trained, re.MULTILINE)
    assert found
    return int(found[1].replace(",", ""))


def _decided(http: httpx.Client, crm: Path) -> dict[str, bool]:
    """Offers of the open leads, as a routing system would have them made: offer_id -> whether the rep likes it."""
    solution = pd.read_csv(crm / "leads.csv", dtype=str).set_index("lead_id")["solution"]
    year, week, _ = datetime.now(UTC).isocalendar()
    plan = http.post("/plan", json={"week": f"{year}-W{week:02d}", "dry_run": True}).json()
    made = {}
    for line in plan["assignments"][:30]:
        body = {"lead_id": line["lead_id"], "k": 1, "commit": True}
        answer = http.post("/recommend_reps", json=body, headers={"Idempotency-Key": line["lead_id"]}).json()
        wanted = solution[line["lead_id"]]
        made |= {item["offer_id"]: likes(item["rep_id"], wanted) for item in answer["items"] if item["offer_id"]}
    assert len(made) > 15
    return made


def _recorded(http: httpx.Client, made: dict[str, bool]) -> None:
    """What a rep likes is accepted, and turns into an opportunity; the others are rejected."""
    events: list[dict[str, Any]] = []
    at = datetime.now(UTC)
    for place, (offer_id, liked) in enumerate(made.items()):
        event = {"event_id": f"a{place}", "offer_id": offer_id, "at": at.isoformat()}
        events.append(event | ({"kind": "accepted"} if liked else {"kind": "rejected", "reason": "bad_fit"}))
        if liked:
            deal = {"kind": "opportunity", "opportunity_id": f"OP{place}", "stage": "qualify", "forecast_weight": 0.3}
            later = (at + timedelta(milliseconds=1)).isoformat()
            events.append({"event_id": f"o{place}", "offer_id": offer_id, "at": later} | deal)
    answer = http.post("/record", json={"events": events}, headers={"Idempotency-Key": "outcomes"})
    assert {one["result"] for one in answer.json()["results"]} == {"applied"}, answer.text


def _written_down(db: str, made: dict[str, bool], crm: Path) -> None:
    """Each offer has its answer, its policy and true propensity; no release was forced; the audit's chain is whole."""
    ledger = Ledger(db)
    with ledger.reading() as connection:
        rows = connection.execute(select(OFFERS).where(OFFERS.c.offer_id.in_(made))).all()
        assert verify(connection) is None
    releases = Releases(ledger).history()
    ledger.close()
    assert [(one.forced, one.gate["passed"]) for one in releases] == [(False, True)] * 2
    assert len(rows) == len(made)
    assert {row.answer for row in rows} == {"accepted", "rejected"}
    leads, people = (pd.read_csv(crm / f"{name}.csv", dtype=str) for name in ("leads", "contacts"))
    objects = people.loc[people["objects_to_profiling"] == "true", "contact_id"]
    by_rules = set(leads.loc[leads["contact_id"].isin(objects), "lead_id"])
    assert {row.policy for row in rows if row.lead_id not in by_rules} <= {"champion", "holdout", "explore"}
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
        callsheet("promote", *where)
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
