"""The ridge logistic solver: a dense block with signed weights and many pooled effects, each with its own spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

#: Rounds of re-estimating the spreads; the weights start from the round before, so later rounds are cheap.
LEARNING_ROUNDS = 5
#: No group of weights is believed to be quite without effect, nor to be as strong as this.
NARROWEST, WIDEST = 0.01, 1.5


@dataclass(frozen=True)
class Problem:
    """Data of one fit.

    dense    (n, d) float64; codes (e, n) int64, with sizes (e,): code sizes[i] means missing, weight 0
    target   (n,) 0 or 1; weight (n,) > 0
    sign     (d,) int: 1 weights may not be negative, -1 not positive, 0 free
    group    (d,) int: the spread that each dense weight has; effect i has spread number groups + i
    spread   (g + e,) prior standard deviations; factor (d,) multiplies a dense weight's
    """

    dense: np.ndarray
    codes: np.ndarray
    sizes: tuple[int, ...]
    target: np.ndarray
    weight: np.ndarray
    sign: np.ndarray
    group: np.ndarray
    spread: np.ndarray
    factor: np.ndarray


@dataclass(frozen=True)
class Weights:
    """Fitted weights: intercept, dense (d,), one (size + 1,) table per effect (its last entry is 0), the spreads."""

    intercept: float
    dense: np.ndarray
    tables: tuple[np.ndarray, ...]
    spread: np.ndarray


def solve(problem: Problem, *, learn: bool, belief: float) -> Weights:
    """Fit under one thread, so that the bits depend on nothing but the data.

    learn    re-estimate each group's spread by empirical Bayes, the stated one counting as `belief` weights.
    Cost     about 100 passes over the data, with `learn` some 200.
    """
    with threadpool_limits(limits=1):
        return _solve(problem, learn, belief)


def _solve(problem: Problem, learn: bool, belief: float) -> Weights:
    dense_t = np.ascontiguousarray(problem.dense.T)
    spread = problem.spread.copy()
    share = float(np.average(problem.target, weights=problem.weight))
    beta = np.zeros(1 + problem.dense.shape[1] + sum(problem.sizes))
    beta[0] = np.log(share / (1 - share))
    for round_ in range(LEARNING_ROUNDS if learn else 1):
        last = round_ == (LEARNING_ROUNDS - 1 if learn else 0)
        beta = _minimise(problem, dense_t, _sd(problem, spread), beta, tolerance=1e-9 if last else 1e-6)
        if not last:
            spread = _learned(problem, spread, beta, belief)
    d = problem.dense.shape[1]
    tables = tuple(np.append(table, 0.0) for table in _split(beta[1 + d :], problem.sizes))
    return Weights(float(beta[0]), beta[1 : 1 + d], tables, spread)


def _split(flat: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    return np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []


def _sd(problem: Problem, spread: np.ndarray) -> np.ndarray:
    """(d + all effect values,) prior standard deviation of each weight but the intercept."""
    groups = len(spread) - len(problem.sizes)
    return np.concatenate([spread[problem.group] * problem.factor, np.repeat(spread[groups:], problem.sizes)])


def _minimise(
    problem: Problem, dense_t: np.ndarray, sd: np.ndarray, start: np.ndarray, *, tolerance: float
) -> np.ndarray:
    """Weights (1 + d + values,) of least penalised log loss; the search runs in units of each weight's spread."""
    d, y, w = problem.dense.shape[1], problem.target, problem.weight
    total = float(w.sum())
    unit = np.concatenate([[1.0], sd])

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        beta = point * unit
        logit = beta[0] + problem.dense @ beta[1 : 1 + d]
        tables = _split(beta[1 + d :], problem.sizes)
        for codes, table in zip(problem.codes, tables, strict=True):
            logit += np.append(table, 0.0)[codes]
        residual = w * (expit(logit) - y)
        value = float(np.sum(w * (np.logaddexp(0.0, logit) - y * logit))) + 0.5 * float(np.sum(point[1:] ** 2))
        slope = [np.array([residual.sum()]), dense_t @ residual]
        for codes, size in zip(problem.codes, problem.sizes, strict=True):
            slope.append(np.bincount(codes, weights=residual, minlength=size + 1)[:size])
        gradient = np.concatenate(slope) * unit
        gradient[1:] += point[1:]
        return value / total, gradient / total

    lower = np.full(len(unit), -np.inf)
    upper = np.full(len(unit), np.inf)
    lower[1 : 1 + d][problem.sign > 0] = 0.0
    upper[1 : 1 + d][problem.sign < 0] = 0.0
    found = minimize(
        loss,
        start / unit,
        jac=True,
        method="L-BFGS-B",
        bounds=np.column_stack([lower, upper]),
        options={"maxiter": 500, "maxcor": 20, "ftol": tolerance * 1e-3, "gtol": tolerance * 10},
    )
    return np.asarray(found.x * unit)


def _learned(problem: Problem, spread: np.ndarray, beta: np.ndarray, belief: float) -> np.ndarray:
    """(g + e,) spreads re-estimated: what the weights show, by how well the data determine them (MacKay 1992).

    How well is read off the curvature of the loss: the dense block's whole, for its columns tell much the same things;
    of an effect's values, which never occur together, the diagonal.
    """
    d, groups = problem.dense.shape[1], len(spread) - len(problem.sizes)
    tables = _split(beta[1 + d :], problem.sizes)
    logit = beta[0] + problem.dense @ beta[1 : 1 + d]
    for codes, table in zip(problem.codes, tables, strict=True):
        logit += np.append(table, 0.0)[codes]
    p = expit(logit)
    curve = problem.weight * p * (1 - p)
    determined = _determined(problem, spread, curve)
    # In units of its factor a weight is comparable with those that share its spread.
    squares = (beta[1 : 1 + d] / problem.factor) ** 2
    result = spread.copy()
    for g in range(groups):
        mine = problem.group == g
        if mine.any():
            result[g] = _one_spread(squares[mine].sum(), determined[mine].sum(), problem.spread[g], belief)
    for i, (codes, table) in enumerate(zip(problem.codes, tables, strict=True), start=groups):
        seen = np.bincount(codes, weights=curve, minlength=len(table) + 1)[: len(table)]
        known = np.sum(seen / (seen + 1.0 / spread[i] ** 2))
        result[i] = _one_spread(np.sum(table**2), known, problem.spread[i], belief)
    return result


def _determined(problem: Problem, spread: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(d,) share, 0 to 1, of each dense weight's precision that comes from the data and not from its prior."""
    sd = spread[problem.group] * problem.factor
    information = (problem.dense * curve[:, None]).T @ problem.dense
    information[np.diag_indices(len(sd))] += 1.0 / sd**2
    variance = np.diag(np.linalg.inv(information)) if len(sd) else np.zeros(0)
    return np.clip(1.0 - variance / sd**2, 0.0, 1.0)


def _one_spread(squares: float, determined: float, stated: float, belief: float) -> float:
    """The spread of weights whose squares sum to `squares`, so many of which the data determine."""
    variance = (squares + belief * stated**2) / (determined + belief)
    return float(np.clip(np.sqrt(variance), NARROWEST, WIDEST))
