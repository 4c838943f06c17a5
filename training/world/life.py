"""Puts a world together and lives it through: who is there, what happens, and what is true of the last weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from training.world.accounts import FORMER, Accounts, make_accounts
from training.world.changes import Changes, account_changes, churn_changes, deal_changes, lead_changes, moved
from training.world.deals import Deals, Steps, amounts, other_deals, steps_of
from training.world.demand import Activities, Campaigns, Leads, make_activities, make_campaigns, make_leads
from training.world.encounters import Meetings, Touches, make_meetings, make_touches
from training.world.history import History
from training.world.market import buys, served_accounts
from training.world.people import People, colleagues, make_people
from training.world.places import INDUSTRIES, REGIONS
from training.world.policy import Filters
from training.world.record import Offers, Pairs
from training.world.reps import (
    Absences,
    Preferences,
    Reps,
    first_owners,
    make_absences,
    make_preferences,
    make_reps,
)
from training.world.setting import Flags, Floats, Ints, Setting, Texts, ids
from training.world.ties import Ties, make_ties
from training.world.trial import calibrated
from training.world.truth import Truth, make_truth


@dataclass(frozen=True)
class Life:
    """A world after its sixty weeks: all that its tables are written from, and the truth of its test period."""

    setting: Setting
    accounts: Accounts
    people: People
    reps: Reps
    absences: Absences
    preferences: Preferences
    campaigns: Campaigns
    activities: Activities
    leads: Leads
    network: sparse.csr_array
    ties: Ties
    meetings: Meetings
    touches: Touches
    offers: Offers
    deals: Deals
    steps: Steps
    truth: Truth
    pairs: Pairs
    status: Ints
    owner: Ints
    churn: Floats
    customer_since: Ints
    stage: Texts
    weight: Floats
    amount: Floats
    changes: Changes


def live(setting: Setting, tick: Callable[[int], None]) -> Life:
    """Make a world and live it; `tick` is told each of its days."""
    accounts, reps = make_accounts(setting), make_reps(setting)
    people = make_people(setting, accounts)
    network = colleagues(setting, people)
    owner = first_owners(setting, reps, accounts)
    truth = make_truth(setting, accounts, people, reps)
    campaigns = make_campaigns(setting)
    leads = make_leads(setting, people, market_fit(accounts, people), truth.need, reps, campaigns)
    ties = make_ties(setting, accounts, people, reps, owner)
    people.seen_by(ties.contact, ties.since)
    meetings, touches = make_meetings(setting, ties, people, reps), make_touches(setting, ties, people, reps)
    candidates = other_deals(setting, ties, accounts, people, reps)
    absences = make_absences(setting, reps)
    preferences = make_preferences(setting, reps, accounts, people)
    filters = Filters(accounts, people, reps, absences, preferences)
    history = History(setting, truth, filters, leads, network, ties, meetings, owner, candidates)
    history.truth = calibrated(history)
    history.run(tick)
    activities = make_activities(setting, people, leads, truth.need, campaigns)
    return _told(history, campaigns, activities, owner, touches)


def market_fit(accounts: Accounts, people: People) -> Flags:
    """(contacts, solutions) which contacts may be offered for which solution, their account's status aside.

    Judged by what the tables show, as the served market's filter will: the codes, the title as it is read.
    """
    region = np.array([r.name for r in REGIONS], dtype=object)[accounts.region]
    served = served_accounts(accounts.naics, accounts.sic, accounts.revenue, region)
    functions, level = people.read()
    fits = (served[people.account][:, :, None] & buys(functions, level)).any(1)
    former = accounts.status[people.account] == FORMER
    return fits & ~(people.objects | former)[:, None]


def _told(history: History, campaigns: Campaigns, activities: Activities, owner: Ints, touches: Touches) -> Life:
    """The rest of what the tables need: stages, amounts, changes."""
    setting, accounts, reps, leads = history.setting, history.accounts, history.reps, history.leads
    deals = history.all_deals()
    steps = steps_of(setting, deals)
    first, final = amounts(setting, deals, accounts)
    changes = Changes()
    status = moved(history.status_moves)
    account_changes(changes, accounts, reps, owner, status, moved(history.owner_moves))
    churn = churn_changes(changes, setting, accounts, status)
    lead_changes(changes, leads, ids("L", len(leads)))
    stage, weight, amount = deal_changes(changes, setting, deals, ids("O", len(deals)), steps, first, final)
    since = accounts.customer_since.copy()
    since[status.account[::-1]] = status.at[::-1]  # the first time counts
    return Life(
        setting=setting,
        accounts=accounts,
        people=history.people,
        reps=reps,
        absences=history.filters.absences,
        preferences=history.filters.preferences,
        campaigns=campaigns,
        activities=activities,
        leads=leads,
        network=history.network,
        ties=history.ties,
        meetings=history.meetings,
        touches=touches.plus(history.touches),
        offers=Offers.joined(history.offers),
        deals=deals,
        steps=steps,
        truth=history.truth,
        pairs=history.all_pairs(),
        status=history.status,
        owner=history.owner,
        churn=churn,
        customer_since=since,
        stage=stage,
        weight=weight,
        amount=amount,
        changes=changes,
    )


def rep_industries(reps: Reps) -> Texts:
    """Each rep's industries as code prefixes, of both systems."""
    prefixes = [sorted({c[:3] for c in i.naics} | {c[:2] for c in i.sic}) for i in INDUSTRIES]
    return np.array(
        [";".join(p for i in np.flatnonzero(row) for p in prefixes[i]) or None for row in reps.knows], object
    )
