"""The book's event logs, made once from the tables: who did what, sorted by entity and the instant it became known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.asof import DAY, NAT, Column, Latest, Log, Pairs, Sums, later
from features.entities import Index, born, facts, instants, ordered, texts
from features.outcomes import REJECTED, Decided

#: Days for which an activity, and a rep's own touch, count as recent.
WINDOW, TOUCHED = 90, 30

if TYPE_CHECKING:
    from features.known import Known


@dataclass
class ActivityLogs:
    """Activities by contact, by account, and by either with the solution that they were about.

    logs   since when each is known; stale: since when it is known and out of the window of WINDOW days
    """

    logs: dict[str, Log]
    stale: dict[str, Log]
    contact_solution: Pairs
    account_solution: Pairs
    last_by_contact: Latest

    def __getitem__(self, name: str) -> Log:
        return self.logs[name]

    @classmethod
    def of(cls, cast: Known) -> ActivityLogs:
        """Read the activities; an activity belongs to the account that its contact was at when it became known."""
        frame = facts(cast.tables, "activities")
        contact, known = cast.contact_index.find(frame["contact_id"]), born(frame, "occurred_at")
        account = cast.contacts.account.read(contact, known, latest=True)
        solution = cast.solutions.codes(texts(frame, "solution"))
        contact_solution = Pairs(contact, solution, len(cast.solutions))
        account_solution = Pairs(account, solution, len(cast.solutions))
        keys = {
            "by_contact": (contact, len(cast.contact_index)), "by_account": (account, len(cast.account_index)),
            "by_contact_solution": (contact_solution.members, len(contact_solution)),
            "by_account_solution": (account_solution.members, len(account_solution)),
        }  # fmt: skip
        occurred = instants(frame, "occurred_at")
        leaves = np.where(known == NAT, NAT, later(known, occurred + WINDOW * DAY))
        logs = {name: Log(key, known, size) for name, (key, size) in keys.items()}
        return cls(
            logs=logs, stale={name: Log(key, leaves, size) for name, (key, size) in keys.items()},
            contact_solution=contact_solution, account_solution=account_solution,
            last_by_contact=Latest(logs["by_contact"], occurred),
        )  # fmt: skip


@dataclass
class RepAccountLogs:
    """What each rep did at each account: meetings (rows into `starts` and `cancelled`) and touches."""

    pairs: Pairs
    meetings: Log
    starts: np.ndarray
    cancelled: np.ndarray
    touches: Log
    stale_touches: Log
    last_touch: Latest

    @classmethod
    def of(cls, cast: Known) -> RepAccountLogs:
        """Read meetings and touches under one set of (rep, account) pairs."""
        met, touched = facts(cast.tables, "meetings"), facts(cast.tables, "touches")
        contact, known = cast.contact_index.find(touched["contact_id"]), born(touched, "occurred_at")
        account = cast.contacts.account.read(contact, known, latest=True)
        rep = np.concatenate([cast.rep_index.find(met["rep_id"]), cast.rep_index.find(touched["rep_id"])])
        pairs = Pairs(
            rep, np.concatenate([cast.account_index.find(met["account_id"]), account]), len(cast.account_index)
        )
        meetings, touches = pairs.members[: len(met)], pairs.members[len(met) :]
        by_touch = Log(touches, known, len(pairs))
        by_known, occurred = known, instants(touched, "occurred_at")
        return cls(
            pairs=pairs, meetings=Log(meetings, born(met, "created_at"), len(pairs)),
            starts=instants(met, "starts_at"), cancelled=instants(met, "cancelled_at"),
            touches=by_touch, stale_touches=Log(touches, later(by_known, occurred + TOUCHED * DAY), len(pairs)),
            last_touch=Latest(by_touch, occurred),
        )  # fmt: skip


@dataclass
class OpportunityLogs:
    """Opportunities of each account and of each (rep, account); weight, amount and expected close as of an instant.

    Each dictionary has two views: "account" (every rep's) and "own" (keyed by `pairs`, the rep's own).
    """

    pairs: Pairs
    opened: dict[str, Log]
    closed: dict[str, Log]
    won: dict[str, Sums]
    lost: dict[str, Sums]
    last_won: Latest
    closed_at: np.ndarray
    weight: Column
    amount: Column
    expected_close: Column

    @classmethod
    def of(cls, cast: Known) -> OpportunityLogs:
        """Read the opportunities; the outcome is known since closed_at."""
        frame = ordered(facts(cast.tables, "opportunities"), "opportunity_id")
        index = Index("opportunity", frame["opportunity_id"].to_numpy())
        account, rep = cast.account_index.find(frame["account_id"]), cast.rep_index.find(frame["rep_id"])
        opened, closed = born(frame, "opened_at"), instants(frame, "closed_at")
        closed = np.where(closed == NAT, NAT, later(closed, opened))
        pairs = Pairs(rep, account, len(cast.account_index))
        keys = {"account": (account, len(cast.account_index)), "own": (pairs.members, len(pairs))}
        outcome = texts(frame, "outcome")
        opened_logs = {name: Log(key, opened, size) for name, (key, size) in keys.items()}
        closed_logs = {name: Log(key, closed, size) for name, (key, size) in keys.items()}
        won_at = Log(account, np.where(outcome == "won", closed, NAT), len(cast.account_index))
        read = cast.opportunity_history.column
        return cls(
            pairs=pairs, opened=opened_logs, closed=closed_logs,
            won={n: Sums(log, (outcome == "won").astype(float)) for n, log in closed_logs.items()},
            lost={n: Sums(log, (outcome == "lost").astype(float)) for n, log in closed_logs.items()},
            last_won=Latest(won_at, closed), closed_at=closed,
            weight=read("forecast_weight", frame, index, None),
            amount=read("amount", frame, index, None),
            expected_close=read("expected_close", frame, index, None),
        )  # fmt: skip


@dataclass
class Tally:
    """Hits and offers of each key, cumulated in the order in which they became known."""

    log: Log
    hits: Sums
    count: Sums

    @classmethod
    def of(cls, key: np.ndarray, size: int, decided: Decided) -> Tally:
        """Cumulate entries under the key (o,) of their offer."""
        log = Log(key[decided.row], decided.known, size)
        return cls(log, Sums(log, decided.hits), Sums(log, decided.count))

    def before(self, key: np.ndarray, t: np.ndarray, since: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(hits, offers) of each key known strictly before t (and not before `since`), (n,) float64."""
        start, stop = self.log.span(key, t, before=True)
        if since is not None:
            _, start = self.log.span(key, since, before=True)
        return self.hits.between(start, stop), self.count.between(start, stop)


