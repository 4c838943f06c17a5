"""The LightGBM boosters: trees on top of a start, the same bits for the same data whatever the threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from features.catalogue import BY_NAME
from features.errors import ModelError
from models.lightgbm_alone import lgb
from models.recipe import Recipe, Trees

#: How trees begin that this LightGBM writes, with their format's number.
HEADER = "tree\nversion=v4\n"
#: LightGBM takes at most 10,000 rows in one lambdarank group; a larger one is cut into even parts.
LARGEST_GROUP = 10_000
#: Of a pair of training rows in a group, only those with one of them among so many leaders count: all, here.
TRUNCATION = 200

#: pred_contrib has corrupted memory under threads in the past (LightGBM #5482), so one call at a time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Booster:
    """Fitted trees without their start, as LightGBM's own text and ready to predict.

    text    the model up to its `parameters:` block, which would record the threads of the fit
    """

    text: str
    trees: lgb.Booster

    @classmethod
    def of_text(cls, text: str) -> Booster:
        """Load trees from text. Only ever call it with text whose hash was checked: LightGBM trusts what it reads.

        Raises ModelError for trees in another format than this LightGBM writes; it would read them as its own
        """
        if not text.startswith(HEADER):
            found, ours = (" ".join(one[:200].split()[:2])[:60] for one in (text, HEADER))
            raise ModelError(
                f"The trees begin with {found!r}; LightGBM {lgb.__version__} writes {ours!r}: train again, or serve "
                "the model with the version that made it."
            )
        return cls(text, lgb.Booster(model_str=text))

    def raw(self, values: np.ndarray, rounds: int | None = None) -> np.ndarray:
        """(n,) float64 raw scores of (n, f) float32 C-ordered values, under one thread; of the first `rounds` trees."""
        if not len(values):
            return np.zeros(0)
        return np.asarray(
            self.trees.predict(values, raw_score=True, num_iteration=rounds, num_threads=1, validate_features=False)
        )

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """(n, f + 1) float64 parts of the raw score, the last one what an average row gets."""
        if not len(values):
            return np.zeros((0, values.shape[1] + 1))
        with _ONE_AT_A_TIME:
            parts = self.trees.predict(values, pred_contrib=True, num_threads=1, validate_features=False)
        return np.asarray(parts)

    @property
    def rounds(self) -> int:
        """How many trees it has."""
        return int(self.trees.num_trees())


@dataclass(frozen=True)
class Task:
    """What one booster is to learn from (n, f) float32 values, rows in canonical order.

    objective   binary (target 0 or 1) or lambdarank (target a grade; group (n,) codes, equal ones adjacent)
    start       (n,) raw scores to begin from
    """

    objective: Literal["binary", "lambdarank"]
    values: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    start: np.ndarray
    group: np.ndarray | None = None


@dataclass(frozen=True)
class Shape:
    """What the trees may do with each of the f columns.

    usable      names in play, in column order; a column in no constraint set is never split on
    columns     all f names
    constrained  False: every column may meet any other, in any direction (the plain baseline)
    """

    columns: tuple[str, ...]
    usable: tuple[str, ...]
    behaviour_gain: float
    constrained: bool = True

    def parameters(self) -> dict[str, Any]:
        """LightGBM's constraints: behaviour interacts only with itself, known directions hold, its gain is held."""
        place = {name: i for i, name in enumerate(self.columns)}
        if not self.constrained:
            return {"interaction_constraints": [[place[c] for c in self.usable]]}
        behaviour = [place[c] for c in self.usable if BY_NAME[c].family == "behaviour"]
        others = [place[c] for c in self.usable if BY_NAME[c].family != "behaviour"]
        categories = {c for c in self.columns if BY_NAME[c].kind == "category"}
        return {
            "interaction_constraints": [part for part in (others, behaviour) if part],
            # LightGBM refuses a direction for a category.
            "monotone_constraints": [0 if c in categories else BY_NAME[c].monotone for c in self.columns],
            "feature_contri": [self.behaviour_gain if BY_NAME[c].family == "behaviour" else 1.0 for c in self.columns],
        }

    def categorical(self) -> list[int]:
        """Positions of the usable categories."""
        return [i for i, c in enumerate(self.columns) if c in set(self.usable) and BY_NAME[c].kind == "category"]


def fit_booster(recipe: Recipe, trees: Trees, shape: Shape, task: Task, rounds: int) -> Booster | None:
    """Fit so many rounds. None when there is nothing to fit: no rounds, no columns, or rows too few for one split."""
    if not _splits(trees, shape, task, rounds):
        return None
    fitted = lgb.train(_parameters(recipe, trees, shape, task), _dataset(shape, task), num_boost_round=rounds)
    return Booster.of_text(_without_parameters(fitted.model_to_string(num_iteration=-1)))


