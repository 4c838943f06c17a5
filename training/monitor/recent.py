"""The recent past as the model sees it: the window's offers in its own codes, and when the data were last fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.asof import NAT
from features.book import Book
from features.config import Config
from features.eligibility import RULES
from features.engine import Engine
from features.matrix import Matrix, Vocabulary
from features.snapshot import FACTS, Snapshot
from models.product import Product
from models.scores import Scores
from training.blocks import last_in_company, log_end
from training.examples import LEAVE, Examples, gather


@dataclass(frozen=True)
class Recent:
    """What a snapshot tells of the time up to its `now`.

    now         microseconds
    start, end  the window, [start, end): it ends with the last offers, not where the log has long been silent
    log_end     until when the log tells of outcomes
    examples    every past offer that may teach, in the book's codes
    window      positions of the window's offers
    outside     rule -> how many offers of the window the served market left out; offers: how many there were in all
    latest      instants of the latest fact of any table and of the latest offer, None: there is none
    """

    now: int
    start: int
    end: int
    log_end: int
    examples: Examples
    window: np.ndarray
    outside: Mapping[str, int]
    offers: int
    latest: Mapping[str, int | None]


def look(snapshot: Snapshot, config: Config, window: int) -> Recent:
    """Read the last `window` microseconds. Raises NotEnoughData when there is no past offer at all.

    Cost  features of every past offer, as a training's
    """
    book = Book.of(snapshot, config)
    engine = Engine(book, config)
    examples = gather(book, engine)
    end = min(book.now, last_in_company(examples.offered, window) + 1)
    start = end - window
    log = book.outcomes
    inside = (log.known <= book.now) & (log.offered >= start) & (log.offered < end)
    rows = np.flatnonzero(inside & ~(log.taken_back & (log.answered <= book.now)))
    refused = engine.eligibility_of(log.lead[rows], log.rep[rows], log.offered[rows])
    outside = {rule: int((refused == place).sum()) for place, rule in enumerate(RULES, start=1) if rule in LEAVE}
    past = log.offered[log.known <= book.now]
    return Recent(
        now=book.now, start=start, end=end, log_end=log_end(examples, config, book.now), examples=examples,
        window=np.flatnonzero((examples.offered >= start) & (examples.offered < end)),
        outside={rule: n for rule, n in outside.items() if n}, offers=len(rows),
        latest={"fact": latest_fact(snapshot.tables, book.now), "offer": int(past.max()) if len(past) else None},
    )  # fmt: skip


def latest_fact(tables: Mapping[str, pd.DataFrame], now: int) -> int | None:
    """The latest instant up to now, in microseconds, at which anything happened; None when nothing did."""
    found = []
    for name, table in tables.items():
        for column in FACTS.get(name, ()):
            at = table[column].dropna().dt.tz_convert(None).to_numpy(dtype="datetime64[us]").astype(np.int64)
            past = at[(at <= now) & (at != NAT)]
            if len(past):
                found.append(int(past.max()))
    return max(found, default=None)


def in_codes_of(matrix: Matrix, vocabulary: Vocabulary) -> tuple[Matrix, np.ndarray]:
    """The matrix in another vocabulary's codes, and (n, f) bool: the value is a category that it does not hold."""
    values = matrix.values.copy()
    unseen = np.zeros(values.shape, bool)
    for name, words in matrix.vocabulary.values.items():
        column = matrix.columns.index(name)
        table = np.append(vocabulary.recode(name, np.array(words, dtype=object)), np.float32(np.nan))
        code = np.where(np.isnan(values[:, column]), len(words), values[:, column]).astype(np.int64)
        values[:, column] = table[code]
        unseen[:, column] = np.isnan(table[code]) & (code < len(words))
    return replace(matrix, values=values, vocabulary=vocabulary), unseen


def scored(product: Product, examples: Examples, rows: np.ndarray) -> Scores:
    """What the model says of some of the examples, as it would have when they were offered."""
    return product.predict(in_codes_of(examples.matrix.take(rows), product.vocabulary)[0])
