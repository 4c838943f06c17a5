"""The lift's band holds at every look at once, and finds a difference that is there; accounts count once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.asof import DAY, NAT
from features.errors import NotEnoughData
from training.lift import LEAST, WINDOW, Mixed, band, compare

WITHIN = 90 * DAY


def terms(rng: np.random.Generator, n: int, gain: float) -> np.ndarray:
    held = rng.random(n) < 0.3
    y = rng.poisson(np.where(held, 0.4, 0.4 + gain))
    return np.where(held, -(y - 0.4) / 0.3, (y - 0.4) / 0.7)


def test_looking_every_day_finds_nothing_where_nothing_is() -> None:
    """400 experiments of 600 accounts, each looked at 57 times: at most 5 % of them may ever be fooled."""
    rng, fooled = np.random.default_rng(0), 0
    for _ in range(400):
        drawn = terms(rng, 600, 0.0)
        looks = [band(drawn[:t]) for t in range(40, 601, 10)]
        fooled += any(low > 0 or high < 0 for low, high in looks)
    assert fooled / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_a_gain_that_is_there_is_found() -> None:
    rng = np.random.default_rng(1)
    found = sum(band(terms(rng, 2000, 0.3))[0] > 0 for _ in range(50))
    assert found >= 45


def log(n: int, gain: float, late: int = 0, seed: int = 0) -> tuple[Mixed, int, np.ndarray, np.ndarray]:
    """A log of two offers for each of n accounts, of which `late` have not matured; now; who is held out; hits."""
    rng = np.random.default_rng(seed)
    held = rng.random(n) < 0.3
    offered = np.repeat(np.arange(n), 2) * DAY + np.tile([0, 5 * DAY], n)
    hit = rng.random(2 * n) < np.where(np.repeat(held, 2), 0.2, 0.2 + gain)
    policy = np.where(np.repeat(held, 2), "holdout", "champion")
    offers = Mixed(
        np.repeat(np.arange(n), 2), offered, np.where(hit, offered + 9 * DAY, NAT), policy, np.zeros(2 * n, bool),
        np.repeat(held, 2),
    )  # fmt: skip
    return offers, (n - 1 - late) * DAY + WINDOW + WITHIN, held, hit


def test_an_account_counts_once_with_all_that_came_of_it() -> None:
    offers, now, held, hit = log(400, 0.1, late=50)
    seen = compare(offers, now, WITHIN, 0.3)
    matured = 350
    of_account = hit.reshape(-1, 2).sum(axis=1)[:matured]
    assert (seen.model, seen.holdout, seen.waiting) == (
        int((~held[:matured]).sum()), int(held[:matured].sum()), 50
    )  # fmt: skip
    assert seen.model_mean == pytest.approx(of_account[~held[:matured]].mean())
    assert seen.holdout_mean == pytest.approx(of_account[held[:matured]].mean())
    assert seen.low < seen.lift < seen.high
    assert abs(seen.lift - (seen.model_mean - seen.holdout_mean)) < 0.1


def test_looking_often_at_logs_of_offers_finds_nothing_where_nothing_is() -> None:
    """From the log to the band: 400 logs of 500 accounts, one a day, each looked at every other week from the 100th."""
    fooled = 0
    for seed in range(400):
        offers, now, _, _ = log(500, 0.0, seed=seed)
        looks = [compare(offers, now - days * DAY, WITHIN, 0.3) for days in range(0, 400, 14)]
        fooled += any(seen.low > 0 or seen.high < 0 for seen in looks)
    assert fooled / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_too_few_matured_accounts_are_no_answer() -> None:
    offers, now, _, _ = log(LEAST, 0.1)
    with pytest.raises(NotEnoughData, match=r"policy\.holdout"):
        compare(offers, now, WITHIN, 0.3)


def test_the_pilot_s_accounts_are_compared_among_themselves() -> None:
    """A pilot that is much better from day 200 on, on the accounts that pilot reps own, moves nobody else's lift."""
    offers, now, held, _ = log(400, 0.0)
    pilots = np.arange(400) % 2 == 0
    piloted = np.repeat(pilots & ~held, 2) & (offers.offered >= 200 * DAY)
    offers = replace(
        offers, of_pilot=np.repeat(pilots, 2), policy=np.where(piloted, "pilot", offers.policy),
        converted=np.where(piloted, offers.offered + 9 * DAY, offers.converted),
    )  # fmt: skip
    theirs, ours = offers.parted()
    begun = offers.offered[piloted].min()
    first = np.arange(400) * DAY
    last = offers.offered[piloted].max()
    expected = {int(a) for a in np.flatnonzero(pilots & (first >= begun) & (first <= last))}
    assert set(ours.account) == expected
    assert {int(a) for a in np.flatnonzero(held)} & expected
    cut = {int(a) for a in np.flatnonzero(pilots & (first < begun) & (first + WINDOW > begun))}
    assert cut
    assert not cut & (set(ours.account) | set(theirs.account))
    assert set(theirs.account) == set(range(400)) - expected - cut
    seen = compare(ours, now, WITHIN, 0.3)
    assert (seen.low > 0, seen.model_mean) == (True, 2.0)
    untouched = compare(theirs, now, WITHIN, 0.3)
    assert untouched.low < 0 < untouched.high
    assert set(offers.policy[np.isin(offers.account, list(cut))]) >= {"pilot"}


def test_only_the_time_of_the_mix_counts_and_the_draw_says_on_which_side() -> None:
    """The model began after the holdout, failed for a while, and is off at last: both sides lose and keep the same."""
    offers, _, held, _ = log(400, 0.1)
    day = offers.offered // DAY
    rules, failed = (day < 100) | (day >= 350), (day >= 200) & (day < 230)
    told = np.where(offers.held, "holdout", np.where(rules | failed, "fallback", "champion"))
    seen = replace(offers, policy=told).during()
    model = offers.offered[told == "champion"]
    assert seen.offered.min() >= model.min()
    assert set(seen.account) == {
        a for a in range(400) if model.min() <= a * DAY <= model.max() or a in (95, 96, 97, 98, 99)
    }
    assert {"fallback", "holdout", "champion"} == set(seen.policy)
    assert (seen.held == held[seen.account]).all()
    assert len(replace(offers, policy=np.full(800, "champion")).during().account) == 0


def test_another_salt_begins_anew_and_a_moved_contact_does_not() -> None:
    offers, _, _, _ = log(400, 0.1)
    other = np.repeat(np.random.default_rng(5).random(400) < 0.3, 2)
    before = offers.offered < 200 * DAY
    told = np.where(np.where(before, other, offers.held), "holdout", "champion")
    assert replace(offers, policy=told).during().offered.min() >= 199 * DAY
    moved = offers.policy.copy()
    moved[400:404] = "holdout"
    assert replace(offers, policy=moved).during().offered.min() < 10 * DAY
