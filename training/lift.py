"""Lift of the model, and of the challenger, over held-out accounts; with a band that holds however often one looks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from features.asof import DAY, NAT
from features.book import Book
from features.config import Config
from features.counted import counted
from features.errors import NotEnoughData

#: An account's outcome: its conversions from offers made within so long after its first one under the policy mix.
WINDOW = 28 * DAY
#: Fewer matured accounts on either side tell nothing, and the band's own theory wants many.
LEAST = 20
#: Accounts at which the band is narrowest; any choice is valid.
TUNED_AT = 200
#: Offers called otherwise than their account is drawn, of all: more say that the draw was changed, fewer that a contact
#: or lead was moved to another account since.
ASTRAY = 0.02
MODEL, HOLDOUT, PILOT = ("champion", "explore", "pilot"), "holdout", "pilot"


@dataclass(frozen=True)
class Looked:
    """What a look shows: the mean outcome on either side, their difference, and the band at 95 %.

    model, holdout    accounts that have matured; model_mean, holdout_mean: conversions an account
    lift, low, high   conversions an account more with the model; the band holds at all looks at once
    waiting           accounts that have not matured yet
    who               who is compared, in words
    """

    model: int
    holdout: int
    model_mean: float
    holdout_mean: float
    lift: float
    low: float
    high: float
    waiting: int
    who: str = "The model"

    @property
    def sentence(self) -> str:
        """The finding in words."""
        band = f"{self.lift:+.3f} conversions an account (95 % band {self.low:+.3f} to {self.high:+.3f})"
        if self.low > 0:
            return f"{self.who} converts more than the rules: {band}, whenever one looks."
        if self.high < 0:
            return f"{self.who} converts LESS than the rules: {band}, whenever one looks."
        return f"{self.who} shows no difference yet: {band}."


@dataclass(frozen=True)
class Mixed:
    """Offers that the policy mix made, (n,) each: codes of accounts, instants (NAT: not converted), policy names.

    of_pilot   bool: whether a pilot rep owned the account then
    held       bool: whether the account's own draw holds it out, whatever the offer is called
    """

    account: np.ndarray
    offered: np.ndarray
    converted: np.ndarray
    policy: np.ndarray
    of_pilot: np.ndarray
    held: np.ndarray

    @classmethod
    def of(cls, book: Book, ours: Collection[str], held: np.ndarray) -> Mixed:
        """Those of a book, as they are known now.

        ours   ids of the offers that were decided here: the history that came with the data is under no mix
        held   (accounts,) bool: who is held out by today's draw
        """
        outcomes = book.outcomes
        account = book.account_of(outcomes.lead, outcomes.offered)
        here = np.isin(outcomes.offer_id.astype(str), list(ours)) & (account >= 0)
        known = outcomes.converted_known
        converted = np.where(known <= book.now, known, NAT)
        owner = book.accounts.owner.read(account, outcomes.offered, latest=True)
        of_pilot = (owner >= 0) & (book.reps.pilot[np.maximum(owner, 0)] == 1)
        told = (account, outcomes.offered, converted, outcomes.policy.astype(str), of_pilot, held[account])
        return cls(*(a[here] for a in told)).during()

    def during(self) -> Mixed:
        """Those while a model and the holdout were both at work under today's draw.

        From when both had made an offer until the last of either; what is offered in between counts on the side of the
        account's draw, also where no model could answer, for then it could on neither side. A change of the share or
        the salt begins anew, for accounts have changed sides.
        """
        by_model, by_holdout = np.isin(self.policy, MODEL), self.policy == HOLDOUT
        if not by_model.any() or not by_holdout.any():
            return self._take(np.zeros(len(self.account), bool))
        begun = max(self.offered[by_model].min(), self.offered[by_holdout].min())
        ended = min(self.offered[by_model].max(), self.offered[by_holdout].max())
        astray = (by_model & self.held) | (by_holdout & ~self.held)
        if astray.sum() > ASTRAY * (by_model | by_holdout).sum():
            begun = max(begun, self.offered[astray].max() + 1)
        first = np.full(int(self.account.max()) + 1, np.iinfo(np.int64).max)
        counted = self.offered >= begun
        np.minimum.at(first, self.account[counted], self.offered[counted])
        return self._take(counted & (first[self.account] <= ended))

    def parted(self) -> tuple[Mixed, Mixed]:
        """Accounts under the model and accounts of the pilot, each with its held-out ones.

        An account is the pilot's when a pilot rep owned it at its first offer, and that was made between the first and
        the last offer marked pilot. That is known before any draw, so both sides of either comparison lose alike. One
        that a pilot rep owned and whose window the pilot's beginning cuts is in neither.
        """
        marked = self.offered[self.policy == PILOT]
        if not len(marked):
            return self, self._take(np.zeros(len(self.account), bool))
        order = np.lexsort((self.account, self.offered))
        ids, place = np.unique(self.account[order], return_index=True)
        code = np.searchsorted(ids, self.account)
        first, owned = self.offered[order][place], self.of_pilot[order][place]
        begun, ended = marked.min(), marked.max()
        piloted = owned & (first >= begun) & (first <= ended)
        outside = ~owned | (first > ended) | (first + WINDOW <= begun)
        return self._take(outside[code]), self._take(piloted[code])

    def _take(self, rows: np.ndarray) -> Mixed:
        return Mixed(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def look(offers: Mixed, now: int, config: Config) -> Looked:
    """As `compare`, of accounts under the model. Raises NotEnoughData."""
    return _compared(offers.parted()[0], now, config)


def look_at_pilot(offers: Mixed, now: int, config: Config) -> Looked | None:
    """The same of the pilot's accounts: the challenger against the rules; None: there is no pilot. As `look`."""
    piloted = offers.parted()[1]
    return replace(_compared(piloted, now, config), who="The challenger") if len(piloted.account) else None


