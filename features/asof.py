"""As-of lookups: facts sorted by entity and instant, so that a binary search answers "what was known at t"."""

from __future__ import annotations

import numpy as np

#: No instant. The smallest int64, which is also how numpy writes NaT.
NAT = np.iinfo(np.int64).min
NEVER = np.iinfo(np.int64).max
DAY = 86_400_000_000
#: From so many asks on, a log is searched within each entity's own facts instead of as one sorted whole.
MANY = 2_000
#: Only where entities have fewer facts than this on average: a bisection of long spans takes too many steps.
SHORT = 64


def later(*instants: np.ndarray) -> np.ndarray:
    """The latest of several (n,) instants; NAT counts as long ago, so a missing known_at changes nothing."""
    result = instants[0]
    for other in instants[1:]:
        result = np.maximum(result, other)
    return result


class Pairs:
    """Dense codes for the pairs of two codes that occur: (rep, account), (contact, solution), …"""

    def __init__(self, left: np.ndarray, right: np.ndarray, width: int) -> None:
        self.width = max(width, 1)
        known = (left >= 0) & (right >= 0)
        raw = np.where(known, left.astype(np.int64) * self.width + right, -1)
        self.keys = np.unique(raw[known])
        self.members = self._find(raw)

    def _find(self, raw: np.ndarray) -> np.ndarray:
        if not len(self.keys):
            return np.full(len(raw), -1, np.int64)
        place = np.searchsorted(self.keys, raw)
        np.minimum(place, len(self.keys) - 1, out=place)
        return np.where(self.keys[place] == raw, place, -1)

    def codes(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(n,) code of each pair, -1 where it never occurs."""
        raw = left.astype(np.int64) * self.width + right
        return self._find(np.where((left >= 0) & (right >= 0), raw, -1))

    def __len__(self) -> int:
        return len(self.keys)


class Log:
    """Facts of many entities, each entity's in the order in which they became known.

    key    (m,) entity code, -1 leaves the fact out
    known  (m,) instant since which the fact counts: the later of its own time and known_at; NAT leaves it out
    order  positions of the kept facts in the caller's arrays, in the log's order
    """

    def __init__(self, key: np.ndarray, known: np.ndarray, entities: int) -> None:
        kept = np.flatnonzero((key >= 0) & (known != NAT))
        self.instants, rank = np.unique(known[kept], return_inverse=True)
        self.stride = len(self.instants) + 1
        code = key[kept].astype(np.int64) * self.stride + rank
        within = np.argsort(code, kind="stable")
        self.order = kept[within]
        self.code = code[within]
        self.times = known[self.order]
        # One entity at least, so that a log of nothing answers nothing instead of failing.
        self.starts = np.searchsorted(self.code, np.arange(max(entities, 1) + 1, dtype=np.int64) * self.stride)

    def span(self, key: np.ndarray, t: np.ndarray, *, before: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(start, stop) in log order of each entity's facts known by its instant (strictly before it, if so asked)."""
        known = np.maximum(key, 0)
        start = self.starts[known]
        if len(key) > MANY and len(self.code) < SHORT * len(self.starts):
            stop = self._bisect(start, self.starts[known + 1], t, before)
        else:
            rank = np.searchsorted(self.instants, t, side="left" if before else "right")
            stop = np.searchsorted(self.code, known * self.stride + rank, side="left")
        return start, np.where(key >= 0, np.maximum(stop, start), start)

    def _bisect(self, low: np.ndarray, high: np.ndarray, t: np.ndarray, before: bool) -> np.ndarray:
        """(n,) the same stop, searched within each entity's own facts: for many asks, far fewer cache misses."""
        low, open_ = low.copy(), np.flatnonzero(low < high)
        low_, high_, at = low[open_], high[open_], t[open_]
        while len(open_):
            middle = (low_ + high_) >> 1
            instant = self.times[middle]
            right = instant < at if before else instant <= at
            low_ = np.where(right, middle + 1, low_)
            high_ = np.where(right, high_, middle)
            going = low_ < high_
            if not going.all():
                low[open_] = low_
                open_, low_, high_, at = open_[going], low_[going], high_[going], at[going]
        return low

    def count(self, key: np.ndarray, t: np.ndarray, *, before: bool = False) -> np.ndarray:
        """(n,) how many facts of each entity are known by its instant."""
        start, stop = self.span(key, t, before=before)
        return stop - start


class Sums:
    """Cumulative sums along a log: the total of a value over an entity's facts known by t."""

    def __init__(self, log: Log, value: np.ndarray) -> None:
        self.log = log
        self.total = np.concatenate([[0.0], np.cumsum(value[log.order], dtype=np.float64)])

    def between(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """(n,) sum over each span of the log. Exact for counts and flags: cumulated integers stay integers."""
        return np.asarray(self.total[stop] - self.total[start])


class Latest:
    """The greatest of a value (an instant, say) among an entity's facts known by t."""

    def __init__(self, log: Log, value: np.ndarray) -> None:
        self.log = log
        ordered = value[log.order].astype(np.int64)
        # One running maximum over all entities at once: each entity's values are lifted above those before it.
        entity = log.code // log.stride
        place = np.unique(ordered, return_inverse=True)[1] if len(ordered) else np.zeros(0, np.int64)
        lifted = entity * (len(ordered) + 1) + place
        top = np.maximum.accumulate(lifted) if len(lifted) else lifted
        values = np.unique(ordered)
        self.running = values[top - entity * (len(ordered) + 1)] if len(lifted) else ordered

    def at(self, key: np.ndarray, t: np.ndarray, *, before: bool = False) -> np.ndarray:
        """(n,) int64, NAT where nothing is known yet."""
        start, stop = self.log.span(key, t, before=before)
        found = stop > start
        return np.where(found, self.running[np.maximum(stop - 1, 0)] if len(self.running) else NAT, NAT)


def expand(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spell spans out: (owner, position), one row for each position of each span, spans in order."""
    length = stop - start
    owner = np.repeat(np.arange(len(start)), length)
    first = np.cumsum(length) - length
    position = np.arange(len(owner)) - np.repeat(first - start, length)
    return owner, position


class Column:
    """One attribute of an entity, read as of an instant.

    base     (entities,) value that the table holds: float64, or codes (int64, -1 null)
    visible  (entities,) since when the table's value may be read as a feature; NEVER: the table must not be believed
             for the past (what outcomes move), NAT: always (descriptions)
    A filter reads the table's latest value where there is no history.
    """

    def __init__(self, base: np.ndarray, visible: np.ndarray | None = None) -> None:
        self.base = base
        self.visible = visible
        self.null = np.nan if base.dtype.kind == "f" else -1
        self.log: Log | None = None
        self.early = base

    def with_history(
        self, entity: np.ndarray, valid_from: np.ndarray, known_at: np.ndarray, value: np.ndarray
    ) -> Column:
        """Add what `changes` tells: (m,) rows; of those known at t the one valid last counts."""
        self.log = Log(entity, later(valid_from, known_at), len(self.base))
        self._forget_outcome_of_history(entity, valid_from, value)
        ordered_from = valid_from[self.log.order]
        owner = self.log.code // self.log.stride
        rank = np.unique(ordered_from, return_inverse=True)[1] if len(ordered_from) else ordered_from
        size = len(ordered_from) + 1
        # Position breaks ties, so of two rows valid from the same instant the one known last wins.
        lifted = (owner * size + rank) * size + np.arange(size - 1)
        winner = np.maximum.accumulate(lifted) % size if len(lifted) else lifted
        self.values = value[self.log.order][winner]
        return self

    def _forget_outcome_of_history(self, entity: np.ndarray, valid_from: np.ndarray, value: np.ndarray) -> None:
        """Where the table shows what the last change made of it, it does not tell what was there before the first."""
        rows = np.flatnonzero(entity >= 0)
        rows = rows[np.lexsort((rows, valid_from[rows], entity[rows]))]
        last = rows[np.append(entity[rows][1:] != entity[rows][:-1], True)] if len(rows) else rows
        told = self.base[entity[last]]
        same = (told == value[last]) | (np.isnan(told) & np.isnan(value[last]) if told.dtype.kind == "f" else False)
        self.early = self.base.copy()
        self.early[entity[last][same]] = self.null

    @property
    def tracked(self) -> bool:
        """Whether `changes` tells of this column."""
        return self.log is not None

    def told(self, entity: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) bool: whether anything, be it null, is known of the value as of each instant."""
        at = np.maximum(entity, 0)
        known = np.ones(len(at), dtype=bool) if self.visible is None else t >= self.visible[at]
        if self.log is not None:
            start, stop = self.log.span(entity, t)
            known |= stop > start
        return known & (entity >= 0)

    def read(self, entity: np.ndarray, t: np.ndarray, *, latest: bool = False) -> np.ndarray:
        """(n,) the value as of each instant; `latest` reads the table's value where history is silent (filters)."""
        at = np.maximum(entity, 0)
        value = self.base[at] if latest else self.early[at]
        if self.visible is not None and not latest:
            value = np.where(t >= self.visible[at], value, self.null)
        if self.log is not None and len(self.values):
            start, stop = self.log.span(entity, t)
            value = np.where(stop > start, self.values[np.maximum(stop - 1, 0)], value)
        return np.where(entity >= 0, value, self.null)
