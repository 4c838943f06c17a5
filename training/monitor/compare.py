"""Then and now, number by number: features, scores, outcomes, the order, calibration; each judged by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.stats import norm

from features.catalogue import BY_NAME
from models.product import Product
from training.blocks import last_in_company
from training.evaluate import calibration_error, perfect_calibration
from training.gate.probabilities import CALIBRATION_MARGIN
from training.monitor.drift import FALSE_ALARMS, FLOOR, RATE_WINDOWS, Usual, limit, psi, share_room, usual
from training.monitor.order import Order, order
from training.monitor.recent import Recent, in_codes_of, scored
from training.monitor.reference import HEADS, WEEK, Counted, Head, Reference, ripened

#: Windows of training that it takes to know how much something moves by itself.
MIN_WINDOWS = 2
#: Weeks of training's windows at most.
LONGEST = 4
#: How far a rate has to move, as a share of itself, before it matters.
LEAST_RATE = 0.10
#: The fall of the area under the ROC curve that matters.
LEAST_ORDER = 0.03
#: The one who is perfectly calibrated stays below in so many of 1,000 runs, both heads together.
QUANTILE = 1 - FALSE_ALARMS / 2

State = Literal["same", "moved", "gone", "not judged"]


@dataclass(frozen=True)
class Moved:
    """One distribution then and now.

    psi, limit    how far it moved, and from where on that is an alarm; limit None: not judged
    then, now     (b,) counts by bin; bins: what a person calls each, the last two are new and missing
    weight        the feature's share of what all features do to a score
    """

    name: str
    family: str
    state: State
    psi: float
    limit: float | None
    weight: float
    then: np.ndarray
    now: np.ndarray
    bins: tuple[str, ...]

    @property
    def missing(self) -> tuple[float, float]:
        """Share of rows without a value, then and now."""
        return _part(self.then, -1), _part(self.now, -1)

    @property
    def new(self) -> float:
        """Share of the window's rows with a value that training never saw."""
        return _part(self.now, -2)


@dataclass(frozen=True)
class Rate:
    """How often one outcome came, then and among the offers that ripened in the window.

    low, high  between them the window's rate would lie if nothing had changed; None: not judged
    end        of the window in which they ripened, microseconds
    weeks_then, weeks_now  (w, 2) offers without and with it by week; training's last week ends at the cut
    """

    state: State
    then: float
    now: float | None
    rows: int
    low: float | None
    high: float | None
    end: int
    weeks_then: np.ndarray
    weeks_now: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """One head on ripe offers made since the cut: its error, what chance explains, and what is allowed beyond.

    told  the model tells this probability at all
    """

    state: State
    rows: int
    told: bool
    error: float | None
    chance: float | None
    allowed: float
    forecast: float | None
    happened: float | None
    p: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    account: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Sorting:
    """How well one head sorts offers, on training's test offers and on ripe offers made since the cut."""

    state: State
    then: Order | None
    now: Order | None
    least: float | None


@dataclass(frozen=True)
class Compared:
    """All of it; unseen: share of the window's offers with any category that training never saw.

    unseen_values  feature -> value -> offers of the window, the most frequent first
    """

    rows: int
    features: tuple[Moved, ...]
    scores: Mapping[Head, Moved]
    rates: Mapping[Head, Rate]
    calibration: Mapping[Head, Calibration]
    sorting: Mapping[Head, Sorting]
    unseen: float
    unseen_values: Mapping[str, Mapping[str, int]]


def compare(recent: Recent, reference: Reference, product: Product) -> Compared:
    """Hold the window, and what ripened in it, against what the product was made from."""
    # A longer window swings no more than a short one, and training holds more of the short ones to tell by.
    length = min(max(1, round((recent.end - recent.start) / WEEK)), LONGEST)
    own = recent.examples.matrix.take(recent.window)
    matrix, unseen = in_codes_of(own, product.vocabulary)
    moved, fresh = [], np.zeros(len(matrix), bool)
    values: dict[str, dict[str, int]] = {}
    for name, counted in reference.features.items():
        column = matrix.columns.index(name)
        place = counted.bins.place(matrix.values[:, column], unseen[:, column])
        words = product.vocabulary.values.get(name, ())
        moved.append(_moved(name, counted, place, length, len(reference.features), reference.weights[name], words))
        if BY_NAME[name].kind == "category":
            new = place == counted.bins.new
            fresh |= new
            values |= _named(name, own.column(name)[new], own.vocabulary.values[name])
    said = scored(product, recent.examples, recent.window)
    scores = {
        head: _score(head, reference.heads[head].said, p, length)
        for head, p in zip(HEADS, (said.p_accept, said.p_convert), strict=True)
    }
    judged = {head: _since_cut(head, recent, reference, product) for head in HEADS}
    return Compared(
        rows=len(recent.window), features=tuple(moved), scores={h: s for h, s in scores.items() if s is not None},
        rates={head: _rate(head, recent, reference, length) for head in HEADS},
        calibration={head: _calibration(head, judged[head]) for head in HEADS},
        sorting={head: _sorting(reference.heads[head].order, judged[head]) for head in HEADS},
        unseen=float(fresh.mean()) if len(fresh) else 0.0, unseen_values=values,
    )  # fmt: skip


