"""The baselines that every run is measured against, behind the product's interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np

from features.errors import UsageError
from features.matrix import Matrix
from models.boosters import Booster, Shape, Task, fit_booster
from models.labels import Labels
from models.linear import LinearStart, fit_linear
from models.product import canonical
from models.recipe import Heads, LinearPart, Recipe, Trees
from models.rules import rank_by_rules, rendezvous
from models.scores import Contract, Model, Scores, sigmoid

#: What serves when no model does.
RULES_BASELINE = "owner_territory"
#: Offers of prior belief behind the past rate of a rep, and behind that of a role.
REP_STRENGTH, ROLE_STRENGTH = 30.0, 100.0


class Rule:
    """A baseline that learns nothing but which matrix it is to read; the seed decides among what it holds for equal."""

    name = ""

    def __init__(self, seed: int = 0) -> None:
        self._contract: Contract | None = None
        self._seed = seed

    def draw(self, matrix: Matrix) -> np.ndarray:
        """(n,) in [0, 1), by a hash of the seed and the pair's ids."""
        return rendezvous(matrix.lead_id, matrix.rep_id, salt=str(self._seed))

    def fit(self, train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels) -> Self:
        """Remember the columns; the outcomes are not looked at."""
        self._contract = Contract(train.columns, train.vocabulary)
        return self

    def predict(self, matrix: Matrix) -> Scores:
        """Rank (n,) pairs by the rule, without probabilities. Raises ModelError for other columns."""
        _contract(self._contract).check(matrix)
        return Scores.ranks_only(self.score(matrix))

    def score(self, matrix: Matrix) -> np.ndarray:
        """(n,) float64 score of each pair, of itself alone."""
        raise NotImplementedError


class Random(Rule):
    """Any rep, by a hash of the ids."""

    name = "random"

    def score(self, matrix: Matrix) -> np.ndarray:
        return self.draw(matrix)


class RoundRobin(Rule):
    """Whoever got the fewest offers in the last 28 days is next; the hash decides among equals."""

    name = "round_robin"

    def score(self, matrix: Matrix) -> np.ndarray:
        lately = np.nan_to_num(matrix.column("offers_28d").astype(np.float64), nan=0.0)
        return np.asarray(-lately + self.draw(matrix))


class AccountOwner(Rule):
    """The account's owner, else anyone."""

    name = "account_owner"

    def score(self, matrix: Matrix) -> np.ndarray:
        return np.asarray((matrix.column("owner_is_rep") == 1) + self.draw(matrix))


class Territory(Rule):
    """A rep of the account's region, else anyone."""

    name = "territory"

    def score(self, matrix: Matrix) -> np.ndarray:
        return np.asarray((matrix.column("region_match") == 1) + self.draw(matrix))


class OwnerTerritory(Rule):
    """The rules that serve: owner, else territory, else the hash; as they serve, so without a seed of its own."""

    name = RULES_BASELINE

    def score(self, matrix: Matrix) -> np.ndarray:
        return rank_by_rules(matrix)[1]


class RepPastRate:
    """The rep's own accept and convert rates in the training offers, shrunk towards the role's and all."""

    name = "rep_past_rate"

    def __init__(self, seed: int = 0) -> None:
        """Nothing is drawn, so the seed changes nothing; every baseline is made alike."""
        self._contract: Contract | None = None
        self._rates: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}

    def fit(self, train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels) -> Self:
        """Count both blocks: a rate needs no calibration."""
        self._contract = Contract(train.columns, train.vocabulary)
        for outcome, counts in (("accepted", "weight"), ("converted", "convert_weight")):
            target = np.concatenate([getattr(labels, outcome), getattr(calibrate_labels, outcome)])
            weight = np.concatenate([getattr(labels, counts), getattr(calibrate_labels, counts)]).astype(np.float64)
            known = ~np.isnan(target)
            codes = [self._codes(np.concatenate([train.column(c), calibrate.column(c)]), c) for c in ("rep_id", "role")]
            rep, role = codes[0][known], codes[1][known]
            hits, of = weight[known] * target[known], weight[known]
            overall = float((hits.sum() + 0.5) / (of.sum() + 1.0))
            by_role = _shrunk(role, self._size("role"), hits, of, np.full(self._size("role"), overall), ROLE_STRENGTH)
            # A rep's role is the one of most of the rep's offers.
            votes = np.zeros((self._size("rep_id"), self._size("role")))
            np.add.at(votes, (rep, role), of)
            by_rep = _shrunk(rep, self._size("rep_id"), hits, of, by_role[votes.argmax(axis=1)], REP_STRENGTH)
            self._rates[outcome] = (by_rep, by_role, overall)
        return self

    def predict(self, matrix: Matrix) -> Scores:
        """(n,) rates; a rep never seen has the role's, a role never seen the rate of all."""
        _contract(self._contract).check(matrix)
        rep, role = self._codes(matrix.column("rep_id"), "rep_id"), self._codes(matrix.column("role"), "role")
        p = {}
        for outcome, (by_rep, by_role, _) in self._rates.items():
            p[outcome] = np.where(rep < self._size("rep_id") - 1, by_rep[rep], by_role[role])
        return Scores(p["converted"], p["accepted"], p["converted"])

    def _size(self, name: str) -> int:
        return len(_contract(self._contract).vocabulary.values[name]) + 1

    def _codes(self, column: np.ndarray, name: str) -> np.ndarray:
        """(n,) int64 codes; missing has the last one."""
        last = self._size(name) - 1
        known = (column >= 0) & (column < last)
        return np.where(known, np.where(known, column, 0), last).astype(np.int64)


