"""Reliability curves and promises of thresholds: their numbers by hand, their intervals against a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from training.bootstrap import Draw
from training.reliability import ONE_IN_THREE, curve, promise, promises, share


def test_a_curve_by_hand() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.8, 0.9, 0.7])
    y = np.array([0.0, 0, 1, 1, 1, 0])
    seen = curve(p, y, Draw.of(np.arange(6), 200), count=2)
    np.testing.assert_allclose(seen.forecast, [0.2, 0.8])
    np.testing.assert_allclose(seen.share, [1 / 3, 2 / 3])
    assert seen.offers.tolist() == [3, 3]
    assert (seen.low < seen.share).all()
    assert (seen.high > seen.share).all()
    assert list(seen.frame()) == ["forecast", "share", "low", "high", "offers"]


def test_equal_forecasts_make_one_bin() -> None:
    seen = curve(np.full(40, 0.3), np.tile([1.0, 0.0], 20), Draw.of(np.arange(40), 100))
    assert seen.offers.tolist() == [40]
    assert seen.share.tolist() == [0.5]


def test_nothing_that_happened_is_not_a_proof_that_nothing_will() -> None:
    """The resampled share of 30 refusals is 0 each time; what may have been 9.5 % (1 - 0.025^(1/30)) is not refuted."""
    none = share(np.zeros(30), Draw.of(np.arange(30), 100), np.arange(30))
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 30))
    every = share(np.ones(30), Draw.of(np.arange(30), 100), np.arange(30))
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(0.025 ** (1 / 30))


def test_offers_of_one_account_are_not_as_many_proofs() -> None:
    rng = np.random.default_rng(0)
    fate = (rng.random(60) < 0.4).astype(float)
    y, rows = np.repeat(fate, 10), np.arange(600)
    together = share(y, Draw.of(np.repeat(np.arange(60), 10), 500), rows)
    apart = share(y, Draw.of(rows, 500), rows)
    assert together.value == apart.value
    assert together.high - together.low > 2.5 * (apart.high - apart.low)  # sqrt(10) = 3.2


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Accounts with a taste of their own: of 300 draws at least 92 % must hold it (95 % less three standard errors)."""
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        account = np.repeat(np.arange(60), rng.integers(1, 8, 60))
        y = (rng.random(len(account)) < rng.beta(0.6, 2.4, 60)[account]).astype(float)
        seen = share(y, Draw.of(account, 200, seed), np.arange(len(y)))
        held += seen.low <= 0.2 <= seen.high
    assert held >= 0.912 * 300


def test_a_promise_is_kept_by_a_calibrated_forecast_and_broken_by_a_boastful_one() -> None:
    honest = [_promised(seed, 1.0) for seed in range(60)]
    assert sum(honest) >= 52  # 95 of 100 are meant to, less three standard errors
    assert not any(_promised(seed, 0.5) for seed in range(10))


def _promised(seed: int, power: float) -> bool:
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 4, 2000)
    y, p = (rng.random(2000) < truth).astype(float), truth**power
    seen = promise(p, y, Draw.of(np.arange(2000) // 3, 200))
    assert seen is not None
    above = p >= ONE_IN_THREE
    assert (seen.offers, seen.threshold) == (int(above.sum()), ONE_IN_THREE)
    assert seen.share.value == pytest.approx(y[above].mean())
    assert seen.forecast == pytest.approx(p[above].mean())
    return seen.kept


def test_a_threshold_that_few_reach_promises_nothing() -> None:
    p, y, draw = np.linspace(0, 1, 100), np.zeros(100), Draw.of(np.arange(100), 50)
    assert promise(p, y, draw, 0.9) is None
    assert [one.threshold for one in promises(p, y, draw, (0.2, 0.5, 0.9))] == [0.2, 0.5]
