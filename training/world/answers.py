"""How reps answer offers, and when: accepted, rejected with a reason, expired; later, converted or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.schema import ANSWERS, REJECT_REASONS
from training.world.setting import DAY, HOUR, Floats, Ints

ACCEPTED, REJECTED, EXPIRED, WITHDRAWN, REASSIGNED = range(len(ANSWERS))
#: Of all offers, those that marketing takes back within hours; of those that a rep lets lie, those that are handed on.
BACK, HANDED_ON = 0.012, 0.05
_REASON_SHARE = np.array([0.05, 0.1, 0.33, 0.1, 0.14, 0.13, 0.15])


@dataclass(frozen=True)
class Answers:
    """The answers to some offers, (k,) each; reason -1: none."""

    answer: Ints
    at: Ints
    reason: Ints


def answered(
    rng: np.random.Generator, at: Ints, p_accept: Floats, prompt: Floats, dislike: Floats, load: Floats
) -> Answers:
    """Draw the answers.

    at         when offered; p_accept given that the offer is not withdrawn
    prompt     how surely the rep says no at all, instead of letting it expire
    dislike    how little the rep cares for the solution; load: how full the week is (both move the reason)
    """
    n = at.size
    back = rng.random(n)
    accepted = rng.random(n) < p_accept
    silent = rng.random(n) > prompt
    answer = np.where(accepted, ACCEPTED, np.where(silent, EXPIRED, REJECTED))
    # Nobody hands on what was answered: reassigning follows silence, and comes a while after the SLA.
    handed_on = (answer == EXPIRED) & (back >= BACK) & (back < BACK + HANDED_ON)
    answer = np.where(back < BACK, WITHDRAWN, np.where(handed_on, REASSIGNED, answer))
    wait = np.minimum(rng.lognormal(np.log(5), 0.9, n), 30) * HOUR
    late = rng.random(n) < 0.07  # said something, but after the SLA
    wait = np.where(late, rng.uniform(4.5, 8, n) * DAY, wait)
    weekday = (at // DAY + 3) % 7
    lapse = np.where(weekday >= 3, 4, 2) * DAY + rng.uniform(5, 9, n) * HOUR
    wait = np.where(answer == EXPIRED, lapse, wait)
    wait = np.where(handed_on, lapse * (1 + (back - BACK) / HANDED_ON), wait)
    want = np.log(_REASON_SHARE) + rng.gumbel(0, 1, (n, len(REJECT_REASONS)))
    want[:, REJECT_REASONS.index("not_my_product")] += dislike
    want[:, REJECT_REASONS.index("no_capacity")] += load
    reason = np.where(answer == REJECTED, want.argmax(1), -1)
    return Answers(answer, at + wait.astype(np.int64), reason)


def conversion_instant(rng: np.random.Generator, offered: Ints, accepted: Ints) -> Ints:
    """When a converting offer's opportunity is opened: weeks after the offer, within the horizon of 90 days."""
    wait = np.clip(rng.gamma(2.0, 12.0, offered.size), 1, 85) * DAY
    return np.maximum(offered + wait.astype(np.int64), accepted + HOUR)
