"""Plans a week: the open leads to the reps, worth most first, model and rules in turns, each rep up to his room."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import numpy as np

from features.asof import NEVER
from features.book import Book
from features.eligibility import RULES, passes, refusals
from features.errors import InputError
from models.assignment import drafted
from serving import deadline, metrics, traces
from serving.actor import Actor
from serving.decide import Decider
from serving.decided import Decided, replayed
from serving.instants import iso, micros, moment, monday_of
from serving.ledger import late
from serving.ledger.audit import record
from serving.ledger.change import Change, changing
from serving.ledger.decisions import Decision, inputs_hash, row_of
from serving.ledger.details import numbers
from serving.ledger.idempotency import Once, keep
from serving.ledger.offers import Desk
from serving.ledger.unplaced import DATA, PERSON, PLAN, Unplaced, listed, put
from serving.policy import first_turns
from serving.reasons import facts_of
from serving.recommend import Answer, Recommender
from serving.uptodate import Moved

#: Pairs that are judged at once: bounds the memory, and the time until the deadline is looked at again.
CHUNK: Final = 10_000
FULL: Final = RULES.index("capacity_full") + 1
#: More places than there are leads.
NO_LIMIT: Final = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """(n,) pairs that may be, by codes of the book, with what they are worth; side: as `Order` tells it."""

    lead: np.ndarray
    rep: np.ndarray
    score: np.ndarray
    p_accept: np.ndarray
    p_convert: np.ndarray
    value: np.ndarray
    side: np.ndarray

    def priority(self) -> np.ndarray:
        """(n,) place of each pair among those of its side: by expected value, then score, then lead and rep."""
        value = np.where(np.isnan(self.value), -np.inf, self.value)
        place = np.empty(len(value), np.int64)
        place[np.lexsort((self.rep, self.lead, -self.score, -value))] = np.arange(len(value))
        return place

    def rank(self) -> np.ndarray:
        """(n,) place of each pair's rep, from 1, among those who may take its lead."""
        order = np.lexsort((self.priority(), self.lead))
        _, start = np.unique(self.lead[order], return_index=True)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order)))) + 1
        return rank


def week_instant(week: str, now: int, *, commit: bool) -> int:
    """An instant of an ISO week, UTC, microseconds: now where it is this week's.

    Raises InputError for no week, a week that is over, and a coming one that is to be committed
    """
    first = monday_of(week, "week")
    today = datetime.fromtimestamp(now / 1e6, UTC).date()
    this = today - timedelta(days=today.weekday())
    if first < this:
        raise InputError(f"The week {week} is over.", field="week")
    if first == this:
        return now
    if commit:
        raise InputError("Only the current week can be committed; ask for a coming one with dry_run.", field="week")
    return micros(datetime(first.year, first.month, first.day, 12, tzinfo=UTC) + timedelta(days=2))


@dataclass(frozen=True)
class Plan:
    """What a plan came to, before it is committed."""

    recommender: Recommender
    now: int
    look: Look
    pairs: Pairs
    chosen: np.ndarray
    because: Mapping[str, Unplaced]
    room: np.ndarray

    def assignments(self) -> list[Answer]:
        """The chosen pairs, worth most first, those of the model and of the rules in turns."""
        book, p = self.recommender.book, self.pairs
        numbered = (numbers(a[self.chosen]) for a in (p.score, p.p_accept, p.p_convert, p.value))
        ids = (book.lead_ids[p.lead[self.chosen]], book.rep_ids[p.rep[self.chosen]])
        return [
            {"lead_id": str(lead), "rep_id": str(rep), "offer_id": None, "score": s, "p_accept": a, "p_convert": c,
             "expected_value": v}
            for lead, rep, s, a, c, v in zip(*ids, *numbered, strict=True)
        ]  # fmt: skip

    def detail(self) -> dict[str, Any]:
        """What explains it: by lead, the scores and features of its pair, and where the rep stood among its reps.

        by_rep   of each rep, how many of the leads each rule kept from him; asked: how many leads there were
        """
        lead, rep = self.pairs.lead[self.chosen], self.pairs.rep[self.chosen]
        order = self.recommender.quiet.judge(lead, rep, self.now)[1](np.arange(len(lead)))  # it was ranked before
        ids = [str(one) for one in self.recommender.book.lead_ids[lead]]
        rows = [numbers(vector) for vector in order.matrix.values] if order.matrix is not None else []
        return {
            "ranked": "lead_id", "scored": len(self.pairs.lead), "candidates": ids, "refused": {},
            "score": numbers(order.score), "p_accept": numbers(order.p_accept), "p_convert": numbers(order.p_convert),
            "expected_value": numbers(order.value), "propensity": [None] * len(ids),
            "rank": self.pairs.rank()[self.chosen].tolist(), "asked": len(self.look.leads), "by_rep": self._by_rep(),
            "columns": list(order.matrix.columns) if order.matrix is not None else [],
            "vectors": dict(zip(ids, rows, strict=False)),
            "facts": dict(zip(ids, facts_of(self.recommender.book, self.recommender.config, lead, rep, self.now),
                              strict=True)),
        }  # fmt: skip

    def _by_rep(self) -> dict[str, dict[str, int]]:
        counts = self.look.refused_rep[:, 1:].copy()
        # Who could have taken a lead that nobody gets had no room left.
        lost = ~np.isin(self.pairs.lead, self.pairs.lead[self.chosen])
        counts[:, FULL - 1] += np.bincount(self.pairs.rep[lost], minlength=len(counts))
        return {
            str(rep): {rule: n for rule, n in zip(RULES, row, strict=True) if n}
            for rep, row in zip(self.recommender.book.rep_ids, counts.tolist(), strict=True)
        }

    def left(self) -> dict[str, int]:
        """Places that are left by rep; a rep without a limit is not named."""
        used = np.bincount(self.pairs.rep[self.chosen], minlength=len(self.room))
        return {
            str(rep): int(room - taken)
            for rep, room, taken in zip(self.recommender.book.rep_ids, self.room, used, strict=True)
            if room < NO_LIMIT
        }


