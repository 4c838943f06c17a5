"""Who may take which lead: the hard filters on (lead, rep, instant), each refusal with its rule."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final
from weakref import proxy

import numpy as np
import numpy.typing as npt

from features.asof import NAT, NEVER
from features.cast import split
from features.market import MARKET_RULES, Bools, Codes, ServedMarket

if TYPE_CHECKING:
    from features.book import Book
    from features.config import Config

PAIR_RULES: Final = (
    "objects", "lead_closed", "lead_taken", "already_offered", "inactive", "time_off", "role", "territory",
    "product_line", "exclusion", "capacity_full",
)  # fmt: skip
#: Every rule in the order in which they refuse; a refusal is the place in here, from 1.
RULES: Final[tuple[str, ...]] = (*MARKET_RULES, *PAIR_RULES)

#: Roles that pre-qualify and get no offers.
PRESELLERS: Final = ("ldr", "bdr")
_PLACE: Final = {rule: np.int8(i) for i, rule in enumerate(RULES, start=1)}


def refusals(
    book: Book, config: Config, lead: Codes, rep: Codes, t: Codes, *, profiling: bool = True
) -> npt.NDArray[np.int8]:
    """The first rule that refuses each pair.

    lead, rep   (n,) codes of the book; t (n,) instants, int64 microseconds UTC
    profiling   False where nothing is scored: a contact who objects to profiling may not be scored by a model (rule
                `objects`: training, /score, ranking), but may be placed by rules, and then this rule is silent
    Returns     (n,) int8: 0 eligible, i: refused by RULES[i - 1]
    Cost        about 0.6 ms for a lead and 200 reps; 1 µs a pair in bulk
    """
    return wall(book, config).refusals(lead, rep, t, profiling=profiling)


def wall(book: Book, config: Config) -> Wall:
    """The filters of a configuration over a book, compiled once for the two; they last as long as the book."""
    made = book.walls.get(config.fingerprint)
    if made is None:
        # The book holds its walls: were it held by them, too, a book that was replaced would outlive its last answer.
        made = book.walls[config.fingerprint] = Wall(proxy(book), config)
    return made


def passes(book: Book, refused: npt.NDArray[np.int8], rep: Codes, t: Codes) -> Codes:
    """(n,) when each refusal ends by itself: an absence, a week without room, a rep who has not begun; else NEVER."""
    ends = np.full(len(rep), NEVER, np.int64)
    away, full = np.flatnonzero(refused == _PLACE["time_off"]), np.flatnonzero(refused == _PLACE["capacity_full"])
    ends[away] = book.absences.at(rep[away], t[away])
    full = full[book.reps.capacity.read(rep[full], t[full], latest=True) != 0]  # who takes none has no room next week
    ends[full] = book.week_end(rep[full], t[full])
    hired = book.reps.hired[rep]
    return np.where((refused == _PLACE["inactive"]) & (hired != NAT) & (hired > t), hired, ends)


def presells(role: str) -> bool:
    """Whether reps of a role only pre-qualify, however the CRM spells it."""
    return role.strip().casefold() in PRESELLERS


def objects(book: Book, lead: Codes) -> Bools:
    """(n,) whether the lead's contact objects to profiling: no model may score it, rules place it."""
    return np.asarray(book.contacts.objects[book.leads.contact[lead]])


