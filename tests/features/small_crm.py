"""Small CRMs written by hand: rows in, the typed tables of a snapshot and an engine over them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features import clock
from features.book import Book
from features.config import Config, read_config
from features.engine import Engine
from features.schema import TABLES

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

MARKET = """
markets:
  everyone_we_serve:
    revenue: [1, null]
    buyers:
      - {keywords: [treasury], levels: [c_level, vp, director, manager]}
unknown: allow
timezone: UTC
"""

#: Monday 2 March 2026, 09:00 UTC: the instant that hand-worked cases ask about.
T = pd.Timestamp("2026-03-02T09:00:00Z")

DTYPES = {"time": "datetime64[us, UTC]", "money": "float64", "number": "float64", "share": "float64", "flag": "boolean"}


def micros(instant: pd.Timestamp) -> int:
    """An instant as the engine counts it."""
    return clock.instant(instant)


def day(offset: float) -> pd.Timestamp:
    """T and so many days."""
    return T + pd.Timedelta(days=offset)


def typed(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One table with every contract column, typed as a snapshot's."""
    return pd.DataFrame(
        {
            column.name: pd.Series([row.get(column.name) for row in rows], dtype=DTYPES.get(column.kind, "str"))
            for column in TABLES[name].columns
        }
    )


def base() -> dict[str, list[dict[str, Any]]]:
    """One account with two contacts, one lead, two reps; enough for a pair (L1, R1)."""
    long_ago = day(-1000)
    return {
        "accounts": [
            {
                "account_id": "A1", "name": "Acme", "naics": "522110", "annual_revenue": 1e9, "employees": 1000.0,
                "country": "GB", "region": "uk", "segment": "large", "created_at": long_ago,
            },
            {"account_id": "A2", "name": "Beta", "annual_revenue": 2e9, "created_at": long_ago, "region": "dach"},
        ],
        "contacts": [
            {"contact_id": "C1", "account_id": "A1", "title": "CFO", "created_at": long_ago},
            {"contact_id": "C2", "account_id": "A1", "title": "Head of Treasury", "created_at": long_ago},
            {"contact_id": "C3", "account_id": "A2", "title": "CIO", "created_at": long_ago},
        ],
        "leads": [
            {"lead_id": "L1", "contact_id": "C1", "solution": "payments", "created_at": day(-1)},
            {"lead_id": "L2", "contact_id": "C3", "solution": "analytics", "created_at": day(-1)},
        ],
        "reps": [
            {
                "rep_id": "R1", "name": "Ada", "role": "enterprise", "regions": "uk;nordics", "segment": "large",
                "product_lines": "payments;analytics", "industries": "522;5239", "hired_at": day(-400),
                "weekly_capacity": 5.0, "timezone": "Europe/London", "country": "GB", "focus": "new",
            },
            {"rep_id": "R2", "name": "Bob", "role": "inside", "timezone": "UTC"},
        ],
    }  # fmt: skip


def engine(rows: Rows, config: Config | None = None, columns: Mapping[str, Sequence[str]] | None = None) -> Engine:
    """The engine over rows by table name; `columns`: those that the source is said to have, None: all."""
    config = config or read_config(MARKET)
    tables = {name: typed(name, table) for name, table in rows.items()}
    return Engine(Book(tables, config, micros(day(30)), columns), config)


def value(rows: Rows, feature: str, *, lead: str = "L1", rep: str = "R1", t: pd.Timestamp = T) -> float:
    """One feature of one pair."""
    matrix = engine(rows).matrix([lead], [rep], micros(t))
    return float(matrix.column(feature)[0])


def word(rows: Rows, feature: str, **of: Any) -> str | None:
    """One category of one pair, as its word."""
    made = engine(rows)
    matrix = made.matrix([of.get("lead", "L1")], [of.get("rep", "R1")], micros(of.get("t", T)))
    code = matrix.column(feature)[0]
    return None if np.isnan(code) else matrix.vocabulary.values[feature][int(code)]
