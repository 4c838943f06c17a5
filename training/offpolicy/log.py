"""The common form of a bandit's log and of a policy over its rounds, held as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class BanditLog:
    """n rounds: in each one action was taken, and only its reward is known.

    actions     the names, by code; the log's own first, then those that only the policy knows
    action      (n,) int64 codes
    reward      (n,) float64
    propensity  (n,) float64 in (0, 1]: the chance with which the logging policy took this action; NaN: not logged
    cluster     (n,) int64 0..c-1: rounds of one cluster share their fortune; without clusters each is its own
    clustered   whether the log named clusters
    context     n rows: columns of numbers, or of words; null: not known
    """

    actions: tuple[str, ...]
    action: np.ndarray
    reward: np.ndarray
    propensity: np.ndarray
    cluster: np.ndarray
    clustered: bool = False
    context: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def taken(self) -> np.ndarray:
        """(k,) int64: in how many rounds each action was taken."""
        return np.bincount(self.action, minlength=len(self.actions))

    @property
    def unlogged(self) -> np.ndarray:
        """(n,) bool: the propensity was not logged."""
        return np.isnan(self.propensity)


@dataclass(frozen=True)
class Policy:
    """m pairs of a round and an action that the policy takes there with a probability above 0; rounds ascend.

    round  (m,) int64, place of the round in the log; action (m,) int64 codes of the log's actions
    probability  (m,) float64; those of a round sum to 1
    """

    round: np.ndarray
    action: np.ndarray
    probability: np.ndarray

    def __len__(self) -> int:
        return len(self.round)

    def of_logged(self, log: BanditLog) -> np.ndarray:
        """(n,) the policy's probability of the action that each round took."""
        hit = np.flatnonzero(self.action == log.action[self.round])
        found = np.zeros(len(log))
        found[self.round[hit]] = self.probability[hit]
        return found

    def expected(self, values: np.ndarray, rounds: int) -> np.ndarray:
        """(n,) the policy's expectation in each round of (m,) values of its pairs."""
        return np.bincount(self.round, self.probability * values, minlength=rounds)
