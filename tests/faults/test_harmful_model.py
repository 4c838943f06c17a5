"""A model that is whole, quick and bad, released by force: it is rolled back by itself, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import callsheet
from features.config import load_config
from models.product import Product
from serving.actor import LOCAL
from serving.guard import GUARD, standing
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.erase import erase
from serving.ledger.events import record
from serving.ledger.idempotency import Once
from serving.ledger.ingest import ingest
from serving.ledger.releases import Releases
from serving.live import Live
from serving.minute import Minute
from serving.policy import held_out
from serving.start import decider
from tests.serving.challengers import contrary, released
from tests.serving.conftest import Crm, running
from tests.serving.ledger.small import last_audited, table
from tests.serving.live.standing import fill, release
from tests.serving.live.test_follow import answers, placed, until
from tests.serving.live.test_workers import every_worker

pytestmark = pytest.mark.faults

#: New leads, each of an account of its own.
LEADS = 90


def kin_of(ledger: Ledger, like: str) -> dict[str, list[dict[str, Any]]]:
    """New accounts like that of a lead, each with a contact and a lead."""
    lead = next(row for row in table(ledger, "leads") if row["lead_id"] == like)
    contact = next(row for row in table(ledger, "contacts") if row["contact_id"] == lead["contact_id"])
    account = next(row for row in table(ledger, "accounts") if row["account_id"] == contact["account_id"])
    kin = [{"account_id": f"A-{i}", "contact_id": f"C-{i}", "lead_id": f"L-{i}"} for i in range(LEADS)]
    return {
        "accounts": [account | {"account_id": one["account_id"]} for one in kin],
        "contacts": [contact | {"account_id": one["account_id"], "contact_id": one["contact_id"]} for one in kin],
        "leads": [lead | one for one in kin],
    }


@dataclass
class Trial:
    """A worker on a ledger, whose third release is a model that turns round what the second says."""

    live: Live
    minute: Minute
    config_path: Path
    home: Path

    @property
    def ledger(self) -> Ledger:
        """It, and what serves on it."""
        return self.live.ledger

    def leads(self) -> list[str]:
        """New accounts like one that has a lead to give, each with a contact and a lead, and reps without a limit."""
        rows = kin_of(self.ledger, placed(self.live.recommender)[0])
        reps = [{"rep_id": str(rep_id), "weekly_capacity": 1e6} for rep_id in self.live.recommender.book.rep_ids]
        with changing(self.ledger) as change:
            ingest(change, rows | {"reps": reps})
        self.live.catch_up()
        return [one["lead_id"] for one in rows["leads"]]

    def offer(self, accepts: dict[bool, float]) -> None:
        """Offer them all. accepts: what share is, of the model's (False) and of held-out accounts' (True)."""
        seen = dict.fromkeys(accepts, 0)
        for lead_id in self.leads():
            once = Once.of(LOCAL.name, "test", lead_id, {})
            said = self.minute.router.decider.reps(lead_id, None, 1, actor=LOCAL, once=once).answer
            held = held_out(self.live.recommender.account_of(lead_id), self.live.config.policy)
            assert (said["policy"], said["model_version"]) == (("holdout", None) if held else ("champion", "9"))
            seen[held] += 1
            yes = int(seen[held] * accepts[held]) > int((seen[held] - 1) * accepts[held])
            told = {"event_id": f"answer-{lead_id}", "offer_id": said["items"][0]["offer_id"], "at": datetime.now(UTC)}
            kind = {"kind": "accepted"} if yes else {"kind": "rejected", "reason": "other"}
            with changing(self.ledger) as change:
                record(change, self.live.config, [told | kind], LOCAL)
        assert min(seen.values()) >= 30


@pytest.fixture
def turned(crm: Crm) -> Product:
    return contrary(crm.products[1])


@pytest.fixture
def config_path(ledger: Ledger, crm: Crm, turned: Product, tmp_path: Path) -> Path:
    """Half of the accounts are held out, and the turned model was released by force."""
    config_path = tmp_path / "callsheet.yaml"
    config_path.write_text(f"{crm.config_path.read_text()}\npolicy: {{holdout: 0.5, salt: guard}}\n")
    fill(ledger, crm)
    release(ledger, crm, tmp_path)
    turned.save(tmp_path / "models" / turned.content_hash)
    Releases(ledger).promote(released(crm, turned), seen=2, reason="I know better", forced=True)
    return config_path


@pytest.fixture
def trial(ledger: Ledger, config_path: Path, tmp_path: Path) -> Iterator[Trial]:
    live = Live(ledger, load_config(config_path), tmp_path)
    yield Trial(live, Minute(live, decider(live)), config_path, tmp_path)
    live.close()


def test_a_model_that_does_harm_goes_by_itself_and_the_earlier_one_answers(trial: Trial) -> None:
    trial.live.start()
    trial.offer({False: 0.1, True: 0.9})
    back = trial.minute.guard()
    assert back is not None
    assert (back.kind, back.called, back.revision) == ("rollback", "model 2", 4)
    assert back.reason.startswith("the guard: of ")
    row, payload = last_audited(trial.ledger)
    assert (row.actor, row.action, row.subject) == (GUARD.name, "rollback", "release 4")
    assert json.loads(payload)["reason"] == back.reason
    with trial.ledger.reading() as connection:
        assert verify(connection) is None
    until(answers(trial.live, "2"))
    assert trial.live.recommender.reps_for_lead(placed(trial.live.recommender)[0])["model_version"] == "2"
    assert trial.minute.guard() is None


def test_one_that_does_as_well_as_the_rules_stays_also_once_a_contact_is_forgotten(trial: Trial) -> None:
    trial.offer({False: 0.5, True: 0.5})
    assert trial.minute.guard() is None
    with changing(trial.ledger) as change:
        erase(change, trial.live.config, "C-1", LOCAL)
    seen = standing(trial.ledger, trial.live.config, datetime.now(UTC))
    assert seen is not None
    assert seen.offers + seen.others >= LEADS - 5
    assert Releases(trial.ledger).current() == seen.release


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_without_a_service_the_command_that_holds_the_sla_does_it(trial: Trial) -> None:
    trial.offer({False: 0.1, True: 0.9})
    at = ["--db", trial.ledger.url, "--home", str(trial.home), "--config", str(trial.config_path)]
    ran = CliRunner().invoke(callsheet.app, ["sla", "--apply", *at])
    assert ran.exit_code == 0, ran.output
    assert "Rolled back to model 2: the guard: of " in ran.stderr
    now = Releases(trial.ledger).current()
    assert now is not None
    assert (now.revision, now.kind) == (4, "rollback")


def test_a_running_service_rolls_it_back_on_every_worker(
    url: str, ledger: Ledger, crm: Crm, config_path: Path, tmp_path: Path
) -> None:
    """Offers are made and answered over HTTP; nobody does anything about the model."""
    rows = kin_of(ledger, placed(Live(ledger, load_config(config_path), tmp_path).recommender)[0])
    reps = [{"rep_id": rep["rep_id"], "weekly_capacity": 1e6} for rep in table(ledger, "reps")]
    with changing(ledger) as change:
        ingest(change, rows | {"reps": reps})
    options = ("--db", url, "--workers", "2")
    with running(crm.folder, config_path, tmp_path, *options, ledger=True) as service:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            for lead in rows["leads"]:
                key, body = {"Idempotency-Key": lead["lead_id"]}, {"lead_id": lead["lead_id"], "k": 1, "commit": True}
                said = client.post("/recommend_reps", json=body, headers=key).raise_for_status().json()
                event = {"event_id": lead["lead_id"], "offer_id": said["items"][0]["offer_id"]} | {
                    "at": datetime.now(UTC).isoformat()
                }
                no = {"kind": "rejected", "reason": "other"}
                event |= {"kind": "accepted"} if said["policy"] == "holdout" else no
                told = client.post("/record", json={"events": [event]}, headers=key).raise_for_status().json()
                assert told["results"][0]["result"] == "applied"
        until(lambda: every_worker(service, "/model", None, lambda said: said["model_version"] == "2"), 180)
    now = Releases(ledger).current()
    assert now is not None
    assert (now.kind, now.called) == ("rollback", "model 2")
    assert now.reason.startswith("the guard: of ")
