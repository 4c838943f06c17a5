"""Which columns of a mapping's result come from which source files and columns, to say what an absent one costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb


@dataclass
class _Result:
    """What a SELECT would have had from sources that are absent: by output column, by file, and for its rows."""

    columns: dict[str, set[str]] = field(default_factory=dict)
    rows: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)


class Lineage:
    """Follows absent sources through the steps of a mapping, by the columns that each SELECT names.

    Two sources with a column of the same name are told apart by neither SQL nor this: then both are named.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.read: set[str] = set()
        self._files: dict[str, str] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._steps: dict[str, _Result] = {}
        self._tables: dict[str, _Result] = {}

    def absent_file(self, name: str) -> None:
        """A source file that is not there."""
        self._files[name.lower()] = name

    def absent_column(self, file: str, column: str) -> None:
        """A column that a source file does not have."""
        self._columns.setdefault(file.lower(), {})[column.lower()] = f"{file}.{column}"

    def add(self, name: str, table: bool, query: str) -> None:
        """Take in the next SELECT, which fills a table or is a step that later ones read."""
        sources = {n.lower() for n in self.connection.get_table_names(query)}
        self.read |= sources
        result, absent = _Result(), dict[str, set[str]]()
        for source in sources:
            step = self._steps.get(source, _Result())
            result.files |= step.files | ({self._files[source]} if source in self._files else set())
            result.rows |= step.rows
            for column, named in self._columns.get(source, {}).items():
                absent.setdefault(column, set()).add(named)
            for column, several in step.columns.items():
                absent.setdefault(column, set()).update(several)
        if absent:
            self._follow(query, absent, result)
        (self._tables if table else self._steps)[name.lower()] = result

    def _follow(self, query: str, absent: dict[str, set[str]], result: _Result) -> None:
        row = self.connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
        tree: dict[str, Any] = json.loads(row[0]) if row else {}
        statements = tree.get("statements") or []
        used: set[str] = set()
        for names, items in (pair for s in statements for pair in _outputs(s["node"])):
            for name, item in zip(names, items, strict=False):
                for column in _columns_in(item):
                    if column == "*":
                        used |= set(absent)
                        for passed, several in absent.items():
                            result.columns.setdefault(passed, set()).update(several)
                    elif column in absent:
                        used.add(column)
                        result.columns.setdefault(name, set()).update(absent[column])
        for column in {*_columns_in(tree)} & set(absent) - used:
            result.rows |= absent[column]

    def absent_for(self, table: str) -> list[str]:
        """The absent files that the table would have been filled from."""
        return sorted(self._tables[table].files)

    def wanted_by(self, table: str) -> dict[str, list[str]]:
        """Per column of the table, the absent source columns that it would have been filled from."""
        return {column: sorted(several) for column, several in self._tables[table].columns.items()}

    def absences(self) -> dict[str, list[str]]:
        """Per absent file or column, the tables and columns that come without it."""
        found: dict[str, list[str]] = {name: [] for name in self._files.values()}
        found |= {named: [] for columns in self._columns.values() for named in columns.values()}
        for table, result in self._tables.items():
            for source in result.files:
                found[source].append(table)
            for column, several in result.columns.items():
                for source in several:
                    found[source].append(f"{table}.{column}")
            for source in result.rows:
                found[source].append(f"the choice of rows in {table}")
        return {source: sorted(set(places)) for source, places in found.items()}


def _outputs(node: dict[str, Any]) -> Iterator[tuple[list[str], list[Any]]]:
    """(output names, expressions) of a SELECT, and of each part of a UNION under the first part's names."""
    parts = [p for p in (node.get("left"), node.get("right"), *(node.get("children") or [])) if p]
    if parts:
        inner = [pair for part in parts for pair in _outputs(part)]
        for _, items in inner:
            yield inner[0][0], items
    elif "select_list" in node:
        items = node["select_list"]
        yield [_name(item) for item in items], items


def _name(item: dict[str, Any]) -> str:
    return str(item.get("alias") or (item.get("column_names") or [""])[-1]).lower()


def _columns_in(node: Any) -> Iterator[str]:
    """The last names of all columns that an expression mentions, in lower case; * for a star."""
    if isinstance(node, list):
        for part in node:
            yield from _columns_in(part)
    elif isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][-1].lower()
        elif node.get("class") == "STAR" and node.get("type") == "STAR":
            yield "*"
        for part in node.values():
            yield from _columns_in(part)
