"""One small world and one fitted product for all tests that only read them."""

from __future__ import annotations

import pytest

from models.product import Product, fit_product
from models.recipe import Recipe
from tests.models.drawn import Drawn, world

TINY = Recipe.preset("fast").but(
    name="tiny",
    **{name: {"rounds": 12, "leaves": 5, "learning_rate": 0.1, "bins": 15} for name in ("accept", "convert", "ranker")},
)


@pytest.fixture(scope="session")
def train() -> Drawn:
    return world(1, 2500)


@pytest.fixture(scope="session")
def calibrate() -> Drawn:
    return world(2, 800)


@pytest.fixture(scope="session")
def later() -> Drawn:
    return world(3, 3000)


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    return TINY


@pytest.fixture(scope="session")
def product(train: Drawn, calibrate: Drawn, tiny: Recipe) -> Product:
    return fit_product(tiny, train.matrix, train.labels, calibrate.matrix, calibrate.labels)
