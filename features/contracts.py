"""Holds every table to its contract: columns, cells, keys, references. Every breach is listed and none is mended."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.cells import Fault, mask, read_cells, shown
from features.counted import counted
from features.csv_text import HEADER, ROW, RawTable
from features.errors import Breach
from features.schema import TABLES, TRACKED, Column, Table


@dataclass
class Checked:
    """What came of a check.

    tables    typed, each with all columns of its contract in its order; worth using only when there are no breaches
    columns   which of them the source had
    breaches  every way in which a contract is broken
    warnings  odd, but allowed
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    columns: dict[str, frozenset[str]] = field(default_factory=dict)
    breaches: list[Breach] = field(default_factory=list)
    warnings: list[Breach] = field(default_factory=list)


def split_list(text: object) -> tuple[str, ...]:
    """The items of a list cell ("us-east;uk"): in order, trimmed, empty ones left out; none for a null."""
    if not isinstance(text, str):
        return ()
    return tuple(item for part in text.split(";") if (item := part.strip()))


def close_match(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that was probably meant."""
    plain = {n.lower().replace("_", ""): n for n in names}
    found = get_close_matches(name.lower().replace("_", "").replace(" ", ""), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def check(
    raw: Mapping[str, RawTable],
    *,
    zone: str | None = None,
    other_columns: bool = False,
    because: Mapping[str, str] | None = None,
    stored: Mapping[str, Collection[str]] | None = None,
) -> Checked:
    """Check all tables of a source against their contracts and against each other.

    raw            the tables that the source has, by their name in the schema
    zone           time zone of instants that carry none; None: they are refused
    other_columns  columns outside the contract are allowed and left out with a warning (a database has other readers);
                   otherwise each is a breach, because a misspelt one would be missed in silence
    because        table, or table.column: why it is not there, said with the breach
    stored         these are rows for a source that has more: keys of its that they may refer to, by table; no table
                   has to be among them
    """
    done = Checked()
    for name, table in TABLES.items():
        if name in raw:
            _check_table(table, raw[name], zone, other_columns, done)
            _check_order(table, raw[name], done)
        elif table.required and stored is None:
            done.breaches.append(Breach(name, HEADER, (), None, f"the table {name}, which every snapshot must have"))
    if because:
        done.breaches = [_explained(b, because) for b in done.breaches]
    whole = {n for n, r in raw.items() if r.whole}
    for name, typed in done.tables.items():
        if name in whole:
            _check_references(TABLES[name], typed, raw[name], whole, stored, done)
    if "changes" in done.tables and "changes" in whole:
        _check_changes(raw["changes"], zone, whole, done)
    return done


def check_rows(name: str, raw: RawTable, *, zone: str | None = None) -> Checked:
    """Check rows of one table by themselves: their cells and their key, not what they refer to."""
    done = Checked()
    _check_table(TABLES[name], raw, zone, False, done)
    _check_order(TABLES[name], raw, done)
    return done


def _explained(breach: Breach, because: Mapping[str, str]) -> Breach:
    if breach.column != HEADER and breach.value is not None:
        return breach
    reason = because.get(breach.table if breach.column == HEADER else f"{breach.table}.{breach.column}")
    return replace(breach, expected=f"{breach.expected} ({reason})") if reason else breach


def as_frame(table: pa.Table) -> pd.DataFrame:
    """In pandas: text str (missing NaN), instants datetime64[us, UTC], numbers float64, flags boolean."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    text = {f.name: "str" for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)}
    return frame.astype(text)


def _check_table(table: Table, raw: RawTable, zone: str | None, other_columns: bool, done: Checked) -> None:
    done.breaches += raw.breaches
    there = set(raw.cells.column_names)
    _check_names(table, raw, there, other_columns, done)
    done.columns[table.name] = frozenset(there & set(table.names))
    count = raw.cells.num_rows
    judged = np.ones(count, bool)
    judged[raw.broken[raw.broken < count]] = False
    typed: dict[str, pa.Array] = {}
    for column in table.columns:
        if column.name not in there:
            typed[column.name] = read_cells(column, pa.chunked_array([pa.nulls(count)]), zone).values
            continue
        cells = raw.cells[column.name]
        read = read_cells(column, cells, zone)
        typed[column.name] = read.values
        faults = list(read.faults)
        if column.required:
            empty = mask(pc.is_null(read.values))
            for fault in faults:
                empty &= ~fault.rows
            faults.append(Fault(empty, "a value in every row"))
        if column.name in ("naics", "sic") and pa.types.is_integer(cells.type):
            lost = Fault(
                mask(pc.is_valid(read.values)), "text: a code kept as a number loses its leading zeros", odd=True
            )
            faults.append(lost)
        for fault in faults:
            _note(table.name, column.name, cells, fault, judged, done)
    if table.made_key and table.key[0] not in there:
        typed[table.key[0]] = _made_key(table, typed)
    done.tables[table.name] = pa.table(typed)
    _check_key(table, done.tables[table.name], judged, done)


def _check_names(table: Table, raw: RawTable, there: set[str], other_columns: bool, done: Checked) -> None:
    for name in raw.cells.column_names:
        if name in table.names:
            continue
        meant = close_match(name, [n for n in table.names if n not in there])
        hint = f"; did you mean {meant}?" if meant else ""
        if any(mark in name for mark in ";\t|"):
            hint = "; cells are separated by commas"
        expected = f"a column of {table.name} ({', '.join(table.names)}){hint}"
        (done.warnings if other_columns else done.breaches).append(
            Breach(table.name, name or "(no name)", (), name, expected)
        )
    if raw.breaches and raw.breaches[0].column == HEADER and not there:
        return  # no header at all, which was said
    for column in table.columns:
        made = table.made_key and column.name in table.key
        if column.required and column.name not in there and not made:
            done.breaches.append(Breach(table.name, column.name, (), None, "this column, which must be there"))


def _note(table: str, column: str, cells: pa.ChunkedArray, fault: Fault, judged: np.ndarray, done: Checked) -> None:
    rows = np.flatnonzero(fault.rows & judged)
    if rows.size:
        breach = Breach(table, column, _numbers(rows), shown(cells, int(rows[0])), fault.expected)
        (done.warnings if fault.odd else done.breaches).append(breach)


def _numbers(rows: np.ndarray) -> tuple[int, ...]:
    return tuple((rows + 1).tolist())


def _check_key(table: Table, typed: pa.Table, judged: np.ndarray, done: Checked) -> None:
    keys = typed.select(list(table.key)).to_pandas()
    whole = keys.notna().all(axis=1).to_numpy() & judged
    twice = np.flatnonzero(whole)[keys[whole].duplicated(keep=False).to_numpy()]
    if twice.size:
        value = ", ".join(str(v) for v in keys.iloc[int(twice[0])])
        key = " + ".join(table.key)
        done.breaches.append(Breach(table.name, key, _numbers(twice), value, f"{key} to be unique"))


def _check_order(table: Table, raw: RawTable, done: Checked) -> None:
    """A leave that ends before it starts would keep nobody from being offered a lead. Other orders are warned of."""
    if table.name != "time_off":
        return
    typed = done.tables[table.name]
    rows = np.flatnonzero(mask(pc.less(typed["ends_at"], typed["starts_at"]).combine_chunks()))
    if rows.size:
        first = shown(raw.cells["ends_at"], int(rows[0]))
        done.breaches.append(
            Breach(table.name, "ends_at", _numbers(rows), first, "an instant no earlier than starts_at")
        )


def made_keys(name: str, rows: pa.Table) -> list[str]:
    """The keys that rows of an event table get where the source has none; `rows`: typed, columns of the contract."""
    typed = {c.name: rows[c.name].combine_chunks() for c in TABLES[name].columns if c.name in rows.column_names}
    return list(_made_key(TABLES[name], typed).to_pylist())


def _made_key(table: Table, typed: Mapping[str, pa.Array]) -> pa.Array:
    """Keys from the rows' content: the same row gets the same key in whatever order, format or company it comes.

    Rows alike in everything are numbered from the second on; which of them is which makes no difference.
    """
    parts = []
    for name, values in typed.items():
        if name in table.key:
            continue
        text = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).cast(pa.string())
        # NUL cannot be in a cell, so no two different rows are spelt alike.
        parts.append(pc.fill_null(pc.binary_join_element_wise(f"{name}\x00", text, "\x00", ""), ""))
    content = pc.binary_join_element_wise(*parts, "")
    digests = [hashlib.blake2b(row.encode(), digest_size=10).hexdigest() for row in content.to_pylist()]
    keys = pd.Series(digests, dtype="str")
    again = keys.groupby(keys).cumcount()
    numbered = keys.where(again == 0, keys + "-" + (again + 1).astype("str"))
    return pa.array(numbered, pa.string())


