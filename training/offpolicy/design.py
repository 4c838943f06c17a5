"""The context of rounds as models read it: a dense design for linear ones, raw codes for trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

#: Words of a column that get an indicator of their own, the most frequent first; the rest share none.
WORDS = 40
#: Rounds that a word must occur in to get one.
FREQUENT = 10
#: A column of whole numbers with at most so many different ones is taken for codes, and read as words.
FEW = 12
#: A number further from the mean than so many deviations is drawn in: one typing error must not bend every weight.
FAR = 5.0


@dataclass(frozen=True)
class Design:
    """The context of n rounds.

    numbers  (n, p) float32, standardised; NaN: not known
    words    (n, q) int32 codes below `sizes`; -1: rare, or not known
    sizes    (q,) int64
    """

    numbers: np.ndarray
    words: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, context: pd.DataFrame) -> Design:
        """Read every column of a context; one that never changes tells nothing and is left out."""
        numbers: list[np.ndarray] = []
        words: list[np.ndarray] = []
        for name in context:
            column = context[name]
            if pd.api.types.is_numeric_dtype(column):
                values = column.to_numpy(np.float64)
                known = values[np.isfinite(values)]
                spread = float(known.std()) if len(known) else 0.0
                if spread == 0 and len(known) in (0, len(values)):
                    continue
                if not _is_code(known):
                    scaled = (values - known.mean()) / (spread or 1.0)
                    numbers.append(np.clip(scaled, -FAR, FAR).astype(np.float32))
                    continue
                column = pd.Series(values)
            codes = _coded(column)
            if codes.max(initial=-1) >= 0 and len(np.unique(codes)) > 1:
                words.append(codes)
        n = len(context)
        stacked = np.column_stack(numbers) if numbers else np.empty((n, 0), np.float32)
        coded = np.column_stack(words) if words else np.empty((n, 0), np.int32)
        return cls(stacked, coded, coded.max(axis=0, initial=-1).astype(np.int64) + 1)

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def _gaps(self) -> np.ndarray:
        """Columns of `numbers` that are not always known."""
        return np.flatnonzero(np.isnan(self.numbers).any(axis=0))

    @property
    def width(self) -> int:
        """Columns of the dense design."""
        return self.numbers.shape[1] + len(self._gaps) + int(self.sizes.sum())

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """(m, width) float32 of some rows: numbers with 0 for what is not known, its indicators, those of the words."""
        numbers = self.numbers[rows]
        parts = [np.nan_to_num(numbers), np.isnan(numbers[:, self._gaps]).astype(np.float32)]
        parts += [
            (self.words[rows, column, None] == np.arange(size)).astype(np.float32)
            for column, size in enumerate(self.sizes)
        ]
        return np.concatenate(parts, axis=1)

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """(m, p + q) float32 of some rows, NaN for what is not known."""
        words = self.words[rows].astype(np.float32)
        return np.concatenate([self.numbers[rows], np.where(words < 0, np.nan, words)], axis=1)

    @property
    def raw_words(self) -> list[int]:
        """Columns of the raw design that hold codes."""
        return list(range(self.numbers.shape[1], self.numbers.shape[1] + self.words.shape[1]))


def _is_code(known: np.ndarray) -> bool:
    return bool((known == np.rint(known)).all()) and len(np.unique(known)) <= FEW


def _coded(column: pd.Series) -> np.ndarray:
    """(n,) int32 codes of the frequent words, the most frequent first (ties in order of the words); -1 for the rest."""
    counts = column.value_counts()
    order = sorted(counts.index[counts >= FREQUENT], key=lambda word: (-counts[word], word))[:WORDS]
    return np.asarray(pd.Index(order).get_indexer(column), dtype=np.int32)
