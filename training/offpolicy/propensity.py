"""Propensities of a log: as logged where they are, else of a fitted and calibrated model, cross-fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from training.evaluate import calibration_error, perfect_calibration
from training.offpolicy.design import Design
from training.offpolicy.folds import splits
from training.offpolicy.log import BanditLog
from training.offpolicy.progress import Tick
from training.offpolicy.propensity_models import MODELS, Chances
from training.offpolicy.support import miscalibrated

#: Rounds on which it is decided which model serves, and pairs of them with an action: the chances of all are kept.
CONTEST, CONTEST_PAIRS = 20_000, 4_000_000
#: Most rounds that one fit learns from; pairs of a round and an action that are predicted at once.
LEARN, CHUNK = 100_000, 2_000_000
#: Outcomes that are drawn to see what chance explains of a calibration error, about.
DRAWN = 200_000_000
#: Rounds without a propensity, for each action, below which the model learns from the other rounds too.
OWN_ROUNDS = 50


@dataclass(frozen=True)
class Propensities:
    """The chance with which each round's action was taken.

    value     (n,) float64, none of it missing
    fitted    (n,) bool: where it was fitted
    model     which model; sharpness: the power of its chances that fits best out of fold, 1: as they are;
              error: its calibration error over pairs of round and action; by_chance: what perfectly calibrated
              chances stay below at that number of pairs. None where all were logged.
    """

    value: np.ndarray
    fitted: np.ndarray
    model: str | None = None
    sharpness: float | None = None
    error: float | None = None
    by_chance: float | None = None

    @property
    def hopeless(self) -> str | None:
        """Why these are no propensities to build on, in words; None: they are."""
        return None if self.error is None or self.by_chance is None else miscalibrated(self.error, self.by_chance)


def propensities(log: BanditLog, design: Design, fold: np.ndarray, seed: int, tick: Tick) -> Propensities:
    """Fill what was not logged; the model of a round has not seen the round's cluster.

    The model learns from the rounds without a propensity, for those with one may come from another policy; where they
    are few, from all.
    fold     (n,) by cluster
    Source   Guo et al. 2017 (calibration by temperature)
    """
    lacking = log.unlogged
    if not lacking.any():
        return Propensities(log.propensity, lacking)
    k = int(log.action.max()) + 1
    alike = np.flatnonzero(lacking) if lacking.sum() >= OWN_ROUNDS * k else np.arange(len(log))
    name, sharpness, error, by_chance = _best(log, design, fold, alike, k, seed, tick)
    rng = np.random.default_rng(seed)
    value = log.propensity.copy()
    among = np.zeros(len(log), bool)
    among[alike] = True
    for number, (learn, held) in enumerate(splits(fold)):
        asked = held[lacking[held]]
        if not len(asked):
            continue
        tick(f"propensity model ({name.replace('_', ' ')}), part {number + 1}")
        rows = learn[among[learn]]
        rows = rows if len(rows) <= LEARN else rng.choice(rows, LEARN, replace=False)
        chances = MODELS[name](design, rows, log.action[rows], k, seed)
        step = max(1, CHUNK // k)
        for start in range(0, len(asked), step):
            part = asked[start : start + step]
            value[part] = sharpened(chances(part), sharpness)[np.arange(len(part)), log.action[part]]
    return Propensities(value, lacking, name, sharpness, error, by_chance)


def sharpened(chance: np.ndarray, power: float) -> np.ndarray:
    """(m, k) chances raised to a power, each row summing to 1 again."""
    log_p = power * np.log(chance)
    raised = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _best(
    log: BanditLog, design: Design, fold: np.ndarray, rows: np.ndarray, k: int, seed: int, tick: Tick
) -> tuple[str, float, float, float]:
    """The model with the least log loss out of fold, on a sample of rounds.

    Returns  its name, its sharpness, its calibration error, and what perfect calibration stays below at that size
    """
    rng = np.random.default_rng(seed)
    most = min(CONTEST, CONTEST_PAIRS // k)
    sample = rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
    taken = log.action[sample]
    told = {name: np.full((len(sample), k), 1 / k) for name in (MODELS if design.width else ("frequencies",))}
    for learn, held in splits(fold[sample]):
        tick("propensity models compared")
        for name, chance in told.items():
            model: Chances = MODELS[name](design, sample[learn], taken[learn], k, seed)
            chance[held] = model(sample[held])
    at = np.arange(len(sample))
    loss = {name: -float(np.log(chance[at, taken]).mean()) for name, chance in told.items()}
    name = min(loss, key=lambda one: loss[one])
    sharpness = 1.0 if name == "frequencies" else _sharpness(told[name], taken)
    calibrated = sharpened(told[name], sharpness)
    hit = np.zeros_like(calibrated)
    hit[at, taken] = 1.0
    told_of, draws = calibrated.ravel(), int(np.clip(DRAWN // calibrated.size, 50, 500))
    by_chance = perfect_calibration(told_of, draws=draws, seed=seed)
    return name, sharpness, calibration_error(told_of, hit.ravel()), by_chance


def _sharpness(chance: np.ndarray, taken: np.ndarray) -> float:
    """The power of the chances under which what was taken is likeliest."""
    at = np.arange(len(taken))

    def loss(power: float) -> float:
        return -float(np.log(sharpened(chance, power)[at, taken]).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 3.0), method="bounded").x)