class Logistic:
    """Plain logistic regression on all columns, categories one-hot: one fit for accepted, one for converted."""

    name = "logistic"

    def __init__(self, seed: int = 0) -> None:
        self._contract: Contract | None = None
        self._fits: dict[str, LinearStart | None] = {}
        part = LinearPart(number=1.0, missing=1.0, category=1.0, crosses=(), share=False)
        self._recipe = Recipe(name=self.name, linear=part, seed=seed).but(behaviour={"gain": 1.0, "spread": 1.0})

    def fit(self, train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels) -> Self:
        """Fit both on the training block; an outcome of one class only is not estimable."""
        self._contract = Contract(train.columns, train.vocabulary)
        train, labels = canonical(train, labels)
        for outcome, counts in (("accepted", "weight"), ("converted", "convert_weight")):
            target = getattr(labels, outcome)
            rows = np.flatnonzero(~np.isnan(target))
            # The linear start reads `accepted` for its first logit; here either outcome takes that place.
            asked = replace(labels, accepted=target, weight=getattr(labels, counts)).take(rows)
            self._fits[outcome] = None
            if len(np.unique(asked.accepted)) == 2:
                matrix = train.take(rows)
                start = fit_linear(self._recipe, matrix, asked, train.columns, accept=True, convert=False, signed=False)
                self._fits[outcome] = start
        return self

    def predict(self, matrix: Matrix) -> Scores:
        """Rank by p_convert, else by p_accept where conversion cannot be told."""
        values = _contract(self._contract).check(matrix)
        logits = {}
        for outcome, start in self._fits.items():
            logits[outcome] = (
                start.accept.logit(start.encode(values)) if start and start.accept else np.full(len(values), np.nan)
            )
        best = logits["converted"] if self._fits["converted"] else logits["accepted"]
        return Scores(np.nan_to_num(best), sigmoid(logits["accepted"]), sigmoid(logits["converted"]))


class PointwiseLightGBM:
    """LightGBM as most would use it: p_accept × p(convert | accept) from two binary boosters, without any start."""

    name = "pointwise_lightgbm"

    def __init__(self, seed: int = 0, threads: int = 1) -> None:
        trees = Trees(rounds=100, leaves=15, learning_rate=0.08, min_rows=20, l2=1.0, columns=0.8, rows=1.0)
        self._recipe = Recipe(name=self.name, accept=trees, convert=trees, heads=Heads(), seed=seed, threads=threads)
        self._contract: Contract | None = None
        self._fits: dict[str, tuple[float, Booster | None] | None] = {}

    def fit(self, train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels) -> Self:
        """Fit both on the training block; an outcome of one class only is not estimable."""
        self._contract = Contract(train.columns, train.vocabulary)
        train, labels = canonical(train, labels)
        shape = Shape(train.columns, tuple(c for c in train.columns if c != "rep_id"), 1.0, constrained=False)
        for outcome, rows, counts in (
            ("accepted", labels.accept_rows(), labels.weight),
            ("converted", labels.convert_rows(), labels.convert_weight),
        ):
            target, weight = getattr(labels, outcome)[rows], counts[rows]
            if len(np.unique(target)) < 2:
                self._fits[outcome] = None
                continue
            share = float(np.average(target, weights=weight))
            base = float(np.log(share / (1 - share)))
            task = Task("binary", train.values[rows], target, weight, np.full(len(rows), base))
            self._fits[outcome] = base, fit_booster(self._recipe, self._recipe.accept, shape, task, 100)
        return self

    def predict(self, matrix: Matrix) -> Scores:
        """Rank by the product of both probabilities, else by the one that can be told."""
        values = _contract(self._contract).check(matrix)
        p = {}
        for outcome, fitted in self._fits.items():
            if fitted is None:
                p[outcome] = np.full(len(values), np.nan)
            else:
                p[outcome] = sigmoid(fitted[0] + (fitted[1].raw(values) if fitted[1] else np.zeros(len(values))))
        p_convert = p["accepted"] * p["converted"]
        best = next(
            (q for q in (p_convert, p["accepted"], p["converted"]) if not np.isnan(q).any()), np.zeros(len(values))
        )
        return Scores(best, p["accepted"], p_convert)


#: Made as `BASELINES[name](seed=…)`.
BASELINES: dict[str, Callable[..., Model]] = {
    "random": Random,
    "round_robin": RoundRobin,
    "account_owner": AccountOwner,
    "territory": Territory,
    RULES_BASELINE: OwnerTerritory,
    "rep_past_rate": RepPastRate,
    "logistic": Logistic,
    "pointwise_lightgbm": PointwiseLightGBM,
}


def baseline(name: str, seed: int = 0) -> Model:
    """An unfitted baseline by name. Raises UsageError for a name that there is not."""
    if name not in BASELINES:
        raise UsageError(f"There is no baseline {name!r}; there are {', '.join(BASELINES)}.", field="baseline")
    return BASELINES[name](seed=seed)


def _contract(contract: Contract | None) -> Contract:
    if contract is None:
        raise UsageError("Fit the baseline before it predicts.")
    return contract


def _shrunk(
    code: np.ndarray, size: int, hits: np.ndarray, of: np.ndarray, towards: np.ndarray, strength: float
) -> np.ndarray:
    """(size,) rate of each code, pulled towards another rate by `strength` offers of it."""
    total = np.bincount(code, weights=of, minlength=size)
    return np.asarray((np.bincount(code, weights=hits, minlength=size) + strength * towards) / (total + strength))
