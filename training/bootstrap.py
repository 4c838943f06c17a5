"""How sure a number is: resampling whole accounts, all replicates at once, so that differences are paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; low and high are NaN where it could not be resampled."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0: better by more than chance."""
        return bool(self.low > 0)


@dataclass(frozen=True)
class Draw:
    """Replicates of a sample whose rows come in clusters; a cluster is drawn with all its rows, or not at all.

    An account's offers share their fortune, so resampling rows would call chance a finding.

    cluster  (n,) int64, 0..c-1: which cluster a row belongs to
    counts   (b, c) float32: how often each replicate drew each cluster
    """

    cluster: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, cluster: np.ndarray, replicates: int = 1000, seed: int = 0) -> Draw:
        """Draw as many clusters as there are, with replacement, `replicates` times; the same seed, the same draw.

        cluster  (n,) any ids
        """
        ids, code = np.unique(cluster, return_inverse=True)
        size = len(ids)
        picks = np.random.default_rng(seed).integers(0, max(size, 1), size=(replicates, size))
        flat = picks + np.arange(replicates)[:, None] * size
        counts = np.bincount(flat.ravel(), minlength=replicates * size).reshape(replicates, size)
        return cls(code.astype(np.int64), counts.astype(np.float32))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(b, m) float64 column sums of (n, m) row values in each replicate: rows are added up by cluster first."""
        clusters = np.zeros((self.counts.shape[1], values.shape[1]))
        for column in range(values.shape[1]):
            clusters[:, column] = np.bincount(self.cluster, values[:, column], minlength=len(clusters))
        return np.asarray(self.counts @ clusters)

    def take(self, rows: np.ndarray) -> Draw:
        """The same replicates seen through some of the rows (positions or a mask), so that slices stay paired."""
        kept, code = np.unique(self.cluster[rows], return_inverse=True)
        return Draw(code.astype(np.int64), self.counts[:, kept])


def interval(value: float, samples: np.ndarray, level: float = 0.95) -> Interval:
    """The percentile interval of (b,) replicates; replicates in which the metric does not exist (NaN) are left out.

    With fewer than half of the replicates left the interval is not known.
    """
    seen = samples[np.isfinite(samples)]
    if len(seen) < max(2, len(samples) / 2) or not np.isfinite(value):
        return Interval(float(value), np.nan, np.nan)
    low, high = np.quantile(seen, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def normal_interval(value: float, samples: np.ndarray, level: float = 0.95) -> Interval:
    """The normal interval with the spread of (b,) replicates, for levels whose quantiles few replicates tell.

    Of heavy-tailed sums over few clusters percentiles at 99 % pass chance two to three times as often as they say.
    """
    seen = samples[np.isfinite(samples)]
    if len(seen) < max(2, len(samples) / 2) or not np.isfinite(value):
        return Interval(float(value), np.nan, np.nan)
    half = float(norm.ppf((1 + level) / 2) * seen.std(ddof=1))
    return Interval(float(value), float(value) - half, float(value) + half)


def difference(left: float, left_samples: np.ndarray, right: float, right_samples: np.ndarray) -> Interval:
    """left - right with its interval; both were measured on the same draw, so what they share cancels."""
    return interval(left - right, left_samples - right_samples)
