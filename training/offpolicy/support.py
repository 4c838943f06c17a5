"""Whether a log can tell the value of a policy at all: effective sample size, overlap, and the plain refusal."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from features.counted import counted
from training.offpolicy.estimators import Ratio
from training.offpolicy.intervals import Resampling
from training.offpolicy.log import BanditLog, Policy

#: Effective rounds below which an interval does not keep its promise.
MIN_EFFECTIVE = 50.0
#: Clusters, and effective ones, below which it does not: in 600 simulated logs each, of normal, skewed and uneven
#: clusters, those of 6 to 20 clusters held the truth 95 to 98 times in 100, those of 5 also 93 (measured once, by a
#: script that is not kept; benchmarks/coverage.py has harder logs).
MIN_CLUSTERS, MIN_EFFECTIVE_CLUSTERS = 8, 5.0
#: Most of all the weight that one round may have.
MAX_SHARE = 0.1
#: Share of the target policy's probability that must lie where the log has support.
MIN_OVERLAP = 0.95
#: The mean weight must be this surely too low or too high before it speaks against the log.
SURE = 0.999
#: How far fitted propensities may be off, besides what perfectly calibrated ones would show at their number.
MAX_OFF = 0.02
#: Most that the mean weight may surely be: it is 1 where the propensities are right and the support is full.
MAX_MEAN_WEIGHT = 1.05


@dataclass(frozen=True)
class Support:
    """How much of a log speaks of a policy.

    effective_sample_size      of the rounds: (sum w)^2 / sum w^2 (Kish 1965)
    overlap                    share of the policy's probability that lies on actions that the log has support for
    effective_clusters         Kish's size of the clusters' weights
    mean_weight, low, high     near 1 where the propensities are right and the support is full; its 99.9 % interval
    largest_weight, share      the largest weight, and its share in the sum of all; `row`: its round, from 1
    weighted_rounds            rounds with a weight above 0
    never_logged               actions of the policy that the log never took
    """

    effective_sample_size: float
    overlap: float
    effective_clusters: float
    mean_weight: float
    mean_weight_low: float
    mean_weight_high: float
    largest_weight: float
    largest_weight_share: float
    largest_weight_row: int
    weighted_rounds: int
    never_logged: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The support as a listing has it."""
        return asdict(self) | {"never_logged": list(self.never_logged)}


def kish(weight: np.ndarray) -> float:
    """Effective sample size of (n,) weights: as many equal ones would be as sure. 0 where all are 0."""
    largest = float(weight.max(initial=0.0))
    if largest == 0:
        return 0.0
    scaled = weight / largest
    return float(scaled.sum() ** 2 / np.sum(scaled**2))


def support(weight: np.ndarray, reach: np.ndarray, drawn: Resampling, never_logged: tuple[str, ...] = ()) -> Support:
    """Measure the support.

    weight  (n,) of each round
    reach   (n,) share of the policy's probability in each round that lies on actions the log can have taken there
    The overlap is the mean reach, or less: on the log's own draws the weights average to the share of the policy's
    probability that lies where the logging policy went, so that where their mean is surely below 1 it says so.
    """
    usual = float(np.sum(weight**2) / max(float(weight.sum()), 1e-300))
    one = np.ones(len(weight))
    mean = Ratio(weight, one, np.array([[0.0, 1.0], [usual, 1.0]]))
    low, high = drawn.interval(mean, SURE)
    at = int(weight.argmax())
    total = float(weight.sum())
    return Support(
        effective_sample_size=kish(weight),
        overlap=float(min(reach.mean(), high, 1.0)),
        effective_clusters=kish(np.bincount(drawn.cluster, weight)),
        mean_weight=mean.value,
        mean_weight_low=low,
        mean_weight_high=high,
        largest_weight=float(weight[at]),
        largest_weight_share=float(weight[at] / total) if total > 0 else 0.0,
        largest_weight_row=at + 1,
        weighted_rounds=int((weight > 0).sum()),
        never_logged=never_logged,
    )


def reach(log: BanditLog, policy: Policy, propensity: np.ndarray) -> np.ndarray:
    """(n,) share of the policy's probability in each round on actions that the log can have taken there.

    An action that was never logged has no support anywhere; where the propensity is 1, nothing else could be taken.
    """
    seen = np.bincount(policy.round, policy.probability * (log.taken[policy.action] > 0), minlength=len(log))
    return np.where(propensity >= 1.0, policy.of_logged(log), np.minimum(seen, 1.0))


def refusal(found: Support, rounds: int, clusters: int, clustered: bool) -> str | None:
    """Why the log cannot answer, in words; None: it can."""
    if clusters < MIN_CLUSTERS:
        return too_few(clusters, clustered)
    if found.overlap < MIN_OVERLAP:
        return _no_overlap(found)
    if found.effective_sample_size < MIN_EFFECTIVE:
        return (
            f"The effective sample size is {found.effective_sample_size:.1f} of {counted(rounds, 'round')}; it takes "
            f"{MIN_EFFECTIVE:.0f}. {counted(found.weighted_rounds, 'round has', 'rounds have')} a weight, and row "
            f"{found.largest_weight_row:,} alone (weight {found.largest_weight:.3g}) has "
            f"{found.largest_weight_share:.0%} of it."
        )
    if found.largest_weight_share > MAX_SHARE:
        return (
            f"Row {found.largest_weight_row:,} alone (weight {found.largest_weight:.3g}) has "
            f"{found.largest_weight_share:.0%} of all the weight; no round may have more than {MAX_SHARE:.0%}."
        )
    if found.effective_clusters < MIN_EFFECTIVE_CLUSTERS:
        return (
            f"The weight lies on {found.effective_clusters:.1f} effective clusters of {clusters:,}; an interval takes "
            f"{MIN_EFFECTIVE_CLUSTERS:.0f}."
        )
    if found.mean_weight_low > MAX_MEAN_WEIGHT:
        return (
            f"The weights average {found.mean_weight:.3g} (surely above {found.mean_weight_low:.3g}), and they average "
            "at most 1 where the propensities are those of the policy that made the log: these are too low."
        )
    return None


def miscalibrated(error: float, by_chance: float) -> str | None:
    """Why fitted propensities of a calibration error are none to build on, in words; None: they are."""
    if error <= by_chance + MAX_OFF:
        return None
    return (
        f"The fitted propensities are off by {error:.3f} on average; perfect ones would be by {by_chance:.3f} at this "
        f"size, and {MAX_OFF} more is allowed."
    )


def too_few(clusters: int, clustered: bool) -> str:
    """That the log has too few clusters for any interval."""
    return f"The log holds {clusters} {'clusters' if clustered else 'rounds'}; an interval takes {MIN_CLUSTERS}."


def _no_overlap(found: Support) -> str:
    words = (
        f"Only {found.overlap:.1%} of the policy's probability lies on actions that the log has support for; it takes "
        f"{MIN_OVERLAP:.0%}."
    )
    if found.never_logged:
        named = ", ".join(repr(name) for name in found.never_logged[:5])
        more = f" and {len(found.never_logged) - 5} more" if len(found.never_logged) > 5 else ""
        return f"{words} Never logged: {named}{more}."
    return f"{words} Where the policy differs, the log never or hardly ever took the policy's action."
