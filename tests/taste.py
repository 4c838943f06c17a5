"""A small CRM up to this week whose reps have clear tastes, so that a model learns them soon and the gate sees it."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from training.sample import write_sample

#: A Monday: the world is made as of it and moved by whole weeks, so that it is the same one whenever it is made.
MADE = date(2026, 3, 2)


def likes(rep_id: str, solution: str) -> bool:
    """A coin for each rep and solution: such leads are mostly accepted, others hardly ever."""
    return zlib.crc32(f"{rep_id}/{solution}".encode()) % 2 == 0


def write_tastes(folder: Path) -> Path:
    """Write the CRM; its callsheet.yaml. Conversions are told within four weeks, so that most offers are ripe."""
    write_sample(folder, accounts=120, reps=14, offers=1600, seed=7, end=MADE)
    offers, lead = _read(folder, "offers"), _read(folder, "leads").set_index("lead_id")
    rng = np.random.default_rng(0)
    solutions = lead.loc[offers["lead_id"], "solution"]
    liked = np.array([likes(*pair) for pair in zip(offers["rep_id"], solutions, strict=True)])
    answered = offers["answer"].isin(["accepted", "rejected"]).to_numpy()
    accepted = answered & (rng.random(len(offers)) < np.where(liked, 0.73, 0.1))
    told = pd.to_datetime(offers["answered_at"]) + pd.to_timedelta(rng.uniform(1, 20, len(offers)), "D")
    converted = accepted & (rng.random(len(offers)) < 0.8)
    converted &= (told < pd.Timestamp(MADE, tz="UTC")).to_numpy()
    offers.loc[accepted, ["answer", "reject_reason"]] = ["accepted", ""]
    offers.loc[answered & ~accepted, ["answer", "reject_reason"]] = ["rejected", "bad_fit"]
    offers[["opportunity_id", "converted_at"]] = ""
    offers.loc[converted, "converted_at"] = told[converted].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    taken = pd.Series(accepted, offers.index).groupby(offers["lead_id"]).cumsum() - accepted > 0
    _write(folder, "offers", offers[~taken])
    # What became of the sample's own offers is no part of this world.
    changes, uses = _read(folder, "changes"), _read(folder, "asset_uses")
    _write(folder, "changes", changes[changes["table_name"] != "opportunities"])
    _write(folder, "asset_uses", uses.assign(opportunity_id=""))
    for name in ("opportunities", "opportunity_contacts"):
        (folder / f"{name}.csv").unlink()
    _move(folder)
    config = folder / "callsheet.yaml"
    text = config.read_text().replace("within: 90d", "within: 28d")
    config.write_text(text.replace("calibrate: 28d, test: 28d", "calibrate: 56d, test: 56d"))
    return config


def _move(folder: Path) -> None:
    """Every instant of every table, by the weeks that make its Monday this week's."""
    today = datetime.now(UTC).date()
    by = timedelta(days=(today - MADE).days // 7 * 7)

    def later(found: re.Match[str]) -> str:
        return (datetime.fromisoformat(found[0]) + by).strftime("%Y-%m-%dT%H:%M:%SZ")

    for path in folder.glob("*.csv"):
        path.write_text(re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", later, path.read_text("utf-8")), "utf-8")


def _read(folder: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{table}.csv", dtype=str, keep_default_na=False)


def _write(folder: Path, table: str, rows: pd.DataFrame) -> None:
    rows.to_csv(folder / f"{table}.csv", index=False)
