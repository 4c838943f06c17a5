"""Recommendations without HTTP: which reps for a lead, which leads for a rep, what a pair scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from threading import Lock
from typing import Any, Final

import numpy as np

from features.book import Book
from features.catalogue import FEATURE_VERSION
from features.config import Config
from features.eligibility import RULES as REFUSALS
from features.eligibility import objects, refusals
from features.engine import Engine
from features.matrix import Matrix
from models.product import Product
from models.rules import HASH, OWNER_TERRITORY, rank_by_rules, rendezvous
from models.value import expected_value
from serving import deadline, metrics, traces
from serving.computing import computing
from serving.inline import book_with
from serving.instants import iso
from serving.ladder import Standing
from serving.ledger.details import numbers
from serving.policy import first_turns, kept_out
from serving.ranking import HELD_OUT, OBJECTING, OBJECTS, Held, Order, Ranking, codes_of, ruled
from serving.reasons import Facts, facts_of, reasons_of
from serving.trial import Contender

log = logging.getLogger(__name__)

#: Eligible candidates that one answer scores; of more leads the newest are taken, of more reps the first by id.
SCORED: Final = 2_000

Answer = dict[str, Any]
Judged = tuple[np.ndarray, Callable[[np.ndarray], Order]]
Clock = Callable[[], int]


class Recommender:
    """Answers from one book under one configuration; `standing` is replaced as a whole when another model serves.

    clock      tells the instant of an answer that names no other, int64 microseconds UTC; None: the book's now, always
    seq        the last change of the ledger that the book knows; None: it is a snapshot's
    contender  the challenger beside the model that answers; it answers nothing here
    """

    def __init__(
        self, book: Book, config: Config, standing: Standing, *, clock: Clock | None = None, seq: int | None = None,
        contender: Contender | None = None,
    ) -> None:  # fmt: skip
        self.book, self.config, self.clock, self.seq, self.contender = book, config, clock, seq, contender
        self._beside: Recommender | None = None
        self.standing = standing
        self._one_at_a_time = Lock()
        self._opened: tuple[int, np.ndarray] | None = None
        self._kept_out: np.ndarray | None = None

    @property
    def standing(self) -> Standing:
        """What answers now."""
        return self._served[0]

    @standing.setter
    def standing(self, standing: Standing) -> None:
        product = standing.product
        engine = Engine(self.book, self.config, product.vocabulary if product else None, metrics.unseen)
        self._served = standing, engine  # one reference: an answer never mixes two models

    @property
    def beside(self) -> Recommender | None:
        """Who answers from the same book by the challenger; None: there is none that can."""
        if self._beside is None and self.contender is not None and self.contender.product is not None:
            self._beside = Recommender(self.book, self.config, self.contender.standing, clock=self.clock, seq=self.seq)
        return self._beside

    @property
    def now(self) -> int:
        """The instant of an answer: read once for each, so that all of it is as of one instant.

        What is in the book has happened, whatever this machine's clock says, so now is later than all of it.
        """
        return self.book.now if self.clock is None else max(self.clock(), self.book.now + 1)

    @property
    def open_leads(self) -> np.ndarray:
        """Codes of the leads that are open now."""
        return self.open_at(self.now)

    def open_at(self, now: int) -> np.ndarray:
        """Codes of the leads that are open at an instant."""
        opened = self._opened
        if opened is None or opened[0] != now:
            self._opened = opened = now, self.book.open_leads(now)
        return opened[1]

    @property
    def quiet(self) -> Recommender:
        """The same from the same book; what it ranks is nobody's answer, so no metric counts its categories."""
        quiet, (standing, engine) = copy(self), self._served
        quiet._served = standing, engine.untold()
        return quiet

    def warm(self) -> None:
        """Build what the first answers would have to wait for."""
        quiet = self.quiet
        if len(self.book.rep_ids):
            quiet.leads_for_rep(str(self.book.rep_ids[0]), 1)
        if len(self.book.lead_ids):
            quiet.reps_for_lead(str(self.book.lead_ids[-1]), 1)
        self._opened, self._kept_out = quiet._opened, quiet._kept_out

    # -- the three questions ----------------------------------------------------------------------------------------

    def reps_for_lead(self, lead_id: str, k: int = 10, *, reasons: bool = False) -> Answer:
        """Rank the reps who may take a lead. Raises UnknownId. Cost: features and model of the eligible reps."""
        return {"lead_id": lead_id} | self.answer(self.rank_reps(lead_id), k, reasons=reasons)

    def rank_reps(self, lead_id: str) -> Ranking:
        """Every rep who may take a lead, ranked. Raises UnknownId."""
        book = self.book
        lead = np.full(len(book.rep_ids), book.lead_index.code(lead_id, "lead_id"), np.int64)
        return self._rank("rep_id", lead, np.arange(len(book.rep_ids), dtype=np.int64), self.now)

    def by_rules(self, ranking: Ranking) -> Ranking:
        """The same candidates ranked by the rules alone: owner, else territory, else the hash of the ids."""
        matrix = ranking.order.matrix
        if matrix is None:
            return ranking
        lead, rep = (codes[ranking.rows] for codes in ranking.pairs)
        rung, score = rank_by_rules(matrix, self._owns(lead, rep, np.full(len(lead), ranking.now, np.int64)))
        order = ruled(score, str(rung[np.argmax(score)]) if len(score) else OWNER_TERRITORY, None, matrix)
        return replace(ranking, order=order, best=self._best(ranking.ranked, order, lead, rep, ranking.now))

    def again(self, ranking: Ranking) -> Ranking:
        """The same candidates as of the same instant, ranked by what answers here; those who were lost stay so.

        Cost: of the model alone where its categories have the codes of the ranking's features; else these anew
        """
        standing, engine = self._served
        lead, rep = (codes[ranking.rows] for codes in ranking.pairs)
        known = ranking.order.matrix
        made = known if known is not None and known.vocabulary == engine.vocabulary else None
        order = self._order(standing, engine, lead, rep, np.full(len(lead), ranking.now, np.int64), made=made)
        best = self._best(ranking.ranked, order, lead, rep, ranking.now)
        best = best[ranking.refused[ranking.rows[best]] == 0]
        return replace(ranking, order=order, best=best, standing=standing)

    def account_of(self, lead_id: str) -> str:
        """The id of the account that a lead belongs to now; empty where it is not known."""
        code = np.array([self.book.lead_index.code(lead_id, "lead_id")])
        account = int(self.book.account_of(code, np.array([self.now]))[0])
        return str(self.book.account_ids[account]) if account >= 0 else ""

    def reps_for_inline(self, lead: Mapping[str, Any], k: int = 10, *, reasons: bool = False) -> Answer:
        """Rank the reps who may take a lead that is not stored; see `serving.inline.book_with`."""
        having, rows = self.with_inline(lead)
        return having.reps_for_lead(str(rows["leads"]["lead_id"]), k, reasons=reasons)

    def with_inline(self, lead: Mapping[str, Any]) -> tuple[Recommender, dict[str, dict[str, Any]]]:
        """A recommender that knows a lead which is not stored, and the rows that it brings, by table."""
        with deadline.held(self._one_at_a_time), traces.step("inline"):
            # One instant for all of it: the book's, which is the later of now and the lead's creation.
            book, rows = book_with(self.book, self.config, lead, self.now)
        return Recommender(book, self.config, self.standing, seq=self.seq, contender=self.contender), rows

    def leads_for_rep(self, rep_id: str, k: int = 10, *, reasons: bool = False) -> Answer:
        """Rank the open leads that a rep may take. Raises UnknownId."""
        return {"rep_id": rep_id} | self.answer(self.rank_leads(rep_id), k, reasons=reasons)

    def rank_leads(self, rep_id: str) -> Ranking:
        """Every open lead that a rep may take, ranked. Raises UnknownId."""
        now = self.now
        lead = self.open_at(now)
        about = self.book.rep_index.code(rep_id, "rep_id")
        return replace(self._rank("lead_id", lead, np.full(len(lead), about, np.int64), now), rep=about)

    def score_pairs(
        self, lead_ids: Sequence[str], rep_ids: Sequence[str], as_of: Sequence[int | None] | np.ndarray | None = None
    ) -> Answer:
        """Score n pairs, each as of its instant (int64 microseconds UTC; None: the lead's creation), in their order.

        A refused pair has its rule and no scores; where no model serves, no pair has any.
        Raises UnknownId, whose field names the pair: pairs[3].lead_id.
        """
        book, (standing, engine) = self.book, self._served
        lead, rep = codes_of(book, lead_ids, rep_ids)
        t = book.leads.born[lead].copy()
        if as_of is not None:
            given = [i for i, at in enumerate(as_of) if at is not None]
            t[given] = [as_of[i] for i in given]
        refused = refusals(book, self.config, lead, rep, t)
        made = np.full((4, len(lead)), np.nan)
        rows = np.flatnonzero(refused == 0)
        for start in range(0, len(rows), SCORED):
            if standing.product is None:
                break
            deadline.check()
            part = rows[start : start + SCORED]
            matrix = engine.matrix_of(lead[part], rep[part], t[part])
            order = self._by_model(standing.product, standing, matrix, lead[part], t[part])
            made[:, part] = order.score, order.p_accept, order.p_convert, order.value
        score, p_accept, p_convert, value = map(numbers, made)
        items = [
            {
                "lead_id": str(lead_ids[i]), "rep_id": str(rep_ids[i]), "as_of": iso(int(t[i])),
                "eligible": bool(refused[i] == 0), "rule": REFUSALS[refused[i] - 1] if refused[i] else None,
                "score": score[i], "p_accept": p_accept[i], "p_convert": p_convert[i], "expected_value": value[i],
            }
            for i in range(len(lead))
        ]  # fmt: skip
        return self.signed(standing, standing.rung, standing.reason, self.now) | {"items": items}

    # -- ranking ----------------------------------------------------------------------------------------------------

    def _rank(self, ranked: str, lead: np.ndarray, rep: np.ndarray, now: int) -> Ranking:
        """Filter, score and sort the pairs as of `now`; `ranked` names the side that differs among them."""
        standing, engine = self._served
        t = np.full(len(lead), now, np.int64)
        with traces.step("rank"):
            refused = refusals(self.book, self.config, lead, rep, t, profiling=False)
            rows = self._newest(np.flatnonzero(refused == 0), lead)
            order = self._order(standing, engine, lead[rows], rep[rows], t[rows], sheet=ranked == "lead_id")
        ids = self.book.rep_ids[rep] if ranked == "rep_id" else self.book.lead_ids[lead]
        best = self._best(ranked, order, lead[rows], rep[rows], now)
        return Ranking(ranked, ids, refused, rows, order, best, standing, now, (lead, rep))

    def _best(self, ranked: str, order: Order, lead: np.ndarray, rep: np.ndarray, now: int) -> np.ndarray:
        """(n,) positions in an order of pairs, the best first; a rep's leads by turns of the model and the rules."""
        # Codes are in the order of ids, so they break ties as ids do.
        if ranked == "rep_id" or not len(rep):
            return order.best(rep, len(rep))
        return order.best(lead, len(lead), first_turns(self.config.policy, str(self.book.rep_ids[rep[0]]), now))

    def answer(self, ranking: Ranking, k: int, *, reasons: bool = False) -> Answer:
        """The first k lines of a ranking, as advice: what is held comes first."""
        order = ranking.order
        first = self._held_items(ranking, k, reasons)
        best = ranking.best[: k - len(first)]
        rest = self._items(ranking.ranked, order, best, ranking.pairs_of(best), reasons, ranking.now)
        items = [item | {"rank": place + 1} for place, item in enumerate([*first, *rest])]
        return self.signed(ranking.standing, order.rung, order.reason, ranking.now) | {
            "decision_id": None, "advice_only": True, "candidates": len(ranking.refused),
            "refused": ranking.counted, "scored": len(ranking.rows), "items": items,
        }  # fmt: skip

    def holding(self, ranking: Ranking, offers: Mapping[str, str]) -> Ranking:
        """The ranking of a rep's leads with his open offers above it, scored as of now like any other.

        offers   lead_id -> offer_id; those of leads that the book does not know yet are left out
        """
        known = [lead_id for lead_id in offers if lead_id in self.book.lead_index]
        if not known or ranking.rep is None:
            return ranking
        lead = self.book.lead_index.codes(known)
        rep, t = np.full(len(lead), ranking.rep), np.full(len(lead), ranking.now, np.int64)
        standing, engine = self._served
        order = self._order(standing, engine, lead, rep, t, sheet=True)
        best = self._best("lead_id", order, lead, rep, ranking.now)
        return replace(ranking, held=Held(self.book.lead_ids[lead], (lead, rep), offers, order, best))

    def _held_items(self, ranking: Ranking, k: int, reasons: bool) -> list[Answer]:
        """The lines of open offers, the best first."""
        held = ranking.held
        if held is None:
            return []
        best = held.best[:k]
        pairs = held.pairs[0][best], held.pairs[1][best]
        items = self._items("lead_id", held.order, best, pairs, reasons, ranking.now)
        return [item | {"offer_id": held.offers[item["lead_id"]]} for item in items]

    def _items(
        self, ranked: str, order: Order, best: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], reasons: bool,
        now: int,
    ) -> list[Answer]:  # fmt: skip
        """Lines of an answer for (m,) places in an order, in that order; pairs: the codes of their leads and reps."""
        deadline.check()
        said = reasons_of(self.book, self.config, order, best, pairs, now) if reasons else [[] for _ in best]
        ids = self.book.rep_ids[pairs[1]] if ranked == "rep_id" else self.book.lead_ids[pairs[0]]
        told = (numbers(one[best]) for one in (order.score, order.p_accept, order.p_convert, order.value))
        return [
            {
                "rank": place, ranked: str(one), "offer_id": None, "score": score, "p_accept": accept,
                "p_convert": convert, "expected_value": value, "reasons": why,
            }
            for place, (one, score, accept, convert, value, why) in enumerate(zip(ids, *told, said, strict=True), 1)
        ]  # fmt: skip

    def facts(self, ranking: Ranking, shown: int) -> dict[str, Facts]:
        """What a person calls the parts of the pairs of the first `shown` lines, by whom they name."""
        lines = ranking.lines(shown)
        lead, rep = (np.array([getattr(line, side) for line in lines], np.int64) for side in ("lead", "rep"))
        return dict(
            zip((line.one for line in lines), facts_of(self.book, self.config, lead, rep, ranking.now), strict=True)
        )

    def judge(self, lead: np.ndarray, rep: np.ndarray, now: int, at: np.ndarray | None = None) -> Judged:
        """(n,) what refuses each pair by codes at its instant, by default now; the order of those named by position."""
        (standing, engine), t = self._served, np.full(len(lead), now, np.int64)
        refused = refusals(self.book, self.config, lead, rep, t if at is None else at, profiling=False)
        return refused, lambda rows: self._order(standing, engine, lead[rows], rep[rows], t[rows], sheet=True)

    def said(self, order: Order, now: int) -> Answer:
        """What every answer names: who answered, as of when, and how well."""
        return self.signed(self.standing, order.rung, order.reason, now)

    def _newest(self, rows: np.ndarray, lead: np.ndarray) -> np.ndarray:
        if len(rows) <= SCORED:
            return rows
        newest = np.lexsort((lead[rows], -self.book.leads.born[lead[rows]]))[:SCORED]
        return np.sort(rows[newest])

    def _order(
        self, standing: Standing, engine: Engine, lead: np.ndarray, rep: np.ndarray, t: np.ndarray, *,
        sheet: bool = False, made: Matrix | None = None,
    ) -> Order:  # fmt: skip
        """Scores by the best rung that answers: the model, else the rules, else the hash of the ids alone.

        sheet  many leads: those of held-out accounts stay on the rules here; a single lead is the policy's affair
        made   the pairs' features, where they are known
        """
        deadline.check()
        product, reason = standing.product, standing.reason
        if not len(lead):
            none = np.empty(0)
            return Order(none, none, none, none, standing.rung, reason)
        try:
            matrix = made if made is not None else engine.matrix_of(lead, rep, t)
        except Exception as error:
            log.exception("Features could not be made")
            score = rendezvous(self.book.lead_ids[lead], self.book.rep_ids[rep])
            return ruled(score, HASH, f"features could not be made: {type(error).__name__}")
        deadline.check()
        side = self._sides(lead, t, sheet=sheet)
        if product is not None and not side.all():
            try:
                return self._mixed(product, standing, matrix, lead, rep, t, side)
            except Exception as error:
                log.exception("The model could not answer")
                reason = f"model {standing.version} could not answer: {type(error).__name__}"
        elif product is not None and (side == OBJECTING).all():
            reason = OBJECTS
        rung, score = rank_by_rules(matrix, self._owns(lead, rep, t))
        return ruled(score, str(rung[np.argmax(score)]), reason, matrix)

    def _owns(self, lead: np.ndarray, rep: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) bool: a rule that serves, like a filter, reads the owner of today where there is no history."""
        account = self.book.account_of(lead, t)
        return np.asarray(self.book.accounts.owner.read(account, t, latest=True) == rep)

    def _sides(self, lead: np.ndarray, t: np.ndarray, *, sheet: bool) -> np.ndarray:
        """(n,) int: who ranks each lead, as `Order.side` tells it."""
        held, policy = np.zeros(len(lead), bool), self.config.policy
        if sheet and policy.holdout:
            if self._kept_out is None:
                self._kept_out = kept_out(self.book.account_ids, policy)
            account = self.book.account_of(lead, t)
            held = (account >= 0) & self._kept_out[np.maximum(account, 0)]
        return np.where(objects(self.book, lead), OBJECTING, np.where(held, HELD_OUT, 0))

    def _mixed(
        self, product: Product, standing: Standing, matrix: Matrix, lead: np.ndarray, rep: np.ndarray, t: np.ndarray,
        side: np.ndarray,
    ) -> Order:  # fmt: skip
        """The model's order, and that of the rules for leads that no model may see or that are held out from it."""
        if not side.any():
            return self._by_model(product, standing, matrix, lead, t)
        seen = np.flatnonzero(side == 0)
        order = self._by_model(product, standing, matrix.take(seen), lead[seen], t[seen])
        made = np.full((4, len(lead)), np.nan)
        made[:, seen] = order.score, order.p_accept, order.p_convert, order.value
        unseen = np.flatnonzero(side)
        made[0, unseen] = rank_by_rules(matrix.take(unseen), self._owns(lead[unseen], rep[unseen], t[unseen]))[1]
        score, p_accept, p_convert, value = made
        return Order(score, p_accept, p_convert, value, standing.rung, standing.reason, matrix, product, side)

    def _by_model(self, product: Product, standing: Standing, matrix: Matrix, lead: np.ndarray, t: np.ndarray) -> Order:
        with traces.step("model"), computing(product.content_hash, tried=standing.rung == "challenger"):
            said = product.predict(matrix)
        worth = self.config.value
        amount = self.book.mean_amount(self.book.leads.solution[lead], t) if worth.amount else np.zeros(len(lead))
        value = expected_value(said.p_accept, said.p_convert, amount, worth)
        return Order(said.score, said.p_accept, said.p_convert, value, standing.rung, standing.reason, matrix, product)

    # -- what every answer names ------------------------------------------------------------------------------------

    def signed(self, standing: Standing, rung: str, reason: str | None, now: int) -> Answer:
        """What every answer names: who answered, as of when, and why it was not the champion."""
        by_model = rung not in (OWNER_TERRITORY, HASH)
        return {
            "as_of": iso(now), "policy": "champion" if rung == "champion" else "fallback", "rung": rung,
            "degraded": reason is not None, "degraded_reason": reason,
            "model_version": standing.version if by_model else None, "feature_version": FEATURE_VERSION,
        }  # fmt: skip