class Wall:
    """The hard filters, compiled for one book. No score and no behaviour is read here, so none can buy a way in."""

    def __init__(self, book: Book, config: Config) -> None:
        self.book, self.config = book, config
        self.lenient = config.unknown == "allow"
        self.market = ServedMarket(book, config)
        self._compile_roles()
        self._territory = _lists(book, tuple(r.strip().casefold() for r in book.regions.values), fold=True)
        self._lines = _lists(book, book.solutions.values, fold=False)
        self._region = np.append(book.accounts.region, -1)

    def over(self, book: Book) -> Wall:
        """The same filters over another book, of which all that they were compiled from is the same."""
        other = copy(self)
        other.market = copy(self.market)
        other.book = other.market.book = proxy(book)
        return other

    def _compile_roles(self) -> None:
        """(roles + 1, statuses + 1) and (roles + 1, segments + 1): what a rep of each role may take."""
        book, rules = self.book, self.config.reps.roles
        roles = book.reps.roles.values
        self._role_status = np.ones((len(roles) + 1, len(book.statuses) + 1), bool)
        self._role_segment = np.ones((len(roles) + 1, len(book.segments) + 1), bool)
        for place, role in enumerate(roles):
            rule = rules.get(role.strip().casefold())
            if presells(role):
                self._role_status[place] = False
            for table, words, allowed in (
                (self._role_status, book.statuses.values, rule and rule.statuses),
                (self._role_segment, book.segments.values, rule and rule.segments),
            ):
                if allowed:
                    wanted = {name.casefold() for name in allowed}
                    table[place, :-1] &= np.array([word.casefold() in wanted for word in words], bool)
                    table[place, -1] &= self.lenient

    # -- judging ----------------------------------------------------------------------------------------------------

    def refusals(self, lead: Codes, rep: Codes, t: Codes, *, profiling: bool = True) -> npt.NDArray[np.int8]:
        """As the function `refusals`."""
        if not len(lead):
            return np.zeros(0, np.int8)
        first, row = _distinct(lead, t)
        of_lead = self._lead_refusals(lead[first], t[first], profiling)
        refused = of_lead[row]
        left = np.flatnonzero(refused == 0)
        if len(left):
            asked = _Asked(self.book, lead[first], t[first], row[left], rep[left])
            refused[left] = self._pair_refusals(asked)
        return refused

    def _lead_refusals(self, lead: Codes, t: Codes, profiling: bool) -> npt.NDArray[np.int8]:
        """(n,) the first of the rules that ask nothing of the rep."""
        book = self.book
        refused, _ = self.market.judge(lead, t)
        for rule, hit in (
            ("objects", objects(book, lead) & profiling),
            ("lead_closed", book.closed(lead, t)),
            ("lead_taken", book.taken(lead, t)),
        ):
            refused = np.where((refused == 0) & hit, _PLACE[rule], refused)
        return refused

    def _pair_refusals(self, asked: _Asked) -> npt.NDArray[np.int8]:
        """(n,) the first of the rules on lead and rep; what is written later stands earlier in RULES."""
        reps, rep, t = self.book.reps, asked.rep, asked.t
        refused = np.zeros(len(rep), np.int8)
        refused[self._wishes("exclude", asked)] = _PLACE["exclusion"]
        lifted = self._wishes("include", asked)
        if self.config.reps.product_line:
            lines = reps.product_lines.read(rep, t, latest=True)
            refused[~self._lines[lines, asked.solution] & ~lifted] = _PLACE["product_line"]
        if self.config.reps.territory:
            region = self._region[asked.account]
            told = self._territory[reps.regions.read(rep, t, latest=True), region]
            refused[~told & ~lifted & ~((region < 0) & self.lenient)] = _PLACE["territory"]
        role = reps.role.read(rep, t, latest=True)
        fits = self._role_status[role, asked.status] & self._role_segment[role, asked.segment]
        refused[~fits] = _PLACE["role"]
        refused[self.book.absences.at(rep, t) > t] = _PLACE["time_off"]
        hired, until = reps.hired[rep], reps.active_until[rep]
        refused[((hired != NAT) & (hired > t)) | ((until != NAT) & (until <= t))] = _PLACE["inactive"]
        refused[self.book.offered(asked.lead, rep, t)] = _PLACE["already_offered"]
        left = np.flatnonzero(refused == 0)
        refused[left[self.book.room(rep[left], t[left]) < 1]] = _PLACE["capacity_full"]
        return refused

    def _wishes(self, rule: str, asked: _Asked) -> Bools:
        """(n,) whether a preference of the rep holds at t for the account, the contact or the solution."""
        found = np.zeros(len(asked.rep), bool)
        for subject in ("account", "contact", "solution"):
            found |= self.book.wishes.hold(rule, subject, asked.rep, getattr(asked, subject), asked.t)
        return found


class _Asked:
    """(n,) pairs, and what their leads are at the instant: read once for each distinct (lead, instant)."""

    def __init__(self, book: Book, lead: Codes, t: Codes, row: Codes, rep: Codes) -> None:
        account = book.account_of(lead, t)
        self.lead, self.rep, self.t = lead[row], rep, t[row]
        self.account, self.contact = account[row], book.leads.contact[lead][row]
        self.solution = book.leads.solution[lead][row]
        self.status = book.accounts.status.read(account, t, latest=True)[row]
        self.segment = book.accounts.segment.read(account, t, latest=True)[row]


def _lists(book: Book, items: tuple[str, ...], *, fold: bool) -> Bools:
    """(lists + 1, items + 1) whether a rep's list names an item; no list, or an empty one, limits nothing.

    The last row is for no list, the last column for an item that is not known: a list does not name it.
    """
    table = np.zeros((len(book.reps.lists) + 1, len(items) + 1), bool)
    for row, text in enumerate(book.reps.lists.values):
        named = {item.casefold() if fold else item for item in split(text)}
        table[row, :-1] = [item in named for item in items]
        if not named:
            table[row] = True
    table[-1] = True
    return table


def _distinct(lead: Codes, t: Codes) -> tuple[Codes, Codes]:
    """(first rows, row of each pair) of the distinct (lead, instant)."""
    if (lead == lead[0]).all() and (t == t[0]).all():
        return np.zeros(1, np.int64), np.zeros(len(lead), np.int64)
    instants_, rank = np.unique(t, return_inverse=True)
    _, first, row = np.unique(lead * len(instants_) + rank, return_index=True, return_inverse=True)
    return first, row
