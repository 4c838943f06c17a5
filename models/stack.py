"""The starts and boosters of one product, and the raw scores that they give before any head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from models.boosters import Booster
from models.linear import LinearStart
from models.scores import log_sigmoid

Outcome = Literal["accept", "convert"]
OUTCOMES: tuple[Outcome, Outcome] = ("accept", "convert")


@dataclass(frozen=True)
class Raw:
    """Raw scores of n pairs, (n,) float64 each: logits of the starts, the same with their trees, the ranker's trees."""

    accept_start: np.ndarray
    convert_start: np.ndarray
    accept: np.ndarray
    convert: np.ndarray
    ranker: np.ndarray

    def take(self, rows: np.ndarray) -> Raw:
        """The scores of some rows."""
        return Raw(*(getattr(self, field.name)[rows] for field in fields(self)))

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
