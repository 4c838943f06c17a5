"""A log that cannot tell is refused, with the reason; one that can is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.offpolicy.log import BanditLog, Policy
from training.offpolicy.support import kish
from training.offpolicy.value import Value, evaluate


def _log(n: int = 400, k: int = 4, seed: int = 0) -> BanditLog:
    """An even log of k actions."""
    rng = np.random.default_rng(seed)
    action = rng.integers(0, k, n)
    reward = (rng.random(n) < 0.2 + 0.1 * action).astype(np.float64)
    nothing = pd.DataFrame(index=range(n))
    return BanditLog(tuple("abcdefgh"[: k + 1]), action, reward, np.full(n, 1 / k), np.arange(n), context=nothing)


def _always(action: int, n: int = 400) -> Policy:
    return Policy(np.arange(n), np.full(n, action), np.ones(n))


def _mixed(share: float, other: int, n: int = 400) -> Policy:
    """Action 0, and with some probability another."""
    return Policy(np.repeat(np.arange(n), 2), np.tile([0, other], n), np.tile([1 - share, share], n))


def _told(value: Value) -> str:
    assert value.refused is not None
    assert value.estimates == ()
    return value.refused


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.01, 100))
def test_the_effective_sample_lies_between_one_and_all_and_knows_no_unit(weights: list[float], unit: float) -> None:
    weight = np.array(weights)
    assert 1 - 1e-9 <= kish(weight) <= len(weight) + 1e-9
    assert kish(unit * weight) == pytest.approx(kish(weight))
    assert kish(np.full(7, unit)) == pytest.approx(7)


def test_kish_by_hand() -> None:
    assert kish(np.array([3.0, 1.0, 0.0])) == pytest.approx(16 / 10)
    assert kish(np.zeros(3)) == 0.0


def test_an_even_log_can_tell() -> None:
    value = evaluate(_log(), _always(1))
    assert value.refused is None
    assert value.support is not None
    assert value.support.overlap == 1.0
    assert value.support.effective_sample_size == pytest.approx(np.sum(_log().action == 1))


def test_one_row_of_a_tiny_propensity_leaves_an_effective_sample_of_one_or_two() -> None:
    log = _log()
    propensity = log.propensity.copy()
    place = int(np.flatnonzero(log.action == 1)[5])
    propensity[place] = 1e-6
    value = evaluate(replace(log, propensity=propensity), _always(1))
    assert value.support is not None
    assert value.support.effective_sample_size < 2
    words = _told(value)
    assert "effective sample size is 1.0 of 400 rounds" in words
    assert f"row {place + 1} alone" in words
    assert "100%" in words


def test_actions_that_were_never_logged_are_named() -> None:
    value = evaluate(_log(), _mixed(0.3, 4))
    assert value.support is not None
    assert value.support.overlap == pytest.approx(0.7)
    assert value.support.never_logged == ("e",)
    assert "Never logged: 'e'" in _told(value)
    assert evaluate(_log(), _mixed(0.01, 4)).refused is None, "a little is a small bias, and the overlap says how much"


def test_a_log_that_always_does_the_same_tells_nothing_of_what_else_there_is() -> None:
    """Its propensities are 1, so the action that the policy wants instead could not have been taken."""
    log = replace(_log(), action=np.arange(400) % 2, propensity=np.ones(400))
    value = evaluate(log, _mixed(0.5, 1))
    assert value.support is not None
    assert value.support.overlap == pytest.approx(0.5)
    assert "hardly ever took the policy's action" in _told(value)
    own = Policy(np.arange(400), log.action, np.ones(400))
    assert evaluate(log, own).refused is None


def test_a_round_that_could_not_have_gone_otherwise_counts_in_full_however_noisy_the_others_are() -> None:
    log = _log(k=7, seed=0)
    sure = np.arange(400) < 200
    log = replace(log, propensity=np.where(sure, 1.0, log.propensity))
    other = (log.action + 1) % 7
    own = np.where(sure, log.action, 1)
    policy = Policy(np.repeat(np.arange(400), 2), np.column_stack([own, other]).ravel(), np.tile([0.8, 0.2], 400))
    doubled = policy.action == np.repeat(log.action, 2)
    assert doubled[: 2 * 200 : 2].all()
    value = evaluate(log, policy)
    assert value.support is not None
    assert value.support.mean_weight_high > 0.95, "the weights alone would not tell"
    assert value.support.overlap == pytest.approx(0.9)


def test_no_round_may_decide_alone() -> None:
    log = _log(2000)
    propensity = log.propensity.copy()
    place = int(np.flatnonzero(log.action == 1)[7])
    propensity[place] /= 65
    value = evaluate(replace(log, propensity=propensity), _always(1, 2000))
    assert value.support is not None
    assert value.support.effective_sample_size > 60
    assert f"Row {place + 1:,} alone" in _told(value)
    assert "no round may have more than 10%" in _told(value)


def test_a_policy_that_goes_where_the_log_did_not_is_refused_though_its_actions_were_logged() -> None:
    """The log takes a or b by the context, with a chance of 0.9, and never c there; the policy always wants c."""
    rng = np.random.default_rng(2)
    n = 2000
    side = rng.random(n) < 0.5
    action = np.where(rng.random(n) < 0.9, 0, 1)
    action[side] = np.where(rng.random(side.sum()) < 0.5, 2, 3)
    propensity = np.where(side, 0.5, np.where(action == 0, 0.9, 0.1))
    log = BanditLog(
        tuple("abcd"), action, rng.random(n), propensity, np.arange(n), context=pd.DataFrame(index=range(n))
    )
    value = evaluate(log, _always(2, n))
    assert value.support is not None
    assert value.support.overlap < 0.6
    _told(value)


def test_propensities_that_cannot_be_right_are_refused() -> None:
    log = _log()
    assert "these are too low" in _told(evaluate(replace(log, propensity=log.propensity / 3), _always(1)))


def test_too_few_clusters_or_rounds() -> None:
    log = replace(_log(), cluster=np.arange(400) % 6, clustered=True)
    assert "The log holds 6 clusters; an interval takes 8." in _told(evaluate(log, _always(1)))
    short = _log(7)
    assert "The log holds 7 rounds" in _told(evaluate(short, _always(1, 7)))
    heavy = replace(_log(), cluster=np.where(np.arange(400) < 388, 0, np.arange(400) - 387), clustered=True)
    assert "effective clusters of 13" in _told(evaluate(heavy, _always(1)))
