"""Reads the CRM tables of a folder of CSV or Parquet files, or of a SQL database, just as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from features.contracts import close_match
from features.csv_text import HEADER, RawTable, read_csv
from features.errors import Breach, TableError, UsageError
from features.formula import unmark
from features.schema import TABLES
from features.sql import reading_engine, see_one_state

#: In a database of ours: (table_name, column_name) of what its sources had. What is neither named there nor holds a
#: value is missing, as a file or a column of it would be.
CRM_COLUMNS = "crm_columns"

_FORMATS = (".csv", ".parquet")
#: Files that look like data in a form that is not read: said, so that nobody waits for their effect.
_OTHER_FORMATS = (".tsv", ".xlsx", ".xls", ".json", ".jsonl", ".gz", ".zip", ".feather", ".orc", ".avro")


@dataclass
class Source:
    """Tables by name, as the source has them; what was odd about it; whether columns of others are expected in them."""

    tables: dict[str, RawTable]
    warnings: list[Breach] = field(default_factory=list)
    other_columns: bool = False
    #: What a mapping adds: what stays empty for want of a source, and why a table or column is not there.
    missing: dict[str, str] = field(default_factory=dict)
    because: dict[str, str] = field(default_factory=dict)


def is_url(data: str) -> bool:
    """Whether `data` names a database (any SQLAlchemy URL) rather than a folder."""
    return "://" in data


def read_source(data: str) -> Source:
    """Read the tables that have a contract from a folder or a SQLAlchemy URL.

    Raises UsageError when there is no such folder or database, TableError when a table comes in two files.
    """
    return read_database(data) if is_url(data) else read_folder(Path(data))


def data_files(folder: Path) -> dict[str, Path]:
    """The folder's CSV and Parquet files by stem, sorted; TableError when two have the same stem."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r}.", field="data")
    found: dict[str, Path] = {}
    breaches = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _FORMATS or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            expected = f"one file: there are both {found[path.stem].name} and {path.name}"
            breaches.append(Breach(path.stem, HEADER, (), None, expected))
        found[path.stem] = path
    if breaches:
        raise TableError(breaches)
    return found


def read_file(path: Path, name: str) -> RawTable:
    """One CSV or Parquet file as table `name`."""
    try:
        if path.suffix.lower() == ".csv":
            return read_csv(path, name)
        return RawTable(name, pq.ParquetFile(path).read(), path.name)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror or error}", field="data") from error
    except pa.ArrowException as error:
        expected = f"a Parquet file that can be read ({error})"
        return RawTable(name, pa.table({}), path.name, breaches=(Breach(name, HEADER, (), path.name, expected),))


def read_folder(folder: Path) -> Source:
    """Every table's file in the folder. Files that are no table of ours are named in a warning."""
    files = data_files(folder)
    tables = {stem: _read_ours(path, stem) for stem, path in files.items() if stem in TABLES}
    strangers = [p.name for stem, p in files.items() if stem not in TABLES]
    strangers += [
        p.name
        for p in sorted(folder.iterdir())
        if p.name not in {f.name for f in files.values()} and not p.name.startswith(".") and _looks_like_data(p)
    ]
    return Source(tables, [_stranger(name, tables) for name in strangers])


def _read_ours(path: Path, name: str) -> RawTable:
    table = read_file(path, name)
    return unmark(table) if path.suffix.lower() == ".csv" else table


def _looks_like_data(path: Path) -> bool:
    suffixes = {s.lower() for s in path.suffixes}
    return bool(suffixes & {*_OTHER_FORMATS, *_FORMATS}) or path.name.split(".")[0] in TABLES


def _stranger(file: str, tables: Iterable[str]) -> Breach:
    meant = close_match(file.split(".")[0], [t for t in TABLES if t not in tables])
    hint = f"; did you mean {meant}.csv?" if meant else ""
    return Breach(file, HEADER, (), file, f"a table's name with .csv or .parquet; this file is not read{hint}")


def read_database(url: str) -> Source:
    """Every table of the database that has a contract's name, all as of one instant; all else is left alone."""
    try:
        engine = reading_engine(url)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise UsageError(f"This is not a database URL that can be opened: {error}", field="data") from error
    shown = engine.url.render_as_string(hide_password=True)
    if engine.url.get_backend_name() == "sqlite" and not _sqlite_exists(engine.url):
        raise UsageError(f"There is no database {shown}.", field="data")
    try:
        with engine.connect() as connection:
            see_one_state(connection)
            tables = read_connection(connection)
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        raise UsageError(f"The database {shown} cannot be read: {reason}", field="data") from error
    finally:
        engine.dispose()
    return Source(tables, other_columns=True)


def read_connection(connection: sa.Connection) -> dict[str, RawTable]:
    """The same tables through a connection that is open already."""
    inspector = sa.inspect(connection)
    names = {*inspector.get_table_names(), *inspector.get_view_names()}
    tables = {n: read_table(connection, n, [c["name"] for c in inspector.get_columns(n)]) for n in TABLES if n in names}
    return _without_unfilled(tables, named_columns(connection)) if CRM_COLUMNS in names else tables


def _sqlite_exists(url: sa.URL) -> bool:
    """SQLite makes a file that is not there; a reader must not."""
    return not url.database or url.database.startswith(("file:", ":memory:")) or Path(url.database).is_file()


def read_table(
    connection: sa.Connection, name: str, names: Sequence[str], where: sa.ColumnElement[bool] | None = None
) -> RawTable:
    """Columns of one table, sorted by its key; of some rows only, where `where` says which."""
    # Columns without a type: the driver's own values, so that text in a DATETIME column is judged by the contract.
    columns: list[sa.ColumnClause[object]] = [sa.column(c) for c in names]
    key = [c for c in columns if c.name in TABLES[name].key]
    asked = sa.select(*columns).select_from(sa.table(name)).order_by(*key)
    rows = connection.execute(asked if where is None else asked.where(where))
    batches: list[list[list[object]]] = []
    for batch in rows.partitions(50_000):
        batches.append([list(values) for values in zip(*batch, strict=True)])
    cells = {c.name: _array([v for batch in batches for v in batch[i]]) for i, c in enumerate(columns)}
    return RawTable(name, pa.table(cells), name)


def named_columns(connection: sa.Connection) -> dict[str, set[str]]:
    """The columns that crm_columns names, by table."""
    table, column = sa.column("table_name", sa.Text), sa.column("column_name", sa.Text)
    named: dict[str, set[str]] = {}
    for name, of in connection.execute(sa.select(table, column).select_from(sa.table(CRM_COLUMNS))):
        named.setdefault(name, set()).add(of)
    return named


def always_there(name: str) -> frozenset[str]:
    """The columns of a table that are never missing, though nothing were in them."""
    return frozenset(c.name for c in TABLES[name].columns if c.required and TABLES[name].required)


def _without_unfilled(tables: dict[str, RawTable], named: dict[str, set[str]]) -> dict[str, RawTable]:
    """The tables without the columns that no source had and nothing has filled since; what must be there, is."""
    kept = {}
    for name, raw in tables.items():
        always = always_there(name)
        filled = [
            c
            for c in raw.cells.column_names
            if c in named.get(name, ()) or c in always or raw.cells[c].null_count < raw.cells.num_rows
        ]
        if filled:
            kept[name] = RawTable(name, raw.cells.select(filled), raw.origin)
    return kept


def _array(values: list[object]) -> pa.Array:
    """The driver's values as one column; where they are of several types, as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
