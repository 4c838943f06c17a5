"""Slices: what is broken somewhere is refused by that slice's name, and chance among many slices is not."""

from __future__ import annotations

import numpy as np

from benchmarks.gate_pools import Quality, case_of, draw_pool, with_champion
from training.contestants import CHAMPION
from training.gate.case import Case
from training.gate.slices import ALLOWANCE, slices_held

RECIPES = with_champion(Quality(0.65, 0.9), Quality(0.65, 0.9))


def case(seed: int, n: int = 2100, broken: dict[str, float] | None = None, against: str = "none") -> Case:
    recipes = {name: one for name, one in RECIPES.items() if name != CHAMPION or against == "new"}
    return case_of(draw_pool(seed, n, recipes, broken), against)


def test_a_model_that_takes_good_for_bad_with_new_accounts_is_refused_for_that() -> None:
    seen = slices_held(case(0, broken={"relationship=1": -0.65}))
    assert not seen.passed
    assert "New or existing account: 1" in seen.text
    assert "New or existing account: 0" not in seen.text
    assert "the rules" in seen.text
    assert seen.numbers["New or existing account: 1"] < -ALLOWANCE  # type: ignore[operator]


def test_where_a_champion_serves_slices_are_held_against_it() -> None:
    broken = {"region=3": -0.65}
    assert not slices_held(case(1, 7000, broken, "new")).passed
    assert "the champion's recipe" in slices_held(case(1, 7000, against="new")).text


def test_a_model_that_is_as_good_everywhere_is_not_refused_for_one_of_thirty_slices() -> None:
    raised = [not slices_held(case(seed, 700, against="new")).passed for seed in range(40)]
    assert np.sum(raised) <= 1  # without Holm, and with no allowance, it would be most of them


def test_slices_too_small_to_judge_by_are_left_out() -> None:
    seen = slices_held(case(2, 90))
    assert (seen.passed, seen.mark) == (True, "not tried")
    assert seen.numbers["slices"] == 0
