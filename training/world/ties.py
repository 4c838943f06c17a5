"""Warm ties between reps and contacts: the hidden ones, and how far they reach through colleagues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from training.world.accounts import Accounts
from training.world.people import People
from training.world.reps import Reps
from training.world.setting import DAY, Flags, Floats, Ints, Setting


@dataclass(frozen=True)
class Ties:
    """Who has a warm tie to whom, (m,) each.

    strength   0..1
    since      when it began
    shows      whether the rep's outreach is logged; a third of the ties leave meetings and deals at most
    """

    rep: Ints
    contact: Ints
    strength: Floats
    since: Ints
    shows: Flags

    def with_more(self, rep: Ints, contact: Ints, strength: float, since: Ints) -> Ties:
        """These and new ones, as a rep who takes a lead makes them."""
        more = np.full(rep.size, strength)
        return Ties(
            np.concatenate([self.rep, rep]),
            np.concatenate([self.contact, contact]),
            np.concatenate([self.strength, more]),
            np.concatenate([self.since, since]),
            np.concatenate([self.shows, np.ones(rep.size, dtype=bool)]),
        )

    def warmth(self, instant: int, people: int, reps: int) -> sparse.csr_array:
        """(contacts, reps) strength of the ties that have begun, at most 1."""
        held = self.since <= instant
        pairs = (self.strength[held], (self.contact[held], self.rep[held]))
        warmth = sparse.csr_array(sparse.coo_array(pairs, shape=(people, reps)))
        warmth.data = np.minimum(warmth.data, 1.0)
        return warmth


def make_ties(setting: Setting, accounts: Accounts, people: People, reps: Reps, owner: Ints) -> Ties:
    """Draw the ties: an owner knows one or two of an account, other reps of the region a few more."""
    rng, n = setting.rng("ties"), len(accounts)
    by_owner = np.repeat(np.arange(n), np.where(owner >= 0, rng.integers(1, 3, n), 0))
    by_others = np.repeat(np.arange(n), np.where(accounts.region < 10, rng.poisson(5.0, n), 0))
    able = reps.covers.T[accounts.region] & reps.selling
    stranger = _one_of(rng, able, by_others)
    account = np.concatenate([by_owner, by_others])
    rep = np.concatenate([owner[by_owner], stranger])
    low = np.searchsorted(people.account, account, side="left")
    size = np.searchsorted(people.account, account, side="right") - low
    contact = low + (rng.random(account.size) * size).astype(np.int64)
    since = setting.start + rng.integers(-300, setting.days - 7, account.size) * DAY
    since[: by_owner.size] -= 120 * DAY
    since = np.maximum(since, np.maximum(reps.hired[rep] + 14 * DAY, accounts.created[account] + 2 * DAY))
    keep = since < np.minimum(reps.until[rep], setting.end)
    strength = np.where(np.arange(account.size) < by_owner.size, 0.35, 0.3) + 0.55 * rng.beta(1.5, 1.5, account.size)
    shows = rng.random(account.size) < 0.68
    return Ties(rep[keep], contact[keep], strength[keep], since[keep], shows[keep])


def _one_of(rng: np.random.Generator, able: Flags, rows: Ints) -> Ints:
    """One true column for each asked row; every row has one, or any column where it has none."""
    order = np.argsort(~able, axis=1, kind="stable")
    count = np.maximum(able.sum(1), 1)
    return order[rows, (rng.random(rows.size) * count[rows]).astype(np.int64)]


def through_colleagues(network: sparse.csr_array, warmth: sparse.csr_array) -> sparse.csr_array:
    """(contacts, reps) reach of the ties over colleagues, 0..1: saturating in the ties that they hold."""
    reach = sparse.csr_array(network @ warmth)
    reach.data = np.tanh(1.2 * reach.data)
    return reach
