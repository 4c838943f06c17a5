"""Estimators on logs that can be worked out by hand, and what must hold of them on any log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.offpolicy.estimators import ESTIMATORS, Rounds, estimates, switch

HAND = Rounds(
    reward=np.array([1.0, 0.0, 1.0, 0.0]),
    weight=np.array([2.0, 1.0, 0.0, 1.0]),
    q_logged=np.array([0.5, 0.25, 0.5, 0.5]),
    q_policy=np.array([0.4, 0.3, 0.2, 0.5]),
    cluster=np.arange(4),
)


def _values(rounds: Rounds) -> dict[str, float]:
    return {name: ratio.value for name, ratio in estimates(rounds)[0].items()}


def test_a_log_of_four_rounds_by_hand() -> None:
    found = _values(HAND)
    assert tuple(found) == ESTIMATORS
    assert found["ips"] == pytest.approx((2 * 1) / 4)
    assert found["snips"] == pytest.approx((2 * 1) / (2 + 1 + 1))
    # q of the policy, and the weighted surprise of each round: 2 * 0.5, 1 * -0.25, 0, 1 * -0.5
    assert found["dr"] == pytest.approx((1.4 + 1.0 - 0.25 - 0.5) / 4)


def _drawn(seed: int, n: int = 60) -> Rounds:
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0.0, 1.0, n) * (rng.random(n) < 0.8)
    weight[0] = 1.0
    return Rounds(rng.random(n), weight, rng.random(n), rng.random(n), np.arange(n))


@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_snips_follows_a_shift_of_the_rewards_and_dr_one_of_rewards_and_model(seed: int, shift: float) -> None:
    rounds = _drawn(seed)
    shifted = replace(
        rounds, reward=rounds.reward + shift, q_logged=rounds.q_logged + shift, q_policy=rounds.q_policy + shift
    )
    before, after = _values(rounds), _values(shifted)
    for name in ("snips", "dr"):
        assert after[name] == pytest.approx(before[name] + shift, abs=1e-8 * (1 + abs(shift)))


@given(st.integers(0, 10**6))
def test_a_model_that_knows_nothing_leaves_ips_and_one_that_knows_all_needs_no_weights(seed: int) -> None:
    rounds = _drawn(seed)
    none = np.zeros(len(rounds))
    assert _values(replace(rounds, q_logged=none, q_policy=none))["dr"] == pytest.approx(_values(rounds)["ips"])
    knows = replace(rounds, q_logged=rounds.reward)
    assert _values(knows)["dr"] == pytest.approx(float(rounds.q_policy.mean()))


def test_a_policy_that_is_the_logs_own_earned_what_the_log_earned() -> None:
    rounds = replace(_drawn(1), weight=np.ones(60))
    found = _values(rounds)
    assert found["ips"] == pytest.approx(rounds.reward.mean())
    assert found["snips"] == pytest.approx(rounds.reward.mean())


def test_switch_cuts_no_weight_where_weights_are_alike() -> None:
    rng = np.random.default_rng(0)
    rounds = Rounds(rng.random(500), np.ones(500), np.full(500, 0.5), np.full(500, 0.5), np.arange(500))
    assert switch(rounds) == (np.inf, 0.0)
    values = _values(rounds)
    assert values["switch-dr"] == values["dr"]


def test_switch_cuts_weights_whose_noise_costs_more_than_their_bias_can() -> None:
    """Two in a thousand rounds have half of the weight, and their surprises cancel: what they add is noise alone."""
    rng = np.random.default_rng(0)
    n = 1000
    weight = np.ones(n)
    weight[:2] = 300.0
    reward = np.full(n, 0.5) + rng.normal(scale=0.01, size=n)
    reward[:2] = 0.8, 0.2
    rounds = Rounds(reward, weight, np.full(n, 0.5), np.full(n, 0.5), np.zeros(n, np.int64) + np.arange(n) // 2)
    threshold, bias = switch(rounds)
    assert 1.0 <= threshold < 300.0
    assert 0.0 <= bias < 0.05
    apart = replace(rounds, cluster=np.arange(n))
    assert switch(apart)[0] == np.inf, "apart they may each be a bias as large as their noise"


def test_switch_says_how_far_it_may_be_off() -> None:
    rounds = replace(_drawn(3), weight=np.ones(60))
    ratios, threshold = estimates(rounds)
    assert threshold == np.inf
    assert ratios["switch-dr"].bias == 0.0
