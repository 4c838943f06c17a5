"""How a feature matrix becomes the linear start's input: standardised numbers, missing indicators and effect codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from features.catalogue import BY_NAME
from features.errors import UsageError
from features.matrix import Matrix
from models.recipe import Cross, Recipe

#: A number stands in an effect by its band: each of its values (level: 0 staff … 5 C-level) where it has no more than
#: this many, else so many bands of equal numbers of training rows.
BANDS = 8
#: Share of the training rows on either side beyond which a number is clipped.
TAIL = 0.005


@dataclass(frozen=True)
class Effect:
    """One pooled effect: the code of a row is `a * sizes[1] + b`; a missing part gives the last code, weight 0."""

    columns: tuple[int, ...]
    sizes: tuple[int, ...]
    speaks: int
    spread: float

    @property
    def size(self) -> int:
        """Values of the effect, without the one for missing."""
        return int(np.prod(self.sizes))


@dataclass(frozen=True)
class Design:
    """The linear start's view of a matrix of f columns.

    numbers   (k,) positions of its numbers; low, high, mean, scale (k,) float64: clipped, then standardised
    missing   (m,) positions of those numbers whose absence is told apart
    effects   pooled effects, categories' own values among them
    bands     position of a number that stands in an effect -> (b - 1,) ascending float64 edges of its b bands
    """

    numbers: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    missing: np.ndarray
    effects: tuple[Effect, ...]
    bands: Mapping[int, np.ndarray]

    @classmethod
    def learn(cls, matrix: Matrix, recipe: Recipe, columns: Sequence[str]) -> Design:
        """Learn ranges from the (n, f) training matrix, of the named columns only."""
        place = {name: i for i, name in enumerate(matrix.columns)}
        numbers = np.array([place[c] for c in columns if BY_NAME[c].kind != "category"], np.int64)
        values = matrix.values[:, numbers].astype(np.float64)
        known = ~np.isnan(values)
        told = known.sum(axis=0)
        safe = np.where(known | (told == 0), np.where(known, values, 0.0), np.nan)
        low, high = np.nanquantile(safe, [TAIL, 1 - TAIL], axis=0) if len(values) else np.zeros((2, len(numbers)))
        # A flag that is rarely set must not be clipped away.
        flags = np.array([BY_NAME[matrix.columns[i]].kind == "flag" for i in numbers], bool)
        low, high = np.where(flags, 0.0, low), np.where(flags, 1.0, high)
        values = np.clip(values, low, high)
        count = np.maximum(told, 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        scale = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count)
        keep = scale > 1e-9
        some_missing = (told > 0) & (told < len(values))
        bands = _bands(matrix, recipe, set(columns), place)
        return cls(
            numbers[keep],
            low[keep],
            high[keep],
            mean[keep],
            # A column that hardly moves (a flag set on one row in 10,000) must not get a huge standardised value.
            np.maximum(scale[keep], np.where(flags[keep], 0.05, 0.0)),
            numbers[some_missing],
            tuple(_effects(matrix, recipe, set(columns), place, bands)),
            bands,
        )

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, k + m) float64 standardised numbers and missing indicators, and (e, n) int64 effect codes."""
        x = values[:, self.numbers].astype(np.float64)
        np.maximum(x, self.low, out=x)
        np.minimum(x, self.high, out=x)
        x -= self.mean
        x /= self.scale
        x[np.isnan(x)] = 0.0
        dense = np.concatenate([x, np.isnan(values[:, self.missing])], axis=1)
        return dense, self.codes(values)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """(e, n) int64 code of each effect; a missing or unseen part gives the effect's last code."""
        index = self._index
        parts = values[:, index.columns].T.astype(np.float64)
        for row, edges in index.banded:
            known = ~np.isnan(parts[row])
            parts[row, known] = np.searchsorted(edges, parts[row, known], side="right")
        with np.errstate(invalid="ignore"):
            bad = ~((parts > -0.5) & (parts < index.limits[:, None]))  # NaN is neither
        parts = np.rint(np.where(bad, 0.0, parts)).astype(np.int64)
        codes = parts[index.first] * index.times[:, None] + np.where(index.paired[:, None], parts[index.second], 0)
        missing = bad[index.first] | (bad[index.second] & index.paired[:, None])
        return np.where(missing, index.sizes[:, None], codes)

    @property
    def sizes(self) -> np.ndarray:
        """(e,) int64 values of each effect, without the one for missing."""
        return self._index.sizes

    @cached_property
    def _index(self) -> _Index:
        columns = sorted({column for effect in self.effects for column in effect.columns})
        limit = {column: size for e in self.effects for column, size in zip(e.columns, e.sizes, strict=True)}
        place = {column: i for i, column in enumerate(columns)}
        return _Index(
            np.array(columns, np.int64),
            np.array([limit[column] - 0.5 for column in columns]),
            np.array([place[effect.columns[0]] for effect in self.effects], np.int64),
            np.array([place[effect.columns[-1]] for effect in self.effects], np.int64),
            np.array([len(effect.columns) == 2 for effect in self.effects], bool),
            np.array([effect.sizes[1] if len(effect.columns) == 2 else 1 for effect in self.effects], np.int64),
            np.array([effect.size for effect in self.effects], np.int64),
            tuple((place[column], edges) for column, edges in sorted(self.bands.items()) if column in place),
        )

    def as_json(self) -> dict[str, Any]:
        """The design as JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        effects = [
            {"columns": e.columns, "sizes": e.sizes, "speaks": e.speaks, "spread": e.spread} for e in self.effects
        ]
        bands = {str(column): edges.tolist() for column, edges in sorted(self.bands.items())}
        return arrays | {"effects": effects, "bands": bands}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Design:
        """The design that `as_json` wrote."""
        arrays = {name: np.array(content[name], kind) for name, kind in _ARRAYS.items()}
        effects = tuple(
            Effect(tuple(e["columns"]), tuple(e["sizes"]), e["speaks"], e["spread"]) for e in content["effects"]
        )
        bands = {int(column): np.array(edges, np.float64) for column, edges in content["bands"].items()}
        return cls(**arrays, effects=effects, bands=bands)


@dataclass(frozen=True)
class _Index:
    """The effects as arrays, so that all are coded at once: (u,) columns that occur with the code from which a value
    is unseen, and for each of e effects the places of its first and second column and what the first counts; banded:
    place among the columns and edges of each number."""

    columns: np.ndarray
    limits: np.ndarray
    first: np.ndarray
    second: np.ndarray
    paired: np.ndarray
    times: np.ndarray
    sizes: np.ndarray
    banded: tuple[tuple[int, np.ndarray], ...]


_ARRAYS = {
    "numbers": np.int64,
    "low": np.float64,
    "high": np.float64,
    "mean": np.float64,
    "scale": np.float64,
    "missing": np.int64,
}


def _effects(
    matrix: Matrix, recipe: Recipe, columns: set[str], place: dict[str, int], bands: Mapping[int, np.ndarray]
) -> list[Effect]:
    """Each category's own values, then the recipe's crosses; those of a column that is left out are left out."""
    own = [
        Cross(columns=(c,), spread=recipe.linear.category, speaks=c)
        for c in matrix.columns
        if c in columns and BY_NAME[c].kind == "category" and c != "rep_id"
    ]
    effects = []
    for cross in (*own, *recipe.linear.crosses):
        if not set(cross.columns) <= columns:
            continue
        sizes = tuple(
            len(matrix.vocabulary.values[c]) if BY_NAME[c].kind == "category" else len(bands[place[c]]) + 1
            for c in cross.columns
        )
        if min(sizes) > 0:
            speaks = cross.speaks if cross.speaks in columns else cross.columns[-1]
            effects.append(Effect(tuple(place[c] for c in cross.columns), sizes, place[speaks], cross.spread))
    return effects


def _bands(matrix: Matrix, recipe: Recipe, columns: set[str], place: dict[str, int]) -> dict[int, np.ndarray]:
    """Edges of each number that stands in one of the recipe's crosses."""
    named = {c for cross in recipe.linear.crosses if set(cross.columns) <= columns for c in cross.columns}
    directed = sorted(c for c in named if BY_NAME[c].monotone)
    if directed:
        raise UsageError(f"{directed[0]} has a declared direction, so it cannot stand in a cross.", field="crosses")
    numbers = sorted(place[c] for c in named if BY_NAME[c].kind != "category")
    return {i: _edges(matrix.values[:, i].astype(np.float64)) for i in numbers}


def _edges(values: np.ndarray) -> np.ndarray:
    """(b - 1,) ascending edges between bands of (n,) values: half-way between few values, else quantiles."""
    known = values[~np.isnan(values)]
    there = np.unique(known)
    if len(there) <= BANDS:
        return np.asarray((there[1:] + there[:-1]) / 2)
    return np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1]))
