"""Reads the cells of one column all at once: text or typed in, the contract's type out, every misfit named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import known_zone
from features.schema import Column, Kind

#: RFC 3339, and the forms of ISO 8601 next to it that databases print: a space for the T, no seconds, +00 or +0000.
_LONG, _SHORT = r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])", r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_DAY = rf"[0-9]{{4}}-(?:{_LONG}|{_SHORT}|02-(?:0[1-9]|[12][0-9]))"
_CLOCK = r"[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_ZONE = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"

_TIME_EXPECTED = "an ISO 8601 instant such as 2026-03-02T09:00:00Z"
_ZONE_EXPECTED = f"a time zone ({_TIME_EXPECTED}), or the key timezone in the configuration"
_NUMBER_EXPECTED = "a number such as 1200.5 (no thousands separator, no inf or nan)"
_FLAG_EXPECTED = "true or false (or 1 or 0, yes or no)"


@dataclass(frozen=True)
class Fault:
    """Cells that are not as they should be. rows: (n,) bool, True where; odd: allowed all the same."""

    rows: np.ndarray
    expected: str
    odd: bool = False


@dataclass(frozen=True)
class Read:
    """A column as read: null where a cell was empty or at fault."""

    values: pa.Array
    faults: tuple[Fault, ...]


def read_cells(column: Column, cells: pa.ChunkedArray, zone: str | None) -> Read:
    """Read a column's cells as its kind; `zone` is that of instants which carry none (None: they are refused).

    Cells are text as a rule; a Parquet file or a database may bring them typed. Empty text is null. Text is never
    trimmed, and no number becomes text but a whole one. Range and closed sets are checked here too.
    """
    flat = _flat(cells)
    if pa.types.is_null(flat.type):
        return Read(pa.nulls(len(flat), _ARROW[column.kind]), ())
    read = _READERS[column.kind](flat, zone)
    faults = [f for f in read.faults if f.rows.any()]
    values = read.values
    if column.low is not None or column.high is not None:
        faults += _out_of_range(column, values)
    if column.allowed:
        values = pc.utf8_lower(values)
        strange = pc.and_kleene(pc.is_valid(values), pc.invert(pc.is_in(values, pa.array(column.allowed))))
        faults += _found(strange, f"one of {', '.join(column.allowed)}")
    if column.zone:
        strange = pa.array([v.as_py() is not None and not known_zone(v.as_py()) for v in values], pa.bool_())
        faults += _found(strange, "a time zone's name, such as Europe/Berlin")
    return Read(values, tuple(faults))


def shown(cells: pa.ChunkedArray, row: int) -> str | None:
    """The cell as the source has it, for a person to find; cut where it is long."""
    value = cells[row].as_py()
    if value is None or value == "":
        return None
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def mask(values: pa.Array) -> np.ndarray:
    """(n,) bool of an Arrow array of bool; null counts as False."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


def _found(values: pa.Array, expected: str, *, odd: bool = False) -> list[Fault]:
    rows = mask(values)
    return [Fault(rows, expected, odd)] if rows.any() else []


def _flat(cells: pa.ChunkedArray) -> pa.Array:
    flat = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    if isinstance(flat, pa.ChunkedArray):  # more text than one chunk can index
        flat = pa.concat_arrays([c.cast(pa.large_string()) for c in flat.chunks])
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    if isinstance(flat, pa.ExtensionArray):
        flat = flat.storage
    if pa.types.is_string_view(flat.type) or pa.types.is_large_string(flat.type):
        flat = flat.cast(pa.string()) if flat.nbytes < 2**31 else flat
    if _is_text(flat.type):
        flat = pc.if_else(pc.equal(flat, ""), pa.scalar(None, flat.type), flat)
    return flat


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _refused(flat: pa.Array, kind: Kind, expected: str) -> Read:
    """A typed column that cannot be read as this kind at all: every value in it is at fault."""
    every = mask(pc.is_valid(flat))
    return Read(pa.nulls(len(flat), _ARROW[kind]), (Fault(every, f"{expected}, not a column of type {flat.type}"),))


def _whole_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


def _text(flat: pa.Array, _: str | None) -> Read:
    if pa.types.is_boolean(flat.type) or _whole_number(flat.type):
        return Read(flat.cast(pa.string()), ())
    if not _is_text(flat.type):
        return _refused(flat, Kind.TEXT, "text")
    nul = mask(pc.match_substring(flat, "\x00"))
    return Read(flat, (Fault(nul, "text without NUL bytes"),))


def _list(flat: pa.Array, zone: str | None) -> Read:
    if not (pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type)):
        return _text(flat, zone)
    items = flat.cast(pa.list_(pa.string()))
    joined = pc.binary_join(items, ";")
    stray = mask(
        pc.greater(pc.count_substring(joined, ";"), pc.max_element_wise(pc.subtract(pc.list_value_length(items), 1), 0))
    )
    return Read(
        pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined), (Fault(stray, "items without ';'"),)
    )


def _number(flat: pa.Array, _: str | None) -> Read:
    if _is_text(flat.type):
        good = mask(pc.match_substring_regex(flat, _NUMBER))
        bad = mask(pc.is_valid(flat)) & ~good
        plain = pc.replace_substring_regex(pc.if_else(good, flat, pa.scalar(None, flat.type)), r"^\+", "")
        values = pc.cast(plain, pa.float64())
    elif pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_decimal(flat.type):
        values, bad = pc.cast(flat, pa.float64(), safe=False), np.zeros(len(flat), bool)
    else:
        return _refused(flat, Kind.NUMBER, _NUMBER_EXPECTED)
    finite = mask(pc.is_finite(values))
    bad |= mask(pc.is_valid(values)) & ~finite
    # Adding 0 turns -0.0 into 0.0, which is the same number but not the same bytes in a fingerprint.
    values = pc.add(pc.if_else(finite, values, pa.scalar(None, pa.float64())), 0.0)
    return Read(values, (Fault(bad, _NUMBER_EXPECTED),))


