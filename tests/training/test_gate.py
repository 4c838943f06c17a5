"""The gate's checks: each passes what earned its place, and refuses what did not for its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.drawn import config
from training.contestants import RANKER, RULES
from training.evaluate import Board, Predictions
from training.gate import NOT_ENOUGH, PRIMARY, Case, weigh
from training.gate.agreement import behaviour_held, same_market
from training.gate.artefact import artefact_whole
from training.gate.data import enough_data, heads
from training.gate.probabilities import calibrated
from training.gate.rivals import MARGIN, beats_rules, no_worse_than_baselines
from training.pool import Pool, tie_breaks
from training.tracking import Version

CONFIG = config()
VERSION = Version("3", "run", "hash", "features", CONFIG.market_fingerprint, ("challenger",), datetime.now(UTC))


def case(
    n: int = 2400, *, seed: int = 0, ranker: float = 0.3, rules: float = 2.0, logistic: float = 0.5, bias: float = 0.0,
    share: float | None = 0.5,
) -> Case:  # fmt: skip
    """A case whose truth is known: scores are the true chance plus so much noise; `bias` shifts p_accept."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=n)
    p = 1 / (1 + np.exp(1.2 - taste))
    accepted = (rng.random(n) < p).astype(float)
    converted = accepted * (rng.random(n) < 0.2)
    offer_id = np.array([f"O{i}" for i in range(n)], object)
    board = Board(
        np.repeat(np.arange(n // 12), 12)[:n],
        (accepted + converted).astype(int),
        accepted,
        converted,
        tie_breaks(offer_id),
    )
    none = np.full(n, np.nan)

    def noisy(noise: float) -> np.ndarray:
        return taste + rng.normal(scale=noise, size=n)

    said = {
        RANKER: Predictions(noisy(ranker), np.clip(p + bias, 0.01, 0.99), 0.2 * p),
        RULES: Predictions(noisy(rules), none, none),
        "logistic": Predictions(noisy(logistic), none, none),
        "without_graph": Predictions(taste, none, none),
    }
    slices = pd.DataFrame(index=range(n))
    pool = Pool(offer_id, np.zeros(n, int), rng.integers(0, n // 4, n), board, slices, said)
    metrics = {} if share is None else {"behaviour_share": share}
    return Case(pool, metrics, VERSION, Path("nowhere"), CONFIG)


def test_a_ranker_that_is_better_passes_every_check_on_its_numbers() -> None:
    good = case()
    for check in (enough_data, heads, beats_rules, no_worse_than_baselines, calibrated, behaviour_held, same_market):
        seen = check(good)
        assert seen.passed, seen.text
    assert beats_rules(good).numbers["low"] > 0  # type: ignore[operator]


def test_a_ranker_that_knows_nothing_is_not_better_by_more_than_chance() -> None:
    seen = beats_rules(case(ranker=50.0, rules=50.0))
    assert not seen.passed
    assert "not better by more than chance" in seen.text


def test_chance_passes_a_worthless_ranker_about_once_in_forty() -> None:
    passed = [beats_rules(case(600, seed=seed, ranker=50.0, rules=50.0)).passed for seed in range(60)]
    assert np.mean(passed) <= 0.1


def test_a_simpler_baseline_may_be_ahead_by_the_margin_and_no_more() -> None:
    assert no_worse_than_baselines(case(ranker=0.3, logistic=0.3)).passed
    seen = no_worse_than_baselines(case(ranker=2.0, logistic=0.1))
    assert not seen.passed
    assert "Logistic regression" in seen.text
    assert seen.numbers["logistic"] < -MARGIN  # type: ignore[operator]
    assert "without_graph" not in seen.numbers


def test_probabilities_that_are_off_are_refused() -> None:
    seen = calibrated(case(bias=0.1))
    assert not seen.passed
    assert "p_accept is off by" in seen.text
    assert "p_convert" not in seen.text


def test_a_head_that_is_not_estimable_is_refused_by_name() -> None:
    good = case()
    said = good.pool.said[RANKER]
    bare = replace(said, p_accept=np.full(len(good.pool), np.nan))
    seen = heads(replace(good, pool=replace(good.pool, said={**good.pool.said, RANKER: bare})))
    assert (seen.passed, seen.text) == (False, "p_accept cannot be estimated from this log.")


@pytest.mark.parametrize(("share", "passed"), [(0.99, True), (1.01, False), (None, False)])
def test_behaviour_may_move_a_score_no_further_than_agreed(share: float | None, passed: bool) -> None:
    assert behaviour_held(case(600, share=share)).passed is passed


def test_another_market_needs_another_training() -> None:
    other = config("unknown: allow\n")
    assert not same_market(replace(case(600), config=other)).passed


def test_files_that_are_gone_are_refused() -> None:
    assert not artefact_whole(case(600)).passed


def test_too_few_offers_are_said_first_and_nothing_is_skipped() -> None:
    verdict = weigh(case(240, ranker=50.0))
    assert not verdict.passed
    assert verdict.reason.startswith(NOT_ENOUGH)
    assert "240 offers (it takes 500)" in verdict.reason
    assert len(verdict.checks) == 8
    assert not next(check for check in verdict.checks if check.name == "beats_rules").passed


def test_a_log_in_which_nobody_ever_accepted_cannot_be_judged() -> None:
    good = case(600)
    zero = np.zeros(600)
    dead = replace(good.pool, board=replace(good.pool.board, grade=zero.astype(int), accepted=zero, converted=zero))
    assert PRIMARY not in beats_rules(replace(good, pool=dead)).numbers
    assert not weigh(replace(good, pool=dead)).passed
