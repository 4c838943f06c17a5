"""The form of a mapping: a .sql file of SELECTs, each under comments on the table it fills and what it leaves out.

    -- source: Account (Id, Name, …)        a source file and the columns read of it; what is absent is empty
    -- note: …                              a decision that a reader of `check` should know
    -- step: people                         a result that the SELECTs below may read under this name
    -- table: accounts                      one of Callsheet's tables
    -- one row per: Account, Lead           as many rows as these have, less those left out, and those made
    -- leaves out: deleted | SELECT count(*) FROM Account WHERE …
    -- makes: placeholders | SELECT count(*) FROM …
    -- takes: a default for want of a value | SELECT count(*) FROM …

A comment goes on in lines that begin with `--` and three spaces. `CREATE MACRO` may stand before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from features.errors import MappingError
from features.schema import TABLES

_DIRECTIVE = re.compile(r"^--\s*(source|note|step|table|one row per|leaves out|makes|takes):\s*(.*?)\s*$")
_CONTINUED = re.compile(r"^--\s{3,}(.*?)\s*$")
_SOURCE = re.compile(r"^(?P<name>[^(]+?)\s*\((?P<columns>[^)]*)\)$")


@dataclass(frozen=True)
class Count:
    """A number of rows to be said, and the SELECT that counts them."""

    reason: str
    query: str


@dataclass
class Step:
    """One SELECT. table: it fills one of Callsheet's tables; otherwise later steps read it under its name."""

    name: str
    table: bool
    line: int
    query: str = ""
    one_row_per: tuple[str, ...] = ()
    leaves_out: list[Count] = field(default_factory=list)
    makes: list[Count] = field(default_factory=list)
    takes: list[Count] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class MappingFile:
    """A mapping as written. sources: the columns that it would read of each source file."""

    path: str
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    preamble: str = ""
    steps: list[Step] = field(default_factory=list)


def shipped() -> dict[str, str]:
    """The mappings that come with Callsheet, by short name: their text."""
    folder = files("features") / "mappings"
    return {f.name.removesuffix(".sql"): f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".sql")}


def load_mapping(mapping: Path | str) -> MappingFile:
    """A mapping file, or a shipped one by its short name (salesforce, hubspot); MappingError when it is neither."""
    path = Path(mapping)
    try:
        if path.is_file():
            return parse_mapping(path.read_text("utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"The mapping {str(mapping)!r} cannot be read: {error}", field="mapping") from error
    names = shipped()
    if str(mapping) in names:
        return parse_mapping(names[str(mapping)], f"{mapping}.sql")
    known = ", ".join(sorted(names))
    raise MappingError(f"There is no mapping {str(mapping)!r}: give a .sql file, or one of {known}.", field="mapping")


def parse_mapping(text: str, path: str) -> MappingFile:
    """The mapping's parts; MappingError, with the line, where its form is wrong."""
    found = MappingFile(path)
    step: Step | None = None
    sql: list[str] = []
    for number, kind, value in _lines(text):
        where = f"{path}, line {number}"
        if kind == "sql":
            sql.append(value)
        elif kind in ("step", "table"):
            _close(found, step, sql)
            step, sql = _opened(found, kind, value, number, where), []
        elif kind == "source":
            _add_source(found, value, where)
        elif kind == "note":
            (found.notes if step is None else step.notes).append(value)
        elif step is None:
            raise MappingError(f"{where}: '-- {kind}:' stands before any '-- table:' or '-- step:'.", field="mapping")
        elif kind == "one row per":
            step.one_row_per = tuple(n.strip() for n in value.split(","))
        else:
            counts = {"leaves out": step.leaves_out, "makes": step.makes, "takes": step.takes}[kind]
            counts.append(_count(value, kind, where))
    _close(found, step, sql)
    if not any(s.table for s in found.steps):
        message = f"{path} fills no table: put '-- table: accounts' (and so on) over each SELECT."
        raise MappingError(message, field="mapping")
    return found


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """(line number, directive or "sql", text), with comments that go on joined to one."""
    pending: tuple[int, str, str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        directive = _DIRECTIVE.match(line)
        more = _CONTINUED.match(line) if pending else None
        if pending and more and not directive:
            pending = (pending[0], pending[1], f"{pending[2]} {more[1]}")
            continue
        if pending:
            yield pending
            pending = None
        if directive:
            pending = (number, directive[1], directive[2])
        else:
            yield number, "sql", line
    if pending:
        yield pending


def _opened(found: MappingFile, kind: str, name: str, number: int, where: str) -> Step:
    if kind == "table" and name not in TABLES:
        raise MappingError(f"{where}: {name!r} is no table; there are {', '.join(TABLES)}.", field="mapping")
    if kind == "step" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise MappingError(f"{where}: {name!r} is no name for a step.", field="mapping")
    if any(s.name == name and s.table == (kind == "table") for s in found.steps):
        raise MappingError(f"{where}: a second SELECT for {name}; one is allowed.", field="mapping")
    return Step(name, kind == "table", number)


def _close(found: MappingFile, step: Step | None, sql: list[str]) -> None:
    text = "\n".join(sql).strip()
    if step is None:
        found.preamble = text
    else:
        step.query = text
        found.steps.append(step)


def _add_source(found: MappingFile, value: str, where: str) -> None:
    form = _SOURCE.match(value)
    if form is None:
        raise MappingError(f"{where}: write '-- source: File (Column, Column, …)'.", field="mapping")
    columns = tuple(c for part in form["columns"].split(",") if (c := part.strip()))
    found.sources[form["name"]] = columns


def _count(value: str, kind: str, where: str) -> Count:
    reason, bar, query = value.partition("|")
    if not bar or not reason.strip() or not query.strip():
        raise MappingError(f"{where}: write '-- {kind}: reason | ' and a SELECT of a count.", field="mapping")
    return Count(reason.strip(), query.strip())