class Look:
    """What filters and ranking say of every pair of some leads and all reps, part by part.

    at                         (reps,) when the filters are asked: now; for a coming week, when the rep is first there
                               in it, so that none of it is for who is away, gone or not yet there for all of it
    refused_lead, refused_rep  (leads, rules + 1), (reps, rules + 1): how many pairs of each every rule refuses; 0: none
    ends                       (leads,) when the first of a lead's refusals ends by itself
    order                      the last that was ranked; digest: SHA-256 of the features of all that were
    """

    def __init__(self, recommender: Recommender, leads: np.ndarray, now: int, t: int) -> None:
        self.recommender, self.leads, self.now, self.t = recommender, leads, now, t
        self.reps = np.arange(len(recommender.book.rep_ids), dtype=np.int64)
        self.at = np.full(len(self.reps), now) if t == now else _first_there(recommender.book, self.reps, t)
        width = len(RULES) + 1
        self.refused_lead = np.zeros((len(leads), width), np.int64)
        self.refused_rep = np.zeros((len(self.reps), width), np.int64)
        self.ends = np.full(len(leads), NEVER, np.int64)
        self.order = recommender.judge(leads[:0], self.reps[:0], now)[1](np.empty(0, np.int64))
        self.digest = hashlib.sha256()
        self.parts: list[Pairs] = []
        step = max(1, CHUNK // max(len(self.reps), 1))
        for start in range(0, len(leads), step):
            self._take(slice(start, start + step))

    def _take(self, span: slice) -> None:
        deadline.check()
        part, reps, width = self.leads[span], len(self.reps), len(RULES) + 1
        lead, rep = np.repeat(part, reps), np.tile(self.reps, len(part))
        refused, ordered = self.recommender.judge(lead, rep, self.now, self.at[rep])
        of_lead = refused + np.repeat(np.arange(len(part)), reps) * width
        self.refused_lead[span] = np.bincount(of_lead, minlength=len(part) * width).reshape(-1, width)
        self.refused_rep += np.bincount(refused + rep * width, minlength=reps * width).reshape(-1, width)
        rows = np.flatnonzero(refused == 0)
        if self.t == self.now:  # who could take a lead that nobody gets will have had no room left
            full, now = np.where(refused == 0, FULL, refused), np.full(len(rep), self.now, np.int64)
            passing = passes(self.recommender.book, full, rep, now)
            self.ends[span] = passing.reshape(len(part), -1).min(axis=1, initial=NEVER)
        if len(rows):
            self.order = order = ordered(rows)
            if order.matrix is not None:
                self.digest.update(np.ascontiguousarray(order.matrix.values).tobytes())
            side = order.side if order.side is not None else np.zeros(len(rows), np.int64)
            worth = order.score, order.p_accept, order.p_convert, order.value
            self.parts.append(Pairs(lead[rows], rep[rows], *worth, side))


def made(
    recommender: Recommender, week: str, *, commit: bool = False, aside: Mapping[str, Unplaced] | None = None
) -> Plan:  # fmt: skip
    """Plan the open leads of a recommender.

    aside    leads that are to be left where they are, for they wait for the data or for a person
    Raises   InputError for the week
    Cost     features of every eligible pair
    """
    book, now = recommender.book, recommender.now
    t = week_instant(week, now, commit=commit)
    leads = recommender.open_at(now)
    left = {one: why for one, why in (aside or {}).items() if one in book.lead_index}
    waiting = np.isin(leads, book.lead_index.codes(list(left)))
    left = {str(one): left[str(one)] for one in book.lead_ids[leads[waiting]]}
    look = Look(recommender, leads[~waiting], now, t)
    deadline.check()
    pairs = _joined(look.parts)
    room = np.nan_to_num(book.room(look.reps, look.at), nan=NO_LIMIT).astype(np.int64)
    starts = first_turns(recommender.config.policy, "plan", now)
    chosen = drafted(pairs.lead, pairs.rep, pairs.priority(), room, pairs.side, starts)
    because = left | _because(look, pairs, chosen)
    return Plan(recommender, now, look, pairs, chosen, because, room)


def _joined(parts: list[Pairs]) -> Pairs:
    if not parts:
        none, codes = np.empty(0), np.empty(0, np.int64)
        return Pairs(codes, codes, none, none, none, none, codes)
    return Pairs(*(np.concatenate([getattr(p, name) for p in parts]) for name in Pairs.__dataclass_fields__))


def _first_there(book: Book, reps: np.ndarray, t: int) -> np.ndarray:
    """(reps,) the first instant of the week of t at which each rep is there; where he never is, its beginning."""
    midweek = np.full(len(reps), t, np.int64)
    begins = book.week_start(reps, midweek)
    there = book.arrives(reps, begins)
    return np.where(there < book.week_end(reps, midweek), there, begins)


def _because(look: Look, pairs: Pairs, chosen: np.ndarray) -> dict[str, Unplaced]:
    """Why each lead that nobody gets has no rep: who could have taken it had no room left."""
    eligible = np.bincount(np.searchsorted(look.leads, pairs.lead), minlength=len(look.leads))
    placed = set(pairs.lead[chosen].tolist())
    because = {}
    for place, code in enumerate(look.leads.tolist()):
        if code not in placed:
            counts = dict(zip(RULES, look.refused_lead[place, 1:].tolist(), strict=True))
            counts["capacity_full"] += int(eligible[place])
            lead_id = str(look.recommender.book.lead_ids[code])
            why = {rule: n for rule, n in counts.items() if n}
            because[lead_id] = Unplaced(lead_id, why, moment(int(look.ends[place])), PLAN)
    return because


# -- Answering and committing ----------------------------------------------------------------------------------------


def plan(decider: Decider, week: str, *, actor: Actor, once: Once | None = None) -> Decided:
    """Plan a week, and write the decision down; with `once` every assignment becomes an offer, in one transaction.

    An assignment that does not hold any more when it is committed is listed as unplaced, with the rule.
    Raises InputError for the week; LedgerError where a commit cannot be written; Busy
    """
    if once is not None:
        decider.uptodate.trust()
        with decider.ledger.reading() as connection:
            if before := replayed(connection, once):
                return before
    with decider.ledger.reading() as connection:
        aside = {one.lead_id: one for one in listed(connection, decider.clock()) if one.waits_for in (DATA, PERSON)}
    with traces.step("rank"):
        found = made(decider.now(), week, commit=once is not None, aside=aside)
    answer, decision = _answered(decider, found, week, actor, dry_run=once is None)
    if once is None:
        answer |= decider.noted(decision)
        metrics.decided(answer, "/plan")
        return Decided(answer)
    known, refused = found.recommender, dict[str, str]()
    for moves in count(1):
        try:
            with changing(decider.ledger, decider.clock()) as change:
                if before := replayed(change.connection, once):
                    return before
                decider.uptodate.check(change, known, [one["lead_id"] for one in answer["assignments"]])
                answer = _committed(decider, change, found, answer, decision, actor, refused)
                keep(change, once, 200, json.dumps(answer, ensure_ascii=False))
                break
        except Moved:
            decider.uptodate.again(moves)
            known = decider.now()
            refused = _refused(known, answer["assignments"])
    lines, name = answer["assignments"], answer["policy"]
    metrics.decided(answer, "/plan", [decider.policy_of(found.recommender, one["lead_id"], name) for one in lines])
    return Decided(answer)


def _refused(known: Recommender, assignments: Sequence[Answer]) -> dict[str, str]:
    """Of each assigned lead that its rep may not have by what is known now: the rule. Who is gone, the desk finds."""
    book = known.book
    pairs = [(one["lead_id"], one["rep_id"]) for one in assignments]
    there = [(lead, rep) for lead, rep in pairs if lead in book.lead_index and rep in book.rep_index]
    lead = book.lead_index.codes([lead for lead, _ in there])
    rep = book.rep_index.codes([rep for _, rep in there])
    rules = refusals(book, known.config, lead, rep, np.full(len(lead), known.now, np.int64), profiling=False)
    return {lead_id: RULES[rule - 1] for (lead_id, _), rule in zip(there, rules.tolist(), strict=True) if rule}


def _committed(
    decider: Decider, change: Change, found: Plan, answer: Answer, decision: Decision, actor: Actor,
    refused: Mapping[str, str],
) -> Answer:  # fmt: skip
    """Offer what still holds, and write the decision: in the transaction of `change`."""
    desk = Desk(change, decider.config.timezone or "UTC", decider.config.hours)
    because = dict(found.because)
    offered = []
    for line in answer["assignments"]:
        deadline.check()
        lead_id, rep_id = line["lead_id"], line["rep_id"]
        rule = desk.pair(lead_id, rep_id).rule or refused.get(lead_id)
        if rule is None:
            offer_id = desk.offer(
                lead_id, rep_id, decision_id=decision.decision_id, propensity=None,
                policy=decider.policy_of(found.recommender, lead_id, answer["policy"]),
            )  # fmt: skip
            offered.append(line | {"offer_id": offer_id})
        elif rule not in ("lead_taken", "lead_closed"):
            because[lead_id] = Unplaced(lead_id, {rule: 1}, waits_for=PLAN)
    _list(change, because.values())
    unplaced = _unplaced(because)
    made = decision.saying({"items": offered, "unplaced": unplaced})
    made.without(late.erased_since(change.connection, made)).commit(change)
    told = {line["lead_id"]: line["offer_id"] for line in offered}
    payload = {"week": answer["week"], "offers": told, "unplaced": len(because)}
    record(change, actor.name, "plan", decision.decision_id, payload)
    done = {"decision_id": decision.decision_id, "advice_only": False}
    return answer | done | {"assignments": offered, "unplaced": unplaced}


def _list(change: Change, those: Iterable[Unplaced]) -> None:
    """List the leads without a rep; what waits for something else than a plan goes on waiting for that."""
    other = {one.lead_id for one in listed(change.connection, change.at) if one.waits_for != PLAN}
    put(change, [one for one in those if one.waits_for == PLAN and one.lead_id not in other])


def _unplaced(because: Mapping[str, Unplaced]) -> list[Answer]:
    return [
        {
            "lead_id": one.lead_id, "because": dict(one.because), "waits_for": one.waits_for,
            "until": iso(micros(one.until)) if one.until is not None else None,
        }
        for one in because.values()
    ]  # fmt: skip


def _answered(
    decider: Decider, found: Plan, week: str, actor: Actor, *, dry_run: bool
) -> tuple[Answer, Decision]:  # fmt: skip
    """The answer, and the decision that keeps it; made before any transaction, for it asks the model."""
    refused: Counter[str] = Counter()
    for nobody in found.because.values():
        refused.update(nobody.because)
    assignments = found.assignments()
    unplaced = _unplaced(found.because)
    answer = found.recommender.said(found.look.order, found.now) | {
        "week": week, "dry_run": dry_run, "candidates": len(found.look.leads) * len(found.look.reps),
        "assignments": assignments, "unplaced": unplaced, "room": found.left(),
    }  # fmt: skip
    product = found.look.order.product
    content_hash = product.content_hash if product is not None else None
    p = found.pairs
    ids = found.recommender.book.lead_ids[p.lead] + "\x1f" + found.recommender.book.rep_ids[p.rep]
    row = row_of(
        answer | {"refused": dict(refused)}, route="plan", actor=actor.name, at=decider.clock(),
        seq=found.recommender.seq or 0, config=decider.config.fingerprint, now=found.now, content_hash=content_hash,
        inputs_hash=inputs_hash(found.now, np.append(ids, found.look.digest.hexdigest()), None),
    )  # fmt: skip
    return answer, Decision(row, found.detail() | {"items": assignments, "unplaced": unplaced})
