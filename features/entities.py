"""The book's entities as numpy columns: accounts, contacts, leads and reps, with ids interned to codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import NAT, NEVER, Column, later
from features.errors import UnknownId
from features.schema import OUTCOME_MOVED, TABLES

Tables = Mapping[str, pd.DataFrame]


class Index:
    """Ids in sorted order; an id's code is its place."""

    def __init__(self, entity: str, ids: np.ndarray) -> None:
        self.entity = entity
        self.ids = np.unique(ids.astype(object)) if len(ids) else np.empty(0, object)
        self._place = {value: i for i, value in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def code(self, value: str, field: str | None = None) -> int:
        """The code of one id. Raises UnknownId."""
        try:
            return self._place[value]
        except KeyError:
            raise UnknownId(self.entity, value, field=field) from None

    def codes(self, values: Sequence[str] | np.ndarray) -> np.ndarray:
        """(n,) int64 codes of ids, all of which must be known. Raises UnknownId."""
        return np.array([self.code(v) for v in values], dtype=np.int64)

    def find(self, values: pd.Series) -> np.ndarray:
        """(n,) int64 codes, -1 for null or unknown."""
        return pd.Index(self.ids, dtype=object).get_indexer(values.astype(object)).astype(np.int64)


def texts(frame: pd.DataFrame, column: str) -> np.ndarray:
    """(n,) object array of a text column, None where null."""
    values = frame[column].astype(object)
    return values.where(values.notna(), None).to_numpy(dtype=object)


def instants(frame: pd.DataFrame, column: str) -> np.ndarray:
    """(n,) int64 microseconds of a time column, NAT where null."""
    return frame[column].to_numpy(dtype="datetime64[us]").view(np.int64).copy()


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """(n,) float64 of a number column, NaN where null."""
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def flags(frame: pd.DataFrame, column: str) -> np.ndarray:
    """(n,) float64 of a flag column: 1, 0, NaN."""
    return frame[column].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)


def facts(tables: Tables, table: str) -> pd.DataFrame:
    """A table, or an empty one of the right columns where the source has none."""
    if table in tables:
        return tables[table]
    contract = TABLES[table]
    kinds = {"time": "datetime64[us, UTC]", "money": "float64", "number": "float64", "share": "float64"}
    return pd.DataFrame({c.name: pd.Series([], dtype=kinds.get(c.kind, "object")) for c in contract.columns})


class Words:
    """Distinct texts of one attribute, sorted; code -1 is null."""

    def __init__(self, *sources: np.ndarray) -> None:
        seen = {v for source in sources for v in source if v is not None}
        self.values = tuple(sorted(seen))
        self._place = {value: i for i, value in enumerate(self.values)}

    def codes(self, values: np.ndarray) -> np.ndarray:
        """(n,) int64 codes; -1 for null or unknown."""
        return np.array([self._place.get(v, -1) for v in values], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class History:
    """The `changes` rows by (table, column), ready to be read into columns."""

    rows: dict[tuple[str, str], pd.DataFrame]
    assume_constant: frozenset[str]

    @classmethod
    def of(cls, tables: Tables, assume_constant: Sequence[str]) -> History:
        """Group the changes table."""
        changes = facts(tables, "changes")
        grouped = {
            (str(key[0]), str(key[1])): rows for key, rows in changes.groupby(["table_name", "column_name"], sort=True)
        }
        return cls(grouped, frozenset(assume_constant))

    def texts(self, table: str, column: str) -> np.ndarray:
        """Every value that the history of a column holds."""
        rows = self.rows.get((table, column))
        return texts(rows, "value") if rows is not None else np.empty(0, object)

    def _visible(self, table: str, column: str, frame: pd.DataFrame) -> np.ndarray | None:
        """Since when the table's own value may be believed, where it has no history."""
        if column not in OUTCOME_MOVED.get(table, ()) or f"{table}.{column}" in self.assume_constant:
            return None
        known = instants(frame, "known_at")
        return np.where(known == NAT, NEVER, known)

    def column(self, table: str, column: str, frame: pd.DataFrame, index: Index, words: Words | Index | None) -> Column:
        """Read one attribute of an entity table: floats, or codes where `words` names the values."""
        dated = TABLES[table][column].kind == "time"
        if dated:
            at = instants(frame, column)
            base = np.where(at == NAT, np.nan, at.astype(np.float64))
        elif words is None:
            base = numbers(frame, column)
        elif isinstance(words, Index):
            base = words.find(frame[column])
        else:
            base = words.codes(texts(frame, column))
        read = Column(base, self._visible(table, column, frame))
        rows = self.rows.get((table, column))
        if rows is None:
            return read
        if dated:
            at = (
                pd.to_datetime(rows["value"], utc=True, format="ISO8601")
                .to_numpy(dtype="datetime64[us]")
                .view(np.int64)
            )
            value = np.where(at == NAT, np.nan, at.astype(np.float64))
        elif words is None:
            value = pd.to_numeric(rows["value"], errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
        elif isinstance(words, Index):
            value = words.find(rows["value"])
        else:
            value = words.codes(texts(rows, "value"))
        entity = index.find(rows["row_id"])
        return read.with_history(entity, instants(rows, "valid_from"), instants(rows, "known_at"), value)


def ordered(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """The table in the order of its codes."""
    place = pd.Index(np.unique(frame[key].astype(object).to_numpy()), dtype=object).get_indexer(
        frame[key].astype(object)
    )
    return frame.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def born(frame: pd.DataFrame, event: str) -> np.ndarray:
    """(n,) instant since which a row counts: the later of its own time and known_at."""
    return later(instants(frame, event), instants(frame, "known_at"))
