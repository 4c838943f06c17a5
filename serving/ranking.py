"""A question's candidates, filtered and ranked: everything from which an answer and a decision are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.book import Book
from features.eligibility import RULES as REFUSALS
from features.errors import UnknownId
from features.matrix import Matrix
from models.assignment import turns
from models.product import Product
from serving.ladder import Standing

#: Sides of a call sheet or plan beside that of the model; rules rank both.
HELD_OUT, OBJECTING = 1, 2
#: Why no model scored a lead that one could have.
OBJECTS: Final = "the contact objects to profiling, so no model scores the lead"


@dataclass(frozen=True)
class Order:
    """Scored pairs: (n,) each, NaN where rules rank; rung of the best.

    side  (n,) int of many leads' pairs: 0 the model ranks it, HELD_OUT, OBJECTING; None: all alike
    """

    score: np.ndarray
    p_accept: np.ndarray
    p_convert: np.ndarray
    value: np.ndarray
    rung: str
    reason: str | None
    matrix: Matrix | None = None
    product: Product | None = None
    side: np.ndarray | None = None

    def best(self, ids: np.ndarray, k: int, starts: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
        """Positions of the first k of n: by expected value where there is one, then by score; ties by id.

        The sides take turns, so that none is put behind another; starts: as in `models.assignment.turns`.
        """
        value = np.where(np.isnan(self.value), -np.inf, self.value)
        order = np.lexsort((ids, -self.score, -value))
        if self.side is None:
            return order[:k]
        side = self.side[order]
        turn = turns(np.bincount(side, minlength=1).tolist(), starts)
        best = np.empty_like(order)
        for one in range(int(side.max(initial=0)) + 1):
            best[turn == one] = order[side == one]
        return best[:k]


def ruled(score: np.ndarray, rung: str, reason: str | None, matrix: Matrix | None = None) -> Order:
    """The order of pairs that rules have scored: no probability, no worth."""
    none = np.full(len(score), np.nan)
    return Order(score, none, none, none, rung, reason, matrix)


@dataclass(frozen=True)
class Held:
    """The open offers of the rep who is asked about, scored as of now: they stand above what is ranked.

    ids     (m,) of their leads, pairs: the codes of lead and rep; offers: lead_id -> offer_id
    best    (m,) positions in the order of their scores, the best first
    """

    ids: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray]
    offers: Mapping[str, str]
    order: Order
    best: np.ndarray


@dataclass(frozen=True)
class Line:
    """A line of an answer: whom it names, the codes of its lead and rep, and its features, where they were made."""

    one: str
    lead: int
    rep: int
    vector: np.ndarray | None


@dataclass(frozen=True)
class Ranking:
    """Candidates of one question, filtered and ranked.

    ranked   rep_id or lead_id: the side that differs; ids (c,): the candidates' own
    refused  (c,) 0, or the place in REFUSALS, from 1, of the rule that refuses
    rows     (n,) candidates that were scored; order: their scores; best: (n,) positions in rows, the best first
    now      the instant of the question, int64 microseconds UTC; rep: code of the rep who is asked about, if one is
    pairs    (c,) codes of each candidate's lead and rep
    held     what stands above them on a rep's call sheet
    """

    ranked: str
    ids: np.ndarray
    refused: np.ndarray
    rows: np.ndarray
    order: Order
    best: np.ndarray
    standing: Standing
    now: int
    pairs: tuple[np.ndarray, np.ndarray]
    rep: int | None = None
    held: Held | None = None

    @property
    def best_ids(self) -> list[str]:
        """The ids that were ranked, the best first."""
        return [str(one) for one in self.ids[self.rows[self.best]]]

    def pairs_of(self, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of the leads and of the reps of positions in rows."""
        lead, rep = self.pairs
        return lead[self.rows[best]], rep[self.rows[best]]

    def lines(self, k: int) -> list[Line]:
        """The first k lines: what is held, then what is ranked."""
        first = [] if self.held is None else _lines(self.held.ids, self.held.pairs, self.held.order, self.held.best[:k])
        best = self.best[: k - len(first)]
        lead, rep = self.pairs
        pairs = lead[self.rows], rep[self.rows]
        return [*first, *_lines(self.ids[self.rows], pairs, self.order, best)]

    @property
    def product(self) -> Product | None:
        """The model that scored any of it; None: none did."""
        return self.order.product or (self.held.order.product if self.held is not None else None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the features of its lines."""
        orders = [self.order] if self.held is None else [self.order, self.held.order]
        return next((one.matrix.columns for one in orders if one.matrix is not None), ())

    @property
    def counted(self) -> dict[str, int]:
        """How many each rule refused, in the order of the rules."""
        counts = np.bincount(self.refused, minlength=len(REFUSALS) + 1)
        return {rule: int(n) for rule, n in zip(REFUSALS, counts[1:], strict=True) if n}

    @property
    def refused_ids(self) -> dict[str, list[str]]:
        """Whom each rule refused, in the order of the rules."""
        found: dict[int, list[str]] = {}
        for one, code in zip(self.ids.tolist(), self.refused.tolist(), strict=True):
            if code:
                found.setdefault(code, []).append(str(one))
        return {REFUSALS[code - 1]: found[code] for code in sorted(found)}

    def without(self, ids: Mapping[str, str]) -> Ranking:
        """The ranking in which some candidates are refused too, each by the rule that it is told."""
        if not ids:
            return self
        refused = self.refused.copy()
        for place in np.flatnonzero(np.isin(self.ids, list(ids))):
            refused[place] = REFUSALS.index(ids[str(self.ids[place])]) + 1
        return replace(self, refused=refused, best=self.best[refused[self.rows[self.best]] == 0])


def _lines(ids: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], order: Order, best: np.ndarray) -> list[Line]:
    """Positions in an order of (n,) pairs, as lines."""
    known = order.matrix
    return [
        Line(str(ids[i]), int(pairs[0][i]), int(pairs[1][i]), known.values[i] if known is not None else None)
        for i in best.tolist()
    ]


def codes_of(book: Book, lead_ids: Sequence[str], rep_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) codes of the two sides of named pairs. Raises UnknownId, whose field names the pair: pairs[3].lead_id."""
    found = []
    for index, ids, name in ((book.lead_index, lead_ids, "lead_id"), (book.rep_index, rep_ids, "rep_id")):
        try:
            found.append(index.codes(ids))
        except UnknownId:
            for place, value in enumerate(ids):
                index.code(value, f"pairs[{place}].{name}")  # raises, naming the pair
    return found[0], found[1]
