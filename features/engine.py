"""The one engine that turns (lead, rep, as-of) pairs into a feature matrix and their eligibility."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from time import perf_counter

import numpy as np

from features.asked import Asked, Coding
from features.book import Book
from features.catalogue import COLUMNS, FAMILIES, FEATURE_VERSION
from features.config import Config
from features.counted import counted
from features.declare import Level
from features.eligibility import refusals
from features.errors import InputError
from features.matrix import Matrix, Vocabulary

#: Pairs of one pass: bounds the memory of a call, whatever its size; a pair's bits do not depend on it.
CHUNK = 200_000


class Engine:
    """Features and eligibility from one book, under one configuration and one vocabulary.

    vocabulary  the categories' codes; a model is served with the one that it was fitted with. None: the book's own.
    unseen      is told how often a feature's category was asked for that the vocabulary lacks
    """

    version = FEATURE_VERSION

    def __init__(
        self, book: Book, config: Config, vocabulary: Vocabulary | None = None,
        unseen: Callable[[str, int], None] | None = None,
    ) -> None:  # fmt: skip
        self.book, self.config = book, config
        self.vocabulary = vocabulary or Vocabulary(book.words)
        self.coding = Coding(book.words, self.vocabulary, unseen)
        self._place = {name: i for i, name in enumerate(COLUMNS)}

    def untold(self) -> Engine:
        """The same engine, which tells nobody of categories that the vocabulary lacks."""
        quiet = copy(self)
        quiet.coding = self.coding.untold()
        return quiet

    def matrix(self, lead_id: Sequence[str] | np.ndarray, rep_id: Sequence[str] | np.ndarray, as_of: object) -> Matrix:
        """Features of n pairs of ids, each as of its instant.

        as_of    one instant, or (n,) of them: int64 microseconds UTC
        Returns  Matrix of (n, f) float32; a pair's row is the same to the last bit, whatever it is asked with
        Raises   UnknownId; InputError where an instant is missing
        Cost     about 10 microseconds a pair without the graph, in chunks of 200,000 pairs
        """
        lead, rep = self.book.lead_index.codes(lead_id), self.book.rep_index.codes(rep_id)
        return self.matrix_of(lead, rep, _instants(as_of, len(lead)))

    def matrix_of(self, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> Matrix:
        """The same by codes of the book: (n,) each."""
        values = np.empty((len(lead), len(COLUMNS)), dtype=np.float32)
        for start in range(0, len(lead), CHUNK):
            part = slice(start, start + CHUNK)
            asked = Asked.of(self.book, self.config, self.coding, lead[part], rep[part], t[part])
            self._fill(asked, values[part])
        ids = self.book.lead_ids[lead], self.book.rep_ids[rep]
        return Matrix(values, COLUMNS, *ids, t, self.vocabulary)

    def costs(self, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> dict[tuple[str, Level], float]:
        """Seconds that each block of features takes for (n,) pairs by codes, of one chunk, in the engine's own order.

        What several blocks share is computed once, and the first of them pays for it.
        """
        asked = Asked.of(self.book, self.config, self.coding, lead[:CHUNK], rep[:CHUNK], t[:CHUNK])
        values = np.empty((len(asked), len(COLUMNS)), dtype=np.float32)
        spent: dict[tuple[str, Level], float] = {}
        begun = perf_counter()
        for block in self._blocks(asked, values):
            ended = perf_counter()
            spent[block] = ended - begun
            begun = ended
        return spent

    def _fill(self, asked: Asked, values: np.ndarray) -> None:
        for _ in self._blocks(asked, values):
            pass

    def _blocks(self, asked: Asked, values: np.ndarray) -> Iterator[tuple[str, Level]]:
        """Fill in the columns block by block; yields the family and level of each block that was filled in."""
        rows: dict[Level, np.ndarray | slice] = {
            "lead": asked.lead_row, "rep": asked.rep_row, "pair": slice(None)
        }  # fmt: skip
        present = self.book.present
        for family in FAMILIES:
            for level, compute in family.blocks.items():
                features = family.at(level)
                told = [present.issuperset(f.tables) for f in features]
                if not any(told):
                    values[:, [self._place[f.name] for f in features]] = np.nan
                else:
                    for feature, known, column in zip(features, told, compute(asked), strict=True):
                        values[:, self._place[feature.name]] = column[rows[level]] if known else np.nan
                yield family.name, level

    def eligibility(
        self, lead_id: Sequence[str] | np.ndarray, rep_id: Sequence[str] | np.ndarray, as_of: object
    ) -> np.ndarray:
        """(n,) int8 for n pairs of ids: 0 eligible, else the place in RULES, from 1, of the first rule that refuses."""
        lead, rep = self.book.lead_index.codes(lead_id), self.book.rep_index.codes(rep_id)
        return self.eligibility_of(lead, rep, _instants(as_of, len(lead)))

    def eligibility_of(self, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The same by codes of the book: (n,) each."""
        return refusals(self.book, self.config, lead, rep, t)


def _instants(as_of: object, n: int) -> np.ndarray:
    t = np.asarray(as_of, dtype=np.int64)
    t = np.full(n, t) if t.ndim == 0 else t
    missing = np.flatnonzero(t == np.iinfo(np.int64).min)
    if len(missing):
        raise InputError(f"as_of is missing in row {missing[0] + 1}; give an instant in UTC.", field="as_of")
    if len(t) != n:
        raise InputError(f"as_of has {counted(len(t), 'instant')} for {counted(n, 'pair')}.", field="as_of")
    return t
