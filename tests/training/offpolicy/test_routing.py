"""Routing valued on past offers: rounds by hand, a choice model that finds the past's habits, and the truth held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import COLUMNS
from models.scores import Scores
from tests.models.drawn import plain_matrix
from training.evaluate import Board
from training.offpolicy.choice_model import fitted_choices
from training.offpolicy.choices import Choices
from training.offpolicy.routing import Routed, routing

LOGS = 25


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


class World:
    """Leads with three to eight eligible reps each; the past prefers owners, what converts is something else."""

    def __init__(self, n: int = 800, habit: float = 1.5, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        size = rng.integers(3, 9, n)
        self.round = np.repeat(np.arange(n), size)
        matrix = plain_matrix(rng, len(self.round), missing=0.05)
        get = {name: np.nan_to_num(matrix.column(name).astype(np.float64)) for name in COLUMNS}
        self.p = _sigmoid(
            -2.0 + 0.6 * get["owner_is_rep"] + 1.5 * get["tie_strength"] + rng.normal(0, 0.5, len(size))[self.round]
        )
        start = np.cumsum(size) - size
        self.blank = Choices(
            row=np.arange(n), cut=np.zeros(n, np.int64), round=self.round, chosen=start, propensity=np.full(n, np.nan),
            cluster=np.arange(n) // 3, matrix=matrix,
        )  # fmt: skip
        wanted = habit * get["owner_is_rep"] + 0.5 * habit * get["region_match"]
        self.policy = 0.8 * self.blank.normalised(wanted) + 0.2 / size[self.round]
        guess = _sigmoid(np.log(self.p / (1 - self.p)) + rng.normal(0, 0.5, len(self.p)))
        self.said = {
            "logistic": Scores(guess, guess, guess),
            "random": Scores.ranks_only(rng.random(len(self.p))),
        }

    def draw(self, seed: int, logged: float = 1.0) -> tuple[Routed, Board]:
        """A log in which a share of the propensities is known."""
        rng, blank = np.random.default_rng(seed), self.blank
        n = len(blank)
        chosen = (
            np.array([rng.choice(p.size, p=p / p.sum()) for p in np.split(self.policy, blank.start[1:])]) + blank.start
        )
        happened = (rng.random(n) < self.p[chosen]) * 1.0
        propensity = np.where(rng.random(n) < logged, self.policy[chosen], np.nan)
        board = Board(
            np.zeros(n, np.int64), happened.astype(np.int64), happened, happened, np.arange(n, dtype=np.uint64)
        )
        return Routed(replace(blank, chosen=chosen, propensity=propensity), dict(self.said)), board

    def truth(self, recipe: str) -> float:
        return float(self.p[self.blank.best(self.said[recipe].score)].mean())


WORLD = World()


def test_the_first_rep_of_each_round_by_hand() -> None:
    matrix = plain_matrix(np.random.default_rng(0), 5)
    two, of_pair = np.arange(2), np.array([0, 0, 1, 1, 1])
    choices = Choices(two, two, of_pair, np.array([1, 4]), np.full(2, 0.5), two, matrix)
    assert choices.best(np.array([1.0, 2.0, 5.0, 5.0, np.nan])).tolist() == [1, 2], "of equals the first id"
    assert choices.of_cut(1).tolist() == [2, 3, 4]
    np.testing.assert_allclose(choices.normalised(np.log([1.0, 3.0, 2.0, 2.0, 4.0])), [0.25, 0.75, 0.25, 0.25, 0.5])
    part, pairs = choices.take(np.array([1]))
    assert (pairs.tolist(), part.round.tolist(), part.chosen.tolist()) == ([2, 3, 4], [0, 0, 0], [2])


def test_a_policy_that_picks_what_was_chosen_is_worth_its_weighted_outcomes() -> None:
    """Two accounts of ten rounds, one rep each time: the propensity is 1 and every estimate the mean."""
    rng = np.random.default_rng(1)
    n = 200
    choices = Choices(
        np.arange(n), np.zeros(n, np.int64), np.arange(n), np.arange(n), np.ones(n), np.arange(n) % 40,
        plain_matrix(rng, n),
    )  # fmt: skip
    happened = (rng.random(n) < 0.3) * 1.0
    board = Board(np.zeros(n, np.int64), happened.astype(np.int64), happened, happened, np.arange(n, dtype=np.uint64))
    found = routing(Routed(choices, {"only": Scores.ranks_only(np.zeros(n))}), board, replicates=200)
    for one in found.values["only"]["converted"].estimates:
        assert one.value == pytest.approx(happened.mean())
    assert found.worth["only"].mean() == pytest.approx(happened.mean())


@pytest.fixture(scope="module")
def told() -> list[tuple[Routed, Board, object]]:
    made = []
    for seed in range(LOGS):
        routed, board = WORLD.draw(seed)
        made.append((routed, board, routing(routed, board, seed, replicates=300)))
    return made


@pytest.mark.parametrize("recipe", ["logistic", "random"])
def test_the_interval_holds_the_truth_and_the_reward_model_helps(
    told: list[tuple[Routed, Board, object]], recipe: str
) -> None:
    """Of 25 intervals at 95 %, fewer than 21 hold the truth once in 140 tries."""
    truth = WORLD.truth(recipe)
    values = [found.values[recipe]["converted"] for *_, found in told]  # type: ignore[attr-defined]
    assert all(value.refused is None for value in values)
    rows = np.array([[[e.value, e.low, e.high] for e in value.estimates] for value in values])
    covered = (rows[:, :, 1] <= truth) & (truth <= rows[:, :, 2])
    assert (covered.mean(axis=0) >= 21 / LOGS).all()
    error = np.sqrt(np.mean((rows[:, :, 0] - truth) ** 2, axis=0))
    assert error[2] < error[0]


def test_what_each_row_adds_averages_to_the_doubly_robust_value(told: list[tuple[Routed, Board, object]]) -> None:
    routed, board, _ = told[0]
    some = np.sort(np.random.default_rng(0).choice(len(board), 500, replace=False))
    choices, pairs = routed.choices.take(some)
    part = Routed(
        choices, {k: Scores(s.score[pairs], s.p_accept[pairs], s.p_convert[pairs]) for k, s in routed.heard.items()}
    )
    found = routing(part, board, replicates=200)
    worth = found.worth["logistic"]
    assert np.flatnonzero(np.isfinite(worth)).tolist() == some.tolist()
    assert np.nanmean(worth) == pytest.approx(found.values["logistic"]["converted"].estimates[2].value)
    names = found.metrics("logistic")
    assert names["value/converted/dr"] == pytest.approx(np.nanmean(worth))
    assert names["value/converted/dr_low"] < names["value/converted/dr"] < names["value/converted/dr_high"]
    assert not [name for name in names if "@" in name or "=" in name]


def test_the_choice_model_finds_the_past_habits_and_is_calibrated() -> None:
    routed, _ = WORLD.draw(0, logged=0.0)
    chosen = fitted_choices(routed.choices)
    assert chosen.hopeless is None
    assert chosen.model != "even"
    np.testing.assert_allclose(np.bincount(routed.choices.round, chosen.chance), 1.0)
    even = 1 / routed.choices.size[routed.choices.round]
    assert np.mean(np.abs(chosen.chance - WORLD.policy)) < 0.5 * np.mean(np.abs(even - WORLD.policy))
    blind = World(habit=0.0)
    of_blind = fitted_choices(blind.draw(0)[0].choices).chance
    assert np.mean(np.abs(of_blind - blind.policy)) < 0.03, "where nothing moved the choice, nothing is found"


def test_a_pick_that_the_past_never_made_in_such_a_round_has_no_support() -> None:
    """Where there is an owner the past always took the owner, elsewhere it drew evenly; the recipe wants no owner."""
    rng = np.random.default_rng(7)
    n = 600
    matrix = plain_matrix(rng, 4 * n, missing=0.0)
    owned = np.repeat(np.arange(n) % 2 == 0, 4) & (np.arange(4 * n) % 4 == 0)
    matrix.values[:, COLUMNS.index("owner_is_rep")] = owned
    start = np.arange(n) * 4
    chosen = start + np.where(np.arange(n) % 2 == 0, 0, rng.integers(0, 4, n))
    round_, none = np.repeat(np.arange(n), 4), np.full(n, np.nan)
    choices = Choices(np.arange(n), np.zeros(n, np.int64), round_, chosen, none, np.arange(n), matrix)
    board = Board(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.arange(n, dtype=np.uint64))
    wanted = rng.random(4 * n) - owned
    found = routing(Routed(choices, {"other": Scores.ranks_only(wanted)}), board, replicates=300)
    value = found.values["other"]["converted"]
    assert value.support is not None
    assert value.support.overlap < 0.8
    assert value.refused is not None
    assert "hardly ever took the policy's action" in value.refused


def test_fitted_propensities_lead_to_the_same_value() -> None:
    truth = WORLD.truth("logistic")
    for logged in (0.5, 0.0):
        routed, board = WORLD.draw(3, logged)
        found = routing(routed, board, replicates=300)
        value = found.values["logistic"]["converted"]
        assert value.estimates[2].low < truth < value.estimates[2].high
        assert value.propensities is not None
        np.testing.assert_array_equal(value.propensities.fitted, np.isnan(routed.choices.propensity))


def test_rounds_too_few_to_fit_a_propensity_on_are_left_out_or_refused() -> None:
    few = np.arange(150)
    routed, board = WORLD.draw(4, logged=0.5)
    part = routed.take(few)
    found = routing(part, board, replicates=200)
    assert found.left_out["without a propensity, and none could be fitted"] == int(
        np.isnan(part.choices.propensity).sum()
    )
    none = routed.take(few)
    none.choices.propensity[:] = np.nan
    refused = routing(none, board, replicates=200)
    words = refused.values["logistic"]["converted"].refused
    assert words is not None
    assert "too few to fit propensities on" in words
    assert np.isnan(refused.worth["logistic"]).all()
    nothing = routing(routed.take(np.zeros(0, np.int64)), board)
    assert "The log holds 0 clusters" in str(nothing.values["random"]["accepted"].refused)
    table = refused.frame({"logistic": "Logistic regression", "random": "Random"})
    assert set(table["refused"]) == {words}


def test_a_recipe_without_support_is_refused_and_has_no_worth() -> None:
    """It always wants the rep whom the past hardly ever chose."""
    routed, board = WORLD.draw(5)
    start = routed.choices.start
    rare = replace(routed.choices, propensity=np.full(len(routed.choices), 1.0))
    rare.chosen[:] = start
    away = np.zeros(len(routed.choices.matrix))
    away[start] = -1.0
    found = routing(Routed(rare, {"away": Scores.ranks_only(away)}), board, replicates=200)
    value = found.values["away"]["accepted"]
    assert value.refused is not None
    assert "overlap" in found.as_json()["recipes"]["away"]["accepted"]  # type: ignore[index]
    assert np.isnan(found.worth["away"]).all()
