"""Meetings and touches: what the ties of reps leave in the CRM, and what they don't."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from training.world.people import People, company_of
from training.world.reps import Reps
from training.world.setting import DAY, HOUR, NONE, Floats, Ints, Setting, choose
from training.world.ties import Ties

TOUCH_KINDS = ("call", "email", "visit", "message")
#: How soon a booked meeting must be to matter, in days: its nearness falls to 1/e over these.
MEETING_REACH = 10.0


@dataclass(frozen=True)
class Meetings:
    """Booked meetings, (m,) each; cancelled is NONE where they took place, or will."""

    rep: Ints
    account: Ints
    contact: Ints
    starts: Ints
    created: Ints
    cancelled: Ints

    def __len__(self) -> int:
        return len(self.rep)

    def plus(self, other: Meetings) -> Meetings:
        """These, then the others."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Meetings(*(np.concatenate(pair) for pair in pairs))

    def take(self, rows: object) -> Meetings:
        """Some of them."""
        return Meetings(*(getattr(self, f.name)[rows] for f in fields(self)))

    def nearness(self, instant: int, accounts: int, reps: int) -> Floats:
        """(accounts, reps) nearness of the next meeting that is known at the instant; 0: none."""
        off = (self.cancelled != NONE) & (self.cancelled <= instant)
        known = (self.created <= instant) & (self.starts > instant) & ~off
        near = np.zeros((accounts, reps))
        days = (self.starts[known] - instant) / DAY
        np.maximum.at(near, (self.account[known], self.rep[known]), np.exp(-days / MEETING_REACH))
        return near


@dataclass(frozen=True)
class Touches:
    """A rep's own outreach, (m,) each."""

    rep: Ints
    contact: Ints
    at: Ints

    def plus(self, other: Touches) -> Touches:
        """These, then the others."""
        return Touches(
            np.concatenate([self.rep, other.rep]),
            np.concatenate([self.contact, other.contact]),
            np.concatenate([self.at, other.at]),
        )


def make_meetings(setting: Setting, ties: Ties, people: People, reps: Reps) -> Meetings:
    """A tie meets every four months if it is at its warmest; one meeting in ten is with a stranger."""
    rng = setting.rng("meetings")
    last = np.minimum(reps.until[ties.rep], setting.end + 25 * DAY)
    months = np.maximum(last - ties.since, 0) / (30 * DAY)
    tie = np.repeat(np.arange(len(ties.rep)), rng.poisson(ties.strength * months / 4.0))
    rep, contact, since = ties.rep[tie], ties.contact[tie], ties.since[tie]
    stray = rng.random(tie.size) < 0.1
    contact = np.where(stray, rng.integers(0, len(people), tie.size), contact)
    since = np.where(stray, np.maximum(since, setting.start), since)
    starts = since + (rng.random(tie.size) * (last[tie] - since)).astype(np.int64)
    starts = starts // DAY * DAY + 9 * HOUR + rng.integers(0, 16, tie.size) * HOUR // 2
    created = np.maximum(starts - (rng.uniform(2, 30, tie.size) * DAY).astype(np.int64), since)
    keep = (created < np.minimum(starts, setting.end)) & (starts < reps.until[rep])
    rep, contact, starts, created = rep[keep], contact[keep], starts[keep], created[keep]
    return _booked(rng, setting, people, rep, contact, starts, created)


def _booked(
    rng: np.random.Generator, setting: Setting, people: People, rep: Ints, contact: Ints, starts: Ints, created: Ints
) -> Meetings:
    """Meetings, of which one in ten is called off before it starts."""
    off = created + (rng.random(rep.size) * (starts - created)).astype(np.int64)
    off = np.where((rng.random(rep.size) < 0.1) & (off < setting.end), off, NONE)
    people.seen_by(contact, created)
    return Meetings(rep, people.account[contact], contact, starts, created, off)


def follow_up(
    rng: np.random.Generator, setting: Setting, people: People, reps: Reps, rep: Ints, contact: Ints, at: Ints
) -> tuple[Meetings, Touches]:
    """What a rep does with an accepted lead: a few touches within weeks, a meeting in half of the cases."""
    until = np.minimum(reps.until[rep], setting.end)
    row = np.repeat(np.arange(rep.size), 1 + rng.poisson(1.5, rep.size))
    when = at[row] + (rng.exponential(8, row.size) * DAY).astype(np.int64) + HOUR
    row, when = row[when < until[row]], when[when < until[row]]
    created = at + (rng.uniform(0.2, 6, rep.size) * DAY).astype(np.int64)
    starts = created // DAY * DAY + rng.integers(3, 22, rep.size) * DAY + 13 * HOUR
    met = (rng.random(rep.size) < 0.45) & (created < until) & (starts < reps.until[rep])
    meetings = _booked(rng, setting, people, rep[met], contact[met], starts[met], created[met])
    return meetings, Touches(rep[row], contact[row], when)


def make_touches(setting: Setting, ties: Ties, people: People, reps: Reps) -> Touches:
    """Outreach to warm ties whose rep logs it, and a third as many cold calls that mean nothing."""
    rng = setting.rng("touches")
    last = np.minimum(reps.until[ties.rep], setting.end)
    months = np.maximum(last - ties.since, 0) / (30 * DAY)
    tie = np.repeat(np.arange(len(ties.rep)), rng.poisson(0.6 * ties.shows * ties.strength * months))
    warm = ties.since[tie] + (rng.random(tie.size) * (last[tie] - ties.since[tie])).astype(np.int64)
    rep = rng.permutation(ties.rep)[: tie.size // 3]
    cold = rng.integers(setting.start, setting.end, rep.size)
    contact = rng.integers(0, len(people), rep.size)
    fine = (cold >= reps.hired[rep]) & (cold < reps.until[rep])
    touches = Touches(ties.rep[tie], ties.contact[tie], warm)
    touches = touches.plus(Touches(rep[fine], contact[fine], cold[fine]))
    people.seen_by(touches.contact, touches.at)
    return touches


def attendees(setting: Setting, meetings: Meetings, people: People, network: sparse.csr_array) -> tuple[Ints, Ints]:
    """Who sat in each meeting: the contact, and up to three who work with the contact. Returns (meeting, contact)."""
    rng = setting.rng("attendees")
    row = np.repeat(np.arange(len(meetings)), choose(rng, np.array([0.4, 0.35, 0.2, 0.05]), len(meetings)))
    other = company_of(rng, network, people, meetings.contact[row])
    known = people.created[other] <= meetings.created[row]
    both = np.concatenate([meetings.contact, other[known]])
    rows = np.concatenate([np.arange(len(meetings)), row[known]])
    pairs = np.unique(np.column_stack([rows, both]), axis=0)
    return pairs[:, 0], pairs[:, 1]
