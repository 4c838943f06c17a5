"""The book of CRM facts: what the engine reads, as numpy columns and as-of logs made once from a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from features.asof import NAT, Latest, Log, Pairs, Sums, later
from features.attendance import Attendance, places
from features.cast import members, split
from features.clock import instant, iso_week_start
from features.entities import Tables, facts, instants, numbers, texts
from features.industry import depth
from features.logs import ActivityLogs, OfferLogs, OpportunityLogs, RepAccountLogs, Tally
from features.tied import Tied
from features.titles import has_keyword
from features.wishes import Wishes, read_absences

if TYPE_CHECKING:
    from features.config import Config
    from features.eligibility import Wall
    from features.snapshot import Snapshot

WEEK = 7 * 86_400_000_000


class Book(Tied):
    """CRM facts as of any instant. Not changed once made; codes are places in the sorted ids, -1 is null."""

    @classmethod
    def of(cls, snapshot: Snapshot, config: Config) -> Book:
        """Make the book of a snapshot."""
        return cls(snapshot.tables, config, instant(snapshot.now), snapshot.columns)

    def renewed(self, tables: Tables, now: int, columns: Mapping[str, Iterable[str]] | None = None) -> Book:
        """A book of other tables, some of them the same frames: what is made of those alone is shared, not made again.

        It answers, bit for bit, what `Book(tables, …, now, columns)` would; columns None: those of this book.
        """
        from features.renewal import renewed  # it knows how a book is made, so it stands above it

        return renewed(self, tables, now, columns)

    @cached_property
    def activity_logs(self) -> ActivityLogs:
        """What the contacts did."""
        return ActivityLogs.of(self)

    @cached_property
    def rep_account_logs(self) -> RepAccountLogs:
        """Meetings and touches by (rep, account)."""
        return RepAccountLogs.of(self)

    @cached_property
    def opportunity_logs(self) -> OpportunityLogs:
        """Opportunities by account and by (rep, account)."""
        return OpportunityLogs.of(self)

    @cached_property
    def offer_logs(self) -> OfferLogs:
        """The reps' record."""
        return OfferLogs.of(self)

    @cached_property
    def absences(self) -> Latest:
        """Until when each rep is away."""
        return read_absences(self.tables, self.rep_index)

    @cached_property
    def wishes(self) -> Wishes:
        """What the reps asked for or ruled out."""
        return Wishes.of(self.tables, self.rep_index, self.account_index, self.contact_index, self.solutions)

    @cached_property
    def walls(self) -> dict[str, Wall]:
        """The hard filters compiled over this book, by the fingerprint of their configuration."""
        return {}

    @cached_property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The values of each category feature, in the order of the book's codes."""
        return {
            "rep_id": tuple(self.rep_ids), "role": self.reps.roles.values, "rep_segment": self.segments.values,
            "focus": self.reps.focuses.values, "solution": self.solutions.values, "function": self.people.functions,
            "sector": self.sectors.values, "account_segment": self.segments.values, "region": self.regions.values,
            "account_status": self.statuses.values, "source": self.leads.sources.values,
        }  # fmt: skip

    @cached_property
    def title_keywords(self) -> np.ndarray:
        """(titles + 1,) float64 how many keywords of the markets' buyers each title holds; NaN last, for no title."""
        buyers = [buyer for market in self.config.markets.values() for buyer in market.buyers or ()]
        keywords = {keyword.casefold() for buyer in buyers for keyword in buyer.keywords or ()}
        titles = self.contacts.titles.values
        held = sum((has_keyword(titles, [k]).astype(np.float64) for k in sorted(keywords)), np.zeros(len(titles)))
        return np.append(held, np.nan)

    @cached_property
    def market_depth(self) -> np.ndarray:
        """(accounts,) float64 digits of each account's industry code that some market names."""
        markets = self.config.markets.values()
        naics = depth(self.accounts.naics, [code for m in markets for code in m.naics or ()])
        sic = depth(self.accounts.sic, [code for m in markets for code in m.sic or ()])
        return _coded(self, np.maximum(naics, sic))

    @cached_property
    def _industries(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(n or "", s or "") for n, s in zip(self.accounts.naics, self.accounts.sic, strict=True)]
        values = sorted(set(pairs)) or [("", "")]
        place = {pair: i for i, pair in enumerate(values)}
        table = np.full((max(len(self.lists), 1), len(values)), np.nan)
        for row, text in enumerate(self.lists.values):
            prefixes = split(text)
            deep = np.maximum(depth([n for n, _ in values], prefixes), depth([s for _, s in values], prefixes))
            table[row] = np.where([not n and not s for n, s in values], np.nan, deep)
        return np.array([place[pair] for pair in pairs], dtype=np.int64), table

    @property
    def industry(self) -> np.ndarray:
        """(accounts,) code of each account's distinct (NAICS, SIC)."""
        return self._industries[0]

    @property
    def industry_depth(self) -> np.ndarray:
        """(lists, distinct industries) float64 digits that a list of a rep's industries names of each; NaN: no code."""
        return self._industries[1]

    @property
    def lead_ids(self) -> np.ndarray:
        """(l,) lead ids; a code is a place here."""
        return self.lead_index.ids

    @property
    def rep_ids(self) -> np.ndarray:
        """(r,) rep ids."""
        return self.rep_index.ids

    @property
    def account_ids(self) -> np.ndarray:
        """(a,) account ids."""
        return self.account_index.ids

    @property
    def contact_ids(self) -> np.ndarray:
        """(c,) contact ids."""
        return self.contact_index.ids

    @cached_property
    def region_members(self) -> np.ndarray:
        """(lists, regions) bool: whether a list of a rep's regions names a region."""
        return members(self.lists, self.regions)

    @cached_property
    def solution_members(self) -> np.ndarray:
        """(lists, solutions) bool: whether a list of product lines names a solution."""
        return members(self.lists, self.solutions)

    @cached_property
    def lead_held(self) -> Tally:
        """How many offers hold each lead: open or accepted ones."""
        return Tally.of(self.outcomes.lead, len(self.lead_index), self.outcomes.holdings())

    @cached_property
    def lead_rep(self) -> tuple[Pairs, Log]:
        """The (lead, rep) pairs that were ever offered, and when."""
        pairs = Pairs(self.outcomes.lead, self.outcomes.rep, len(self.rep_index))
        return pairs, Log(pairs.members, self.outcomes.known, len(pairs))

    @cached_property
    def rep_week(self) -> tuple[Pairs, Tally]:
        """How many offers hold a place in each (rep, local ISO week)."""
        outcome = self.outcomes
        pairs = Pairs(outcome.rep, self.week_of(outcome.rep, outcome.offered), 1 << 20)
        return pairs, Tally.of(pairs.members, len(pairs), outcome.holdings())

    @cached_property
    def zones(self) -> tuple[np.ndarray, np.ndarray]:
        """Names of the reps' time zones, and the place of each rep's in them."""
        zones = np.array([z or self.config.timezone or "UTC" for z in self.reps.timezone], dtype=object)
        return np.unique(zones.astype(str), return_inverse=True)

    @cached_property
    def spent(self) -> Latest:
        """Until when each rep has no room, whatever his capacity: he said so, and it holds for the rest of his week."""
        outcome = self.outcomes
        said = np.where(outcome.no_room, outcome.answered, NAT)
        until = np.full(len(said), NAT, np.int64)
        rows = np.flatnonzero(said != NAT)
        until[rows] = self.week_end(outcome.rep[rows], said[rows])
        return Latest(Log(outcome.rep, said, len(self.rep_index)), until)

    @cached_property
    def attendance(self) -> Attendance:
        """The weeks of which each rep misses a part."""
        return Attendance.of(self)

    def arrives(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) the first instant from t on at which each rep has begun and is not away, by the absences known then."""
        hired = self.reps.hired[rep]
        t = np.where(hired == NAT, t, np.maximum(t, hired))
        while ((until := self.absences.at(rep, t)) > t).any():
            t = np.maximum(t, until)
        return t

    def week_end(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) first instant of the ISO week after each instant's, in the rep's own time zone."""
        # A week may last an hour longer.
        return self.week_start(rep, self.week_start(rep, t) + WEEK * 8 // 7)

    def week_of(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) number of the ISO week (weeks since 1970-W01) of each instant in the rep's own time zone."""
        # Week starts differ by the zone's offset only, so the nearest Monday in UTC numbers the week.
        return np.asarray((self.week_start(rep, t) + WEEK * 9 // 14) // WEEK)

    def week_start(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) first instant of the ISO week of each instant, in the rep's own time zone."""
        names, codes = self.zones
        zone = codes[np.maximum(rep, 0)]
        result = np.empty(len(t), np.int64)
        for code in np.unique(zone):
            at = zone == code
            result[at] = iso_week_start(t[at], str(names[code]))
        return result

    def used(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) offers of the rep's current week that are open or accepted strictly before t."""
        return self._used(rep, self.week_of(rep, t), t)

    def _used(self, rep: np.ndarray, week: np.ndarray, t: np.ndarray) -> np.ndarray:
        pairs, held = self.rep_week
        return held.before(pairs.codes(rep, week), t)[1]

    def room(self, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) float64 how many leads more each rep can take in the week of t, at least 0; NaN: no limit holds.

        His capacity is that of a whole week: of one of which he misses a part he has no more than his part of it.
        """
        week = self.week_of(rep, t)
        limit = places(self.reps.capacity.read(rep, t, latest=True), self.attendance.at(rep, week, t))
        left = np.maximum(limit - self._used(rep, week, t), 0.0)
        return np.where(self.spent.at(rep, t, before=True) > t, 0.0, left)

    def taken(self, lead: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) whether an offer of the lead, made strictly before t, is open or accepted."""
        return np.asarray(self.lead_held.before(lead, t)[1] > 0)

    def offered(self, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) whether the lead was offered to the rep strictly before t."""
        pairs, log = self.lead_rep
        return log.count(pairs.codes(lead, rep), t, before=True) > 0

    def closed(self, lead: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) whether the lead is closed by t."""
        closed_at = self.leads.closed[lead]
        words = self.lead_statuses
        code = words.codes(np.array(["closed"], dtype=object))[0]
        by_status = (self.leads.status.read(lead, t, latest=True) == code) & (code >= 0) & (closed_at == NAT)
        return ((closed_at != NAT) & (closed_at <= t)) | by_status

    def open_leads(self, t: int) -> np.ndarray:
        """Codes of the leads created by t, not closed by t, without an open or accepted offer."""
        lead = np.flatnonzero(self.leads.born <= t)
        at = np.full(len(lead), t)
        return lead[~self.closed(lead, at) & ~self.taken(lead, at)]

    @cached_property
    def _amounts(self) -> tuple[Log, Sums, Sums]:
        opps = facts(self.tables, "opportunities")
        solution = self.solutions.codes(texts(opps, "solution"))
        amount = numbers(opps, "amount")
        closed = instants(opps, "closed_at")
        known = np.where(np.isnan(amount) | (closed == NAT), NAT, later(closed, instants(opps, "known_at")))
        log = Log(solution, known, len(self.solutions))
        return log, Sums(log, np.nan_to_num(amount)), Sums(log, np.ones(len(amount)))

    def mean_amount(self, solution: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) mean amount in USD of the solution's opportunities closed strictly before t; 0 where there is none."""
        log, amounts, counts = self._amounts
        start, stop = log.span(solution, t, before=True)
        count = counts.between(start, stop)
        return amounts.between(start, stop) / np.maximum(count, 1.0)


def _coded(book: Book, digits: np.ndarray) -> np.ndarray:
    """Digits as float64, NaN for an account without any industry code."""
    none = [not n and not s for n, s in zip(book.accounts.naics, book.accounts.sic, strict=True)]
    return np.where(none, np.nan, digits.astype(np.float64))
