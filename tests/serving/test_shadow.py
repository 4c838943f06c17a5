"""The challenger in shadow: it looks on at what is committed, is written down apart, and reaches no caller."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select

from features.config_policy import Policy
from serving.actor import LOCAL
from serving.decide import Decider
from serving.explain import explained
from serving.ladder import RULES, Standing
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.decisions import read
from serving.ledger.erase import erase
from serving.ledger.events import record
from serving.ledger.load import load
from serving.ledger.shadows import Watched, watched
from serving.ledger.tables import DECISION_DETAILS, SHADOWS
from serving.present_shadow import shadow_rows
from serving.recommend import Recommender
from serving.shadow import WAITING, Shadow
from tests.serving.challengers import contender, contrary, failing, recoded, released
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand


class Watching:
    """Decides on a ledger with a challenger that looks on when it is told to."""

    def __init__(self, ledger: Ledger, crm: Crm, product: Any, champion: Standing | None = None, **policy: Any) -> None:
        told = Policy.model_validate({"shadow": True} | policy)
        config = crm.config.model_copy(update={"policy": told})
        serving = champion or Standing(crm.products[1], "champion", "2", None)
        self.recommender = Recommender(crm.book, config, serving, contender=contender(crm, product))
        self.stand, self.product = Stand(ledger, crm), product
        self.shadow = Shadow(ledger, told)
        self.decider = Decider(ledger, config, lambda: self.recommender, lambda: self.stand.now, shadow=self.shadow)
        self.leads = self._leads()

    def _leads(self) -> Iterator[str]:
        for code in self.recommender.open_leads:
            lead_id = str(self.recommender.book.lead_ids[code])
            if len(self.recommender.rank_reps(lead_id).best) > 1:
                yield lead_id

    def commit(self, n: int) -> list[dict[str, Any]]:
        """Commit so many leads; their answers."""
        return [
            self.decider.reps(next(self.leads), None, 3, actor=LOCAL, once=self.stand.once()).answer for _ in range(n)
        ]

    def rows(self) -> dict[str, Any]:
        with self.stand.ledger.reading() as connection:
            return {row.decision_id: row for row in connection.execute(select(SHADOWS))}

    def watched(self) -> Watched:
        with self.stand.ledger.reading() as connection:
            return watched(connection, self.product.content_hash)


@pytest.fixture
def filled(stocked: Ledger) -> Ledger:
    return stocked


def test_what_it_would_have_done_is_written_with_each_decision_and_summed_up(filled: Ledger, crm: Crm) -> None:
    """On both databases: its pick and scores are those that it gives when it is asked itself."""
    watching = Watching(filled, crm, contrary(crm.products[1]))
    answers = watching.commit(6)
    assert {answer["policy"] for answer in answers} == {"champion"}
    watching.shadow.once()
    rows = watching.rows()
    assert set(rows) == {answer["decision_id"] for answer in answers}
    beside = watching.recommender.beside
    assert beside is not None
    for answer in answers:
        theirs = beside.reps_for_lead(answer["lead_id"], 100)["items"]
        row = rows[answer["decision_id"]]
        assert (row.rep_id, row.error, row.model_version) == (theirs[0]["rep_id"], None, "9")
        assert row.agrees is (theirs[0]["rep_id"] == answer["items"][0]["rep_id"])
        offered = answer["items"][0]
        assert row.p_accept_serving == offered["p_accept"]
        assert row.p_accept == next(item["p_accept"] for item in theirs if item["rep_id"] == offered["rep_id"])
    with filled.reading() as connection:
        told = explained(read(connection, answers[0]["decision_id"]), lambda _: crm.products[1])
    assert told["shadow"]["rep_id"] == rows[answers[0]["decision_id"]].rep_id
    shown = {item["rep_id"] for item in answers[0]["items"]}
    assert set(told["shadow"]["scores"]) == shown | {told["shadow"]["rep_id"]}
    assert told["replay"]["agrees"]
    # What comes of the offers is what came of the reps who got them.
    kinds = {
        answer["items"][0]["offer_id"]: kind for answer, kind in zip(answers, ["accepted", "rejected"], strict=False)
    }
    at = watching.stand.now + timedelta(minutes=1)
    with changing(filled, at) as change:
        for offer_id, kind in kinds.items():
            event = {"event_id": offer_id, "offer_id": offer_id, "kind": kind, "at": at, "reason": None}
            record(change, crm.config, [event | ({"reason": "bad_fit"} if kind == "rejected" else {})], LOCAL)
    found = watching.watched()
    assert (found.decisions, found.errors, found.agreed) == (6, 0, sum(row.agrees for row in rows.values()))
    assert (sum(part.answered for part in found.parts), sum(part.accepted for part in found.parts)) == (2, 1)
    (line,) = [one for one in shadow_rows((released(crm, watching.product), found)) if one["first"] == "another"]
    answered = [rows[answer["decision_id"]] for answer in answers[:2]]
    apart = [row for row in answered if not row.agrees]
    assert line["foretold_by_serving"] == pytest.approx(np.mean([row.p_accept_serving for row in apart]))
    assert line["foretold_by_challenger"] == pytest.approx(np.mean([row.p_accept for row in apart]))
    # A contact that is forgotten takes what was foretold of it along.
    lead = crm.snapshot.tables["leads"].set_index("lead_id").loc[answers[0]["lead_id"]]
    with changing(filled, at) as change:
        erase(change, crm.config, lead["contact_id"], LOCAL)
    row = watching.rows()[answers[0]["decision_id"]]
    assert (row.scores, row.p_accept, row.p_accept_serving) == (None, None, None)
    assert row.rep_id is not None


def test_one_that_fails_is_counted_and_its_callers_have_what_they_would_have(crm: Crm, tmp_path: Any) -> None:
    with_it = Watching(Ledger.open(None, tmp_path / "a"), crm, failing(crm.products[1]))
    without = Watching(Ledger.open(None, tmp_path / "b"), crm, failing(crm.products[1]), shadow=False)
    answers = []
    for one in (with_it, without):
        load(one.stand.ledger, crm.snapshot)
        answers.append([item["rep_id"] for answer in one.commit(3) for item in answer["items"]])
        one.shadow.once()
    assert answers[0] == answers[1]
    found = with_it.watched()
    assert (found.decisions, found.errors, found.agreed) == (3, 3, 0)
    assert "model 9 could not answer" in next(iter(with_it.rows().values())).error
    assert "failed in 3" in found.sentence("9")
    assert without.rows() == {}
    for one in (with_it, without):
        one.stand.ledger.close()


def test_beside_the_rules_more_than_it_can_and_a_share(crm: Crm, tmp_path: Any) -> None:
    """A first model is tried beside the rules; what comes faster than it looks on is left out; a share is a share."""
    ledger = Ledger.open(None, tmp_path)
    load(ledger, crm.snapshot)
    watching = Watching(ledger, crm, crm.products[0], champion=RULES)
    answers = watching.commit(WAITING + 2)
    watching.shadow.once()
    rows = watching.rows()
    assert set(rows) == {answer["decision_id"] for answer in answers[:WAITING]}
    assert {row.p_accept_serving for row in rows.values()} == {None}
    assert all(row.p_accept is not None for row in rows.values())
    # Nobody is taken who could not be any more by the time of the commit.
    beside, ranking = watching.recommender.beside, watching.recommender.rank_reps(next(watching.leads))
    assert beside is not None
    first, second, *_ = beside.again(ranking).best_ids
    assert beside.again(ranking.without({first: "capacity_full"})).best_ids[0] == second
    half = Watching(ledger, crm, crm.products[0], shadow=0.5)
    half.leads, half.stand = watching.leads, watching.stand
    half.commit(12)
    half.shadow.once()
    assert 0 < len(half.rows()) - WAITING < 12
    # A decision whose particulars were erased before it was written down leaves none here.
    (late,) = watching.commit(1)
    with ledger.writing() as connection:
        connection.execute(delete(DECISION_DETAILS).where(DECISION_DETAILS.c.decision_id == late["decision_id"]))
    watching.shadow.once()
    assert late["decision_id"] not in watching.rows()
    ledger.close()


@pytest.mark.parametrize("make", [contrary, recoded])
def test_the_same_candidates_again_are_scored_as_if_it_had_been_asked_itself(crm: Crm, make: Any) -> None:
    champion = Standing(crm.products[1], "champion", "2", None)
    recommender = Recommender(crm.book, crm.config, champion, contender=contender(crm, make(crm.products[1])))
    beside = recommender.beside
    assert beside is not None
    for code in recommender.open_leads[:20]:
        lead_id = str(crm.book.lead_ids[code])
        again, own = beside.again(recommender.rank_reps(lead_id)), beside.rank_reps(lead_id)
        np.testing.assert_array_equal(again.order.score, own.order.score)
        assert again.best_ids == own.best_ids
