"""How a feature is declared: once, with its meaning, its unit, the tables it needs and the sentences it can become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from features.asked import Asked

Kind = Literal["number", "flag", "category"]
Level = Literal["lead", "rep", "pair"]
Compute = Callable[["Asked"], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Feature:
    """One column of the feature matrix.

    kind      number, flag (0/1) or category (a code into the vocabulary); all float32, NaN where not known
    unit      what a number counts: days, share, count, log_usd, steps, …
    means     the feature in one line, as of the instant asked
    tables    tables and "table.column" without which it cannot be told; one absent makes the column NaN
    helps     the sentence when it speaks for the pair, None when it is never a reason. Placeholders: {value},
              {account}, {rep}, {contact}, {solution}, {when}
    hurts     the sentence when it speaks against the pair
    monotone  1: more never hurts, -1: more never helps, 0: not known
    level     what it depends on: the lead, the rep, or the pair of them (each at an instant)
    """

    name: str
    means: str
    unit: str = "count"
    kind: Kind = "number"
    level: Level = "pair"
    tables: tuple[str, ...] = ()
    helps: str | None = None
    hurts: str | None = None
    monotone: Literal[-1, 0, 1] = 0
    family: str = ""


@dataclass
class Family:
    """Features that are computed together; `computes` registers the one function of each level.

    A level's function takes the Asked and answers one array for each feature of that level, in declared order:
    (leads,), (reps,) or (pairs,) long.
    """

    name: str
    features: tuple[Feature, ...]
    blocks: dict[Level, Compute] = field(default_factory=dict)

    def __init__(self, name: str, *features: Feature) -> None:
        self.name = name
        self.features = tuple(replace(f, family=name) for f in features)
        self.blocks = {}

    def at(self, level: Level) -> tuple[Feature, ...]:
        """The family's features of one level, in declared order."""
        return tuple(f for f in self.features if f.level == level)

    def computes(self, level: Level) -> Callable[[Compute], Compute]:
        """Register the function that computes this family's features of one level."""

        def register(compute: Compute) -> Compute:
            self.blocks[level] = compute
            return compute

        return register
