"""The starts and boosters of one product: fitted together, and the raw scores that they give before any head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.catalogue import BY_NAME
from features.errors import UsageError
from features.matrix import Matrix
from models.boosters import Booster, Shape, Task, choose_rounds, fit_booster
from models.heads import teachable
from models.labels import Labels
from models.linear import LinearStart, fit_linear
from models.recipe import Recipe
from models.scores import log_sigmoid

Outcome = Literal["accept", "convert"]
OUTCOMES: tuple[Outcome, Outcome] = ("accept", "convert")
#: Shares of the training time where an early part ends and a later one of a quarter begins, to choose rounds.
CUTS = (0.5, 0.75)


@dataclass(frozen=True)
class Raw:
    """Raw scores of n pairs, (n,) float64 each: logits of the starts, the same with their trees, the ranker's trees."""

    accept_start: np.ndarray
    convert_start: np.ndarray
    accept: np.ndarray
    convert: np.ndarray
    ranker: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """(n,) from where the ranker starts: log of the starts' own p(accept) times p(convert | accept)."""
        return np.asarray(log_sigmoid(self.accept_start) + log_sigmoid(self.convert_start))


@dataclass(frozen=True)
class Stack:
    """linear None: each outcome starts from its training rate, `rates` (logits; 0 where there is nothing to learn)."""

    linear: LinearStart | None
    rates: Mapping[Outcome, float]
    boosters: Mapping[str, Booster | None]

    def raw(self, values: np.ndarray) -> Raw:
        """Raw scores of (n, f) float32 values that a Contract has checked."""
        starts = self._starts(values)
        trees = {name: self._trees(name, values) for name in (*OUTCOMES, "ranker")}
        return Raw(
            starts["accept"],
            starts["convert"],
            starts["accept"] + trees["accept"],
            starts["convert"] + trees["convert"],
            trees["ranker"],
        )

    def _starts(self, values: np.ndarray) -> dict[Outcome, np.ndarray]:
        encoded = self.linear.encode(values) if self.linear else None
        starts = {}
        for outcome in OUTCOMES:
            score = getattr(self.linear, outcome) if self.linear else None
            if score is not None and encoded is not None:
                starts[outcome] = score.logit(encoded)
            else:
                starts[outcome] = np.full(len(values), self.rates[outcome])
        return starts

    def _trees(self, name: str, values: np.ndarray) -> np.ndarray:
        booster = self.boosters[name]
        return booster.raw(values) if booster else np.zeros(len(values))

    def start_parts(self, outcome: Outcome, values: np.ndarray) -> tuple[np.ndarray, float]:
        """(n, f) parts of an outcome's start by feature, and its base; their sum is the start."""
        parts = np.zeros(values.shape)
        score = getattr(self.linear, outcome) if self.linear else None
        if score is None or self.linear is None:
            return parts, self.rates[outcome]
        terms = score.terms(self.linear.encode(values))
        for term, feature in enumerate(self.linear.speaks()):
            parts[:, feature] += terms[:, term]
        return parts, float(score.base)

    def tree_parts(self, name: str, values: np.ndarray) -> tuple[np.ndarray, float]:
        """(n, f) parts of a booster's raw score by feature, and its base."""
        booster = self.boosters[name]
        if booster is None:
            return np.zeros(values.shape), 0.0
        parts = booster.contributions(values)
        return parts[:, :-1], float(parts[0, -1]) if len(parts) else 0.0


@dataclass(frozen=True)
class Taught:
    """A fitted stack with what the card tells of it: why an outcome could not be learned, rounds, loss by rounds."""

    stack: Stack
    gaps: Mapping[Outcome, str | None]
    rounds: Mapping[str, int]
    curves: Mapping[str, Sequence[float]]


