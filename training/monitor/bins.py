"""How a feature's values are counted: in bins of its own, one for what training never saw, and one for missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 10
#: Categories that get a bin of their own, the most frequent; the others share one.
OWN = 20


@dataclass(frozen=True)
class Bins:
    """The bins of one feature, b of them, of which the last two are for new and for missing values.

    edges  (b - 2,) a number's upper ends, the last one the greatest value seen; low: the least
    own    a category's codes with a bin each, the most frequent first; other: those that share the bin after them
    """

    edges: np.ndarray
    low: float
    own: tuple[int, ...] | None = None
    other: tuple[int, ...] = ()

    @classmethod
    def of_numbers(cls, values: np.ndarray) -> Bins:
        """Bins of equal numbers of the (n,) values that are known; equal values share one."""
        known = values[~np.isnan(values)].astype(np.float64)
        if not len(known):
            return cls(np.empty(0), np.inf)
        inner = np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf")
        return cls(np.unique(np.append(inner, known.max())), float(known.min()))

    @classmethod
    def of_codes(cls, codes: np.ndarray) -> Bins:
        """Bins of (n,) category codes, NaN left out."""
        value, count = np.unique(codes[~np.isnan(codes)].astype(np.int64), return_counts=True)
        ordered = value[np.lexsort((value, -count))].tolist()
        return cls(np.empty(0), np.inf, tuple(ordered[:OWN]), tuple(sorted(ordered[OWN:])))

    @property
    def ordinary(self) -> int:
        """Bins of values that training saw."""
        return len(self.edges) if self.own is None else len(self.own) + bool(self.other)

    def __len__(self) -> int:
        return self.ordinary + 2

    @property
    def new(self) -> int:
        """The bin of values beyond the range, or of a category, that training never saw."""
        return self.ordinary

    @property
    def missing(self) -> int:
        """The bin of values that are not known."""
        return self.ordinary + 1

    def place(self, values: np.ndarray, unseen: np.ndarray | None = None) -> np.ndarray:
        """(n,) int64 bin of each value.

        unseen  (n,) bool: NaN because the model's vocabulary lacks the category, and not for want of a value
        """
        absent = np.isnan(values)
        if self.own is None:
            place = np.searchsorted(self.edges, values.astype(np.float64), side="left")
            place[values < self.low] = self.new
        else:
            known = np.array([*self.own, *self.other], np.int64)
            bin_of = np.minimum(np.arange(len(known)), self.ordinary - 1)
            order = np.argsort(known, kind="stable")
            code = np.where(absent, -1, values).astype(np.int64)
            at = np.minimum(np.searchsorted(known[order], code), max(len(known) - 1, 0))
            hit = known[order][at] == code if len(known) else np.zeros(len(code), bool)
            place = np.where(hit, bin_of[order][at] if len(known) else self.new, self.new)
        place = np.where(absent, self.missing, place)
        return np.asarray(place if unseen is None else np.where(unseen, self.new, place), dtype=np.int64)

    def names(self, words: tuple[str, ...] = ()) -> list[str]:
        """What a person calls each bin; words: the category's values by code."""
        if self.own is not None:
            named = [words[code] if code < len(words) else str(code) for code in self.own]
            return [*named, *(["others"] * bool(self.other)), "new", "missing"]
        said = [f"to {_short(edge)}" for edge in self.edges.tolist()]
        if said and self.low == self.edges[0]:
            said[0] = _short(self.low)
        return [*said, "new", "missing"]

    def as_json(self) -> dict[str, Any]:
        """The bins as JSON values."""
        if self.own is not None:
            return {"own": list(self.own), "other": list(self.other)}
        return {"edges": self.edges.tolist(), "low": self.low if len(self.edges) else None}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Bins:
        """The bins that `as_json` wrote."""
        if "own" in content:
            return cls(np.empty(0), np.inf, tuple(content["own"]), tuple(content["other"]))
        low = content["low"]
        return cls(np.array(content["edges"], np.float64), np.inf if low is None else float(low))


def _short(value: float) -> str:
    """Three digits, and no power of ten below a million."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
