"""The value of routing by each recipe on Callsheet's own log: every lead to the recipe's first rep, doubly robust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from models.scores import Scores
from training.evaluate import Board
from training.offpolicy.choice_model import Chosen, fitted_choices
from training.offpolicy.choices import Choices
from training.offpolicy.estimators import Rounds
from training.offpolicy.folds import folds, splits
from training.offpolicy.intervals import Resampling
from training.offpolicy.propensity import Propensities
from training.offpolicy.support import MIN_CLUSTERS, refusal, support, too_few
from training.offpolicy.value import Estimate, Value, told

#: The run's artifact that holds every value, support and refusal.
ARTIFACT = "test/value.json"
#: What a round may have earned, and the head that tells it.
REWARDS = {"converted": "p_convert", "accepted": "p_accept"}
#: Recipes whose probabilities, told at the cut, the reward model is made from.
TELLERS = ("ranker", "logistic", "pointwise_lightgbm")
#: Rounds with and without the reward below which a reward model is the mean.
LEAST_OF_EACH = 10
_COLUMNS = tuple(column.name for column in fields(Estimate))
NO_PROPENSITY = "without a propensity, and none could be fitted"


@dataclass(frozen=True)
class Routed:
    """What the recipes say of every pair of the drawn rounds: recipe -> scores of the m pairs, filled cut by cut."""

    choices: Choices
    heard: dict[str, Scores] = field(default_factory=dict)

    def hear(self, recipe: str, pairs: np.ndarray, said: Scores) -> None:
        """Take in what a recipe, as fitted at a cut, says of some pairs (places)."""
        if recipe not in self.heard:
            self.heard[recipe] = Scores(*(np.full(len(self.choices.matrix), np.nan) for _ in range(3)))
        for name in ("score", "p_accept", "p_convert"):
            getattr(self.heard[recipe], name)[pairs] = getattr(said, name)

    def take(self, rounds: np.ndarray) -> Routed:
        """What was heard of some rounds."""
        choices, pairs = self.choices.take(rounds)
        heard = {r: Scores(s.score[pairs], s.p_accept[pairs], s.p_convert[pairs]) for r, s in self.heard.items()}
        return Routed(choices, heard)


@dataclass(frozen=True)
class Routing:
    """What routing by each recipe would have been worth.

    values    recipe -> reward -> its value, or the refusal
    worth     recipe -> (n,) over all rows of the pool: what a row adds to the doubly robust value, in conversions; NaN
              where it was not drawn, and everywhere where refused
    left_out  why -> test offers that are no round
    chosen    the model of the past's choices; None: every propensity was logged
    """

    values: Mapping[str, Mapping[str, Value]]
    worth: Mapping[str, np.ndarray]
    left_out: Mapping[str, int]
    chosen: Chosen | None = None

    def metrics(self, recipe: str) -> dict[str, float]:
        """Of one recipe, as MLflow has them: value/REWARD/dr, value/converted/gain with _low and _high, the support."""
        found: dict[str, float] = {}
        for reward, value in self.values.get(recipe, {}).items():
            gain = value.gain if reward == "converted" else None
            for one in (*(e for e in value.estimates if e.estimator == "dr"), *filter(None, (gain,))):
                name = f"value/{reward}/{one.estimator}"
                found |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
            if value.support is not None:
                found["value/effective_sample_size"] = value.support.effective_sample_size
                found["value/overlap"] = value.support.overlap
        return found

    def frame(self, titles: Mapping[str, str]) -> pd.DataFrame:
        """A row for each recipe, reward and estimator; one without numbers where refused."""
        rows: list[dict[str, object]] = []
        for recipe, values in self.values.items():
            for reward, value in values.items():
                found = value.support
                facts = {
                    "effective_sample_size": None if found is None else found.effective_sample_size,
                    "overlap": None if found is None else found.overlap, "refused": value.refused,
                }  # fmt: skip
                named = {"recipe": titles[recipe], "reward": reward}
                told_ = [asdict(one) for one in (*value.estimates, *filter(None, (value.logged, value.gain)))]
                rows += [named | one | facts for one in told_ or [dict.fromkeys(_COLUMNS)]]
        return pd.DataFrame(rows)

    def as_json(self) -> dict[str, object]:
        """Everything, as the run's value.json has it."""
        chosen = self.chosen
        fitted = None if chosen is None else {
            "model": chosen.model, "sharpness": chosen.sharpness, "even": chosen.even,
            "calibration_error": chosen.error, "by_chance": chosen.by_chance, "hopeless": chosen.hopeless,
        }  # fmt: skip
        return {
            "left_out": dict(self.left_out),
            "propensity_model": fitted,
            "recipes": {r: {name: v.as_dict() for name, v in values.items()} for r, values in self.values.items()},
        }


@dataclass(frozen=True)
class _Footing:
    """What all recipes are valued on: n rounds of m pairs.

    reward    name -> (n,); expected: name -> (m,) reward of every pair
    model     what the expected rewards were made from
    """

    choices: Choices
    blank: Value
    propensity: np.ndarray
    reward: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    model: str
    drawn: Resampling


