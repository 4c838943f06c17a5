"""Writes the CRM out of the ledger, as the folder that it could be loaded from, and the record of what was decided."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from sqlalchemy import select

from features.errors import Refused, UsageError
from features.formula import mark
from features.snapshot import Snapshot, read_snapshot, write_snapshot
from serving.ledger.database import Ledger
from serving.ledger.tables import DECISIONS, EVENTS
from serving.ledger.taken import note_taken
from serving.ledger.types import write_instant

#: What was decided and reported: a folder of its own, so that loading the tables again does not meet it.
RECORD = "record"


def export(ledger: Ledger, out: Path, *, form: Literal["csv", "parquet"] = "csv") -> dict[str, int]:
    """Write every table that the ledger has, and decisions and events as CSV below `record`, whole or not at all.

    Loading what was written gives the same CRM again, with what was missing still missing. The audit says that it was
    taken, by whom and how much of it, before the folder has its name; where it cannot, nothing is taken.
    out      a folder that is not there yet, or empty
    Returns  rows by table
    Raises   UsageError, Refused when nothing was ever loaded, NotNoted, LedgerError
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; name a new folder.", field="--out")
    snapshot = read_snapshot(ledger.url)
    if not any(len(table) for table in snapshot.tables.values()):
        raise Refused("The ledger holds no CRM yet; `callsheet load --data D` brings it.")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        write_snapshot(_filled(snapshot), part, format=form)
        (part / RECORD).mkdir()
        rows = {name: len(table) for name, table in snapshot.tables.items()}
        with ledger.reading() as connection:
            for table in (DECISIONS, EVENTS):
                found = connection.execute(select(table).order_by(*table.primary_key.columns)).all()
                _write(part / RECORD / f"{table.name}.csv", table.c.keys(), found)
                rows[table.name] = len(found)
        told = {"folder": out.absolute().name, "format": form, "rows": rows, "fingerprint": snapshot.fingerprint}
        note_taken(ledger, "export", told)
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return rows


def _filled(snapshot: Snapshot) -> dict[str, pd.DataFrame]:
    """The tables with the columns that they really have: a column that is missing is not written as an empty one."""
    return {name: frame[[c for c in frame if c in snapshot.columns[name]]] for name, frame in snapshot.tables.items()}


def _write(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    columns = list(zip(*rows, strict=True)) or [() for _ in names]
    texts = [mark(pa.array([_text(v) for v in column], pa.string())).to_pylist() for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # ends lines in CR LF, so that either of them inside a cell is quoted
        writer.writerow(names)
        writer.writerows(zip(*texts, strict=True))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return write_instant(value) if isinstance(value, datetime) else str(value)
