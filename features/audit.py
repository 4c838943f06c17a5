"""The audit of the served market: who passes each of its rules, and which accounts in it lack which buyer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.market import ACCOUNT_RULES, Bools, Codes, ServedMarket, described

if TYPE_CHECKING:
    from features.book import Book
    from features.config import Config, Market


@dataclass(frozen=True)
class Step:
    """One rule of one market, in the order in which rules refuse.

    accounts, contacts            how many pass this rule, were it alone; None: the rule says nothing of them
    accounts_left, contacts_left  how many pass it and all rules before it
    """

    market: str
    rule: str
    accounts: int | None
    accounts_left: int
    contacts: int | None
    contacts_left: int


@dataclass(frozen=True)
class Coverage:
    """How many accounts of a market have a contact who fits one of its buyers."""

    market: str
    buyer: str
    accounts: int
    have: int
    lack: int


@dataclass(frozen=True)
class Gap:
    """A buyer that an account of the market lacks: the contact to obtain. contacts: how many are known there."""

    market: str
    account_id: str
    name: str
    buyer: str
    contacts: int


@dataclass(frozen=True)
class Audit:
    """steps: each market's rules; coverage: each buyer; gaps: one for each account and buyer that it lacks.

    accounts_served, contacts_served  in any market: accounts that pass all rules on accounts, contacts there who are
                                      buyers for some solution and do not object to profiling
    """

    steps: tuple[Step, ...]
    coverage: tuple[Coverage, ...]
    gaps: tuple[Gap, ...]
    accounts: int
    contacts: int
    accounts_served: int
    contacts_served: int


def audit(book: Book, config: Config, at: int | None = None) -> Audit:
    """Hold every account and contact that is known to each market.

    at    int64 microseconds UTC; None: the book's now
    Cost  one pass over accounts and contacts for each market
    """
    people = _People(book, ServedMarket(book, config), book.now if at is None else at)
    markets = list(enumerate(config.markets.items()))
    return Audit(
        steps=tuple(step for m, (name, market) in markets for step in people.steps(m, name, market)),
        coverage=tuple(people.coverage()),
        gaps=tuple(people.gaps()),
        accounts=len(people.account),
        contacts=len(people.contact),
        accounts_served=int(people.in_market.any(axis=1).sum()),
        contacts_served=int(people.served().sum()),
    )


class _People:
    """Accounts and contacts born by an instant, with what each rule says of them."""

    def __init__(self, book: Book, served: ServedMarket, at: int) -> None:
        self.book, self.market = book, served
        self.account: Codes = np.flatnonzero(book.accounts.born <= at)
        contact = np.flatnonzero(book.contacts.born <= at)
        employer = book.contacts.account.read(contact, np.full(len(contact), at), latest=True)
        place = np.full(len(book.account_ids) + 1, -1)
        place[self.account] = np.arange(len(self.account))
        # Contacts of accounts that are not there yet are left out: no rule can be held to them.
        known = place[employer] >= 0
        self.contact: Codes = contact[known]
        self.of: Codes = place[employer[known]]
        self.lines = served.account_lines(self.account, np.full(len(self.account), at))
        self.in_market: Bools = np.asarray(self.lines.all(axis=0))
        self.fits = served.buyers_at(self.contact, np.full(len(self.contact), at))
        self.objects: Bools = book.contacts.objects[self.contact]

    def _buyers_of(self, m: int) -> Bools:
        """(contacts,) whether each is a buyer of market m, for some solution."""
        columns = [b for b, (owner, _) in enumerate(self.market.buyers) if owner == m]
        return np.asarray(self.fits[:, columns].any(axis=1)) if columns else np.ones(len(self.contact), bool)

    def served(self) -> Bools:
        """(contacts,) whether each is a buyer in some market that its account lies in, and may be profiled."""
        inside = [self.in_market[self.of, m] & self._buyers_of(m) for m in range(len(self.market.names))]
        return np.asarray(np.stack(inside).any(axis=0) & ~self.objects)

    def steps(self, m: int, name: str, market: Market) -> Iterator[Step]:
        """The funnel of one market: the rules that it has, each after the other."""
        left = np.ones(len(self.account), bool)
        yield Step(name, "all", len(left), len(left), len(self.contact), len(self.contact))
        for i, rule in enumerate(ACCOUNT_RULES):
            if rule in _asked(market):
                alone = self.lines[i, :, m]
                left = left & alone
                yield Step(name, rule, int(alone.sum()), int(left.sum()), None, int(left[self.of].sum()))
        contacts = left[self.of]
        for rule, asked, alone in (("buyer", market.buyers, self._buyers_of(m)), ("objects", True, ~self.objects)):
            if asked:
                contacts = contacts & alone
                reached = len(np.unique(self.of[contacts]))
                yield Step(name, rule, None, reached, int(alone.sum()), int(contacts.sum()))

    def _has(self, b: int) -> Bools:
        """(accounts,) whether each has a contact who fits buyer b."""
        return np.asarray(np.bincount(self.of[self.fits[:, b]], minlength=len(self.account)) > 0)

    def coverage(self) -> Iterator[Coverage]:
        """One row for each buyer of each market."""
        for b, (m, buyer) in enumerate(self.market.buyers):
            inside = self.in_market[:, m]
            have, size = int((inside & self._has(b)).sum()), int(inside.sum())
            yield Coverage(self.market.names[m], described(buyer), size, have, size - have)

    def gaps(self) -> Iterator[Gap]:
        """One row for each account of a market and buyer that it lacks, by market, account and buyer."""
        known = np.bincount(self.of, minlength=len(self.account))
        lacking = [self.in_market[:, m] & ~self._has(b) for b, (m, _) in enumerate(self.market.buyers)]
        rows = [(m, i, b) for b, (m, _) in enumerate(self.market.buyers) for i in np.flatnonzero(lacking[b])]
        for m, i, b in sorted(rows):
            code = self.account[i]
            yield Gap(
                self.market.names[m], str(self.book.account_ids[code]), str(self.book.accounts.name[code]),
                described(self.market.buyers[b][1]), int(known[i]),
            )  # fmt: skip


def _asked(market: Market) -> set[str]:
    """The rules on accounts that a market has."""
    rules = {
        "revenue": market.revenue,
        "employees": market.employees,
        "industry": market.naics or market.sic or market.accounts.include,
        "country": market.countries,
        "region": market.regions,
        "status": market.statuses,
        "account_excluded": market.accounts.exclude,
    }
    return {rule for rule, value in rules.items() if value}
