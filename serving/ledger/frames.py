"""Rows of the ledger's CRM tables as typed frames, such as a snapshot has them: those with some keys, or all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, column, tuple_

from features.contracts import Checked, as_frame, check_rows
from features.csv_text import RawTable
from features.errors import TableError
from features.schema import TABLES
from features.source import read_table
from serving.ledger.crm import CRM

#: Keys that one statement asks for; SQLite takes 32,766 bound values.
ASKED = 2_000

Key = tuple[str | datetime, ...]


def read_rows(connection: Connection, name: str, keys: Sequence[Key]) -> pd.DataFrame:
    """The rows with these keys, typed; keys that are not there any more have none. Raises TableError."""
    parts = [column(c, CRM[name].c[c].type) for c in TABLES[name].key]
    frames = []
    for start in range(0, max(len(keys), 1), ASKED):
        batch = keys[start : start + ASKED]
        where = parts[0].in_([key[0] for key in batch]) if len(parts) == 1 else tuple_(*parts).in_(batch)
        frames.append(typed(name, read_table(connection, name, TABLES[name].names, where)))
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def read_whole(connection: Connection, name: str) -> pd.DataFrame:
    """All rows of a table, typed. Raises TableError."""
    return typed(name, read_table(connection, name, TABLES[name].names))


def typed(name: str, raw: RawTable) -> pd.DataFrame:
    """Rows of one table, held to its contract. Raises TableError."""
    return as_frame(sound(check_rows(name, raw)).tables[name])


def sound(checked: Checked) -> Checked:
    """What was checked, where it breaks no contract. Raises TableError."""
    if checked.breaches:
        raise TableError(checked.breaches)
    return checked
