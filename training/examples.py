"""Past offers as labelled examples: which of them may teach, what became of each, and what was known of it when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from features.asof import DAY, NAT
from features.book import Book
from features.clock import iso_week_start
from features.eligibility import RULES, wall
from features.engine import Engine
from features.errors import NotEnoughData
from features.market import MARKET_RULES
from features.matrix import Matrix
from features.outcomes import ACCEPTED, REASSIGNED, WITHDRAWN
from models.labels import Labels
from training.slices import slice_table
from training.young import young_weights

#: An offer outside today's served market, or of a contact whom no model may score, is no example. What else refuses the
#: pair (the rep's territory, say) was the past policy's choice, and its outcome teaches all the same.
LEAVE = (*MARKET_RULES, "objects")
GROUP_LIMIT = 10_000  # LightGBM's most rows of one lambdarank group


@dataclass(frozen=True)
class Examples:
    """n offers that may teach, oldest first (ties by offer_id), each as of the instant it was made.

    matrix     features; lead_id, rep_id and as_of are in it
    offered … won_due  (n,) int64 microseconds; NAT: it did not happen
    answer     (n,) codes of features.outcomes
    account    (n,) int64 account code, the cluster of every interval
    attempt    (n,) int64, 1: the lead's first offer; advanced (n,) bool: only an opportunity open already moved on
    region, week  (n,) int64 what competed with what
    slices     n rows, one category column for each way of cutting the test rows up
    counts     rule -> rows: how many offers there were, what took some out, how many are left
    """

    matrix: Matrix
    offer_id: np.ndarray
    offered: np.ndarray
    known: np.ndarray
    due: np.ndarray
    answer: np.ndarray
    answered: np.ndarray
    converted_known: np.ndarray
    convert_due: np.ndarray
    won_known: np.ndarray
    won_due: np.ndarray
    attempt: np.ndarray
    advanced: np.ndarray
    account: np.ndarray
    market: np.ndarray
    region: np.ndarray
    week: np.ndarray
    slices: pd.DataFrame
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.offer_id)

    def labels(self, at: int, rows: np.ndarray, *, young: bool = False) -> Labels:
        """What was known at an instant of the outcomes of some rows (positions), as one block with groups of its own.

        A grade counts only once the offer is mature for it: an answer when its SLA has passed, a conversion after its
        horizon, a win after its own, however early the good news came; until then it is censored (grade -1, NaN).
        Within a group wins count for all or for none, so that the young are not ranked below the old for their age.

        young   offers whose SLA has passed and whose horizon has not teach converting too, by what their age is worth
                (see training.young): to learn from, never to test on. Grades stay those of the mature.
        """
        group = group_ids(self.market[rows], self.region[rows], self.week[rows])
        answered = _by(self.answered[rows], at)
        ripe = (self.known[rows] <= at) & (self.due[rows] <= at)
        yes = answered & (self.answer[rows] == ACCEPTED)
        ripe_convert = ripe & (self.convert_due[rows] <= at)
        converted = yes & _by(self.converted_known[rows], at)
        ripe_won = ripe_convert & (self.won_due[rows] <= at)
        won = converted & _by(self.won_known[rows], at)
        old_enough = np.ones(int(group.max(initial=-1)) + 1, bool)
        np.logical_and.at(old_enough, group, ripe_won)
        grade = yes.astype(np.int8) + converted + (won & old_enough[group])
        weight = ripe_convert.astype(np.float64)
        if young:
            age, delay = at - self.offered[rows], self.converted_known[rows] - self.offered[rows]
            weight = np.where(ripe, young_weights(age, yes, converted, ripe_convert, delay), 0.0)
        return Labels(
            grade=np.where(ripe_convert, grade, -1).astype(np.int8),
            accepted=_known(yes, ripe),
            converted=_known(converted, weight > 0),
            won=_known(won, ripe_won),
            weight=np.ones(len(rows), np.float32),
            convert_weight=np.where(weight > 0, weight, 1.0).astype(np.float32),
            group=group,
            account=self.account[rows],
        )

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the examples."""
        arrays = {f.name: value[rows] for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}
        return replace(
            self, matrix=self.matrix.take(rows), slices=self.slices.iloc[rows].reset_index(drop=True), **arrays
        )


