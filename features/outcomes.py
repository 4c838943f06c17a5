"""What became of each past offer: its answer, its conversion and its end, and since when each was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.asof import NAT, later
from features.entities import Index, Tables, facts, instants, numbers, texts

if TYPE_CHECKING:
    from features.config import Config

#: Codes of Outcomes.answer; OPEN is an offer that nobody has answered.
OPEN, ACCEPTED, REJECTED, EXPIRED, WITHDRAWN, REASSIGNED = range(6)
_ANSWER = {
    "accepted": ACCEPTED,
    "rejected": REJECTED,
    "expired": EXPIRED,
    "withdrawn": WITHDRAWN,
    "reassigned": REASSIGNED,
}


@dataclass(frozen=True)
class Decided:
    """Entries of a running tally, (m,) each: since `known`, offer `row` adds so many hits among so many offers."""

    row: np.ndarray
    known: np.ndarray
    hits: np.ndarray
    count: np.ndarray


def _decided(due: np.ndarray, happened: np.ndarray, gone: np.ndarray) -> Decided:
    """Judge each offer at its due instant by what is known then, and enter what is learned later as a correction.

    Success and failure are judged at the same age, so the quick successes of young offers do not come alone; and no
    entry depends on what lies after its instant.
    """
    gone_by_then = (gone != NAT) & (gone <= due)
    judged = np.flatnonzero(~gone_by_then)
    hit = (happened != NAT) & (happened <= due)
    late = np.flatnonzero((happened != NAT) & (happened > due))
    left = np.flatnonzero((gone != NAT) & (gone > due))
    return Decided(
        row=np.concatenate([judged, late, left]),
        known=np.concatenate([due[judged], happened[late], gone[left]]),
        hits=np.concatenate([hit[judged].astype(float), np.ones(len(late)), -hit[left].astype(float)]),
        count=np.concatenate([np.ones(len(judged)), np.zeros(len(late)), -np.ones(len(left))]),
    )


@dataclass(frozen=True)
class Outcomes:
    """One row an offer, (o,) each; instants in microseconds, NAT: it did not happen (as far as the tables know).

    answer        OPEN … REASSIGNED; an open offer counts as expired once `due` has passed
    answered      when the answer was given and known; an expiry without a date falls on `due`
    due           when the SLA ends
    converted     when a new opportunity of enough weight was opened after the offer; convert_due: offered + horizon
    won           when that opportunity (or, without one, any of rep and account) was won; won_due: offered + horizon
    """

    offer_id: np.ndarray
    lead: np.ndarray
    rep: np.ndarray
    offered: np.ndarray
    known: np.ndarray
    answer: np.ndarray
    answered: np.ndarray
    due: np.ndarray
    converted: np.ndarray
    converted_known: np.ndarray
    convert_due: np.ndarray
    won: np.ndarray
    won_known: np.ndarray
    won_due: np.ndarray
    propensity: np.ndarray
    policy: np.ndarray

    def __len__(self) -> int:
        return len(self.offer_id)

    def acceptances(self) -> Decided:
        """Acceptance as it came to be known: judged when the SLA ends, put right by what comes later."""
        happened = np.where(self.answer == ACCEPTED, self.answered, NAT)
        return _decided(later(self.due, self.known), happened, self._gone())

    def conversions(self) -> Decided:
        """Conversion as it came to be known: judged when the horizon ends, put right by what comes later."""
        return _decided(later(self.convert_due, self.known), self.converted_known, self._gone())

    def holdings(self) -> Decided:
        """Offers that hold their lead and a place of their rep's week: +1 when made, -1 when given back.

        An unanswered offer gives its place back when the SLA ends; accepted late, it takes it again.
        """
        made = np.arange(len(self))
        late = (self.answer == OPEN) | (self.answered > self.due)
        back = later(np.where(late, self.due, self.answered), self.known)
        returned = np.flatnonzero(late | (self.answer >= REJECTED))
        again = np.flatnonzero((self.answer == ACCEPTED) & late)
        row = np.concatenate([made, returned, again])
        delta = np.repeat([1.0, -1.0, 1.0], [len(made), len(returned), len(again)])
        at = np.concatenate([self.known, back[returned], self.answered[again]])
        return Decided(row, at, np.zeros(len(row)), delta)

    def _gone(self) -> np.ndarray:
        """(o,) when an offer was withdrawn or reassigned, and so says nothing of its rep; NAT: it was not."""
        return np.where(self.answer >= WITHDRAWN, self.answered, NAT)

    @property
    def accepted(self) -> np.ndarray:
        """(o,) 1 accepted, 0 rejected or expired (an open offer: once it is due), NaN withdrawn or reassigned."""
        gone = (self.answer == WITHDRAWN) | (self.answer == REASSIGNED)
        return np.where(gone, np.nan, (self.answer == ACCEPTED).astype(np.float64))


def read_outcomes(
    tables: Tables, config: Config, leads: Index, reps: Index, lead_account: np.ndarray, due: np.ndarray | None = None
) -> Outcomes:
    """Resolve every offer of the tables.

    lead_account  (leads,) account code of each lead
    due           (o,) SLA ends, in the order of the offers table; None: computed from the configuration
    converted     a new opportunity of enough weight, opened after the offer, within the horizon; else it advanced
    """
    offers = facts(tables, "offers")
    lead, rep = leads.find(offers["lead_id"]), reps.find(offers["rep_id"])
    offered = instants(offers, "offered_at")
    seen = instants(offers, "known_at")
    answer = np.array([_ANSWER.get(a, OPEN) for a in texts(offers, "answer")], dtype=np.int64)
    if due is None:
        due = _due(tables, config, rep, offered)
    answered = instants(offers, "answered_at")
    answered = np.where((answer != OPEN) & (answered == NAT), due, answered)
    known = later(offered, seen)
    # Nothing is known of an offer before the offer is.
    answered = np.where(answer == OPEN, NAT, later(answered, known))
    converted, converted_known, opportunity = _conversions(tables, config, offers, offered, rep, lead_account[lead])
    won, won_known = _wins(tables, opportunity)
    within = config.labels.converted.within.microseconds
    return Outcomes(
        offer_id=texts(offers, "offer_id"), lead=lead, rep=rep, offered=offered, known=known,
        answer=answer, answered=answered, due=due,
        converted=converted, converted_known=_not_before(known, converted_known), convert_due=offered + within,
        won=won, won_known=_not_before(known, won_known), won_due=offered + config.labels.won.within.microseconds,
        propensity=numbers(offers, "propensity"), policy=texts(offers, "policy"),
    )  # fmt: skip


def _not_before(known: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.where(at == NAT, NAT, later(at, known))


def _due(tables: Tables, config: Config, rep: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """(o,) the end of each offer's SLA, by the rep's role, zone and country."""
    from features.clock import due  # the calendar library is slow to load and only offers need it

    reps = facts(tables, "reps").sort_values("rep_id", key=lambda s: s.astype(object)).reset_index(drop=True)
    role, zone, country = texts(reps, "role"), texts(reps, "timezone"), texts(reps, "country")
    result = np.full(len(offered), NAT, np.int64)
    order = np.argsort(rep, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(rep[order])) + 1) if len(order) else []:
        r = rep[rows[0]]
        duration = config.sla.by_role.get(role[r], config.sla.accept)
        result[rows] = due(offered[rows], duration, zone[r] or config.timezone or "UTC", country[r], config.hours)
    return result


def _conversions(
    tables: Tables, config: Config, offers: pd.DataFrame, offered: np.ndarray, rep: np.ndarray, account: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(converted, known, row): converted_at decides; else its opportunity; else the first of rep and account."""
    opps = facts(tables, "opportunities").reset_index(drop=True)
    within = config.labels.converted.within.microseconds
    explicit = instants(offers, "converted_at")
    place = pd.Index(opps["opportunity_id"].astype(object), dtype=object)
    named = place.get_indexer(offers["opportunity_id"].astype(object))
    opened = instants(opps, "opened_at")
    heavy, heavy_since = _heavy(tables, opps, config.labels.converted.forecast_weight)
    seen = later(opened, instants(opps, "known_at"), heavy_since)
    free = heavy & ~_claimed(named, opened, offered)
    found = _first_new(tables, opps, opened, free, offered, rep, account, within)
    row = np.where(offers["opportunity_id"].notna().to_numpy(), named, found)
    at = np.maximum(row, 0)
    if len(opps):
        fits = (row >= 0) & heavy[at] & (opened[at] > offered)
        opp_at = np.where(fits, opened[at], NAT)
        opp_seen = np.where(fits, seen[at], NAT)
    else:
        opp_at = opp_seen = np.full(len(offers), NAT, np.int64)
    decided = explicit != NAT
    converted = np.where(decided, explicit, opp_at)
    known = np.where(decided, later(explicit, instants(offers, "known_at")), opp_seen)
    timely = (converted != NAT) & (converted > offered) & (converted <= offered + within)
    return np.where(timely, converted, NAT), np.where(timely, known, NAT), np.where(timely, row, -1)


