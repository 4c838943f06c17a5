"""Decides: ranks outside of any transaction, then writes decision and offers in one that checks again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from features.asof import NEVER
from features.config import Config
from features.eligibility import passes
from features.errors import CallsheetError
from features.schema import TABLES
from serving import deadline, metrics, pilot
from serving.actor import Actor
from serving.decided import Decided, replayed
from serving.draft import Draft
from serving.inline import AlreadyStored, place_of, refuse_future
from serving.instants import moment
from serving.ledger import Ledger, LedgerError, late
from serving.ledger.audit import record
from serving.ledger.change import Change, changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.decisions import Decision, decision, new_id
from serving.ledger.details import numbers
from serving.ledger.erase import refuse_erased
from serving.ledger.holds import decided_here
from serving.ledger.idempotency import Once, keep
from serving.ledger.offers import Desk, open_offers
from serving.ledger.patience import Patience
from serving.ledger.person import named_in
from serving.ledger.unplaced import SETTLED, Unplaced, put
from serving.policy import Mixed, held_out, mixed, name_of
from serving.ranking import Ranking
from serving.recommend import Answer, Recommender
from serving.shadow import Seen, Shadow
from serving.uptodate import Busy, Moved, UpToDate

log = logging.getLogger(__name__)

#: How often an answer is made anew because others were quicker; each time at least one candidate fewer is left.
TRIES: Final = 20


class _Overtaken(Exception):
    """Some candidates may not be offered any more: by id the rule that refuses them now."""

    def __init__(self, lost: Mapping[str, str]) -> None:
        super().__init__("overtaken")
        self.lost = lost


@dataclass(frozen=True)
class Asked:
    """A question, ranked outside of any transaction.

    about  lead_id or rep_id, and its value; rows: what an inline lead brings, by table
    held   open offers of the rep who is asked about, by lead
    rules  the same candidates ranked by the rules alone, where the policy needs it; account: the lead's
    again  whether the lead was offered before; why: the reason for which it is offered anew, by the SLA's work
    """

    recommender: Recommender
    ranking: Ranking
    about: tuple[str, str]
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    rules: Ranking | None = None
    account: str = ""
    again: bool = False
    why: str | None = None

    @classmethod
    def of_lead(cls, recommender: Recommender, lead_id: str, rows: Mapping[str, Mapping[str, Any]]) -> Asked:
        """Who should get a lead?"""
        recommender, ranking = pilot.rank_reps(recommender, lead_id)
        policy = recommender.config.policy
        if not (policy.holdout or policy.explore.share):
            return cls(recommender, ranking, ("lead_id", lead_id), rows)
        rules, account = recommender.by_rules(ranking), recommender.account_of(lead_id)
        book = recommender.book
        again = bool((book.outcomes.lead == book.lead_index.code(lead_id)).any())
        return cls(recommender, ranking, ("lead_id", lead_id), rows, rules=rules, account=account, again=again)

    def mixed(self, lost: Mapping[str, str], draw: str | None) -> Mixed:
        """The ranking that decides, without those who were lost; its propensities are exact, or NaN.

        On a call sheet the rep is given and the leads compete, so nobody knows with what chance each would have got
        another rep.
        """
        ranking, policy = self.ranking.without(lost), self.recommender.config.policy
        n = len(ranking.best)
        if self.about[0] == "rep_id":
            return Mixed(ranking, name_of(ranking), np.full(n, np.nan))
        if self.rules is None:
            return Mixed(ranking, name_of(ranking), np.eye(1, n)[0])
        return mixed(ranking, self.rules.without(lost), self.account, policy, draw)

    def leads(self, ranking: Ranking, most: int) -> Sequence[str]:
        """The leads that an answer may offer: the one that is asked about, or the first on the sheet."""
        return [self.about[1]] if self.about[0] == "lead_id" else ranking.best_ids[:most]

    def until(self, ranking: Ranking) -> datetime | None:
        """When the first of the refusals ends by itself; None: none does."""
        now = np.full(len(ranking.refused), ranking.now, np.int64)
        ends = passes(self.recommender.book, ranking.refused, ranking.pairs[1], now)
        return moment(int(ends.min(initial=NEVER)))

    def answer(self, decided: Mixed, k: int, *, reasons: bool) -> Answer:
        """The first k lines: open offers first, then what else would be worth it."""
        said = self.recommender.answer(decided.ranking, k, reasons=reasons)
        return {self.about[0]: self.about[1]} | said | {"policy": decided.name}


Rank = Callable[[Recommender], Asked]
#: Which candidates get an offer; raises _Overtaken where the ranking does not hold any more.
Settle = Callable[[Desk, Asked, Ranking], Sequence[str]]


@dataclass(frozen=True)
class Decider:
    """Answers on a ledger: every answer is a decision that is written down.

    now       the recommender of this moment, asked once for each answer; what it does not know yet of offers and of
              reps' time is checked in the transaction
    clock     the instant of what is written
    patience  how long an answer that commits nothing waits to be written down, before it goes out as advice
    shadow    looks on at what is committed; None: nobody does
    uptodate  holds commits to the CRM as it is; by default what the filters read is taken never to change
    """

    ledger: Ledger
    config: Config
    now: Callable[[], Recommender]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    patience: Patience = field(default_factory=Patience)
    shadow: Shadow | None = None
    uptodate: UpToDate = field(default_factory=UpToDate)

    # -- the questions ----------------------------------------------------------------------------------------------

    def reps(
        self, lead_id: str | None, lead: Mapping[str, Any] | None, k: int, *, actor: Actor, reasons: bool = False,
        once: Once | None = None, why: str | None = None,
    ) -> Decided:  # fmt: skip
        """Who should get this lead?

        lead     one that is not stored yet, instead of lead_id; a commit stores it
        once     given: commit once, and offer the lead to the best who has room; why: for what reason again
        Raises   UnknownId, AlreadyStored, Busy; LedgerError where a commit cannot be written
        """

        def rank(recommender: Recommender) -> Asked:
            if lead is None:
                return replace(Asked.of_lead(recommender, str(lead_id), {}), why=why)
            refuse_future(lead, self.clock())
            having, rows = recommender.with_inline(lead)
            return Asked.of_lead(having, str(rows["leads"]["lead_id"]), rows)

        if once is None:
            return self._advise("recommend_reps", rank, k, actor, reasons)
        return self._commit("recommend_reps", rank, _best_rep, k, actor, reasons, once)

    def leads(
        self, rep_id: str, k: int, *, actor: Actor, reasons: bool = False, once: Once | None = None
    ) -> Decided:  # fmt: skip
        """What should this rep do now? The open offers first.

        once     given: commit once, and offer the best leads, up to k lines and to the room that is left
        Raises   UnknownId, Busy; LedgerError where a commit cannot be written
        """

        def rank(recommender: Recommender) -> Asked:
            held = self._held(rep_id)
            recommender, ranking = pilot.rank_leads(recommender, rep_id)
            free = ranking.without(dict.fromkeys(held, "lead_taken"))
            return Asked(recommender, recommender.holding(free, held), ("rep_id", rep_id), held=held)

        def settle(desk: Desk, asked: Asked, ranking: Ranking) -> Sequence[str]:
            return _best_leads(desk, asked, ranking, k)

        if once is None:
            return self._advise("recommend_leads", rank, k, actor, reasons)
        return self._commit("recommend_leads", rank, settle, k, actor, reasons, once)

    def _held(self, rep_id: str) -> dict[str, str]:
        """The rep's open offers by lead; none where the ledger cannot say."""
        try:
            with self.ledger.reading() as connection:
                return open_offers(connection, rep_id)
        except LedgerError as error:
            log.warning("Open offers cannot be read: %s", error)
            return {}

    # -- writing it down --------------------------------------------------------------------------------------------

    def _advise(self, route: str, rank: Rank, k: int, actor: Actor, reasons: bool) -> Decided:
        """Answer, and write the decision down; what cannot be written is advice and says so."""
        asked = rank(self.now())
        decided = self._mixed(asked, {}, None)
        answer = asked.answer(decided, k, reasons=reasons)
        made = self._decision(route, decided, answer, actor, asked, new_id())
        said = answer | self.noted(made)
        metrics.decided(said, f"/{route}")
        return Decided(said)

    def _mixed(self, asked: Asked, lost: Mapping[str, str], draw: str | None) -> Mixed:
        """As `Asked.mixed`; a lead that was offered here before is where the draw of the holdout has sent it."""
        decided = asked.mixed(lost, draw)
        if not (asked.again and self.config.policy.holdout):
            return decided
        before = select(OFFERS.c.offer_id).where(OFFERS.c.lead_id == asked.about[1], decided_here())
        try:
            with self.ledger.reading() as connection:
                sent = connection.execute(before.limit(1)).first() is not None
        except LedgerError:
            sent = True  # nobody can say, and then nothing is known
        return replace(decided, propensity=np.full_like(decided.propensity, np.nan)) if sent else decided

    def noted(self, made: Decision) -> Answer:
        """Write a decision down that commits nothing, and say in the fields of its answer whether that was possible."""
        made.ready()
        try:
            with self.patience.waiting() as seconds, self.ledger.writing(seconds=seconds) as connection:
                late.write(connection, made)
        except LedgerError as error:
            log.warning("A decision could not be written, so the answer is advice: %s", error)
            return {"decision_id": None, "advice_only": True}
        return {"decision_id": made.decision_id, "advice_only": False}

    def _commit(
        self, route: str, rank: Rank, settle: Settle, k: int, actor: Actor, reasons: bool, once: Once
    ) -> Decided:  # fmt: skip
        """Answer, and commit the offers with the decision; made anew as often as others were quicker.

        Whether the key was used is not asked before: a key can be kept only once, so what would be a second commit
        fails, for that or for what the first one changed, and then the first one's answer is there to be read.
        """
        try:
            return self._committed(route, rank, settle, k, actor, reasons, once)
        except CallsheetError:
            # A ledger that cannot be read now either does not know better what became of the commit.
            with suppress(LedgerError), self.ledger.reading() as connection:
                if before := replayed(connection, once):
                    return before
            raise

    def _committed(
        self, route: str, rank: Rank, settle: Settle, k: int, actor: Actor, reasons: bool, once: Once
    ) -> Decided:  # fmt: skip
        lost: dict[str, str] = {}
        moves = 0
        self.uptodate.trust()
        for _ in range(TRIES):
            deadline.check()
            asked = rank(self.now())
            decision_id = new_id()
            decided = self._mixed(asked, lost, decision_id)
            answer = asked.answer(decided, k, reasons=reasons)
            made = self._decision(route, decided, answer, actor, asked, decision_id)
            most = 1 if asked.about[0] == "lead_id" else max(k - len(asked.held), 0)
            draft = Draft.of(decided.ranking, answer, made, decided.ranking.best_ids[:most])
            try:
                with changing(self.ledger, self.clock()) as change:
                    quiet = self.uptodate.check(change, asked.recommender, asked.leads(decided.ranking, most))
                    _store(change, asked.rows)
                    desk = Desk(change, self.config.timezone or "UTC", self.config.hours)
                    chosen = settle(desk, asked, decided.ranking)
                    if list(chosen) != list(draft.offers):
                        draft = Draft.of(decided.ranking, answer, made, chosen)
                    self._offer(desk, asked, decided, draft)
                    draft.made.commit(change)
                    keep(change, once, 200, draft.text)
                    told = _told(route, asked, draft.said)
                    record(change, actor.name, "offer" if told["offers"] else "no_offer", decision_id, told)
                if quiet and not asked.rows:
                    self.uptodate.passed(change, asked.recommender)
                self._seen(asked, lost, draft.said)
                metrics.decided(draft.said, f"/{route}", self._policies(asked, decided, draft.said))
                return Decided(draft.said)
            except _Overtaken as overtaken:
                lost |= overtaken.lost
            except Moved:
                moves += 1
                self.uptodate.again(moves)
        raise Busy

    def _policies(self, asked: Asked, decided: Mixed, said: Answer) -> list[str]:
        """The policy of each offer that an answer made."""
        ids = asked.held.values()
        made = [item for item in said["items"] if item["offer_id"] and item["offer_id"] not in ids]
        if decided.ranking.ranked == "rep_id":
            return [decided.name for _ in made]
        return [self.policy_of(asked.recommender, item["lead_id"], decided.name) for item in made]

    def _seen(self, asked: Asked, lost: Mapping[str, str], said: Answer) -> None:
        """Let the challenger look on at a committed decision on a lead, after it."""
        if self.shadow is not None and asked.about[0] == "lead_id":
            ranking = asked.ranking.without(lost)
            self.shadow.see(Seen(said["decision_id"], self.clock(), asked.recommender, ranking, said["items"]))

    def _offer(self, desk: Desk, asked: Asked, decided: Mixed, draft: Draft) -> None:
        """Make the offers of a draft; a lead that nobody can take is listed as such."""
        by_lead, ranking = asked.about[0] == "lead_id", decided.ranking
        for one, offer_id in draft.offers.items():
            lead_id, rep_id = (asked.about[1], one) if by_lead else (one, asked.about[1])
            policy = decided.name if by_lead else self.policy_of(asked.recommender, lead_id, decided.name)
            (propensity,) = numbers(decided.propensity[:1])
            desk.offer(
                lead_id, rep_id, decision_id=draft.made.decision_id, policy=policy, propensity=propensity,
                offer_id=offer_id,
            )  # fmt: skip
        if by_lead and not draft.offers and not SETTLED & ranking.counted.keys():
            put(desk.change, [Unplaced(asked.about[1], ranking.counted, asked.until(ranking))])

    def policy_of(self, recommender: Recommender, lead_id: str, name: str) -> str:
        """Under what name a lead of a call sheet is offered: one of a held-out account stays on the rules."""
        return "holdout" if held_out(recommender.account_of(lead_id), self.config.policy) else name

    def _decision(
        self, route: str, decided: Mixed, answer: Answer, actor: Actor, asked: Asked, decision_id: str
    ) -> Decision:  # fmt: skip
        return decision(
            decided.ranking, answer, route=route, actor=actor.name, at=self.clock(), seq=asked.recommender.seq or 0,
            config=self.config.fingerprint, propensity=decided.propensity, decision_id=decision_id,
            facts=asked.recommender.facts(decided.ranking, len(answer["items"])),
            contact_id=asked.rows.get("leads", {}).get("contact_id"),
        )  # fmt: skip


