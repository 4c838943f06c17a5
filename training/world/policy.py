"""How leads were given out in the past: hard filters as configured, then owner, territory and habit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.accounts import FORMER, PARTNER, Accounts
from training.world.people import People
from training.world.reps import PARTNERS_ONLY, Absences, Preferences, Reps
from training.world.setting import Flags, Floats, Ints
from training.world.truth import Moment

#: Share of the softmax policy's draws that are uniform over the eligible.
EXPLORE = 0.08


@dataclass(frozen=True)
class Filters:
    """The sample configuration's hard filters for reps, as of an instant; capacity is not among them."""

    accounts: Accounts
    people: People
    reps: Reps
    absences: Absences
    preferences: Preferences

    def eligible(self, instant: int, contact: Ints, solution: Ints, status: Ints) -> Flags:
        """(k, reps) who may take which lead, all of them inside the market but for their account's status."""
        reps, account = self.reps, self.people.account[contact]
        lifted, excluded = self._preferred(instant, contact, account, solution)
        territory = reps.covers.T[self.accounts.region[account]]
        line = reps.sells.T[solution]
        role = ~np.isin(reps.role, PARTNERS_ONLY) | (status == PARTNER)[:, None]
        present = self.present(instant)
        return ((territory & line) | lifted) & role & ~excluded & present & (status != FORMER)[:, None]

    def present(self, instant: int) -> Flags:
        """(reps,) sellers who are employed and not away."""
        reps = self.reps
        return reps.selling & reps.active(instant) & ~self.absences.away(instant, len(reps))

    def _preferred(self, instant: int, contact: Ints, account: Ints, solution: Ints) -> tuple[Flags, Flags]:
        asked = self.preferences
        lifted = np.zeros((len(contact), len(self.reps)), dtype=bool)
        excluded = lifted.copy()
        subjects = {"account": account, "contact": contact, "solution": solution}
        held = (asked.since <= instant) & (instant < asked.until)
        for kind, values in subjects.items():
            for row in np.flatnonzero(held & (asked.kind == kind) & np.isin(asked.subject, values)):
                table = lifted if asked.include[row] else excluded
                table[values == asked.subject[row], asked.rep[row]] = True
        return lifted, excluded


def probabilities(
    accounts: Accounts, reps: Reps, moment: Moment, able: Flags, rate: Floats, sharpness: float, explore: float
) -> Floats:
    """(k, reps) chance of each rep under the past policy; rows of no eligible rep are all zero.

    able        (k, reps) eligible reps with room
    rate        (reps,) past accept rate, shrunk: the habit of giving to those who take
    sharpness   how strictly the preferences are followed
    explore     share of uniform draws over the eligible
    """
    segment = (reps.segment == accounts.segment[moment.account][:, None]) & (reps.segment >= 0)
    narrow = 1.0 / np.sqrt(np.maximum(reps.covers.sum(1), 1))
    want = (
        1.8 * moment.owned + 0.7 * segment + 0.4 * reps.knows[:, accounts.industry[moment.account]].T
        + 4.0 * (rate - 0.3) + 0.8 * narrow - 0.8 * moment.load
    )  # fmt: skip
    want = np.where(able, sharpness * want, -np.inf)
    some = able.any(1, keepdims=True)
    top = np.where(some, want.max(1, keepdims=True), 0.0)
    soft = np.exp(want - top)
    total = np.maximum(soft.sum(1, keepdims=True), 1e-300)
    uniform = able / np.maximum(able.sum(1, keepdims=True), 1)
    return (1 - explore) * soft / total + explore * uniform


def drawn(rng: np.random.Generator, chance: Floats) -> Ints:
    """One column of each row, with the row's chances."""
    edges = np.cumsum(chance, axis=1)
    mark = rng.random((len(chance), 1)) * edges[:, -1:]
    pick = (edges <= mark).sum(1)
    last = chance.shape[1] - 1 - (chance[:, ::-1] > 0).argmax(1)
    return np.minimum(pick, last)
