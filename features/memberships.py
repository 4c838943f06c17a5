"""Who belongs to what, and from when until when: the facts from which the contact graphs are made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pandas as pd

from features.asof import NAT, NEVER, Column, expand, later
from features.entities import Index, Tables, born, facts, instants, ordered


class Hub(IntEnum):
    """What contacts of one account may have in common."""

    SOLUTION_INTEREST = 0
    REPORTS_TO = 1
    MET_TOGETHER = 2
    SAME_OPPORTUNITY = 3


#: Tables that tell whom a rep works; where a source has none of them, nothing is known of anybody's work.
WORK_TABLES = frozenset({"touches", "meetings", "opportunities"})


@dataclass(frozen=True)
class Spans:
    """(m,) facts of contacts, each holding for since <= t < until, where t is the instant at which one asks.

    contact, hub    codes; the codes of one kind of hub are apart from those of another
    at              the fact's own instant
    rep             code of the rep whose work it is, -1 for nobody's
    """

    contact: np.ndarray
    hub: np.ndarray
    since: np.ndarray
    until: np.ndarray
    at: np.ndarray
    rep: np.ndarray

    @classmethod
    def of(
        cls,
        contact: np.ndarray,
        hub: np.ndarray,
        since: np.ndarray,
        until: np.ndarray | None = None,
        at: np.ndarray | None = None,
        rep: np.ndarray | None = None,
    ) -> Spans:
        """Facts that hold for ever where `until` is not given, dated by `since` where `at` is not."""
        size = len(contact)
        return cls(
            contact, hub, since,
            np.full(size, NEVER) if until is None else until,
            since if at is None else at,
            np.full(size, -1, np.int64) if rep is None else rep,
        )  # fmt: skip

    def take(self, rows: np.ndarray) -> Spans:
        """Some of the rows: positions or a mask."""
        return Spans(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def known(self) -> Spans:
        """The rows that name a contact and a hub, and hold at some instant."""
        return self.take((self.contact >= 0) & (self.hub >= 0) & (self.since != NAT) & (self.since < self.until))

    @classmethod
    def joined(cls, *parts: Spans) -> Spans:
        """The rows of all parts."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Presence:
    """(p,) spans in which a contact is known to be at an account, sorted by account, contact, since; disjoint.

    place         the contact's place among those who ever were at the account, by code: his node there
    starts        (accounts + 1,) an account's rows
    contact_order, contact_starts   the same rows by contact
    """

    account: np.ndarray
    contact: np.ndarray
    since: np.ndarray
    until: np.ndarray
    place: np.ndarray
    starts: np.ndarray
    contact_order: np.ndarray
    contact_starts: np.ndarray

    @classmethod
    def of(cls, account: Column, contact_born: np.ndarray, accounts: int) -> Presence:
        """Follow each contact's account: `account` is the column contacts.account_id with its history."""
        # As Book.account_of: where history is silent, the contact is where the table says.
        contact, value, since, until = column_spans(account, contact_born, latest=True)
        (value, contact), since, until = union((value, contact), since, until)
        starts = np.searchsorted(value, np.arange(accounts + 1))
        fresh = np.ones(len(value), np.int64)
        fresh[1:] = (value[1:] != value[:-1]) | (contact[1:] != contact[:-1])
        place = np.cumsum(fresh) - 1
        place -= place[starts[value]]
        order = np.argsort(contact, kind="stable")
        by_contact = np.searchsorted(contact[order], np.arange(len(contact_born) + 1))
        return cls(value, contact, since, until, place, starts, order, by_contact)

    def split(self, contact: np.ndarray, since: np.ndarray, until: np.ndarray) -> tuple[np.ndarray, ...]:
        """Cut (m,) facts of contacts at the instants at which they change accounts: (row, account, since, until)."""
        row, place = expand(self.contact_starts[contact], self.contact_starts[contact + 1])
        stay = self.contact_order[place]
        since, until = np.maximum(since[row], self.since[stay]), np.minimum(until[row], self.until[stay])
        held = since < until
        return row[held], self.account[stay][held], since[held], until[held]


@dataclass(frozen=True)
class Memberships:
    """(m,) rows: a contact belongs to a hub of an account for since <= t < until.

    Sorted by account, kind, hub, contact, since; the spans of one (account, kind, hub, contact) are disjoint. Sums run
    in this order, and it must not depend on facts of the future: so a code must be a place in the sorted ids, where
    an id more shifts the others and keeps their order.

    starts      (accounts + 1,) an account's rows
    """

    account: np.ndarray
    kind: np.ndarray
    hub: np.ndarray
    contact: np.ndarray
    since: np.ndarray
    until: np.ndarray
    starts: np.ndarray
    presence: Presence

    @classmethod
    def of(cls, presence: Presence, kinds: dict[Hub, Spans]) -> Memberships:
        """Place the facts of each kind in the accounts at which their contacts were."""
        parts = []
        for kind, spans in kinds.items():
            told = spans.known()
            row, account, since, until = presence.split(told.contact, told.since, told.until)
            parts.append((account, np.full(len(row), int(kind)), told.hub[row], told.contact[row], since, until))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        (account, code, hub, contact), since, until = union(tuple(columns[:4]), columns[4], columns[5])
        starts = np.searchsorted(account, np.arange(len(presence.starts)))
        return cls(account, code, hub, contact, since, until, starts, presence)

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self.starts) - 1