def _compared(offers: Mixed, now: int, config: Config) -> Looked:
    return compare(offers, now, config.labels.converted.within.microseconds, config.policy.holdout)


def compare(offers: Mixed, now: int, within: int, holdout: float) -> Looked:
    """Compare accounts under the model with held-out ones.

    now, within   int64 microseconds: the instant of the look, and how long an offer may take to convert
    holdout       the share of accounts that was held out; 0: as many as there were

    An account counts once, by its own draw, when everything of its window is known: so accounts are independent, and
    the order in which they mature is the order in which they are looked at.
    Raises NotEnoughData where either side has fewer than LEAST matured accounts, with what to do
    """
    outcome, held, matured = _accounts(offers, now, within)
    sides = int((~held[matured]).sum()), int(held[matured].sum())
    waiting = len(outcome) - len(matured)
    if min(sides) < LEAST:
        raise NotEnoughData(
            f"{counted(sides[0], 'account')} under a model and {sides[1]} held out have matured (it takes {LEAST} "
            f"each); {counted(waiting, 'more is on its', 'more are on their')} way. Set policy.holdout in "
            "callsheet.yaml, or wait."
        )
    y, h = outcome[matured], held[matured]
    share = holdout or float(h.mean())
    term = terms(y, h, share)
    low, high = band(term)
    return Looked(*sides, float(y[~h].mean()), float(y[h].mean()), float(term.mean()), low, high, waiting)


def terms(y: np.ndarray, held: np.ndarray, share: float) -> np.ndarray:
    """(t,) numbers whose mean is by how much the others' outcomes y exceed those of the held-out share, in their order.

    Inverse probability of each one's own draw, so each is known when its outcome is. What those before it had in the
    mean is taken off, which leaves the mean where it is and narrows the band.
    """
    before = np.concatenate([[0.0], np.cumsum(y)[:-1] / np.arange(1, len(y))])
    return np.where(held, -(y - before) / share, (y - before) / (1 - share))


def band(term: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """The asymptotic confidence sequence of a running mean, at the last of (t,) terms in their order.

    It holds the mean at all t at once with probability 1 - alpha, as t grows.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic
    confidence sequences (Annals of Statistics 2024), theorem 2.2 and its choice of rho
    """
    t = len(term)
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / TUNED_AT
    spread = term.std(ddof=1) if t > 1 else np.inf
    half = spread * np.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * np.log(np.sqrt(t * rho2 + 1) / alpha))
    mean = float(term.mean())
    return mean - float(half), mean + float(half)


def _accounts(offers: Mixed, now: int, within: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a,) outcome of each account and whether it is held out; positions of the matured ones, as they matured."""
    ids, code = np.unique(offers.account, return_inverse=True)
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, code, offers.offered)
    hit = (offers.offered < first[code] + WINDOW) & (offers.converted != NAT)
    outcome = np.bincount(code, weights=hit, minlength=len(ids)).astype(np.float64)
    held = np.zeros(len(ids), bool)
    held[code] = offers.held
    ripe = first + WINDOW + within
    order = np.argsort(ripe, kind="stable")
    return outcome, held, order[ripe[order] <= now]