def _check_references(
    table: Table, typed: pa.Table, raw: RawTable, whole: set[str], stored: Mapping[str, Collection[str]] | None,
    done: Checked,
) -> None:  # fmt: skip
    for column in table.columns:
        target = column.references
        if target is None or column.name not in done.columns[table.name]:
            continue
        if (target in done.tables and target in whole) or (stored is not None and target not in done.tables):
            _check_reference(table.name, column, typed, raw, (stored or {}).get(target, ()), done)
        elif target not in done.tables and column.required and typed.num_rows:
            expected = f"a key of {target}, a table that is not there"
            done.breaches.append(Breach(table.name, column.name, (), None, expected))


def _check_reference(
    table: str, column: Column, typed: pa.Table, raw: RawTable, stored: Collection[str], done: Checked
) -> None:
    target = str(column.references)
    values = typed[column.name]
    there = pc.is_in(values, pa.array(stored, values.type))
    if target in done.tables:
        there = pc.or_(there, pc.is_in(values, done.tables[target][TABLES[target].key[0]].combine_chunks()))
    orphans = np.flatnonzero(mask(pc.and_(pc.is_valid(values), pc.invert(there))))
    if not orphans.size:
        return
    first = shown(raw.cells[column.name], int(orphans[0]))
    if column.required:
        done.breaches.append(Breach(table, column.name, _numbers(orphans), first, f"a key of {target}"))
    else:
        expected = f"a key of {target}: {orphans.size:,} of {len(values) - values.null_count:,} are not there"
        done.warnings.append(Breach(table, column.name, _numbers(orphans), first, expected))


