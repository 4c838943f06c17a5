"""Sends statements that are the same each time: compiled once for a database, then handed to its driver as they are."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update

Processor = Callable[[Any], Any]
Values = Mapping[str, Any]


class Prepared:
    """A statement of SQLAlchemy Core whose values are bound by name; what it costs is what the driver takes.

    `Connection.execute` sets up the compiled statement, its parameters and its result anew each time, for six times as
    long as SQLite takes to put in a row. The few statements of every commit go this way, all others that one.

    columns  of an insert: those that get a value of their name; None: all of the table's
    Use it in `Ledger.reading` and `Ledger.writing`, which report what the driver raises.
    """

    def __init__(self, statement: Insert | Update | Delete | Select[Any], columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Values) -> None:
        """Execute it with a value for each name."""
        compiled = self._for(connection.dialect)
        connection.connection.cursor().execute(compiled.text, compiled.bound(values))

    def run_each(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Execute it for each row of values."""
        compiled = self._for(connection.dialect)
        connection.connection.cursor().executemany(compiled.text, [compiled.bound(values) for values in rows])

    def one(self, connection: Connection, values: Values) -> Any:
        """The one row that it gives, its values named as its columns are."""
        compiled = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(compiled.text, compiled.bound(values))
        (row,) = cursor.fetchall()
        return compiled.read(row, cursor.description)

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """The rows that it gives, their values named as its columns are."""
        compiled = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(compiled.text, compiled.bound(values))
        return [compiled.read(row, cursor.description) for row in cursor.fetchall()]

    def _for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._statement, self._columns, dialect)
        return compiled


class _Compiled:
    """The text for one kind of database, and how values go in and come out."""

    def __init__(self, statement: Any, columns: Sequence[str] | None, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self.text = str(compiled)
        self._by_place: bool = compiled.positional
        self._names: list[str] = compiled.positiontup if self._by_place else list(compiled.binds)
        kinds = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        makers = {name: kind.bind_processor(dialect) for name, kind in kinds.items()}
        self._makers: dict[str, Processor] = {name: make for name, make in makers.items() if make is not None}
        self._fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        given = list(statement.exported_columns)
        self._row: Any = namedtuple("_row", [column.name for column in given])  # type: ignore[misc]
        self._kinds = [column.type.dialect_impl(dialect) for column in given]
        self._dialect = dialect
        self._readers: list[tuple[int, Processor]] | None = None

    def bound(self, values: Values) -> Any:
        """The values as the driver takes them. KeyError: one is missing."""
        told = {**self._fixed, **values}
        for name, make in self._makers.items():
            told[name] = make(told[name])
        if self._by_place:
            return [told[name] for name in self._names]
        return {name: told[name] for name in self._names}

    def read(self, row: Sequence[Any], description: Sequence[Any]) -> Any:
        """A row of the driver's as SQLAlchemy would give it; description: the driver's, of its columns."""
        if self._readers is None:
            kinds = zip(self._kinds, description, strict=True)
            readers = [kind.result_processor(self._dialect, told[1]) for kind, told in kinds]
            self._readers = [(place, read) for place, read in enumerate(readers) if read is not None]
        cells = list(row)
        for place, read in self._readers:
            cells[place] = read(cells[place])
        return self._row(*cells)
