"""Whether a probability means what it says: forecast against outcome, by bins and from a threshold on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta

from training.bootstrap import Draw, Interval
from training.evaluate import BINS, Board, Predictions, bins
from training.slices import each_slice

#: The share of offers that a rep should accept before marketing calls a list good: p_accept from here on is held to it.
ONE_IN_THREE = 1 / 3
#: Offers at or above a threshold below which its share is not told.
LEAST = 30
#: Thresholds of p_accept that are drawn.
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.025), 3)
#: Ways of slicing by which a probability is looked at: a good average may hide that it flatters some and wrongs others.
SLICED = ("relationship", "role")
A_BIN = 50  # offers of a slice that a bin takes


@dataclass(frozen=True)
class Curve:
    """k bins of offers of like forecast, the lowest first, (k,) each.

    forecast   mean probability; share: of the offers where it happened; low, high: its 95 % interval
    offers     how many
    """

    forecast: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    offers: np.ndarray

    def frame(self) -> pd.DataFrame:
        """The curve as a table, a row for each bin."""
        return pd.DataFrame(asdict(self))


@dataclass(frozen=True)
class Promise:
    """What became of the offers at or above a threshold: their mean forecast, and the share where it happened."""

    threshold: float
    offers: int
    forecast: float
    share: Interval

    @property
    def kept(self) -> bool:
        """Whether what happened may be what was forecast: the forecast lies within the share's interval."""
        return self.share.low <= self.forecast <= self.share.high


@dataclass(frozen=True)
class Reliability:
    """Both probabilities of one recipe on the test rows; a head that could not be estimated is absent.

    whole     accept, convert -> curve
    slices    (head, column, value) -> curve of a slice that is large enough
    promises  of p_accept at THRESHOLDS; one_in_three: the promise that is held
    """

    whole: Mapping[str, Curve]
    slices: Mapping[tuple[str, str, str], Curve]
    promises: tuple[Promise, ...]
    one_in_three: Promise | None

    @classmethod
    def of(cls, board: Board, said: Predictions, slices: pd.DataFrame, draw: Draw) -> Reliability:
        """Measure n predictions on the board's n rows; slices: n rows, as of Examples."""
        whole: dict[str, Curve] = {}
        parts: dict[tuple[str, str, str], Curve] = {}
        told: tuple[tuple[Promise, ...], Promise | None] = ((), None)
        for head, p, y in (("accept", said.p_accept, board.accepted), ("convert", said.p_convert, board.converted)):
            rows = np.flatnonzero(np.isfinite(p) & np.isfinite(y))
            if not len(rows):
                continue
            p, y, here = p[rows], y[rows], draw.take(rows)
            whole[head] = curve(p, y, here)
            for column, value, at in each_slice(slices.iloc[rows][list(SLICED)].reset_index(drop=True)):
                parts[head, column, value] = curve(p[at], y[at], here.take(at), min(max(len(at) // A_BIN, 3), BINS))
            if head == "accept":
                told = promises(p, y, here, THRESHOLDS.tolist()), promise(p, y, here)
        return cls(whole, parts, *told)

    def frame(self) -> pd.DataFrame:
        """Every curve as one table: head, slice, part, and the bins."""
        rows = [one.frame().assign(head=head, slice="all", part="all") for head, one in self.whole.items()]
        rows += [one.frame().assign(head=h, slice=c, part=v) for (h, c, v), one in self.slices.items()]
        columns = ["head", "slice", "part", "forecast", "share", "low", "high", "offers"]
        return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def curve(p: np.ndarray, y: np.ndarray, draw: Draw, count: int = BINS) -> Curve:
    """(n,) probabilities against (n,) outcomes 0/1 in up to `count` bins of equal numbers of offers."""
    place = np.unique(bins(p, count), return_inverse=True)[1]
    size = np.bincount(place)
    seen = [share(y, draw, np.flatnonzero(place == b)) for b in range(len(size))]
    low, high = (np.array([getattr(one, end) for one in seen]) for end in ("low", "high"))
    return Curve(np.bincount(place, p) / size, np.bincount(place, y) / size, low, high, size)


def promise(p: np.ndarray, y: np.ndarray, draw: Draw, threshold: float = ONE_IN_THREE) -> Promise | None:
    """What became of the offers with a probability of `threshold` or more; None where there are too few to tell."""
    above = np.flatnonzero(p >= threshold)
    if len(above) < LEAST:
        return None
    return Promise(threshold, len(above), float(p[above].mean()), share(y, draw, above))


def promises(p: np.ndarray, y: np.ndarray, draw: Draw, thresholds: Sequence[float]) -> tuple[Promise, ...]:
    """The promises of several thresholds, those that can be told."""
    found = (promise(p, y, draw, threshold) for threshold in thresholds)
    return tuple(one for one in found if one is not None)


def share(y: np.ndarray, draw: Draw, rows: np.ndarray) -> Interval:
    """Share of 1 among some rows of (n,) outcomes 0/1, with its 95 % interval by account.

    The exact binomial interval at the number of independent offers that the resampled accounts say the rows are worth,
    so that it has a length where all outcomes agree, too, and stays within 0 and 1.
    Source   Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
             estimated from survey data, Survey Methodology 24 (1998)
    """
    n, hits = len(rows), float(y[rows].sum())
    value = hits / n
    here = draw.take(rows)
    sums = here.sums(np.column_stack([y[rows], np.ones(n)]))
    drawn = sums[:, 1] > 0
    variance = float(np.var(sums[drawn, 0] / sums[drawn, 1])) if drawn.any() else 0.0
    worth = float(len(np.unique(here.cluster))) if variance == 0 else min(float(n), value * (1 - value) / variance)
    ones = value * worth
    low = float(beta.ppf(0.025, ones, worth - ones + 1)) if value > 0 else 0.0
    high = float(beta.ppf(0.975, ones + 1, worth - ones)) if value < 1 else 1.0
    return Interval(value, low, high)
