"""Offers that a model knew nothing of: made after its cut and answered by now, with what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from features.book import Book
from features.clock import instant
from features.config import Config
from features.engine import Engine
from features.matrix import Matrix
from features.snapshot import Snapshot
from models.product import Product
from models.rules import rank_by_rules
from training.blocks import log_end
from training.contestants import CHAMPION, RANKER, RULES
from training.evaluate import Board, Predictions
from training.examples import Examples, gather
from training.pool import Pool, tie_breaks

Says = Callable[[Matrix], Predictions]
LATE = np.iinfo(np.int64).max


def unseen_from(product: Product) -> int:
    """int64 microseconds from which on a product knew of no offer; LATE where its card does not tell its cut."""
    day = product.card.get("about", {}).get("cut")
    if day is None:
        return LATE
    # The card has the cut as a date: what was offered on that very day may have been known.
    return instant(datetime.combine(date.fromisoformat(day), time(), UTC) + timedelta(days=1))


def of_product(product: Product) -> Says:
    """What a product says of pairs, in its own vocabulary."""

    def says(matrix: Matrix) -> Predictions:
        scores = product.predict(matrix.recoded(product.vocabulary))
        return Predictions(scores.score, scores.p_accept, scores.p_convert)

    return says


def _rules(matrix: Matrix) -> Predictions:
    none = np.full(len(matrix), np.nan)
    return Predictions(rank_by_rules(matrix)[1], none, none)


def answered(examples: Examples, now: int, since: int, models: Mapping[str, Says]) -> Pool:
    """The offers made from `since` on whose answer is due by now, perhaps none; the grade is only whether accepted."""
    rows = np.flatnonzero((examples.offered >= since) & (examples.known <= now) & (examples.due <= now))
    labels, matrix = examples.labels(now, rows), examples.matrix.take(rows)
    offer_id, accepted = examples.offer_id[rows], labels.accepted.astype(np.float64)
    return Pool(
        offer_id=offer_id, cut=np.zeros(len(rows), np.int64), account=examples.account[rows],
        board=Board(
            labels.group, accepted.astype(np.int64), accepted, np.full(len(rows), np.nan), tie_breaks(offer_id)
        ),
        slices=examples.slices.iloc[rows].reset_index(drop=True),
        said={name: says(matrix) for name, says in models.items()} if len(rows) else {},
    )  # fmt: skip


def todays(snapshot: Snapshot, config: Config) -> tuple[Examples, int]:
    """The offers of today's data, and until when its log tells of outcomes.

    Raises    NotEnoughData when there are no offers
    Cost      the features of all offers
    """
    book = Book.of(snapshot, config)
    examples = gather(book, Engine(book, config))
    return examples, log_end(examples, config, book.now)


def fresh(examples: Examples, now: int, product: Product, champion: Product | None) -> Pool:
    """Today's offers as a trial of a model on those that it has not learned from; now: the log's end.

    champion  left out where it was made for other features, or has learned from some of these offers
    """
    models: dict[str, Says] = {RANKER: of_product(product), RULES: _rules}
    since = unseen_from(product)
    if champion is not None and champion.contract.columns == examples.matrix.columns and unseen_from(champion) <= since:
        models[CHAMPION] = of_product(champion)
    return answered(examples, now, since, models)
