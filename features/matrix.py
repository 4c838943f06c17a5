"""What the engine answers and a model reads: the feature matrix of pairs, and the vocabulary of its categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from features.errors import ModelError


@dataclass(frozen=True)
class Vocabulary:
    """The values of each category feature; code i of a column stands for its i-th value.

    A model keeps the vocabulary it was fitted with, so that a code means the same on tomorrow's data; a value that
    it has never seen is NaN.
    """

    values: Mapping[str, tuple[str, ...]]

    def recode(self, feature: str, values: np.ndarray) -> np.ndarray:
        """Codes (len(values),) float32 of text values; NaN for what the vocabulary does not hold."""
        place = {value: float(i) for i, value in enumerate(self.values[feature])}
        return np.array([place.get(v, np.nan) for v in values], dtype=np.float32)


@dataclass(frozen=True)
class Matrix:
    """Features of n pairs, each as of its instant.

    values      (n, f) float32, C order; NaN: not known
    columns     the f feature names, in catalogue order
    lead_id     (n,) object; rep_id (n,) object
    as_of       (n,) int64, microseconds since the epoch, UTC
    """

    values: np.ndarray
    columns: tuple[str, ...]
    lead_id: np.ndarray
    rep_id: np.ndarray
    as_of: np.ndarray
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> np.ndarray:
        """One feature's (n,) float32 values. Raises ModelError when the matrix has no such column."""
        try:
            return np.asarray(self.values[:, self.columns.index(name)])
        except ValueError:
            raise ModelError(f"The feature matrix has no column {name!r}.", field=name) from None

    def take(self, rows: np.ndarray) -> Matrix:
        """The matrix of some rows: positions or a mask."""
        return replace(
            self,
            values=np.ascontiguousarray(self.values[rows]),
            lead_id=self.lead_id[rows],
            rep_id=self.rep_id[rows],
            as_of=self.as_of[rows],
        )

    def recoded(self, vocabulary: Vocabulary) -> Matrix:
        """The same pairs with the codes of another vocabulary, such as another model's; what it lacks is NaN."""
        values = self.values.copy()
        for name, words in self.vocabulary.values.items():
            place, column = self.columns.index(name), self.column(name)
            known = ~np.isnan(column)
            codes = vocabulary.recode(name, np.array(words, dtype=object))
            values[known, place] = codes[column[known].astype(np.int64)]
        return replace(self, values=values, vocabulary=vocabulary)

    def joined(self, other: Matrix) -> Matrix:
        """The rows of this matrix, then those of another with the same columns and vocabulary."""
        return Matrix(
            np.concatenate([self.values, other.values]),
            self.columns,
            np.concatenate([self.lead_id, other.lead_id]),
            np.concatenate([self.rep_id, other.rep_id]),
            np.concatenate([self.as_of, other.as_of]),
            self.vocabulary,
        )

    def without(self, names: Iterable[str]) -> Matrix:
        """The same matrix with some columns not known: what an ablation trains on."""
        values = self.values.copy()
        for name in names:
            values[:, self.columns.index(name)] = np.nan
        return replace(self, values=values)