@dataclass
class RateLog:
    """Acceptances and conversions of the offers of one kind of key."""

    accept: Tally
    convert: Tally

    @classmethod
    def of(cls, key: np.ndarray, size: int, cast: Known) -> RateLog:
        """Tally the past offers under each key (o,)."""
        outcome = cast.outcomes
        return cls(Tally.of(key, size, outcome.acceptances()), Tally.of(key, size, outcome.conversions()))


@dataclass
class OfferLogs:
    """The reps' record: rates by rep, role, solution, and by rep with solution, function, sector and account."""

    all: RateLog
    rep: RateLog
    role: RateLog
    solution: RateLog
    rep_solution: tuple[Pairs, RateLog]
    rep_function: tuple[Pairs, RateLog]
    rep_sector: tuple[Pairs, RateLog]
    rep_account: tuple[Pairs, RateLog]
    made: Log
    response: Sums
    response_log: Log

    @classmethod
    def of(cls, cast: Known) -> OfferLogs:
        """Read the past offers under each key."""
        outcome = cast.outcomes
        lead, rep = outcome.lead, outcome.rep
        account = cast.account_of(lead, outcome.offered)
        contact = cast.leads.contact[lead]
        role = cast.reps.role.read(rep, outcome.offered, latest=True)

        def paired(code: np.ndarray, width: int) -> tuple[Pairs, RateLog]:
            pairs = Pairs(rep, code, width)
            return pairs, RateLog.of(pairs.members, len(pairs), cast)

        given = outcome.answered != NAT
        hours = np.where(given, (outcome.answered - outcome.offered) / (DAY / 24), 0.0)
        answered = Log(rep, np.where(given & (outcome.answer <= REJECTED), outcome.answered, NAT), len(cast.rep_index))
        return cls(
            all=RateLog.of(np.zeros(len(rep), np.int64), 1, cast),
            rep=RateLog.of(rep, len(cast.rep_index), cast),
            role=RateLog.of(role, max(len(cast.reps.roles), 1), cast),
            solution=RateLog.of(cast.leads.solution[lead], max(len(cast.solutions), 1), cast),
            rep_solution=paired(cast.leads.solution[lead], len(cast.solutions)),
            rep_function=paired(cast.people.function_at(contact, outcome.offered), len(cast.people.functions)),
            rep_sector=paired(cast.sectors.code[account], len(cast.sectors.values)),
            rep_account=paired(account, len(cast.account_index)),
            made=Log(rep, outcome.known, len(cast.rep_index)),
            response=Sums(answered, np.clip(hours, 0.0, 24 * 14.0)), response_log=answered,
        )  # fmt: skip


def quarter_end(t: np.ndarray) -> np.ndarray:
    """(n,) first instant after the calendar quarter (UTC) of each instant."""
    month = t.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    end = (month // 3 + 1) * 3
    return end.astype("datetime64[M]").astype("datetime64[us]").view(np.int64)
