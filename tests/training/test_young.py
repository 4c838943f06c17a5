"""Offers younger than the horizon teach converting without bias, and never by their early successes alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from features.asof import DAY
from models.ridge import Problem, solve
from tests.training.drawn import START, config, draw_examples
from training.blocks import final_cut, rolling_cuts
from training.young import LEAST_DELAYS, LEAST_SHOWN, young_weights

HORIZON = 90
NOW = START + 420 * DAY


def test_the_weights_of_one_log_by_hand() -> None:
    """Twenty ripe accepted offers, ten of them converted after 1, 2 … 10 days; then young ones of known age."""
    days = np.r_[np.arange(1, 11), np.zeros(10)]
    young = [(0.5, True, True), (0.5, True, False), (5, True, True), (5, True, False), (5, False, False)]
    young += [(8, True, False), (50, True, False), (50, False, False)]
    age = np.r_[np.full(20, 200), [a for a, _, _ in young]] * DAY
    accepted = np.r_[np.ones(20, bool), [a for _, a, _ in young]]
    converted = np.r_[days > 0, [c for _, _, c in young]]
    delay = np.r_[days, [0.4, 0, 3, 0, 0, 0, 0, 0]] * DAY
    found = young_weights(age, accepted, converted, np.arange(28) < 20, delay)
    # Half of the ripe converted; half of those showed by day 5, eight tenths by day 8, all by day 50.
    expected = [0, 0, 1, 0.5 * 0.5 / (1 - 0.25), 0.5, 0.8 * 0.5 / (1 - 0.4), 1, 1]
    np.testing.assert_allclose(found[20:], expected)
    assert (found[:20] == 1).all()


@given(st.integers(20, 900), st.floats(0.06, 1.0))
def test_successes_and_failures_of_an_age_weigh_as_the_chance_of_converting_at_all(hits: int, part: float) -> None:
    """Of a thousand ripe offers so many converted, at an even pace; of an age, a share p F has: weighed, it is p."""
    p, ripe, delay = hits / 1000, np.arange(1001) < 1000, np.zeros(1001, np.int64)
    delay[:hits] = np.linspace(1, HORIZON, hits) * DAY
    age = np.where(ripe, 200 * DAY, int(part * HORIZON * DAY))
    weight = young_weights(age, np.ones(1001, bool), np.arange(1001) < hits, ripe, delay)[-1]
    shown = np.mean(delay[:hits] <= age[-1])
    assert (weight > 0) == (shown >= LEAST_SHOWN)
    if weight:
        assert p * shown / (p * shown + (1 - p * shown) * weight) == pytest.approx(p)


def test_too_few_conversions_to_know_the_delay_leave_the_young_out() -> None:
    for ripe_conversions in (LEAST_DELAYS - 1, LEAST_DELAYS):
        n = 200
        ripe = np.arange(n) < 150
        converted = np.arange(n) < ripe_conversions
        converted[150:160] = True
        weight = young_weights(np.where(ripe, 200, 60) * DAY, np.ones(n, bool), converted, ripe, np.full(n, 5 * DAY))
        assert (weight[150:] > 0).all() == (ripe_conversions == LEAST_DELAYS)
        assert (weight[150:] > 0).any() == (ripe_conversions == LEAST_DELAYS)


@given(st.integers(0, 10_000), st.integers(120, 420))
@settings(max_examples=25)
def test_whether_an_offer_is_used_hangs_on_its_age_alone(seed: int, days: int) -> None:
    rows = draw_examples(seed, n=1500)
    at = START + days * DAY
    every = np.arange(len(rows))
    seen, mature = rows.labels(at, every, young=True), rows.labels(at, every)
    used = np.isfinite(seen.converted)
    young = (rows.due <= at) & (rows.convert_due > at)
    if (used & young).any():
        first = (at - rows.offered)[used & young].min()
        np.testing.assert_array_equal(used[young], (at - rows.offered)[young] >= first)
    np.testing.assert_array_equal(used[~young], np.isfinite(mature.converted)[~young])
    assert (seen.convert_weight[~young] == 1).all()
    assert ((seen.convert_weight > 0) & (seen.convert_weight <= 1)).all()
    np.testing.assert_array_equal(seen.grade, mature.grade)


def test_only_what_is_learned_from_counts_the_young() -> None:
    rows = draw_examples(2)
    for cut in (*rolling_cuts(rows, config(), NOW), final_cut(rows, config(), NOW)):
        young = rows.convert_due[cut.train.rows] > cut.at
        assert np.isfinite(cut.train.labels.converted[young]).mean() > 0.9
        for block, known in ((cut.calibrate, cut.at), (cut.test, NOW)):
            late = rows.convert_due[block.rows] > known
            assert np.isnan(block.labels.converted[late]).all()
            assert (block.labels.convert_weight == 1).all()


def _log(rng: np.random.Generator, moving: float) -> tuple[np.ndarray, ...]:
    """1,200 accepted offers of 420 days: ages, two features of which one moves with time, outcomes known at 420."""
    offered = rng.uniform(0, 420, 1200)
    x = np.column_stack([rng.normal(size=1200), (offered - 210) / 121 + 0.3 * rng.normal(size=1200)])
    delay = np.clip(rng.gamma(2.0, 15.0, 1200), 1, 85)
    seen = (rng.random(1200) < expit(-1.9 + x @ [0.7, moving])) & (delay <= 420 - offered)
    return 420 - offered, x, seen, delay


def _fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> list[float]:
    free, codes = np.zeros(2, np.int64), np.zeros((0, len(x)), np.int64)
    problem = Problem(x, codes, (), y.astype(float), weight, free, free, np.array([9.0]), np.ones(2))
    found = solve(problem, learn=False, belief=1.0)
    return [found.intercept, *found.dense]


def test_over_many_logs_the_weighted_fit_is_unbiased_and_steadier_than_without_the_young() -> None:
    rng = np.random.default_rng(11)
    weighted, dropped, early = [], [], []
    for _ in range(150):
        age, x, seen, delay = _log(rng, moving=0.3)
        ripe = age >= HORIZON
        weight = young_weights(age, np.ones(len(age), bool), seen, ripe, delay)
        used, some = weight > 0, ripe | seen
        weighted.append(_fit(x[used], seen[used], weight[used]))
        dropped.append(_fit(x[ripe], seen[ripe], weight[ripe]))
        early.append(_fit(x[some], seen[some], np.ones(int(some.sum()))))
    truth, spread = [-1.9, 0.7, 0.3], np.std(weighted, axis=0)
    # Measured: off by -0.007, -0.013, -0.013, with a standard error of 0.008 each.
    assert (np.abs(np.mean(weighted, axis=0) - truth) < 0.03).all()
    # What moves with time is what the newest weeks tell of: 0.094 against 0.119.
    assert spread[2] < 0.9 * np.std(dropped, axis=0)[2]
    assert np.mean(early, axis=0)[2] - 0.3 > 0.2  # measured: 0.39


def test_over_many_logs_the_weighted_rate_is_unbiased() -> None:
    rng = np.random.default_rng(12)
    rates, early = [], []
    for _ in range(300):
        age, _, seen, delay = _log(rng, moving=0.0)
        ripe = age >= HORIZON
        weight = young_weights(age, np.ones(len(age), bool), seen, ripe, delay)
        rates.append(np.average(seen, weights=weight))
        early.append(seen[ripe | seen].mean())
    truth = expit(-1.9 + 0.7 * np.random.default_rng(0).normal(size=1_000_000)).mean()
    error = np.std(rates) / np.sqrt(300)
    assert abs(np.mean(rates) - truth) < 3.5 * error < 0.003
    assert np.mean(early) - truth > 10 * error
