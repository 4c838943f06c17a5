"""How well each feature alone tells an outcome: one that tells too well knows it, which is a leak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from features.matrix import Matrix
from training.bootstrap import Draw, interval

LEVELS = 20  # bins of a number, of equal numbers of rows
PRIOR = 20.0  # rows that the overall share is worth against a level's own
LEAST_OF_EACH = 20  # positives and negatives below which an outcome judges no feature
COLUMNS = ("feature", "outcome", "auc", "low", "high", "offers")
#: Features whose interval is worth its time: those that tell this much.
INTERVALS = 10


def telling(
    matrix: Matrix, account: np.ndarray, outcomes: Mapping[str, np.ndarray], replicates: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """The area under the ROC curve of each feature by itself, the most telling first.

    A feature's levels (a category's values; bins of a number; not known) are ranked by the share of the outcome among
    the *other* half of the accounts, so that direction, bends and missing values count, and chance does not.

    matrix    features of n offers, as of each; account (n,): cluster of the halves and of the interval
    outcomes  name -> (n,) 1, 0, or NaN where the outcome is not to be told
    Returns   rows of COLUMNS; low and high: 95 %, by account, for the INTERVALS most telling of each outcome
    Cost      n x features, and 1,000 replicates of a few features
    """
    made = [
        pd.DataFrame(_told(matrix, account, name, outcome, replicates, seed), columns=list(COLUMNS))
        for name, outcome in outcomes.items()
    ]
    rows = pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=list(COLUMNS))
    return rows.sort_values(["auc", "feature", "outcome"], ascending=[False, True, True], ignore_index=True)


def _told(
    matrix: Matrix, account: np.ndarray, name: str, outcome: np.ndarray, replicates: int, seed: int
) -> Iterator[tuple[str, str, float, float, float, int]]:
    rows = np.flatnonzero(np.isfinite(outcome))
    y = outcome[rows]
    if min(y.sum(), len(y) - y.sum()) < LEAST_OF_EACH:
        return
    ids, code = np.unique(account[rows], return_inverse=True)
    half = np.random.default_rng(seed).permutation(len(ids))[code] % 2
    shares = {c: _shares(_levels(matrix.column(c)[rows]), y, half) for c in matrix.columns}
    areas = {c: float(_area(*_counts(score, y))) for c, score in shares.items()}
    order = sorted(areas, key=lambda c: -areas[c])
    draw = Draw.of(account[rows], replicates, seed)
    for place, column in enumerate(order):
        samples = _samples(shares[column], y, draw) if place < INTERVALS else np.empty(0)
        seen = interval(areas[column], samples)
        yield column, name, seen.value, seen.low, seen.high, len(rows)


def _levels(values: np.ndarray) -> np.ndarray:
    """(n,) level of each value: few distinct ones are their own, many are binned, not known is one more."""
    known = ~np.isnan(values)
    level = np.zeros(len(values), np.int64)
    distinct = np.unique(values[known])
    if len(distinct) > LEVELS and len(distinct) > known.sum() / PRIOR:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, LEVELS + 1)[1:-1]))
        level[known] = 1 + np.searchsorted(edges, values[known], side="right")
    else:
        level[known] = 1 + np.searchsorted(distinct, values[known])
    return level


def _shares(level: np.ndarray, y: np.ndarray, half: np.ndarray) -> np.ndarray:
    """(n,) share of the outcome at each row's level among the other half, drawn towards that half's overall share."""
    score = np.empty(len(y))
    for side in (0, 1):
        theirs, ours = half != side, half == side
        size = np.bincount(level[theirs], minlength=int(level.max()) + 1)
        hits = np.bincount(level[theirs], y[theirs], minlength=len(size))
        # Relative to the half's own share, so that the two halves' scores are of one kind.
        overall = y[theirs].mean()
        score[ours] = ((hits + PRIOR * overall) / (size + PRIOR) - overall)[level[ours]]
    return score


def _counts(score: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives at each distinct score, the lowest first."""
    place = np.unique(score, return_inverse=True)[1]
    return np.bincount(place, y), np.bincount(place, 1 - y)


def _area(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of counts (…, levels), levels in rising order of score; ties count a half."""
    below = np.cumsum(negative, axis=-1) - negative / 2
    total = positive.sum(axis=-1) * negative.sum(axis=-1)
    return np.asarray((positive * below).sum(axis=-1) / np.where(total > 0, total, np.nan))


def _samples(score: np.ndarray, y: np.ndarray, draw: Draw) -> np.ndarray:
    """(b,) the area on each replicate."""
    place = np.unique(score, return_inverse=True)[1]
    at = np.zeros((len(y), int(place.max()) + 1))
    at[np.arange(len(y)), place] = 1.0
    return np.asarray(_area(draw.sums(at * y[:, None]), draw.sums(at * (1 - y)[:, None])))
