"""Small cases worked out by hand: rules, the hash, heads, ridge, value, labels, recipes, the sweep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.config import Value
from features.errors import InputError, UsageError
from features.matrix import Matrix
from models.boosters import LARGEST_GROUP, _group_sizes
from models.heads import fit_head, teachable
from models.labels import Labels
from models.recipe import Recipe
from models.ridge import Problem, solve
from models.rules import HASH, OWNER_TERRITORY, rank_by_rules, rendezvous
from models.scores import log_sigmoid
from models.sweep import family_move, family_share
from models.value import expected_value
from tests.models.drawn import plain_matrix, world


def one_lead(**flags: list[float]) -> Matrix:
    n = len(next(iter(flags.values())))
    matrix = plain_matrix(np.random.default_rng(0), n)
    for name, values in flags.items():
        matrix.values[:, matrix.columns.index(name)] = values
    reps = np.array([f"R{i}" for i in range(n)], dtype=object)
    return replace(matrix, lead_id=np.array(["L1"] * n, dtype=object), rep_id=reps)


def test_the_owner_comes_before_the_territory_before_the_hash() -> None:
    nan = np.nan
    matrix = one_lead(owner_is_rep=[0, 1, nan, 0, 1], region_match=[1, 0, 1, nan, 1])
    rung, score = rank_by_rules(matrix)
    assert rung.tolist() == [OWNER_TERRITORY] * 3 + [HASH] + [OWNER_TERRITORY]
    assert np.floor(score).tolist() == [1, 2, 1, 0, 2]
    alone = [rank_by_rules(matrix.take(np.array([i])))[1][0] for i in range(5)]
    assert score.tolist() == alone


def test_the_hash_is_the_same_everywhere_and_fair() -> None:
    leads = np.array(["L1", "L1", "L2"], dtype=object)
    reps = np.array(["R1", "R2", "R1"], dtype=object)
    # Written down, so that another machine or version that hashes otherwise is noticed.
    assert rendezvous(leads, reps).round(6).tolist() == GOLDEN_HASH
    many = np.array([f"L{i}" for i in range(4000)], dtype=object)
    draws = np.stack([rendezvous(many, np.full(4000, f"R{j}", dtype=object)) for j in range(4)])
    wins = np.bincount(draws.argmax(axis=0), minlength=4)
    assert (abs(wins - 1000) < 150).all()
    # A rep who leaves takes only the leads that were his.
    left = draws[:3].argmax(axis=0)
    kept = draws.argmax(axis=0) < 3
    assert (left[kept] == draws.argmax(axis=0)[kept]).all()


GOLDEN_HASH = [0.995281, 0.845145, 0.77739]


@given(st.lists(st.text(max_size=5), min_size=4, max_size=4))
def test_ids_that_run_together_draw_apart(ids: list[str]) -> None:
    a, b, c, d = ids
    if (a, b) != (c, d):
        lead, rep = np.array([a, c], dtype=object), np.array([b, d], dtype=object)
        first, second = rendezvous(lead, rep)
        assert first != second


def test_a_head_trusts_the_boosters_level_until_the_block_says_otherwise() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(-1, 1, 4000)
    noise = rng.normal(0, 1, 4000)
    target = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 + 0.6 * logit)))).astype(float)
    x = np.column_stack([logit, noise])
    weight = np.ones(4000)
    free = fit_head(x, target, weight, prior=1.0)
    assert free.intercept == pytest.approx(0.5, abs=0.12)
    assert free.slopes[0] == pytest.approx(0.6, abs=0.1)
    assert 0 <= free.slopes[1] < 0.1
    trusting = fit_head(x, target, weight, prior=1e7)
    assert trusting.intercept == pytest.approx(0, abs=0.01)
    assert trusting.slopes == pytest.approx((1, 0), abs=0.01)


def test_no_score_counts_against_and_few_offers_move_little() -> None:
    rng = np.random.default_rng(1)
    logit = rng.normal(0, 1, 400)
    upside_down = (rng.random(400) < 1 / (1 + np.exp(logit))).astype(float)
    head = fit_head(np.column_stack([logit, -logit + rng.normal(0, 0.1, 400)]), upside_down, np.ones(400), prior=10.0)
    assert min(head.slopes) >= 0
    six = fit_head(logit[:6, None], np.array([1.0, 1, 1, 1, 1, 0]), np.ones(6), prior=50.0)
    assert abs(six.intercept) < 0.5
    assert 0.5 < six.slopes[0] < 1.5


@pytest.mark.parametrize(
    ("target", "said"),
    [([], "no offer"), ([1, 1], "one class only"), ([0, 0, 0], "one class only"), ([1, 0, 0], "only 1 positive")],
)
def test_what_cannot_be_taught_is_said(target: list[float], said: str) -> None:
    assert said in str(teachable(np.array(target), 2, "acceptance"))
    assert teachable(np.array([1.0, 1, 0, 0]), 2, "acceptance") is None


def problem(seed: int, n: int = 600, sign: tuple[int, int] = (0, 0)) -> Problem:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, 2))
    codes = rng.integers(0, 6, (1, n))  # 5 values, the sixth is missing
    effect = np.append(rng.normal(0, 1, 5), 0.0)
    logit = 0.3 + dense @ [0.8, -0.5] + effect[codes[0]]
    target = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    return Problem(
        dense, codes, (5,), target, np.ones(n), np.array(sign), np.zeros(2, int), np.array([0.5, 0.5]), np.ones(2)
    )


def test_ridge_finds_the_least_penalised_loss() -> None:
    asked = problem(0)
    found = solve(asked, learn=False, belief=1.0)

    def loss(intercept: float, dense: np.ndarray, table: np.ndarray) -> float:
        logit = intercept + asked.dense @ dense + np.append(table, 0)[asked.codes[0]]
        fit = -np.sum(log_sigmoid(np.where(asked.target == 1, logit, -logit)))
        return float(fit + (np.sum(dense**2) + np.sum(table**2)) / (2 * 0.5**2))

    best = loss(found.intercept, found.dense, found.tables[0][:5])
    for step in np.random.default_rng(2).normal(0, 0.01, (40, 8)):
        assert loss(found.intercept + step[0], found.dense + step[1:3], found.tables[0][:5] + step[3:]) > best
    assert found.tables[0][5] == 0.0


def test_ridge_obeys_signs_and_shrinks_what_is_noise() -> None:
    held = solve(problem(0, sign=(-1, 1)), learn=False, belief=1.0)
    assert held.dense[0] == 0.0
    assert held.dense[1] == 0.0
    real = problem(3, n=4000)
    noise = replace(real, codes=np.random.default_rng(9).integers(0, 6, (1, 4000)))
    learned = [solve(p, learn=True, belief=2.0).spread[1] for p in (real, noise)]
    assert learned[0] > 0.5 > 0.4 > learned[1]


def test_expected_value_by_hand() -> None:
    p, q, amount = np.array([0.5, 0.2, np.nan]), np.array([0.1, 0.1, np.nan]), np.array([1000.0, 0.0, 5.0])
    default = expected_value(p, q, amount, Value())
    np.testing.assert_allclose(default, [0.1, 0.1, np.nan])
    rich = expected_value(p, q, amount, Value(accept=2, convert=10, amount=0.5))
    np.testing.assert_allclose(rich, [2 * 0.5 + 0.1 * 510, 2 * 0.2 + 0.1 * 10, np.nan])
    unread = expected_value(p, q, np.full(3, np.nan), Value(accept=2))
    np.testing.assert_allclose(unread, [1.1, 0.5, np.nan])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("grade", [4, 0]),
        ("grade", [-2, 0]),
        ("accepted", [0.5, 0]),
        ("weight", [0, 1]),
        ("weight", [np.nan, 1]),
        ("convert_weight", [-1, 1]),
        ("labels", [1]),
    ],
)
def test_labels_that_mean_nothing_are_refused(field: str, values: list[float]) -> None:
    labels = world(0, 2).labels
    name = "converted" if field == "labels" else field
    with pytest.raises(InputError) as caught:
        replace(labels, **{name: np.array(values)})
    assert caught.value.field == field


def test_which_rows_teach_what() -> None:
    nan = np.nan
    labels = Labels(
        grade=np.array([0, 1, 2, -1, -1]),
        accepted=np.array([0, 1, 1, nan, 1], np.float32),
        converted=np.array([0, 0, 1, nan, nan], np.float32),
        won=np.full(5, np.nan),
        weight=np.ones(5),
        convert_weight=np.ones(5),
        group=np.zeros(5, int),
        account=np.zeros(5, int),
    )
    assert labels.accept_rows().tolist() == [0, 1, 2, 4]
    assert labels.convert_rows().tolist() == [1, 2]
    assert labels.rank_rows().tolist() == [0, 1, 2]


def test_a_recipe_survives_json_and_names_itself_by_what_it_does() -> None:
    for name in ("fast", "standard"):
        recipe = Recipe.preset(name)
        assert Recipe.of_json(recipe.json_text) == recipe
        assert recipe.but(threads=2, name="other").fingerprint == recipe.fingerprint
        assert recipe.but(drop=("graph",)).fingerprint != recipe.fingerprint
    with pytest.raises(UsageError, match="fast, standard"):
        Recipe.preset("slow")
    for text in ("{}", '{"name": "x", "colour": 1}', '{"name": "x", "accept": {"leaves": 1}}', "nonsense"):
        with pytest.raises(UsageError):
            Recipe.of_json(text)


@given(st.lists(st.integers(1, 25_000), min_size=1, max_size=4))
def test_groups_keep_their_rows_and_lightgbms_limit(sizes: list[int]) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    cut = _group_sizes(group)
    assert cut.sum() == sum(sizes)
    assert cut.max() <= LARGEST_GROUP
    assert cut.min() >= 1
    assert set(np.cumsum(sizes)) <= set(np.cumsum(cut))


def test_a_sweep_adds_up_what_each_feature_moves() -> None:
    matrix = plain_matrix(np.random.default_rng(0), 500, missing=0.0)
    matrix.values[:, matrix.columns.index("bant_need")] = np.arange(500) % 2
    matrix.values[:, matrix.columns.index("region_match")] = np.arange(500) % 2

    def score(m: Matrix) -> np.ndarray:
        # The third would cancel the first two if all went up together; each goes the way in which it helps.
        return m.column("bant_need") * 1.0 + m.column("region_match") * 4.0 - m.column("segment_match") * 2.0

    assert family_move(score, matrix, "behaviour") == pytest.approx(1.0)
    assert family_move(score, matrix, "fit") == pytest.approx(6.0)
    assert family_share(score, matrix, "behaviour", "fit") == pytest.approx(1 / 6)
    assert family_share(lambda m: m.column("bant_need"), matrix, "behaviour", "fit") == np.inf
    assert family_share(lambda m: m.column("region_match"), matrix, "behaviour", "fit") == 0.0
