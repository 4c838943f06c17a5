"""Fits side by side answer in their order, and the same to the last bit as fits in turn."""

from __future__ import annotations

import os
from functools import partial

import numpy as np

from models.product import Product, fit_product
from models.recipe import Recipe
from tests.models.drawn import world
from training.fits import LONG, side_by_side


def named(number: int) -> tuple[int, int]:
    return number, os.getpid()


def test_answers_come_in_order_and_a_short_log_starts_no_process() -> None:
    asked = [partial(named, number) for number in range(5)]
    short, long = (list(side_by_side(asked, examples)) for examples in (LONG - 1, LONG))
    assert [number for number, _ in short] == [number for number, _ in long] == [0, 1, 2, 3, 4]
    assert {process for _, process in short} == {os.getpid()}
    assert os.getpid() not in {process for _, process in long} or os.cpu_count() == 1


def test_a_fit_in_a_process_of_its_own_is_the_same_to_the_last_bit() -> None:
    early, late = world(4, 900).split(0.9)
    few = {"rounds": 4, "leaves": 5, "min_rows": 10}
    recipe = Recipe.preset("fast").but(accept=few, convert=few, ranker=few)
    fits = [partial(fit_product, recipe.but(seed=seed), early.matrix, early.labels, late.matrix, late.labels)
            for seed in (0, 1)]  # fmt: skip
    apart: list[Product] = list(side_by_side(fits, LONG))
    here = [fit() for fit in fits]
    assert [product.content_hash for product in apart] == [product.content_hash for product in here]
    said = [product.predict(late.matrix).score for product in (apart[0], here[0])]
    np.testing.assert_array_equal(*said)
