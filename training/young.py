"""Offers younger than the conversion horizon: what they teach of converting, weighed by how much of it has shown."""

from __future__ import annotations

import numpy as np

#: Ages at which less than this share of the conversions has shown teach nothing of converting.
LEAST_SHOWN = 0.05
#: Conversions of ripe offers from which the delay is estimated; with fewer, young offers are left out.
LEAST_DELAYS = 10


def shown_by(delays: np.ndarray, age: np.ndarray) -> np.ndarray:
    """(n,) share of conversions known by each age: (d,) delays of those of ripe offers, from the offer on."""
    return np.searchsorted(np.sort(delays), age, side="right") / max(len(delays), 1)


def young_weights(
    age: np.ndarray, accepted: np.ndarray, converted: np.ndarray, ripe: np.ndarray, delay: np.ndarray
) -> np.ndarray:
    """(n,) float64 what each offer's conversion counts at a cut: 1 once the horizon has passed, 0: it teaches nothing.

    A young offer that has converted counts 1, and one that has not counts as a failure of the weight at which an age's
    offers teach the chance of converting at all: with F the share of conversions that show by that age and p the
    chance of converting once accepted, a share p F of them has converted, so failures must weigh (1 - p) F in all.
    Whether an age is used hangs on the age alone, so no early success comes without the failures of its age.

    age        (n,) int64 from the offer to the cut; delay (n,) from the offer to when its conversion was known
    accepted, converted   (n,) bool, as known at the cut; ripe (n,) bool: the horizon has passed
    Source     delayed feedback (Chapelle 2014), its posterior at the mean rate. Weighting by the inverse chance of
               being uncensored (early successes up, old failures up) fails here: age is a date, and features move
               with dates. Compared in docs/labels.md.
    """
    weight = ripe.astype(np.float64)
    delays = delay[ripe & converted]
    mature = int(np.sum(ripe & accepted))
    if len(delays) < LEAST_DELAYS or len(delays) >= mature:
        return weight
    rate = len(delays) / mature
    shown = shown_by(delays, age)
    failed = np.where(accepted, shown * (1 - rate) / (1 - rate * shown), shown)
    used = ~ripe & (shown >= LEAST_SHOWN)
    weight[used] = np.where(converted, 1.0, failed)[used]
    return weight
