"""A sales export without contacts, ties or refusals goes the whole way, and the gate refuses it for what it lacks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from features.config import load_config
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.releases import Releases
from serving.promote import promote
from training.train import train

EXAMPLES = Path(__file__).parents[2] / "examples"
DAYS, DEALS, ACCOUNTS, AGENTS = 450, 1300, 30, 8


def write_export(folder: Path) -> None:
    """Four files in the layout of the public practice export, its habits included; nothing in them tells who wins."""
    folder.mkdir()
    rng = np.random.default_rng(11)
    account = np.array([f"Company {i}" for i in range(ACCOUNTS)])
    agent = np.array([f"Agent {i}" for i in range(AGENTS)])
    pd.DataFrame(
        {
            "account": account, "sector": rng.choice(["technolgy", "retail", "medical"], ACCOUNTS),
            "year_established": rng.integers(1980, 2010, ACCOUNTS), "revenue": rng.uniform(5, 4000, ACCOUNTS).round(2),
            "employees": rng.integers(10, 9000, ACCOUNTS), "office_location": "United States", "subsidiary_of": "",
        }
    ).to_csv(folder / "accounts.csv", index=False)  # fmt: skip
    products = pd.DataFrame({"product": ["GTX Pro", "MG Special"], "series": ["GTX", "MG"], "sales_price": [4821, 55]})
    products.to_csv(folder / "products.csv", index=False)
    office = rng.choice(["Central", "East", "West"], AGENTS)
    teams = pd.DataFrame({"sales_agent": agent, "manager": "Max", "regional_office": office})
    teams.to_csv(folder / "sales_teams.csv", index=False)

    engaged = np.sort(rng.integers(0, DAYS, DEALS))
    closed = engaged + rng.integers(1, 138, DEALS)
    won, open_ = rng.random(DEALS) < 0.6, closed > DAYS  # whoever got it
    new = open_ & (rng.random(DEALS) < 0.3)
    day = pd.Timestamp("2016-11-01")
    pd.DataFrame(
        {
            "opportunity_id": [f"P{i:04d}" for i in range(DEALS)], "sales_agent": rng.choice(agent, DEALS),
            "product": rng.choice(["GTXPro", "MG Special"], DEALS),
            # An open deal often has no account yet, as in the export.
            "account": np.where(open_ & (rng.random(DEALS) < 0.6), "", rng.choice(account, DEALS)),
            "deal_stage": np.where(new, "Prospecting", np.where(open_, "Engaging", np.where(won, "Won", "Lost"))),
            "engage_date": np.where(new, "", (day + pd.to_timedelta(engaged, "D")).strftime("%Y-%m-%d")),
            "close_date": np.where(open_, "", (day + pd.to_timedelta(closed, "D")).strftime("%Y-%m-%d")),
            "close_value": np.where(won & ~open_, "900", np.where(open_, "", "0")),
        }
    ).to_csv(folder / "sales_pipeline.csv", index=False)  # fmt: skip


def test_an_export_that_tells_nothing_of_who_wins_is_refused_for_its_groups_and_its_heads(tmp_path: Path) -> None:
    write_export(tmp_path / "export")
    config = load_config(EXAMPLES / "crm_sales_opportunities.yaml")
    mapping = EXAMPLES / "crm_sales_opportunities.sql"
    snapshot = read_snapshot(str(tmp_path / "export"), config=config, mapping=mapping)
    home = tmp_path / "home"
    train(snapshot, config, home, recipe="fast", cuts=1, replicates=20, progress=False)
    with closing(Ledger.open(None, home)) as ledger:
        asked = promote(home, ledger, config, snapshot=snapshot)
        assert Releases(ledger).current() is None
    said = {check.name: check for check in asked.verdict.checks}
    assert (asked.serves, asked.verdict.passed) == (False, False)
    assert asked.verdict.reason.startswith("Not enough data")
    assert "groups (it takes 20)" in said["enough_data"].text
    assert "p_accept and p_convert cannot be estimated" in said["heads_estimable"].text
    assert not said["beats_rules"].passed
    assert (said["calibrated"].mark, said["answers_since"].mark) == ("not tried", "not tried")
    assert said["artefact_whole"].passed