def _by(when: np.ndarray, at: int) -> np.ndarray:
    return np.asarray((when != NAT) & (when <= at))


def _known(value: np.ndarray, ripe: np.ndarray) -> np.ndarray:
    return np.where(ripe, value.astype(np.float32), np.float32(np.nan))


def group_ids(market: np.ndarray, region: np.ndarray, week: np.ndarray, limit: int = GROUP_LIMIT) -> np.ndarray:
    """(n,) int64 0..g-1: offers that competed, market x region x ISO week; too large a group is cut evenly."""
    _, group = np.unique(np.column_stack([market, region, week]), axis=0, return_inverse=True)
    group = group.ravel()
    size = np.bincount(group)
    if size.max(initial=0) <= limit:
        return np.asarray(group, dtype=np.int64)
    order = np.argsort(group, kind="stable")
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    parts = -(-size // limit)
    part = place * parts[group] // size[group]
    return np.unique(group * (int(parts.max()) + 1) + part, return_inverse=True)[1].astype(np.int64)


def gather(book: Book, engine: Engine) -> Examples:
    """Turn the book's offers into examples, with one call of the engine for all of them.

    Raises   NotEnoughData when no offer is left, with what took them
    Cost     the engine's for one pair an offer; the rest is arrays
    """
    log = book.outcomes
    if not len(log):
        raise NotEnoughData(
            "There are no offers; training learns from the table `offers`, past ones and their answers."
        )
    counts: dict[str, int] = {"offers": len(log)}
    gone = log.taken_back & (log.answered <= book.now)
    counts["withdrawn"] = int((gone & (log.answer == WITHDRAWN)).sum())
    counts["reassigned"] = int((gone & (log.answer == REASSIGNED)).sum())
    future = ~gone & (log.known > book.now)
    counts["after now"] = int(future.sum())
    rows = np.flatnonzero(~gone & ~future)
    rows = rows[np.lexsort((log.offer_id[rows].astype(str), log.offered[rows]))]

    refused = engine.eligibility_of(log.lead[rows], log.rep[rows], log.offered[rows])
    outside = np.zeros(len(rows), bool)
    for number, rule in enumerate(RULES, start=1):
        hit = refused == number
        if rule in LEAVE:
            counts[f"left out: {rule}"] = int(hit.sum())
            outside |= hit
        else:
            counts[f"kept although: {rule}"] = int(hit.sum())
    rows = rows[~outside]
    counts["examples"] = len(rows)
    if not len(rows):
        taken = ", ".join(f"{rule} {n}" for rule, n in counts.items() if n)
        raise NotEnoughData(f"No offer is left to learn from ({taken}).")
    lead, rep, at = log.lead[rows], log.rep[rows], log.offered[rows]
    account = book.account_of(lead, at)
    return Examples(
        matrix=engine.matrix_of(lead, rep, at),
        offer_id=log.offer_id[rows], offered=at, known=log.known[rows], due=log.due[rows],
        answer=log.answer[rows], answered=log.answered[rows],
        converted_known=log.converted_known[rows], convert_due=log.convert_due[rows],
        won_known=log.won_known[rows], won_due=log.won_due[rows],
        attempt=log.attempt[rows], advanced=log.advanced[rows],
        account=account, market=wall(book, engine.config).market.judge(lead, at)[1],
        region=book.accounts.region[account],
        week=iso_week_start(at, "UTC") // DAY,
        slices=slice_table(book, lead, rep, account, at), counts=counts,
    )  # fmt: skip
