"""Whether the offers of a new model are accepted less than others: looked at as often as one likes."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from features.counted import counted
from training.lift import LEAST, band, terms

#: A release is on probation until so many of its offers are settled.
OFFERS: Final = 1_000
#: From what share of held-out accounts on they are heard; of fewer it takes longer than probation lasts.
HELD: Final = 0.1
#: How often either comparison may find a sound model worse or better, whenever one looks: both, 1 in 100.
ALPHA: Final = 0.005
#: Acceptances and refusals that are expected of either side where both are alike; with fewer the band's own theory does
#: not hold.
EXPECTED: Final = 10
#: What a season may take by itself: what was made before must have done better by surely more.
MARGIN: Final = 0.05
#: How many standard errors the rate of what was made before may be off, either way.
OFF: Final = NormalDist().inv_cdf(1 - ALPHA / 4)


@dataclass(frozen=True)
class Answers:
    """Answers to offers in the order in which these were made, (n,) each: 1 accepted, 0 not; and of which account."""

    accepted: np.ndarray
    account: np.ndarray

    def __len__(self) -> int:
        return len(self.accepted)

    @property
    def rate(self) -> float:
        """The share that was accepted; NaN of none."""
        return float(self.accepted.mean()) if len(self) else float("nan")

    def take(self, rows: np.ndarray) -> Answers:
        """Some of them."""
        return Answers(self.accepted[rows], self.account[rows])


@dataclass(frozen=True)
class Judged:
    """How a model's offers do against others.

    model, others            offers of either; model_rate, others_rate: the share that was accepted
    low, high                the band of the difference, which holds at all looks at once
    """

    model: int
    others: int
    model_rate: float
    others_rate: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The model's share less the others'."""
        return self.model_rate - self.others_rate

    def sentence(self, version: str, others: str) -> str:
        """It in words; others: what they are."""
        band = f"{100 * (1 - ALPHA):g}% band {_points(self.low)} to {_points(self.high)}"
        return (
            f"of {counted(self.model, 'offer')} of model {version} {self.model_rate:.0%} were accepted, of "
            f"{self.others:,} {others} {self.others_rate:.0%} ({_points(self.difference)} points, {band})"
        )


@dataclass(frozen=True)
class Probation:
    """The comparisons of a model on probation; None: there are too few offers of either side yet.

    beside  against held-out offers made in the same time; before: against what was offered before it
    held    whether there are to be held-out offers
    """

    beside: Judged | None
    before: Judged | None
    held: bool

    @property
    def worse(self) -> str | None:
        """Which comparison says that the model does harm, by its name; None: neither.

        Before and after differ by the season, too: so the drop must surely be beyond what that takes, and where there
        are held-out offers, the model must be behind these as well, who live in the same season.
        """
        if self.beside is not None and self.beside.high < 0:
            return "beside"
        denied = self.held and (self.beside is None or self.beside.difference > -MARGIN)
        return "before" if self.before is not None and self.before.high < -MARGIN and not denied else None

    @property
    def passed(self) -> bool:
        """Whether it was held to others and not found worse: without a comparison nothing shows that it does no harm.

        Where there are to be held-out offers it takes these: by what was made before alone, none is ever worse there.
        """
        heard = self.beside if self.held else self.before
        return heard is not None and self.worse is None


def beside(answers: Answers, held: np.ndarray) -> Judged | None:
    """Compare a model's offers with held-out ones that were made among them; None: too few yet.

    held  (n,) bool: which of them are held out

    The terms are one an offer. Whatever share is held out, their mean is 0 where nothing differs.
    """
    model, others = answers.take(~held), answers.take(held)
    if _few(model, others):
        return None
    term = terms(answers.accepted, held, float(held.mean()))
    return Judged(len(model), len(others), model.rate, others.rate, *_band(term, answers.account, ALPHA))


def before(model: Answers, others: Answers) -> Judged | None:
    """Compare a model's offers with a fixed number that were made before them; None: too few yet.

    Half of the error that is allowed is the band's, half that of the others' rate, of which there is one look.
    """
    if _few(model, others):
        return None
    low, high = _band(model.accepted - others.rate, model.account, ALPHA / 2)
    off = OFF * float(np.sqrt(_variance(others.accepted, others.account)))
    return Judged(len(model), len(others), model.rate, others.rate, low - off, high + off)


def _points(share: float) -> str:
    return f"{100 * share:+.0f}"


def _few(model: Answers, others: Answers) -> bool:
    least = min(len(model), len(others))
    if least < LEAST:
        return True
    rate = (model.accepted.sum() + others.accepted.sum()) / (len(model) + len(others))
    if least * min(rate, 1 - rate) < EXPECTED:
        return True
    return min(len(np.unique(side.account)) for side in (model, others)) < LEAST


def _band(term: np.ndarray, account: np.ndarray, alpha: float) -> tuple[float, float]:
    """As `lift.band`, but as wide as it must be where offers of one account have something in common."""
    low, high = band(term, alpha)
    alone = float(term.var()) / len(term)
    wider = float(np.sqrt(max(1.0, _variance(term, account) / alone))) if alone else 1.0
    mean, half = (low + high) / 2, (high - low) / 2 * wider
    return mean - half, mean + half


def _variance(y: np.ndarray, account: np.ndarray) -> float:
    """Of the mean of (n,) numbers, those of one account taken together."""
    _, code = np.unique(account, return_inverse=True)
    return float(np.square(np.bincount(code, weights=y - y.mean())).sum()) / len(y) ** 2