def _store(change: Change, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Put in what an inline lead brings, once nobody else has."""
    named = ((table, name, who) for table, row in rows.items() for name, who in named_in(table, row).items())
    refuse_erased(change, ((who, f"{place_of(table)}{name}") for table, name, who in named))
    for table, row in rows.items():
        _not_stored(change, table, row)
        change.upsert(table, [dict.fromkeys(TABLES[table].names) | dict(row)])


def _not_stored(change: Change, table: str, row: Mapping[str, Any]) -> None:
    """What was sent inline was not stored by another in between."""
    key = TABLES[table].key[0]
    if change.connection.execute(select(CRM[table].c[key]).where(CRM[table].c[key] == row[key])).first():
        raise AlreadyStored(table[:-1], row[key], place_of(table) + key)


def _told(route: str, asked: Asked, said: Answer) -> dict[str, Any]:
    """What the audit keeps of a commit: ids alone, and why a lead is offered again."""
    items = [item for item in said["items"] if item["offer_id"]]
    return ({"reoffered": asked.why} if asked.why else {}) | {
        "route": route, asked.about[0]: asked.about[1], "policy": said["policy"],
        "model_version": said["model_version"],
        "offers": {item[asked.ranking.ranked]: item["offer_id"] for item in items},
        "stored": {table: row[TABLES[table].key[0]] for table, row in asked.rows.items()},
    }  # fmt: skip


def _best_rep(desk: Desk, asked: Asked, ranking: Ranking) -> Sequence[str]:
    """The best rep who can take the lead now."""
    reps, lead_id = ranking.best_ids, asked.about[1]
    lost: dict[str, str] = {}
    for rep_id in reps:
        pair = desk.pair(lead_id, rep_id)
        if pair.lead:
            raise _Overtaken(dict.fromkeys(reps, pair.lead))
        if pair.rep is None:
            break
        lost[rep_id] = pair.rep
    if lost:
        raise _Overtaken(lost)
    return reps[:1]


def _best_leads(desk: Desk, asked: Asked, ranking: Ranking, k: int) -> Sequence[str]:
    """The best leads that the rep can take now, up to k lines with the open offers, and to the room that is left."""
    rep_id, room = asked.about[1], desk.room(asked.about[1])
    wanted = max(k - len(asked.held), 0)
    wanted = wanted if room is None else min(wanted, max(room, 0))
    chosen: list[str] = []
    lost: dict[str, str] = {}
    for lead_id in ranking.best_ids:
        if len(chosen) >= wanted:
            break
        rule = desk.pair(lead_id, rep_id).rule
        if rule in ("inactive", "time_off", "capacity_full"):
            raise _Overtaken(dict.fromkeys(ranking.best_ids, rule))
        if rule is None:
            chosen.append(lead_id)
        else:
            lost[lead_id] = rule
    if lost:
        raise _Overtaken(lost)
    return chosen
