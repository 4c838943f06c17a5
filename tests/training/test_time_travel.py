"""Nothing from the future, on a whole CRM: deleting what became known later changes no feature of the pairs of then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.asof import DAY
from features.book import Book
from features.clock import instant
from features.config import Config, load_config
from features.engine import Engine
from features.snapshot import FACTS, Snapshot, read_snapshot
from training.sample import write_sample

#: Offers, and what they lead to, count strictly before the instant.
STRICT = ("offers", "opportunities")
#: What goes with an instant that had not come: column of the instant -> columns that it brought.
BROUGHT = {
    "answered_at": ("answer", "reject_reason", "opportunity_id"), "closed_at": ("outcome", "reason"),
    "qualified_at": ("qualified_by",),
}  # fmt: skip
KEYS = {"meeting_contacts": ("meetings", "meeting_id"), "opportunity_contacts": ("opportunities", "opportunity_id")}


def past(tables: Mapping[str, pd.DataFrame], at: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The CRM as it stood at an instant: later rows are gone, and what later befell an earlier row is struck out."""
    kept = {}
    for name, rows in tables.items():
        late = pd.DataFrame({c: rows[c] >= at if name in STRICT else rows[c] > at for c in _instants(name, rows)})
        first = [c for c in late if c == FACTS.get(name, ("",))[0] or c == "known_at"]
        gone = late[first].any(axis=1) if first else pd.Series(False, rows.index)
        left, when = rows[~gone].copy(), late[~gone]
        for column in when.columns.difference(first):
            for struck in (column, *BROUGHT.get(column, ())):
                if struck in left:
                    left.loc[when[column], struck] = None
        kept[name] = left
    for name, (owner, key) in KEYS.items():
        if name in kept:
            kept[name] = kept[name][kept[name][key].isin(kept[owner][key])]
    return kept


def _instants(name: str, rows: pd.DataFrame) -> list[str]:
    columns = (*FACTS.get(name, ()), "known_at", *(("customer_since",) if name == "accounts" else ()))
    return [column for column in columns if column in rows]


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Config]:
    folder: Path = tmp_path_factory.mktemp("past") / "crm"
    write_sample(folder, accounts=150, reps=12, offers=1500, seed=3, end=date(2026, 9, 1))
    config = load_config(folder / "callsheet.yaml")
    return read_snapshot(str(folder), config=config), config


@pytest.mark.parametrize("weeks", [20, 8])
def test_what_became_known_later_changes_no_bit(crm: tuple[Snapshot, Config], weeks: int) -> None:
    snapshot, config = crm
    at = snapshot.now - pd.Timedelta(weeks=weeks)
    t = instant(at)
    book = Book.of(snapshot, config)
    engine, log = Engine(book, config), book.outcomes
    rows = np.flatnonzero((log.offered > t - 56 * DAY) & (log.known < t))
    lead, rep = book.lead_ids[log.lead[rows]], book.rep_ids[log.rep[rows]]
    then = replace(snapshot, tables=past(snapshot.tables, at), now=at)
    assert sum(map(len, then.tables.values())) < sum(map(len, snapshot.tables.values()))
    told = engine.matrix(lead, rep, t)
    plain = Engine(Book.of(then, config), config, engine.vocabulary).matrix(lead, rep, t)
    differ = [
        name
        for name in told.columns
        if not np.array_equal(told.column(name), plain.column(name), equal_nan=True)
    ]  # fmt: skip
    assert len(rows) > 50
    assert not differ
