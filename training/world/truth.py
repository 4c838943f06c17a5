"""What really decides whether a rep accepts and converts a lead: hidden traits, hidden ties, needs and corners."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.schema import ROLES
from training.world.accounts import CUSTOMER, Accounts
from training.world.people import People, level_weight
from training.world.places import INDUSTRIES, SOLUTIONS
from training.world.reps import Reps
from training.world.setting import COLLEAGUES, CORNERS, DAY, HISTORY_WEEKS, Flags, Floats, Ints, Setting
from training.world.titles import FUNCTIONS, LEVELS

#: How far apart the pairs of a lead are; at 1 the best rep converts four to five times what a random one does.
SPREAD = 0.8
ENTERPRISE, SEGMENT = ROLES.index("enterprise"), ROLES.index("segment")


@dataclass(frozen=True)
class Moment:
    """The pairs of some leads with all reps at one instant: (k,) per lead, (k, reps) per pair.

    warmth     the hidden tie of rep and contact; reach: that through colleagues
    meeting    nearness of the rep's next booked meeting with the account: 1 today, 0 none
    deals      open opportunities of this rep at the account; others: of anyone else
    """

    instant: int
    account: Ints
    contact: Ints
    solution: Ints
    intent: Floats
    status: Ints
    owned: Flags
    warmth: Floats
    reach: Floats
    meeting: Floats
    deals: Floats
    others: Floats
    load: Floats  # (reps,) share of the week's capacity in use


@dataclass(frozen=True)
class Truth:
    """The hidden side of a world. Logits are sums of these; intercepts put the rates where they should be."""

    setting: Setting
    accounts: Accounts
    people: People
    reps: Reps
    need: Floats  # (accounts, solutions)
    taste_function: Floats  # (reps, functions)
    taste_level: Floats
    taste_solution: Floats
    taste_industry: Floats
    willing: Floats  # (reps,)
    skill: Floats
    prompt: Floats  # (reps,) how surely an offer is answered at all
    busy: Floats  # (reps, weeks)
    chemistry: Floats  # (accounts, reps) float32
    pairing: Floats  # (role, solution, industry)
    sweet: Floats  # (roles,) log10 revenue at which a role is at its best
    accept_base: float = 0.0
    convert_base: float = 0.0

    def with_bases(self, accept: float, convert: float) -> Truth:
        """The same world with other intercepts."""
        return replace(self, accept_base=accept, convert_base=convert)

    def chances(self, m: Moment) -> tuple[Floats, Floats]:
        """p(accept) and p(convert | accept) of every pair of the moment, (k, reps) each."""
        accept, convert = self.logits(m)
        return _sigmoid(accept + self.accept_base), _sigmoid(convert + self.convert_base)

    def logits(self, m: Moment) -> tuple[Floats, Floats]:
        """The two sums of terms without their intercepts, (k, reps) each."""
        corners = CORNERS[self.setting.world]
        accept, convert = (SPREAD * side for side in self._smooth(m))
        if corners:
            more, better = self._corners(m)
            accept = (1 - 0.25 * corners) * accept + 0.9 * corners * more
            convert = (1 - 0.25 * corners) * convert + 0.9 * corners * better
        return accept, convert

    def _smooth(self, m: Moment) -> tuple[Floats, Floats]:
        reps, reach = self.reps, COLLEAGUES[self.setting.graph] * m.reach
        industry = self.accounts.industry[m.account]
        taste = (
            self.taste_function[:, self.people.function[m.contact]]
            + self.taste_level[:, self.people.level[m.contact]]
            + self.taste_solution[:, m.solution]
            + self.taste_industry[:, industry]
        ).T
        segment = (reps.segment == self.accounts.segment[m.account][:, None]) & (reps.segment >= 0)
        expert = reps.knows[:, industry].T
        existing = (m.status == CUSTOMER)[:, None]
        focus = np.where(reps.focus == 2, 0.0, np.where((reps.focus == 1) == existing, 1.0, -1.0))
        tenure = np.sqrt(np.clip((m.instant - reps.hired) / (365 * DAY), 0, 4))
        week = int(np.clip((m.instant - self.setting.start) // (7 * DAY), 0, HISTORY_WEEKS - 1))
        chemistry = self.chemistry[m.account].astype(np.float64)
        need = self.need[m.account, m.solution]
        both = 0.40 * segment + 0.35 * expert + 0.25 * focus
        accept = (
            both + taste + self.willing + 0.6 * chemistry + 0.3 * m.owned + 0.8 * m.warmth + 1.5 * reach
            + 0.8 * m.meeting - 0.4 * m.load - 0.25 * self.busy[:, week] + 0.25 * m.deals - 0.3 * m.others
            + (0.2 * need + 0.2 * m.intent)[:, None]
        )  # fmt: skip
        convert = (
            0.8 * both + 0.75 * taste + self.skill + 0.6 * chemistry + 0.1 * m.owned + 1.0 * m.warmth + 1.7 * reach
            + 0.8 * m.meeting + 0.15 * tenure + 0.3 * m.deals - 0.1 * self.busy[:, week]
            + (0.45 * need + 0.2 * m.intent + 0.25 * level_weight(self.people.level[m.contact]))[:, None]
        )  # fmt: skip
        return accept, convert

    def _corners(self, m: Moment) -> tuple[Floats, Floats]:
        """What no sum of terms can say: sweet spots, pairings, thresholds, the quarter's end."""
        role = self.reps.role
        size = np.log10(np.nan_to_num(self.accounts.revenue[m.account], nan=2e8))[:, None]
        sweet = np.where(np.abs(size - self.sweet[role]) < 0.35, 0.8, -0.2)
        pairing = self.pairing[role][:, m.solution, self.accounts.industry[m.account]].T
        soon = np.where(m.meeting > np.exp(-0.7), 0.6, 0.0)  # within a week
        warm = np.where(m.warmth + m.reach * COLLEAGUES[self.setting.graph] > 0.6, 0.5, 0.0)
        green = np.where(m.instant - self.reps.hired < 180 * DAY, -0.4, 0.0)
        rush = self._quarter_end(m, role)
        return sweet + 0.7 * pairing + soon + green + rush, 0.8 * sweet + pairing + warm + 0.5 * green

    def _quarter_end(self, m: Moment, role: Ints) -> Floats:
        """In a quarter's last two weeks, those with large quotas take customers and leave prospects."""
        day = np.datetime64(m.instant, "s").astype("datetime64[D]")
        quarter = day.astype("datetime64[M]").astype(int) // 3 * 3 + 3
        left = (np.datetime64(int(quarter), "M").astype("datetime64[D]") - day).astype(int)
        if left > 14:
            return np.zeros((len(m.account), len(role)))
        pressed = np.isin(role, (ENTERPRISE, SEGMENT))
        return np.where(m.status == CUSTOMER, 0.5, -0.4)[:, None] * pressed


