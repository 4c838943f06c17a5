"""Pairs with the scores that the model gave them when it was made: wherever it is loaded, it must give the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from features.errors import ModelError
from features.matrix import Matrix
from models.scores import Contract, Scores

PAIRS = 64
#: Nothing in a score depends on rows, threads or batches, so on one machine every bit is the same. Another processor
#: may round the last bit of a logarithm or a sum otherwise; what is wrong with a model is far above this.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Golden:
    """values (n, f) float32, NaN: not known; said: the scores of these n pairs."""

    values: np.ndarray
    said: Scores

    @classmethod
    def of(cls, matrix: Matrix, predict: Callable[[Matrix], Scores]) -> Self:
        """Made-up pairs: each column's values from over its whole range in `matrix`, NaN as often as there.

        The columns are shuffled apart, so that trees are entered at many places and no pair is one that ever was:
        what is forgotten of a contact is in no model.
        """
        places = np.linspace(0, len(matrix) - 1, PAIRS).round().astype(np.int64)
        values = np.partition(matrix.values, places, axis=0)[places] + np.float32(0)  # a zero without a sign
        values = np.ascontiguousarray(np.random.default_rng(0).permuted(values, axis=0))
        pairs = _pairs(values, Contract(matrix.columns, matrix.vocabulary))
        return cls(values, predict(pairs))

    def pairs(self, contract: Contract) -> Matrix:
        """They, as a model of that contract reads them; of nobody, at no time."""
        return _pairs(self.values, contract)

    def check(self, contract: Contract, predict: Callable[[Matrix], Scores]) -> None:
        """Raises ModelError when the model gives these pairs other scores now."""
        now = predict(self.pairs(contract))
        for name in ("score", "p_accept", "p_convert"):
            then, given = getattr(self.said, name), getattr(now, name)
            same = np.isclose(given, then, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
            if not same.all():
                pair = int(np.argmin(same))
                raise ModelError(
                    f"The model scores otherwise than when it was made: {name} of golden pair {pair} is "
                    f"{given[pair]:.9g}, and was {then[pair]:.9g} ({(~same).sum()} of {len(same)} differ). Its files "
                    "or this machine's libraries are not those that it was made with: put them back, or train again.",
                    field="golden",
                )

    def as_json(self) -> bytes:
        """One line a pair: its values, then score, p_accept and p_convert; null: NaN."""
        said = np.column_stack([self.said.score, self.said.p_accept, self.said.p_convert])
        pairs = [[_listed(values), _listed(scores)] for values, scores in zip(self.values, said, strict=True)]
        lines = ",\n".join(json.dumps(pair, allow_nan=False, separators=(",", ":")) for pair in pairs)
        return f"[{lines}]\n".encode()

    @classmethod
    def of_json(cls, content: bytes) -> Self:
        """What `as_json` wrote, to the last bit. Raises ValueError, TypeError for what is nothing of the kind."""
        values, said = zip(*json.loads(content), strict=True)
        scores = np.array(said, np.float64).reshape(-1, 3)
        return cls(np.array(values, np.float32), Scores(*np.ascontiguousarray(scores.T)))


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _pairs(values: np.ndarray, contract: Contract) -> Matrix:
    nobody = np.full(len(values), "", object)
    return Matrix(values, contract.columns, nobody, nobody, np.zeros(len(values), np.int64), contract.vocabulary)
