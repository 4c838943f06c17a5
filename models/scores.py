"""What a model answers, what it asks of a matrix, and the interface that the product and every baseline share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.special import expit

from features.errors import InputError, ModelError
from features.matrix import Matrix, Vocabulary
from models.labels import Labels

#: Logits beyond this say nothing more: a probability stays within 2e-9 of 0 and 1, and every score finite.
EXTREME = 20.0


@dataclass(frozen=True)
class Scores:
    """A model's answer for n pairs, row for row.

    score      (n,) float64, finite; more is better; comparable among all pairs of one answer
    p_accept   (n,) float64, NaN where the model cannot tell
    p_convert  (n,) float64, P(converted | offered), NaN where the model cannot tell
    """

    score: np.ndarray
    p_accept: np.ndarray
    p_convert: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def ranks_only(cls, score: np.ndarray) -> Scores:
        """Scores of a rule: an order without probabilities."""
        return cls(score.astype(np.float64), np.full(len(score), np.nan), np.full(len(score), np.nan))


class Model(Protocol):
    """What the product and every baseline can do; `fit` answers the fitted model itself."""

    @property
    def name(self) -> str: ...
    def fit(self, train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels) -> Self: ...
    def predict(self, matrix: Matrix) -> Scores: ...


@dataclass(frozen=True)
class Contract:
    """The matrix that a model was made for: names and order of its columns, and what each category's codes mean."""

    columns: tuple[str, ...]
    vocabulary: Vocabulary

    def check(self, matrix: Matrix) -> np.ndarray:
        """The matrix's (n, f) float32 values, in C order.

        Raises ModelError when columns or vocabulary are not the model's, InputError for an infinite value.
        """
        values = matrix.values
        if matrix.columns != self.columns:
            raise ModelError(_difference(self.columns, matrix.columns), field="columns")
        if values.dtype != np.float32 or values.shape != (len(matrix.lead_id), len(self.columns)):
            raise ModelError(
                f"The feature matrix must be float32, pairs × {len(self.columns)} columns; it is {values.dtype}, "
                f"{values.shape}.",
                field="values",
            )
        if matrix.vocabulary is not self.vocabulary and dict(matrix.vocabulary.values) != dict(self.vocabulary.values):
            raise ModelError("The matrix's categories have other codes than the model's.", field="vocabulary")
        if np.isinf(values).any():
            row, column = np.argwhere(np.isinf(values))[0]
            raise InputError(f"Feature {self.columns[column]} of pair {row} is infinite.", field=self.columns[column])
        return np.ascontiguousarray(values)


def _difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    missing, unknown = [c for c in ours if c not in theirs], [c for c in theirs if c not in ours]
    if not missing and not unknown:
        return "The feature matrix has the model's columns in another order."
    parts = [f"lacks {', '.join(missing[:5])}"] * bool(missing) + [f"has unknown {', '.join(unknown[:5])}"] * bool(
        unknown
    )
    return f"The feature matrix is not the model's: it {' and '.join(parts)}."


def log_sigmoid(logit: np.ndarray) -> np.ndarray:
    """log(1 / (1 + exp(-x))) without overflow, (n,) to (n,)."""
    return np.asarray(-np.logaddexp(0.0, -logit))


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of logits held within EXTREME, (n,) to (n,)."""
    return np.asarray(expit(np.clip(logit, -EXTREME, EXTREME)))
