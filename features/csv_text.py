"""Reads a CSV file as text and nothing but text: no guess at types or nulls, and every defect of its form is named."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import Breach

_BATCH = 50_000
#: Stands for "the row as a whole", or "the header", where a breach is about no single column.
ROW = "(row)"
HEADER = "(header)"


@dataclass
class RawTable:
    """A table as its source has it, before its contract.

    cells     one column per column of the source; text from CSV, typed from Parquet or a database
    broken    0-based positions of rows whose form is damaged: said once, and not judged cell by cell
    breaches  what was wrong with the form
    origin    the file or table it came from, for messages
    """

    name: str
    cells: pa.Table
    origin: str
    broken: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    breaches: tuple[Breach, ...] = ()

    @property
    def whole(self) -> bool:
        """Every row could be read."""
        return not self.breaches


@dataclass
class _Defects:
    short: dict[int, list[int]] = field(default_factory=dict)  # number of fields -> positions
    undecodable: dict[str, list[int]] = field(default_factory=dict)  # column -> positions
    torn: list[tuple[int, str]] = field(default_factory=list)


def read_csv(path: Path, name: str) -> RawTable:
    """Read the file as table `name`; defects become its breaches, rows counted from 1 after the header.

    Separated by commas, quoted by double quotes, UTF-8 with or without a byte order mark. Empty cells stay empty text.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        defects = _Defects()
        rows = _until_torn(reader, defects)
        header = next(rows, None)
        if not header or _escaped("".join(header)):
            expected = "a header of column names, UTF-8, separated by commas"
            value = None if not header else ascii(header[0])[:80]
            return RawTable(name, pa.table({}), path.name, breaches=(Breach(name, HEADER, (), value, expected),))
        cells, blank = _read_body(rows, header, defects)
    breaches = [
        Breach(name, HEADER, (), column, "each column once")
        for column in dict.fromkeys(c for c in header if header.count(c) > 1)
    ]
    kept = _without_blank_end(cells, blank, defects)
    return RawTable(name, kept, path.name, _positions(defects), (*breaches, *_breaches(name, len(header), defects)))


def _until_torn(reader: Iterator[list[str]], defects: _Defects) -> Iterator[list[str]]:
    """The rows, as far as they can be told apart; what stops them is noted."""
    count = -1  # the header
    try:
        for row in reader:
            count += 1
            yield row
    except csv.Error as error:
        defects.torn.append((count, str(error)))


def _read_body(rows: Iterator[list[str]], header: list[str], defects: _Defects) -> tuple[pa.Table, list[int]]:
    names = list(dict.fromkeys(header))
    places = [header.index(n) for n in names]
    schema = pa.schema([(n, pa.string()) for n in names])
    batches: list[pa.RecordBatch] = []
    blank: list[int] = []
    start = 0
    while batch := list(islice(rows, _BATCH)):
        if any(len(row) != len(header) for row in batch):
            batch = [_fitted(row, start + i, len(header), defects, blank) for i, row in enumerate(batch)]
        columns = list(zip(*batch, strict=True))
        arrays = [_array(columns[p], n, start, defects) for n, p in zip(names, places, strict=True)]
        batches.append(pa.record_batch(arrays, schema=schema))
        start += len(batch)
    return pa.Table.from_batches(batches, schema=schema), blank


def _fitted(row: list[str], position: int, width: int, defects: _Defects, blank: list[int]) -> list[str]:
    if len(row) == width:
        return row
    if not row:
        blank.append(position)
    defects.short.setdefault(len(row), []).append(position)
    return (row + [""] * width)[:width]


def _array(values: tuple[str, ...], column: str, start: int, defects: _Defects) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        bad = [i for i, v in enumerate(values) if _escaped(v)]
        defects.undecodable.setdefault(column, []).extend(start + i for i in bad)
        lost = set(bad)
        return pa.array(["" if i in lost else v for i, v in enumerate(values)], pa.string())


def _escaped(text: str) -> bool:
    """Holds a byte that was not UTF-8."""
    return any("\udc80" <= c <= "\udcff" for c in text)


def _without_blank_end(cells: pa.Table, blank: list[int], defects: _Defects) -> pa.Table:
    """Blank lines at the end of a file are no rows; anywhere else they are rows without fields."""
    end = cells.num_rows
    while blank and blank[-1] == end - 1 and not defects.torn:
        end -= 1
        blank.pop()
    kept = [p for p in defects.short.pop(0, []) if p < end]
    if kept:
        defects.short[0] = kept
    return cells.slice(0, end)


def _positions(defects: _Defects) -> np.ndarray:
    groups = [*defects.short.values(), *defects.undecodable.values()]
    return np.unique(np.asarray([p for group in groups for p in group], np.int64))


def _numbered(positions: list[int]) -> tuple[int, ...]:
    return tuple(p + 1 for p in positions)


def _breaches(name: str, width: int, defects: _Defects) -> list[Breach]:
    found = [
        Breach(name, ROW, _numbered(positions), f"{fields} fields", f"{width} fields, as the header has")
        for fields, positions in sorted(defects.short.items())
    ]
    found += [
        Breach(name, column, _numbered(positions), None, "text in UTF-8")
        for column, positions in defects.undecodable.items()
    ]
    for position, message in defects.torn:
        unclosed = "unexpected end of data" in message or "field limit" in message
        expected = (
            f"every quote to be closed, and no cell over {csv.field_size_limit():,} characters"
            if unclosed
            else "a comma or the end of the line after a closing quote (a quote inside a cell is doubled)"
        )
        found.append(Breach(name, ROW, (position + 1,), message, expected))
    return found
