"""What every model promises, the product and each baseline alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.catalogue import COLUMNS
from features.errors import InputError, ModelError, UsageError
from features.matrix import Matrix, Vocabulary
from models.baselines import BASELINES, RULES_BASELINE, baseline
from models.labels import Labels
from models.product import Product, fit_product
from models.recipe import Recipe
from models.scores import Model, Scores
from tests.models.drawn import VOCABULARY, Drawn, plain_matrix

NAMES = ("product", *BASELINES)
RULES = {"random", "round_robin", "account_owner", "territory", RULES_BASELINE}


@pytest.fixture(scope="module")
def models(product: Product, train: Drawn, calibrate: Drawn) -> dict[str, Model | Product]:
    fitted: dict[str, Model | Product] = {"product": product}
    for name in BASELINES:
        fitted[name] = baseline(name).fit(train.matrix, train.labels, calibrate.matrix, calibrate.labels)
    return fitted


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest, models: dict[str, Model | Product]) -> Model | Product:
    return models[request.param]


def same(a: Scores, b: Scores) -> None:
    np.testing.assert_array_equal(a.score, b.score)
    np.testing.assert_array_equal(a.p_accept, b.p_accept)
    np.testing.assert_array_equal(a.p_convert, b.p_convert)


def part(scores: Scores, rows: np.ndarray | slice) -> Scores:
    return Scores(scores.score[rows], scores.p_accept[rows], scores.p_convert[rows])


def test_a_batch_gives_the_bits_of_its_single_pairs(model: Model | Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(60))
    whole = model.predict(matrix)
    for i in range(60):
        same(model.predict(matrix.take(np.array([i]))), part(whole, slice(i, i + 1)))
    same(model.predict(matrix.take(np.arange(60)[::-1])), part(whole, slice(None, None, -1)))


def test_no_pairs_no_scores(model: Model | Product, later: Drawn) -> None:
    assert len(model.predict(later.matrix.take(np.arange(0)))) == 0


@given(
    holes=hnp.arrays(bool, (6, len(COLUMNS)), elements=st.booleans()),
    strange=st.floats(width=32, allow_nan=True, allow_infinity=False),
    column=st.integers(0, len(COLUMNS) - 1),
)
@settings(max_examples=25)
def test_any_pattern_of_missing_and_strange_values_scores_finite(
    models: dict[str, Model | Product], holes: np.ndarray, strange: float, column: int
) -> None:
    matrix = plain_matrix(np.random.default_rng(5), 6)
    values = matrix.values.copy()
    values[:, column] = strange
    values[holes] = np.nan
    for model in models.values():
        scores = model.predict(replace(matrix, values=values))
        assert np.isfinite(scores.score).all()
        for p in (scores.p_accept, scores.p_convert):
            assert (np.isnan(p) | ((p >= 0) & (p <= 1))).all()


def test_a_category_never_seen_counts_as_missing(model: Model | Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(20))
    for name in VOCABULARY.values:
        missing, unseen = matrix.values.copy(), matrix.values.copy()
        missing[:, matrix.columns.index(name)] = np.nan
        unseen[:, matrix.columns.index(name)] = len(VOCABULARY.values[name]) + 3
        same(model.predict(replace(matrix, values=missing)), model.predict(replace(matrix, values=unseen)))


def renamed(matrix: Matrix) -> Matrix:
    return replace(matrix, columns=("other", *matrix.columns[1:]))


def reordered(matrix: Matrix) -> Matrix:
    return replace(matrix, columns=matrix.columns[::-1], values=np.ascontiguousarray(matrix.values[:, ::-1]))


def dropped(matrix: Matrix) -> Matrix:
    return replace(matrix, columns=matrix.columns[:-1], values=np.ascontiguousarray(matrix.values[:, :-1]))


def retyped(matrix: Matrix) -> Matrix:
    return replace(matrix, values=matrix.values.astype(np.float64))


def recoded(matrix: Matrix) -> Matrix:
    values = {**VOCABULARY.values, "role": VOCABULARY.values["role"][::-1]}
    return replace(matrix, vocabulary=Vocabulary(values))


@pytest.mark.parametrize("change", [renamed, reordered, dropped, retyped, recoded])
def test_a_matrix_that_is_not_the_models_is_refused(model: Model | Product, later: Drawn, change: object) -> None:
    with pytest.raises(ModelError):
        model.predict(change(later.matrix.take(np.arange(3))))  # type: ignore[operator]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_with_its_column(model: Model | Product, later: Drawn, value: float) -> None:
    matrix = later.matrix.take(np.arange(3))
    matrix.values[1, matrix.columns.index("revenue")] = value
    with pytest.raises(InputError, match="revenue") as caught:
        model.predict(matrix)
    assert caught.value.field == "revenue"


def test_the_same_vocabulary_in_another_object_is_the_models(model: Model | Product, later: Drawn) -> None:
    matrix = later.matrix.take(np.arange(3))
    copy = replace(matrix, vocabulary=Vocabulary(dict(VOCABULARY.values)))
    same(model.predict(matrix), model.predict(copy))


def test_rules_rank_without_probabilities_and_the_others_tell_them(
    models: dict[str, Model | Product], later: Drawn
) -> None:
    for name, model in models.items():
        scores = model.predict(later.matrix)
        assert np.isnan(scores.p_accept).all() == (name in RULES), name
        assert np.isnan(scores.p_convert).all() == (name in RULES), name


@pytest.mark.parametrize("name", sorted({"product", *BASELINES} - RULES))
def test_a_conversions_own_weight_moves_p_convert_and_never_p_accept(
    name: str, tiny: Recipe, train: Drawn, calibrate: Drawn, later: Drawn
) -> None:
    def fit(labels: Labels) -> Model | Product:
        if name == "product":
            return fit_product(tiny, part.matrix, labels, calibrate.matrix, calibrate.labels)
        return baseline(name).fit(part.matrix, labels, calibrate.matrix, calibrate.labels)

    part, matrix = train.take(np.arange(1200)), later.matrix.take(np.arange(200))
    light = np.where(part.labels.converted == 1, 1.0, 0.5).astype(np.float32)
    before = fit(part.labels).predict(matrix)
    after = fit(replace(part.labels, convert_weight=light)).predict(matrix)
    np.testing.assert_array_equal(after.p_accept, before.p_accept)
    assert after.p_convert.mean() > before.p_convert.mean()


def test_models_that_learn_come_near_the_truth(models: dict[str, Model | Product], later: Drawn) -> None:
    def near(name: str) -> float:
        return float(np.corrcoef(models[name].predict(later.matrix).p_convert, later.p_convert)[0, 1])

    assert near("product") > near("logistic") > 0.15
    assert near("product") > near("pointwise_lightgbm") > 0.1


def test_a_baseline_must_be_fitted_and_known(later: Drawn) -> None:
    with pytest.raises(UsageError, match="no baseline"):
        baseline("oracle")
    for name in BASELINES:
        with pytest.raises(UsageError, match="Fit"):
            baseline(name).predict(later.matrix)
