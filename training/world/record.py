"""What the history writes down: the offers, the moves of accounts, and the truth of the test period."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from training.world.setting import Flags, Floats, Ints

OWNER_FIRST, SOFTMAX, EXPLORED, MANUAL = range(4)
POLICIES = ("owner_first", "softmax", "explore", "manual")


@dataclass(frozen=True)
class Offers:
    """The log, (n,) each; propensity NaN: not logged; deal and converted are filled when known by the end."""

    lead: Ints
    rep: Ints
    at: Ints
    attempt: Ints
    policy: Ints
    propensity: Floats
    answer: Ints
    answered: Ints
    reason: Ints
    converted: Ints
    p_accept: Floats  # hidden
    p_convert: Floats  # hidden, of the offer
    outside: Flags  # the filters would have refused

    def __len__(self) -> int:
        return len(self.lead)

    @staticmethod
    def joined(parts: list[Offers]) -> Offers:
        """All of them, in order."""
        if not parts:
            whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
            some = (whole, whole, whole, whole, whole, real, whole, whole, whole, whole, real, real)
            return Offers(*some, np.zeros(0, dtype=bool))
        return Offers(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Offers)))


@dataclass(frozen=True)
class Pairs:
    """The truth of the test period, (p,) each, eligible pairs only."""

    lead: Ints
    rep: Ints
    p_accept: Floats
    p_convert: Floats


@dataclass(frozen=True)
class Moved:
    """Changes of a column of the accounts, (m,) each."""

    account: Ints
    value: Ints
    at: Ints
