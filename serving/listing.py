"""Rows for a person (table), for a program (json) or for a sheet (csv): the one way in which a listing is printed."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.formula import marked

FORMATS = ("table", "json", "csv")
#: Wide enough that nothing is cut when the output goes to a file or a pipe instead of a terminal.
PIPE_WIDTH = 200

Row = Mapping[str, object]


def show(
    rows: Iterable[Row],
    columns: Sequence[str],
    *,
    format: str = "table",
    title: str | None = None,
    empty: str = "Nothing to list.",
    out: TextIO | None = None,
) -> None:
    """Print rows to standard output.

    rows     mappings; a key that is not in `columns` is left out, a column that is missing is null
    columns  their names, in order: table headings, csv header, json keys
    format   one of FORMATS; json is one array, so that an empty listing is `[]`; csv always has its header, and a quote
             before text that a sheet would run as a formula, which reading it as a table takes off
    title    above a table only
    empty    what a table says when there are no rows
    """
    out = sys.stdout if out is None else out
    picked = [{c: row.get(c) for c in columns} for row in rows]
    if format == "json":
        show_object(picked, out=out)
    elif format == "csv":
        _csv(picked, columns, out)
    else:
        _table(picked, columns, title, empty, out)


def show_object(value: object, *, out: TextIO | None = None) -> None:
    """Print one JSON value to standard output."""
    out = sys.stdout if out is None else out
    json.dump(_plain(value), out, indent=2, ensure_ascii=False)
    out.write("\n")


def console(out: TextIO | None = None) -> Console:
    """A console on standard output that wraps to the terminal, and cuts nothing where there is none."""
    out = sys.stdout if out is None else out
    return Console(file=out, width=None if out.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=False)


def _csv(rows: list[dict[str, object]], columns: Sequence[str], out: TextIO) -> None:
    line = io.StringIO()
    writer = csv.writer(line)  # ends lines in CR LF, so that either of them inside a cell is quoted
    for cells in (columns, *([_cell(v) for v in row.values()] for row in rows)):
        writer.writerow(cells)
        out.write(line.getvalue().removesuffix("\r\n") + "\n")
        line.seek(0)
        line.truncate()


def _table(rows: list[dict[str, object]], columns: Sequence[str], title: str | None, empty: str, out: TextIO) -> None:
    screen = console(out)
    if not rows:
        screen.print(Text(empty))
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        numeric = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_short(v)) for v in row.values()))
    screen.print(table)


def _plain(value: object) -> object:
    """The value as JSON has it: a number that is none (NaN) is null, an instant is ISO text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    item = getattr(value, "item", None)  # a numpy scalar
    return _plain(item()) if callable(item) else str(value)


def _cell(value: object) -> object:
    """The value as one csv cell: exact numbers, lists joined as CRM tables join them, no formula."""
    value = _plain(value)
    if isinstance(value, list):
        return marked(";".join(str(v) for v in value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return marked(value)
    return "" if value is None else value


def _short(value: object) -> str:
    """The value as a person reads it: four significant digits, a dash where there is nothing."""
    value = _plain(value)
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        shown = ", ".join(str(v) for v in value[:5])
        return f"{shown}, … ({len(value)})" if len(value) > 5 else shown
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
