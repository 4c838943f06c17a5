"""How a stack is fitted: starts, then boosters on top of them, and the same rehearsed at earlier instants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from features.catalogue import BY_NAME
from features.errors import UsageError
from features.matrix import Matrix
from models.boosters import Booster, Shape, Task, Watched, fit_booster, fit_watched, least
from models.heads import teachable
from models.labels import Labels
from models.linear import fit_linear
from models.recipe import Recipe
from models.stack import OUTCOMES, Outcome, Raw, Stack

RANKER = "ranker"
#: Shares of the training rows, oldest first, at which a stack is rehearsed: fitted on what lies before, asked of the
#: rows up to the next.
STAGES = (0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Said:
    """What stacks that knew only earlier rows said of later ones, of those that teach one outcome.

    rows    (m,) positions in the training matrix
    scores  (m, s) float64: the outcome's own logit, start and trees; for convert the ranker's trees beside it
    """

    rows: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Rehearsal:
    """What fitting at earlier instants has shown.

    gaps    why an outcome cannot be learned, or None
    rounds  of each booster: as stated, or as chosen by the later rows; curves: their log loss after 0, 1, 2 … rounds
    said    out-of-fold scores of each outcome that can be learned
    """

    gaps: Mapping[Outcome, str | None]
    rounds: Mapping[str, int]
    curves: Mapping[str, Sequence[float]]
    said: Mapping[Outcome, Said]


def usable_columns(recipe: Recipe, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that the recipe leaves in. Raises UsageError for a family that there is not."""
    unknown = set(recipe.drop) - {feature.family for feature in BY_NAME.values()}
    if unknown:
        raise UsageError(f"There is no feature family {sorted(unknown)[0]!r}.", field="drop")
    return tuple(c for c in columns if BY_NAME[c].family not in recipe.drop)


def teach(recipe: Recipe, train: Matrix, labels: Labels, rounds: Mapping[str, int]) -> Stack:
    """Fit starts and boosters of so many rounds on training pairs in canonical order."""
    gaps = _gaps(recipe, labels, recipe.heads.minimum)
    bare = _started(recipe, train, labels, gaps)
    raw = bare.raw(train.values)
    everything = np.arange(len(train))
    boosters: dict[str, Booster | None] = {RANKER: None}
    for outcome in OUTCOMES:
        task = _binary(train, labels, outcome, raw, everything)
        able = rounds[outcome] if gaps[outcome] is None else 0
        boosters[outcome] = fit_booster(recipe, getattr(recipe, outcome), _shape(recipe, train), task, able)
    if rounds[RANKER]:
        task = _ranking(train, labels, raw, everything)
        boosters[RANKER] = fit_booster(recipe, recipe.ranker, _shape(recipe, train), task, rounds[RANKER])
    return Stack(bare.linear, bare.rates, boosters)


def rehearse(recipe: Recipe, train: Matrix, labels: Labels) -> Rehearsal:
    """Fit at each stage of the training time on what lay before, and ask of what came next.

    From this the rounds of the boosters are chosen and the heads are fitted, so neither rests on rows that the stack
    behind them had seen.
    Source   rolling-origin evaluation (Tashman 2000)
    """
    gaps = _gaps(recipe, labels, recipe.heads.minimum)
    ends = [round(share * len(train)) for share in (*STAGES, 1.0)]
    stages = [_stage(recipe, train, labels, until, end) for until, end in pairwise(ends)]
    rounds: dict[str, int] = {name: getattr(recipe, name).rounds for name in (*OUTCOMES, RANKER)}
    curves: dict[str, list[float]] = {}
    for outcome in OUTCOMES:
        watched = [stage.watched[outcome] for stage in stages if outcome in stage.watched]
        if getattr(recipe, outcome).choose and watched:
            rounds[outcome], curves[outcome] = least(watched, rounds[outcome])
    said = {outcome: _said(stages, outcome, rounds) for outcome in OUTCOMES if gaps[outcome] is None}
    return Rehearsal(gaps, rounds, curves, said)


@dataclass(frozen=True)
class _Stage:
    """One stage: the later rows, what the starts said of them, and the boosters that were fitted on the earlier."""

    values: np.ndarray
    rows: Mapping[Outcome, np.ndarray]
    start: Raw
    first: int
    boosters: Mapping[str, Booster | None]
    watched: Mapping[str, Watched]


