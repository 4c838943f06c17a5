"""The cast of the book: accounts, contacts, leads and reps as numpy columns, and the words behind their codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

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
    """Every entity of a snapshot, with codes that are places in the sorted ids and in the sorted words.

    Each part is made when it is first asked for, from the tables and parts that `features.renewal` says.
    """

    def __init__(self, tables: Tables, assume_constant: Sequence[str]) -> None:
        self.tables, self.assume_constant = tables, tuple(assume_constant)

    # -- rows in the order of their codes ---------------------------------------------------------------------------

    @cached_property
    def account_frame(self) -> pd.DataFrame:
        """Accounts in the order of their codes."""
        return ordered(facts(self.tables, "accounts"), "account_id")

    @cached_property
    def contact_frame(self) -> pd.DataFrame:
        """Contacts in the order of their codes."""
        return ordered(facts(self.tables, "contacts"), "contact_id")

    @cached_property
    def lead_frame(self) -> pd.DataFrame:
        """Leads in the order of their codes."""
        return ordered(facts(self.tables, "leads"), "lead_id")

    @cached_property
    def rep_frame(self) -> pd.DataFrame:
        """Reps in the order of their codes."""
        return ordered(facts(self.tables, "reps"), "rep_id")

    @cached_property
    def account_index(self) -> Index:
        """Codes of the accounts."""
        return Index("account", self.account_frame["account_id"].to_numpy())

    @cached_property
    def contact_index(self) -> Index:
        """Codes of the contacts."""
        return Index("contact", self.contact_frame["contact_id"].to_numpy())

    @cached_property
    def lead_index(self) -> Index:
        """Codes of the leads."""
        return Index("lead", self.lead_frame["lead_id"].to_numpy())

    @cached_property
    def rep_index(self) -> Index:
        """Codes of the reps."""
        return Index("rep", self.rep_frame["rep_id"].to_numpy())

    # -- what `changes` tells, by the table that it tells of ----------------------------------------------------------

    @cached_property
    def account_history(self) -> History:
        """Past values of the accounts."""
        return History.of(self.tables, "accounts", self.assume_constant)

    @cached_property
    def contact_history(self) -> History:
        """Past values of the contacts."""
        return History.of(self.tables, "contacts", self.assume_constant)

    @cached_property
    def lead_history(self) -> History:
        """Past values of the leads."""
        return History.of(self.tables, "leads", self.assume_constant)

    @cached_property
    def rep_history(self) -> History:
        """Past values of the reps."""
        return History.of(self.tables, "reps", self.assume_constant)

    @cached_property
    def opportunity_history(self) -> History:
        """Past values of the opportunities."""
        return History.of(self.tables, "opportunities", self.assume_constant)

    # -- words ------------------------------------------------------------------------------------------------------

    @cached_property
    def lists(self) -> Words:
        """The distinct lists of the reps' regions, product lines and industries."""
        reps, history = self.rep_frame, self.rep_history
        lines = [texts(reps, "product_lines"), history.texts("product_lines")]
        return Words(*lines, texts(reps, "regions"), texts(reps, "industries"), history.texts("regions"))

    @cached_property
    def solutions(self) -> Words:
        """Every solution that is named anywhere."""
        spoken = [
            texts(facts(self.tables, name), "solution")
            for name in ("leads", "activities", "opportunities", "campaigns")
        ]
        lines = texts(self.rep_frame, "product_lines"), self.rep_history.texts("product_lines")
        listed = {item for column in lines for text in column if text is not None for item in split(text)}
        wishes = facts(self.tables, "preferences")
        return Words(
            *spoken,
            np.array(sorted(listed), dtype=object),
            texts(wishes[wishes["subject"] == "solution"], "subject_id"),
        )

    @cached_property
    def regions(self) -> Words:
        """The accounts' regions."""
        return Words(texts(self.account_frame, "region"))

    @cached_property
    def countries(self) -> Words:
        """Countries of accounts and reps."""
        return Words(texts(self.account_frame, "country"), texts(self.rep_frame, "country"))

    @cached_property
    def segments(self) -> Words:
        """Segments of accounts and reps."""
        return Words(
            texts(self.account_frame, "segment"), texts(self.rep_frame, "segment"),
            self.account_history.texts("segment"), self.rep_history.texts("segment"),
        )  # fmt: skip

    @cached_property
    def statuses(self) -> Words:
        """The accounts' statuses."""
        return Words(texts(self.account_frame, "status"), self.account_history.texts("status"))

    @cached_property
    def answers(self) -> dict[str, Words]:
        """What the leads said of each of BANT."""
        return {c: Words(texts(self.lead_frame, c), self.lead_history.texts(c)) for c in BANT}

    @cached_property
    def grades(self) -> Words:
        """The leads' grades."""
        return Words(texts(self.lead_frame, "grade"), self.lead_history.texts("grade"))

    @cached_property
    def lead_statuses(self) -> Words:
        """The leads' statuses."""
        return Words(texts(self.lead_frame, "status"), self.lead_history.texts("status"))

    # -- entities ---------------------------------------------------------------------------------------------------

    @cached_property
    def accounts(self) -> Accounts:
        """The accounts."""
        frame, index = self.account_frame, self.account_index

        def read(column: str, words: Words | Index | None) -> Column:
            return self.account_history.column(column, frame, index, words)

        return Accounts(
            index=index, name=texts(frame, "name"), parent=index.find(frame["parent_account_id"]),
            naics=texts(frame, "naics"), sic=texts(frame, "sic"),
            country=self.countries.codes(texts(frame, "country")), region=self.regions.codes(texts(frame, "region")),
            customer_since=instants(frame, "customer_since"), born=born(frame, "created_at"),
            status=read("status", self.statuses), owner=read("owner_rep_id", self.rep_index),
            churn_risk=read("churn_risk", None), revenue=read("annual_revenue", None),
            employees=read("employees", None), segment=read("segment", self.segments),
        )  # fmt: skip

    @cached_property
    def contacts(self) -> Contacts:
        """The contacts."""
        frame, index, history = self.contact_frame, self.contact_index, self.contact_history
        titles = Words(texts(frame, "title"), history.texts("title"))
        return Contacts(
            index=index, account=history.column("account_id", frame, index, self.account_index),
            title=history.column("title", frame, index, titles), titles=titles,
            function=texts(frame, "function"), seniority=texts(frame, "seniority"),
            reports_to=history.column("reports_to", frame, index, index),
            objects=flags(frame, "objects_to_profiling") == 1.0, born=born(frame, "created_at"),
        )  # fmt: skip

    @cached_property
    def leads(self) -> Leads:
        """The leads."""
        frame, index = self.lead_frame, self.lead_index
        sources = Words(texts(frame, "source"))

        def read(column: str, words: Words | None) -> Column:
            return self.lead_history.column(column, frame, index, words)

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

    @cached_property
    def reps(self) -> Reps:
        """The reps."""
        frame, index = self.rep_frame, self.rep_index
        roles = Words(texts(frame, "role"), self.rep_history.texts("role"))
        focuses = Words(texts(frame, "focus"))

        def read(column: str, words: Words | None) -> Column:
            return self.rep_history.column(column, frame, index, words)

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
