"""The book's entities as numpy columns: accounts, contacts, leads and reps, with ids interned to codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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

    def __contains__(self, value: object) -> bool:
        return value in self._place

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
        return self.find_ids(values.astype(object))

    def find_ids(self, values: pd.Series | np.ndarray) -> np.ndarray:
        """(n,) int64 codes of objects, -1 for null or unknown."""
        return self._looked_up.get_indexer(pd.Index(values, dtype=object)).astype(np.int64)

    @cached_property
    def _looked_up(self) -> pd.Index:
        return pd.Index(self.ids, dtype=object)


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
        row, distinct = pd.factorize(np.asarray(values, dtype=object))
        place = np.array([*(self._place.get(value, -1) for value in distinct), -1], dtype=np.int64)
        return np.asarray(place[row])  # a null's row is -1, the last

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class History:
    """The `changes` rows of one table by column, ready to be read into columns."""

    table: str
    rows: dict[str, pd.DataFrame]
    assume_constant: frozenset[str]

    @classmethod
    def of(cls, tables: Tables, table: str, assume_constant: Sequence[str]) -> History:
        """Group what the changes table tells of a table."""
        changes = facts(tables, "changes")
        told = changes[changes["table_name"] == table]
        grouped = {str(column): rows for column, rows in told.groupby("column_name", sort=True)}
        return cls(table, grouped, frozenset(assume_constant))

    def same(self, other: History) -> bool:
        """Whether the other tells the very same, in the same order."""
        return self.rows.keys() == other.rows.keys() and all(
            rows.reset_index(drop=True).equals(other.rows[column].reset_index(drop=True))
            for column, rows in self.rows.items()
        )

    def texts(self, column: str) -> np.ndarray:
        """Every value that the history of a column holds."""
        rows = self.rows.get(column)
        return texts(rows, "value") if rows is not None else np.empty(0, object)

    def _visible(self, column: str, frame: pd.DataFrame) -> np.ndarray | None:
        """Since when the table's own value may be believed, where it has no history."""
        if column not in OUTCOME_MOVED.get(self.table, ()) or f"{self.table}.{column}" in self.assume_constant:
            return None
        known = instants(frame, "known_at")
        return np.where(known == NAT, NEVER, known)

    def column(self, column: str, frame: pd.DataFrame, index: Index, words: Words | Index | None) -> Column:
        """Read one attribute of the table's entities: floats, or codes where `words` names the values."""
        dated = TABLES[self.table][column].kind == "time"
        if dated:
            at = instants(frame, column)
            base = np.where(at == NAT, np.nan, at.astype(np.float64))
        elif words is None:
            base = numbers(frame, column)
        elif isinstance(words, Index):
            base = words.find(frame[column])
        else:
            base = words.codes(texts(frame, column))
        read = Column(base, self._visible(column, frame))
        rows = self.rows.get(column)
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
