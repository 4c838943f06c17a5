"""The model against the rules, the champion and the baselines: what is better passes, and what is not says why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gate_pools import Quality, case_of, draw_pool, with_champion
from training.champion import Champion
from training.contestants import CHAMPION, RANKER
from training.evaluate import Predictions
from training.gate.better import ALARM, RANKING_ALARM
from training.gate.case import PRIMARY, Case
from training.gate.rivals import MARGIN, against_champion, beats_rules, no_worse_than_baselines
from training.pool import Pool

GOOD, POOR = Quality(0.65, 0.9), Quality(0.35, 0.9)


def case(ranker: Quality = GOOD, champion: Quality | None = None, *, n: int = 2100, seed: int = 0) -> Case:
    pool = draw_pool(seed, n, with_champion(ranker, champion))
    return case_of(pool, "new" if champion else "none")


def since(theirs: Quality, ours: Quality = GOOD, n: int = 2100) -> Pool:
    return draw_pool(5, n, {RANKER: ours, CHAMPION: theirs})


def test_a_ranker_that_is_better_than_the_rules_passes_on_its_numbers() -> None:
    seen = beats_rules(case())
    assert seen.passed
    assert seen.numbers["low"] > 0  # type: ignore[operator]
    assert seen.numbers["difference"] == pytest.approx(seen.numbers["ranker"] - seen.numbers["rival"])  # type: ignore[operator]


def test_a_ranker_that_knows_no_more_than_the_rules_is_refused() -> None:
    seen = beats_rules(case(Quality(0.35)))
    assert not seen.passed
    assert "not better by more than chance" in seen.text


# Ranking and value ---------------------------------------------------------------------------------------------------


def valued(ranker: Quality, champion: Quality, lead: float, noise: float = 0.3) -> Case:
    """A new recipe whose routing is worth so many conversions an offer more than the champion's 0.1."""
    one = case(ranker, champion)
    rng = np.random.default_rng(7)
    theirs = 0.1 + noise * rng.normal(size=len(one.pool))
    ours = theirs + lead + noise * rng.normal(size=len(one.pool))
    worth = {RANKER: np.where(rng.random(len(ours)) < 0.1, np.nan, ours), CHAMPION: theirs}
    return replace(one, pool=replace(one.pool, worth=worth))


def test_a_lead_on_ranking_passes_where_value_does_not_object() -> None:
    seen = against_champion(valued(Quality(0.8, 0.9), GOOD, lead=0.0))
    assert seen.passed
    assert "no objection" in seen.text
    assert seen.numbers["false alarms"] == RANKING_ALARM


def test_a_lead_on_ranking_does_not_pass_where_routing_by_it_surely_converts_less() -> None:
    seen = against_champion(valued(Quality(0.8, 0.9), GOOD, lead=-0.05))
    assert seen.numbers["low"] > 0  # type: ignore[operator]
    assert not seen.passed
    assert "surely less" in seen.text


def test_a_lead_on_value_passes_where_ranking_is_surely_not_behind_and_only_there() -> None:
    twin = Quality(0.65, 0.99)
    level = against_champion(valued(twin, twin, lead=0.05))
    assert level.passed
    assert level.numbers["low"] < 0 < level.numbers["value low"]  # type: ignore[operator]
    behind = against_champion(valued(Quality(0.55, 0.99), twin, lead=0.05))
    assert not behind.passed
    assert "not surely within" in behind.text


def test_where_the_log_cannot_tell_value_ranking_decides_and_the_reason_is_said() -> None:
    one = valued(Quality(0.8, 0.9), GOOD, lead=-0.05)
    nothing = {name: np.full(len(one.pool), np.nan) for name in (RANKER, CHAMPION)}
    evidence = replace(one.evidence, no_value={RANKER: "The log has 9 accounts; it takes 20."})
    seen = against_champion(replace(one, pool=replace(one.pool, worth=nothing), evidence=evidence))
    assert seen.passed
    assert "cannot tell: The log has 9 accounts" in seen.text
    assert seen.numbers["false alarms"] == ALARM


def test_a_log_in_which_nobody_ever_accepted_cannot_be_judged() -> None:
    good = case(n=600)
    zero = np.zeros(600)
    board = replace(good.pool.board, grade=zero.astype(int), accepted=zero, converted=zero)
    seen = beats_rules(replace(good, pool=replace(good.pool, board=board)))
    assert not seen.passed
    assert PRIMARY not in seen.numbers


