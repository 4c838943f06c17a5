"""Intervals of ratios: by cluster, wider where weights are heavy, never empty where nothing was seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.offpolicy import intervals
from training.offpolicy.estimators import Ratio, Rounds, estimates
from training.offpolicy.intervals import Resampling

NONE = np.array([[0.0, 1.0], [0.0, 1.0]])


def _mean(values: np.ndarray, unseen: np.ndarray = NONE) -> Ratio:
    return Ratio(values, np.ones(len(values)), unseen)


def test_the_interval_of_a_plain_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(size=4000)
    low, high = Resampling.of(np.arange(4000), 4000).interval(_mean(values))
    half = 1.96 * values.std() / np.sqrt(4000)
    assert high - low == pytest.approx(2 * half, rel=0.08)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.1 * half)


def test_rounds_of_one_cluster_are_drawn_together() -> None:
    """Ten copies of each round tell no more than one."""
    values = np.random.default_rng(1).random(100)
    once = Resampling.of(np.arange(100), 2000).interval(_mean(values))
    copied = Resampling.of(np.repeat(np.arange(100), 10), 2000).interval(_mean(np.repeat(values, 10)))
    assert copied == pytest.approx(once, rel=0.02)
    alone = Resampling.of(np.arange(1000), 2000).interval(_mean(np.repeat(values, 10)))
    assert alone[1] - alone[0] < 0.5 * (copied[1] - copied[0])


def test_many_clusters_are_put_together_without_changing_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).exponential(size=6000)
    apart_blocks = intervals.BLOCKS
    assert apart_blocks < 6000
    together = Resampling.of(np.arange(6000), 2000).interval(_mean(values))
    monkeypatch.setattr(intervals, "BLOCKS", 10_000)
    apart = Resampling.of(np.arange(6000), 2000).interval(_mean(values))
    assert together[1] - together[0] == pytest.approx(apart[1] - apart[0], rel=0.1)


def test_where_no_reward_was_seen_the_upper_end_is_the_rule_of_three() -> None:
    """0 of m tells that the share is below 3/m, 19 times in 20; here 200 of 1000 rounds have a weight."""
    rng = np.random.default_rng(3)
    n = 1000
    weight = np.zeros(n)
    weight[:200] = 5.0
    reward = np.zeros(n)
    reward[500:] = rng.random(500) < 0.3
    q = np.full(n, reward.mean())
    ratios, _ = estimates(Rounds(reward, weight, q, q, np.arange(n)))
    low, high = Resampling.of(np.arange(n), 2000).interval(ratios["snips"])
    assert low == 0.0
    assert high == pytest.approx(3 / 200, rel=0.1)


def test_a_heavy_weight_widens_the_end_that_it_pulls_at() -> None:
    values = np.random.default_rng(4).random(300)
    values[0] = 40.0
    mean = values.mean()
    low, high = Resampling.of(np.arange(300), 2000).interval(_mean(values))
    assert high - mean > 2 * (mean - low)


@given(st.integers(0, 10**6))
def test_an_interval_holds_its_value_and_the_same_seed_gives_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, cluster = rng.lognormal(size=80), rng.integers(0, 20, 80)
    cluster[:20] = np.arange(20)
    ratio = _mean(values)
    low, high = Resampling.of(cluster, 300, seed).interval(ratio)
    assert low <= ratio.value <= high
    assert (low, high) == Resampling.of(cluster, 300, seed).interval(ratio)


def test_a_bias_moves_both_ends_out() -> None:
    values = np.random.default_rng(5).random(100)
    drawn = Resampling.of(np.arange(100), 500)
    low, high = drawn.interval(_mean(values))
    wide = drawn.interval(Ratio(values, np.ones(100), NONE, bias=0.2))
    assert wide == pytest.approx((low - 0.2, high + 0.2))
