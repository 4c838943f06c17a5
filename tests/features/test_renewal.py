"""A renewed book: what it shares is declared, the declaration is complete, and it answers as one made from scratch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.book import Book
from features.clock import instant
from features.config import Config, load_config
from features.eligibility import wall
from features.engine import Engine
from features.renewal import BY_VALUE, PARTS
from features.schema import TABLES, TRACKED
from features.snapshot import Snapshot, read_snapshot
from training.sample import write_sample

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Config]:
    folder = tmp_path_factory.mktemp("renewal") / "crm"
    write_sample(folder, accounts=50, reps=12, offers=250, seed=3, end=date(2026, 3, 1))
    config = load_config(folder / "callsheet.yaml")
    return read_snapshot(str(folder), config=config), config


def asked(book: Book) -> list[np.ndarray]:
    """Every open lead, and some others, with every rep, now and a month ago: all that a book can be asked."""
    engine = Engine(book, book.config)
    leads = np.unique(np.concatenate([book.open_leads(book.now)[-25:], np.arange(0, len(book.lead_ids), 9)]))
    lead, rep = np.repeat(leads, len(book.rep_ids)), np.tile(np.arange(len(book.rep_ids)), len(leads))
    told = [book.open_leads(book.now), book.lead_ids[leads], book.rep_ids]
    for at in (book.now, book.now - 30 * 86_400_000_000):
        t = np.full(len(lead), at)
        matrix = engine.matrix_of(lead, rep, t)
        told += [
            matrix.values.view(np.uint32),
            engine.eligibility_of(lead, rep, t),
            book.used(rep, t),
            book.room(rep, t),
        ]
        told.append(book.mean_amount(book.leads.solution[lead], t))
    told += [np.array([str(v) for v in values]) for values in engine.vocabulary.values.values()]
    return told


def assert_same(book: Book, other: Book) -> None:
    for one, two in zip(asked(book), asked(other), strict=True):
        np.testing.assert_array_equal(one, two)


# -- the declaration ------------------------------------------------------------------------------------------------


class Noted(Mapping[str, pd.DataFrame]):
    """Tables that note which of them are read."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], note: Any) -> None:
        self.tables, self.note = tables, note

    def __getitem__(self, name: str) -> pd.DataFrame:
        self.note(name)
        return self.tables[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


class NotingBook(Book):
    """A book that notes what each part reads while it is made: tables, parts, and its now."""

    def __init__(self, snapshot: Snapshot, config: Config) -> None:
        self.making: list[str] = ["(nothing)"]
        self.read: dict[str, tuple[set[str], set[str], set[str]]] = {}
        self.kept: dict[str, Any] = {}
        super().__init__(
            Noted(snapshot.tables, lambda name: self.noted(0, name)), config, instant(snapshot.now), snapshot.columns
        )

    def noted(self, kind: int, name: str) -> None:
        self.read.setdefault(self.making[-1], (set(), set(), set()))[kind].add(name)

    @contextmanager
    def while_making(self, part: str) -> Iterator[None]:
        self.making.append(part)
        self.read.setdefault(part, (set(), set(), set()))
        yield
        self.making.pop()

    @property
    def now(self) -> int:
        self.noted(2, "now")
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._now = now


def _noting(part: str) -> property:
    make = getattr(Book, part).func

    def get(book: NotingBook) -> Any:
        book.noted(1, part)
        if part not in book.kept:
            with book.while_making(part):
                book.kept[part] = make(book)
        return book.kept[part]

    return property(get)


for _part in PARTS:
    setattr(NotingBook, _part, _noting(_part))


def test_every_part_is_declared_and_after_those_that_it_reads() -> None:
    lasting = {
        name for kind in Book.__mro__ for name, value in vars(kind).items() if isinstance(value, cached_property)
    }
    assert lasting == set(PARTS)
    assert set(BY_VALUE) <= lasting
    seen: set[str] = set()
    for part, made in PARTS.items():
        assert made.parts <= seen, part
        assert made.tables <= set(TABLES), part
        seen.add(part)


def test_a_part_reads_what_is_declared_and_nothing_else(known: tuple[Snapshot, Config]) -> None:
    book = NotingBook(*known)
    for part in PARTS:
        getattr(book, part)
    with book.while_making("walls"):
        wall(book, book.config)
    for part, made in PARTS.items():
        tables, parts, now = book.read[part]
        assert (tables, parts - {part}, bool(now)) == (set(made.tables), set(made.parts), made.now), part


def test_a_book_that_was_asked_holds_nothing_that_is_not_declared(known: tuple[Snapshot, Config]) -> None:
    book = Book.of(*known)
    asked(book)
    assert set(vars(book)) - set(PARTS) == {"tables", "assume_constant", "config", "now", "columns", "present"}


# -- changes --------------------------------------------------------------------------------------------------------


def put(tables: Tables, table: str, *rows: dict[str, Any]) -> Tables:
    """The tables with rows put in, in place of those with the same key; in the order of the key."""
    frame, key = tables[table], list(TABLES[table].key)
    added = pd.DataFrame(
        {c: pd.Series([row.get(c) for row in rows], dtype=frame[c].dtype) for c in frame.columns}
    )  # fmt: skip
    both = pd.concat([frame, added], ignore_index=True).drop_duplicates(key, keep="last")
    return tables | {table: both.sort_values(key, kind="stable", ignore_index=True)}


def drawn_row(data: st.DataObject, tables: Tables, table: str) -> dict[str, Any]:
    frame = tables[table]
    return dict(frame.iloc[data.draw(st.integers(0, len(frame) - 1))])


def drawn_id(data: st.DataObject, tables: Tables, table: str) -> str:
    return str(drawn_row(data, tables, table)[TABLES[table].key[0]])


def drawn_change(data: st.DataObject, tables: Tables, now: pd.Timestamp) -> Tables:
    """One of the things that happen to a CRM."""
    name = data.draw(st.sampled_from(("aa", "mm", "zz"))) + str(data.draw(st.integers(0, 10**6)))
    said = {"known_at": None, "created_at": now, "occurred_at": now, "rep_id": drawn_id(data, tables, "reps")}
    kind = data.draw(st.sampled_from(CHANGES))
    if kind == "meeting":
        account = drawn_id(data, tables, "accounts")
        row = said | {"meeting_id": name, "account_id": account, "starts_at": now + pd.Timedelta(days=3)}
        tables = put(tables, "meetings", row)
        return put(
            tables, "meeting_contacts", {"meeting_id": name, "contact_id": drawn_id(data, tables, "contacts")}
        )  # fmt: skip
    if kind in ("touch", "activity"):
        contact = drawn_id(data, tables, "contacts")
        table, key = ("touches", "touch_id") if kind == "touch" else ("activities", "activity_id")
        solution = data.draw(st.sampled_from([None, "a new one", *tables["leads"]["solution"].unique()[:2]]))
        return put(tables, table, said | {key: name, "contact_id": contact, "kind": "call", "solution": solution})
    if kind == "preference":
        account = drawn_id(data, tables, "accounts")
        rule = data.draw(st.sampled_from(("include", "exclude")))
        row = said | {"preference_id": name, "subject": "account", "subject_id": account, "rule": rule, "since": now}
        return put(tables, "preferences", row)
    if kind == "time off":
        away = {"starts_at": now - pd.Timedelta(days=1), "ends_at": now + pd.Timedelta(days=5)}
        return put(tables, "time_off", said | away | {"time_off_id": name})
    if kind == "offer":
        lead = drawn_id(data, tables, "leads")
        return put(tables, "offers", said | {"offer_id": name, "lead_id": lead, "offered_at": now})
    if kind == "answer":
        answer = data.draw(st.sampled_from(("accepted", "rejected", "withdrawn")))
        return put(tables, "offers", drawn_row(data, tables, "offers") | {"answer": answer, "answered_at": now})
    if kind == "change":
        table = data.draw(st.sampled_from(sorted(TRACKED)))
        values = {"status": "closed" if table == "leads" else "customer", "title": "VP Treasury", "role": "inside"}
        column = {"leads": "status", "accounts": "status", "contacts": "title", "reps": "role"}.get(table, "stage")
        row = {"table_name": table, "row_id": drawn_id(data, tables, table), "column_name": column, "valid_from": now}
        return put(tables, "changes", row | {"value": values.get(column, "3"), "known_at": now})
    if kind == "contact moves":
        moved = {"contact_id": drawn_id(data, tables, "contacts"), "account_id": drawn_id(data, tables, "accounts")}
        row = {"table_name": "contacts", "row_id": moved["contact_id"], "column_name": "account_id"}
        tables = put(tables, "contacts", drawn_row(data, tables, "contacts") | moved)
        return put(tables, "changes", row | {"value": moved["account_id"], "valid_from": now, "known_at": now})
    if kind == "opportunity":
        row = drawn_row(data, tables, "opportunities")
        return put(tables, "opportunities", row | {"opportunity_id": name, "opened_at": now, "closed_at": None})
    lead = drawn_row(data, tables, "leads") | {"lead_id": name, "created_at": now, "status": "open", "closed_at": None}
    if kind == "lead of new people":
        account = drawn_row(data, tables, "accounts") | {"account_id": name, "created_at": now}
        contact = drawn_row(data, tables, "contacts") | {"contact_id": name, "account_id": name, "created_at": now}
        tables = put(put(tables, "accounts", account), "contacts", contact)
        lead |= {"contact_id": name, "account_id": name}
    elif kind == "rep":
        return put(tables, "reps", drawn_row(data, tables, "reps") | {"rep_id": name})
    elif kind == "contact":
        return put(tables, "contacts", drawn_row(data, tables, "contacts") | {"contact_id": name, "created_at": now})
    return put(tables, "leads", lead)


CHANGES = (
    "meeting", "touch", "activity", "preference", "time off", "offer", "answer", "change", "contact moves",
    "opportunity", "lead", "lead of new people", "contact", "rep",
)  # fmt: skip


@given(data=st.data())
@settings(max_examples=20)
def test_a_renewed_book_answers_as_one_made_from_scratch(data: st.DataObject, known: tuple[Snapshot, Config]) -> None:
    snapshot, config = known
    tables, now = dict(snapshot.tables), snapshot.now
    book = Book(tables, config, instant(now))
    asked(book)  # so that there is something to share
    for _ in range(data.draw(st.integers(1, 3))):
        now += pd.Timedelta(hours=data.draw(st.integers(0, 30)))
        for _ in range(data.draw(st.integers(1, 2))):
            tables = drawn_change(data, tables, now)
        book = book.renewed(tables, instant(now))
        assert_same(book, Book(tables, config, instant(now)))


def test_a_row_that_is_gone_is_forgotten(known: tuple[Snapshot, Config]) -> None:
    snapshot, config = known
    book = Book.of(snapshot, config)
    asked(book)
    tables = dict(snapshot.tables)
    for table in ("touches", "meetings", "offers", "leads"):
        tables[table] = tables[table].iloc[5:].reset_index(drop=True)
    assert_same(book.renewed(tables, book.now), Book(tables, config, book.now))


def test_a_table_more_is_no_renewal(known: tuple[Snapshot, Config]) -> None:
    """What no table told was not known; the features of a table that comes later are, though it tell the same."""
    snapshot, config = known
    tables = {name: frame for name, frame in snapshot.tables.items() if name != "touches"}
    book = Book(tables, config, instant(snapshot.now))
    asked(book)
    assert_same(book.renewed(snapshot.tables, book.now), Book(snapshot.tables, config, book.now))


def test_a_column_that_is_told_from_now_on_is_known(known: tuple[Snapshot, Config]) -> None:
    """The same frames, of which a source has told more columns: every part is shared, and more features are known."""
    snapshot, config = known
    some = {name: told - {"owner_rep_id", "answer"} for name, told in snapshot.columns.items()}
    book = Book(snapshot.tables, config, instant(snapshot.now), some)
    asked(book)
    fresh = book.renewed(snapshot.tables, book.now, snapshot.columns)
    assert fresh.offer_logs is book.offer_logs
    assert_same(fresh, Book.of(snapshot, config))


# -- what is shared -------------------------------------------------------------------------------------------------


def renewed_by(known: tuple[Snapshot, Config], table: str, **told: Any) -> tuple[Book, Book]:
    snapshot, config = known
    book = Book.of(snapshot, config)
    asked(book)
    return book, book.renewed(put(dict(snapshot.tables), table, told), book.now)


def test_a_touch_makes_only_what_touches_tell(known: tuple[Snapshot, Config]) -> None:
    snapshot, _ = known
    book, fresh = renewed_by(
        known, "touches", touch_id="new", rep_id=snapshot.tables["reps"]["rep_id"].iloc[0],
        contact_id=snapshot.tables["contacts"]["contact_id"].iloc[0], kind="call", occurred_at=snapshot.now,
    )  # fmt: skip
    asked(fresh)
    others = {part for part in PARTS if vars(fresh).get(part) is not vars(book).get(part)}
    assert others == {"calls", "worked", "rep_account_logs", "ties", "walls"}
    assert fresh.ties.graphs is book.ties.graphs
    (compiled,) = book.walls.values()
    assert fresh.walls[book.config.fingerprint]._territory is compiled._territory


def built(book: Book) -> set[str]:
    flat = book.ties.graphs.flat
    return {str(book.account_ids[code]) for code in np.flatnonzero(flat.edge_start[:-1] >= 0)}


@pytest.mark.parametrize("name", ["0 before all", "zz after all"])
def test_only_the_graph_of_the_account_concerned_is_built_again(known: tuple[Snapshot, Config], name: str) -> None:
    """A contact more shifts the codes of all that come after it, and still no other graph is built."""
    snapshot, config = known
    book = Book.of(snapshot, config)
    book.ties.graphs.flat_of(np.arange(len(book.account_ids)))
    contact = dict(snapshot.tables["contacts"].iloc[len(snapshot.tables["contacts"]) // 2])
    tables = put(dict(snapshot.tables), "contacts", contact | {"contact_id": name, "reports_to": None})
    fresh = book.renewed(tables, book.now)
    assert built(book) - built(fresh) == {contact["account_id"]}
    assert_same_graphs(fresh, Book(tables, config, book.now))


def assert_same_graphs(book: Book, other: Book) -> None:
    """Every account's arrays are the same in both."""
    every = np.arange(len(book.account_ids))
    ours, theirs = (made.ties.graphs.flat_of(every) for made in (book, other))
    for account in every:
        for what in ("presence", "edge"):
            one, two = (
                slice(getattr(flat, f"{what}_start")[account], getattr(flat, f"{what}_stop")[account])
                for flat in (ours, theirs)
            )
            for column in (c for c in ours.columns if c.startswith(what)):
                np.testing.assert_array_equal(ours.columns[column][one], theirs.columns[column][two], column)


@pytest.mark.parametrize("kind", ["another solution", "another day", "another manager", "another account"])
def test_a_fact_that_is_put_right_is_drawn_anew(known: tuple[Snapshot, Config], kind: str) -> None:
    """As many rows as before, and other ones."""
    snapshot, config = known
    book, tables = Book.of(snapshot, config), dict(snapshot.tables)
    book.ties.graphs.flat_of(np.arange(len(book.account_ids)))
    many = tables["contacts"]["account_id"].value_counts().index[0]
    people = tables["contacts"][tables["contacts"]["account_id"] == many]
    if kind == "another solution":
        rows = tables["activities"][tables["activities"]["contact_id"].isin(people["contact_id"])]
        tables = put(tables, "activities", *(dict(row) | {"solution": "another"} for _, row in rows.iterrows()))
    elif kind == "another day":
        met = tables["meeting_contacts"]
        met = met.loc[met["contact_id"].isin(people["contact_id"]), "meeting_id"]
        held = tables["meetings"]["meeting_id"].isin(met) & tables["meetings"]["cancelled_at"].isna()
        row = dict(tables["meetings"][held].iloc[0])
        tables = put(tables, "meetings", row | {"starts_at": row["starts_at"] + pd.Timedelta(days=1)})
    elif kind == "another manager":
        led = people[people["reports_to"].notna()].iloc[0]
        other = next(c for c in people["contact_id"] if c not in (led["contact_id"], led["reports_to"]))
        tables = put(tables, "contacts", dict(led) | {"reports_to": other})
    else:
        moved = dict(people.iloc[0]) | {"account_id": tables["accounts"]["account_id"].iloc[-1]}
        tables = put(tables, "contacts", moved)
    fresh, scratch = book.renewed(tables, book.now), Book(tables, config, book.now)
    assert many in built(book) - built(fresh)
    assert_same_graphs(fresh, scratch)


def test_the_old_book_answers_on_beside_the_new_one(known: tuple[Snapshot, Config]) -> None:
    """Both build graphs after they parted; neither writes into what the other reads."""
    snapshot, config = known
    book = Book.of(snapshot, config)
    half = np.arange(0, len(book.account_ids), 2)
    book.ties.graphs.flat_of(half)
    fresh = book.renewed(put(dict(snapshot.tables), "campaigns", {"campaign_id": "new", "name": "n"}), book.now)
    assert fresh.ties is book.ties  # nothing of the graphs has changed
    contact = dict(snapshot.tables["contacts"].iloc[0]) | {"contact_id": "0 new"}
    fresh = book.renewed(put(dict(snapshot.tables), "contacts", contact), book.now)
    for one, two in zip(range(0, len(half), 2), range(1, len(half), 2), strict=False):
        book.ties.graphs.flat_of(half[one : one + 1] + 1)
        fresh.ties.graphs.flat_of(half[two : two + 1] + 1)
    assert_same(book, Book.of(snapshot, config))
    assert_same(fresh, Book(fresh.tables, config, book.now))
