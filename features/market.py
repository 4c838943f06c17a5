"""The served market: which market a lead lies in as of an instant, or which of its rules refuses it first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from features.countries import iso_country
from features.titles import FUNCTIONS, LEVELS, has_keyword, read_titles

if TYPE_CHECKING:
    from features.book import Book
    from features.config import Buyer, Config, Market

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

#: Rules on the account, then on the lead and its contact, in the order in which they refuse.
ACCOUNT_RULES: Final = ("revenue", "employees", "industry", "country", "region", "status", "account_excluded")
MARKET_RULES: Final = (*ACCOUNT_RULES, "solution", "buyer")
NO_MARKET: Final = -1


class ServedMarket:
    """The markets of a configuration, compiled against the words of one book.

    names   the markets, in the order in which they count
    buyers  (market, buyer) for each buyer of each market, in order

    Facts are read as of the instant asked; one without a history is read at its latest value. What is not known
    refuses, or with `unknown: allow` passes.
    """

    def __init__(self, book: Book, config: Config) -> None:
        self.book, self.lenient = book, config.unknown == "allow"
        self.names = tuple(config.markets)
        self.markets = tuple(config.markets.values())
        self.buyers = tuple((m, buyer) for m, market in enumerate(self.markets) for buyer in market.buyers or ())
        self._ranges = np.array([[_ends(m.revenue), _ends(m.employees)] for m in self.markets])
        self._compile_accounts()
        self._compile_solutions()
        self._compile_people()

    # -- compiling --------------------------------------------------------------------------------------------------

    def _compile_accounts(self) -> None:
        book, accounts = self.book, self.book.accounts
        ids = book.account_ids.tolist()
        # (accounts + 1, markets): the last row answers code -1, an account that is not there.
        self._industry = np.stack([self._industry_line(m, ids) for m in self.markets], axis=1)
        excluded = [frozenset(market.accounts.exclude) for market in self.markets]
        self._kept_out = np.array([[i in names for names in excluded] for i in (*ids, None)], bool)
        country = np.array([iso_country(c) for c in book.countries.values], dtype=object)
        self._country = self._word_table(m.countries for m in self.markets)(country)
        region = np.array([r.strip().casefold() for r in book.regions.values], dtype=object)
        named = [m.regions and tuple(r.strip().casefold() for r in m.regions) for m in self.markets]
        self._region = self._word_table(named)(region)
        self._status = self._word_table(m.statuses for m in self.markets)(np.array(book.statuses.values, dtype=object))
        self._place = np.append(accounts.country, -1), np.append(accounts.region, -1)

    def _industry_line(self, market: Market, ids: list[str]) -> Bools:
        """naics, sic and accounts.include are one line: any of them lets an account in."""
        include = frozenset(market.accounts.include or ())
        if not (market.naics or market.sic or include):
            return np.ones(len(ids) + 1, bool)
        accounts = self.book.accounts
        passes = np.array([i in include for i in (*ids, None)], bool)
        silent = np.full(len(ids) + 1, bool(market.naics or market.sic))
        for prefixes, codes in ((market.naics, accounts.naics), (market.sic, accounts.sic)):
            if prefixes:
                passes[:-1] |= np.array([bool(c) and c.startswith(prefixes) for c in codes], bool)
                silent[:-1] &= np.array([not c for c in codes], bool)
        return passes | (silent & self.lenient)

    def _word_table(self, allowed: object) -> Callable[[npt.NDArray[np.object_]], Bools]:
        """(words + 1, markets): whether each word passes; the last row is for null."""
        lists: list[tuple[str, ...] | None] = list(allowed)  # type: ignore[call-overload]

        def make(words: npt.NDArray[np.object_]) -> Bools:
            table = np.empty((len(words) + 1, len(lists)), bool)
            for m, names in enumerate(lists):
                table[:-1, m] = True if names is None else [word in names for word in words]
                table[-1, m] = names is None or self.lenient
            return table

        return make

    def _compile_solutions(self) -> None:
        words = np.array(self.book.solutions.values, dtype=object)
        self._solution = self._word_table(m.solutions for m in self.markets)(words)
        self._buyer_solution = self._word_table(buyer.solutions for _, buyer in self.buyers)(words)

    def _compile_people(self) -> None:
        contacts = self.book.contacts
        titles = contacts.titles.values
        read = read_titles(titles)
        said = read_titles(np.full(len(contacts.function), None), contacts.function, contacts.seniority)
        # The last place answers code -1: no title.
        self._functions, self._level = np.append(read.functions, 0), np.append(read.level, -1)
        self._said = said.functions, said.level
        self._wanted = np.array([_bits(buyer.functions, FUNCTIONS) for _, buyer in self.buyers], np.int32)
        self._ranks = np.array([_bits(buyer.levels, LEVELS, none=0) for _, buyer in self.buyers], np.int32)
        self._any_title = np.array([not (b.levels or b.keywords) for _, b in self.buyers], bool)
        self._keyword = np.zeros((len(titles) + 1, len(self.buyers)), bool)
        for b, (_, buyer) in enumerate(self.buyers):
            if buyer.keywords:
                self._keyword[:-1, b] = has_keyword(titles, buyer.keywords)

    # -- judging ----------------------------------------------------------------------------------------------------

    def account_lines(self, account: Codes, t: Codes) -> Bools:
        """Whether each rule of ACCOUNT_RULES lets each account in, alone.

        account, t   (n,) codes and instants
        Returns      (rules, n, markets)
        """
        accounts = self.book.accounts
        country, region = self._place
        return np.stack(
            [
                self._within(accounts.revenue.read(account, t, latest=True), 0),
                self._within(accounts.employees.read(account, t, latest=True), 1),
                self._industry[account],
                self._country[country[account]],
                self._region[region[account]],
                self._status[accounts.status.read(account, t, latest=True)],
                ~self._kept_out[account],
            ]
        )

    def _within(self, value: npt.NDArray[np.float64], which: int) -> Bools:
        low, high, asked = self._ranges[:, which, 0], self._ranges[:, which, 1], self._ranges[:, which, 2] > 0
        inside = (value[:, None] >= low) & (value[:, None] <= high)
        return ~asked | inside | (self.lenient & np.isnan(value))[:, None]

    def buyers_at(self, contact: Codes, t: Codes) -> Bools:
        """(n, buyers) whether each contact fits each of `buyers` by function, and by level or keyword of the title."""
        title = self.book.contacts.title.read(contact, t, latest=True)
        functions, level = self._functions[title], self._level[title]
        said_functions, said_level = self._said[0][contact], self._said[1][contact]
        functions = np.where(said_functions != 0, said_functions, functions)
        level = np.where(said_level >= 0, said_level, level)
        in_function = (functions[:, None] & self._wanted) != 0
        in_rank = (np.where(level >= 0, 1 << np.maximum(level, 0), 0)[:, None] & self._ranks) != 0
        in_function |= self._wanted == -1
        in_rank |= self._keyword[title] | self._any_title
        if self.lenient:
            in_function |= (functions == 0)[:, None]
            in_rank |= (level < 0)[:, None]
        return np.asarray(in_function & in_rank)

    def judge(self, lead: Codes, t: Codes) -> tuple[npt.NDArray[np.int8], Codes]:
        """Which rule refuses each lead first, and which market it lies in.

        lead, t   (n,) codes of the book, instants int64 microseconds UTC
        Returns   (n,) int8: 0 none, else the place in MARKET_RULES from 1; (n,) the first market that lets the lead
                  in, NO_MARKET where none does. Where none does, the rule is that of the market that got furthest.
        """
        contact, solution = self.book.leads.contact[lead], self.book.leads.solution[lead]
        lines = self.account_lines(self.book.account_of(lead, t), t)
        fits = self.buyers_at(contact, t) & self._buyer_solution[solution]
        bought = np.ones((len(lead), len(self.markets)), bool)
        for m, market in enumerate(self.markets):
            if market.buyers:
                bought[:, m] = fits[:, [b for b, (owner, _) in enumerate(self.buyers) if owner == m]].any(axis=1)
        passes = np.concatenate([lines, self._solution[solution][None], bought[None]])
        # How many rules hold before the first that does not; the market where most do speaks.
        reached = np.logical_and.accumulate(passes, axis=0).sum(axis=0)
        best = reached.argmax(axis=1) if len(lead) else np.zeros(0, np.int64)
        far = reached[np.arange(len(lead)), best]
        inside = far == len(MARKET_RULES)
        return np.where(inside, 0, far + 1).astype(np.int8), np.where(inside, best, NO_MARKET)


def _ends(bounds: tuple[float | None, float | None] | None) -> tuple[float, float, float]:
    """(low, high, 1) of a range, or (…, 0) where there is no rule."""
    if bounds is None:
        return -np.inf, np.inf, 0.0
    low, high = bounds
    return -np.inf if low is None else low, np.inf if high is None else high, 1.0


def _bits(names: Sequence[str] | None, places: Sequence[str], none: int = -1) -> int:
    """One bit for each name; `none` where the rule is absent (-1: every bit)."""
    return none if names is None else sum(1 << places.index(name) for name in names)


def described(buyer: Buyer) -> str:
    """A buyer in a few words: "Finance: c_level, vp or treasury"."""
    ranks = ", ".join(buyer.levels or ())
    words = ", ".join(buyer.keywords or ())
    title = " or ".join(part for part in (ranks, words) if part) or "any title"
    wanted = f" for {', '.join(buyer.solutions)}" if buyer.solutions else ""
    return f"{' / '.join(buyer.functions or ('any function',))}: {title}{wanted}"
