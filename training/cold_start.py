"""Those whom the model has never met: reps, accounts, regions and solutions held out of a world that lacks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from features.book import Book
from features.config import Config
from features.engine import Engine
from features.errors import NotEnoughData
from features.matrix import Matrix, Vocabulary
from features.snapshot import Snapshot
from models.baselines import RepPastRate
from models.product import Product, fit_product
from models.recipe import Recipe
from models.scores import Scores
from training.blocks import Cut, log_end, rolling_cuts
from training.bootstrap import Draw
from training.evaluate import Measured, Predictions, evaluate
from training.examples import Examples, gather
from training.pool import REPLICATES, Pool

Kind = Literal["rep", "account", "region", "solution", "newcomer"]
#: What is held out; a `newcomer` need not be: a rep whose offers all came after what the model learned from.
KINDS: tuple[Kind, ...] = ("rep", "account", "region", "solution", "newcomer")
#: The category whose value a model has never seen, where the kind has one.
CATEGORY: dict[Kind, str] = {"rep": "rep_id", "region": "region", "solution": "solution"}
#: Regions and solutions are few: each is a fold of its own, if it has so many test offers.
LEAST_TESTED = 30
_FIELDS = ("score", "p_accept", "p_convert")
STRANGER, AVERAGE, KNOWN = "never seen", "the role's average", "known"


@dataclass(frozen=True)
class Snap:
    """A snapshot with what every fold needs of it: the examples as they are, and their rolling cuts."""

    snapshot: Snapshot
    config: Config
    book: Book
    examples: Examples
    cuts: tuple[Cut, ...]

    @classmethod
    def of(cls, snapshot: Snapshot, config: Config, cuts: int = 1) -> Snap:
        """Read it. Raises NotEnoughData as training does."""
        book = Book.of(snapshot, config)
        examples = gather(book, Engine(book, config))
        return cls(
            snapshot, config, book, examples,
            rolling_cuts(examples, config, log_end(examples, config, book.now), cuts),
        )  # fmt: skip

    def key(self, kind: Kind) -> np.ndarray:
        """(o,) code of what each offer of the log belongs to, in the order of the offers table."""
        log = self.book.outcomes
        account = self.book.account_of(log.lead, log.offered)
        return {
            "rep": log.rep, "newcomer": log.rep, "account": account,
            "region": self.book.accounts.region[account], "solution": self.book.leads.solution[log.lead],
        }[kind]  # fmt: skip

    def key_of_examples(self, kind: Kind) -> np.ndarray:
        """(n,) the same for the examples."""
        place = {offer: i for i, offer in enumerate(self.book.outcomes.offer_id)}
        return self.key(kind)[[place[offer] for offer in self.examples.offer_id]]


@dataclass(frozen=True)
class ColdStart:
    """How the held-out fared on test offers that were made after their cut.

    units     how many reps, accounts, … were tested; offers: their test offers
    offer_id  (n,) of those; said: STRANGER, AVERAGE, KNOWN -> what was said of them (no model has known a newcomer)
    measured  the same recipes, on the same resamples: of units, or of accounts where units are few
    """

    kind: Kind
    units: int
    offers: int
    offer_id: np.ndarray
    said: Mapping[str, Predictions]
    measured: Mapping[str, Measured]


Part = tuple[np.ndarray, dict[str, Predictions]]


def cold_start(
    snap: Snap, recipe: Recipe, kind: Kind, *, folds: int = 5, seed: int = 0, replicates: int = REPLICATES
) -> ColdStart:
    """Predict the test offers of those whom the model has never seen, each kind as it happens.

    A rep, account, region or solution is held out, each once: the world is made anew without its past offers, so that
    no count, rate or load knows of them; the model is fitted on everybody else's, with a vocabulary that lacks it; then
    it is asked about its offers after the cut. Newcomers are there without that. Set beside the shrunk average of the
    rep's role among those that the model saw, and beside the model that knew them all.

    Raises   NotEnoughData as fitting does, and when nobody is there to be tested
    Cost     for each fold the features of the whole log, and a fit at each cut
    """
    key = snap.key_of_examples(kind)
    parts = _newcomers(snap, recipe, key) if kind == "newcomer" else _held_out(snap, recipe, kind, key, folds, seed)
    if not parts:
        raise NotEnoughData(f"The test blocks hold no {kind} that a model could be asked about as if it were new.")
    return _judged(snap, kind, key, parts, seed, replicates)


def _held_out(snap: Snap, recipe: Recipe, kind: Kind, key: np.ndarray, folds: int, seed: int) -> list[Part]:
    """Each fold's test rows, and what was said of them by those that lack the fold and by those that do not."""
    whole, parts = snap.examples.matrix, []
    knowing = [_fit(recipe, whole, cut, np.ones(len(key), bool)) for cut in snap.cuts]
    tested = np.concatenate([cut.test.rows for cut in snap.cuts])
    for units in _folds(kind, key[tested], folds, seed):
        blind, others = without(snap, kind, units), ~np.isin(key, units)
        for cut, known in zip(snap.cuts, knowing, strict=True):
            rows = cut.test.rows[~others[cut.test.rows]]
            if len(rows):
                said = {
                    STRANGER: _said(_fit(recipe, blind, cut, others).predict(blind.take(rows))),
                    AVERAGE: _role_average(blind, cut, others, rows),
                    KNOWN: _said(known.predict(whole.take(rows))),
                }
                parts.append((rows, said))
    return parts


