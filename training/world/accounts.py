"""The companies of the sample: who they are, where, how large, whose child, and since when customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.schema import STATUSES
from training.world.places import INDUSTRIES, REGIONS
from training.world.setting import DAY, NONE, Flags, Floats, Ints, Setting, Texts, choose, ids

SEGMENTS = ("small", "midmarket", "enterprise")
PROSPECT, CUSTOMER, PARTNER, FORMER = range(len(STATUSES))

_STEMS = (
    "Alder", "Birch", "Cedar", "Harbour", "Summit", "Nordlicht", "Müller", "Société Générique", "Río Verde", "O'Hara",
    "Smith, Jones", "Ångström", "First", "United", "Pioneer", "Blue Ridge", "Sankt Gallen", "Castilla", "Kestrel",
    "Loire", "Fjord", "Meridian", "Polder", "Tyne", "Granite", "Copper Lake", "Null", "NA", "1E5", "Delta",
)  # fmt: skip


@dataclass
class Accounts:
    """Columns of the accounts, (n,) each; industry, region, segment and status are positions in their lists."""

    id: Texts
    name: Texts
    domain: Texts
    parent: Ints  # position, -1: none
    industry: Ints
    naics: Texts
    sic: Texts
    revenue: Floats
    employees: Floats
    country: Texts
    region: Ints
    segment: Ints
    status: Ints  # at the start of the history
    customer_since: Ints
    left_at: Ints  # when a former customer left
    churn: Floats  # at the start, NaN: not a customer
    created: Ints

    def __len__(self) -> int:
        return len(self.id)


def make_accounts(setting: Setting) -> Accounts:
    """Draw the accounts; revenue is log-normal with a Pareto tail, employees follow it."""
    rng, n = setting.rng("accounts"), setting.accounts
    industry = choose(rng, np.array([i.weight for i in INDUSTRIES]), n)
    region = choose(rng, np.array([r.weight for r in REGIONS]), n)
    revenue = np.power(10.0, rng.normal(8.35, 0.55, n)) * np.where(rng.random(n) < 0.08, rng.pareto(1.1, n) + 2, 1.0)
    revenue = np.round(np.clip(revenue, 5e5, 4e11), -3)
    employees = np.maximum(1, np.round(revenue / np.power(10.0, rng.normal(5.4, 0.25, n))))
    segment = np.digitize(revenue, (1e8, 1e9)).astype(np.int64)
    created = setting.start - rng.integers(60 * DAY, 6 * 365 * DAY, n)
    status = choose(rng, np.array([0.54, 0.33, 0.08, 0.05]), n)
    age = (setting.start - created) * rng.uniform(0.05, 0.9, n)
    since = np.where(np.isin(status, (CUSTOMER, FORMER)), created + age.astype(np.int64), NONE)
    left = np.where(
        status == FORMER, since + ((setting.start - since) * rng.uniform(0.2, 0.9, n)).astype(np.int64), NONE
    )
    naics, sic = _codes(rng, industry)
    names = _names(rng, industry)
    known = rng.random(n) >= 0.02
    return Accounts(
        id=ids("A", n),
        name=names,
        domain=np.array([f"company{i}.example" for i in range(n)], dtype=object),
        parent=_parents(rng, industry, revenue),
        industry=industry,
        naics=naics,
        sic=sic,
        revenue=np.where(known, revenue, np.nan),
        employees=np.where(rng.random(n) < 0.04, np.nan, employees),
        country=_countries(rng, region),
        region=region,
        segment=segment,
        status=status,
        customer_since=since,
        left_at=left,
        churn=np.where(status == CUSTOMER, np.round(rng.beta(1.5, 6, n), 3), np.nan),
        created=created,
    )


def _codes(rng: np.random.Generator, industry: Ints) -> tuple[Texts, Texts]:
    """Both codes, one of them or none; now and then a SIC code sits in the NAICS column, as in real exports."""
    n = len(industry)
    naics, sic = np.full(n, None, dtype=object), np.full(n, None, dtype=object)
    for i, line in enumerate(INDUSTRIES):
        rows = np.flatnonzero(industry == i)
        naics[rows] = np.array(line.naics, dtype=object)[rng.integers(0, len(line.naics), rows.size)]
        sic[rows] = np.array(line.sic, dtype=object)[rng.integers(0, len(line.sic), rows.size)]
    draw = rng.random(n)
    swapped = draw > 0.99
    naics[swapped] = sic[swapped]
    naics[draw < 0.15] = None
    sic[(draw >= 0.15) & (draw < 0.40)] = None
    naics[(draw >= 0.14) & (draw < 0.15)] = None
    return naics, sic


def _names(rng: np.random.Generator, industry: Ints) -> Texts:
    stems = np.array(_STEMS, dtype=object)[rng.integers(0, len(_STEMS), len(industry))]
    picks = rng.random(len(industry))
    words = [INDUSTRIES[i].words[int(p * len(INDUSTRIES[i].words))] for i, p in zip(industry, picks, strict=True)]
    names = np.array([f"{s} {w}" for s, w in zip(stems, words, strict=True)], dtype=object)
    names[picks > 0.997] = "None"
    return names


def _countries(rng: np.random.Generator, region: Ints) -> Texts:
    picks = rng.random(len(region)) ** 1.7  # the first country of a region is its largest
    where = [REGIONS[r].countries for r in region]
    return np.array([c[int(p * len(c))] for c, p in zip(where, picks, strict=True)], dtype=object)


def _parents(rng: np.random.Generator, industry: Ints, revenue: Floats) -> Ints:
    """One account in twelve is the child of a larger one of its industry; a parent is never a child."""
    child = rng.random(len(industry)) < 1 / 12
    parent = np.full(len(industry), -1, dtype=np.int64)
    for i in range(len(INDUSTRIES)):
        heads = np.flatnonzero((industry == i) & ~child)
        kids = np.flatnonzero((industry == i) & child)
        if heads.size:
            pick = heads[rng.integers(0, heads.size, kids.size)]
            parent[kids] = np.where(revenue[pick] > revenue[kids], pick, -1)
    return parent


def statuses_at(accounts: Accounts, won_at: Ints, instant: int) -> Ints:
    """Each account's status at an instant, given when it was first won in the history (NONE: never)."""
    won = (won_at != NONE) & (won_at <= instant) & (accounts.status != PARTNER)
    return np.where(won, CUSTOMER, accounts.status)


def is_sold_to(accounts: Accounts) -> Flags:
    """Accounts in a region where reps sell."""
    return accounts.region < 10