def usable_columns(recipe: Recipe, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that the recipe leaves in. Raises UsageError for a family that there is not."""
    unknown = set(recipe.drop) - {feature.family for feature in BY_NAME.values()}
    if unknown:
        raise UsageError(f"There is no feature family {sorted(unknown)[0]!r}.", field="drop")
    return tuple(c for c in columns if BY_NAME[c].family not in recipe.drop)


def teach(recipe: Recipe, train: Matrix, labels: Labels) -> Taught:
    """Fit starts and boosters on training pairs in canonical order (groups adjacent is the ranker's own affair)."""
    columns = usable_columns(recipe, train.columns)
    # Who the rep is reaches the trees only as a pooled effect: as a category it would memorise.
    shape = Shape(train.columns, tuple(c for c in columns if c != "rep_id"), recipe.behaviour.gain)
    minimum = recipe.heads.minimum
    gaps: dict[Outcome, str | None] = {
        "accept": teachable(labels.accepted[labels.accept_rows()], minimum, "acceptance"),
        "convert": teachable(labels.converted[labels.convert_rows()], minimum, "conversion after acceptance"),
    }
    bare = _started(recipe, train, labels, columns, gaps)
    chosen, curves = _rounds(recipe, train, labels, columns, shape, gaps)
    boosters: dict[str, Booster | None] = {}
    raw = bare.raw(train.values)
    for outcome in OUTCOMES:
        task = _binary(train, labels, outcome, raw, np.arange(len(train)))
        fits = gaps[outcome] is None
        boosters[outcome] = (
            fit_booster(recipe, getattr(recipe, outcome), shape, task, chosen[outcome]) if fits else None
        )
    boosters["ranker"] = fit_booster(recipe, recipe.ranker, shape, _ranking(train, labels, raw), recipe.ranker.rounds)
    rounds = {name: booster.rounds if booster else 0 for name, booster in boosters.items()}
    return Taught(Stack(bare.linear, bare.rates, boosters), gaps, rounds, curves)


def _started(
    recipe: Recipe, train: Matrix, labels: Labels, columns: Sequence[str], gaps: Mapping[Outcome, str | None]
) -> Stack:
    """The stack without trees."""
    learn = {outcome: gaps[outcome] is None for outcome in OUTCOMES}
    linear = None
    if recipe.linear.on and any(learn.values()):
        linear = fit_linear(recipe, train, labels, columns, **learn)
    rates: dict[Outcome, float] = {
        "accept": _rate(labels.accepted, labels.weight, labels.accept_rows()),
        "convert": _rate(labels.converted, labels.convert_weight, labels.convert_rows()),
    }
    return Stack(linear, rates, {"accept": None, "convert": None, "ranker": None})


def _rate(target: np.ndarray, weight: np.ndarray, rows: np.ndarray) -> float:
    """Logit of an outcome's weighted share, half an offer either way added so that one class stays finite."""
    counts = weight[rows].astype(np.float64)
    ones = float(np.sum(counts * target[rows]))
    return float(np.log((ones + 0.5) / (float(counts.sum()) - ones + 0.5)))


def _binary(train: Matrix, labels: Labels, outcome: Outcome, raw: Raw, rows: np.ndarray) -> Task:
    """The task of an outcome's booster, of those among the rows that teach it; raw is row for row with train."""
    able = labels.accept_rows() if outcome == "accept" else labels.convert_rows()
    rows = np.intersect1d(rows, able)
    target = labels.accepted if outcome == "accept" else labels.converted
    weight = labels.weight if outcome == "accept" else labels.convert_weight
    start = raw.accept_start if outcome == "accept" else raw.convert_start
    return Task("binary", train.values[rows], target[rows], weight[rows], start[rows])


def _ranking(train: Matrix, labels: Labels, raw: Raw) -> Task:
    """The ranker's task: rows with a grade, groups adjacent, in the order in which each first appears."""
    rows = labels.rank_rows()
    _, first, code = np.unique(labels.group[rows], return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    rows, group = rows[order], first[code][order]
    return Task("lambdarank", train.values[rows], labels.grade[rows], labels.weight[rows], raw.start[rows], group)


def _rounds(
    recipe: Recipe,
    train: Matrix,
    labels: Labels,
    columns: Sequence[str],
    shape: Shape,
    gaps: Mapping[Outcome, str | None],
) -> tuple[dict[Outcome, int], dict[str, list[float]]]:
    """Rounds of each outcome's booster: as stated, or chosen on later blocks from starts that knew earlier rows."""
    rounds: dict[Outcome, int] = {outcome: getattr(recipe, outcome).rounds for outcome in OUTCOMES}
    choosing = [o for o in OUTCOMES if getattr(recipe, o).choose and rounds[o] and gaps[o] is None]
    curves: dict[str, list[float]] = {}
    if not choosing:
        return rounds, curves
    folds: dict[Outcome, list[tuple[Task, Task]]] = {outcome: [] for outcome in choosing}
    for cut in CUTS:
        until, end = (round(share * len(train)) for share in (cut, cut + 0.25))
        early, late = np.arange(until), np.arange(until, end)
        past_matrix, past = train.take(early), labels.take(early)
        bare = _started(recipe, past_matrix, past, columns, dict.fromkeys(OUTCOMES) | _still_gaps(past, recipe))
        raw = bare.raw(train.values)
        for outcome in choosing:
            pair = tuple(_binary(train, labels, outcome, raw, rows) for rows in (early, late))
            if all(len(np.unique(task.target)) == 2 for task in pair):
                folds[outcome].append((pair[0], pair[1]))
    for outcome in choosing:
        if folds[outcome]:
            trees = getattr(recipe, outcome)
            rounds[outcome], curves[outcome] = choose_rounds(recipe, trees, shape, folds[outcome], trees.rounds)
    return rounds, curves


def _still_gaps(labels: Labels, recipe: Recipe) -> dict[Outcome, str | None]:
    minimum = max(2, recipe.heads.minimum // 2)
    return {
        "accept": teachable(labels.accepted[labels.accept_rows()], minimum, "acceptance"),
        "convert": teachable(labels.converted[labels.convert_rows()], minimum, "conversion after acceptance"),
    }
