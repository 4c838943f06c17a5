"""Folds for cross-fitting: rounds of one cluster stay together, so that no model is asked of what it has seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

FOLDS = 5


def folds(cluster: np.ndarray, seed: int = 0, count: int = FOLDS) -> np.ndarray:
    """(n,) int64 0..count-1: the fold of each row, even in rows as far as whole clusters allow.

    cluster  (n,) int64 0..c-1; the large are dealt first, each to the fold with the fewest rows, singles at random
    """
    size = np.bincount(cluster)
    order = np.random.default_rng(seed).permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    place = np.empty(len(size), np.int64)
    several = int((size > 1).sum())
    filled = np.zeros(count, np.int64)
    for one in order[:several]:
        fold = int(filled.argmin())
        place[one], filled[fold] = fold, filled[fold] + size[one]
    # Singles make up for what the clusters left uneven, then go round.
    rest = len(size) - several
    level = len(cluster) // count
    need = np.repeat(np.arange(count), np.maximum(level - filled, 0))[:rest]
    place[order[several:]] = np.concatenate([need, np.arange(rest - len(need)) % count])
    return place[cluster]


def splits(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to learn from, rows to predict) of each fold that holds any."""
    for one in range(int(fold.max(initial=-1)) + 1):
        held = fold == one
        if held.any():
            yield np.flatnonzero(~held), np.flatnonzero(held)
