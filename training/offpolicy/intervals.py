"""Intervals of an estimate by a bootstrap over clusters that allows for one more cluster like the most extreme one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from training.bootstrap import Draw
from training.offpolicy.estimators import Ratio

REPLICATES = 2000
#: Clusters beyond which they are put together at random before they are drawn: the same variance, less work.
BLOCKS = 4000


@dataclass(frozen=True)
class Resampling:
    """The draws of a log, the same for all estimates of it.

    cluster  (n,) int64; draw: of blocks of whole clusters; more (b,) how often each replicate gets the extreme cluster
             besides its own draws
    """

    cluster: np.ndarray
    draw: Draw
    more: np.ndarray

    @classmethod
    def of(cls, cluster: np.ndarray, replicates: int = REPLICATES, seed: int = 0) -> Resampling:
        """Draw; the same seed gives the same."""
        size = int(cluster.max()) + 1
        rng = np.random.default_rng(seed)
        block = np.arange(size) if size <= BLOCKS else rng.permutation(size) % BLOCKS
        return cls(cluster, Draw.of(block[cluster], replicates, seed), rng.poisson(1.0, replicates))

    def interval(self, ratio: Ratio, level: float = 0.95) -> tuple[float, float]:
        """(low, high) of an estimate.

        Heavy weights make estimates skewed: the round that would have moved the estimate most is the one that was not
        drawn, and a percentile interval of what was drawn falls short on that side. So each end is the percentile of
        the bootstrap of a log that holds once more the cluster that moves the estimate furthest to that side; where
        none does (no conversion among the weighted rounds, say), a usual round with the extreme reward of the log.
        The percentiles are widened for few clusters as a t interval is (Hesterberg 2015), and the ends by the bias.
        """
        sums = self.draw.sums(np.column_stack([ratio.above, ratio.below]))
        above, below = (np.bincount(self.cluster, part) for part in (ratio.above, ratio.below))
        moved = above - ratio.value * below
        unseen = ratio.unseen[:, 0] - ratio.value * ratio.unseen[:, 1]
        clusters = len(above)
        tail = float(norm.cdf(t.ppf((1 - level) / 2, clusters - 1) * np.sqrt(clusters / (clusters - 1))))
        ends = []
        for side, sign in enumerate((-1, 1)):
            at = int(np.argmax(sign * moved))
            extreme = np.array([above[at], below[at]])
            if sign * unseen[side] > sign * moved[at]:
                extreme = ratio.unseen[side]
            more = sums + self.more[:, None] * extreme
            whole = more[:, 1] > 0
            seen = more[whole, 0] / more[whole, 1]
            ends.append(float(np.quantile(seen, tail if sign < 0 else 1 - tail)) + sign * ratio.bias)
        return ends[0], ends[1]
