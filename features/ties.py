"""What the contact graphs tell of each lead's contact and of each rep's ties to him, for many asks at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.asof import DAY, NAT, Log, Pairs, expand
from features.graph import ContactGraphs
from features.memberships import Presence, Spans
from features.walk import FAR, Reached
from features.worked import Worked

#: Contacts within this many steps count as near.
NEAR = 2
#: Work counts half after so many days; in whole days, read from a table, so that it is the same on every machine.
HALF_LIFE_DAYS = 90
DECAY = np.exp2(-np.arange(3_660) / HALF_LIFE_DAYS)
LATELY = 90 * DAY
#: Rows of memberships and worked contacts that one chunk of asks spells out at most (one bigger ask runs alone).
CHUNK = 250_000


@dataclass(frozen=True)
class TieFeatures:
    """The graph family's columns; NaN: not known.

    of each ask (q,)   degree, pagerank, interest_share, colleagues_lately, contacts
    of each pair (n,)  distance, strength, near, diffusion
    """

    degree: np.ndarray
    pagerank: np.ndarray
    interest_share: np.ndarray
    colleagues_lately: np.ndarray
    contacts: np.ndarray
    distance: np.ndarray
    strength: np.ndarray
    near: np.ndarray
    diffusion: np.ndarray

    @classmethod
    def blank(cls, asks: int, pairs: int) -> TieFeatures:
        """Nothing known of the asks, and reps who work nobody."""
        degree, pagerank, share, lately, contacts = np.full((5, asks), np.nan)
        strength, near, diffusion = np.zeros((3, pairs))
        return cls(degree, pagerank, share, lately, contacts, np.full(pairs, np.nan), strength, near, diffusion)


class Ties:
    """The contact graphs, the leads that came in and the reps' work, ready to be asked."""

    def __init__(self, graphs: ContactGraphs, worked: Worked, arrivals: Arrivals, *, work_told: bool) -> None:
        """`work_told`: whether the source has any table that tells of work."""
        self.graphs, self.worked, self.arrivals, self.work_told = graphs, worked, arrivals, work_told

    def ask(
        self, account: np.ndarray, contact: np.ndarray, solution: np.ndarray, t: np.ndarray,
        ask_row: np.ndarray, rep: np.ndarray, *, chunk: int = CHUNK,
    ) -> TieFeatures:  # fmt: skip
        """Tell how the lead's contact is tied at his account, and to whom each rep works there.

        account, contact, solution, t   (q,) codes and instants (µs); account -1 is not known; a contact who is not at
                                        the account by t counts as one who just came
        ask_row, rep                    (n,) pairs: a row of the arrays above, and a rep's code
        chunk                           how much is spelled out at a time; moves memory, never a bit of the answer
        Cost   O(memberships of the account) per ask, O(the rep's worked contacts there) per pair. No loop over either.
        """
        size, pairs = len(t), len(rep)
        flat = self.graphs.flat_of(account)
        told = TieFeatures.blank(size, pairs)
        start, stop = self.worked.span(rep, account[ask_row])
        himself = self.worked.couples.codes(rep, contact[ask_row])
        hit = np.flatnonzero((stop > start) | (himself >= 0))
        if (np.diff(ask_row[hit]) < 0).any():
            hit = hit[np.argsort(ask_row[hit], kind="stable")]
        first = np.searchsorted(ask_row[hit], np.arange(size + 1))
        rows = flat.edge_stop - flat.edge_start + flat.presence_stop - flat.presence_start
        for low, high in chunks(rows[account] + 1, chunk):
            asks = slice(low, high)
            reach = Reached.of(flat, account[asks], contact[asks], solution[asks], t[asks])
            told.degree[asks], told.pagerank[asks], told.contacts[asks] = reach.degree, reach.pagerank, reach.contacts
            told.interest_share[asks] = reach.interest_share
            mine = hit[first[low] : first[high]]
            for low_pair, high_pair in chunks((stop - start)[mine] + 1, chunk):
                at = mine[low_pair:high_pair]
                self._work(told, reach, at, ask_row[at] - low, expand(start[at], stop[at]), himself[at])
        told.colleagues_lately[:] = self.arrivals.lately(account, contact, solution, t, chunk)
        self._forget(told, account, ask_row)
        return told

    def _work(
        self, told: TieFeatures, reach: Reached, pair: np.ndarray, ask: np.ndarray, rows: tuple[np.ndarray, np.ndarray],
        himself: np.ndarray,
    ) -> None:  # fmt: skip
        """Fill in pairs whose rep ever worked somebody at the account, or the lead's contact.

        ask, himself   (len(pair),) place in `reach`; the couple of the rep and the lead's contact, -1: never
        rows           (owner, row) of the others whom the rep works: a place in `pair`, a row of `worked`
        """
        owner, row = rows
        other = self.worked.contact[row] != reach.contact[ask[owner]]
        owner, row = owner[other], row[other]
        # The contact himself comes apart: he may be worked without having been at this account before.
        own = np.flatnonzero(himself >= 0)
        couple = np.concatenate([self.worked.couple[row], himself[own]])
        node = np.concatenate([reach.base[ask[owner]] + self.worked.place[row], reach.source[ask[own]]])
        owner = np.concatenate([owner, own])
        t = reach.t[ask[owner]]
        last = self.worked.last(couple, t)
        known = last != NAT
        owner, node, age = owner[known], node[known], (t - last)[known]
        steps = reach.steps[node]
        nearest = np.full(len(pair), FAR, np.int8)
        np.minimum.at(nearest, owner, steps)
        strongest = np.zeros(len(pair))
        closest = steps == nearest[owner]
        np.maximum.at(strongest, owner[closest], reach.strength[node[closest]])
        decay = DECAY[np.clip(age // DAY, 0, len(DECAY) - 1)]
        told.distance[pair] = np.where(nearest == FAR, np.nan, nearest)
        told.strength[pair] = strongest
        told.near[pair] = np.bincount(owner[steps <= NEAR], minlength=len(pair))
        told.diffusion[pair] = np.bincount(owner, weights=reach.diffusion[node] * decay, minlength=len(pair))

    def _forget(self, told: TieFeatures, account: np.ndarray, ask_row: np.ndarray) -> None:
        """Blank what is not known: everything of an unknown account, all ties where no table tells of work."""
        nobody = account < 0
        for values in (told.degree, told.pagerank, told.interest_share, told.colleagues_lately, told.contacts):
            values[nobody] = np.nan
        blank = nobody[ask_row] if self.work_told else slice(None)
        for values in (told.distance, told.strength, told.near, told.diffusion):
            values[blank] = np.nan


class Arrivals:
    """The leads that came in, by account and solution."""

    def __init__(self, leads: Spans, presence: Presence, solutions: int) -> None:
        row, account, since, self.until = presence.split(leads.contact, leads.since, leads.until)
        self.contact, self.created = leads.contact[row], leads.at[row]
        self.pairs = Pairs(account, leads.hub[row], solutions)
        self.log = Log(self.pairs.members, since, len(self.pairs))
        self.width = len(presence.contact_starts)

    def lately(
        self, account: np.ndarray, contact: np.ndarray, solution: np.ndarray, t: np.ndarray, chunk: int
    ) -> np.ndarray:
        """(q,) how many colleagues came in for the same solution within LATELY before t, each counted once."""
        key = self.pairs.codes(account, solution)
        # A lead known by t - LATELY came in before that, too.
        stop = self.log.span(key, t)[1]
        start = np.minimum(self.log.span(key, t - LATELY)[1], stop)
        count = np.zeros(len(t))
        for low, high in chunks(stop - start + 1, chunk):
            owner, place = expand(start[low:high], stop[low:high])
            owner, row = owner + low, self.log.order[place]
            held = (self.created[row] > t[owner] - LATELY) & (self.until[row] > t[owner])
            held &= self.contact[row] != contact[owner]
            who = np.unique(owner[held] * self.width + self.contact[row[held]])
            count += np.bincount(who // self.width, minlength=len(t))
        return count


def chunks(cost: np.ndarray, bound: int) -> Iterator[tuple[int, int]]:
    """Cut a row of costs into (low, high) pieces of at most `bound` each; one that costs more stands alone."""
    total = np.cumsum(cost)
    low, spent = 0, 0
    while low < len(cost):
        high = max(int(np.searchsorted(total, spent + bound, side="right")), low + 1)
        yield low, high
        low, spent = high, int(total[high - 1])
