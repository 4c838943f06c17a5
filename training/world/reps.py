"""The reps of the sample: roles, territories, lines, tenure, capacity, absences and what they prefer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.schema import ROLES
from training.world.accounts import PARTNER, Accounts
from training.world.people import People
from training.world.places import INDUSTRIES, REGIONS, SOLD_REGIONS, SOLD_SOLUTIONS, SOLUTIONS
from training.world.setting import (
    DAY,
    HISTORY_WEEKS,
    NEVER,
    NONE,
    TEST_WEEKS,
    Flags,
    Floats,
    Ints,
    Setting,
    Texts,
    choose,
    ids,
)

SELLING = tuple(i for i, role in enumerate(ROLES) if role not in ("ldr", "bdr"))
PARTNERS_ONLY = (ROLES.index("partner"), ROLES.index("channel"))
_ROLE_SHARE = np.array([0.18, 0.18, 0.13, 0.14, 0.13, 0.05, 0.05, 0.14])
FOCUS = ("new", "existing", "both")
#: Eligible reps that a lead should find, on average: what the territories and lines are cut for.
_CHOICE = 13


@dataclass
class Reps:
    """Columns of the reps, (n,) each; covers and sells are flags per region and solution."""

    id: Texts
    name: Texts
    role: Ints
    segment: Ints  # position in SEGMENTS, -1: any
    covers: Flags  # (n, regions); all true where the table has no region
    sells: Flags  # (n, solutions); all true where the table has no line
    knows: Flags  # (n, industries)
    anywhere: Flags  # the table leaves the regions empty
    anything: Flags  # the table leaves the lines empty
    hired: Ints
    focus: Ints
    capacity: Floats  # NaN: no limit
    zone: Texts
    country: Texts
    pilot: Flags
    until: Ints  # NEVER: still here

    def __len__(self) -> int:
        return len(self.id)

    @property
    def selling(self) -> Flags:
        """Reps who get offers at all."""
        return np.isin(self.role, SELLING)

    def active(self, instant: int) -> Flags:
        """Reps who are hired and have not left."""
        return (self.hired <= instant) & (instant < self.until)


@dataclass(frozen=True)
class Absences:
    """Time off: (m,) each, whole days."""

    rep: Ints
    starts: Ints
    ends: Ints

    def away(self, instant: int, reps: int) -> Flags:
        """Who is off at an instant."""
        off = np.zeros(reps, dtype=bool)
        off[self.rep[(self.starts <= instant) & (instant < self.ends)]] = True
        return off


@dataclass(frozen=True)
class Preferences:
    """What reps have asked for: (m,) each; subject is a position among accounts, contacts or solutions."""

    rep: Ints
    kind: Texts  # account, contact, solution
    subject: Ints
    include: Flags
    since: Ints
    until: Ints  # NEVER: open


def make_reps(setting: Setting) -> Reps:
    """Draw the reps; territories and lines are wider where there are few of them."""
    rng, n = setting.rng("reps"), setting.reps
    role = _roles(rng, n)
    breadth = _CHOICE * len(SOLD_REGIONS) * len(SOLD_SOLUTIONS) / n
    regions = int(np.clip(round(0.9 * np.sqrt(breadth)), 1, len(SOLD_REGIONS)))
    lines = int(np.clip(round(breadth / regions), 2, len(SOLD_SOLUTIONS)))
    anywhere, anything = rng.random(n) < 0.03, rng.random(n) < 0.03
    weight = np.array([REGIONS[r].weight for r in SOLD_REGIONS])
    covers = _spread(rng, n, len(REGIONS), weight, regions)
    sells = _spread(rng, n, len(SOLUTIONS), np.ones(len(SOLD_SOLUTIONS)), lines)
    home = covers.argmax(1)
    covers[anywhere], sells[anything] = True, True
    start, weeks = setting.start, HISTORY_WEEKS - TEST_WEEKS
    hired = start - rng.integers(30 * DAY, 7 * 365 * DAY, n) // DAY * DAY
    late = rng.random(n) < 0.15
    hired[late] = start + rng.integers(20, weeks * 7 - 30, int(late.sum())) * DAY
    until = np.full(n, NEVER)
    gone = ~late & (rng.random(n) < 0.08)
    until[gone] = start + rng.integers(60, weeks * 7, int(gone.sum())) * DAY
    busiest = max(4.0, 1.5 * setting.offers / weeks / max(1, np.isin(role, SELLING).sum()))
    return Reps(
        id=ids("R", n),
        name=np.array([f"Rep {i + 1}" for i in range(n)], dtype=object),
        role=role,
        segment=np.where(
            role == ROLES.index("enterprise"), 2, np.where(rng.random(n) < 0.3, -1, rng.integers(0, 3, n))
        ),
        covers=covers,
        sells=sells,
        knows=rng.random((n, len(INDUSTRIES))) < np.where(role == ROLES.index("vertical"), 0.2, 0.3)[:, None],
        anywhere=anywhere,
        anything=anything,
        hired=hired,
        focus=choose(rng, np.array([0.35, 0.3, 0.35]), n),
        capacity=np.where(rng.random(n) < 0.05, np.nan, np.round(busiest * rng.uniform(0.9, 2.0, n))),
        zone=np.array([r.zone for r in REGIONS], dtype=object)[home],
        country=np.array([r.countries[0] for r in REGIONS], dtype=object)[home],
        pilot=rng.random(n) < 0.1,
        until=until,
    )


def _roles(rng: np.random.Generator, n: int) -> Ints:
    """A twelfth pre-qualify, one of each kind at least; the rest sell, in shuffled order."""
    before = max(2, n // 12)
    role = np.array(SELLING)[choose(rng, _ROLE_SHARE, n)]
    role[:before] = np.where(np.arange(before) % 2, ROLES.index("bdr"), ROLES.index("ldr"))
    return rng.permutation(role)


def _spread(rng: np.random.Generator, n: int, width: int, weight: Floats, each: int) -> Flags:
    """Give each of n rows `each` columns, near the weights in total and every column at least once."""
    held = np.zeros((n, width), dtype=bool)
    target = weight / weight.sum() * n * each
    given = np.zeros(len(weight))
    for row in range(n):
        want = np.log(np.maximum(target - given, 0.05)) + rng.gumbel(0, 0.6, len(weight))
        pick = np.argsort(-want)[:each]
        held[row, pick] = True
        given[pick] += 1
    return held


def make_absences(setting: Setting, reps: Reps) -> Absences:
    """About four absences a year each, of a day to three weeks; one in ten is still ahead at the end."""
    rng = setting.rng("absences")
    count = rng.poisson(4.5, len(reps))
    rep = np.repeat(np.arange(len(reps)), count)
    starts = setting.start + rng.integers(0, setting.days + 40, rep.size) * DAY
    ends = starts + choose(rng, np.array([5, 3, 2, 1, 6, 1, 1, 5, 1, 1, 1, 1, 1, 2, 1.0]), rep.size) * DAY + DAY
    keep = (starts >= reps.hired[rep]) & (ends <= reps.until[rep])
    return Absences(rep[keep], starts[keep], ends[keep])


def make_preferences(setting: Setting, reps: Reps, accounts: Accounts, people: People) -> Preferences:
    """Mostly exclusions of an account or a contact; an inclusion opens an account outside territory or line."""
    rng = setting.rng("preferences")
    rep = np.repeat(np.arange(len(reps)), rng.poisson(1.5, len(reps)))
    kind = np.array(["account", "contact", "solution"], dtype=object)[
        choose(rng, np.array([0.7, 0.25, 0.05]), rep.size)
    ]
    size = np.where(kind == "account", len(accounts), np.where(kind == "contact", len(people), len(SOLD_SOLUTIONS)))
    since = np.maximum(setting.start + rng.integers(-100, setting.days - 1, rep.size) * DAY, reps.hired[rep])
    ends = rng.random(rep.size) < 0.3
    until = np.where(ends, since + rng.integers(20, 200, rep.size) * DAY, NEVER)
    return Preferences(
        rep=rep,
        kind=kind,
        subject=(rng.random(rep.size) * size).astype(np.int64),
        include=(kind == "account") & (rng.random(rep.size) < 0.35),
        since=since,
        until=until,
    )


def first_owners(setting: Setting, reps: Reps, accounts: Accounts) -> Ints:
    """Who owns each account when the history starts: someone of its region, hired by then; -1: nobody."""
    rng = setting.rng("owners")
    able = reps.covers.T[accounts.region] & (reps.selling & (reps.hired < setting.start) & ~reps.anywhere)
    able &= ~np.isin(reps.role, PARTNERS_ONLY) | (accounts.status == PARTNER)[:, None]
    fits = (reps.segment == accounts.segment[:, None]) * 1.0 + reps.knows.T[accounts.industry] * 0.7
    rank = np.where(able, fits + rng.gumbel(0, 1, able.shape), -np.inf)
    return np.where(able.any(1) & (rng.random(len(accounts)) > 0.12), rank.argmax(1), -1)


def absent_or_none(instants: Ints) -> Ints:
    """NEVER becomes NONE, which a table shows as an empty cell."""
    return np.where(instants == NEVER, NONE, instants)
