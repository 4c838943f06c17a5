"""Who runs against whom: the product, the rules, the baselines and the ablations, fitted at the same cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from features.catalogue import FAMILIES
from features.matrix import Matrix
from models.baselines import BASELINES, RULES_BASELINE
from models.labels import Labels
from models.product import Product, fit_product
from models.recipe import Recipe
from models.scores import Scores

RANKER = "ranker"
CHAMPION = "champion"
RULES = RULES_BASELINE
#: Families that the recipe is also fitted without, to tell what each is worth.
ABLATIONS = tuple(family.name for family in FAMILIES)
TITLES = {
    RANKER: "Callsheet ranker",
    RULES: "Rules: owner, else territory",
    CHAMPION: "Champion's recipe",
    "random": "Random",
    "round_robin": "Round robin",
    "account_owner": "Account owner",
    "territory": "Territory",
    "rep_past_rate": "Rep's past rate",
    "logistic": "Logistic regression",
    "pointwise_lightgbm": "Pointwise LightGBM",
    "without_fit": "Ranker without fit",
    "without_rep": "Ranker without the rep",
    "without_account": "Ranker without the account",
    "without_timing": "Ranker without timing",
    "without_graph": "Ranker without the contact graph",
    "without_behaviour": "Ranker without behaviour",
}
NOTES = {
    RULES: "What serves when no model does: the account's owner, else a rep of the territory, else a hash of the ids.",
    CHAMPION: "The recipe of the model that serves now, fitted at the same cuts: what a new recipe has to beat.",
    "random": "A seeded lottery. Whatever does not beat it has learned nothing.",
    "round_robin": "Whoever has waited longest for a lead.",
    "account_owner": "The account's owner first.",
    "territory": "A rep whose territory holds the account first.",
    "rep_past_rate": "The rep with the best (shrunk) record so far, whatever the lead.",
    "logistic": "Logistic regression on the same features.",
    "pointwise_lightgbm": "LightGBM that predicts each outcome by itself, without groups, start or pooling.",
    "without_fit": "The same recipe, not told who asks for what: the difference is what fit is worth.",
    "without_rep": "The same recipe, not told who the rep is and how it went so far: the difference is its worth.",
    "without_account": "The same recipe, not told how the account stands: the difference is what that is worth.",
    "without_timing": "The same recipe, not told of meetings and touches: the difference is what timing is worth.",
    "without_graph": "The same recipe, not told of the contact graph: the difference is what the graph is worth.",
    "without_behaviour": "The same recipe, not told what contacts did: the difference is what behaviour is worth.",
}


class Fitted(Protocol):
    """Whatever scores a matrix."""

    def predict(self, matrix: Matrix) -> Scores:
        """Scores of n pairs."""


#: Train block and labels, calibrate block and labels, and the ranker of the same blocks where it is fitted already.
Fit = Callable[[Matrix, Labels, Matrix, Labels, Product | None], Fitted]


@dataclass(frozen=True)
class Contestant:
    """One recipe of the run: `kind` is ranker, rules, champion, baseline or ablation."""

    key: str
    kind: str
    fit: Fit

    @property
    def title(self) -> str:
        """The recipe's name in words."""
        return TITLES.get(self.key, self.key.replace("_", " ").capitalize())


def contestants(recipe: Recipe, champion: Recipe | None = None) -> tuple[Contestant, ...]:
    """The ranker first, then rules, baselines and ablations; baselines have their own fixed seeds.

    champion  the recipe of what serves, where it is another one
    """
    made = [Contestant(RANKER, "ranker", _product(recipe)), Contestant(RULES, "rules", _baseline(RULES))]
    if champion is not None:
        made.append(Contestant(CHAMPION, "champion", _product(champion)))
    made += [Contestant(name, "baseline", _baseline(name)) for name in BASELINES if name != RULES]
    for family in ABLATIONS:
        if family in recipe.drop:
            continue
        less = recipe.but(drop=tuple(sorted({*recipe.drop, family})))
        made.append(Contestant(f"without_{family}", "ablation", _ablation(less)))
    return tuple(made)


def _product(recipe: Recipe) -> Fit:
    def fit(
        train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels, ranker: Product | None
    ) -> Fitted:
        return fit_product(recipe, train, labels, calibrate, calibrate_labels)

    return fit


def _ablation(recipe: Recipe) -> Fit:
    """As the ranker learned, with its rounds and heads, so that only what it is not told differs."""

    def fit(
        train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels, ranker: Product | None
    ) -> Fitted:
        return fit_product(recipe, train, labels, calibrate, calibrate_labels, like=ranker)

    return fit


def _baseline(name: str) -> Fit:
    def fit(
        train: Matrix, labels: Labels, calibrate: Matrix, calibrate_labels: Labels, ranker: Product | None
    ) -> Fitted:
        return BASELINES[name]().fit(train, labels, calibrate, calibrate_labels)

    return fit