def _stage(recipe: Recipe, train: Matrix, labels: Labels, until: int, end: int) -> _Stage:
    early, late = np.arange(until), np.arange(until, end)
    past_matrix, past = train.take(early), labels.take(early)
    gaps = _gaps(recipe, past, max(2, recipe.heads.minimum // 2))
    bare = _started(recipe, past_matrix, past, gaps)
    raw, shape = bare.raw(train.values[:end]), _shape(recipe, train)
    boosters: dict[str, Booster | None] = {RANKER: None}
    watched: dict[str, Watched] = {}
    rows: dict[Outcome, np.ndarray] = {}
    for outcome in OUTCOMES:
        trees = getattr(recipe, outcome)
        task, after = (_binary(train, labels, outcome, raw, part) for part in (early, late))
        rows[outcome] = np.intersect1d(late, _able(labels, outcome)) if gaps[outcome] is None else late[:0]
        watch = fit_watched(recipe, trees, shape, task, after) if gaps[outcome] is None else None
        boosters[outcome] = watch.booster if watch else None
        if watch:
            watched[outcome] = watch
    if recipe.ranker.rounds:
        task = _ranking(train, labels, raw, early)
        boosters[RANKER] = fit_booster(recipe, recipe.ranker, shape, task, recipe.ranker.rounds)
    return _Stage(train.values[until:end], rows, raw.take(late), until, boosters, watched)


def _said(stages: Sequence[_Stage], outcome: Outcome, rounds: Mapping[str, int]) -> Said:
    """Put together what the stages said, each booster cut to its rounds."""
    parts = []
    for stage in stages:
        rows = stage.rows[outcome] - stage.first
        values = np.ascontiguousarray(stage.values[rows])
        own = getattr(stage.start, f"{outcome}_start")[rows] + _trees(stage.boosters[outcome], values, rounds[outcome])
        columns = [own] if outcome == "accept" else [own, _trees(stage.boosters[RANKER], values, rounds[RANKER])]
        parts.append(np.column_stack(columns))
    return Said(np.concatenate([stage.rows[outcome] for stage in stages]), np.concatenate(parts))


def _trees(booster: Booster | None, values: np.ndarray, rounds: int) -> np.ndarray:
    return booster.raw(values, rounds) if booster and rounds else np.zeros(len(values))


def _shape(recipe: Recipe, train: Matrix) -> Shape:
    # Who the rep is reaches the trees only as a pooled effect: as a category it would memorise.
    usable = tuple(c for c in usable_columns(recipe, train.columns) if c != "rep_id")
    return Shape(train.columns, usable, recipe.behaviour.gain)


def _gaps(recipe: Recipe, labels: Labels, minimum: int) -> dict[Outcome, str | None]:
    return {
        "accept": teachable(labels.accepted[labels.accept_rows()], minimum, "acceptance"),
        "convert": teachable(labels.converted[labels.convert_rows()], minimum, "conversion after acceptance"),
    }


def _started(recipe: Recipe, train: Matrix, labels: Labels, gaps: Mapping[Outcome, str | None]) -> Stack:
    """The stack without trees."""
    learn = {outcome: gaps[outcome] is None for outcome in OUTCOMES}
    linear = None
    if recipe.linear.on and any(learn.values()):
        linear = fit_linear(recipe, train, labels, usable_columns(recipe, train.columns), **learn)
    rates: dict[Outcome, float] = {
        "accept": _rate(labels.accepted, labels.weight, labels.accept_rows()),
        "convert": _rate(labels.converted, labels.convert_weight, labels.convert_rows()),
    }
    return Stack(linear, rates, {"accept": None, "convert": None, RANKER: None})


def _rate(target: np.ndarray, weight: np.ndarray, rows: np.ndarray) -> float:
    """Logit of an outcome's weighted share, half an offer either way added so that one class stays finite."""
    counts = weight[rows].astype(np.float64)
    ones = float(np.sum(counts * target[rows]))
    return float(np.log((ones + 0.5) / (float(counts.sum()) - ones + 0.5)))


def _able(labels: Labels, outcome: Outcome) -> np.ndarray:
    return labels.accept_rows() if outcome == "accept" else labels.convert_rows()


def _binary(train: Matrix, labels: Labels, outcome: Outcome, raw: Raw, rows: np.ndarray) -> Task:
    """The task of an outcome's booster, of those among the rows that teach it; raw is row for row with train."""
    rows = np.intersect1d(rows, _able(labels, outcome))
    target = labels.accepted if outcome == "accept" else labels.converted
    weight = labels.weight if outcome == "accept" else labels.convert_weight
    start = raw.accept_start if outcome == "accept" else raw.convert_start
    return Task("binary", train.values[rows], target[rows], weight[rows], start[rows])


def _ranking(train: Matrix, labels: Labels, raw: Raw, rows: np.ndarray) -> Task:
    """The ranker's task: rows with a grade, groups adjacent, in the order in which each first appears."""
    rows = np.intersect1d(rows, labels.rank_rows())
    _, first, code = np.unique(labels.group[rows], return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    rows, group = rows[order], first[code][order]
    return Task("lambdarank", train.values[rows], labels.grade[rows], labels.weight[rows], raw.start[rows], group)
