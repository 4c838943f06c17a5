"""The evaluation on bandits whose truth is known: intervals keep their promise, and a model of the reward helps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.coverage import Bandit, judged
from training.offpolicy.estimators import ESTIMATORS
from training.offpolicy.log import Policy
from training.offpolicy.support import MAX_OFF
from training.offpolicy.value import Value, evaluate

BANDITS = {
    "binary": Bandit("binary", rounds=500),
    "fitted": Bandit("fitted", rounds=500, known=0.0, cluster=5),
}


@cache
def _values(name: str) -> tuple[list[Value], float]:
    bandit = BANDITS[name]
    logs = range(30 if bandit.known else 20)
    return [evaluate(*bandit.draw(seed)[:2], seed=seed, replicates=300) for seed in logs], bandit.truth


@pytest.mark.faults
@pytest.mark.parametrize("name", BANDITS)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    """Of 30 (20) intervals at 95 %, fewer than 25 (16) hold it once in 300 tries; the benchmark has harder logs."""
    values, truth = _values(name)
    assert all(value.refused is None for value in values)
    for estimator, seen in judged(values, truth):
        assert seen.covered >= (25 if len(values) == 30 else 16) / len(values), estimator
        assert abs(seen.bias) < seen.error, estimator


@pytest.mark.parametrize("name", BANDITS)
def test_a_model_of_the_reward_brings_the_estimate_nearer(name: str) -> None:
    values, truth = _values(name)
    error = {estimator: seen.error for estimator, seen in judged(values, truth)}
    assert error["dr"] < 0.95 * error["ips"]
    assert error["snips"] < error["ips"]


def test_intervals_are_no_wider_than_they_must_be() -> None:
    values, truth = _values("binary")
    seen = dict(judged(values, truth))["dr"]
    assert 3.0 < seen.width / seen.error < 6.0  # 3.9 times the error, had it a normal distribution


def test_fitted_propensities_that_are_off_by_more_than_chance_and_the_margin_refuse_the_log() -> None:
    """Each account always got the same action: what the others got tells nothing of it, or the contrary."""
    bandit = Bandit("none", rounds=1200, known=0.0, cluster=100, actions=2, context=False)
    log, policy, _ = bandit.draw(0)
    log = replace(log, action=log.cluster % 2)
    seen = evaluate(log, policy, replicates=300)
    made = seen.propensities
    assert made is not None
    assert made.error is not None
    assert made.by_chance is not None
    assert made.error > made.by_chance + MAX_OFF
    assert seen.refused is not None
    assert seen.refused.startswith(f"The fitted propensities are off by {made.error:.3f}")
    assert seen.estimates == ()
    told = seen.as_dict()["propensities"]
    assert told["by_chance"] == made.by_chance  # type: ignore[index]
    right = evaluate(replace(log, propensity=np.full(len(log), 0.5)), policy, replicates=300)
    assert right.propensities is not None
    assert right.propensities.hopeless is None


def test_the_same_seed_gives_the_same_and_the_report_is_whole() -> None:
    bandit = Bandit("mixed", rounds=500, known=0.5, cluster=5, words=True)
    log, policy, _ = bandit.draw(0)
    said = evaluate(log, policy, seed=3, replicates=300).as_dict()
    assert said == evaluate(log, policy, seed=3, replicates=300).as_dict()
    assert said != evaluate(log, policy, seed=4, replicates=300).as_dict()
    assert [one["estimator"] for one in said["estimates"]] == list(ESTIMATORS)  # type: ignore[attr-defined]
    assert said["clusters"] == 100
    made = said["propensities"]
    assert isinstance(made, dict)
    assert made["logged"] + made["fitted"] == 500
    assert made["fitted"] == int(log.unlogged.sum())
    assert said["refused"] is None


def test_a_wider_level_gives_wider_intervals() -> None:
    log, policy, _ = BANDITS["binary"].draw(1)
    narrow, wide = (evaluate(log, policy, level=level, replicates=500).estimates for level in (0.8, 0.99))
    for a, b in zip(narrow, wide, strict=True):
        assert b.low < a.low < a.value < a.high < b.high


def test_a_policy_that_is_the_logs_own_gains_nothing() -> None:
    log, _, _ = Bandit("even", rounds=500, sharp=0.0).draw(0)
    every = Policy(np.repeat(np.arange(500), 5), np.tile(np.arange(5), 500), np.full(2500, 0.2))
    value = evaluate(log, every, replicates=300)
    assert value.gain is not None
    assert value.logged is not None
    assert value.estimates[0].value == pytest.approx(value.logged.value)
    assert max(abs(value.gain.low), abs(value.gain.high)) < 0.25 * (value.logged.high - value.logged.low)
    rare = evaluate(replace(log, reward=(np.arange(500) == 7) * 1.0), every, replicates=300)
    assert rare.gain is not None
    assert abs(rare.gain.high) < 1 / 500


def test_a_reward_that_never_changes_is_the_value_and_leaves_nothing_open() -> None:
    log, policy, _ = BANDITS["binary"].draw(2)
    constant = evaluate(replace(log, reward=np.ones(len(log))), policy, replicates=300)
    values = {one.estimator: one for one in constant.estimates}
    assert values["snips"].value == pytest.approx(1.0)
    assert values["dr"].value == pytest.approx(1.0)
    assert values["dr"].low == pytest.approx(values["dr"].high)


def test_a_log_without_context_still_answers() -> None:
    bandit = Bandit("blind", rounds=1500, sharp=0.0, context=False)
    value = evaluate(*bandit.draw(1)[:2], replicates=500)
    assert value.reward_model == "means"
    dr = value.estimates[2]
    assert dr.low < bandit.truth < dr.high
    assert value.gain is not None
    assert value.gain.value == pytest.approx(dr.value - float(bandit.draw(1)[0].reward.mean()))
