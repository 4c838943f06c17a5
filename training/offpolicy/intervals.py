"""Intervals of an estimate by a bootstrap over clusters that allows for one more extreme than any that was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, poisson, t

from training.bootstrap import Draw
from training.offpolicy.estimators import Ratio

REPLICATES = 2000
#: Clusters beyond which they are put together at random before they are drawn: the same variance, less work.
BLOCKS = 4000
#: How often a replicate holds the cluster that was not seen, on average: half a time, as mid-P intervals count half of
#: what lies at the edge; where nothing was seen at all, once, which makes a share's upper end the rule of three.
MORE, NOTHING_SEEN = 0.5, 1.0
#: How far beyond the most extreme cluster the one that was not seen lies, in distances from the second to it.
BEYOND = 2.0


@dataclass(frozen=True)
class Resampling:
    """The draws of a log, the same for all estimates of it.

    cluster  (n,) int64; draw: of blocks of whole clusters
    mark     (b,) in [0, 1): of each replicate, for how often it gets the cluster that was not seen
    """

    cluster: np.ndarray
    draw: Draw
    mark: np.ndarray

    @classmethod
    def of(cls, cluster: np.ndarray, replicates: int = REPLICATES, seed: int = 0) -> Resampling:
        """Draw; the same seed gives the same."""
        size = int(cluster.max()) + 1
        rng = np.random.default_rng(seed)
        block = np.arange(size) if size <= BLOCKS else rng.permutation(size) % BLOCKS
        return cls(cluster, Draw.of(block[cluster], replicates, seed), rng.random(replicates))

    def interval(self, ratio: Ratio, level: float = 0.95) -> tuple[float, float]:
        """(low, high) of an estimate.

        Heavy weights make estimates skewed: the round that would have moved the estimate most is the one that was not
        drawn, and a percentile interval of what was drawn falls short on that side. So each end is the percentile of
        the bootstrap of a log that may hold one cluster more, which moves the estimate to that side at least as far as
        any that was seen; where none moves it (no conversion among the weighted rounds, say), a usual weighted round
        with the extreme reward of the log. The percentiles are widened for few clusters as a t interval is (Hesterberg
        2015), and the ends by the bias.
        """
        sums = self.draw.sums(np.column_stack([ratio.above, ratio.below]))
        clusters = np.column_stack([np.bincount(self.cluster, part) for part in (ratio.above, ratio.below)])
        n = len(clusters)
        tail = float(norm.cdf(t.ppf((1 - level) / 2, n - 1) * np.sqrt(n / (n - 1))))
        ends = []
        for side, sign in enumerate((-1, 1)):
            one, often = _not_seen(clusters, ratio.unseen[side], ratio.value, sign)
            more = sums + poisson.ppf(self.mark, often)[:, None] * one
            whole = more[:, 1] > 0
            seen = more[whole, 0] / more[whole, 1]
            ends.append(float(np.quantile(seen, tail if sign < 0 else 1 - tail)) + sign * ratio.bias)
        return ends[0], ends[1]


def _not_seen(clusters: np.ndarray, unseen: np.ndarray, value: float, sign: int) -> tuple[np.ndarray, float]:
    """((2,) above and below of a cluster that was not seen, how often it comes) on one side of the value."""
    moved = sign * (clusters[:, 0] - value * clusters[:, 1])
    second, first = np.argsort(moved, kind="stable")[-2:]
    if sign * (unseen[0] - value * unseen[1]) > moved[first]:
        return unseen, NOTHING_SEEN
    further = sign * BEYOND * (moved[first] - moved[second])
    return clusters[first] + np.array([further, 0.0]), MORE
