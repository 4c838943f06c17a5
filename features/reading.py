"""How each column that changes in time is read: with its history, as constant, or hidden until it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from features.schema import OUTCOME_MOVED, TRACKED

if TYPE_CHECKING:
    from features.config import Config

HISTORY = "history: as of each instant, from changes"
CONSTANT = "constant: taken to have always been so"
KNOWN = "hidden until its row's known_at, because outcomes move it and it has no history"
HIDDEN = "hidden, because outcomes move it and it has neither a history nor a known_at"


def reading(tables: Mapping[str, pd.DataFrame], config: Config | None) -> list[tuple[str, str]]:
    """(table.column, how features read it) for each column with values that may change.

    Filters, unlike features, read a column without a history at its latest value.
    """
    changes = tables.get("changes")
    kept = set() if changes is None else set(zip(changes["table_name"], changes["column_name"], strict=True))
    assumed = set(config.history.assume_constant) if config is not None else set()
    found = []
    for table, columns in TRACKED.items():
        if table not in tables:
            continue
        frame = tables[table]
        for column in columns:
            name = f"{table}.{column}"
            if (table, column) in kept:
                found.append((name, HISTORY))
            elif not frame[column].notna().any():
                continue
            elif column not in OUTCOME_MOVED.get(table, ()) or name in assumed:
                found.append((name, CONSTANT))
            else:
                found.append((name, KNOWN if frame["known_at"].notna().any() else HIDDEN))
    return found
