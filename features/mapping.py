"""Brings a foreign export to Callsheet's tables by SQL, run in process by DuckDB over its files and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pycountry

from features.counted import counted
from features.csv_text import HEADER, ROW, RawTable
from features.errors import Breach, MappingError, TableError
from features.lineage import Lineage
from features.mapping_file import Count, MappingFile, Step, load_mapping
from features.schema import TABLES
from features.source import Source, data_files, is_url, read_file

#: Set before any of the mapping's own SQL runs, and then locked: no file, no network, no extension, no Python variable.
_WALLS = (
    "SET threads = 1",  # so that rows come in the same order each time
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def map_export(data: str, mapping: Path | str) -> Source:
    """Run a mapping over the folder `data`, every column of every file read as text.

    The tables are as their SELECTs gave them; one whose sources are absent is absent. `missing` says of each source
    file or column that is not there what stays empty for it, `because` the same by table and column. Warnings: rows
    left out and made, by count; what the mapping notes; files that it does not read.
    Raises MappingError when the mapping, or the folder, cannot be used; TableError when a source file is damaged.
    """
    if is_url(data):
        raise MappingError("A mapping reads a folder of files, not a database.", field="mapping")
    plan = load_mapping(mapping)
    sources = {stem: read_file(path, path.name) for stem, path in data_files(Path(data)).items()}
    damaged = [b for s in sources.values() for b in s.breaches]
    if damaged:
        raise TableError(damaged)
    with duckdb.connect(":memory:") as connection:
        return _Run(plan, sources, connection).mapped()


class _Run:
    def __init__(self, plan: MappingFile, sources: Mapping[str, RawTable], connection: duckdb.DuckDBPyConnection):
        self.plan = plan
        self.sources = sources
        self.connection = connection
        self.files = {stem.lower(): stem for stem in sources}
        self.lineage = Lineage(connection)
        self.done = Source({})

    def mapped(self) -> Source:
        self._load()
        for wall in _WALLS:
            self.connection.execute(wall)
        self._preamble()
        for step in self.plan.steps:
            self._check_one_select(step)
            self.lineage.add(step.name, step.table, step.query)
        for step in self.plan.steps:
            self._run(step)
        for note in self.plan.notes:
            self.done.warnings.append(Breach(self.plan.path, ROW, (), None, note))
        self._say_missing()
        self._say_unread()
        return self.done

    def _load(self) -> None:
        """Every source as a table of text; what the mapping expects and the folder lacks is there, but empty."""
        for file, source in self.sources.items():
            self._create(file, _as_text(source))
        for name, columns in self.plan.sources.items():
            stem = self.files.get(name.lower())
            if stem is None:
                self._create(name, pa.table({c: pa.array([], pa.string()) for c in columns}))
                self.lineage.absent_file(name, columns)
                continue
            there = {c.lower() for c in self.sources[stem].cells.column_names}
            for column in (c for c in columns if c.lower() not in there):
                self.connection.execute(f"ALTER TABLE {_quoted(stem)} ADD COLUMN {_quoted(column)} VARCHAR")
                self.lineage.absent_column(name, column)
        self._create("country_codes", _country_codes())

    def _create(self, name: str, cells: pa.Table) -> None:
        self.connection.register("incoming", cells)
        try:
            self.connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM incoming")  # noqa: S608 - quoted
        except duckdb.Error as error:
            raise MappingError(f"{name} cannot be read as a table: {_first_line(error)}", field="data") from error
        finally:
            self.connection.unregister("incoming")

    def _preamble(self) -> None:
        for statement in self._statements(self.plan.preamble, self.plan.path):
            if not statement.query.strip().upper().startswith(("CREATE MACRO", "CREATE OR REPLACE MACRO")):
                message = f"{self.plan.path}: only CREATE MACRO may stand before the first '-- step:' or '-- table:'."
                raise MappingError(message, field="mapping")
            self._execute(statement.query, self.plan.path)

    def _statements(self, sql: str, where: str) -> list[Any]:
        try:
            return list(self.connection.extract_statements(sql))
        except duckdb.Error as error:
            raise MappingError(f"{where}: {_first_line(error)}", field="mapping") from error

    def _check_one_select(self, step: Step) -> None:
        for what, sql in [
            ("", step.query),
            *((c.reason, c.query) for c in (*step.leaves_out, *step.makes, *step.takes)),
        ]:
            where = f"{self._where(step)}{f', {what!r}' if what else ''}"
            statements = self._statements(sql, where)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise MappingError(f"{where}: one SELECT is expected, and nothing else.", field="mapping")

    def _where(self, step: Step) -> str:
        return f"{self.plan.path}, line {step.line}, {step.name}"

    def _execute(self, sql: str, where: str) -> duckdb.DuckDBPyConnection:
        try:
            return self.connection.execute(sql)
        except duckdb.Error as error:
            raise MappingError(f"{where}: {_first_line(error)}", field="mapping") from error

    def _fetched(self, query: str, where: str) -> pa.Table:
        try:
            return self.connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise MappingError(f"{where}: {_first_line(error)}", field="mapping") from error

    def _run(self, step: Step) -> None:
        query = step.query.rstrip().rstrip(";")
        if not step.table:
            # A view would be worked out again by each reader.
            self._execute(f"CREATE TABLE {_quoted(step.name)} AS {query}", self._where(step))
            self._account(step, self._rows_of(step.name, step))
            return
        cells = self._fetched(query, self._where(step))
        absent = self._absent_bases(step)
        self._account(step, cells.num_rows)
        if not cells.num_rows and absent:
            self.done.because[step.name] = f"not there: {', '.join(absent)}"
            return
        self.done.tables[step.name] = RawTable(step.name, self._without_empty(step, cells), self.plan.path)

    def _without_empty(self, step: Step, cells: pa.Table) -> pa.Table:
        """A column that is null in every row says nothing, so it counts as one that the source does not have."""
        wanted = self.lineage.wanted_by(step.name)
        for column, sources in wanted.items():
            self.done.because[f"{step.name}.{column}"] = f"not there: {', '.join(sources)}"
        required = {c.name for c in TABLES[step.name].columns if c.required}
        kept = [
            n for n in cells.column_names if n in required or not cells.num_rows or cells[n].null_count < cells.num_rows
        ]
        return cells.select(kept)

    def _absent_bases(self, step: Step) -> list[str]:
        """The files that a table's rows come from, when none of them is there; [] when one is."""
        steps = {s.name: s for s in self.plan.steps if not s.table}
        bases, todo = [], list(step.one_row_per)
        while todo:
            name = todo.pop()
            if name in steps:
                todo += steps[name].one_row_per
            else:
                bases.append(name)
        return sorted(bases) if all(self.lineage.is_absent(b) for b in bases) else []

    def _rows_of(self, name: str, step: Step) -> int:
        return self._one(self._execute(f"SELECT count(*) FROM {_quoted(name)}", self._where(step)))  # noqa: S608 - quoted

    def _one(self, result: duckdb.DuckDBPyConnection) -> int:
        rows = result.fetchall()  # to the end, or DuckDB holds the connection for the rest
        return int(rows[0][0] or 0) if rows else 0

    def _account(self, step: Step, rows: int) -> None:
        """Say how many rows were left out or made, and that nothing else was."""
        out = sum(self._say_count(step, c, "left out") for c in step.leaves_out)
        made = sum(self._say_count(step, c, "made") for c in step.makes)
        for count in step.takes:
            self._say_count(step, count, "filled with what the source does not say")
        for note in step.notes:
            self.done.warnings.append(Breach(step.name, ROW, (), None, note))
        if not step.one_row_per and not step.makes:
            return
        given = sum(self._rows_of(name, step) for name in step.one_row_per)
        gap = given - out + made - rows
        if gap:
            per = " and ".join(step.one_row_per) or "no source"
            said = f"{given:,} in {per}, {out:,} left out for a reason, {made:,} made"
            text = (
                f"{counted(abs(gap), 'row')} {'lost' if gap > 0 else 'added'} by the mapping without a reason ({said})"
            )
            self.done.warnings.append(Breach(step.name, ROW, (), str(abs(gap)), text))

    def _say_count(self, step: Step, count: Count, what: str) -> int:
        number = self._one(self._execute(count.query, f"{self._where(step)}, {count.reason!r}"))
        if number:
            text = f"{counted(number, 'row')} {what}: {count.reason}"
            self.done.warnings.append(Breach(step.name, ROW, (), str(number), text))
        return number

    def _say_missing(self) -> None:
        for source, tables in self.lineage.absences().items():
            self.done.missing[source] = (
                f"nothing from it in {', '.join(tables)}" if tables else "it was only to link or choose rows"
            )

    def _say_unread(self) -> None:
        for stem, source in self.sources.items():
            if stem.lower() not in self.lineage.read:
                text = f"a file that the mapping reads; its rows ({source.cells.num_rows:,}) are not taken"
                self.done.warnings.append(Breach(source.origin, HEADER, (), source.origin, text))


def _as_text(source: RawTable) -> pa.Table:
    """The cells as text, empty ones null. A typed Parquet column is spelt as DuckDB would cast it."""
    columns: dict[str, pa.Array] = {}
    for name in source.cells.column_names:
        values = source.cells[name]
        if pa.types.is_string(values.type):
            values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        elif pa.types.is_timestamp(values.type) and values.type.tz is not None:
            values = pc.strftime(values.cast(pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
        else:
            values = values.cast(pa.string())
        columns[name] = values
    return pa.table(columns)


def _country_codes() -> pa.Table:
    """Every name of a country in lower case, and its ISO 3166 code of two letters, for mappings to look up."""
    names: dict[str, str] = {}
    for country in pycountry.countries:
        for key in ("name", "official_name", "common_name", "alpha_2", "alpha_3"):
            if name := getattr(country, key, None):
                names[name.lower()] = country.alpha_2
    names |= {
        "uk": "GB",
        "usa": "US",
        "u.s.": "US",
        "u.s.a.": "US",
        "korea": "KR",
        "russia": "RU",
        "great britain": "GB",
    }
    return pa.table({"name": list(names), "code": list(names.values())})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("LINE")]
    return " ".join(line for line in lines if set(line) - {"^", " "})
