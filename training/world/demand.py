"""What marketing sees and hands over: campaigns, activities, and leads in and out of the served market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.schema import ROLES
from training.world.people import People
from training.world.places import RETIRED_SOLUTION, SOLD_SOLUTIONS, SOLUTIONS
from training.world.reps import Reps
from training.world.setting import (
    DAY,
    HISTORY_WEEKS,
    HOUR,
    NONE,
    TEST_WEEKS,
    Flags,
    Floats,
    Ints,
    Setting,
    Texts,
    choose,
)

ACTIVITY_KINDS = ("visit", "download", "webinar", "reply", "email_click")
SOURCES = ("web_form", "webinar", "event", "content", "referral", "bdr_call")
CAMPAIGN_KINDS = ("webinar", "event", "content", "email")
#: Offers per lead that the past policy makes, with its re-offers.
_ATTEMPTS = 1.46


@dataclass
class Leads:
    """Columns of the leads, (n,) each, by creation."""

    contact: Ints
    solution: Ints
    created: Ints
    fits: Flags  # in the served market, but for the account's status
    intent: Floats  # hidden
    source: Ints
    campaign: Ints  # -1: none
    score: Floats
    grade: Texts
    filled: Floats
    bant: dict[str, Texts]
    qualified_at: Ints
    qualified_by: Ints  # -1: nobody
    closed_at: Ints  # NONE: open, set by the history

    def __len__(self) -> int:
        return len(self.contact)


@dataclass(frozen=True)
class Campaigns:
    """Columns of the campaigns, (n,) each."""

    solution: Ints
    kind: Ints
    starts: Ints
    ends: Ints
    cost: Floats


@dataclass(frozen=True)
class Activities:
    """What contacts did, (n,) each; solution and campaign -1: none."""

    contact: Ints
    kind: Ints
    solution: Ints
    campaign: Ints
    at: Ints


def make_campaigns(setting: Setting) -> Campaigns:
    """One campaign a week or so, of two to eight weeks."""
    rng, n = setting.rng("campaigns"), HISTORY_WEEKS
    starts = setting.start + np.sort(rng.integers(-30, setting.days - 7, n)) * DAY
    ends = starts + rng.integers(14, 56, n) * DAY
    solution = rng.integers(0, len(SOLD_SOLUTIONS), n)
    return Campaigns(solution, rng.integers(0, 4, n), starts, ends, np.round(rng.lognormal(9.5, 0.7, n), -2))


def make_leads(setting: Setting, people: People, fits: Flags, need: Floats, reps: Reps, campaigns: Campaigns) -> Leads:
    """Draw the leads of the whole history, evenly over its days; two in seven are outside the served market.

    fits   (contacts, solutions) inside the market; need (accounts, solutions) hidden, draws the leads to itself
    """
    rng = setting.rng("leads")
    inside = int(np.ceil(setting.offers / _ATTEMPTS * HISTORY_WEEKS / (HISTORY_WEEKS - TEST_WEEKS) * 1.10)) + 40
    eager = rng.lognormal(0, 0.7, len(people))
    weight = np.exp(0.5 * need[people.account]) * eager[:, None]
    contact, solution = _drawn(rng, np.where(fits, weight, 0.0), inside)
    strange = np.where(fits, 0.0, weight)
    strange[:, RETIRED_SOLUTION] *= 0.2
    outer, other = _drawn(rng, strange, int(inside * 0.4))
    contact, solution = np.concatenate([contact, outer]), np.concatenate([solution, other])
    n = contact.size
    day = choose(rng, np.tile([1.0, 1.1, 1.1, 1.0, 0.8, 0.2, 0.2], HISTORY_WEEKS), n)
    created = setting.start + day * DAY + 7 * HOUR + rng.integers(0, 13 * HOUR, n)
    order = np.argsort(created, kind="stable")
    contact, solution, created = contact[order], solution[order], created[order]
    people.seen_by(contact, created)
    intent = rng.normal(0, 1, n) + 0.3 * need[people.account[contact], solution]
    source, campaign = _sources(rng, campaigns, solution, created)
    by, at = _qualified(rng, reps, created, setting.end)
    return Leads(
        contact=contact,
        solution=solution,
        created=created,
        fits=fits[contact, solution],
        intent=intent,
        source=source,
        campaign=campaign,
        score=np.where(
            rng.random(n) < 0.05, np.nan, np.round(np.clip(50 + 15 * (intent + rng.normal(0, 1, n)), 0, 200))
        ),
        grade=np.array(["A", "B", "C", "D"], dtype=object)[np.digitize(-intent + rng.normal(0, 1, n), (-1, 0.3, 1.4))],
        filled=rng.binomial(10, 0.6, n).astype(np.float64),
        bant=_bant(rng, intent),
        qualified_at=at,
        qualified_by=by,
        closed_at=np.full(n, NONE),
    )


def _drawn(rng: np.random.Generator, weight: Floats, size: int) -> tuple[Ints, Ints]:
    flat = choose(rng, weight.ravel(), size)
    return flat // weight.shape[1], flat % weight.shape[1]


def _sources(rng: np.random.Generator, campaigns: Campaigns, solution: Ints, created: Ints) -> tuple[Ints, Ints]:
    """Half of the leads come from a campaign for their solution that runs or ended lately."""
    campaign = np.full(solution.size, -1, dtype=np.int64)
    for c in range(len(campaigns.solution)):
        running = (created >= campaigns.starts[c]) & (created < campaigns.ends[c] + 14 * DAY)
        rows = np.flatnonzero(running & (solution == campaigns.solution[c]))
        campaign[rows[rng.random(rows.size) < 0.5]] = c
    from_campaign = np.array([1, 2, 3, 0])[campaigns.kind[campaign]]
    return np.where(campaign >= 0, from_campaign, choose(rng, np.array([5.0, 1, 1, 2, 1, 1]), solution.size)), campaign


def _qualified(rng: np.random.Generator, reps: Reps, created: Ints, end: int) -> tuple[Ints, Ints]:
    callers = np.flatnonzero(np.isin(reps.role, (ROLES.index("ldr"), ROLES.index("bdr"))))
    at = created + (rng.exponential(8, created.size) * HOUR).astype(np.int64) + 1200
    by = callers[rng.integers(0, callers.size, created.size)]
    done = (rng.random(created.size) < 0.35) & (at < end) & (reps.hired[by] <= created) & (at < reps.until[by])
    return np.where(done, by, -1), np.where(done, at, NONE)


def _bant(rng: np.random.Generator, intent: Floats) -> dict[str, Texts]:
    """What the form said of budget, authority, need and timeline; often nothing."""
    words = {
        "budget": ("none", "planned", "approved"),
        "authority": ("user", "influencer", "decision_maker"),
        "need": ("unclear", "some", "clear"),
        "timeline": ("later", "this_year", "this_quarter"),
    }
    said: dict[str, Texts] = {}
    for name, options in words.items():
        answer = np.array(options, dtype=object)[np.digitize(intent + rng.normal(0, 1.2, intent.size), (-0.5, 0.8))]
        answer[rng.random(intent.size) < 0.55] = None
        said[name] = answer
    return said


def make_activities(setting: Setting, people: People, leads: Leads, need: Floats, campaigns: Campaigns) -> Activities:
    """A low hum of activity over all contacts, and a burst in the two weeks before each lead."""
    rng = setting.rng("activities")
    hum = np.repeat(np.arange(len(people)), rng.poisson(rng.lognormal(0.5, 0.8, len(people))))
    at = rng.integers(setting.start - 45 * DAY, setting.end, hum.size)
    known = at >= people.created[hum]
    hum, at = hum[known], at[known]
    wanted = (need[people.account[hum]] + rng.gumbel(0, 1, (hum.size, len(SOLUTIONS)))).argmax(1)
    wanted = np.where(rng.random(hum.size) < 0.35, -1, wanted)
    lead = np.repeat(np.arange(len(leads)), rng.poisson(np.exp(0.3 + 0.3 * leads.intent)))
    before = leads.created[lead] - (rng.exponential(4, lead.size).clip(0.01, 14) * DAY).astype(np.int64)
    people.seen_by(leads.contact[lead], before)
    contact = np.concatenate([hum, leads.contact[lead]])
    solution = np.concatenate([wanted, leads.solution[lead]])
    when = np.concatenate([at, before])
    linked = np.concatenate([np.full(hum.size, -1), leads.campaign[lead]])
    linked = np.where((linked >= 0) & (campaigns.starts[linked] <= when), linked, -1)
    order = np.argsort(when, kind="stable")
    kind = choose(rng, np.array([0.45, 0.2, 0.1, 0.1, 0.15]), contact.size)
    return Activities(contact[order], kind, solution[order], linked[order], when[order])
