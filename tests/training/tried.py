"""A recipe tried at two cuts on drawn offers whose truth is known, without a CRM behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.matrix import Matrix
from models.labels import Labels
from models.product import Product, fit_product
from models.recipe import LinearPart, Recipe, Trees
from tests.models.drawn import Drawn
from training.blocks import Block, Cut
from training.evaluate import Board
from training.pool import Pool, tie_breaks
from training.worth import Trial

_TREES = Trees(rounds=15, learning_rate=0.1, bins=15)
#: Quick to fit: what it finds is the test's affair, not how well.
QUICK = Recipe(name="quick", linear=LinearPart(), accept=_TREES, convert=_TREES, ranker=Trees(rounds=0))


@dataclass(frozen=True)
class Tried:
    """Offers, cut twice; the last 400 rows before each test block calibrate."""

    drawn: Drawn
    cuts: tuple[Cut, ...]

    def fit(self, matrix: Matrix, cut: Cut, recipe: Recipe = QUICK) -> Product:
        """The recipe at one cut, on a matrix of all offers."""
        return fit_product(recipe, *cut.learned_from(matrix))

    def fits(self, matrix: Matrix, recipe: Recipe = QUICK) -> list[Product]:
        """The recipe at each cut."""
        return [self.fit(matrix, cut, recipe) for cut in self.cuts]

    def trial(self, matrix: Matrix | None = None, recipe: Recipe = QUICK, replicates: int = 200) -> Trial:
        """The recipe fitted at each cut."""
        matrix = self.drawn.matrix if matrix is None else matrix
        pool = _pool(self.drawn.labels, self.cuts)
        models = self.fits(matrix, recipe)
        return Trial(models, [matrix.take(cut.test.rows) for cut in self.cuts], pool, pool.draw(0, replicates))


def tried(drawn: Drawn, test: int = 500) -> Tried:
    """The offers with two cuts, each with so many offers to test on."""
    n, labels = len(drawn.matrix), drawn.labels

    def block(start: int, end: int) -> Block:
        rows = np.arange(start, end)
        return Block(rows, labels.take(rows))

    cuts = [
        Cut(int(drawn.matrix.as_of[at]), block(0, at - 400), block(at - 400, at), block(at, at + test))
        for at in (n - 2 * test, n - test)
    ]
    return Tried(drawn, tuple(cuts))


def _pool(labels: Labels, cuts: tuple[Cut, ...]) -> Pool:
    rows = np.concatenate([cut.test.rows for cut in cuts])
    number = np.repeat(np.arange(len(cuts)), [len(cut.test) for cut in cuts])
    there = labels.take(rows)
    offer_id = np.array([f"O{row}" for row in rows], object)
    board = Board(
        np.unique(np.column_stack([number, there.group]), axis=0, return_inverse=True)[1].ravel(),
        there.grade.astype(np.int64), there.accepted.astype(float), there.converted.astype(float),
        tie_breaks(offer_id),
    )  # fmt: skip
    return Pool(offer_id, number, there.account, board, pd.DataFrame(index=range(len(rows))))
