"""Why the shown lines stand where they stand, in sentences with the names that a person knows."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from features.book import Book
from features.catalogue import BY_NAME
from features.config import Config
from features.matrix import Matrix
from models.product import Product
from models.reasons import explain, sentence
from serving.computing import computing
from serving.ranking import Order

log = logging.getLogger(__name__)

Answer = dict[str, Any]
#: What a person calls the parts of a pair: account, rep, contact, solution; and the time zone in which dates are told.
Facts = Mapping[str, str | None]

#: By the level of a rule's score, the feature by which it ranks, and what is said of an account without a name.
_RULES: Final = {2: ("owner_is_rep", "You own the account."), 1: ("region_match", "The account is in your territory.")}
#: What orders pairs that no rule tells apart; no feature.
DRAW: Final = "draw"


def reasons_of(
    book: Book, config: Config, order: Order, rows: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], now: int
) -> list[list[Answer]]:
    """Why, for the rows that are shown; pairs: the codes of their leads and reps, in their order."""
    facts = facts_of(book, config, *pairs, now)
    said: list[list[Answer]] = [[] for _ in rows]
    scored = np.flatnonzero(~np.isnan(order.value[rows]))
    if order.product is not None and order.matrix is not None and len(scored):
        by_model = told(order.product, order.matrix.take(rows[scored]), [facts[i] for i in scored])
        for place, reasons in zip(scored.tolist(), by_model, strict=True):
            said[place] = reasons
    for place in np.flatnonzero(np.isnan(order.value[rows])).tolist():
        said[place] = by_rule(float(order.score[rows[place]]), facts[place])
    return said


def told(product: Product, matrix: Matrix, facts: Sequence[Facts]) -> list[list[Answer]]:
    """The model's reasons of each pair; none of any where it cannot be explained: the order stands without them."""
    try:
        with computing(product.content_hash):
            explained = explain(product, matrix, facts)
    except Exception:
        log.exception("The model could not be explained")
        return [[] for _ in facts]
    return [[{"feature": r.feature, "effect": r.effect, "text": r.text} for r in reasons] for reasons in explained]


def by_rule(score: float, facts: Facts) -> list[Answer]:
    """The reason of a line that the rules rank, by its score: its owner, else its territory, else the draw by ids."""
    level = min(math.floor(score), max(_RULES))
    if level not in _RULES:
        text = "Neither an owner nor a territory decides here; a fixed draw does."
        return [{"feature": DRAW, "effect": score, "text": text}]
    name, bare = _RULES[level]
    return [{"feature": name, "effect": float(level), "text": sentence(BY_NAME[name], 1.0, True, facts, 0) or bare}]


def facts_of(book: Book, config: Config, lead: np.ndarray, rep: np.ndarray, now: int) -> list[Facts]:
    """The facts of each of n pairs of codes; empty where they cannot be read, for an answer stands without them."""
    try:
        account = book.account_of(lead, np.full(len(lead), now, np.int64))
        contact = book.leads.contact[lead]
        title = book.contacts.title.read(contact, np.full(len(lead), now, np.int64), latest=True)
        solution = book.leads.solution[lead]
        return [
            {
                "account": book.accounts.name[a] if a >= 0 else None, "rep": book.reps.name[r],
                "contact": f"the {book.contacts.titles.values[c]}" if c >= 0 else None,
                "solution": book.solutions.values[s] if s >= 0 else None,
                "timezone": book.reps.timezone[r] or config.timezone or "UTC",
            }
            for a, r, c, s in zip(account.tolist(), rep.tolist(), title.tolist(), solution.tolist(), strict=True)
        ]  # fmt: skip
    except Exception:
        log.exception("The names for reasons could not be read")
        return [{} for _ in lead]
