"""How far a distribution has moved (PSI), and how far it moves when nothing has happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma, t

#: Rows on either side below which nothing is judged: with 10 bins and no drift 38 % of the samples of 100 rows and 3 %
#: of those of 200 show a PSI above 0.1.
FLOOR = 500
#: Whatever chance allows, less than this is no alarm (Siddiqi, Credit Risk Scorecards, 2006, calls 0.1 to 0.25 minor).
LEAST = 0.2
#: Chance of one false alarm or more in a whole run, over all features.
FALSE_ALARMS = 0.001
DRAWS = 2_000
#: The windows of training that tell how far something moves by itself: the last so many, each against all before it.
#: A feature that counts what has happened fills up while the log begins, so fewer tell of features than of rates.
WINDOWS, RATE_WINDOWS = 6, 12
MIN_WINDOW = 100


def psi(expected: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Population stability index of counts, over the last axis: the sum of (q - p) ln(q / p) over bins.

    expected, observed  (…, b) counts; an empty bin counts as half a row, one that is empty on both sides not at all
    Returns             (…) ≥ 0; 0 where one side has no rows
    Source              Siddiqi, Credit Risk Scorecards (2006); B. Yurdakul, Statistical Properties of PSI (2018)
    """
    expected, observed = np.asarray(expected, np.float64), np.asarray(observed, np.float64)
    there = (expected + observed) > 0
    p = _share(expected)
    q = _share(observed)
    either = (expected.sum(-1) > 0) & (observed.sum(-1) > 0)
    with np.errstate(invalid="ignore"):
        terms = np.where(there, (q - p) * np.log(q / p), 0.0)
    return np.where(either, terms.sum(-1), 0.0)


def _share(counts: np.ndarray) -> np.ndarray:
    total = np.maximum(counts.sum(-1, keepdims=True), 1e-300)
    return np.asarray(np.where(counts > 0, counts, 0.5) / total)


@dataclass(frozen=True)
class Usual:
    """How far a feature moves by itself, learned from the windows of training: seasons, clusters, a slow trend.

    spread   what its PSI per degree of freedom has beyond the 1/n + 1/N of sampling rows one by one; 0: no more
    windows  how many windows told it
    """

    spread: float
    windows: int


def usual(weeks: np.ndarray, length: int, most: int = WINDOWS) -> Usual:
    """Each of the last windows against all that came before it, compared with what sampling alone would show.

    weeks    (w, b) counts by week, the oldest first; length: of a window, in weeks; most: windows
    Rows that come in bunches (an account's offers, a quarter's end) make a distribution swing far more than as many
    independent rows would, and a threshold that knows only of sampling cries each time.
    """
    observed, by_chance = [], []
    for end in range(len(weeks), len(weeks) - most * length, -length):
        start = end - length
        if start <= 0:
            break
        window, before = weeks[start:end].sum(0), weeks[:start].sum(0)
        if window.sum() < MIN_WINDOW or before.sum() < FLOOR:
            continue
        freedom = max(int(((window + before) > 0).sum()) - 1, 1)
        observed.append(float(psi(before, window)) / freedom)
        by_chance.append(1 / window.sum() + 1 / before.sum())
    if not observed:
        return Usual(0.0, 0)
    return Usual(max(0.0, float(np.mean(observed) - np.mean(by_chance))), len(observed))


def limit(expected: np.ndarray, rows: int, spread: float, tests: int, seed: int = 0) -> float:
    """The PSI below which a feature that has not drifted stays in all but FALSE_ALARMS / tests of the cases.

    expected  (b,) counts of training; rows: of the window; spread: as of Usual; tests: features judged at once
    Both sides are drawn anew from the same distribution; the far quantile is that of a gamma law with the mean and
    the variance of the draws (PSI is nearly a scaled chi-square), for no affordable number of draws reaches so far.
    """
    total = expected.sum()
    draws = np.random.default_rng(seed)
    share = expected / total
    null = psi(
        draws.multinomial(round(total), share, size=DRAWS), draws.multinomial(rows, share, size=DRAWS)
    )  # fmt: skip
    mean, variance = float(null.mean()), float(null.var())
    if variance == 0:
        return LEAST
    far = float(gamma.ppf(1 - FALSE_ALARMS / tests, mean**2 / variance, scale=variance / mean))
    return max(LEAST, far * (1 + spread / (1 / rows + 1 / total)))


def share_room(share: float, rows: int, total: int, own: Usual, tests: int) -> float:
    """How far a share that has not shifted strays to either side in all but FALSE_ALARMS / tests of the cases.

    share  in training, of `total` rows; rows: of the window
    PSI of two bins is nearly (q - p)^2 / (p (1 - p)), so its spread is that of the share. The habit is told by a few
    windows only, so the law is Student's, with the degrees of freedom that Satterthwaite (1946) gives such a sum.
    """
    variance = 1 / rows + 1 / total + own.spread
    freedom = own.windows * (variance / own.spread) ** 2 if own.spread else np.inf
    return float(t.ppf(1 - FALSE_ALARMS / 2 / tests, freedom) * np.sqrt(share * (1 - share) * variance))