def _heavy(tables: Tables, opps: pd.DataFrame, least: float) -> tuple[np.ndarray, np.ndarray]:
    """(p,) whether an opportunity ever had the least forecast weight, and since when history says so (NAT: always).

    A weight lost later (a lost deal's 0) does not undo the conversion; a null weight passes.
    """
    heavy = ~(numbers(opps, "forecast_weight") < least)
    since = np.full(len(opps), NAT, np.int64)
    # CRMs set the weight of a lost deal to 0: without a history it tells of the end, not of what was once forecast.
    ended = np.isin(texts(opps, "outcome").astype(str), ("lost", "no_decision"))
    changes = facts(tables, "changes")
    told = (changes["table_name"] == "opportunities") & (changes["column_name"] == "forecast_weight")
    rows = changes[told & changes["value"].notna()]
    if not len(rows):
        return heavy | ended, since
    reached = pd.to_numeric(rows["value"]).to_numpy(dtype=np.float64) >= least
    at = later(instants(rows, "valid_from"), instants(rows, "known_at"))
    row = pd.Index(opps["opportunity_id"].astype(object), dtype=object).get_indexer(rows["row_id"].astype(object))
    ended[row[row >= 0]] = False
    first = pd.Series(at[reached & (row >= 0)]).groupby(row[reached & (row >= 0)]).min()
    since[first.index.to_numpy(dtype=np.int64)] = first.to_numpy(dtype=np.int64)
    heavy[first.index.to_numpy(dtype=np.int64)] = True
    return heavy | ended, since


