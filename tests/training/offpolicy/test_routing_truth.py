"""Routing valued on logs drawn from a sample CRM's own truth: the interval holds it, and the reward model helps."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks.coverage_crm import TruthLogs, judged
from training.offpolicy.routing import Routing, routing
from training.sample import write_sample

LOGS = 40


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> TruthLogs:
    folder = tmp_path_factory.mktemp("crm")
    write_sample(folder, accounts=300, reps=12, offers=2500, seed=5, end=date(2026, 6, 30))
    return TruthLogs.of(folder, ("logistic", "owner_territory"))


@pytest.fixture(scope="module")
def told(logs: TruthLogs) -> list[Routing]:
    return [routing(*logs.draw(seed, times=4), seed=seed, replicates=300) for seed in range(LOGS)]


@pytest.mark.parametrize("recipe", ["logistic", "owner_territory"])
@pytest.mark.parametrize("reward", ["converted", "accepted"])
def test_the_interval_holds_the_truth(logs: TruthLogs, told: list[Routing], recipe: str, reward: str) -> None:
    """Of 40 intervals at 95 %, fewer than 34 hold the truth once in 900 tries."""
    values = [one.values[recipe][reward] for one in told]
    assert sum(value.refused is not None for value in values) <= 2
    seen = judged(values, logs.truth(recipe, reward)).set_index("estimator")
    assert (seen["covered"] >= 34 / LOGS).all()
    assert seen["error"]["dr"] < 1.02 * seen["error"]["ips"], "rare rewards leave the model little to tell"
    if reward == "accepted":
        assert seen["error"]["dr"] < 0.95 * seen["error"]["ips"]


def test_fitted_propensities_do_as_well(logs: TruthLogs) -> None:
    values = [
        routing(*logs.draw(seed, logged=False, times=4), seed=seed, replicates=300).values["logistic"]["accepted"]
        for seed in range(8)
    ]
    truth = logs.truth("logistic", "accepted")
    held = [value.estimates[2].low < truth < value.estimates[2].high for value in values if value.refused is None]
    assert len(held) >= 7
    assert sum(held) >= 6
