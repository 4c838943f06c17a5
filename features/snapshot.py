"""The snapshot: CRM tables read from anywhere, held to their contracts, with what is missing and what is odd said."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.contracts import as_frame, check
from features.errors import Breach, TableError, UsageError
from features.fingerprint import fingerprint
from features.formula import TEXTS, mark
from features.oddities import oddities
from features.schema import TABLES, Kind
from features.source import Source, read_source
from features.tells import missing_from

if TYPE_CHECKING:
    from features.config import Config

#: Instants that tell what has happened. Plans (a meeting's start, an expected close, the end of a leave, a campaign, a
#: preference that begins next month) may lie ahead of now, so they are not among them.
FACTS: dict[str, tuple[str, ...]] = {
    "accounts": ("created_at",),
    "contacts": ("created_at",),
    "activities": ("occurred_at",),
    "leads": ("created_at", "qualified_at", "closed_at"),
    "meetings": ("created_at", "cancelled_at"),
    "touches": ("occurred_at",),
    "opportunities": ("opened_at", "closed_at"),
    "offers": ("offered_at", "answered_at", "converted_at"),
    "changes": ("valid_from",),
    "assets": ("published_at",),
    "asset_uses": ("used_at",),
}


@dataclass(frozen=True)
class Snapshot:
    """The CRM as it is known at `now`.

    tables       those that the source has, each with all columns of its contract, in its order and types
    columns      the columns which the source really had, per table
    now          the latest known fact (UTC), unless the reader was told otherwise
    fingerprint  SHA-256 (hex) of the content, independent of row order and file format
    warnings     odd, but allowed
    missing      table, or table.column, that is not there: what will be missing for it
    """

    tables: Mapping[str, pd.DataFrame]
    columns: Mapping[str, frozenset[str]]
    now: pd.Timestamp
    fingerprint: str
    warnings: tuple[Breach, ...]
    missing: Mapping[str, str]


def read_snapshot(
    data: str, *, config: Config | None = None, mapping: Path | None = None, as_of: pd.Timestamp | None = None,
    timezone: str | None = None,
) -> Snapshot:  # fmt: skip
    """Read and check a CRM snapshot.

    data     a folder of CSV or Parquet files, or any SQLAlchemy URL
    config   its `timezone` is that of instants which carry none
    mapping  a .sql file that brings a foreign export's files to our tables, or the name of a shipped one
    as_of    what counts as now, with a time zone
    timezone the same where there is no configuration yet
    Raises   TableError with every breach (nothing is loaded in part), UsageError, MappingError
    """
    if as_of is not None and as_of.tzinfo is None:
        raise UsageError("The instant of --as-of needs a time zone, such as 2026-03-02T09:00:00Z.", field="as_of")
    source = read_source(data) if mapping is None else _mapped(data, mapping)
    zone = config.timezone if config is not None else timezone
    checked = check(source.tables, zone=zone, other_columns=source.other_columns, because=source.because)
    if checked.breaches:
        raise TableError(checked.breaches)
    now = latest_fact(checked.tables) if as_of is None else as_of.tz_convert("UTC")
    return Snapshot(
        tables={name: as_frame(table) for name, table in checked.tables.items()},
        columns=checked.columns,
        now=now,
        fingerprint=fingerprint(checked.tables),
        warnings=(*source.warnings, *checked.warnings, *oddities(checked.tables)),
        missing=missing_from(checked.tables, checked.columns) | source.missing,
    )


def _mapped(data: str, mapping: Path) -> Source:
    from features.mapping import map_export  # DuckDB is loaded only where it is used

    return map_export(data, mapping)


def latest_fact(tables: Mapping[str, pa.Table]) -> pd.Timestamp:
    """The latest instant at which something happened or became known; the epoch when nothing ever did."""
    instants = [
        pc.max(table[column]).as_py() for name, table in tables.items() for column in (*FACTS.get(name, ()), "known_at")
    ]
    known = [pd.Timestamp(i) for i in instants if i is not None]
    return max(known, default=pd.Timestamp(0, tz="UTC")).as_unit("us")


def write_snapshot(tables: Mapping[str, pd.DataFrame], folder: Path, *, format: Literal["csv", "parquet"]) -> None:
    """Write tables to `folder`, one file each, so that reading them back gives the same.

    Columns that are empty throughout are written all the same: a column that is there and empty says so. In CSV, text
    that a spreadsheet would run as a formula has a quote before it, which reading takes off again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        if format == "parquet":
            pq.write_table(as_arrow(frame), folder / f"{name}.parquet")
        else:
            _write_csv(name, frame, folder / f"{name}.csv")


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    """A snapshot's table in Arrow: what is missing is null, instants are exact to the microsecond."""
    return pa.table({c: _instants(frame[c]) if _dated(frame[c]) else pa.array(frame[c]) for c in frame.columns})


def _dated(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.DatetimeTZDtype)


def _instants(values: pd.Series) -> pa.Array:
    naive = pa.array(values.dt.tz_convert(None).to_numpy(), from_pandas=True)
    return naive.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


def _write_csv(name: str, frame: pd.DataFrame, path: Path) -> None:
    columns = {c: _as_text(frame[c].reset_index(drop=True), TABLES[name][c].kind) for c in frame.columns}
    text = pd.DataFrame(columns)
    # A carriage return inside a cell must be quoted, which Python's writer does only where lines end in one too.
    returns = any(bool(text[c].str.contains("\r", regex=False).any()) for c in text.columns)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=quoting)
        writer.writerow(text.columns)
        writer.writerows(zip(*(text[c].fillna("").tolist() for c in text.columns), strict=True))


def _as_text(values: pd.Series, kind: Kind) -> pd.Series:
    if kind in TEXTS:
        return pd.Series(mark(pa.array(values.astype("str"))).to_pandas(), dtype="str")
    if _dated(values):
        instants = _instants(values)
        if bool((values.dt.floor("s") == values)[values.notna()].all()):
            instants = instants.cast(pa.timestamp("s", tz="UTC"))
        return pd.Series(pc.strftime(instants, "%Y-%m-%dT%H:%M:%SZ").to_pandas(), dtype="str")
    if kind is Kind.FLAG:
        return pd.Series(values.astype("boolean").astype("str").str.lower())
    return pd.Series(values.map(shortest, na_action="ignore"), dtype="str")


def shortest(number: float) -> str:
    """The shortest text that reads back as this very number, without a needless .0."""
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


__all__ = ["FACTS", "Snapshot", "as_arrow", "latest_fact", "read_snapshot", "shortest", "write_snapshot"]