def _claimed(named: np.ndarray, opened: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """(p,) whether an offer names the opportunity as its own conversion: then it is no other offer's."""
    claimed = np.zeros(len(opened), dtype=bool)
    says = np.flatnonzero(named >= 0)
    claimed[named[says][opened[named[says]] > offered[says]]] = True
    return claimed


def _first_new(
    tables: Tables, opps: pd.DataFrame, opened: np.ndarray, heavy: np.ndarray,
    offered: np.ndarray, rep: np.ndarray, account: np.ndarray, within: int,
) -> np.ndarray:  # fmt: skip
    """(o,) row of the first opportunity of the same account and rep that opened after the offer, -1: none."""
    if not len(opps):
        return np.full(len(offered), -1, np.int64)
    accounts = Index("account", facts(tables, "accounts")["account_id"].to_numpy())
    reps = Index("rep", facts(tables, "reps")["rep_id"].to_numpy())
    owner = accounts.find(opps["account_id"]) * max(len(reps), 1) + reps.find(opps["rep_id"])
    rows = np.flatnonzero(heavy)
    right = pd.DataFrame({"key": owner[rows], "opened": opened[rows], "row": rows}).sort_values("opened")
    left = pd.DataFrame({"key": account * max(len(reps), 1) + rep, "offered": offered, "offer": np.arange(len(rep))})
    joined = pd.merge_asof(
        left.sort_values("offered"), right, left_on="offered", right_on="opened", by="key",
        direction="forward", allow_exact_matches=False,
    )  # fmt: skip
    result = np.full(len(offered), -1, np.int64)
    near = joined["row"].notna() & (joined["opened"] - joined["offered"] <= within)
    result[joined.loc[near, "offer"].to_numpy()] = joined.loc[near, "row"].to_numpy(dtype=np.int64)
    return result


def _wins(tables: Tables, opportunity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(o,) when the offer's opportunity was won, and when that was known."""
    opps = facts(tables, "opportunities").reset_index(drop=True)
    if not len(opps):
        return np.full(len(opportunity), NAT, np.int64), np.full(len(opportunity), NAT, np.int64)
    at = np.maximum(opportunity, 0)
    won = (opportunity >= 0) & (texts(opps, "outcome") == "won")[at]
    closed = instants(opps, "closed_at")
    return (
        np.where(won, closed[at], NAT),
        np.where(won, later(closed, instants(opps, "known_at"))[at], NAT),
    )
