"""The linear start: ridge logistic for accept and for convert given accept, with pooled effects of the rep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from features.catalogue import BY_NAME
from features.matrix import Matrix
from models.columns import Design
from models.labels import Labels
from models.recipe import Recipe
from models.ridge import Problem, Weights, solve

#: Spread of the multiple of the accept score towards which convert's weights shrink.
SHARED_SPREAD = 0.5


@dataclass(frozen=True)
class Encoded:
    """A matrix as the linear start reads it: dense (n, d) float64, codes (e, n) int64."""

    dense: np.ndarray
    codes: np.ndarray

    def take(self, rows: np.ndarray) -> Encoded:
        """The rows at these positions."""
        return Encoded(np.ascontiguousarray(self.dense[rows]), np.ascontiguousarray(self.codes[:, rows]))


@dataclass(frozen=True)
class LinearScore:
    """One fitted logit: base + dense terms + one entry of each effect's table.

    base     the logit of a pair that is average in everything
    dense    (d,) weights; tables: (size + 1,) each, centred so that the training rows average 0
    spread   the spreads that were used, (groups + effects,)
    """

    base: float
    dense: np.ndarray
    tables: tuple[np.ndarray, ...]
    spread: np.ndarray

    def terms(self, encoded: Encoded) -> np.ndarray:
        """(n, d + e) float64 parts of the logit. Summed along a row in C order, so any batch gives the same bits."""
        n, d = encoded.dense.shape
        terms = np.empty((n, d + len(self.tables)))
        np.multiply(encoded.dense, self.dense, out=terms[:, :d])
        flat, offsets = self._flat
        terms[:, d:] = flat[encoded.codes + offsets[:, None]].T
        return terms

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        """All tables in one array, and where each begins."""
        sizes = [len(table) for table in self.tables]
        return np.concatenate([*self.tables, np.zeros(0)]), np.cumsum([0, *sizes[:-1]])[: len(sizes)]

    def logit(self, encoded: Encoded) -> np.ndarray:
        """(n,) float64."""
        return np.asarray(self.base + self.terms(encoded).sum(axis=1))

    def as_json(self) -> dict[str, Any]:
        """The score as JSON values; floats by repr lose nothing."""
        return {
            "base": self.base,
            "dense": self.dense.tolist(),
            "tables": [table.tolist() for table in self.tables],
            "spread": self.spread.tolist(),
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> LinearScore:
        """The score that `as_json` wrote."""
        tables = tuple(np.array(table, np.float64) for table in content["tables"])
        return cls(content["base"], np.array(content["dense"]), tables, np.array(content["spread"]))


@dataclass(frozen=True)
class LinearStart:
    """Both linear scores over one design; a score that the data cannot teach is None."""

    design: Design
    accept: LinearScore | None
    convert: LinearScore | None

    def encode(self, values: np.ndarray) -> Encoded:
        """(n, f) float32 feature values as the scores read them."""
        return Encoded(*self.design.encode(values))

    def speaks(self) -> np.ndarray:
        """(d + e,) position of the feature to which each term's part is attributed."""
        effects = np.array([effect.speaks for effect in self.design.effects], np.int64)
        return np.concatenate([self.design.numbers, self.design.missing, effects])

    def as_json(self) -> dict[str, Any]:
        """The start as JSON values."""
        return {
            "design": self.design.as_json(),
            "accept": self.accept.as_json() if self.accept else None,
            "convert": self.convert.as_json() if self.convert else None,
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> LinearStart:
        """The start that `as_json` wrote."""
        scores = {k: LinearScore.of_json(content[k]) if content[k] else None for k in ("accept", "convert")}
        return cls(Design.of_json(content["design"]), **scores)


def fit_linear(
    recipe: Recipe,
    train: Matrix,
    labels: Labels,
    columns: Sequence[str],
    *,
    accept: bool,
    convert: bool,
    signed: bool = True,
) -> LinearStart:
    """Fit the linear start on the named columns of (n, f) training pairs, in canonical order.

    accept, convert   whether the data can teach each (both outcomes occur often enough)
    signed            hold numbers to the direction that the catalogue declares
    Cost              about 1 s for 10,000 pairs × 85 features with 60 reps, on one core
    """
    design = Design.learn(train, recipe, columns)
    encoded = Encoded(*design.encode(train.values))
    penalty = _penalty(recipe, train, design, signed)
    first = second = None
    if accept:
        rows = labels.accept_rows()
        first = _fit(recipe, design, encoded.take(rows), labels.accepted[rows], labels.weight[rows], penalty, None)
    if convert:
        rows = labels.convert_rows()
        towards = first if recipe.linear.share else None
        second = _fit(
            recipe, design, encoded.take(rows), labels.converted[rows], labels.convert_weight[rows], penalty, towards
        )
    return LinearStart(design, first, second)


@dataclass(frozen=True)
class _Penalty:
    """What is believed of the dense weights before any data; see Problem."""

    sign: np.ndarray
    group: np.ndarray
    factor: np.ndarray


def _penalty(recipe: Recipe, train: Matrix, design: Design, signed: bool) -> _Penalty:
    dense = np.concatenate([design.numbers, design.missing])
    declared = [BY_NAME[train.columns[i]] for i in dense]
    missing = np.arange(len(dense)) >= len(design.numbers)
    behaviour = np.array([feature.family == "behaviour" for feature in declared], bool)
    # Known direction holds for the value; that a value is missing may speak for or against.
    sign = np.where(missing | (not signed), 0, [feature.monotone for feature in declared])
    factor = np.where(behaviour, recipe.behaviour.spread, 1.0)
    # A number has a spread of its own, so that one which tells nothing shrinks away; missing values share the last.
    group = np.minimum(np.arange(len(dense)), len(design.numbers))
    return _Penalty(sign.astype(np.int64), group, factor)


def _fit(
    recipe: Recipe,
    design: Design,
    encoded: Encoded,
    target: np.ndarray,
    weight: np.ndarray,
    penalty: _Penalty,
    towards: LinearScore | None,
) -> LinearScore:
    """Fit one logit; `towards`: its weights shrink towards a fitted multiple (not below 0) of another score's."""
    part, d, numbers = recipe.linear, encoded.dense.shape[1], len(design.numbers)
    stated = np.array([part.number] * numbers + [part.missing, SHARED_SPREAD, *(e.spread for e in design.effects)])
    dense, sign, group, factor = encoded.dense, penalty.sign, penalty.group, penalty.factor
    if towards is not None:
        dense = np.column_stack([dense, towards.terms(encoded).sum(axis=1)])
        sign, group, factor = np.append(sign, 1), np.append(group, numbers + 1), np.append(factor, 1.0)
    fitted = solve(
        Problem(
            np.ascontiguousarray(dense),
            encoded.codes,
            tuple(effect.size for effect in design.effects),
            target.astype(np.float64),
            weight.astype(np.float64),
            sign,
            group,
            stated,
            factor,
        ),
        learn=part.learn,
        belief=part.belief,
    )
    weights, tables = fitted.dense[:d], fitted.tables
    if towards is not None:
        shared = fitted.dense[d]
        weights = weights + shared * towards.dense
        tables = tuple(own + shared * theirs for own, theirs in zip(tables, towards.tables, strict=True))
    return _centred(fitted, weights, tables, encoded)


def _centred(fitted: Weights, weights: np.ndarray, tables: tuple[np.ndarray, ...], encoded: Encoded) -> LinearScore:
    """Move each effect's mean over the rows into the base, so that a term tells how a pair differs from the average."""
    base, centred = fitted.intercept, []
    for codes, table in zip(encoded.codes, tables, strict=True):
        mean = float(table[codes].mean())
        base += mean
        centred.append(table - mean)
    return LinearScore(base, weights, tuple(centred), fitted.spread)