def read_meetings(tables: Tables, contacts: Index, reps: Index) -> Spans:
    """Contacts of meetings: they met once it began, if it was booked and known by then, and until it is cancelled."""
    frame, attendees = ordered(facts(tables, "meetings"), "meeting_id"), facts(tables, "meeting_contacts")
    index = Index("meeting", frame["meeting_id"].to_numpy())
    starts = instants(frame, "starts_at")
    cancelled = instants(frame, "cancelled_at")
    until = np.where(cancelled == NAT, NEVER, cancelled)
    since = later(starts, born(frame, "created_at"))
    return _with_others(
        frame, "contact_id", attendees, index.find(attendees["meeting_id"]), contacts, reps, since, until, starts
    )


def read_opportunities(tables: Tables, contacts: Index, reps: Index) -> Spans:
    """Contacts of opportunities, known strictly after opening: one may be the outcome of an offer made at t."""
    frame = ordered(facts(tables, "opportunities"), "opportunity_id")
    others = facts(tables, "opportunity_contacts")
    index = Index("opportunity", frame["opportunity_id"].to_numpy())
    until = np.full(len(frame), NEVER)
    since = born(frame, "opened_at") + 1
    opened = instants(frame, "opened_at")
    return _with_others(
        frame, "contact_id", others, index.find(others["opportunity_id"]), contacts, reps, since, until, opened
    )


def _with_others(
    frame: pd.DataFrame, column: str, others: pd.DataFrame, other_row: np.ndarray, contacts: Index, reps: Index,
    since: np.ndarray, until: np.ndarray, at: np.ndarray,
) -> Spans:  # fmt: skip
    """The contact that a row itself names, and those of its table of contacts; `frame` is in the order of its codes."""
    kept = np.flatnonzero(other_row >= 0)
    row = np.concatenate([np.arange(len(frame)), other_row[kept]])
    known = np.concatenate([np.full(len(frame), NAT), instants(others, "known_at")[kept]])
    contact = np.concatenate([contacts.find(frame[column]), contacts.find(others["contact_id"])[kept]])
    rep = reps.find(frame["rep_id"])
    return Spans(contact, row, later(since[row], known), until[row], at[row], rep[row])


def read_lines(reports_to: Column, contact_born: np.ndarray) -> Spans:
    """Reporting lines, one hub per manager: those who report to him, as `changes` tells it, and himself."""
    contact, manager, since, until = column_spans(reports_to, contact_born)
    line = Spans.of(contact, manager, since, until)
    heads = np.unique(line.hub)
    # A line of which only the head is there ties nobody, so it does not matter when the first report joins.
    return Spans.joined(line, Spans.of(heads, heads, contact_born[heads]))


def column_spans(column: Column, entity_born: np.ndarray, *, latest: bool = False) -> tuple[np.ndarray, ...]:
    """A column of codes as (entity, value, since, until): what Column.read answers at each instant, nulls left out."""
    base = column.base if latest else column.early
    entities = np.arange(len(entity_born), dtype=np.int64)
    base_until = np.full(len(entity_born), NEVER)
    entity, value, since, until = entities, base, entity_born, base_until
    if column.log is not None and len(column.values):
        log = column.log
        owner, at = log.code // log.stride, log.instants[log.code % log.stride]
        following = np.full(len(at), NEVER)
        following[:-1] = np.where(owner[1:] == owner[:-1], at[1:], NEVER)
        changed = log.starts[1:] > log.starts[:-1]
        base_until[changed] = at[log.starts[:-1][changed]]
        entity, value = np.concatenate([entities, owner]), np.concatenate([base, column.values])
        since = np.concatenate([entity_born, np.maximum(at, entity_born[owner])])
        until = np.concatenate([base_until, following])
    held = (value >= 0) & (since < until) & (since != NAT)
    return entity[held], value[held].astype(np.int64), since[held], until[held]


def union(
    keys: tuple[np.ndarray, ...], since: np.ndarray, until: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Join overlapping and touching spans of equal keys; sorted by the keys in turn, then by since."""
    order = np.lexsort((since, *reversed(keys)))
    keys, since, until = tuple(k[order] for k in keys), since[order], until[order]
    if not len(since):
        return keys, since, until
    fresh = np.ones(len(since), bool)
    fresh[1:] = np.any([k[1:] != k[:-1] for k in keys], axis=0)
    group = np.cumsum(fresh)
    # One running maximum over all groups at once: each group's ranks are lifted above those before it.
    levels, rank = np.unique(until, return_inverse=True)
    reach = levels[np.maximum.accumulate(group * len(levels) + rank) - group * len(levels)]
    fresh[1:] |= since[1:] > reach[:-1]
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(since)) - 1
    return tuple(k[first] for k in keys), since[first], reach[last]
