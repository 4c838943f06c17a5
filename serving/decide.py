"""Decides: ranks outside of any transaction, then writes decision and offers in one that checks again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from features.config import Config
from features.errors import CallsheetError
from features.schema import TABLES
from serving.actor import Actor
from serving.ledger import Ledger, LedgerError
from serving.ledger.change import Change, changing
from serving.ledger.decisions import Decision, decision
from serving.ledger.offers import Desk, open_offers
from serving.ranking import Ranking
from serving.recommend import Answer, Recommender

log = logging.getLogger(__name__)

#: How often an answer is made anew because others were quicker; each time at least one candidate fewer is left.
TRIES: Final = 20


class Busy(CallsheetError):
    """Others took what was about to be offered, again and again."""

    code = "busy"
    status = 503

    def __init__(self) -> None:
        super().__init__("Others are taking the same leads and reps at once; nothing was offered. Ask again.")


class _Overtaken(Exception):
    """Some candidates may not be offered any more: by id the rule that refuses them now."""

    def __init__(self, lost: Mapping[str, str]) -> None:
        super().__init__("overtaken")
        self.lost = lost


@dataclass(frozen=True)
class Known:
    """What an answer is made from; seq: the last change that it knows."""

    recommender: Recommender
    seq: int


@dataclass(frozen=True)
class Asked:
    """A question, ranked outside of any transaction.

    about  lead_id or rep_id, and its value; rows: what an inline lead brings, by table
    held   open offers of the rep who is asked about, by lead
    """

    recommender: Recommender
    ranking: Ranking
    about: tuple[str, str]
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)

    def answer(self, ranking: Ranking, k: int, *, reasons: bool) -> Answer:
        """The first k lines: open offers first, then what else would be worth it."""
        said = self.recommender.answer(ranking, k, reasons=reasons, held=self.held)
        return {self.about[0]: self.about[1]} | said


Rank = Callable[[Recommender], Asked]
#: Which candidates get an offer; raises _Overtaken where the ranking does not hold any more.
Settle = Callable[[Desk, Asked, Ranking], Sequence[str]]
#: What else belongs into the committing transaction: keeps the answer for whoever asks again with the same key.
Keep = Callable[[Change, Answer], None]


@dataclass(frozen=True)
class Decider:
    """Answers on a ledger: every answer is a decision that is written down.

    known   what is known now, asked once for each answer; follow brings it up to what is committed
    clock   the instant of what is written
    """

    ledger: Ledger
    config: Config
    known: Callable[[], Known]
    follow: Callable[[], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    # -- the questions ----------------------------------------------------------------------------------------------

    def reps(
        self, lead_id: str | None, lead: Mapping[str, Any] | None, k: int, *, actor: Actor, reasons: bool = False,
        keep: Keep | None = None,
    ) -> Answer:  # fmt: skip
        """Who should get this lead?

        lead     one that is not stored yet, instead of lead_id; a commit stores it
        keep     given: commit, and offer the lead to the best who has room
        Raises   UnknownId, AlreadyStored, Busy; LedgerError where a commit cannot be written
        """

        def rank(recommender: Recommender) -> Asked:
            if lead is None:
                return Asked(recommender, recommender.rank_reps(str(lead_id)), ("lead_id", str(lead_id)))
            having, rows = recommender.with_inline(lead)
            made = str(rows["leads"]["lead_id"])
            return Asked(having, having.rank_reps(made), ("lead_id", made), rows)

        if keep is None:
            return self._advise("recommend_reps", rank, k, actor, reasons)
        return self._commit("recommend_reps", rank, _best_rep, k, actor, reasons, keep)

    def leads(
        self, rep_id: str, k: int, *, actor: Actor, reasons: bool = False, keep: Keep | None = None
    ) -> Answer:  # fmt: skip
        """What should this rep do now? The open offers first.

        keep     given: commit, and offer the best leads, up to k lines and to the room that is left
        Raises   UnknownId, Busy; LedgerError where a commit cannot be written
        """

        def rank(recommender: Recommender) -> Asked:
            held = self._held(rep_id)
            return Asked(recommender, recommender.rank_leads(rep_id), ("rep_id", rep_id), held=held)

        def settle(desk: Desk, asked: Asked, ranking: Ranking) -> Sequence[str]:
            return _best_leads(desk, asked, ranking, k)

        if keep is None:
            return self._advise("recommend_leads", rank, k, actor, reasons)
        return self._commit("recommend_leads", rank, settle, k, actor, reasons, keep)

    def _held(self, rep_id: str) -> dict[str, str]:
        """The rep's open offers by lead; none where the ledger cannot say."""
        try:
            with self.ledger.reading() as connection:
                return open_offers(connection, rep_id)
        except LedgerError as error:
            log.warning("Open offers cannot be read: %s", error)
            return {}

    # -- writing it down --------------------------------------------------------------------------------------------

    def _advise(self, route: str, rank: Rank, k: int, actor: Actor, reasons: bool) -> Answer:
        """Answer, and write the decision down; what cannot be written is advice and says so."""
        known = self.known()
        asked = rank(known.recommender)
        answer = asked.answer(asked.ranking, k, reasons=reasons)
        made = self._decision(route, asked.ranking, answer, actor, known.seq)
        try:
            with self.ledger.writing() as connection:
                made.write(connection)
        except LedgerError as error:
            log.warning("A decision could not be written, so the answer is advice: %s", error)
            return answer
        return answer | {"decision_id": made.decision_id, "advice_only": False}

    def _commit(
        self, route: str, rank: Rank, settle: Settle, k: int, actor: Actor, reasons: bool, keep: Keep
    ) -> Answer:  # fmt: skip
        """Answer, and commit the offers with the decision; made anew as often as others were quicker."""
        lost: dict[str, str] = {}
        for _ in range(TRIES):
            known = self.known()
            asked = rank(known.recommender)
            ranking = asked.ranking.without(lost)
            answer = asked.answer(ranking, k, reasons=reasons)
            made = self._decision(route, ranking, answer, actor, known.seq)
            try:
                with changing(self.ledger, self.clock()) as change:
                    said = self._offered(change, settle, asked, ranking, answer, made)
                    keep(change, said)
            except _Overtaken as overtaken:
                lost |= overtaken.lost
                self.follow()
                continue
            self.follow()
            return said
        raise Busy

    def _offered(
        self, change: Change, settle: Settle, asked: Asked, ranking: Ranking, answer: Answer, made: Decision
    ) -> Answer:  # fmt: skip
        """Check again, offer, and write the decision: in the transaction of `change`."""
        for table, row in asked.rows.items():
            change.upsert(table, [dict.fromkeys(TABLES[table].names) | dict(row)])
        desk = Desk(change, self.config.timezone or "UTC")
        offers = {}
        for one in settle(desk, asked, ranking):
            lead_id, rep_id = (asked.about[1], one) if ranking.ranked == "rep_id" else (one, asked.about[1])
            offers[one] = desk.offer(
                lead_id, rep_id, decision_id=made.decision_id, policy=answer["policy"], propensity=1.0
            )
        items = [
            item | {"offer_id": offers.get(item[ranking.ranked]) or item["offer_id"]} for item in answer["items"]
        ]  # fmt: skip
        said = answer | {"decision_id": made.decision_id, "advice_only": False, "items": items}
        made.saying(said).write(change.connection)
        return said

    def _decision(self, route: str, ranking: Ranking, answer: Answer, actor: Actor, seq: int) -> Decision:
        certain = [1.0] + [0.0] * max(len(ranking.best) - 1, 0)
        return decision(
            ranking, answer, route=route, actor=actor.name, at=self.clock(), seq=seq, config=self.config.fingerprint,
            propensity=certain,
        )  # fmt: skip


def _best_rep(desk: Desk, asked: Asked, ranking: Ranking) -> Sequence[str]:
    """The best rep who can take the lead now."""
    reps, lead_id = ranking.best_ids, asked.about[1]
    if not reps:
        return ()
    if rule := desk.lead_refusal(lead_id):
        raise _Overtaken(dict.fromkeys(reps, rule))
    lost: dict[str, str] = {}
    for rep_id in reps:
        rule = desk.rep_refusal(lead_id, rep_id)
        if rule is None:
            break
        lost[rep_id] = rule
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
        rule = desk.lead_refusal(lead_id) or desk.rep_refusal(lead_id, rep_id)
        if rule in ("inactive", "time_off"):
            raise _Overtaken(dict.fromkeys(ranking.best_ids, rule))
        if rule is None:
            chosen.append(lead_id)
        else:
            lost[lead_id] = rule
    if lost:
        raise _Overtaken(lost)
    return chosen
