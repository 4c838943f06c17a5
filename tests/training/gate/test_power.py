"""The gate passes a clearly better recipe and rarely an equal one: simulated pools of known truth, fixed seeds.

The shares that docs/gate.md gives are of hundreds of pools; the bounds here lie three standard errors of 40 beyond,
and of 20 where all checks are made.
"""

from __future__ import annotations

import pytest

from benchmarks.gate_power import FIRST, NEW, SAME, Scenario, simulate

pytestmark = pytest.mark.faults

SIMS = 40
CHAMPION = "against champion"


@pytest.mark.parametrize(("scenario", "check"), [(FIRST[1], "beats rules"), (NEW[1], CHAMPION)])
def test_chance_seldom_passes_an_equal(scenario: Scenario, check: str) -> None:
    assert simulate(scenario, 700, SIMS, checks=[check]).met[check] <= 0.15


@pytest.mark.parametrize("scenario", [FIRST[0], NEW[0]])
def test_what_is_worse_does_not_pass(scenario: Scenario) -> None:
    assert simulate(scenario, 2100, SIMS // 2).passed == 0


@pytest.mark.parametrize("scenario", [FIRST[3], NEW[3]])
def test_a_clear_lead_is_seen(scenario: Scenario) -> None:
    assert simulate(scenario, 2100, SIMS // 2).passed >= 0.6


def test_the_same_recipe_on_fresher_data_passes_without_being_better_and_not_when_it_is_much_worse() -> None:
    assert simulate(SAME[2], 2100, SIMS, checks=[CHAMPION]).met[CHAMPION] >= 0.85
    assert simulate(SAME[0], 2100, SIMS, checks=[CHAMPION]).met[CHAMPION] <= 0.15
