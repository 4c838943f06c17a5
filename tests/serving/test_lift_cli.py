"""`callsheet lift` on a ledger whose accounts under the model convert and whose held-out ones do not: it says so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import callsheet
from features.config import load_config
from features.errors import NotEnoughData
from serving.actor import LOCAL
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.events import record
from serving.ledger.ingest import ingest
from serving.ledger.releases import Released, Releases
from serving.policy import held_out
from tests.serving.conftest import Crm
from tests.serving.ledger.small import table
from tests.serving.standing_ledger import Stand
from training.probation import OFFERS


@pytest.fixture
def mixing(crm: Crm, tmp_path: Path) -> Path:
    """The CRM's configuration with half of the accounts held out."""
    text = crm.config_path.read_text()
    assert "policy:" not in text
    (tmp_path / "callsheet.yaml").write_text(f"{text}\npolicy: {{holdout: 0.5, salt: lift}}\n")
    return tmp_path / "callsheet.yaml"


def more_of(stand: Stand, n: int) -> list[str]:
    """So many accounts like one that has a lead to give, each with a contact and a lead, and reps without a limit."""
    like = stand.free_lead()
    lead = next(row for row in table(stand.ledger, "leads") if row["lead_id"] == like)
    contact = next(row for row in table(stand.ledger, "contacts") if row["contact_id"] == lead["contact_id"])
    account = next(row for row in table(stand.ledger, "accounts") if row["account_id"] == contact["account_id"])
    kin = [{"account_id": f"A-{i}", "contact_id": f"C-{i}", "lead_id": f"L-{i}"} for i in range(n)]
    rows = {
        "accounts": [account | {"account_id": one["account_id"]} for one in kin],
        "contacts": [contact | {"account_id": one["account_id"], "contact_id": one["contact_id"]} for one in kin],
        "leads": [lead | one for one in kin],
        "reps": [{"rep_id": str(rep_id), "weekly_capacity": 1e6} for rep_id in stand.crm.book.rep_ids],
    }
    with changing(stand.ledger, stand.now) as change:
        ingest(change, rows)
    stand.minutes += 1
    stand.follow()
    return [one["lead_id"] for one in kin]


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_who_converts_more_is_told_with_a_band(stocked: Ledger, crm: Crm, mixing: Path) -> None:
    stand = Stand(stocked, replace(crm, config=load_config(mixing)))
    sides: dict[bool, int] = {True: 0, False: 0}
    for lead_id in more_of(stand, 60):
        item = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer["items"][0]
        held = held_out(stand.known.account_of(lead_id), stand.known.config.policy)
        sides[held] += 1
        told = {"event_id": f"answer-{lead_id}", "offer_id": item["offer_id"], "at": stand.now + timedelta(minutes=1)}
        came = (
            {"kind": "rejected", "reason": "other"}
            if held
            else {"kind": "opportunity", "opportunity_id": f"deal-{lead_id}", "forecast_weight": 0.9}
        )
        with changing(stocked, stand.now + timedelta(minutes=2)) as change:
            record(change, stand.known.config, [told | came], LOCAL)
    later = stand.now + timedelta(days=200)
    with changing(stocked, later) as change:
        ingest(change, {"accounts": [{"account_id": "A-later", "name": "later", "created_at": later}]})
    command = ["lift", "--db", stocked.url, "--config", str(mixing), "--home", str(mixing.parent), "--format", "json"]
    ran = CliRunner().invoke(callsheet.app, command)
    assert ran.exit_code == 0, ran.output
    (row,) = json.loads(ran.stdout)
    assert row["probation"] is None
    assert (row["policy"], row["model"], row["holdout"], row["waiting"]) == ("champion", sides[False], sides[True], 0)
    assert (row["model_mean"], row["holdout_mean"]) == (1, 0)
    assert 0 < row["low"] < row["lift"] < row["high"]
    assert "The model converts more than the rules" in ran.stderr
    on_probation(stocked)
    ran = CliRunner().invoke(callsheet.app, command)
    (row,) = json.loads(ran.stdout)
    assert row["low"] > 0
    assert row["probation"] == {
        "model": "7", "revision": 1, "settled": 0, "of": OFFERS, "held_to": None, "difference": None, "low": None,
        "high": None,
    }  # fmt: skip
    assert TOO_FEW in ran.stderr
    assert "probation" not in CliRunner().invoke(callsheet.app, command[:-2]).stdout


TOO_FEW = "Model 7 is on probation, 0 of 1,000 offers settled: too few to say how it does."


def on_probation(ledger: Ledger) -> None:
    at = datetime.now(UTC) - timedelta(days=1)
    Releases(ledger).promote(Released("7", "7" * 64, "f", "m"), seen=0, reason="x", at=at)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_how_a_new_model_stands_is_told_long_before_its_accounts_have_matured(stocked: Ledger, mixing: Path) -> None:
    on_probation(stocked)
    command = ["lift", "--db", stocked.url, "--config", str(mixing), "--home", str(mixing.parent)]
    ran = CliRunner().invoke(callsheet.app, command)
    assert isinstance(ran.exception, NotEnoughData)
    assert TOO_FEW in ran.stderr
