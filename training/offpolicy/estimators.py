"""The estimators: what each round adds to the value of a policy, and the threshold of switch-DR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ESTIMATORS = ("ips", "snips", "dr", "switch-dr")
#: Shares of the weights above 0 at which a threshold is tried.
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Rounds:
    """What the estimators ask of n rounds.

    reward    (n,) float64
    weight    (n,) float64: the target policy's probability of the action taken, over its propensity
    q_logged  (n,) expected reward of the action taken; q_policy (n,) that under the target policy, over all its actions
    cluster   (n,) int64 0..c-1
    """

    reward: np.ndarray
    weight: np.ndarray
    q_logged: np.ndarray
    q_policy: np.ndarray
    cluster: np.ndarray

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def doubly_robust(self) -> np.ndarray:
        """(n,) what each round adds to the doubly robust value, which is their mean."""
        return np.asarray(self.q_policy + self.weight * (self.reward - self.q_logged))


@dataclass(frozen=True)
class Ratio:
    """An estimate as the sum of `above` over that of `below`, (n,) each.

    unseen   (2, 2): above and below of a round that was not seen, with the lowest and with the highest reward of the
             log at the weight of a usual weighted round
    bias     how far the estimate may be off besides chance
    """

    above: np.ndarray
    below: np.ndarray
    unseen: np.ndarray
    bias: float = 0.0

    @property
    def value(self) -> float:
        """The estimate."""
        return float(self.above.sum() / self.below.sum())


def estimates(rounds: Rounds) -> tuple[Mapping[str, Ratio], float]:
    """(every estimator's ratio, the threshold of switch-DR, inf where no weight is cut).

    ips       mean of w r                                        Horvitz and Thompson 1952
    snips     sum of w r / sum of w                              Swaminathan and Joachims 2015
    dr        mean of q(policy) + w (r - q(action taken))        Dudik, Langford and Li 2011
    switch-dr the same with w = 0 where it is above a threshold  Wang, Agarwal and Dudik 2017
    """
    reward, weight, one = rounds.reward, rounds.weight, np.ones(len(rounds))
    usual = float(np.sum(weight**2) / max(weight.sum(), 1e-300))  # the mean weight of a weighted round
    ends = np.array([reward.min(), reward.max()])
    told = float(np.average(rounds.q_logged, weights=weight)) if weight.any() else float(rounds.q_logged.mean())
    unseen = np.column_stack([rounds.q_policy.mean() + usual * (ends - told), np.ones(2)])
    threshold, bias = switch(rounds)
    cut = rounds.q_policy + np.where(weight <= threshold, weight, 0.0) * (reward - rounds.q_logged)
    return {
        "ips": Ratio(weight * reward, one, np.column_stack([usual * ends, np.ones(2)])),
        "snips": Ratio(weight * reward, weight, np.column_stack([usual * ends, np.full(2, usual)])),
        "dr": Ratio(rounds.doubly_robust, one, unseen),
        "switch-dr": Ratio(cut, one, unseen, bias),
    }, threshold


def switch(rounds: Rounds) -> tuple[float, float]:
    """(the threshold with the least estimated mean squared error, a bound of its bias); (inf, 0): none is cut.

    The error is the variance by cluster plus the squared bias. The bias is what the cut rounds would have added,
    bounded by its estimate and one standard error (Su, Dimakopoulou, Krishnamurthy and Dudik 2020), or by the spread
    of the rewards times the probability that lies above the threshold, whichever is less (Wang et al. 2017).
    """
    weight, left = rounds.weight, rounds.reward - rounds.q_logged
    positive = weight[weight > 0]
    best, threshold, bound = np.inf, np.inf, 0.0
    grid = np.unique(np.quantile(positive, QUANTILES)) if len(positive) else np.empty(0)
    for at in (np.inf, *grid[::-1].tolist()):
        kept = np.where(weight <= at, weight, 0.0)
        cut = weight - kept
        error, bias = _variance(rounds.q_policy + kept * left, rounds.cluster), 0.0
        if cut.any():
            estimate = abs(float(np.mean(cut * left))) + np.sqrt(_variance(cut * left, rounds.cluster))
            bias = float(min(estimate, np.ptp(rounds.reward) * cut.mean()))
        if error + bias**2 < best:
            best, threshold, bound = error + bias**2, at, bias
    return threshold, bound


def _variance(values: np.ndarray, cluster: np.ndarray) -> float:
    """The variance of a mean of (n,) values that come in clusters."""
    centred = np.bincount(cluster, values - values.mean())
    return float(np.sum(centred**2) / len(values) ** 2)
