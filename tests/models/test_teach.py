"""How a stack is rehearsed and fitted: later rows teach nothing earlier, the ranker earns its place, bands, spreads."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from features.catalogue import BY_NAME
from features.errors import UsageError
from models.columns import BANDS, Design
from models.linear import fit_linear
from models.product import fit_product
from models.recipe import Cross, Recipe, Trees
from models.ridge import Problem, solve
from models.teach import STAGES, rehearse
from tests.models.drawn import Drawn, plain_matrix, world

NONE = Trees(rounds=0)
FEW = Trees(rounds=5, leaves=5, min_rows=20)
LINEAR = Recipe.preset("fast").but(accept=NONE, convert=NONE, ranker=NONE)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return world(5, 2000)


def test_what_is_said_of_a_row_rests_on_no_later_outcome(drawn: Drawn) -> None:
    recipe = Recipe.preset("fast").but(accept=FEW, convert=FEW, ranker=FEW)
    before = rehearse(recipe, drawn.matrix, drawn.labels)
    for stage, end in pairwise((*STAGES, 1.0)):
        later = np.arange(len(drawn.matrix)) >= stage * len(drawn.matrix)
        turned = replace(
            drawn.labels,
            accepted=np.where(later, 1 - drawn.labels.accepted, drawn.labels.accepted).astype(np.float32),
            grade=np.where(later, 0, drawn.labels.grade).astype(np.int8),
        )
        after = rehearse(recipe, drawn.matrix, turned)
        rows = before.said["accept"].rows
        until = rows < end * len(drawn.matrix)
        np.testing.assert_array_equal(before.said["accept"].scores[until], after.said["accept"].scores[until])
    assert rows.min() == STAGES[0] * len(drawn.matrix)
    assert rows.max() == len(drawn.matrix) - 1


def test_the_ranker_stays_where_it_helps_on_later_rows_and_goes_where_it_does_not() -> None:
    """Where the start is told of no cross, only trees can see the corner; where there is none, nothing is left."""
    ranker = Trees(rounds=60, leaves=8, learning_rate=0.1, min_rows=20, columns=1.0, choose=True)
    recipe = LINEAR.but(ranker=ranker, linear=LINEAR.linear.model_copy(update={"crosses": ()}))
    kept = {}
    for corner in (0.0, 3.0):
        early, late = world(6, 4000, taste=0.0, corner=corner, missing=0.0).split(0.9)
        product = fit_product(recipe, early.matrix, early.labels, late.matrix, late.labels)
        kept[corner] = product.card["rounds"]["ranker"], product.card["ranker_gain"]
    assert kept[0.0][0] == 0
    assert kept[0.0][1] < 1.92 < kept[3.0][1]
    assert kept[3.0][0] == 60


def test_an_ablation_takes_over_rounds_and_heads(drawn: Drawn) -> None:
    early, late = drawn.split(0.9)
    blocks = early.matrix, early.labels, late.matrix, late.labels
    recipe = Recipe.preset("fast").but(accept=FEW, convert=FEW, ranker=FEW)
    whole = fit_product(recipe, *blocks)
    again = fit_product(recipe, *blocks, like=whole)
    np.testing.assert_array_equal(again.predict(late.matrix).p_convert, whole.predict(late.matrix).p_convert)
    less = fit_product(recipe.but(drop=("graph",)), *blocks, like=whole)
    assert less.heads == whole.heads
    assert (less.predict(late.matrix).score != whole.predict(late.matrix).score).any()


def test_a_number_that_tells_nothing_shrinks_beside_one_that_does() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(3000, 6))
    target = (rng.random(3000) < 1 / (1 + np.exp(1 - dense[:, 0]))).astype(float)
    codes, sizes, one = np.zeros((0, 3000), np.int64), (), np.ones(3000)
    asked = Problem(dense, codes, sizes, target, one, np.zeros(6, int), np.arange(6), np.full(6, 0.04), np.ones(6))
    own = solve(asked, learn=True, belief=0.5)
    shared = solve(replace(asked, group=np.zeros(6, int), spread=np.full(1, 0.04)), learn=True, belief=0.5)
    assert own.spread[0] > 0.5 > 0.06 > own.spread[1:].max()
    assert abs(own.dense[0] - 1) < 0.15
    assert np.abs(own.dense[1:]).sum() < 0.7 * np.abs(shared.dense[1:]).sum()


def test_columns_that_tell_the_same_share_what_is_determined() -> None:
    """Twice the same column is one weight's worth of evidence, not two: its spread must not grow with the copies."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    target = (rng.random(2000) < 1 / (1 + np.exp(-0.8 * x))).astype(float)
    codes, one = np.zeros((0, 2000), np.int64), np.ones(2000)
    spreads = []
    for copies in (1, 4):
        dense = np.tile(x[:, None], (1, copies))
        group = np.zeros(copies, int)
        asked = Problem(dense, codes, (), target, one, group, group, np.full(1, 0.04), np.ones(copies))
        found = solve(asked, learn=True, belief=0.5)
        assert abs(found.dense.sum() - 0.8) < 0.15
        spreads.append(found.spread[0] * np.sqrt(copies))
    assert abs(spreads[0] - spreads[1]) < 0.25 * spreads[0]


def test_a_number_stands_in_an_effect_by_its_band() -> None:
    matrix = plain_matrix(np.random.default_rng(3), 400, missing=0.0)
    column = {name: matrix.columns.index(name) for name in ("level", "revenue", "role")}
    matrix.values[:4, column["revenue"]] = [-99.0, 99.0, np.nan, np.median(matrix.values[:, column["revenue"]])]
    matrix.values[:4, column["role"]] = 1.0
    crosses = tuple(Cross(columns=("role", name), spread=0.1, speaks=name) for name in ("level", "revenue"))
    recipe = LINEAR.but(linear=LINEAR.linear.model_copy(update={"crosses": crosses}))
    design = Design.learn(matrix, recipe, ("role", "level", "revenue"))
    level, revenue = (design.effects[-2], design.effects[-1])
    assert (level.sizes, revenue.sizes) == ((3, 6), (3, BANDS))
    codes = design.codes(matrix.values)
    np.testing.assert_array_equal(codes[-2], matrix.values[:, column["role"]] * 6 + matrix.values[:, column["level"]])
    assert codes[-1][:4].tolist() == [BANDS, 2 * BANDS - 1, revenue.size, BANDS + BANDS // 2]
    counts = np.bincount(codes[-1][codes[-1] < revenue.size] % BANDS)
    assert counts.max() - counts.min() <= 4
    again = Design.of_json(json.loads(json.dumps(design.as_json())))
    np.testing.assert_array_equal(again.codes(matrix.values), codes)


def test_a_number_with_a_direction_has_no_place_in_an_effect(drawn: Drawn) -> None:
    assert BY_NAME["tie_strength"].monotone == 1
    crosses = (Cross(columns=("role", "tie_strength"), spread=0.1, speaks="tie_strength"),)
    recipe = LINEAR.but(linear=LINEAR.linear.model_copy(update={"crosses": crosses}))
    with pytest.raises(UsageError, match="tie_strength has a declared direction"):
        fit_linear(recipe, drawn.matrix, drawn.labels, drawn.matrix.columns, accept=True, convert=False)
