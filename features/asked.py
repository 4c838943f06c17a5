"""What one call of the engine asks for, spelled out by level: leads, reps and pairs, each at its instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from features.matrix import Vocabulary

if TYPE_CHECKING:
    from features.book import Book
    from features.config import Config

T = TypeVar("T")


class Coding:
    """From the book's codes of each category feature to the vocabulary's, one table each, made once for an engine.

    unseen   is told of categories that were asked for and that the vocabulary lacks: the feature, and how often
    """

    def __init__(
        self,
        words: Mapping[str, Sequence[str]],
        vocabulary: Vocabulary,
        unseen: Callable[[str, int], None] | None = None,
    ) -> None:
        self.tables = {
            # The last place answers code -1: null.
            feature: np.append(vocabulary.recode(feature, np.array(values, dtype=object)), np.float32(np.nan))
            for feature, values in words.items()
        }
        self._unseen = unseen
        # Of the features alone whose words it does not all hold, so that it costs nothing where it holds them.
        lacks = {feature: np.append(np.isnan(table[:-1]), False) for feature, table in self.tables.items()}
        self._lacks = {feature: those for feature, those in lacks.items() if those.any()}

    def untold(self) -> Coding:
        """The same by the same tables; nobody is told of what they lack."""
        quiet = copy(self)
        quiet._unseen = None
        return quiet

    def recode(self, feature: str, codes: np.ndarray) -> np.ndarray:
        """(n,) float32 of the book's codes (n,), of which -1 is null."""
        if self._unseen is not None and feature in self._lacks:
            met = int(np.count_nonzero(self._lacks[feature][codes]))
            if met:
                self._unseen(feature, met)
        return np.asarray(self.tables[feature][codes])


@dataclass(frozen=True)
class LeadsAt:
    """Distinct (lead, instant): codes into the book, (l,) each."""

    lead: np.ndarray
    contact: np.ndarray
    account: np.ndarray
    solution: np.ndarray
    t: np.ndarray

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class RepsAt:
    """Distinct (rep, instant): codes into the book, (r,) each."""

    rep: np.ndarray
    t: np.ndarray

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class Asked:
    """The pairs of one call; lead_row and rep_row (n,) point into `leads` and `reps`."""

    book: Book
    config: Config
    leads: LeadsAt
    reps: RepsAt
    lead_row: np.ndarray
    rep_row: np.ndarray
    coding: Coding
    _shared: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, book: Book, config: Config, coding: Coding, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> Asked:
        """Find the distinct leads and reps among (n,) pairs of codes with (n,) int64 instants."""
        lead_first, lead_row = _distinct(lead, t)
        rep_first, rep_row = _distinct(rep, t)
        asked_lead, asked_t = lead[lead_first], t[lead_first]
        contact = book.leads.contact[asked_lead]
        leads = LeadsAt(
            asked_lead, contact, book.account_of(asked_lead, asked_t), book.leads.solution[asked_lead], asked_t
        )
        return cls(book, config, leads, RepsAt(rep[rep_first], t[rep_first]), lead_row, rep_row, coding)

    def __len__(self) -> int:
        return len(self.lead_row)

    def category(self, feature: str, codes: np.ndarray) -> np.ndarray:
        """The book's codes of a category feature as the vocabulary's; NaN for null and for what it does not hold."""
        return self.coding.recode(feature, codes)

    def shared(self, name: str, compute: Callable[[Asked], T]) -> T:
        """What several blocks of one call need, computed once."""
        if name not in self._shared:
            self._shared[name] = compute(self)
        found: T = self._shared[name]
        return found

    @cached_property
    def account(self) -> np.ndarray:
        """(n,) account code of each pair."""
        return self.leads.account[self.lead_row]

    @cached_property
    def contact(self) -> np.ndarray:
        """(n,) contact code of each pair."""
        return self.leads.contact[self.lead_row]

    @cached_property
    def solution(self) -> np.ndarray:
        """(n,) solution code of each pair."""
        return self.leads.solution[self.lead_row]

    @cached_property
    def rep(self) -> np.ndarray:
        """(n,) rep code of each pair."""
        return self.reps.rep[self.rep_row]

    @cached_property
    def t(self) -> np.ndarray:
        """(n,) instant of each pair."""
        return self.leads.t[self.lead_row]


def _distinct(code: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first positions, inverse) of the distinct (code, instant)."""
    if len(t) and (t == t[0]).all():  # a request asks for one instant: no need to sort instants
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        return first, inverse
    instants, rank = np.unique(t, return_inverse=True)
    _, first, inverse = np.unique(
        code.astype(np.int64) * max(len(instants), 1) + rank, return_index=True, return_inverse=True
    )
    return first, inverse
