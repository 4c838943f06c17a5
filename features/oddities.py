"""What is odd in the tables but allowed: dates far from the rest, codes of another scheme, facts in a wrong order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.cells import mask
from features.errors import Breach
from features.schema import TABLES, Kind

_YEAR_US = 365 * 86_400_000_000
#: A date is alone when at least this many years lie between it and the rest.
LONE_YEARS = 2

#: The first two digits of every NAICS code (2022), and of every SIC code (1987).
NAICS_SECTORS = (
    *("11", "21", "22", "23", "31", "32", "33", "42", "44", "45", "48", "49"),
    *("51", "52", "53", "54", "55", "56", "61", "62", "71", "72", "81", "92"),
)
_SIC_SPANS = ((1, 2), (7, 10), (12, 17), (20, 65), (67, 67), (70, 70), (72, 73), (75, 76), (78, 84), (86, 89), (91, 97))
SIC_GROUPS = (*(f"{n:02}" for first, last in _SIC_SPANS for n in range(first, last + 1)), "99")

#: table: (earlier column, later column). Real exports break these (a close date is typed by hand): warnings only.
_ORDER = {
    "campaigns": (("starts_at", "ends_at"),),
    "leads": (("created_at", "qualified_at"), ("created_at", "closed_at")),
    "meetings": (("created_at", "cancelled_at"),),
    "opportunities": (("opened_at", "closed_at"),),
    "offers": (("offered_at", "answered_at"), ("offered_at", "converted_at")),
    "preferences": (("since", "until"),),
}
#: table: (column, the column that must then say when)
_DATED = {
    "offers": (("answer", "answered_at"),),
    "opportunities": (("outcome", "closed_at"),),
}


def oddities(tables: Mapping[str, pa.Table]) -> list[Breach]:
    """Every oddity of the typed tables, as a warning."""
    return [warning for name, table in tables.items() for warning in _of_table(name, table)]


def _of_table(name: str, table: pa.Table) -> Iterator[Breach]:
    for column in TABLES[name].columns:
        if column.kind is Kind.TIME:
            yield from _lone_dates(name, column.name, table[column.name])
    for earlier, later in _ORDER.get(name, ()):
        rows = mask(pc.less(table[later], table[earlier]).combine_chunks())
        yield from _warning(name, later, rows, table[later], f"an instant no earlier than {earlier}")
    for column_name, dated in _DATED.get(name, ()):
        rows = mask(pc.and_(pc.is_valid(table[column_name]), pc.is_null(table[dated])).combine_chunks())
        yield from _warning(name, dated, rows, table[column_name], f"an instant wherever there is an {column_name}")
    if name == "accounts":
        yield from _codes(table)


def _lone_dates(table: str, column: str, values: pa.ChunkedArray) -> Iterator[Breach]:
    """A few dates at either end with years between them and the rest: as a rule a slip of the hand."""
    there = mask(pc.is_valid(values).combine_chunks())
    positions = np.flatnonzero(there)
    if len(positions) < 4:
        return
    instants = pc.drop_null(values).cast(pa.int64()).to_numpy()
    order = np.argsort(instants, kind="stable")
    ordered = instants[order]
    few = min(max(3, len(ordered) // 1000), len(ordered) // 4)
    gaps = np.diff(ordered)
    for side, places in (("after", range(len(gaps) - few, len(gaps))), ("before", range(few))):
        wide = [p for p in places if gaps[p] >= LONE_YEARS * _YEAR_US]
        if not wide:
            continue
        alone = order[wide[0] + 1 :] if side == "after" else order[: wide[-1] + 1]
        rows = np.zeros(len(there), bool)
        rows[positions[alone]] = True
        years = max(gaps[p] for p in wide) / _YEAR_US
        dates = "a lone date is" if len(alone) == 1 else f"{len(alone)} dates are"
        yield from _warning(
            table, column, rows, values, f"dates near each other; {dates} {years:.1f} years {side} the rest"
        )


def _codes(table: pa.Table) -> Iterator[Breach]:
    naics, sic = table["naics"].combine_chunks(), table["sic"].combine_chunks()
    begin = pc.utf8_slice_codeunits(naics, 0, 2)
    strange = mask(pc.invert(pc.is_in(begin, pa.array(NAICS_SECTORS))))
    strange &= mask(pc.is_valid(naics))
    as_sic = strange & mask(pc.match_substring_regex(naics, r"^[0-9]{4}$"))
    as_sic &= mask(pc.is_in(begin, pa.array(SIC_GROUPS)))
    yield from _warning("accounts", "naics", as_sic, naics, "a NAICS code; this one is really a SIC code")
    yield from _warning("accounts", "naics", strange & ~as_sic, naics, "a NAICS code; no sector begins like this one")
    odd = mask(pc.is_valid(sic)) & ~mask(pc.match_substring_regex(sic, r"^[0-9]{2,4}$"))
    yield from _warning("accounts", "sic", odd, sic, "a SIC code of two to four digits")
    country = table["country"].combine_chunks()
    names = mask(pc.is_valid(country)) & ~mask(pc.match_substring_regex(country, r"^[A-Z]{2}$"))
    yield from _warning("accounts", "country", names, country, "an ISO 3166 code of two letters, such as US")


def _warning(table: str, column: str, rows: np.ndarray, values: pa.Array, expected: str) -> Iterator[Breach]:
    where = np.flatnonzero(rows)
    if where.size:
        value = values[int(where[0])].as_py()
        yield Breach(table, column, tuple((where + 1).tolist()), None if value is None else str(value), expected)