def _out_of_range(column: Column, values: pa.Array) -> list[Fault]:
    out = np.zeros(len(values), bool)
    if column.low is not None:
        out |= mask(pc.less(values, float(column.low)))
    if column.high is not None:
        out |= mask(pc.greater(values, float(column.high)))
    low, high = column.low, column.high
    span = f"a value from {low:g} to {high:g}" if low is not None and high is not None else None
    expected = span or (f"a value of {low:g} or more" if low is not None else f"a value of {high:g} or less")
    return [Fault(out, expected)] if out.any() else []


def _flag(flat: pa.Array, _: str | None) -> Read:
    if pa.types.is_boolean(flat.type):
        return Read(flat, ())
    if pa.types.is_integer(flat.type):
        flat = flat.cast(pa.string())
    if not _is_text(flat.type):
        return _refused(flat, Kind.FLAG, _FLAG_EXPECTED)
    lower = pc.utf8_lower(flat).cast(pa.string())
    yes, no = (mask(pc.is_in(lower, pa.array(words))) for words in (["true", "1", "yes"], ["false", "0", "no"]))
    bad = mask(pc.is_valid(flat)) & ~yes & ~no
    return Read(pa.array(yes, mask=~(yes | no)), (Fault(bad, _FLAG_EXPECTED),))


_INSTANT = pa.timestamp("us", tz="UTC")


def _time(flat: pa.Array, zone: str | None) -> Read:
    if pa.types.is_timestamp(flat.type):
        if flat.type.tz is not None:
            return Read(pc.cast(flat, _INSTANT, safe=False), ())
        return _localised(pc.cast(flat, pa.timestamp("us"), safe=False), zone)
    if pa.types.is_date(flat.type):
        return _localised(pc.cast(flat, pa.timestamp("us")), zone)
    if not _is_text(flat.type):
        return _refused(flat, Kind.TIME, _TIME_EXPECTED)
    nothing = pa.scalar(None, flat.type)
    zoned = mask(pc.match_substring_regex(flat, f"^{_DAY}{_CLOCK}{_ZONE}$"))
    naive = mask(pc.match_substring_regex(flat, f"^{_DAY}(?:{_CLOCK})?$")) & ~zoned
    for form in (zoned, naive):
        form &= ~_no_leap_day(pc.if_else(form, flat, nothing))
    bad = mask(pc.is_valid(flat)) & ~zoned & ~naive
    # Digits below a microsecond are cut: nothing here is that exact.
    short = pc.replace_substring_regex(flat, r"(\.[0-9]{6})[0-9]+", r"\1")
    upper = pc.utf8_upper(short)
    aware = pc.cast(pc.if_else(zoned, upper, nothing), _INSTANT)
    if not naive.any():
        return Read(aware, (Fault(bad, _TIME_EXPECTED),))
    local = _localised(pc.cast(pc.if_else(naive, upper, nothing), pa.timestamp("us")), zone)
    return Read(pc.coalesce(aware, local.values), (Fault(bad, _TIME_EXPECTED), *local.faults))


def _no_leap_day(text: pa.Array) -> np.ndarray:
    """(n,) True where it says 29 February of a year that has none."""
    leap = pc.if_else(pc.match_substring_regex(text, r"^[0-9]{4}-02-29"), text, pa.scalar(None, text.type))
    years = pc.fill_null(pc.cast(pc.utf8_slice_codeunits(leap, 0, 4), pa.int64()), 2000)
    year = years.to_numpy(zero_copy_only=False)
    return np.asarray((year % 4 != 0) | ((year % 100 == 0) & (year % 400 != 0)))


def _localised(local: pa.Array, zone: str | None) -> Read:
    """Instants of wall-clock times in `zone`; without one they mean nothing and are refused."""
    there = mask(pc.is_valid(local))
    if zone is None:
        return Read(pa.nulls(len(local), _INSTANT), (Fault(there, _ZONE_EXPECTED),))
    wall = pd.Series(local.to_pandas())
    first = wall.dt.tz_localize(zone, ambiguous=np.ones(len(wall), bool), nonexistent="NaT")
    second = wall.dt.tz_localize(zone, ambiguous=np.zeros(len(wall), bool), nonexistent="NaT")
    skipped = there & first.isna().to_numpy()
    twice = there & ~skipped & (first != second).to_numpy()
    values = pa.array(first.dt.tz_convert(None).to_numpy(), from_pandas=True).cast(pa.timestamp("us")).cast(_INSTANT)
    return Read(
        values,
        (
            Fault(skipped, f"a time that exists in {zone} (the clock leaps over this one)"),
            Fault(twice, f"a time that happens once in {zone} (the clock shows it twice; read as the first)", odd=True),
        ),
    )


_ARROW: dict[Kind, pa.DataType] = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.LIST: pa.string(),
    Kind.TIME: _INSTANT,
    Kind.MONEY: pa.float64(),
    Kind.NUMBER: pa.float64(),
    Kind.SHARE: pa.float64(),
    Kind.FLAG: pa.bool_(),
}
_READERS: dict[Kind, Callable[[pa.Array, str | None], Read]] = {
    Kind.ID: _text,
    Kind.TEXT: _text,
    Kind.LIST: _list,
    Kind.TIME: _time,
    Kind.MONEY: _number,
    Kind.NUMBER: _number,
    Kind.SHARE: _number,
    Kind.FLAG: _flag,
}
