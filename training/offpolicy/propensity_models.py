"""Models of which action the logging policy takes in a context: frequencies, multinomial logits, trees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from models.lightgbm_alone import lgb
from training.offpolicy.design import Design

#: (m, k) chance of each action in m rounds, by place; rows sum to 1 and none is 0.
Chances = Callable[[np.ndarray], np.ndarray]
#: Learns from the actions (n,) of some rounds: of a design, rows, k, a seed.
Fit = Callable[[Design, np.ndarray, np.ndarray, int, int], Chances]

#: Trees grow one for each action and round of boosting; with more actions they cost more than they tell.
TREE_ACTIONS = 30
TREES = {
    "objective": "multiclass", "learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20, "lambda_l2": 1.0,
    "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.8, "cat_smooth": 20.0,
    "deterministic": True, "force_col_wise": True, "verbosity": -1,
}  # fmt: skip
ROUNDS = 50


def frequencies(design: Design, rows: np.ndarray, action: np.ndarray, k: int, seed: int) -> Chances:
    """How often each action was taken, whatever the context."""
    share = (np.bincount(action, minlength=k) + 1.0) / (len(action) + k)
    return lambda at: np.tile(share, (len(at), 1))


def _logit(strength: float) -> Fit:
    def fit(design: Design, rows: np.ndarray, action: np.ndarray, k: int, seed: int) -> Chances:
        if len(np.unique(action)) < 2:
            return frequencies(design, rows, action, k, seed)
        with warnings.catch_warnings():
            # A fit that has not settled is judged by its loss out of fold like any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=300).fit(design.dense(rows), action)
        return lambda at: _spread(model.predict_proba(design.dense(at)), model.classes_, k, len(rows))

    return fit


def trees(design: Design, rows: np.ndarray, action: np.ndarray, k: int, seed: int) -> Chances:
    """LightGBM with one tree an action and round."""
    seen, code = np.unique(action, return_inverse=True)
    if not 2 <= len(seen) <= TREE_ACTIONS:
        return frequencies(design, rows, action, k, seed)
    data = lgb.Dataset(design.raw(rows), code, categorical_feature=design.raw_words, free_raw_data=True)
    booster = lgb.train(TREES | {"num_class": len(seen), "seed": seed}, data, ROUNDS)
    return lambda at: _spread(booster.predict(design.raw(at)), seen, k, len(rows))


def _spread(told: np.ndarray, seen: np.ndarray, k: int, n: int) -> np.ndarray:
    """(m, k) chances of all actions from (m, s) of those seen, with one round more of each, so that none is 0."""
    full = np.zeros((len(told), k))
    full[:, seen] = told
    return (n * full + 1.0) / (n + k)


MODELS: Mapping[str, Fit] = {
    "frequencies": frequencies, "logit": _logit(1.0), "shrunk_logit": _logit(0.03), "trees": trees,
}  # fmt: skip
