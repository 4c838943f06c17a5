"""Batch scores without HTTP: a file of pairs in, the same pairs in the same order with their scores out."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.cells import mask, read_cells, shown
from features.csv_text import RawTable
from features.errors import Breach, TableError, UnknownId, UsageError
from features.schema import Column, Kind
from features.source import read_file
from serving.recommend import Recommender

COLUMNS = (
    "lead_id", "rep_id", "as_of", "eligible", "rule", "score", "p_accept", "p_convert", "expected_value",
)  # fmt: skip
#: Pairs that are scored at once: bounds the memory, and changes no score.
CHUNK = 50_000

_LEAD, _REP = Column("lead_id", Kind.ID, required=True), Column("rep_id", Kind.ID, required=True)
_AS_OF = Column("as_of", Kind.TIME)


@dataclass(frozen=True)
class Pairs:
    """(n,) lead and rep ids, and as_of as microseconds since the epoch, None where the lead's creation is meant."""

    lead_id: list[str]
    rep_id: list[str]
    as_of: list[int | None]

    def __len__(self) -> int:
        return len(self.lead_id)


def read_pairs(path: Path, zone: str | None) -> Pairs:
    """Read a CSV (or Parquet) of lead_id, rep_id and optional as_of; other columns are left alone.

    zone     of instants that carry none; None: they are refused
    Raises   UsageError when there is no such file, TableError with every breach
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path} of pairs to score.", field="PAIRS")
    raw = read_file(path, path.name)
    breaches = list(raw.breaches)
    columns = [_read(raw, column, zone, breaches) for column in (_LEAD, _REP, _AS_OF)]
    if breaches:
        raise TableError(breaches)
    lead, rep, as_of = columns
    return Pairs(lead.to_pylist(), rep.to_pylist(), as_of.to_pylist())


def _read(raw: RawTable, column: Column, zone: str | None, breaches: list[Breach]) -> pa.Array:
    """One column, its faults added to `breaches`; instants as int64 microseconds."""
    if column.name not in raw.cells.column_names:
        if column.required:
            breaches.append(Breach(raw.name, column.name, (), None, "this column"))
        return pa.nulls(raw.cells.num_rows, pa.int64())
    cells = raw.cells[column.name]
    read = read_cells(column, cells, zone)
    faults = [(fault.rows, fault.expected) for fault in read.faults if not fault.odd]
    if column.required:
        empty = mask(pc.is_null(read.values))
        faults.append((empty & ~np.any([rows for rows, _ in faults], axis=0) if faults else empty, "an id"))
    for at, expected in faults:
        rows = np.flatnonzero(at)
        if rows.size:
            value = shown(cells, int(rows[0]))
            breaches.append(Breach(raw.name, column.name, tuple((rows + 1).tolist()), value, expected))
    return pc.cast(read.values, pa.int64()) if column.kind is Kind.TIME else read.values


def score_file(recommender: Recommender, pairs: Pairs, out: Path) -> int:
    """Score the pairs and write them, in their order, to a CSV that appears whole or not at all.

    A refused pair has its rule and empty scores. Returns how many have scores.
    Raises   UnknownId, naming the row
    """
    scored = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for first in range(0, len(pairs), CHUNK):
                rows = slice(first, first + CHUNK)
                items = _score(recommender, pairs, rows)
                scored += sum(item["score"] is not None for item in items)
                writer.writerows(item | {"eligible": str(item["eligible"]).lower()} for item in items)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return scored


def _score(recommender: Recommender, pairs: Pairs, rows: slice) -> list[dict[str, object]]:
    try:
        answer = recommender.score_pairs(pairs.lead_id[rows], pairs.rep_id[rows], pairs.as_of[rows])
    except UnknownId as error:
        place = re.search(r"\[(\d+)\]\.(\w+)", error.field or "")
        if place is None:
            raise
        error.field = f"row {rows.start + int(place[1]) + 1}, {place[2]}"
        raise
    items: list[dict[str, object]] = answer["items"]
    return items
