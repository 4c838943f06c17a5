"""`callsheet sla` and the minute of the service, on a ledger that holds a CRM with models released on it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from serving.cli.options import Format
from serving.cli.sla import sla as listed
from serving.ledger import Ledger
from serving.ledger.events import expired
from serving.ledger.releases import Release
from serving.live import Live
from serving.minute import Minute
from serving.sla import Applied
from serving.start import decider
from tests.serving.conftest import Crm
from tests.serving.ledger.small import furnish, give, holds, offer, offer_of, table
from tests.serving.live.standing import fill, release

NOW = datetime.now(UTC)


@pytest.fixture
def stood(ledger: Ledger, crm: Crm, tmp_path: Path) -> Ledger:
    """A free lead was offered three weeks ago to a rep who never answered, and another one an hour ago."""
    fill(ledger, crm)
    release(ledger, crm, tmp_path)
    taken = holds(ledger)
    live = Live(ledger, crm.config, tmp_path)
    codes = [str(live.recommender.book.lead_ids[code]) for code in live.recommender.open_leads]
    free = [lead for lead in codes if lead not in taken and len(live.recommender.rank_reps(lead).best) > 1][:2]
    reps = [live.recommender.rank_reps(lead).best_ids[0] for lead in free]
    give(
        ledger, offer("LATE", free[0], reps[0], NOW - timedelta(days=21)),
        offer("FRESH", free[1], reps[1], NOW - timedelta(hours=1)),
    )  # fmt: skip
    return ledger


def sla(ledger: Ledger, crm: Crm, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "callsheet", "sla", "--config", str(crm.config_path), "--home", str(home)]
    command += ["--db", ledger.url, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)


def said(ran: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert ran.returncode == 0, ran.stderr
    rows: list[dict[str, Any]] = json.loads(ran.stdout)
    return rows


def test_the_command_lists_what_is_due_and_does_it_when_asked(stood: Ledger, crm: Crm, tmp_path: Path) -> None:
    listed = {row["offer_id"]: row for row in said(sla(stood, crm, tmp_path, "--format", "json"))}
    assert (listed["LATE"]["state"], listed["FRESH"]["state"]) == ("breached", "open")
    assert listed["LATE"]["due_at"] < listed["FRESH"]["due_at"]
    assert offer_of(stood, "LATE")["answer"] is None

    done = said(sla(stood, crm, tmp_path, "--apply", "--format", "json"))
    assert "LATE" in {row["offer_id"] for row in done if row["done"] == "expired"}
    late = offer_of(stood, "LATE")
    assert late["answer"] == "expired"
    held = offer_of(stood, holds(stood)[late["lead_id"]])
    assert held["offer_id"] in {row["offer_id"] for row in done if row["done"] == "offered"}
    assert held["rep_id"] != late["rep_id"]
    assert offer_of(stood, "FRESH")["answer"] is None

    again = csv.DictReader(io.StringIO(sla(stood, crm, tmp_path, "--format", "csv").stdout))
    assert {row["offer_id"]: row["state"] for row in again}["LATE"] == "expired"


def test_the_service_does_the_same_each_minute(stood: Ledger, crm: Crm, tmp_path: Path) -> None:
    live = Live(stood, crm.config, tmp_path)
    one, other = Minute(live, decider(live)), Minute(live, decider(live))
    done = one.once()
    assert done is not None
    assert "LATE" in done.expired
    with stood.reading() as connection:
        assert expired(connection) == len(done.expired)
    assert other.once() is None  # this minute is the first one's
    lead = offer_of(stood, "LATE")["lead_id"]
    assert holds(stood)[lead] == done.reoffered[lead]
    offers = [row for row in table(stood, "offers") if row["lead_id"] == lead]
    assert len({row["rep_id"] for row in offers}) == len(offers)


def test_the_command_lists_all_that_is_due_however_much_it_is(
    tmp_path: Path, crm: Crm, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger.open(None, tmp_path)
    furnish(ledger, leads=1_005)
    give(ledger, *(offer(f"X{n}", f"L{n}", "R2") for n in range(2, 1_006)))
    ledger.close()
    listed(config=crm.config_path, home=tmp_path, db=None, apply=False, format=Format.csv)
    ran = capsys.readouterr()
    assert len(list(csv.DictReader(io.StringIO(ran.out)))) == 1_005
    assert "1,005 offers, 1,005 of them not answered in time" in ran.err


def test_whatever_the_sla_breaks_on_the_release_is_looked_at(
    stood: Ledger, crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Event()

    class Breaks(Minute):
        """Its SLA's work fails in a way that nobody foresaw."""

        def once(self) -> Applied | None:
            raise ZeroDivisionError

        def guard(self) -> Release | None:
            done = super().guard()
            looked.set()
            return done

    monkeypatch.setattr("serving.minute.SECONDS", 0.01)
    live = Live(stood, crm.config, tmp_path)
    minute = Breaks(live, decider(live)).start()
    try:
        assert looked.wait(60)
    finally:
        minute.stop()