def _newcomers(snap: Snap, recipe: Recipe, key: np.ndarray) -> list[Part]:
    """The test rows of reps without an offer in the blocks that the model learned from, and what was said of them."""
    whole, every, parts = snap.examples.matrix, np.ones(len(key), bool), []
    for cut in snap.cuts:
        learned = np.concatenate([cut.train.rows, cut.calibrate.rows])
        rows = cut.test.rows[~np.isin(key[cut.test.rows], key[learned])]
        if len(rows):
            said = _said(_fit(recipe, whole, cut, every).predict(whole.take(rows)))
            parts.append((rows, {STRANGER: said, AVERAGE: _role_average(whole, cut, every, rows)}))
    return parts


def _folds(kind: Kind, key: np.ndarray, folds: int, seed: int) -> Iterator[np.ndarray]:
    """Units by fold: codes of the tested offers' key."""
    units, size = np.unique(key[key >= 0], return_counts=True)
    if kind in ("region", "solution"):
        yield from (np.array([unit]) for unit, n in zip(units, size, strict=True) if n >= LEAST_TESTED)
        return
    mixed = np.random.default_rng(seed).permutation(units)
    yield from (part for part in np.array_split(mixed, folds) if len(part))


def without(snap: Snap, kind: Kind, units: np.ndarray) -> Matrix:
    """The examples' features in a world that never made the units an offer, under a vocabulary that lacks them.

    units    codes of the book, of whatever the kind is
    Returns  rows as of `snap.examples`
    """
    offers = snap.snapshot.tables["offers"][~np.isin(snap.key(kind), units)]
    words, category = snap.book.words, CATEGORY.get(kind)
    lacking = {words[category][unit] for unit in units} if category else set()
    vocabulary = Vocabulary({
        name: tuple(v for v in values if name != category or v not in lacking) for name, values in words.items()
    })  # fmt: skip
    book = Book.of(replace(snap.snapshot, tables={**snap.snapshot.tables, "offers": offers}), snap.config)
    whole = snap.examples.matrix
    return Engine(book, snap.config, vocabulary).matrix(whole.lead_id, whole.rep_id, whole.as_of)


def _fit(recipe: Recipe, matrix: Matrix, cut: Cut, kept: np.ndarray) -> Product:
    """The recipe fitted at a cut on the kept examples."""
    train, calibrate = kept[cut.train.rows], kept[cut.calibrate.rows]
    return fit_product(
        recipe, matrix.take(cut.train.rows[train]), cut.train.labels.take(train),
        matrix.take(cut.calibrate.rows[calibrate]), cut.calibrate.labels.take(calibrate),
    )  # fmt: skip


def _role_average(matrix: Matrix, cut: Cut, kept: np.ndarray, rows: np.ndarray) -> Predictions:
    """The shrunk rate of each row's role among the kept examples: the reps' own baseline, not told who the rep is."""
    train, calibrate = kept[cut.train.rows], kept[cut.calibrate.rows]
    rates = RepPastRate().fit(
        matrix.take(cut.train.rows[train]), cut.train.labels.take(train),
        matrix.take(cut.calibrate.rows[calibrate]), cut.calibrate.labels.take(calibrate),
    )  # fmt: skip
    return _said(rates.predict(matrix.take(rows).without(["rep_id"])))


def _said(scores: Scores) -> Predictions:
    return Predictions(scores.score, scores.p_accept, scores.p_convert)


def _judged(
    snap: Snap, kind: Kind, key: np.ndarray, parts: Sequence[Part], seed: int, replicates: int
) -> ColdStart:  # fmt: skip
    """Put the folds together in the order of the test rows, and measure them side by side."""
    rows = np.concatenate([part for part, _ in parts])
    said = {
        name: Predictions(*(np.concatenate([getattr(one[name], f) for _, one in parts]) for f in _FIELDS))
        for name in parts[0][1]
    }
    pool = Pool.of(snap.examples, snap.cuts)
    place = {row: i for i, row in enumerate(np.concatenate([cut.test.rows for cut in snap.cuts]).tolist())}
    at = np.array([place[row] for row in rows.tolist()], np.int64)
    board = pool.board.take(at)
    cluster = snap.examples.account[rows] if kind in ("region", "solution") else key[rows]
    draw = Draw.of(cluster, replicates, seed)
    return ColdStart(
        kind, len(np.unique(key[rows])), len(rows), snap.examples.offer_id[rows], said,
        {name: evaluate(board, one, draw) for name, one in said.items()},
    )  # fmt: skip
