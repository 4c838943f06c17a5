"""What a week is worth: of the leads that a rep can take in one, as many as he is there to work for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from features.asof import NAT, Log, Pairs, later
from features.clock import Hours, covered, instant, worked
from features.entities import facts, instants

if TYPE_CHECKING:
    from features.book import Book

#: Since when something is known that always was; a log leaves out what has no instant at all.
_ALWAYS: Final = NAT + 1
#: Weeks of an absence: one until further notice fills no others. He is away then, room or not.
_WEEKS: Final = 53
#: Of weeks before and after nobody asks. What never ends does in 2099 or 9999 in a CRM, and what always was began in
#: 1900; the calendars of all the years between would be made for it.
_FROM: Final = instant(datetime(1990, 1, 1, tzinfo=UTC))
_UNTIL: Final = instant(datetime(2090, 1, 1, tzinfo=UTC))
#: More than rounding adds to a number of places, less than any part of one.
_DUST: Final = 1e-9


def places(capacity: npt.ArrayLike, share: npt.ArrayLike) -> np.ndarray:
    """(n,) float64 leads that reps can take in a week of which they are there for a share; NaN: no limit.

    A part of a place is one: whoever works at all, and takes leads, can take one.
    """
    return np.asarray(np.ceil(np.multiply(capacity, share) - _DUST))


class Worked(NamedTuple):
    """Working time in microseconds: that of a week, and of it when someone is there."""

    whole: int
    there: int

    @property
    def share(self) -> float:
        """From 0 to 1; 1 in a week in which nobody works, for nothing of it is missed."""
        return self.there / self.whole if self.whole else 1.0


def worked_in(start: int, end: int, away: np.ndarray, zone: str, place: str | None, hours: Hours) -> Worked:
    """How much of a week someone is there to work.

    start, end   the week, int64 microseconds UTC
    away         (k, 2) int64 spans [begin, end) when he is not, in any order
    zone, place  as `features.clock.due`: on a public holiday nobody works, so that it is no absence
    """
    passed = worked(np.concatenate([[start, end], np.clip(away, start, end).ravel()]), zone, place, hours)
    whole = int(passed[1] - passed[0])
    return Worked(whole, whole - covered(passed[2:].reshape(-1, 2)))


class Attendance(NamedTuple):
    """The weeks of which a rep misses a part.

    pairs  the (rep, ISO week) that are such
    log    what makes them such, by when it became known
    share  (m,) in the log's order: what is left of the week's working time by all that is known by then
    """

    pairs: Pairs
    log: Log
    share: np.ndarray

    @classmethod
    def of(cls, book: Book) -> Self:
        """Read it from the reps' time off, first and last days. Cost: some 50 µs for each."""
        rep, begins, ends, known = _missed(book)
        pairs = Pairs(rep, book.week_of(rep, begins), 1 << 20)
        log = Log(pairs.members, known, len(pairs))
        whole, spans = _in_working_time(book, rep, begins, ends)
        share = np.where(whole > 0, (whole - np.diff(spans)[:, 0]) / np.maximum(whole, 1), 1.0)[log.order]
        for first, last in zip(log.starts[:-1].tolist(), log.starts[1:].tolist(), strict=True):
            for row in range(first + 1, last):
                together = log.order[first : row + 1]
                week = int(whole[together[0]])
                share[row] = Worked(week, week - covered(spans[together])).share
        return cls(pairs, log, share)

    def at(self, rep: np.ndarray, week: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) share of each week that the rep is there, by what is known at t; week: as `Book.week_of` numbers it."""
        start, stop = self.log.span(self.pairs.codes(rep, week), t)
        told = np.append(self.share, 1.0)
        return np.asarray(told[np.where(stop > start, stop - 1, -1)])


def _missed(book: Book) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spans within one ISO week in which a rep is not there: (m,) rep, begin, end, since when it is known."""
    rows = facts(book.tables, "time_off")
    rep = book.rep_index.find(rows["rep_id"])
    begins, ends, known = (instants(rows, column) for column in ("starts_at", "ends_at", "known_at"))
    begins = np.maximum(begins, _FROM)
    real = (rep >= 0) & (begins < np.minimum(ends, _UNTIL))
    rep, begins, ends, known = rep[real], begins[real], ends[real], later(known[real], np.full(real.sum(), _ALWAYS))
    hired, left = book.reps.hired, book.reps.active_until
    came, gone = (np.flatnonzero((at > _FROM) & (at < _UNTIL)) for at in (hired, left))
    parts = [
        *_by_week(book, rep, begins, ends, known),
        (came, book.week_start(came, hired[came]), hired[came], np.full(len(came), _ALWAYS)),
        (gone, left[gone], book.week_end(gone, left[gone]), np.full(len(gone), _ALWAYS)),
    ]
    rep, begins, ends, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    some = begins < ends
    return rep[some], begins[some], ends[some], known[some]


def _by_week(
    book: Book, rep: np.ndarray, begins: np.ndarray, ends: np.ndarray, known: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """The parts of absences in each week: of the first year of each, and in the week in which it ends."""
    back = ends < _UNTIL
    yield rep[back], np.maximum(begins[back], book.week_start(rep[back], ends[back] - 1)), ends[back], known[back]
    for _ in range(_WEEKS):
        end = book.week_end(rep, begins)
        yield rep, begins, np.minimum(end, ends), known
        on = end < ends
        if not on.any():
            return
        rep, begins, ends, known = rep[on], end[on], ends[on], known[on]


def _in_working_time(
    book: Book, rep: np.ndarray, begins: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Working time of each span's week (m,), and each span in it (m, 2), by the rep's zone and public holidays."""
    hours, (zones, zone) = book.config.hours, book.zones
    regions, country = book.reps.regions.read(rep, begins, latest=True), book.reps.country[rep]
    whole, spans = np.zeros(len(rep), np.int64), np.zeros((len(rep), 2), np.int64)
    kinds, of_kind = np.unique(np.stack([zone[rep], regions, country]), axis=1, return_inverse=True)
    for number, (in_zone, listed, home) in enumerate(kinds.T.tolist()):
        at = np.flatnonzero(of_kind == number)
        place = book.holidays_of(listed, home)
        edges = np.stack([
            book.week_start(rep[at], begins[at]), book.week_end(rep[at], begins[at]), begins[at], ends[at],
        ])  # fmt: skip
        passed = worked(edges.ravel(), str(zones[in_zone]), place, hours).reshape(edges.shape)
        whole[at], spans[at] = passed[1] - passed[0], passed[2:].T
    return whole, spans
