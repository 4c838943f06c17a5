"""Canaries keep silent where they tell nothing, and sing when one of them is told the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.canary import NOISE
from features.catalogue import BY_NAME, COLUMNS, FEATURES
from features.matrix import Matrix
from tests.models.drawn import world
from tests.training.tried import Tried, tried
from training.canary import SHADOWED, fly, shadowed, with_canaries
from training.worth import Trial, pushes


@pytest.fixture(scope="module")
def cut() -> Tried:
    return tried(world(0, 4000))


@pytest.fixture(scope="module")
def plain(cut: Tried) -> Trial:
    return cut.trial()


@pytest.fixture(scope="module")
def flown(cut: Tried, plain: Trial) -> Matrix:
    matrix = cut.drawn.matrix
    before = _a_day_before(matrix)
    return with_canaries(matrix, before, shadowed(matrix, before, pushes(plain).mean(axis=0)), 0)


def _a_day_before(matrix: Matrix) -> Matrix:
    """Counts and shares that were a little less for some of the pairs."""
    less = np.random.default_rng(5).random(matrix.values.shape) < 0.2
    number = np.array([BY_NAME[name].kind == "number" for name in matrix.columns])
    return replace(matrix, values=np.where(less & number, matrix.values * np.float32(0.9), matrix.values))


def test_canaries_that_tell_nothing_are_silent(cut: Tried, plain: Trial, flown: Matrix) -> None:
    seen = fly(cut.fits, flown, cut.cuts, plain, 0)
    assert seen.singing == ()
    assert seen.text.startswith("No canary ranks")
    assert set(seen.kinds) == {"noise", "day_before"}
    assert seen.kinds["noise"].place > 10
    assert seen.columns == len(COLUMNS) + len(NOISE) + SHADOWED
    assert seen.added.lost["log_loss_accept"].low < 0


def test_a_canary_that_was_told_the_answer_sings(cut: Tried, plain: Trial, flown: Matrix) -> None:
    told = flown.values.copy()
    told[:, flown.columns.index(NOISE[0].name)] += 2 * cut.drawn.labels.accepted
    seen = fly(cut.fits, replace(flown, values=told), cut.cuts, plain, 0)
    assert seen.kinds["noise"].place == 1
    assert seen.kinds["noise"].permuted.sure
    assert seen.added.sure
    assert "CANARY SINGS" in seen.text
    assert seen.kinds["day_before"].place > 10


def test_shadows_are_cast_by_the_strongest_features_that_move(cut: Tried) -> None:
    matrix = cut.drawn.matrix
    share = np.linspace(1, 0, len(COLUMNS))
    before = matrix.values.copy()
    for name in ("level", "load_share", "wins", "tie_strength", "function"):
        before[:, COLUMNS.index(name)] += 1
    assert shadowed(matrix, replace(matrix, values=before), share) == ("level", "load_share", "wins")
    assert shadowed(matrix, matrix, share) == ()


def test_canaries_are_declared_and_never_computed() -> None:
    family = {name for name, feature in BY_NAME.items() if feature.family == "canary"}
    assert len(BY_NAME) == len(FEATURES) + len(family)
    assert not family & set(COLUMNS)
    assert not [name for name in family if BY_NAME[name].helps or BY_NAME[name].hurts or BY_NAME[name].monotone]
