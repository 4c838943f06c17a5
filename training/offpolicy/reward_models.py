"""Models of the reward of an action in a context, from shrunk means to trees; which one serves is decided by data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from sklearn.linear_model import RidgeCV

from models.lightgbm_alone import lgb
from training.offpolicy.design import Design
from training.offpolicy.log import BanditLog

#: Expected reward (m,) of m pairs of a round and an action, both by place.
Reward = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Learns from some rounds of a log.
Fit = Callable[[BanditLog, Design, np.ndarray, int], Reward]

ALPHAS = np.logspace(0, 5, 11)
#: Rounds of an action below which its slopes are everybody's.
OWN_SLOPES = 30
TREES = {
    "objective": "regression", "learning_rate": 0.05, "num_leaves": 15, "min_child_samples": 20,
    "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.8, "reg_lambda": 1.0, "cat_smooth": 20.0,
    "max_cat_to_onehot": 8, "deterministic": True, "force_col_wise": True, "verbosity": -1,
}  # fmt: skip
ROUNDS = 100


def means(log: BanditLog, design: Design, rows: np.ndarray, seed: int) -> Reward:
    """Each action's mean reward, drawn towards that of all as far as actions differ by no more than chance.

    The strength is the ratio of the variance within actions to that between them (DerSimonian and Laird 1986).
    """
    worth = _shrunk(log.action[rows], log.reward[rows], len(log.actions))
    return lambda _, action: worth[action]


def _shrunk(action: np.ndarray, reward: np.ndarray, size: int) -> np.ndarray:
    """(size,) shrunk mean of each action; the overall mean where there is none."""
    count = np.bincount(action, minlength=size).astype(np.float64)
    overall = float(reward.mean())
    own = np.bincount(action, reward, minlength=size) / np.maximum(count, 1)
    seen, n = int((count > 0).sum()), len(reward)
    within = float(np.sum((reward - own[action]) ** 2)) / max(n - seen, 1)
    spread = float(np.sum(count * (own - overall) ** 2)) - (seen - 1) * within
    between = spread / max(n - float(np.sum(count**2)) / n, 1e-12)
    if between <= 0:
        return np.full(size, overall)
    strength = within / between
    return np.where(count > 0, (count * own + strength * overall) / (count + strength), overall)


def linear(log: BanditLog, design: Design, rows: np.ndarray, seed: int) -> Reward:
    """Shrunk means and, for all actions alike, a ridge regression on the context."""
    return _linear(log, design, rows, own=False)


def linear_by_action(log: BanditLog, design: Design, rows: np.ndarray, seed: int) -> Reward:
    """The same, and a ridge regression of what is left for each action that has enough rounds."""
    return _linear(log, design, rows, own=True)


def _linear(log: BanditLog, design: Design, rows: np.ndarray, *, own: bool) -> Reward:
    action, reward = log.action[rows], log.reward[rows]
    worth = _shrunk(action, reward, len(log.actions))
    low, high = float(reward.min()), float(reward.max())
    x = design.dense(rows).astype(np.float64)
    shared = RidgeCV(ALPHAS).fit(x, reward - worth[action])
    slopes = np.tile(np.append(shared.coef_, shared.intercept_), (len(worth), 1))
    if own:
        left = reward - worth[action] - shared.predict(x)
        order = np.argsort(action, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(action[order])) + 1):
            if len(part) >= OWN_SLOPES and np.ptp(left[part]) > 0:
                fitted = RidgeCV(ALPHAS).fit(x[part], left[part])
                slopes[action[part[0]]] += np.append(fitted.coef_, fitted.intercept_)

    def expected(at: np.ndarray, of: np.ndarray) -> np.ndarray:
        told = np.einsum("ij,ij->i", design.dense(at), slopes[of, :-1]) + slopes[of, -1] + worth[of]
        return np.clip(told, low, high)

    return expected


def trees(log: BanditLog, design: Design, rows: np.ndarray, seed: int) -> Reward:
    """LightGBM on the context and the action."""
    reward = log.reward[rows]
    low, high = float(reward.min()), float(reward.max())
    seen = np.bincount(log.action[rows], minlength=len(log.actions)) > 0
    code = np.where(seen, np.arange(len(seen)), np.nan).astype(np.float32)

    def table(at: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.column_stack([design.raw(at), code[of]])

    words = [*design.raw_words, design.numbers.shape[1] + design.words.shape[1]]
    data = lgb.Dataset(table(rows, log.action[rows]), reward, categorical_feature=words, free_raw_data=True)
    booster = lgb.train(TREES | {"seed": seed}, data, ROUNDS)
    return lambda at, of: np.clip(booster.predict(table(at, of)), low, high)


MODELS: Mapping[str, Fit] = {
    "means": means, "linear": linear, "linear_by_action": linear_by_action, "trees": trees,
}  # fmt: skip
