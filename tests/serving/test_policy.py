"""The policy mix: held-out accounts stay on the rules, a share is drawn within its loss, and propensities are exact."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from features.config_policy import Explore, Policy
from serving.actor import LOCAL
from serving.decide import Decider
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.crm import OFFERS
from serving.ledger.decisions import read
from serving.ledger.events import record
from serving.ledger.holds import decided_here
from serving.plan import plan
from serving.policy import drawn_with, held_out, kept_out, mixed
from serving.recommend import Recommender
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand
from training.lift import Mixed as Offered


def test_exploring_by_hand() -> None:
    """Worth 1, 0.9 and 0.5: the third lies beyond a loss of a quarter. Half of the decisions are drawn."""
    epsilon = drawn_with(np.array([1.0, 0.9, 0.5]), Explore(share=0.5, how="epsilon", loss=0.25))
    np.testing.assert_allclose(epsilon, [0.75, 0.25, 0.0])
    softmax = drawn_with(np.array([1.0, 0.9, 0.5]), Explore(share=0.5, how="softmax", loss=0.25, temperature=0.1))
    weight = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(softmax, [0.5 + 0.5 * weight, 0.5 * (1 - weight), 0.0])
    assert drawn_with(np.array([np.nan, np.nan]), Explore(share=0.5)).tolist() == [1, 0]
    assert drawn_with(np.empty(0), Explore(share=0.5)).tolist() == []


@given(
    value=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20),
    share=st.floats(0, 0.99), loss=st.floats(0, 1), how=st.sampled_from(["softmax", "epsilon"]),
)  # fmt: skip
def test_exploring_is_a_distribution_that_costs_no_more_than_it_may(
    value: list[float], share: float, loss: float, how: str
) -> None:
    worth = np.sort(np.array(value))[::-1]
    chance = drawn_with(worth, Explore(share=share, how=how, loss=loss))  # type: ignore[arg-type]
    assert chance.sum() == pytest.approx(1)
    assert (chance >= 0).all()
    assert chance @ worth >= worth[0] * (1 - share * loss) - 1e-9


def test_a_held_out_account_stays_one_and_the_share_is_kept() -> None:
    policy = Policy(holdout=0.2)
    drawn = [held_out(f"A{i}", policy) for i in range(5000)]
    assert drawn == [held_out(f"A{i}", policy) for i in range(5000)]
    assert abs(np.mean(drawn) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 5000)
    other = [held_out(f"A{i}", Policy(holdout=0.2, salt="again")) for i in range(5000)]
    assert 0.2 < np.mean(np.array(drawn) != other) < 0.44


def mixing(crm: Crm, **policy: object) -> Recommender:
    config = crm.config.model_copy(update={"policy": Policy.model_validate(policy)})
    return Recommender(crm.book, config, Standing(crm.products[1], "champion", "2", None))


def a_lead(recommender: Recommender) -> str:
    for code in recommender.open_leads:
        lead_id = str(recommender.book.lead_ids[code])
        ranking = recommender.rank_reps(lead_id)
        rules = recommender.by_rules(ranking)
        if len(ranking.best) > 3 and ranking.best_ids[0] != rules.best_ids[0]:
            return lead_id
    raise AssertionError("model and rules agree on every lead")


def test_propensities_are_how_often_a_rep_is_chosen(crm: Crm) -> None:
    """Over many draws of account and decision every rep is chosen as often as was written down, each time alike."""
    recommender = mixing(crm, holdout=0.3, explore={"share": 0.4, "how": "epsilon", "loss": 1.0})
    lead_id = a_lead(recommender)
    model = recommender.rank_reps(lead_id)
    rules = recommender.by_rules(model)
    policy = recommender.config.policy
    chosen: Counter[str] = Counter()
    said: dict[str, set[float]] = {}
    n = 6000
    for i in range(n):
        found = mixed(model, rules, f"account-{i}", policy, f"draw-{i}")
        chosen[found.ranking.best_ids[0]] += 1
        for rep_id, chance in zip(found.ranking.best_ids, found.propensity, strict=True):
            said.setdefault(rep_id, set()).add(round(float(chance), 12))
    assert all(len(values) == 1 for values in said.values())
    for rep_id, (chance,) in ((rep, tuple(values)) for rep, values in said.items()):
        assert abs(chosen[rep_id] / n - chance) < 4.5 * np.sqrt(chance * (1 - chance) / n) + 1e-9
    assert sum(next(iter(values)) for values in said.values()) == pytest.approx(1)


def test_offers_carry_their_policy_and_propensity(crm: Crm, stocked: Ledger) -> None:
    stand = Stand(stocked, crm)
    recommender = mixing(crm, holdout=0.5, explore={"share": 0.5, "loss": 1.0})
    decider = Decider(stocked, recommender.config, lambda: recommender, lambda: stand.now)
    for code in recommender.open_leads[:60]:
        lead_id = str(recommender.book.lead_ids[code])
        advice = decider.reps(lead_id, None, 1, actor=LOCAL).answer
        held = held_out(recommender.account_of(lead_id), recommender.config.policy)
        if advice["items"]:
            assert (advice["policy"] == "holdout") is held
            assert (advice["items"][0]["p_accept"] is None) is held
            assert not advice["degraded"]
        decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once())
    with stocked.reading() as connection:
        made = connection.execute(select(OFFERS).where(OFFERS.c.decision_id.like("D-%"))).all()
        ours = connection.execute(select(OFFERS.c.offer_id).where(decided_here())).scalars().all()
    # Which of the model's few leads are left to chance, chance says.
    assert {"holdout"} < {row.policy for row in made} <= {"champion", "holdout", "explore"}
    assert all(0 < row.propensity <= 1 for row in made)
    for row in made:
        held = held_out(recommender.account_of(row.lead_id), recommender.config.policy)
        assert (row.policy == "holdout") is held
    # The sample's own offers have policies too, and were made long before.
    assert "explore" in crm.book.outcomes.policy
    assert set(ours) == {row.offer_id for row in made}
    history = Offered.of(crm.book, ours, kept_out(crm.book.account_ids, recommender.config.policy))
    assert len(history.account) == 0


def test_what_no_one_knows_the_chance_of_has_no_propensity(crm: Crm, stocked: Ledger) -> None:
    """Leads compete in a plan and on a sheet; a lead that goes on does so by the draw that sent it where it was."""
    stand = Stand(stocked, crm)
    config = mixing(crm, holdout=0.5).config
    stand.known.config = config
    stand.decider = Decider(stocked, config, lambda: stand.known, lambda: stand.now)
    first = stand.decider.reps(stand.free_lead(), None, 1, actor=LOCAL, once=stand.once()).answer
    told = {"event_id": "no", "offer_id": first["items"][0]["offer_id"], "kind": "rejected", "reason": "other"}
    with changing(stocked, stand.now) as change:
        record(change, config, [told | {"at": stand.now}], LOCAL)
    stand.minutes += 1
    stand.follow()
    stand.known.config = config
    again = stand.decider.reps(first["lead_id"], None, 1, actor=LOCAL, once=stand.once()).answer
    sheet = stand.decider.leads(str(crm.book.rep_ids[3]), 2, actor=LOCAL, once=stand.once()).answer
    year, week, _ = stand.now.isocalendar()
    planned = plan(stand.decider, f"{year}-W{week:02d}", actor=LOCAL, once=stand.once()).answer
    with stocked.reading() as connection:
        made = connection.execute(select(OFFERS.c.decision_id, OFFERS.c.propensity)).all()
        details = [read(connection, one["decision_id"]).detail for one in (again, planned)]
    of = {row.decision_id: row.propensity for row in made}
    assert of[first["decision_id"]] in (0.5, 1.0)
    for answer in (again, sheet, planned):
        assert of[answer["decision_id"]] is None
    assert all(detail is not None and set(detail["propensity"]) == {None} for detail in details)
