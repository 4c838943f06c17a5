"""Why the shown lines stand where they stand, in sentences with the names that a person knows."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from features.book import Book
from features.config import Config
from models.reasons import explain
from serving.ranking import Order

log = logging.getLogger(__name__)

Answer = dict[str, Any]


def reasons_of(book: Book, config: Config, order: Order, rows: np.ndarray, now: int) -> list[list[Answer]]:
    """Why, for the rows that are shown; a row that no model scored has none."""
    said: list[list[Answer]] = [[] for _ in rows]
    product, matrix = order.product, order.matrix
    scored = np.flatnonzero(~np.isnan(order.value[rows]))
    if product is None or matrix is None or not len(scored):
        return said
    shown = matrix.take(rows[scored])
    facts = [
        _facts(book, config, str(lead), str(rep), now) for lead, rep in zip(shown.lead_id, shown.rep_id, strict=True)
    ]
    try:
        explained = explain(product, shown, facts)
    except Exception:
        log.exception("The model could not be explained")  # the order stands without its reasons
        return said
    for place, reasons in zip(scored.tolist(), explained, strict=True):
        said[place] = [{"feature": r.feature, "effect": r.effect, "text": r.text} for r in reasons]
    return said


def _facts(book: Book, config: Config, lead_id: str, rep_id: str, now: int) -> dict[str, str | None]:
    """What a person calls the parts of a pair."""
    lead, rep = np.array([book.lead_index.code(lead_id)]), book.rep_index.code(rep_id)
    t = np.array([now])
    account, contact = int(book.account_of(lead, t)[0]), book.leads.contact[lead]
    title = int(book.contacts.title.read(contact, t, latest=True)[0])
    solution = int(book.leads.solution[lead[0]])
    return {
        "account": book.accounts.name[account] if account >= 0 else None,
        "rep": book.reps.name[rep],
        "contact": f"the {book.contacts.titles.values[title]}" if title >= 0 else None,
        "solution": book.solutions.values[solution] if solution >= 0 else None,
        "timezone": book.reps.timezone[rep] or config.timezone or "UTC",
    }
