"""The cast of the book: accounts, contacts, leads and reps as numpy columns, and the words behind their codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.asof import Column
from features.entities import History, Index, Tables, Words, born, facts, flags, instants, numbers, ordered, texts

BANT = ("budget", "authority", "need", "timeline")


@dataclass
class Accounts:
    """(a,) accounts. Words name the codes of their text columns; -1 is null."""

    index: Index
    name: np.ndarray
    parent: np.ndarray
    naics: np.ndarray
    sic: np.ndarray
    country: np.ndarray
    region: np.ndarray
    customer_since: np.ndarray
    born: np.ndarray
    status: Column
    owner: Column
    churn_risk: Column
    revenue: Column
    employees: Column
    segment: Column


@dataclass
class Contacts:
    """(c,) contacts. function and level are what the CRM says, as text; the title says it otherwise."""

    index: Index
    account: Column
    title: Column
    titles: Words
    function: np.ndarray
    seniority: np.ndarray
    reports_to: Column
    objects: np.ndarray
    born: np.ndarray


@dataclass
class Leads:
    """(l,) leads. budget … timeline and grade are codes into `answers` and `grades`."""

    index: Index
    contact: np.ndarray
    account: np.ndarray
    solution: np.ndarray
    source: np.ndarray
    sources: Words
    born: np.ndarray
    behavior_score: Column
    grade: Column
    fields_filled: np.ndarray
    bant: dict[str, Column]
    status: Column
    closed: np.ndarray
    qualified: np.ndarray


@dataclass
class Reps:
    """(r,) reps. regions and product_lines are codes of distinct lists, spelled out in `lists`."""

    index: Index
    name: np.ndarray
    role: Column
    roles: Words
    segment: Column
    regions: Column
    product_lines: Column
    industries: np.ndarray
    lists: Words
    hired: np.ndarray
    focus: np.ndarray
    focuses: Words
    capacity: Column
    timezone: np.ndarray
    country: np.ndarray
    active_until: np.ndarray
    pilot: np.ndarray


class Cast:
    """Every entity of a snapshot, with codes that are places in the sorted ids and in the sorted words."""

    def __init__(self, tables: Tables, history: History) -> None:
        self.tables, self.history = tables, history
        self.frames = {
            name: ordered(facts(tables, name), key)
            for name, key in (
                ("accounts", "account_id"), ("contacts", "contact_id"), ("leads", "lead_id"), ("reps", "rep_id"),
            )
        }  # fmt: skip
        self.account_index = Index("account", self.frames["accounts"]["account_id"].to_numpy())
        self.contact_index = Index("contact", self.frames["contacts"]["contact_id"].to_numpy())
        self.lead_index = Index("lead", self.frames["leads"]["lead_id"].to_numpy())
        self.rep_index = Index("rep", self.frames["reps"]["rep_id"].to_numpy())
        self._name_words()
        self.accounts = self._accounts()
        self.contacts = self._contacts()
        self.leads = self._leads()
        self.reps = self._reps()

    def _said(self, table: str, column: str) -> Words:
        return Words(texts(self.frames[table], column), self.history.texts(table, column))

    def _name_words(self) -> None:
        reps, accounts = self.frames["reps"], self.frames["accounts"]
        lines = [texts(reps, "product_lines"), self.history.texts("reps", "product_lines")]
        self.lists = Words(
            *lines, texts(reps, "regions"), texts(reps, "industries"), self.history.texts("reps", "regions")
        )
        spoken = [
            texts(facts(self.tables, name), "solution")
            for name in ("leads", "activities", "opportunities", "campaigns")
        ]
        listed = {item for column in lines for text in column if text is not None for item in split(text)}
        wishes = facts(self.tables, "preferences")
        self.solutions = Words(
            *spoken,
            np.array(sorted(listed), dtype=object),
            texts(wishes[wishes["subject"] == "solution"], "subject_id"),
        )
        self.regions = Words(texts(accounts, "region"))
        self.countries = Words(texts(accounts, "country"), texts(reps, "country"))
        self.segments = Words(
            *(texts(self.frames[t], "segment") for t in ("accounts", "reps")),
            *(self.history.texts(t, "segment") for t in ("accounts", "reps")),
        )
        self.statuses = self._said("accounts", "status")
        self.answers = {c: self._said("leads", c) for c in BANT}
        self.grades, self.lead_statuses = self._said("leads", "grade"), self._said("leads", "status")

    def _accounts(self) -> Accounts:
        frame, index = self.frames["accounts"], self.account_index

        def read(column: str, words: Words | Index | None) -> Column:
            return self.history.column("accounts", column, frame, index, words)

        return Accounts(
            index=index, name=texts(frame, "name"), parent=index.find(frame["parent_account_id"]),
            naics=texts(frame, "naics"), sic=texts(frame, "sic"),
            country=self.countries.codes(texts(frame, "country")), region=self.regions.codes(texts(frame, "region")),
            customer_since=instants(frame, "customer_since"), born=born(frame, "created_at"),
            status=read("status", self.statuses), owner=read("owner_rep_id", self.rep_index),
            churn_risk=read("churn_risk", None), revenue=read("annual_revenue", None),
            employees=read("employees", None), segment=read("segment", self.segments),
        )  # fmt: skip

    def _contacts(self) -> Contacts:
        frame, index = self.frames["contacts"], self.contact_index
        titles = self._said("contacts", "title")
        return Contacts(
            index=index,
            account=self.history.column("contacts", "account_id", frame, index, self.account_index),
            title=self.history.column("contacts", "title", frame, index, titles), titles=titles,
            function=texts(frame, "function"), seniority=texts(frame, "seniority"),
            reports_to=self.history.column("contacts", "reports_to", frame, index, index),
            objects=flags(frame, "objects_to_profiling") == 1.0, born=born(frame, "created_at"),
        )  # fmt: skip

    def _leads(self) -> Leads:
        frame, index = self.frames["leads"], self.lead_index
        sources = Words(texts(frame, "source"))

        def read(column: str, words: Words | None) -> Column:
            return self.history.column("leads", column, frame, index, words)

        return Leads(
            index=index, contact=self.contact_index.find(frame["contact_id"]),
            account=self.account_index.find(frame["account_id"]),
            solution=self.solutions.codes(texts(frame, "solution")),
            source=sources.codes(texts(frame, "source")), sources=sources, born=born(frame, "created_at"),
            behavior_score=read("behavior_score", None), grade=read("grade", self.grades),
            fields_filled=numbers(frame, "fields_filled"),
            bant={c: read(c, words) for c, words in self.answers.items()},
            status=read("status", self.lead_statuses), closed=instants(frame, "closed_at"),
            qualified=instants(frame, "qualified_at"),
        )  # fmt: skip

    def _reps(self) -> Reps:
        frame, index = self.frames["reps"], self.rep_index
        roles = self._said("reps", "role")
        focuses = Words(texts(frame, "focus"))

        def read(column: str, words: Words | None) -> Column:
            return self.history.column("reps", column, frame, index, words)

        return Reps(
            index=index, name=texts(frame, "name"), role=read("role", roles), roles=roles,
            segment=read("segment", self.segments), regions=read("regions", self.lists),
            product_lines=read("product_lines", self.lists),
            industries=self.lists.codes(texts(frame, "industries")), lists=self.lists,
            hired=instants(frame, "hired_at"), focus=focuses.codes(texts(frame, "focus")), focuses=focuses,
            capacity=read("weekly_capacity", None), timezone=texts(frame, "timezone"),
            country=self.countries.codes(texts(frame, "country")), active_until=instants(frame, "active_until"),
            pilot=flags(frame, "pilot"),
        )  # fmt: skip

    def account_of(self, lead: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) the account of each lead: its own, else its contact's as of t."""
        given = self.leads.account[lead]
        return np.where(given >= 0, given, self.contacts.account.read(self.leads.contact[lead], t, latest=True))


def split(text: str | None) -> tuple[str, ...]:
    """The items of a list in a cell."""
    return tuple(item.strip() for item in text.split(";") if item.strip()) if text else ()


def members(lists: Words, items: Words) -> np.ndarray:
    """(lists, items) bool: which items each distinct list names."""
    place = {item: i for i, item in enumerate(items.values)}
    table = np.zeros((max(len(lists), 1), max(len(items), 1)), dtype=bool)
    for row, text in enumerate(lists.values):
        for item in split(text):
            if item in place:
                table[row, place[item]] = True
    return table
