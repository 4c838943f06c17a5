"""The heads: raw scores in, calibrated probabilities out, or a plain statement that the data cannot teach them."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from features.counted import counted
from models.scores import EXTREME


@dataclass(frozen=True)
class Head:
    """A logit that is linear in one or more raw scores, with no score counting against.

    estimable   False: the data could not teach it, and its probabilities are NaN
    reason      why not, or how it was fitted
    intercept, slopes    of the logit; slopes (s,), each >= 0
    """

    estimable: bool
    reason: str
    intercept: float = 0.0
    slopes: tuple[float, ...] = ()

    def logit(self, *scores: np.ndarray) -> np.ndarray:
        """(n,) logit of (n,) raw scores, as many as there are slopes; not yet held within EXTREME."""
        total = np.full(len(scores[0]), self.intercept)
        for slope, score in zip(self.slopes, scores, strict=True):
            total += slope * score
        return total

    def probability(self, *scores: np.ndarray) -> np.ndarray:
        """(n,) probability; NaN when the head is not estimable."""
        if not self.estimable:
            return np.full(len(scores[0]), np.nan)
        return np.asarray(expit(np.clip(self.logit(*scores), -EXTREME, EXTREME)))

    def loss(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
        """Log loss in nats, summed over (n,) outcomes by weight, of (n, s) scores."""
        logit = np.clip(self.logit(*scores.T), -EXTREME, EXTREME)
        return float(np.sum(weight * (np.logaddexp(0.0, logit) - target * logit)))

    def as_json(self) -> dict[str, Any]:
        """The head as JSON values."""
        return asdict(self) | {"slopes": list(self.slopes)}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Head:
        """The head that `as_json` wrote."""
        return cls(content["estimable"], content["reason"], content["intercept"], tuple(content["slopes"]))


def teachable(target: np.ndarray, minimum: int, what: str) -> str | None:
    """Why 0/1 outcomes (n,) cannot teach `what`, or None when they can: both must occur at least `minimum` times."""
    ones = int(np.sum(target == 1))
    zeros = len(target) - ones
    if not len(target):
        return f"no offer tells of {what}"
    if not ones or not zeros:
        return f"{counted(len(target), 'offer tells', 'offers tell')} the same of {what}: one class only"
    if min(ones, zeros) < minimum:
        negative = counted(zeros, "negative offer tells", "negative offers tell")
        return f"only {ones} positive and {negative} of {what}; {minimum} of each are needed"
    return None


def fit_head(scores: np.ndarray, target: np.ndarray, weight: np.ndarray, *, prior: float) -> Head:
    """Fit logit = intercept + scores · slopes on rows that the scores' models had not seen, slopes not below 0.

    scores   (n, s) float64; column 0 is a logit already (the boosters' own level), which the fit trusts at first
    target   (n,) 0 or 1; weight (n,)
    prior    how many offers that trust is worth. It enters as pseudo-offers: each score also with the outcome that
             column 0 expects (Clogg et al. 1991), so the fit shrinks to intercept 0, slopes 1, 0, 0 …
    """
    expected = expit(np.clip(scores[:, 0], -EXTREME, EXTREME))
    share = prior * weight / weight.sum()
    y = np.concatenate([target, np.ones(len(target)), np.zeros(len(target))])
    w = np.concatenate([weight, share * expected, share * (1 - expected)]).astype(np.float64)
    kept = list(range(scores.shape[1]))
    while True:
        x = np.tile(scores[:, kept], (3, 1))
        intercept, slopes = _logistic(x, y, w)
        if not len(kept) or (slopes >= 0).all():
            break
        kept.pop(int(np.argmin(slopes)))
    full = np.zeros(scores.shape[1])
    full[kept] = slopes
    ones = int(np.sum(target == 1))
    reason = f"fitted on {counted(len(target), 'offer')}, {ones} of them positive"
    return Head(True, reason, float(intercept), tuple(float(slope) for slope in full))


def _logistic(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # only fitting needs it, and it is slow to import

    if not x.shape[1]:
        share = float(np.average(y, weights=w))
        return float(np.log(share / (1 - share))), np.zeros(0)
    # Standardised, so that the solver converges alike for a logit and for a ranker's score of any size.
    centre, scale = np.average(x, axis=0, weights=w), np.maximum(x.std(axis=0), 1e-9)
    model = LogisticRegression(C=1e6, solver="lbfgs", tol=1e-10, max_iter=1000)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs says when rounding stops it short of the tolerance: as good as there
        model.fit((x - centre) / scale, y, sample_weight=w)
    slopes = model.coef_[0] / scale
    return float(model.intercept_[0] - np.sum(slopes * centre)), slopes