def test_without_a_champion_the_rules_are_the_opponent() -> None:
    seen = against_champion(case())
    assert seen.passed
    assert "the rules" in seen.text


@pytest.mark.parametrize(("ranker", "passed"), [(Quality(0.8, 0.9), True), (GOOD, False), (POOR, False)])
def test_a_new_recipe_must_be_better_than_the_champion_s(ranker: Quality, passed: bool) -> None:
    seen = against_champion(case(ranker, GOOD))
    assert seen.passed is passed, seen.text
    assert "version 1" in seen.text


def test_a_champion_that_the_run_does_not_know_asks_for_another_training() -> None:
    told = case(Quality(0.8, 0.9), GOOD)
    other = against_champion(replace(told, serving=Champion("4", "promoted in between", None, None)))
    assert not other.passed
    assert "Version 4 serves" in other.text
    assert "train again" in other.text
    bare = replace(case(), serving=Champion("4", "promoted in between", None, None))
    assert "told of no model" in against_champion(bare).text


def test_after_a_rollback_to_the_rules_they_are_the_one_opponent() -> None:
    assert against_champion(replace(case(GOOD, GOOD), serving=None)).passed


def test_what_serves_already_need_not_be_better_than_itself() -> None:
    one = case(GOOD, GOOD)
    assert against_champion(replace(one, serving=Champion("2", one.version.content_hash, None, None))).passed


def test_a_champion_that_no_version_of_this_code_can_load_is_no_opponent_and_one_that_is_elsewhere_is() -> None:
    pool = case().pool
    lost = against_champion(case_of(pool, "lost"))
    assert (lost.passed, lost.tried) == (True, False)
    seen = against_champion(case_of(pool, "unreadable"))
    assert not seen.passed
    assert "cannot be compared" in seen.text


def test_the_same_recipe_passes_by_not_being_worse_on_what_neither_had_seen() -> None:
    alike = against_champion(case_of(case().pool, "same", {"held_out": since(GOOD), "answered": since(GOOD)}))
    assert (alike.passed, alike.tried, alike.mark) == (True, True, "met")
    assert "neither had seen" in alike.text
    assert "it has learned itself" not in alike.text


@pytest.mark.parametrize(
    "parts",
    [
        {}, {"held_out": 300}, {"answered": 300}, {"answered": 2100}, {"held_out": 300, "answered": 2100},
    ],
)  # fmt: skip
def test_the_same_recipe_is_not_tried_on_answers_that_it_has_learned_itself(parts: dict[str, int]) -> None:
    """However far ahead it is on them: the champion has not seen them, and that alone may be why."""
    pools = {part: since(POOR, Quality(0.9), n=n) for part, n in parts.items()}
    seen = against_champion(case_of(case().pool, "same", pools))
    assert (seen.passed, seen.tried, seen.mark) == (True, False, "not tried")
    assert f"{parts.get('held_out', 0):,} ripe test offers were made after the champion's cut" in seen.text
    assert "it takes 500 in 20 groups" in seen.text
    assert "older than a conversion horizon and a test block (90d and 28d)" in seen.text
    assert "ahead" not in seen.text


@pytest.mark.parametrize("part", ["held_out", "answered"])
def test_the_same_recipe_gone_wrong_on_fresh_data_is_refused(part: str) -> None:
    seen = against_champion(case_of(case().pool, "same", {part: since(GOOD, POOR)}))
    assert not seen.passed
    assert "worse beyond the margin" in seen.text
    assert seen.numbers[f"{part} high"] < 0  # type: ignore[operator]


def test_a_simpler_baseline_may_be_ahead_by_the_margin_and_no_more() -> None:
    assert no_worse_than_baselines(case()).passed
    one = case(POOR)
    said = one.pool.said | {"logistic": draw_pool(0, 2100, {"logistic": Quality(0.8)}).said["logistic"]}
    said["without_graph"] = Predictions(one.pool.board.grade * 1.0, *(np.full(2100, np.nan),) * 2)
    seen = no_worse_than_baselines(replace(one, pool=replace(one.pool, said=said)))
    assert not seen.passed
    assert "Logistic regression at +0." in seen.text
    assert seen.numbers["logistic"] < -MARGIN  # type: ignore[operator]
    assert not {"without_graph", CHAMPION} & seen.numbers.keys()