def make_truth(setting: Setting, accounts: Accounts, people: People, reps: Reps) -> Truth:
    """Draw the hidden traits; without `traits` a rep is what the role is."""
    rng, n, own = setting.rng("truth"), len(reps), 1.0 if setting.traits else 0.0

    def taste(width: int, role_scale: float, own_scale: float) -> Floats:
        by_role = rng.normal(0, role_scale, (len(ROLES), width))
        return by_role[reps.role] + own * rng.normal(0, own_scale, (n, width))

    return Truth(
        setting=setting,
        accounts=accounts,
        people=people,
        reps=reps,
        need=rng.normal(0, 1, (len(accounts), len(SOLUTIONS))),
        taste_function=taste(len(FUNCTIONS), 0.15, 0.28),
        taste_level=taste(len(LEVELS), 0.08, 0.16),
        taste_solution=taste(len(SOLUTIONS), 0.15, 0.32),
        taste_industry=taste(len(INDUSTRIES), 0.10, 0.16),
        willing=own * rng.normal(0, 0.2, n),
        skill=own * rng.normal(0, 0.22, n),
        prompt=rng.uniform(0.35, 0.9, n),
        busy=_busyness(rng, n),
        chemistry=rng.normal(0, 0.3, (len(accounts), n)).astype(np.float32),
        pairing=rng.normal(0, 0.1, (len(ROLES), 1, 1)) + _pairings(rng),
        sweet=rng.uniform(7.8, 9.6, len(ROLES)),
    )


def _pairings(rng: np.random.Generator) -> Floats:
    """(roles, solutions, industries): a third of the combinations go well or badly, the rest are neutral."""
    shape = (len(ROLES), len(SOLUTIONS), len(INDUSTRIES))
    sign = rng.choice([-1.0, 0.0, 1.0], size=shape, p=[0.2, 0.6, 0.2])
    return sign * 0.75


def _busyness(rng: np.random.Generator, n: int) -> Floats:
    """(reps, weeks) what else a rep has to do, which no table shows: it swings over a month or so."""
    busy = np.empty((n, HISTORY_WEEKS))
    busy[:, 0] = rng.normal(0, 1, n)
    for week in range(1, HISTORY_WEEKS):
        busy[:, week] = 0.75 * busy[:, week - 1] + rng.normal(0, 0.66, n)
    return busy


def _sigmoid(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))
