"""Text that a spreadsheet would run as a formula: marked by a quote in the CSV files that we write, and read back."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from features.csv_text import RawTable
from features.schema import TABLES, Kind

#: What makes a spreadsheet take a cell for a formula, or for more than one cell, when it stands first.
FIRST = "=+\\-@\t\r\n"
TEXTS = (Kind.ID, Kind.TEXT, Kind.LIST)
_RUN = re.compile(f"'*[{FIRST}]")


def mark(values: pa.Array) -> pa.Array:
    """Text with a quote before each cell that a spreadsheet would run; a cell that looks marked gets one more.

    Numbers are not text: -5 in a column of numbers stays -5.
    """
    return pc.replace_substring_regex(values, f"^('*[{FIRST}])", r"'\1")


def marked(text: str) -> str:
    """`mark` of one text."""
    return f"'{text}" if _RUN.match(text) else text


def unmark(table: RawTable) -> RawTable:
    """A CSV file's table without the quotes that `mark` put, in the columns that are text by its contract."""
    cells = table.cells
    for place, name in enumerate(cells.column_names):
        if name in TABLES[table.name].names and TABLES[table.name][name].kind in TEXTS:
            plain = pc.replace_substring_regex(cells[name], f"^'('*[{FIRST}])", r"\1")
            cells = cells.set_column(place, name, plain)
    return RawTable(table.name, cells, table.origin, table.broken, table.breaches)