def _splits(trees: Trees, shape: Shape, task: Task, rounds: int) -> bool:
    return rounds >= 1 and bool(shape.usable) and len(task.target) >= 2 * trees.min_rows


@dataclass(frozen=True)
class Watched:
    """A booster whose every round was judged on later rows.

    losses  (r + 1,) float64: log loss summed over the later rows, by weight, after 0, 1, 2 … r rounds
    weight  of the later rows in all
    """

    booster: Booster | None
    losses: np.ndarray
    weight: float


def fit_watched(recipe: Recipe, trees: Trees, shape: Shape, early: Task, late: Task) -> Watched | None:
    """Fit all rounds of a binary booster on the earlier rows, and judge each on the later; None without later rows."""
    if not len(late.target):
        return None
    weight = late.weight.astype(np.float64)
    none = float(np.sum(weight * (np.logaddexp(0.0, late.start) - late.target * late.start)))
    if not _splits(trees, shape, early, trees.rounds):
        return Watched(None, np.array([none]), float(weight.sum()))
    data, seen = _dataset(shape, early), dict[str, dict[str, list[float]]]()
    fitted = lgb.train(
        _parameters(recipe, trees, shape, early) | {"metric": "binary_logloss"},
        data,
        num_boost_round=trees.rounds,
        valid_sets=[_dataset(shape, late, reference=data)],
        valid_names=["late"],
        callbacks=[lgb.record_evaluation(seen)],
    )
    curve = np.array(seen["late"]["binary_logloss"]) * float(weight.sum())
    booster = Booster.of_text(_without_parameters(fitted.model_to_string(num_iteration=-1)))
    return Watched(booster, np.concatenate([[none], curve]), float(weight.sum()))


def least(watched: Sequence[Watched], rounds: int) -> tuple[int, list[float]]:
    """How many rounds had the least loss over all later rows (0: none helps), and the mean loss after 0, 1, 2 …"""
    # Training ends early where nothing can be split any more: the loss then stays what it is.
    curves = [np.append(w.losses, np.full(rounds + 1 - len(w.losses), w.losses[-1])) for w in watched]
    total = np.sum(curves, axis=0) / max(sum(w.weight for w in watched), 1e-12)
    return int(np.argmin(total)), total.tolist()


def _parameters(recipe: Recipe, trees: Trees, shape: Shape, task: Task) -> dict[str, Any]:
    ranking = {
        "label_gain": list(recipe.label_gain),
        "lambdarank_truncation_level": TRUNCATION,
        # Divided by the spread of a group's scores, gradients would vanish beside a start that tells much already.
        "lambdarank_norm": False,
    }
    return {
        "objective": task.objective,
        "num_leaves": trees.leaves,
        "learning_rate": trees.learning_rate,
        "min_data_in_leaf": trees.min_rows,
        "min_sum_hessian_in_leaf": 1e-3 if task.objective == "lambdarank" else 1.0,
        "lambda_l2": trees.l2,
        "feature_fraction": trees.columns,
        "bagging_fraction": trees.rows,
        "bagging_freq": 1 if trees.rows < 1 else 0,
        "max_bin": trees.bins,
        "cat_smooth": 20.0,
        "cat_l2": 20.0,
        "min_data_per_group": 50,
        "boost_from_average": False,
        "deterministic": True,
        "force_row_wise": True,
        "seed": recipe.seed,
        "num_threads": recipe.threads,
        "verbosity": -1,
        **shape.parameters(),
        **(ranking if task.objective == "lambdarank" else {}),
    }


def _dataset(shape: Shape, task: Task, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        task.values,
        task.target.astype(np.float64),
        weight=task.weight.astype(np.float64),
        init_score=task.start,
        group=_group_sizes(task.group) if task.group is not None else None,
        categorical_feature=shape.categorical(),
        reference=reference,
        params={"verbosity": -1},
    )


def _group_sizes(group: np.ndarray) -> np.ndarray:
    """Sizes of runs of equal codes, each run cut into even parts of at most LARGEST_GROUP rows."""
    ends = np.flatnonzero(np.diff(group, append=group[-1:] - 1)) + 1
    sizes = np.diff(ends, prepend=0)
    parts = [np.diff(np.linspace(0, size, -(-size // LARGEST_GROUP) + 1).astype(np.int64)) for size in sizes]
    return np.concatenate(parts)


def _without_parameters(text: str) -> str:
    return text[: text.index("\nparameters:") + 1]
