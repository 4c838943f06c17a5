"""The product: the same model for the same data, honest probabilities, contributions that add up, behaviour held."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import BY_NAME, FEATURES
from features.errors import NotEnoughData, UsageError
from models.product import Product, behaviour_share, canonical, fit_product
from models.recipe import Recipe
from tests.models.drawn import Drawn, world


def fit(recipe: Recipe, train: Drawn, calibrate: Drawn) -> Product:
    return fit_product(recipe, train.matrix, train.labels, calibrate.matrix, calibrate.labels)


def with_labels(drawn: Drawn, **changes: np.ndarray) -> Drawn:
    return replace(drawn, labels=replace(drawn.labels, **changes))


def test_threads_and_the_order_of_rows_change_no_bit(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    few = {"rounds": 4, "leaves": 7, "min_rows": 10}
    recipe = tiny.but(accept=few, convert=few, ranker=few)
    train = train.take(np.arange(1000))
    shuffled = train.take(np.random.default_rng(0).permutation(1000))
    groups = shuffled.labels.group.max() - shuffled.labels.group  # other numbers for the same groups
    product = fit(recipe, train, calibrate)
    again = fit(recipe.but(threads=2), with_labels(shuffled, group=groups), calibrate)
    assert again.content_hash == product.content_hash
    assert fit(recipe.but(seed=1), train, calibrate).content_hash != product.content_hash


def test_probabilities_mean_what_they_say(product: Product, later: Drawn) -> None:
    scores = product.predict(later.matrix)
    for said, true, bound in ((scores.p_accept, later.p_accept, 0.05), (scores.p_convert, later.p_convert, 0.03)):
        deciles = np.array_split(np.argsort(said, kind="stable"), 10)
        assert np.mean([abs(said[rows].mean() - true[rows].mean()) for rows in deciles]) < bound
    assert (scores.p_convert <= scores.p_accept).all()
    order = np.argsort(scores.score, kind="stable")
    assert (np.diff(scores.p_convert[order]) >= -1e-12).all()


def test_contributions_add_up_to_the_score(product: Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(200))
    parts = product.contributions(matrix)
    np.testing.assert_allclose(parts.values.sum(axis=1) + parts.base, product.predict(matrix).score, rtol=0, atol=1e-9)
    assert np.abs(parts.values[:, matrix.columns.index("region_match")]).mean() > 0.1


def test_contributions_add_up_where_no_head_is_estimable(
    train: Drawn, calibrate: Drawn, later: Drawn, tiny: Recipe
) -> None:
    product = fit(tiny, train, with_labels(calibrate, converted=np.full(len(calibrate.matrix), np.nan, np.float32)))
    matrix = later.matrix.take(np.arange(50))
    parts = product.contributions(matrix)
    np.testing.assert_allclose(parts.values.sum(axis=1) + parts.base, product.predict(matrix).score, rtol=0, atol=1e-9)


def test_more_behaviour_never_hurts_nor_does_anything_declared_so(product: Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(150))
    base = product.predict(matrix).score
    for i, feature in enumerate(FEATURES):
        if feature.monotone == 0 or feature.kind == "category":
            continue
        values = matrix.values.copy()
        values[:, i] += feature.monotone * np.float32(3.0)
        raised = product.predict(replace(matrix, values=values)).score
        assert (raised - base >= -1e-12).all(), feature.name


def test_behaviour_meets_only_itself_in_the_trees(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    """Where the truth is a meeting of behaviour and fit, the trees use both, and never on one path."""
    keen = np.nan_to_num(train.matrix.column("contact_interest")) > 2
    both = keen & (train.matrix.column("region_match") == 1)
    truth = (np.random.default_rng(1).random(len(keen)) < 0.2 + 0.3 * keen + 0.4 * both).astype(np.float32)
    drawn = with_labels(train, accepted=truth, grade=truth.astype(np.int8), converted=truth * train.labels.converted)
    product = fit(tiny.but(linear={"on": False}), drawn, calibrate)
    behaviour = {i for i, feature in enumerate(FEATURES) if feature.family == "behaviour"}
    used: set[int] = set()
    for name in ("accept", "ranker"):
        booster = product.stack.boosters[name]
        assert booster is not None
        for tree in booster.trees.dump_model()["tree_info"]:
            for path in _paths(tree["tree_structure"]):
                assert path <= behaviour or not path & behaviour
                used |= path
    assert train.matrix.columns.index("contact_interest") in used
    assert train.matrix.columns.index("region_match") in used
    assert train.matrix.columns.index("rep_id") not in used


def _paths(node: dict[str, object], above: frozenset[int] = frozenset()) -> list[frozenset[int]]:
    if "split_feature" not in node:
        return [above]
    here = above | {int(node["split_feature"])}  # type: ignore[call-overload]
    return [path for side in ("left_child", "right_child") for path in _paths(node[side], here)]  # type: ignore[arg-type]


def test_behaviour_is_held_to_its_share(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    recipe = tiny.but(behaviour={"gain": 1.0, "spread": 1.0})
    train = train.take(np.arange(1200))
    learned, _ = canonical(train.matrix.joined(calibrate.matrix), train.labels.joined(calibrate.labels))
    free = behaviour_share(fit(recipe, train, calibrate), learned)
    least = free / 1.5
    held = fit(recipe.but(behaviour={"gain": 1.0, "spread": 1.0, "share": least}), train, calibrate)
    assert behaviour_share(held, learned) < free
    assert held.card["behaviour"]["held"]["gain"] < 1.0
    assert held.card["behaviour"]["share"] == behaviour_share(held, learned)
    none = fit(tiny.but(drop=("behaviour",)), train, calibrate)
    assert behaviour_share(none, train.matrix) == 0.0
    without_fit = fit(tiny.but(drop=("fit",)), train, calibrate)
    assert behaviour_share(without_fit, train.matrix) == np.inf
    assert without_fit.card["behaviour"]["held"] == tiny.behaviour.model_dump()


def test_a_family_that_is_left_out_changes_no_score(train: Drawn, calibrate: Drawn, later: Drawn, tiny: Recipe) -> None:
    product = fit(tiny.but(drop=("graph", "timing")), train, calibrate)
    matrix = later.matrix.take(np.arange(100))
    less = matrix.without([f.name for f in FEATURES if f.family in ("graph", "timing")])
    np.testing.assert_array_equal(product.predict(matrix).score, product.predict(less).score)
    with pytest.raises(UsageError, match="astrology"):
        fit(tiny.but(drop=("astrology",)), train, calibrate)


def test_a_head_that_one_class_cannot_teach_is_not_estimable(
    train: Drawn, calibrate: Drawn, later: Drawn, tiny: Recipe
) -> None:
    def all_accepted(drawn: Drawn) -> Drawn:
        one = np.ones(len(drawn.matrix), np.float32)
        return with_labels(drawn, accepted=one, grade=1 + drawn.labels.converted.astype(np.int8))

    product = fit(tiny, all_accepted(train), all_accepted(calibrate))
    scores = product.predict(later.matrix)
    assert not product.estimable
    assert np.isnan(scores.p_accept).all()
    assert np.isnan(scores.p_convert).all()
    assert np.isfinite(scores.score).all()
    assert np.corrcoef(scores.score, later.p_convert)[0, 1] > 0.1
    assert "one class only" in product.card["heads"]["accept"]["reason"]
    assert product.card["heads"]["convert"]["estimable"]


def test_fewer_positives_than_stated_leave_the_head_out(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    few = train.labels.converted.copy()
    ones = np.flatnonzero(few == 1)
    few[np.setdiff1d(ones, ones[:: len(ones) // 15][:15])] = 0
    calibrate = with_labels(calibrate, converted=np.zeros(len(calibrate.matrix), np.float32))
    product = fit(tiny, with_labels(train, converted=few), calibrate)
    assert product.card["heads"]["convert"] == {
        "estimable": False,
        "intercept": 0.0,
        "slopes": [],
        "reason": product.card["heads"]["convert"]["reason"],
    }
    assert "15 positive" in product.card["heads"]["convert"]["reason"]
    lower = tiny.but(heads={"minimum": 15, "calibrate": 1})
    assert fit(lower, with_labels(train, converted=few), calibrate).estimable


def test_nothing_to_learn_is_said(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    n = 30
    unknown = np.full(n, np.nan, np.float32)
    labels = replace(
        train.labels.take(np.arange(n)), grade=np.full(n, -1, np.int8), accepted=unknown, converted=unknown
    )
    with pytest.raises(NotEnoughData, match="no offer tells of acceptance"):
        fit_product(tiny, train.matrix.take(np.arange(n)), labels, calibrate.matrix.take(np.arange(n)), labels)


def test_rows_without_a_known_outcome_teach_nothing(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    small = train.take(np.arange(1200))
    known = np.arange(1200) % 4 > 0
    nan = np.float32(np.nan)
    censored = with_labels(
        small,
        grade=np.where(known, small.labels.grade, -1).astype(np.int8),
        accepted=np.where(known, small.labels.accepted, nan),
        converted=np.where(known, small.labels.converted, nan),
    )
    heavy = with_labels(censored, weight=np.where(known, 1, 50).astype(np.float32))
    assert fit(tiny, heavy, calibrate).content_hash == fit(tiny, censored, calibrate).content_hash
    assert fit(tiny, small, calibrate).content_hash != fit(tiny, censored, calibrate).content_hash


def test_the_linear_start_can_be_switched_off_and_each_booster_too(
    train: Drawn, calibrate: Drawn, later: Drawn, tiny: Recipe
) -> None:
    trees_only = fit(tiny.but(linear={"on": False}), train, calibrate)
    assert trees_only.stack.linear is None
    no_trees = {"rounds": 0}
    linear_only = fit(tiny.but(accept=no_trees, convert=no_trees, ranker=no_trees), train, calibrate)
    assert set(linear_only.card["rounds"].values()) == {0}
    near = [np.corrcoef(p.predict(later.matrix).p_convert, later.p_convert)[0, 1] for p in (trees_only, linear_only)]
    assert near[1] > near[0] > 0.2


def test_rounds_are_chosen_on_later_blocks(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    choosing = {"rounds": 60, "choose": True, "learning_rate": 0.3}
    product = fit(tiny.but(accept=choosing, convert={"rounds": 0}, ranker={"rounds": 0}), train, calibrate)
    losses = product.card["late_loss"]["accept"]
    assert len(losses) == 61
    assert product.card["rounds"]["accept"] == int(np.argmin(losses)) < 60


def test_the_card_is_json_and_says_what_the_model_is(product: Product, train: Drawn, calibrate: Drawn) -> None:
    card = json.loads(json.dumps(dict(product.card), allow_nan=False))
    assert card["columns"] == list(train.matrix.columns)
    assert Recipe.of_json(json.dumps(card["recipe"])).fingerprint == card["recipe_fingerprint"]
    assert card["rows"]["train"]["accepted"] == int(train.labels.accepted.sum() + calibrate.labels.accepted.sum())
    assert 0 < card["rows"]["calibrate"]["convert"] < card["rows"]["train"]["convert"]
    assert set(card["typical"]) <= set(BY_NAME)


def test_what_is_said_about_the_data_is_part_of_the_hash(train: Drawn, calibrate: Drawn, tiny: Recipe) -> None:
    small = train.take(np.arange(600))
    parts = (small.matrix, small.labels, calibrate.matrix, calibrate.labels)
    a = fit_product(tiny, *parts, about={"cut": "2026-01-01"})
    b = fit_product(tiny, *parts, about={"cut": "2026-01-02"})
    assert a.card["about"] == {"cut": "2026-01-01"}
    assert a.content_hash != b.content_hash


def test_groups_beyond_lightgbms_limit_are_cut(calibrate: Drawn, tiny: Recipe) -> None:
    big = world(8, 10_500)
    unknown = np.full(10_500, np.nan, np.float32)  # so that the ranker has a part whatever it is worth
    labels = replace(big.labels, group=np.zeros(10_500, np.int64), converted=unknown)
    calibrate = with_labels(calibrate, converted=np.full(len(calibrate.matrix), np.nan, np.float32))
    one = {"rounds": 1}
    product = fit_product(
        tiny.but(accept=one, convert=one, ranker=one, linear={"on": False}),
        big.matrix,
        labels,
        calibrate.matrix,
        calibrate.labels,
    )
    assert product.card["rounds"]["ranker"] == 1
