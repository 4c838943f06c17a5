"""Opportunities: when they are opened and closed, how they end, and the stages on their way."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from features.schema import OUTCOMES
from training.world.accounts import CUSTOMER, Accounts
from training.world.people import People
from training.world.places import SOLD_SOLUTIONS
from training.world.reps import Reps
from training.world.setting import DAY, HOUR, NONE, Floats, Ints, Setting
from training.world.ties import Ties

WON, LOST, NO_DECISION = range(len(OUTCOMES))
STAGES = ("qualify", "discover", "propose", "negotiate")
WEIGHTS = (0.10, 0.25, 0.50, 0.75)
CLOSE_REASONS = ("price", "competitor", "timing", "no_budget", "fit")


@dataclass(frozen=True)
class Deals:
    """Opportunities, (m,) each; offer is the position of the offer that led to it, -1: none."""

    account: Ints
    rep: Ints
    contact: Ints
    solution: Ints
    opened: Ints
    closed: Ints  # planned; later than the end: still open
    outcome: Ints
    offer: Ints

    def __len__(self) -> int:
        return len(self.account)

    def plus(self, other: Deals) -> Deals:
        """These, then the others."""
        return Deals(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def take(self, rows: object) -> Deals:
        """Some of them."""
        return Deals(*(getattr(self, f.name)[rows] for f in fields(self)))


def make_deals(
    rng: np.random.Generator, account: Ints, rep: Ints, contact: Ints, solution: Ints, opened: Ints, offer: Ints
) -> Deals:
    """Opportunities with their planned end: a month to half a year later, two in five won."""
    n = account.size
    length = np.clip(rng.lognormal(np.log(65), 0.5, n), 12, 240) * DAY
    closed = (opened + length.astype(np.int64)) // DAY * DAY + 6 * HOUR
    draw = rng.random(n)
    outcome = np.where(draw < 0.4, WON, np.where(draw < 0.82, LOST, NO_DECISION))
    return Deals(account, rep, contact, solution, opened, closed, outcome, offer)


def other_deals(setting: Setting, ties: Ties, accounts: Accounts, people: People, reps: Reps) -> Deals:
    """Opportunities that no offer led to, out of warm ties; and the wins that made today's customers.

    Candidates only: the history drops those that an offer of the same rep and account might claim.
    """
    rng = setting.rng("deals")
    first = np.maximum(ties.since, setting.start - 240 * DAY)
    last = np.minimum(reps.until[ties.rep], setting.end)
    months = np.maximum(last - first, 0) / (30 * DAY)
    tie = np.repeat(np.arange(len(ties.rep)), rng.poisson(0.02 * ties.strength * months))
    opened = first[tie] + (rng.random(tie.size) * (last[tie] - first[tie])).astype(np.int64)
    line = reps.sells[ties.rep[tie]][:, : len(SOLD_SOLUTIONS)]
    solution = (np.log(line + 1e-9) + rng.gumbel(0, 1, line.shape)).argmax(1)
    contact, nobody = ties.contact[tie], np.full(tie.size, -1)
    people.seen_by(contact, opened)
    deals = make_deals(rng, people.account[contact], ties.rep[tie], contact, solution, opened, nobody)
    before = deals.closed < setting.start
    since = accounts.customer_since[deals.account]
    won_then = (accounts.status[deals.account] == CUSTOMER) & (since <= deals.closed)
    outcome = np.where(before & ~won_then & (deals.outcome == WON), LOST, deals.outcome)
    return Deals(
        deals.account, deals.rep, deals.contact, deals.solution, deals.opened, deals.closed, outcome, deals.offer
    )


@dataclass(frozen=True)
class Steps:
    """Every stage that every opportunity reached, in order: (s,) each; amount NaN: unchanged."""

    deal: Ints
    stage: Ints
    at: Ints


def steps_of(setting: Setting, deals: Deals) -> Steps:
    """The stages reached by the end: a won deal sees all of them, a lost one a few. Closing is no step."""
    rng = setting.rng("steps")
    reached = np.where(deals.outcome == WON, len(STAGES), 1 + rng.integers(0, len(STAGES), len(deals)))
    deal = np.repeat(np.arange(len(deals)), reached)
    stage = np.concatenate([np.arange(r) for r in reached]) if len(deals) else np.zeros(0, dtype=np.int64)
    share = stage / (reached[deal] + 0.5)
    at = deals.opened[deal] + (share * (deals.closed - deals.opened)[deal]).astype(np.int64)
    known = at < setting.end
    return Steps(deal[known], stage[known].astype(np.int64), at[known])


def amounts(setting: Setting, deals: Deals, accounts: Accounts) -> tuple[Floats, Floats]:
    """What each opportunity was first thought to be worth, and what it was in the end (USD)."""
    rng = setting.rng("amounts")
    size = np.nan_to_num(accounts.revenue[deals.account], nan=2e8)
    usual = np.array([1.6, 1.2, 0.8, 1.0, 0.5, 0.3])[deals.solution]
    first = np.round(4e4 * usual * (size / 2e8) ** 0.3 * rng.lognormal(0, 0.6, len(deals)), -2)
    return first, np.round(first * rng.choice([0.8, 1.0, 1.0, 1.15], len(deals)), -2)


def closed_by(deals: Deals, instant: int) -> Ints:
    """When each was closed, NONE where it is still open."""
    return np.where(deals.closed < instant, deals.closed, NONE)
