"""The value of a policy on another policy's log: estimates with intervals and support, or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from training.offpolicy.design import Design
from training.offpolicy.estimators import ESTIMATORS, Ratio, Rounds, estimates
from training.offpolicy.folds import folds
from training.offpolicy.intervals import REPLICATES, Resampling
from training.offpolicy.log import BanditLog, Policy
from training.offpolicy.progress import Tick, silent
from training.offpolicy.propensity import Propensities, propensities
from training.offpolicy.reward import expected_rewards
from training.offpolicy.support import MIN_CLUSTERS, Support, reach, refusal, support, too_few


@dataclass(frozen=True)
class Estimate:
    """One estimator's word on the value, with its interval."""

    estimator: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Value:
    """What a log says of a policy.

    level      of the intervals
    estimates  of ESTIMATORS, in that order; none where refused
    support    None where there are too few clusters to begin with
    logged     mean reward of the log, the value of the policy that made it; gain: dr minus that, paired
    threshold  of switch-DR; None: no weight is cut
    refused    why there is no estimate; None: there is one
    """

    rounds: int
    clusters: int
    clustered: bool
    actions: int
    level: float
    estimates: tuple[Estimate, ...] = ()
    support: Support | None = None
    propensities: Propensities | None = None
    logged: Estimate | None = None
    gain: Estimate | None = None
    threshold: float | None = None
    reward_model: str | None = None
    refused: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The value as the command's JSON has it."""
        found, made = self.support, self.propensities
        fitted = 0 if made is None else int(made.fitted.sum())
        return {
            "estimates": [asdict(one) for one in self.estimates],
            "effective_sample_size": None if found is None else found.effective_sample_size,
            "overlap": None if found is None else found.overlap,
            "refused": self.refused,
            "rounds": self.rounds,
            "clusters": self.clusters if self.clustered else None,
            "actions": self.actions,
            "level": self.level,
            "logged": _bare(self.logged),
            "gain": _bare(self.gain),
            "propensities": None if made is None else {
                "logged": self.rounds - fitted, "fitted": fitted, "model": made.model, "sharpness": made.sharpness,
                "calibration_error": made.error, "by_chance": made.by_chance,
            },
            "support": None if found is None else found.as_dict(),
            "reward_model": self.reward_model,
            "switch_threshold": self.threshold,
        }  # fmt: skip


def _bare(one: Estimate | None) -> Mapping[str, float] | None:
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high}


def evaluate(
    log: BanditLog,
    policy: Policy,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = 0.95,
    tick: Tick = silent,
) -> Value:
    """Estimate the mean reward that the policy would have earned in the log's rounds.

    log, policy  of the same rounds; every action of the policy has a code of the log
    Returns      the estimates, or the refusal; the same seed gives the same
    Cost         one contest of reward models and five fits of the winner; the same for propensities that are missing
    """
    clusters = int(log.cluster.max()) + 1
    value = Value(len(log), clusters, log.clustered, int((log.taken > 0).sum()), level)
    if clusters < MIN_CLUSTERS:
        return replace(value, refused=too_few(clusters, log.clustered))
    design, fold = Design.of(log.context), folds(log.cluster, seed)
    made = propensities(log, design, fold, seed, tick)
    weight = policy.of_logged(log) / made.value
    tick("resampling")
    drawn = Resampling.of(log.cluster, replicates, seed)
    asked = np.unique(policy.action)
    strange = tuple(log.actions[code] for code in asked[log.taken[asked] == 0])
    found = support(weight, reach(log, policy, made.value), drawn, strange)
    why = made.hopeless or refusal(found, len(log), clusters, log.clustered)
    value = replace(value, support=found, propensities=made, refused=why)
    if value.refused is not None:
        return value
    expected = expected_rewards(log, policy, design, fold, seed, tick)
    tick("resampling")
    return told(value, Rounds(log.reward, weight, expected.logged, expected.policy, log.cluster), drawn, expected.model)


def told(value: Value, rounds: Rounds, drawn: Resampling, model: str) -> Value:
    """A value that is not refused, with its estimates; `model` names that of the reward."""
    ratios, threshold = estimates(rounds)
    one = np.ones(len(rounds))
    ends = np.column_stack([[rounds.reward.min(), rounds.reward.max()], np.ones(2)])
    logged, dr = Ratio(rounds.reward, one, ends), ratios["dr"]
    gain = Ratio(dr.above - rounds.reward, one, dr.unseen - ends * [1.0, 0.0])
    share = bool(np.isin(rounds.reward, (0.0, 1.0)).all())

    def one_of(name: str, ratio: Ratio, *, share: bool) -> Estimate:
        low, high = drawn.interval(ratio, value.level)
        if share:  # it is at least 0 and at most 1, whatever the weights say
            low, high = max(low, min(0.0, ratio.value)), min(high, max(1.0, ratio.value))
        return Estimate(name, ratio.value, low, high)

    return replace(
        value,
        estimates=tuple(one_of(name, ratios[name], share=share) for name in ESTIMATORS),
        logged=one_of("logged", logged, share=share),
        gain=one_of("gain", gain, share=False),
        threshold=None if np.isinf(threshold) else threshold,
        reward_model=model,
    )
