"""The reward model of a log, cross-fitted: every round is predicted by a model that has not seen its cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.offpolicy.design import Design
from training.offpolicy.folds import splits
from training.offpolicy.log import BanditLog, Policy
from training.offpolicy.progress import Tick
from training.offpolicy.reward_models import MODELS, Reward

#: Rounds on which it is decided which model serves.
CONTEST = 20_000
#: Most rounds that one fit learns from: more of them cost time and no longer change what it says.
LEARN = 200_000
#: Pairs that are predicted at once.
CHUNK = 200_000


@dataclass(frozen=True)
class Expected:
    """What a model expects: `logged` (n,) of the action taken, `policy` (n,) of the policy; `model` names it."""

    logged: np.ndarray
    policy: np.ndarray
    model: str


def expected_rewards(
    log: BanditLog, policy: Policy, design: Design, fold: np.ndarray, seed: int, tick: Tick
) -> Expected:
    """Cross-fit the model that predicts best out of fold, and ask it for every pair of log and policy.

    fold     (n,) by cluster
    Source   Chernozhukov et al. 2018 (cross-fitting)
    """
    name = _best(log, design, fold, seed, tick)
    fit, rng = MODELS[name], np.random.default_rng(seed)
    logged, pairs = np.empty(len(log)), np.empty(len(policy))
    fold_of_pair = fold[policy.round]
    for number, (learn, held) in enumerate(splits(fold)):
        tick(f"reward model ({name.replace('_', ' ')}), part {number + 1}")
        model = fit(log, design, _some(learn, LEARN, rng), seed)
        logged[held] = _predict(model, held, log.action[held])
        asked = np.flatnonzero(fold_of_pair == fold[held[0]])
        pairs[asked] = _predict(model, policy.round[asked], policy.action[asked])
    return Expected(logged, policy.expected(pairs, len(log)), name)


def _best(log: BanditLog, design: Design, fold: np.ndarray, seed: int, tick: Tick) -> str:
    """The model with the least squared error out of fold, on a sample of the rounds where there are many."""
    if not design.width:
        return "means"
    rng = np.random.default_rng(seed)
    sample = np.sort(_some(np.arange(len(log)), CONTEST, rng))
    error = dict.fromkeys(MODELS, 0.0)
    for learn, held in splits(fold[sample]):
        tick("reward models compared")
        for name, fit in MODELS.items():
            rows = sample[held]
            told = _predict(fit(log, design, sample[learn], seed), rows, log.action[rows])
            error[name] += float(np.sum((log.reward[rows] - told) ** 2))
    return min(error, key=lambda name: error[name])


def _some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def _predict(model: Reward, rounds: np.ndarray, actions: np.ndarray) -> np.ndarray:
    parts = [
        model(rounds[start : start + CHUNK], actions[start : start + CHUNK]) for start in range(0, len(rounds), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0)
