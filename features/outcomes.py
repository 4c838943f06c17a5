"""What became of each past offer: its answer, its conversion and its end, and since when each was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.asof import NAT, later
from features.conversions import Made, find_conversions
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


def _decided(due: np.ndarray, happened: np.ndarray, taken_back: np.ndarray) -> Decided:
    """Judge each offer at its due instant by what is known then, and enter what is learned later as a correction.

    Success and failure are judged at the same age, so the quick successes of young offers do not come alone; and no
    entry depends on what lies after its instant. An offer that was taken back in time is never judged.
    """
    judged = np.flatnonzero(~taken_back)
    hit = (happened != NAT) & (happened <= due)
    late = np.flatnonzero((happened != NAT) & (happened > due))
    return Decided(
        row=np.concatenate([judged, late]),
        known=np.concatenate([due[judged], happened[late]]),
        hits=np.concatenate([hit[judged].astype(float), np.ones(len(late))]),
        count=np.concatenate([np.ones(len(judged)), np.zeros(len(late))]),
    )


@dataclass(frozen=True)
class Outcomes:
    """One row an offer, (o,) each; instants in microseconds, NAT: it did not happen (as far as the tables know).

    answer        OPEN … REASSIGNED; an offer that is open at `due` counts as expired from then on, whatever befalls it
                  later, save a late acceptance
    answered      when the answer was given and known; an expiry without a date falls on `due`
    due           when the SLA ends
    converted     when a new opportunity of enough weight was opened after the offer; convert_due: offered + horizon
    won           when that opportunity was won, by won_due: offered + the horizon of wins
    advanced      bool: not converted, but an opportunity that was open already moved a stage on in time
    attempt       1: the lead's first offer, 2: its second …
    no_room       bool: rejected because the rep had no capacity left
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
    advanced: np.ndarray
    attempt: np.ndarray
    propensity: np.ndarray
    policy: np.ndarray
    no_room: np.ndarray

    def __len__(self) -> int:
        return len(self.offer_id)

    def acceptances(self) -> Decided:
        """Acceptance as it came to be known: judged when the SLA ends, put right by what comes later."""
        happened = np.where(self.answer == ACCEPTED, self.answered, NAT)
        return _decided(later(self.due, self.known), happened, self.taken_back)

    def conversions(self) -> Decided:
        """Conversion as it came to be known: judged when the horizon ends, put right by what comes later.

        Only an accepted offer converts: what a rep opens at an account after saying no is not the offer's doing.
        """
        converted = (self.answer == ACCEPTED) & (self.converted_known != NAT)
        happened = np.where(converted, later(self.converted_known, self.answered), NAT)
        return _decided(later(self.convert_due, self.known), happened, self.taken_back)

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

    @property
    def taken_back(self) -> np.ndarray:
        """(o,) bool: withdrawn or reassigned while the SLA ran, so that it says nothing of its rep.

        Taken back later it had expired first: that the rep let it lie is why it was handed on, and to leave it out
        would take the silent out of what is learned, and by what was known only after the fact.
        """
        return (self.answer >= WITHDRAWN) & (self.answered <= later(self.due, self.known))


def read_outcomes(
    tables: Tables, config: Config, leads: Index, reps: Index, lead_account: np.ndarray, due: np.ndarray
) -> Outcomes:
    """Resolve every offer of the tables.

    lead_account  (leads,) account code of each lead
    due           (o,) when the SLA of each ends, in the order of the offers table
    """
    offers = facts(tables, "offers")
    lead, rep = leads.find(offers["lead_id"]), reps.find(offers["rep_id"])
    offered = instants(offers, "offered_at")
    seen = instants(offers, "known_at")
    answer = np.array([_ANSWER.get(a, OPEN) for a in texts(offers, "answer")], dtype=np.int64)
    answered = instants(offers, "answered_at")
    answered = np.where((answer != OPEN) & (answered == NAT), due, answered)
    known = later(offered, seen)
    # Nothing is known of an offer before the offer is.
    answered = np.where(answer == OPEN, NAT, later(answered, known))
    within, win_within = (part.within.microseconds for part in (config.labels.converted, config.labels.won))
    found = find_conversions(
        tables, offers, Made(rep, lead_account[lead], offered, np.where(answer == ACCEPTED, answered, NAT), within),
        Index("account", facts(tables, "accounts")["account_id"].to_numpy()), reps,
        least=config.labels.converted.forecast_weight, win_within=win_within,
    )  # fmt: skip
    return Outcomes(
        offer_id=texts(offers, "offer_id"), lead=lead, rep=rep, offered=offered, known=known,
        answer=answer, answered=answered, due=due,
        converted=found.converted, converted_known=_not_before(known, found.converted_known),
        convert_due=offered + within, won=found.won, won_known=_not_before(known, found.won_known),
        won_due=offered + win_within, advanced=found.advanced, attempt=_attempt(offers, lead, known),
        propensity=numbers(offers, "propensity"), policy=texts(offers, "policy"),
        no_room=(answer == REJECTED) & (texts(offers, "reject_reason") == "no_capacity"),
    )  # fmt: skip


def _attempt(offers: pd.DataFrame, lead: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(o,) int64 how many offers the lead had with this one: as the table says, else counted."""
    order = np.lexsort((texts(offers, "offer_id").astype(str), known, lead))
    first = np.flatnonzero(np.diff(lead[order], prepend=-2))
    counted = np.empty(len(lead), np.int64)
    counted[order] = np.arange(len(lead)) - np.repeat(first, np.diff(np.append(first, len(lead)))) + 1
    told = numbers(offers, "attempt")
    return np.where(np.isnan(told), counted, np.nan_to_num(told)).astype(np.int64)


def _not_before(known: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.where(at == NAT, NAT, later(at, known))
