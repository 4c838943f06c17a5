"""Canaries in the recipe: fitted once more with columns that can tell nothing, does it make something of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.canary import CANARY, KINDS, NOISE, day_before
from features.catalogue import BY_NAME
from features.matrix import Matrix
from models.product import Product
from training.blocks import Cut
from training.gate.features import STRONGEST
from training.worth import Trial, Worth, mixed_up, pushes, without

SHADOWED = 3  # features that get a canary of the day before
MOVED = 0.01  # share of offers for which a feature must have been another value the day before, to have a shadow

#: The recipe at each cut, in their order, on a matrix of all examples.
FitEach = Callable[[Matrix], Iterable[Product]]


@dataclass(frozen=True)
class Kind:
    """One kind of canary: its columns, their share in all pushes (the mean of one), and their worth mixed up together.

    place   the place that a column of that share has among all, from 1
    """

    columns: tuple[str, ...]
    share: float
    place: int
    permuted: Worth

    @property
    def ranks(self) -> bool:
        """Whether it is taken for something: among the strongest, or surely missed."""
        return self.place <= STRONGEST or self.permuted.sure


@dataclass(frozen=True)
class Canaries:
    """What the recipe made of canaries.

    kinds   noise and, where any feature moves within a day, day_before
    added   what the recipe is worth with them, less without: surely above 0 is a leak
    columns how many columns there were in all
    """

    kinds: Mapping[str, Kind]
    added: Worth
    columns: int

    @property
    def singing(self) -> tuple[str, ...]:
        """What is wrong, in words; nothing where every canary is taken for what it is."""
        said = [f"{KINDS[name]} rank" for name, kind in self.kinds.items() if kind.ranks]
        if self.added.sure:
            said.append("the recipe does better with canaries by more than chance")
        return tuple(said)

    @property
    def text(self) -> str:
        """The finding in a sentence or two."""
        seen = "; ".join(
            f"{KINDS[name]} have {kind.share:.1%} of the pushes each (place {kind.place} of {self.columns})"
            for name, kind in self.kinds.items()
        )
        verdict = "No canary ranks" if not self.singing else f"A CANARY SINGS: {' and '.join(self.singing)}"
        return f"{verdict}: {seen}."


def shadowed(matrix: Matrix, before: Matrix, share: np.ndarray) -> tuple[str, ...]:
    """The strongest features that move within a day.

    matrix, before   the same n pairs, as of their instants and a day earlier; share (f,): what each column pushes
    """
    now, then = matrix.values, before.values
    moved = ~((now == then) | (np.isnan(now) & np.isnan(then)))
    able = moved.mean(axis=0) >= MOVED
    strongest = sorted(range(len(share)), key=lambda i: (-share[i], i))
    named = [matrix.columns[i] for i in strongest if able[i]]
    return tuple(name for name in named if BY_NAME[name].kind != "category")[:SHADOWED]


def with_canaries(matrix: Matrix, before: Matrix, shadows: Sequence[str], seed: int) -> Matrix:
    """The matrix with columns of noise, and with what some features were a day before, less what they are."""
    noise = np.random.default_rng(seed).normal(size=(len(matrix), len(NOISE)))
    late = [before.column(name) - matrix.column(name) for name in shadows]
    values = np.column_stack([matrix.values, noise, *late]).astype(np.float32)
    added = (*(f.name for f in NOISE), *(day_before(BY_NAME[name]).name for name in shadows))
    return replace(matrix, values=values, columns=(*matrix.columns, *added))


def fly(fit: FitEach, matrix: Matrix, cuts: Sequence[Cut], plain: Trial, seed: int) -> Canaries:
    """Fit the recipe at each cut on a matrix with canaries, and see what it makes of them.

    fit     the recipe at each cut, on such a matrix; matrix: all examples, as `with_canaries` made it
    plain   the recipe without canaries
    Cost    a fit for each cut
    """
    models, tests = list(fit(matrix)), [matrix.take(cut.test.rows) for cut in cuts]
    trial = replace(plain, models=models, tests=tests)
    share = pushes(trial).mean(axis=0)
    kinds = {}
    for name, columns in _kinds(matrix).items():
        ours = np.array([column in columns for column in matrix.columns])
        mean = float(share[ours].mean())
        kinds[name] = Kind(columns, mean, 1 + int((share[~ours] > mean).sum()), mixed_up(trial, columns, seed))
    return Canaries(kinds, without(plain.pool, plain.draw, trial.said, plain.said), len(matrix.columns))


def _kinds(matrix: Matrix) -> dict[str, tuple[str, ...]]:
    noise = {feature.name for feature in NOISE}
    flying = [name for name in matrix.columns if BY_NAME[name].family == CANARY]
    kinds = {
        "noise": tuple(name for name in flying if name in noise),
        "day_before": tuple(name for name in flying if name not in noise),
    }
    return {name: columns for name, columns in kinds.items() if columns}