def routing(routed: Routed, board: Board, seed: int = 0, replicates: int = 1000) -> Routing:
    """Value every recipe that was heard.

    A round is a past offer, its actions the reps eligible then, its propensity the logged one, else that of a choice
    model; where that is hopeless, rounds without a logged one are left out. The reward model recalibrates, cross-fitted
    by account, what the TELLERS say on average, which were fitted before the cut; it is the same for every recipe.
    board   the pool's; outcomes of its rows are mature
    """
    lacking = np.isnan(routed.choices.propensity)
    chosen = fitted_choices(routed.choices, seed) if lacking.any() else None
    usable = chosen is None or chosen.hopeless is None
    left_out = dict(routed.choices.left_out) | ({} if usable else {NO_PROPENSITY: int(lacking.sum())})
    if not usable:
        routed = routed.take(np.flatnonzero(~lacking))
    choices = routed.choices
    clusters = int(choices.cluster.max(initial=-1)) + 1
    blank = Value(len(choices), clusters, True, len(np.unique(choices.matrix.rep_id)), 0.95)
    if clusters < MIN_CLUSTERS:
        words = (too_few(clusters, clustered=True), chosen.hopeless if chosen is not None else None)
        none = dict.fromkeys(REWARDS, replace(blank, refused=" ".join(filter(None, words))))
        nowhere = {recipe: np.full(len(board), np.nan) for recipe in routed.heard}
        return Routing(dict.fromkeys(routed.heard, none), nowhere, left_out, chosen)
    footing = _footing(routed, blank, chosen if usable else None, board, seed, replicates)
    values, worth = dict[str, Mapping[str, Value]](), dict[str, np.ndarray]()
    for recipe, said in routed.heard.items():
        values[recipe], parts = _valued(footing, choices.best(said.score))
        worth[recipe] = np.full(len(board), np.nan)
        worth[recipe][choices.row] = parts
    return Routing(values, worth, left_out, chosen)


def _footing(routed: Routed, blank: Value, chosen: Chosen | None, board: Board, seed: int, replicates: int) -> _Footing:
    choices = routed.choices
    fitted = np.isnan(choices.propensity)
    propensity = choices.propensity
    made = Propensities(propensity, fitted)
    if chosen is not None:
        propensity = np.where(fitted, chosen.chance[choices.chosen], propensity)
        made = Propensities(propensity, fitted, chosen.model, chosen.sharpness, chosen.error, chosen.by_chance)
    known = [name for name in TELLERS if name in routed.heard]
    reward = {"converted": board.converted[choices.row], "accepted": board.accepted[choices.row]}
    return _Footing(
        choices, replace(blank, propensities=made), propensity, reward,
        {name: _expected(routed, known, head, reward[name], seed) for name, head in REWARDS.items()},
        f"recalibrated mean of {', '.join(known)}" if known else "mean",
        Resampling.of(choices.cluster, replicates, seed),
    )  # fmt: skip


def _expected(routed: Routed, known: list[str], head: str, reward: np.ndarray, seed: int) -> np.ndarray:
    """(m,) expected reward of every pair; its account did not teach it."""
    choices = routed.choices
    said = [getattr(routed.heard[name], head) for name in known]
    clipped = [np.clip(p, 1e-6, 1 - 1e-6) for p in said if np.isfinite(p).all()]
    logit = np.mean([np.log(p / (1 - p)) for p in clipped], axis=0) if clipped else np.zeros(len(choices.matrix))
    expected = np.empty(len(logit))
    for learn, held in splits(folds(choices.cluster, seed)):
        asked = np.flatnonzero(np.isin(choices.round, held))
        y = reward[learn]
        if not clipped or min(y.sum(), len(y) - y.sum()) < LEAST_OF_EACH:
            expected[asked] = y.mean()
            continue
        model = LogisticRegression(C=1.0).fit(logit[choices.chosen[learn], None], y)
        expected[asked] = model.predict_proba(logit[asked, None])[:, 1]
    return expected


def _valued(footing: _Footing, pick: np.ndarray) -> tuple[Mapping[str, Value], np.ndarray]:
    """(reward -> value, (n,) what each round adds to that in conversions) of a policy that picks one pair a round."""
    choices = footing.choices
    weight = (pick == choices.chosen) / footing.propensity
    found = support(weight, np.ones(len(weight)), footing.drawn)
    base = replace(footing.blank, support=found)
    base = replace(base, refused=refusal(found, base.rounds, base.clusters, clustered=True))
    if base.refused is not None:
        return dict.fromkeys(REWARDS, base), np.full(len(choices), np.nan)
    rounds = {
        name: Rounds(footing.reward[name], weight, q[choices.chosen], q[pick], choices.cluster)
        for name, q in footing.expected.items()
    }
    values = {name: told(base, one, footing.drawn, footing.model) for name, one in rounds.items()}
    return values, rounds["converted"].doubly_robust