def _check_changes(raw: RawTable, zone: str | None, whole: set[str], done: Checked) -> None:
    """Each change must name a column whose history is kept, and its value must be one that the column may hold."""
    changes = done.tables["changes"]
    values = changes["value"].combine_chunks()
    named = pd.MultiIndex.from_arrays([changes[c].to_pandas().fillna("") for c in ("table_name", "column_name")])
    known = np.zeros(changes.num_rows, bool)
    for name, columns in TRACKED.items():
        for column_name in columns:
            rows = np.asarray((named == (name, column_name)), bool)
            known |= rows
            if not rows.any():
                continue
            column = TABLES[name][column_name]
            read = read_cells(column, pa.chunked_array([pc.if_else(rows, values, pa.scalar(None, values.type))]), zone)
            for fault in read.faults:
                said = Fault(fault.rows & rows, f"{fault.expected} (as {name}.{column_name})", fault.odd)
                _note("changes", "value", raw.cells["value"], said, np.ones(len(rows), bool), done)
            _check_changed_row(name, rows, changes, whole, done)
    _note_untracked(changes, ~known, done)


def _check_changed_row(name: str, rows: np.ndarray, changes: pa.Table, whole: set[str], done: Checked) -> None:
    if name not in done.tables or name not in whole:
        return
    keys = done.tables[name][TABLES[name].key[0]].combine_chunks()
    strangers = np.flatnonzero(rows & ~mask(pc.is_in(changes["row_id"], keys)))
    if strangers.size:
        first = shown(changes["row_id"], int(strangers[0]))
        odd = counted(strangers.size, "change is of a row that is", "changes are of rows that are")
        expected = f"a key of {name}: {odd} not there"
        done.warnings.append(Breach("changes", "row_id", _numbers(strangers), first, expected))


def _note_untracked(changes: pa.Table, rows: np.ndarray, done: Checked) -> None:
    strange = np.flatnonzero(
        rows & mask(pc.is_valid(changes["column_name"])) & mask(pc.is_valid(changes["table_name"]))
    )
    if strange.size:
        at = int(strange[0])
        value = f"{changes['table_name'][at].as_py()}.{changes['column_name'][at].as_py()}"
        kept = "; ".join(f"{t}: {', '.join(c)}" for t, c in TRACKED.items())
        expected = f"a column whose history is kept ({kept})"
        done.breaches.append(Breach("changes", "column_name", _numbers(strange), value, expected))


__all__ = ["HEADER", "ROW", "Checked", "as_frame", "check", "close_match", "made_keys", "split_list"]
