"""Renews a book: what each of its parts is made from, so that a part whose sources are the same is not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from features.book import Book
from features.carry import carried
from features.entities import History, Index, Tables, Words


@dataclass(frozen=True)
class Made:
    """What a part of the book reads: tables, other parts, and whether the book's now."""

    tables: frozenset[str]
    parts: frozenset[str]
    now: bool = False


def _of(tables: str = "", parts: str = "", *, now: bool = False) -> Made:
    return Made(frozenset(tables.split()), frozenset(parts.split()), now)


#: Every part of a book, in an order in which they can be made.
PARTS: Final[dict[str, Made]] = {
    "account_frame": _of("accounts"),
    "contact_frame": _of("contacts"),
    "lead_frame": _of("leads"),
    "rep_frame": _of("reps"),
    "account_index": _of(parts="account_frame"),
    "contact_index": _of(parts="contact_frame"),
    "lead_index": _of(parts="lead_frame"),
    "rep_index": _of(parts="rep_frame"),
    "account_history": _of("changes"),
    "contact_history": _of("changes"),
    "lead_history": _of("changes"),
    "rep_history": _of("changes"),
    "opportunity_history": _of("changes"),
    "lists": _of(parts="rep_frame rep_history"),
    "solutions": _of("leads activities opportunities campaigns preferences", "rep_frame rep_history"),
    "regions": _of(parts="account_frame"),
    "countries": _of(parts="account_frame rep_frame"),
    "segments": _of(parts="account_frame rep_frame account_history rep_history"),
    "statuses": _of(parts="account_frame account_history"),
    "answers": _of(parts="lead_frame lead_history"),
    "grades": _of(parts="lead_frame lead_history"),
    "lead_statuses": _of(parts="lead_frame lead_history"),
    "accounts": _of(parts="account_frame account_index account_history rep_index countries regions statuses segments"),
    "contacts": _of(parts="contact_frame contact_index contact_history account_index"),
    "leads": _of(
        parts="lead_frame lead_index lead_history contact_index account_index solutions answers grades lead_statuses"
    ),
    "reps": _of(parts="rep_frame rep_index rep_history segments lists countries"),
    "people": _of(parts="contacts"),
    "sectors": _of(parts="accounts"),
    "zones": _of(parts="reps"),
    "title_keywords": _of(parts="contacts"),
    "market_depth": _of(parts="accounts"),
    "_industries": _of(parts="accounts lists"),
    "region_members": _of(parts="lists regions"),
    "solution_members": _of(parts="lists solutions"),
    "words": _of(parts="rep_index reps segments people sectors regions statuses leads solutions"),
    "lead_account": _of(parts="lead_index leads contacts", now=True),
    "deadlines": _of("offers time_off", "lead_index rep_index leads reps grades lists countries"),
    "outcomes": _of("offers opportunities accounts changes", "lead_index rep_index lead_account deadlines"),
    "lead_held": _of(parts="outcomes lead_index"),
    "lead_rep": _of(parts="outcomes rep_index"),
    "rep_week": _of(parts="outcomes zones"),
    "spent": _of(parts="outcomes zones rep_index"),
    "offer_logs": _of(parts="outcomes leads contacts reps people sectors solutions account_index rep_index"),
    "activity_logs": _of("activities", "contact_index account_index contacts solutions"),
    "rep_account_logs": _of("meetings touches", "contact_index account_index rep_index contacts"),
    "opportunity_logs": _of("opportunities", "opportunity_history account_index rep_index"),
    "_amounts": _of("opportunities", "solutions"),
    "absences": _of("time_off", "rep_index"),
    "attendance": _of("time_off", "reps rep_index zones lists countries"),
    "wishes": _of("preferences", "rep_index account_index contact_index solutions"),
    "presence": _of(parts="contacts account_index"),
    "arrived": _of(parts="leads lead_frame"),
    "interest": _of("activities", "contact_index solutions"),
    "encounters": _of("meetings meeting_contacts", "contact_index rep_index"),
    "deals": _of("opportunities opportunity_contacts", "contact_index rep_index"),
    "calls": _of("touches", "contact_index rep_index"),
    "memberships": _of(parts="presence arrived interest encounters deals contacts"),
    "worked": _of(parts="presence calls encounters deals rep_index"),
    "arrivals": _of(parts="presence arrived solutions"),
    "ties": _of(parts="memberships worked arrivals"),
    "walls": _of(parts="account_index accounts contacts reps regions countries segments statuses solutions"),
}


def _same_ids(one: Index, other: Index) -> bool:
    return np.array_equal(one.ids, other.ids)


def _same_words(one: Words, other: Words) -> bool:
    return one.values == other.values


def _same_history(one: History, other: History) -> bool:
    return one.same(other)


#: Parts that are small beside what is made of them: they are made again and compared, and what is equal is the same.
BY_VALUE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    **dict.fromkeys(("account_index", "contact_index", "lead_index", "rep_index"), _same_ids),
    **dict.fromkeys(
        ("account_history", "contact_history", "lead_history", "rep_history", "opportunity_history"), _same_history
    ),
    **dict.fromkeys(
        ("lists", "solutions", "regions", "countries", "segments", "statuses", "grades", "lead_statuses"), _same_words
    ),
    "answers": lambda one, other: all(_same_words(words, other[name]) for name, words in one.items()),
    "lead_account": np.array_equal,
}  # fmt: skip


def renewed(book: Book, tables: Tables, now: int, columns: Mapping[str, Iterable[str]] | None = None) -> Book:
    """A book of other tables, sharing with `book` each part whose sources are the same frames, or the same in value.

    A new id shifts the codes of its kind, and what is keyed by them is made again; of the contact graphs only those
    of the accounts concerned are built again, whatever was shifted. What is not shared is made when it is asked for.
    Cost   with 12,000 offers and 2,000 accounts: up to 0.1 s, and 0.03 to 0.5 s for what is made again
    """
    if columns is None:
        columns = {name: book.columns.get(name, frozenset(frame.columns)) for name, frame in tables.items()}
    made = Book(tables, book.config, now, columns)
    if made.tables.keys() != book.tables.keys():
        return made  # a table more or less changes what is known at all
    was, fresh = vars(book), vars(made)
    same_tables = {name for name, frame in tables.items() if frame is book.tables[name]}
    same: set[str] = set()
    for part, sources in PARTS.items():
        kept = sources.tables <= same_tables and sources.parts <= same and (not sources.now or now == book.now)
        if not kept and part in BY_VALUE and part in was:
            kept = BY_VALUE[part](was[part], getattr(made, part))
        if kept:
            same.add(part)
            if part in was:
                fresh[part] = was[part]
    made.walls = {name: wall.over(made) for name, wall in book.walls.items()} if "walls" in same else {}
    if "ties" in was and "ties" not in same:
        _carry_graphs(book, made)
    return made


def _carry_graphs(book: Book, made: Book) -> None:
    """Keep the graphs of the accounts that are as they were."""
    if made.memberships is book.memberships:
        made.ties.graphs = book.ties.graphs
        return
    made.ties.graphs.flat = carried(
        book.ties.graphs, made.memberships,
        accounts=_places(book.account_index, made.account_index),
        contacts=_places(book.contact_index, made.contact_index),
        solutions=made.solutions.codes(np.array(book.solutions.values, dtype=object)),
    )  # fmt: skip


def _places(old: Index, new: Index) -> np.ndarray:
    """(old codes,) the new code of each id, -1 where it is gone."""
    return np.arange(len(old)) if old is new else new.find_ids(old.ids)
