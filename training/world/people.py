"""The contacts of the sample: function and level, the title they typed, whom they report to and work with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from features.titles import read_titles
from training.world.accounts import Accounts
from training.world.places import REGIONS
from training.world.setting import DAY, HOUR, Flags, Floats, Ints, Setting, Texts, choose, ids
from training.world.titles import FUNCTIONS, LEVELS, write_titles

PEOPLE_PER_ACCOUNT = 10
_FUNCTION_SHARE = np.array([0.26, 0.20, 0.22, 0.12, 0.08, 0.06, 0.06])
_LEVEL_SHARE = np.array([0.08, 0.14, 0.26, 0.30, 0.22])


@dataclass
class People:
    """Columns of the contacts, (n,) each, in order of their account."""

    id: Texts
    account: Ints
    function: Ints  # the true one, whatever the title says
    level: Ints
    title: Texts
    boss: Ints  # position, -1: none known
    given: Flags  # function and seniority are columns of their own
    email: Texts
    objects: Flags
    created: Ints  # moved back to a contact's first fact, once those are drawn

    def __len__(self) -> int:
        return len(self.id)

    def read(self) -> tuple[Ints, Ints]:
        """What the tables tell of function (a bit for each) and level: the columns, else what the title says."""
        said = read_titles(self.title, self.told(FUNCTIONS, self.function), self.told(LEVELS, self.level))
        return said.functions.astype(np.int64), said.level.astype(np.int64)

    def told(self, names: tuple[str, ...], position: Ints) -> Texts:
        """Names where the contact's function and seniority are given, else None."""
        said = np.array(names, dtype=object)[position]
        said[~self.given] = None
        return said

    def seen_by(self, contact: Ints, instant: Ints) -> None:
        """Make sure that a contact is known before a fact about it."""
        np.minimum.at(self.created, contact, instant - 60)


def make_people(setting: Setting, accounts: Accounts) -> People:
    """Draw ten contacts per account on average; large companies have many more."""
    rng, n = setting.rng("people"), len(accounts) * PEOPLE_PER_ACCOUNT
    size = np.nan_to_num(accounts.employees, nan=500.0) ** 0.35 * rng.lognormal(0, 0.5, len(accounts))
    account = np.concatenate([np.arange(len(accounts)).repeat(2), choose(rng, size, n - 2 * len(accounts))])
    account = np.sort(account).astype(np.int64)
    function, level = choose(rng, _FUNCTION_SHARE, n), choose(rng, _LEVEL_SHARE, n)
    language = np.array([r.language for r in REGIONS], dtype=object)[accounts.region[account]]
    old = accounts.created[account] + rng.integers(HOUR, 50 * DAY, n)
    new = rng.integers(setting.start, setting.end - DAY, n)
    return People(
        id=ids("C", n),
        account=account,
        function=function,
        level=level,
        title=write_titles(rng, function, level, language),
        boss=_bosses(rng, account, function, level),
        given=rng.random(n) < 0.2,
        email=np.array([f"person{i}@company{a}.example" for i, a in enumerate(account)], dtype=object),
        objects=rng.random(n) < 0.015,
        created=np.where(rng.random(n) < 0.85, old, new),
    )


def _bosses(rng: np.random.Generator, account: Ints, function: Ints, level: Ints) -> Ints:
    """The next higher one of the same account and, where there is one, function; a third is not on record."""
    order = np.lexsort((rng.random(len(account)), level, function, account))
    above = np.full(len(account), -1, dtype=np.int64)
    before, here = order[:-1], order[1:]
    same = (account[before] == account[here]) & (function[before] == function[here]) & (level[before] < level[here])
    above[here[same]] = before[same]
    order = np.lexsort((rng.random(len(account)), level, account))
    first = np.r_[True, account[order][1:] != account[order][:-1]]
    top = order[first][np.cumsum(first) - 1]
    lonely = (above[order] < 0) & (level[order] > level[top])
    above[order[lonely]] = top[lonely]
    return np.where(rng.random(len(account)) < 0.35, -1, above)


def colleagues(setting: Setting, people: People) -> sparse.csr_array:
    """Who really works with whom: reporting lines (recorded or not), and pairs that no table shows.

    Returns (n, n) symmetric weights: 1 for those who work together, 0.15 for two steps; the diagonal is empty.
    """
    rng, n = setting.rng("colleagues"), len(people)
    to_boss = np.flatnonzero(people.boss >= 0)
    starts = np.searchsorted(people.account, people.account, side="left")
    sizes = np.searchsorted(people.account, people.account, side="right") - starts
    a = np.repeat(np.arange(n), 2)[rng.random(2 * n) < 0.45]
    b = starts[a] + (rng.random(a.size) * sizes[a]).astype(np.int64)
    keep = (a != b) & ((people.function[a] == people.function[b]) | (rng.random(a.size) < 0.4))
    rows = np.concatenate([to_boss, people.boss[to_boss], a[keep], b[keep]])
    cols = np.concatenate([people.boss[to_boss], to_boss, b[keep], a[keep]])
    direct = sparse.coo_array((np.ones(rows.size), (rows, cols)), shape=(n, n)).tocsr()
    direct.data[:] = 1.0
    two = (direct @ direct).tocsr()
    two.data[:] = 0.15
    both = sparse.csr_array(direct.maximum(two))
    both.setdiag(0.0)
    both.eliminate_zeros()
    return both


def company_of(rng: np.random.Generator, network: sparse.csr_array, people: People, contact: Ints) -> Ints:
    """Someone to sit beside each contact: mostly one whom the contact works with, else anyone of the account."""
    degree = np.diff(network.indptr)[contact]
    draw = rng.random(contact.size)
    place = network.indptr[contact] + (draw * degree).astype(np.int64)
    friend = network.indices[np.minimum(place, network.indices.size - 1)].astype(np.int64)
    low = np.searchsorted(people.account, people.account[contact], side="left")
    size = np.searchsorted(people.account, people.account[contact], side="right") - low
    anyone = low + (draw * size).astype(np.int64)
    return np.where((degree > 0) & (rng.random(contact.size) < 0.8), friend, anyone)


def level_weight(level: Ints) -> Floats:
    """How much a level decides: from 1 (chief) down to -1 (staff)."""
    return np.linspace(1.0, -1.0, len(LEVELS))[level]
