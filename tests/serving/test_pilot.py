"""The challenger for pilot reps: whom it decides for, how likely each was, and that its failure changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from features.config_policy import Policy
from models.product import Product
from serving.actor import LOCAL
from serving.decide import Asked, Decider
from serving.explain import explained
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.crm import OFFERS
from serving.ledger.decisions import read
from serving.policy import held_out
from serving.recommend import Recommender
from tests.serving.challengers import contender, contrary, failing
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand


def piloting(crm: Crm, product: Product, **policy: object) -> Recommender:
    config = crm.config.model_copy(update={"policy": Policy.model_validate({"pilot": True} | policy)})
    champion = Standing(crm.products[1], "champion", "2", None)
    return Recommender(crm.book, config, champion, contender=contender(crm, product))


def pilots(crm: Crm) -> set[str]:
    reps = crm.snapshot.tables["reps"]
    return set(reps.loc[reps["pilot"].fillna(False).astype(bool), "rep_id"])


def of_a_pilot(crm: Crm, recommender: Recommender, lead_id: str) -> bool:
    accounts = crm.snapshot.tables["accounts"].set_index("account_id")
    account = recommender.account_of(lead_id)
    return bool(account) and accounts.loc[account, "owner_rep_id"] in pilots(crm)


def placeable(recommender: Recommender, *, least: int = 1) -> Iterator[str]:
    for code in recommender.open_leads:
        lead_id = str(recommender.book.lead_ids[code])
        if len(recommender.rank_reps(lead_id).best) >= least:
            yield lead_id


def test_propensities_are_exact_with_holdout_pilot_and_exploring_together(crm: Crm) -> None:
    """Over many draws of account and decision each rep is chosen as often as was written down, each time alike."""
    explore = {"share": 0.4, "how": "epsilon", "loss": 1.0}
    recommender = piloting(crm, contrary(crm.products[1]), holdout=0.3, explore=explore)
    lead_id = next(lead for lead in placeable(recommender, least=3) if of_a_pilot(crm, recommender, lead))
    asked = Asked.of_lead(recommender, lead_id, {})
    assert asked.ranking.best_ids == contrary_order(recommender, lead_id)
    chosen: Counter[str] = Counter()
    names: Counter[str] = Counter()
    said: dict[str, set[float]] = {}
    n = 4000
    for i in range(n):
        found = replace(asked, account=f"account-{i}").mixed({}, f"draw-{i}")
        names[found.name] += 1
        chosen[found.ranking.best_ids[0]] += 1
        for rep_id, chance in zip(found.ranking.best_ids, found.propensity, strict=True):
            said.setdefault(rep_id, set()).add(round(float(chance), 12))
    assert set(names) == {"holdout", "pilot", "explore"}
    assert abs(names["holdout"] / n - 0.3) < 4.5 * np.sqrt(0.3 * 0.7 / n)
    assert all(len(values) == 1 for values in said.values())
    for rep_id, (chance,) in ((rep, tuple(values)) for rep, values in said.items()):
        assert abs(chosen[rep_id] / n - chance) < 4.5 * np.sqrt(chance * (1 - chance) / n) + 1e-9
    assert sum(next(iter(values)) for values in said.values()) == pytest.approx(1)


def contrary_order(recommender: Recommender, lead_id: str) -> list[str]:
    beside = recommender.beside
    assert beside is not None
    return beside.rank_reps(lead_id).best_ids


@pytest.fixture
def standing(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def decider(stand: Stand, recommender: Recommender) -> Decider:
    return Decider(stand.ledger, recommender.config, lambda: recommender, lambda: stand.now)


def test_a_pilot_rep_s_accounts_and_call_sheet_are_the_challenger_s_and_say_so(crm: Crm, standing: Stand) -> None:
    """On both databases; the holdout goes before, and every decision is replayed by the model that made it."""
    other = contrary(crm.products[1])
    recommender = piloting(crm, other, holdout=0.4)
    ours = decider(standing, recommender)
    seen: Counter[tuple[bool, str]] = Counter()
    answers: list[dict[str, Any]] = []
    for lead_id in list(placeable(recommender))[:40]:
        answer = ours.reps(lead_id, None, 2, actor=LOCAL, reasons=True, once=standing.once()).answer
        if not answer["items"]:
            continue
        answers.append(answer)
        piloted = of_a_pilot(crm, recommender, lead_id)
        held = held_out(recommender.account_of(lead_id), recommender.config.policy)
        seen[piloted, answer["policy"]] += 1
        assert answer["policy"] == ("holdout" if held else "pilot" if piloted else "champion")
        assert answer["model_version"] == (None if held else "9" if piloted else "2")
        assert not answer["degraded"]
    assert len(seen) == 4, "no lead of each kind"
    for rep_id in [*sorted(pilots(crm))[:1], "R00001"]:
        sheet = ours.leads(rep_id, 3, actor=LOCAL, once=standing.once()).answer
        answers.append(sheet)
        of_pilot = rep_id in pilots(crm)
        assert (sheet["policy"], sheet["model_version"]) == (("pilot", "9") if of_pilot else ("champion", "2"))
        assert any(item["offer_id"] for item in sheet["items"])
    models = {one.content_hash: one for one in (other, crm.products[1])}
    with standing.ledger.reading() as connection:
        for answer in answers:
            told = explained(read(connection, answer["decision_id"]), lambda content_hash: models[content_hash])
            assert told["model_version"] == answer["model_version"]
            if answer["model_version"] is not None:
                assert told["replay"] == {"model": "here", "agrees": True, "because": None}
        made = connection.execute(select(OFFERS).where(OFFERS.c.decision_id.like("D-%"))).all()
    assert {row.policy for row in made} == {"champion", "holdout", "pilot"}
    by_lead = {answer["decision_id"] for answer in answers if "lead_id" in answer}
    for row in made:
        held = held_out(recommender.account_of(row.lead_id), recommender.config.policy)
        assert (row.policy == "holdout") is held
        assert (row.propensity is None) is (row.decision_id not in by_lead), "on a sheet nobody knows it"


def test_a_challenger_that_fails_or_is_not_asked_for_leaves_the_champion_s_answers(crm: Crm, stocked: Ledger) -> None:
    stand = Stand(stocked, crm)
    alone = decider(stand, Recommender(crm.book, crm.config, Standing(crm.products[1], "champion", "2", None)))
    others = [
        decider(stand, piloting(crm, failing(crm.products[1]))),
        decider(stand, piloting(crm, contrary(crm.products[1]), pilot=False)),
    ]
    lead_ids = [one for one in placeable(alone.now(), least=2) if of_a_pilot(crm, alone.now(), one)][:2]
    asks = [lambda d, one=one: d.reps(one, None, 5, actor=LOCAL) for one in lead_ids]
    asks += [lambda d, one=one: d.leads(one, 5, actor=LOCAL) for one in sorted(pilots(crm))[:1]]
    for ask in asks:
        expected = ask(alone).answer | {"decision_id": None}
        assert expected["items"]
        for other in others:
            assert ask(other).answer | {"decision_id": None} == expected
