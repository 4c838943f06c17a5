"""A model trained once on a small CRM as of spring, and the same CRM looked at two months on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.asof import DAY, NAT
from features.book import Book
from features.clock import instant
from features.config import Config, load_config
from features.engine import Engine
from features.outcomes import ACCEPTED, REJECTED
from features.snapshot import Snapshot, read_snapshot
from models.product import Product, fit_product
from models.recipe import Recipe
from training.blocks import Cut, final_cut, rolling_cuts
from training.evaluate import Predictions
from training.examples import gather
from training.monitor.compare import Compared, compare
from training.monitor.judgement import Case, Finding, Judgement, judge
from training.monitor.recent import Recent, look, scored
from training.monitor.reference import Reference, learn
from training.sample import write_sample

CUT = pd.Timestamp("2026-03-10", tz="UTC")
NOW = pd.Timestamp("2026-05-19", tz="UTC")
WINDOW = 56 * DAY


@dataclass(frozen=True)
class World:
    """What the tests look at; `seen` judges it, whole or with some of it changed."""

    snapshot: Snapshot
    config: Config
    product: Product
    reference: Reference
    recent: Recent

    def compared(self, recent: Recent | None = None) -> Compared:
        """The comparison as it stands, or of another recent past."""
        return compare(recent or self.recent, self.reference, self.product)

    def judged(self, recent: Recent | None = None, *, clock: int | None = None, same_market: bool = True) -> Judgement:
        """The judgement as it stands, or of another recent past."""
        recent = recent or self.recent
        asked = recent.now if clock is None else clock
        return judge(Case(self.compared(recent), recent, self.reference, self.config, asked, same_market))

    def with_feature(self, name: str, value: object) -> Recent:
        """The recent past with another value of a feature in the window: a number, or (n,) of them."""
        examples = self.recent.examples
        values = examples.matrix.values.copy()
        values[self.recent.window, examples.matrix.columns.index(name)] = value
        return replace(self.recent, examples=replace(examples, matrix=replace(examples.matrix, values=values)))

    def window_of(self, name: str) -> np.ndarray:
        """A feature in the window."""
        return self.recent.examples.matrix.column(name)[self.recent.window]


def found(judged: Judgement, check: str) -> Finding:
    """The one finding of a check."""
    (one,) = [finding for finding in judged.findings if finding.check == check]
    return one


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("monitor") / "crm"
    write_sample(folder, accounts=400, reps=24, offers=5000, seed=9, end=date(2026, 6, 30))
    config = load_config(folder / "callsheet.yaml")
    snapshot = read_snapshot(str(folder), config=config, as_of=CUT)
    book = Book.of(snapshot, config)
    examples = gather(book, Engine(book, config))
    final, cuts = final_cut(examples, config, instant(CUT)), rolling_cuts(examples, config, instant(CUT), 2)
    recipe = Recipe.preset("fast")

    def fit(cut: Cut) -> Product:
        return fit_product(recipe, *cut.learned_from(examples.matrix))

    said = [fit(cut).predict(examples.matrix.take(cut.test.rows)) for cut in cuts]
    product = fit(final)
    joined = Predictions(
        *(np.concatenate([getattr(one, part) for one in said]) for part in ("score", "p_accept", "p_convert"))
    )
    reference = Reference.of_text(learn(examples, final, cuts, joined, product).text)
    later = replace(snapshot, now=NOW)
    taught = np.union1d(final.train.rows, final.calibrate.rows)
    recent = _without_drift(look(later, config, WINDOW), product, examples.matrix.values[taught])
    return World(later, config, product, reference, recent)


def _without_drift(recent: Recent, product: Product, taught: np.ndarray) -> Recent:
    """The offers of the last months made over: features of random training rows, outcomes as the model forecasts them.

    The generator's own world changes (reps come and go, rates rise), and a test of silence needs one that does not.
    """
    examples, rng = recent.examples, np.random.default_rng(0)
    rows = np.flatnonzero(examples.offered >= recent.now - 180 * DAY)
    values = examples.matrix.values.copy()
    values[rows] = taught[rng.integers(0, len(taught), len(rows))]
    examples = replace(examples, matrix=replace(examples.matrix, values=values))
    said, drawn = scored(product, examples, rows), rng.random(len(rows))
    answer, known = examples.answer.copy(), examples.converted_known.copy()
    answer[rows] = np.where(drawn < said.p_accept, ACCEPTED, REJECTED)
    known[rows] = np.where(drawn < said.p_convert, examples.offered[rows] + 20 * DAY, NAT)
    answered = examples.answered.copy()
    answered[rows] = examples.offered[rows] + DAY // 24
    return replace(recent, examples=replace(examples, answer=answer, answered=answered, converted_known=known))
