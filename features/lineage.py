"""Which columns of a mapping's result come from which source files and columns, to say what an absent one costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

Node = dict[str, Any]


@dataclass
class _Blame:
    """The absent sources that a relation would have had something from: by column, and for which rows it has."""

    columns: dict[str, set[str]] = field(default_factory=dict)
    rows: set[str] = field(default_factory=set)

    def add(self, column: str, sources: set[str]) -> None:
        if sources:
            self.columns.setdefault(column, set()).update(sources)


class Lineage:
    """Follows absent source columns through the SELECTs of a mapping, as DuckDB parses them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.read: set[str] = set()
        self._absent: dict[str, str] = {}
        self._relations: dict[str, _Blame] = {}
        self._tables: dict[str, _Blame] = {}

    def absent_file(self, name: str, columns: tuple[str, ...]) -> None:
        """A source file that is not there, and so none of the columns that are read of it."""
        self._absent[name.lower()] = name
        self._relations[name.lower()] = _Blame({c.lower(): {name} for c in columns})

    def absent_column(self, file: str, column: str) -> None:
        """A column that a source file does not have."""
        named = f"{file}.{column}"
        self._absent[named.lower()] = named
        self._relations.setdefault(file.lower(), _Blame()).add(column.lower(), {named})

    def is_absent(self, name: str) -> bool:
        """Whether a source file of this name was wanted and is not there."""
        return name.lower() in self._absent

    def add(self, name: str, table: bool, query: str) -> None:
        """Take in the next SELECT, which fills a table or is a step that later ones read."""
        rows = self.connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
        tree: Node = json.loads(rows[0][0])
        self.read |= {n["table_name"].lower() for n in _within(tree) if n.get("type") == "BASE_TABLE"}
        statements = tree.get("statements") or []
        blame = _select(statements[0]["node"], self._relations) if statements else _Blame()
        (self._tables if table else self._relations)[name.lower()] = blame

    def wanted_by(self, table: str) -> dict[str, list[str]]:
        """Per column of the table, the absent sources that it would have been filled from."""
        return {column: sorted(several) for column, several in self._tables[table].columns.items()}

    def absences(self) -> dict[str, list[str]]:
        """Per absent file or column, the tables that come without it, with the columns or the choice of rows."""
        found: dict[str, list[str]] = {named: [] for named in self._absent.values()}
        for table, blame in self._tables.items():
            for source, places in found.items():
                columns = [column for column, several in blame.columns.items() if source in several]
                if source in blame.rows:
                    columns.append("which rows")
                if columns:
                    places.append(f"{table} ({', '.join(columns)})")
        return found


def _select(node: Node, known: Mapping[str, _Blame]) -> _Blame:
    """Blame of a SELECT, or of a UNION, whose columns have the names of its first part."""
    known = dict(known)
    for entry in (node.get("cte_map") or {}).get("map", ()):
        value = entry["value"]  # DuckDB 1 wraps the SELECT once more than DuckDB 2
        known[entry["key"].lower()] = _select(value.get("query_node") or value["query"]["node"], known)
    parts = [p for p in (node.get("left"), node.get("right"), *(node.get("children") or ())) if p]
    if parts:
        blames = [_select(part, known) for part in parts]
        names = _names(parts[0])
        result = blames[0]
        for part, blame in zip(parts[1:], blames[1:], strict=True):
            result.rows |= blame.rows
            for name, own in zip(names, _names(part), strict=False):
                result.add(name, blame.columns.get(own, set()))
        return result
    result = _Blame()
    if "select_list" not in node:
        return result
    scope = dict(_relations(node.get("from_table") or {}, known))
    for position, item in enumerate(node["select_list"]):
        if item.get("type") == "STAR":
            for blame in scope.values():
                for column, several in blame.columns.items():
                    result.add(column, several)
        else:
            result.add(_names(node)[position], _sources(item, scope, known))
    choosing = [node.get("where_clause"), node.get("having"), node.get("qualify"), *_conditions(node.get("from_table"))]
    result.rows |= _sources(choosing, scope, known)
    return result


def _relations(node: Node, known: Mapping[str, _Blame]) -> Iterator[tuple[str, _Blame]]:
    """(alias, blame) of everything in a FROM."""
    kind = node.get("type")
    alias = str(node.get("alias") or node.get("table_name") or "").lower()
    if kind == "BASE_TABLE":
        yield alias, known.get(node["table_name"].lower(), _Blame())
    elif kind == "SUBQUERY":
        blame = _select(node["subquery"]["node"], known)
        renamed = [str(name).lower() for name in node.get("column_name_alias") or ()]
        for new, old in zip(renamed, _names(node["subquery"]["node"]), strict=False):
            blame.add(new, blame.columns.get(old, set()))
        yield alias, blame
    for side in ("left", "right"):
        if isinstance(node.get(side), dict):
            yield from _relations(node[side], known)


def _conditions(node: Node | None) -> Iterator[Any]:
    """What joins of a FROM compare. An outer join keeps its rows whatever it compares."""
    if node and node.get("type") == "JOIN":
        if node.get("join_type") == "INNER":
            yield node.get("condition")
        yield from _conditions(node.get("left"))
        yield from _conditions(node.get("right"))


def _sources(expression: Any, scope: Mapping[str, _Blame], known: Mapping[str, _Blame]) -> set[str]:
    """The absent sources of an expression's columns, those of a SELECT inside it included."""
    found: set[str] = set()
    for part in _within(expression, into_selects=False):
        if part.get("class") == "COLUMN_REF":
            *qualifier, column = (name.lower() for name in part["column_names"])
            chosen = [scope[qualifier[-1]]] if qualifier and qualifier[-1] in scope else scope.values()
            found = found.union(*(blame.columns.get(column, set()) for blame in chosen))
        elif part.get("class") == "SUBQUERY":
            blame = _select(part["subquery"]["node"], known)
            found = found.union(blame.rows, *blame.columns.values())
    return found


def _names(node: Node) -> list[str]:
    """The names of a SELECT's columns, in lower case."""
    for part in (node.get("left"), *(node.get("children") or ())):
        if part:
            return _names(part)
    items = node.get("select_list") or ()
    return [
        str(item.get("alias") or (item.get("column_names") or [f"?{position}"])[-1]).lower()
        for position, item in enumerate(items)
    ]


def _within(node: Any, *, into_selects: bool = True) -> Iterator[Node]:
    """Every object of the tree; those of inner SELECTs only if asked."""
    if isinstance(node, list):
        for part in node:
            yield from _within(part, into_selects=into_selects)
    elif isinstance(node, dict):
        yield node
        for key, part in node.items():
            if into_selects or key != "subquery":
                yield from _within(part, into_selects=into_selects)
