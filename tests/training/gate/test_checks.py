"""Checks of the data, the probabilities, the features and the agreement: each fails for its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from benchmarks.gate_pools import Quality, case_of, draw_pool, with_champion
from features.matrix import Matrix, Vocabulary
from tests.training.drawn import config
from training.contestants import RANKER
from training.evaluate import Predictions
from training.gate import NOT_ENOUGH, weigh
from training.gate.agreement import behaviour_held, same_market
from training.gate.case import Case, Check, Harm, Shadowed
from training.gate.data import enough_data, heads
from training.gate.features import canaries_silent, features_complete, nothing_leaks
from training.gate.harm import did_no_harm
from training.gate.judge import CHECKS, passed
from training.gate.probabilities import calibrated
from training.gate.shadow import MIN_WATCHED, held_in_shadow
from training.telling import telling


def case(n: int = 2100) -> Case:
    return case_of(draw_pool(3, n, with_champion(Quality(0.65, 0.9), None)))


def saying(one: Case, **changes: np.ndarray) -> Case:
    """The case whose ranker says something else."""
    said = one.pool.said | {RANKER: replace(one.pool.said[RANKER], **changes)}
    return replace(one, pool=replace(one.pool, said=said))


def test_what_is_sound_passes() -> None:
    good = case()
    for check in (enough_data, heads, calibrated, behaviour_held, same_market):
        seen = check(good)
        assert seen.passed, seen.text


def test_what_passing_rests_on_is_told_and_what_could_not_be_tried_is_no_part_of_it() -> None:
    """A case of rows alone: nothing is known of its features, its files or newer answers."""
    verdict = weigh(case())
    marks = {check.name: check.mark for check in verdict.checks}
    assert {name for name, mark in marks.items() if mark == "not tried"} == {
        "nothing_leaks", "canaries_silent", "answers_since", "held_in_shadow", "did_no_harm",
    }  # fmt: skip
    assert marks["artefact_whole"] == "NOT MET"
    assert [check["tried"] for check in verdict.as_dict()["checks"]] == [c.tried for c in verdict.checks]  # type: ignore[attr-defined]
    met = Check("a", True, {}, "It is."), Check("b_c", True, {}, "Not tried.", tried=False)
    assert passed(met) == "Passed: 1 check is met, 1 not tried (b c)."
    assert passed(met[:1]) == "Passed: all 1 checks are met."


def test_a_probability_that_is_near_enough_names_chance_and_the_margin() -> None:
    seen = calibrated(case())
    numbers = seen.numbers
    for head, margin in (("accept", "0.010"), ("convert", "0.005")):
        error, chance = numbers[f"{head} error"], numbers[f"{head} by chance"]
        assert f"p_{head} is off by {error:.3f}, chance explains {chance:.3f}, {margin} more is allowed" in seen.text


def test_too_few_offers_are_said_first_and_nothing_is_skipped() -> None:
    verdict = weigh(case(240))
    assert not verdict.passed
    assert verdict.reason.startswith(NOT_ENOUGH)
    assert "240 offers (it takes 500)" in verdict.reason
    assert len(verdict.checks) == len(CHECKS)


def test_probabilities_that_are_off_are_refused() -> None:
    good = case()
    said: Predictions = good.pool.said[RANKER]
    seen = calibrated(saying(good, p_accept=np.clip(said.p_accept + 0.1, 0, 1)))
    assert not seen.passed
    assert "p_accept is off by" in seen.text
    assert "p_convert" not in seen.text


def test_a_head_that_is_not_estimable_is_refused_by_name() -> None:
    seen = heads(saying(case(600), p_accept=np.full(600, np.nan)))
    assert (seen.passed, seen.text) == (False, "p_accept cannot be estimated from this log.")


@pytest.mark.parametrize(("share", "passed"), [(0.99, True), (1.01, False), (None, False)])
def test_behaviour_may_move_a_score_no_further_than_agreed(share: float | None, passed: bool) -> None:
    metrics = {} if share is None else {"behaviour_share": share}
    assert behaviour_held(replace(case(600), metrics=metrics)).passed is passed


def test_another_market_needs_another_training() -> None:
    assert not same_market(replace(case(600), config=config("unknown: allow\n"))).passed


# Leaks --------------------------------------------------------------------------------------------------------------


def told(leak: float) -> pd.DataFrame:
    """What three features tell of 1,200 offers: noise, a category that helps a little, and one that knows so much."""
    rng = np.random.default_rng(1)
    y = (rng.random(1200) < 0.3).astype(float)
    knows = np.where(rng.random(1200) < leak, np.where(y == 1, np.nan, 1.0), rng.choice([np.nan, 1.0], 1200))
    helps = np.where(rng.random(1200) < 0.2, y + 3, rng.integers(0, 6, 1200))
    values = np.column_stack([rng.normal(size=1200), helps, knows]).astype(np.float32)
    ids = np.arange(1200).astype(str).astype(object)
    matrix = Matrix(values, ("noise", "helps", "knows"), ids, ids, np.zeros(1200, np.int64), Vocabulary({}))
    return telling(matrix, rng.integers(0, 300, 1200), {"accepted": y}, replicates=200)


def test_how_well_a_feature_tells_an_outcome_counts_in_either_direction_and_where_it_is_missing() -> None:
    found = told(leak=1.0).set_index("feature")
    assert found.loc["knows", "auc"] == pytest.approx(1.0)  # only by being missing
    assert 0.52 < found.loc["helps", "auc"] < 0.70
    assert 0.42 < found.loc["noise", "auc"] < 0.58
    assert found.loc["helps", "low"] < found.loc["helps", "auc"] < found.loc["helps", "high"]


def test_a_feature_that_knows_the_outcome_is_named_and_one_that_helps_is_not() -> None:
    good = case(600)
    leaky = nothing_leaks(replace(good, evidence=replace(good.evidence, telling=told(leak=0.9))))
    assert not leaky.passed
    assert "knows tells accepted" in leaky.text
    assert "helps tells" not in leaky.text
    assert nothing_leaks(replace(good, evidence=replace(good.evidence, telling=told(leak=0.3)))).passed


def test_an_outcome_with_one_value_judges_no_feature() -> None:
    matrix = Matrix(
        np.zeros((50, 1), np.float32), ("x",), *(np.full(50, "", object),) * 2, np.zeros(50, np.int64), Vocabulary({})
    )
    assert not len(telling(matrix, np.arange(50), {"accepted": np.ones(50)}))


@pytest.mark.parametrize(
    ("metrics", "mark", "named"),
    [
        ({}, "not tried", "flew no canaries"),
        ({"noise": 57, "day_before": 70}, "met", "columns of noise at place 57"),
        ({"noise": 57, "day_before": 70, "singing": 1}, "met", "which may happen"),
        ({"noise": 10, "day_before": 70, "singing": 1}, "NOT MET", "columns of noise at place 10"),
        ({"noise": 57, "day_before": 1, "singing": 1}, "NOT MET", "a day before, less what they are now at place 1"),
    ],
)
def test_a_recipe_that_makes_much_of_what_tells_nothing_is_refused(
    metrics: dict[str, int], mark: str, named: str
) -> None:
    told = {f"canary/{name}/place": float(place) for name, place in metrics.items() if name != "singing"}
    seen = canaries_silent(replace(case(600), metrics=told | {"canary/singing": float(metrics.get("singing", 0))}))
    assert seen.mark == mark
    assert named in seen.text


@pytest.mark.parametrize(("features", "mark"), [(85, "NOT MET"), (26, "met")])
def test_among_few_features_a_canary_must_stand_higher_to_be_refused(features: int, mark: str) -> None:
    """The public export tells 26: columns of noise, of which the recipe makes nothing, are the eleventh there."""
    one = case(600)
    few = pd.DataFrame({"feature": np.arange(features).astype(str), "family": "fit", "train": 1.0})
    metrics = {"canary/noise/place": 9.0, "canary/singing": 0.0}
    assert canaries_silent(replace(one, metrics=metrics, evidence=replace(one.evidence, known=few))).mark == mark


# Completeness -------------------------------------------------------------------------------------------------------


def known(**latest: float) -> pd.DataFrame:
    """Shares known of four features of two families; in the newest offers as stated, else as in training."""
    train = {"tie_strength": 1.0, "worked_within_two": 0.9, "days_to_meeting": 0.3, "days_since_meeting": 0.4}
    family = ["graph", "graph", "timing", "timing"]
    shares = {"feature": list(train), "family": family, "train": list(train.values()), "test": list(train.values())}
    rows = {"train_rows": 5000, "test_rows": 2000, "latest_rows": 200}
    return pd.DataFrame(shares | {"latest": [latest.get(name, share) for name, share in train.items()]} | rows)


@pytest.mark.parametrize(
    ("latest", "named"),
    [
        ({"tie_strength": 0.0, "worked_within_two": 0.0}, "the whole family graph in the newest offers"),
        ({"days_to_meeting": 0.0}, "days_to_meeting (timing) in the newest offers"),
        ({"days_since_meeting": 0.15}, "days_since_meeting (timing)"),
    ],
)
def test_a_feature_that_training_knew_and_today_lacks_is_named(latest: dict[str, float], named: str) -> None:
    good = case(600)
    seen = features_complete(replace(good, evidence=replace(good.evidence, known=known(**latest))))
    assert not seen.passed
    assert named in seen.text


def test_a_feature_that_is_known_a_little_less_or_was_never_known_is_no_gap() -> None:
    good = case(600)
    less = known(days_to_meeting=0.2, tie_strength=0.8)
    less.loc[3, ["train", "test", "latest"]] = 0.0
    assert features_complete(replace(good, evidence=replace(good.evidence, known=less))).passed


@pytest.mark.parametrize(
    ("seen", "mark"),
    [
        (None, "not tried"), (Shadowed(MIN_WATCHED - 1, 0, 90), "not tried"), (Shadowed(MIN_WATCHED, 0, 90), "met"),
        (Shadowed(5, 1, 3), "NOT MET"),
    ],
)  # fmt: skip
def test_one_that_failed_when_it_looked_on_is_refused_however_few_they_were(seen: Shadowed | None, mark: str) -> None:
    assert held_in_shadow(replace(case(700), watched=seen)).mark == mark


def test_one_that_the_guard_rolled_back_is_refused_with_when_why_and_what_to_do() -> None:
    at = datetime.fromisoformat("2026-03-07T09:00:00+00:00")
    seen = did_no_harm(replace(case(700), harm=Harm(at, 3, "the guard: of 100 offers of model 2 25% were accepted")))
    assert seen.mark == "NOT MET"
    told = (
        "on 2026-03-07 09:00 UTC (revision 3) by the guard: of 100 offers of model 2 25% were accepted. Train on newer"
    )
    assert told in seen.text
    assert "--force --reason" in seen.text
