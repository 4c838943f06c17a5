"""Which of the eligible reps the past chose: a conditional logit over the candidates' features, and trees on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from features.catalogue import BY_NAME
from features.counted import counted
from models.lightgbm_alone import lgb
from training.evaluate import calibration_error, perfect_calibration
from training.offpolicy.choices import Choices
from training.offpolicy.folds import folds, splits
from training.offpolicy.support import miscalibrated

#: Rounds below which nothing is fitted.
MIN_ROUNDS = 200
#: Codes of a category beyond which it is not one-hot: a rep's id tells who was chosen, not why.
CODES = 12
FAR = 5.0
#: Variance of a weight of a standardised column, before the choices are seen; the trees stand on the last.
PRIORS = {"logit": 0.3, "shrunk_logit": 0.01}
TREES = {
    "learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 40, "lambda_l2": 5.0, "feature_fraction": 0.8,
    "deterministic": True, "force_col_wise": True, "verbosity": -1,
}  # fmt: skip
BOOSTS = 40

#: (m,) log weights of pairs -> chances are their softmax within each round.
Wanted = np.ndarray


@dataclass(frozen=True)
class Chosen:
    """The chance of every pair.

    chance      (m,) float64, summing to 1 in each round
    model       of PRIORS, trees, or even (where nothing tells more than an even draw)
    sharpness   the power of the chances, and even: the share of an even draw mixed in, that fit best out of fold
    error       calibration error over pairs, and by chance: what perfect calibration stays below at this size
    hopeless    why these are no propensities to build on; None: they are
    """

    chance: np.ndarray
    model: str
    sharpness: float
    even: float
    error: float
    by_chance: float
    hopeless: str | None = None


def fitted_choices(choices: Choices, seed: int = 0) -> Chosen:
    """Fit and calibrate the chances, cross-fitted by account.

    Source   McFadden 1974 (conditional logit)
    Cost     some seconds for 4,000 rounds of 15 reps
    """
    even = 1.0 / choices.size[choices.round]
    if len(choices) < MIN_ROUNDS:
        few = (
            f"{counted(len(choices), 'round is', 'rounds are')} too few to fit propensities on; it takes {MIN_ROUNDS}."
        )
        return Chosen(even, "even", 1.0, 1.0, 0.0, 0.0, few)
    told = _cross_fitted(choices, folds(choices.cluster, seed), seed)
    tuned = {name: _tuned(choices, wanted) for name, wanted in told.items()}
    name = max(tuned, key=lambda one: tuned[one][0])
    gain, sharpness, share = tuned[name]
    chance = (1 - share) * choices.normalised(sharpness * told[name]) + share * even
    if gain <= float(np.log(even[choices.chosen]).mean()):
        name, chance, sharpness, share = "even", even, 0.0, 1.0
    hit = np.zeros(len(chance))
    hit[choices.chosen] = 1.0
    error, by_chance = calibration_error(chance, hit), perfect_calibration(chance, seed=seed)
    return Chosen(chance, name, sharpness, share, error, by_chance, miscalibrated(error, by_chance))


def _cross_fitted(choices: Choices, fold: np.ndarray, seed: int) -> dict[str, Wanted]:
    """Model -> (m,) log weights, each from rounds of other accounts."""
    x, raw = _design(choices), _varying(choices)
    every = np.arange(len(choices))
    begin = {name: _weights(choices, x, every, prior, np.zeros(x.shape[1])) for name, prior in PRIORS.items()}
    told = {name: np.zeros(len(x)) for name in (*PRIORS, "trees")}
    for learn, held in splits(fold):
        asked = np.flatnonzero(np.isin(choices.round, held))
        for name, prior in PRIORS.items():
            linear = x @ _weights(choices, x, learn, prior, begin[name])
            told[name][asked] = linear[asked]
        told["trees"][asked] = linear[asked] + _boosted(choices, raw, linear, learn, seed)(asked)
    return told


def _varying(choices: Choices) -> np.ndarray:
    """(m, k) the columns that differ between the reps of a round: only they can have moved the choice."""
    matrix = choices.matrix
    columns = [
        i for i, name in enumerate(matrix.columns) if BY_NAME[name].level != "lead" and BY_NAME[name].kind != "category"
    ]
    return np.asarray(matrix.values[:, columns])


def _design(choices: Choices) -> np.ndarray:
    """(m, d) float64 standardised columns with 0 for what is not known, their indicators, and small categories."""
    values = _varying(choices).astype(np.float64)
    gap = np.isnan(values)
    known = np.maximum((~gap).sum(axis=0), 1)
    centre = np.where(gap, 0.0, values).sum(axis=0) / known
    spread = np.sqrt(np.where(gap, 0.0, (values - centre) ** 2).sum(axis=0) / known)
    numbers = np.where(gap, 0.0, np.clip((values - centre) / np.where(spread > 0, spread, 1.0), -FAR, FAR))
    parts = [numbers, gap.astype(np.float64)]
    for name in choices.matrix.columns:
        if BY_NAME[name].level != "lead" and BY_NAME[name].kind == "category":
            code = choices.matrix.column(name)
            if np.nanmax(code, initial=-1) < CODES:
                parts.append((code[:, None] == np.arange(np.nanmax(code, initial=-1) + 1)).astype(np.float64))
    x = np.concatenate(parts, axis=1)
    spans = np.maximum.reduceat(x, choices.start) - np.minimum.reduceat(x, choices.start)
    return np.asarray(x[:, spans.max(axis=0) > 0])


def _weights(choices: Choices, x: np.ndarray, rounds: np.ndarray, prior: float, begin: np.ndarray) -> np.ndarray:
    """(d,) the likeliest weights of a conditional logit on some rounds, with a normal prior of a variance."""
    some = np.zeros(len(choices), bool)
    some[rounds] = True
    pairs = np.flatnonzero(some[choices.round])
    there, code = x[pairs], np.cumsum(some)[choices.round[pairs]] - 1
    start = np.flatnonzero(np.diff(code, prepend=-1))
    hit = np.zeros(len(pairs))
    hit[np.searchsorted(pairs, choices.chosen[some])] = 1.0
    observed = there.T @ hit

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        wanted = there @ beta
        top = np.maximum.reduceat(wanted, start)
        raised = np.exp(wanted - top[code])
        total = np.add.reduceat(raised, start)
        value = float(np.sum(np.log(total) + top) - observed @ beta + beta @ beta / (2 * prior))
        return value, there.T @ (raised / total[code]) - observed + beta / prior

    return np.asarray(minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def _boosted(
    choices: Choices, raw: np.ndarray, told: np.ndarray, learn: np.ndarray, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Trees that lift the likelihood of the choices further, from the logit on: (k,) pairs -> what they add."""
    pairs = np.flatnonzero(np.isin(choices.round, learn))
    code = np.unique(choices.round[pairs], return_inverse=True)[1]
    start = np.flatnonzero(np.diff(code, prepend=-1))
    hit = np.isin(pairs, choices.chosen).astype(np.float64)
    base = told[pairs]

    def gradient(added: np.ndarray, _: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
        wanted = base + added
        raised = np.exp(wanted - np.maximum.reduceat(wanted, start)[code])
        chance = raised / np.add.reduceat(raised, start)[code]
        return chance - hit, np.maximum(chance * (1 - chance), 1e-6)

    data = lgb.Dataset(raw[pairs], hit, free_raw_data=True)
    booster = lgb.train(TREES | {"objective": gradient, "seed": seed}, data, BOOSTS)
    return lambda asked: np.asarray(booster.predict(raw[asked]))


def _tuned(choices: Choices, wanted: Wanted) -> tuple[float, float, float]:
    """(mean log likelihood of what was chosen, sharpness, even share) at their best."""
    even = 1.0 / choices.size

    def loss(at: np.ndarray) -> float:
        share = expit(at[1])
        chance = (1 - share) * choices.normalised(np.exp(at[0]) * wanted)[choices.chosen] + share * even
        return -float(np.log(chance).mean())

    bounds = [(np.log(0.1), np.log(10.0)), (-10.0, 10.0)]
    found = minimize(loss, np.array([0.0, -2.5]), method="Nelder-Mead", bounds=bounds, options={"maxiter": 80})
    return -float(found.fun), float(np.exp(found.x[0])), float(expit(found.x[1]))
