"""Whom each rep already works at an account, and when he last did."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from features.asof import NAT, NEVER, Latest, Log, Pairs, expand
from features.memberships import Presence, Spans


class Worked:
    """Each rep's worked contacts by account, and when he last worked each, as known at any instant.

    A contact stands under every account at which he ever was; the searches find only those who are there at t.
    """

    def __init__(self, work: Spans, presence: Presence, reps: int) -> None:
        work = work.take(np.flatnonzero(work.rep >= 0))
        accounts, contacts = len(presence.starts) - 1, len(presence.contact_starts) - 1
        self.couples = Pairs(work.rep, work.contact, contacts)
        self.log, self.values = last_instants(self.couples.members, work, len(self.couples))
        rep, contact = self.couples.keys // self.couples.width, self.couples.keys % self.couples.width
        # One row per (rep, account, contact); a contact who left an account and came back is there once.
        couple, stay = expand(presence.contact_starts[contact], presence.contact_starts[contact + 1])
        stay = presence.contact_order[stay]
        width = max(len(self.couples), 1)
        _, first = np.unique((rep[couple] * accounts + presence.account[stay]) * width + couple, return_index=True)
        self.couple, stay = couple[first], stay[first]
        self.contact, self.place = contact[self.couple], presence.place[stay]
        self.pairs = Pairs(rep[self.couple], presence.account[stay], accounts)
        self.starts = np.searchsorted(self.pairs.members, np.arange(len(self.pairs) + 1))

    def span(self, rep: np.ndarray, account: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(start, stop) of each (rep, account)'s rows, whatever the instant; in each, contacts rise."""
        if not len(self.pairs):
            none = np.zeros(len(rep), np.int64)
            return none, none
        code = self.pairs.codes(rep, account)
        known = np.maximum(code, 0)
        start = self.starts[known]
        return start, np.where(code >= 0, self.starts[known + 1], start)

    def last(self, couple: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(m,) when the rep last worked the contact of each (rep, contact), as known at t; NAT: not yet."""
        start, stop = self.log.span(couple, t)
        if not len(self.values):
            return np.full(len(couple), NAT)
        return np.where(stop > start, self.values[np.maximum(stop - 1, 0)], NAT)


def last_instants(key: np.ndarray, work: Spans, size: int) -> tuple[Log, np.ndarray]:
    """(log, values): the greatest `at` of each key's work that holds, at every instant at which that changes."""
    torn = np.zeros(size, bool)
    torn[key[work.until != NEVER]] = True
    whole = np.flatnonzero(~torn[key])
    points = [*_torn_points(key, work, torn)]
    again = np.array(points, dtype=np.int64).reshape(-1, 3).T
    entity = np.concatenate([key[whole], again[0]])
    at = np.concatenate([work.at[whole], again[2]])
    log = Log(entity, np.concatenate([work.since[whole], again[1]]), size)
    # Work that nothing takes back only ever gets later, so there a running maximum tells it.
    values = np.where(torn[entity[log.order]], at[log.order], Latest(log, at).running)
    return log, values


def _torn_points(key: np.ndarray, work: Spans, torn: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(key, instant, value) of the few keys of which a meeting was cancelled after it had begun."""
    rows = np.flatnonzero(torn[key])
    rows = rows[np.lexsort((work.since[rows], key[rows]))]
    for group in np.split(rows, np.flatnonzero(np.diff(key[rows])) + 1):
        since, until, at = (values[group].tolist() for values in (work.since, work.until, work.at))
        holding: list[tuple[int, int]] = []
        begun = 0
        for instant in sorted({*since, *until} - {int(NEVER)}):
            while begun < len(since) and since[begun] <= instant:
                heapq.heappush(holding, (-at[begun], until[begun]))
                begun += 1
            while holding and holding[0][1] <= instant:
                heapq.heappop(holding)
            yield int(key[group[0]]), instant, -holding[0][0] if holding else int(NAT)
