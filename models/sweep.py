"""How far a family of features can move a score: the sweep by which behaviour is held against fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from features.catalogue import BY_NAME
from features.matrix import Matrix

#: Pairs on which a sweep is measured, spread evenly over the matrix; values of a category that are tried.
PAIRS, VALUES = 100, 8
LOW, HIGH = 0.05, 0.95


def family_share(score: Callable[[Matrix], np.ndarray], matrix: Matrix, family: str, against: str) -> float:
    """Mean move of the score by a sweep of one family, as a share of another's: 0 without any move, inf against none.

    score    (n pairs) to (n,) scores
    Cost     some 100 predictions of 100 pairs
    """
    moved, base = family_move(score, matrix, family), family_move(score, matrix, against)
    if moved == 0.0:
        return 0.0
    return moved / base if base > 0.0 else math.inf


def family_move(score: Callable[[Matrix], np.ndarray], matrix: Matrix, family: str) -> float:
    """Mean over pairs of how far the score moves when all features of a family sweep together.

    A number goes from its 5th to its 95th percentile, a category between its values of 5th and 95th percentile by
    effect, each in the direction in which it helps this model on average; so that effects add up and do not cancel.
    """
    if not len(matrix):
        return 0.0
    pairs = matrix.take(np.unique(np.linspace(0, len(matrix) - 1, PAIRS).astype(np.int64)))
    tried = {
        i: _ends(matrix.values[:, i], BY_NAME[name].kind == "category")
        for i, name in enumerate(matrix.columns)
        if name in BY_NAME and BY_NAME[name].family == family
    }
    tried = {i: (values, share) for i, (values, share) in tried.items() if len(values) > 1}
    if not tried:
        return 0.0
    effects = iter(_scored(score, pairs, [{i: value} for i, (values, _) in tried.items() for value in values]))
    low, high = {}, {}
    for i, (values, share) in tried.items():
        low[i], high[i] = _worst_and_best(values, share, np.array([next(effects).mean() for _ in values]))
    bottom, top = _scored(score, pairs, [low, high])
    return float(np.abs(top - bottom).mean())


def _ends(values: np.ndarray, category: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values to try of a column, with the share of rows each stands for."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(0), np.zeros(0)
    if not category:
        ends = np.unique(np.quantile(known, [LOW, HIGH], method="nearest"))
        return ends, np.full(len(ends), 1 / len(ends))
    codes, counts = np.unique(known, return_counts=True)
    often = np.sort(np.argsort(-counts, kind="stable")[:VALUES])
    return codes[often], counts[often] / counts[often].sum()


def _worst_and_best(values: np.ndarray, share: np.ndarray, effect: np.ndarray) -> tuple[float, float]:
    """The values at the 5th and 95th percentile of effect, rows counted."""
    order = np.argsort(effect, kind="stable")
    until = np.cumsum(share[order])
    low = order[int(np.searchsorted(until, LOW))]
    high = order[min(int(np.searchsorted(until, HIGH)), len(order) - 1)]
    return float(values[low]), float(values[high])


def _scored(score: Callable[[Matrix], np.ndarray], pairs: Matrix, changes: list[dict[int, float]]) -> list[np.ndarray]:
    """Scores (n,) of the pairs under each change of columns, all in one prediction."""
    n = len(pairs)
    rows = np.tile(np.arange(n), len(changes))
    stacked = pairs.take(rows)
    values = stacked.values.copy()
    for place, change in enumerate(changes):
        for column, value in change.items():
            values[place * n : (place + 1) * n, column] = value
    return np.split(score(replace(stacked, values=values)), len(changes))