def _moved(
    name: str, counted: Counted, place: np.ndarray, length: int, tests: int, weight: float, words: tuple[str, ...] = ()
) -> Moved:
    then, now = counted.total, np.bincount(place, minlength=len(counted.bins)).astype(np.float64)
    far, own = float(psi(then, now)), usual(counted.weeks, length)
    state, most = _state(then, now, far, own, tests)
    family = BY_NAME[name].family if name in BY_NAME else ""
    return Moved(name, family, state, far, most, weight, then, now, tuple(counted.bins.names(words)))


def _state(then: np.ndarray, now: np.ndarray, far: float, own: Usual, tests: int) -> tuple[State, float | None]:
    rows = round(float(now.sum()))
    if rows < FLOOR or then.sum() < FLOOR:
        return "not judged", None
    absent = _part(then, -1)
    # Told in training and by no row now: so many rows in a row without a value are no chance.
    if now[-1] == rows and absent < 1 and rows * np.log(max(absent, 1e-300)) < np.log(FALSE_ALARMS / tests):
        return "gone", limit(then, rows, own.spread, tests)
    if own.windows < MIN_WINDOWS:
        return "not judged", None
    most = limit(then, rows, own.spread, tests)
    return ("moved" if far > most else "same"), most


def _part(counts: np.ndarray, place: int) -> float:
    total = float(counts.sum())
    return float(counts[place]) / total if total else 0.0


def _named(name: str, codes: np.ndarray, words: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Values of a category by how many rows hold them; codes in the vocabulary of the words."""
    code, count = np.unique(codes.astype(np.int64), return_counts=True)
    order_ = np.argsort(-count, kind="stable")
    return {name: {words[code[i]]: int(count[i]) for i in order_}} if len(code) else {}


def _score(head: Head, counted: Counted | None, p: np.ndarray, length: int) -> Moved | None:
    """The window's probabilities against those of training's test offers."""
    if counted is None or not np.isfinite(p).all():
        return None
    return _moved(f"p_{head}", counted, counted.bins.place(p), length, len(HEADS), 0.0)


# -- Outcomes -------------------------------------------------------------------------------------------------------


def _rate(head: Head, recent: Recent, reference: Reference, length: int) -> Rate:
    """A rate moves by chance and by itself, as it did from window to window in training."""
    weeks = reference.heads[head].weeks
    then = reference.heads[head].rate
    span = recent.end - recent.start
    _, _, ripe = ripened(head, recent.examples, None, recent.log_end)
    end = min(recent.log_end, last_in_company(ripe, span)) if len(ripe) else recent.log_end
    _, outcome, ripe = ripened(head, recent.examples, end - span, end)
    place = (end - ripe) // WEEK
    by = np.zeros((int(place.max(initial=-1)) + 1, 2), np.int64)
    np.add.at(by, (len(by) - 1 - place, outcome.astype(np.int64)), 1)
    rows, now = len(outcome), float(outcome.mean()) if len(outcome) else None
    own = usual(weeks, length, RATE_WINDOWS)
    if rows < FLOOR or weeks.sum() < FLOOR or own.windows < MIN_WINDOWS or not 0 < then < 1 or now is None:
        return Rate("not judged", then, now, rows, None, None, end, weeks, by)
    room = max(share_room(then, rows, int(weeks.sum()), own, len(HEADS)), LEAST_RATE * then)
    state: State = "moved" if abs(now - then) > room else "same"
    return Rate(state, then, now, rows, max(then - room, 0.0), min(then + room, 1.0), end, weeks, by)


@dataclass(frozen=True)
class _Judged:
    """(n,) probability, outcome and account of ripe offers made since the cut: the model can't have learned them."""

    p: np.ndarray
    y: np.ndarray
    account: np.ndarray
    told: bool


def _since_cut(head: Head, recent: Recent, reference: Reference, product: Product) -> _Judged:
    rows, outcome, _ = ripened(head, recent.examples, None, recent.log_end)
    later = recent.examples.offered[rows] >= reference.cut
    rows, outcome = rows[later], outcome[later]
    said = scored(product, recent.examples, rows)
    p = said.p_accept if head == "accept" else said.p_convert
    known = np.isfinite(p)
    told = bool(known.any()) or not len(p)
    return _Judged(p[known], outcome[known], recent.examples.account[rows][known], told)


def _calibration(head: Head, seen: _Judged) -> Calibration:
    p, y, allowed = seen.p, seen.y, CALIBRATION_MARGIN[head]
    if len(p) < FLOOR:
        return Calibration("not judged", len(p), seen.told, None, None, allowed, None, None, p, y, seen.account)
    error, chance = calibration_error(p, y), perfect_calibration(p, QUANTILE, draws=4000)
    state: State = "moved" if error > chance + allowed else "same"
    forecast, happened = float(p.mean()), float(y.mean())
    return Calibration(state, len(p), True, error, chance, allowed, forecast, happened, p, y, seen.account)


def _sorting(then: Order | None, seen: _Judged) -> Sorting:
    now = order(seen.p, seen.y, seen.account) if len(seen.p) >= FLOOR else None
    if then is None or now is None:
        return Sorting("not judged", then, now, None)
    sure = float(norm.ppf(1 - FALSE_ALARMS / len(HEADS))) * float(np.hypot(then.error, now.error))
    least = then.value - max(sure, LEAST_ORDER)
    return Sorting("moved" if now.value < least else "same", then, now, least)
