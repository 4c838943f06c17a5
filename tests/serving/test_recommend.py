"""Recommendations without HTTP: order, refusals, rules, and that no path lets a refused pair out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving.recommend as module
from features.book import Book
from features.eligibility import RULES, objects, refusals
from features.engine import Engine
from features.errors import ModelError, UnknownId
from features.matrix import Vocabulary
from serving import metrics
from serving.inline import AlreadyStored, book_with
from serving.instants import iso, micros
from serving.ladder import RULES as RULES_STANDING
from serving.ladder import Standing
from serving.recommend import Recommender
from serving.shadow import Seen, looked
from tests.serving.challengers import contender
from tests.serving.conftest import Crm


def clean(row: dict[str, Any], *without: str) -> dict[str, Any]:
    """A table's row as it would be sent: nulls as None, instants as datetime."""
    told = {k: (None if v is None or v != v else v) for k, v in row.items() if k not in without}
    return {k: v.to_pydatetime() if hasattr(v, "to_pydatetime") else v for k, v in told.items()}


def open_lead(recommender: Recommender, crm: Crm) -> str:
    placed = (str(crm.book.lead_ids[c]) for c in recommender.open_leads)
    return next(lead for lead in placed if len(recommender.reps_for_lead(lead)["items"]) > 1)


@given(data=st.data())
@settings(max_examples=60)
def test_no_refused_pair_comes_out_whoever_ranks(data: st.DataObject, crm: Crm, recommender: Recommender) -> None:
    ranker = data.draw(st.sampled_from([recommender, Recommender(crm.book, crm.config, RULES_STANDING)]))
    now = np.array([crm.book.now])
    if data.draw(st.booleans()):
        lead = data.draw(st.sampled_from(list(crm.book.lead_ids)))
        answer = ranker.reps_for_lead(str(lead), 100)
        pairs = [(lead, item["rep_id"]) for item in answer["items"]]
        assert answer["candidates"] == len(crm.book.rep_ids)
    else:
        rep = data.draw(st.sampled_from(list(crm.book.rep_ids)))
        answer = ranker.leads_for_rep(str(rep), 100)
        pairs = [(item["lead_id"], rep) for item in answer["items"]]
    assert set(answer["refused"]) <= set(RULES)
    assert answer["candidates"] == answer["scored"] + sum(answer["refused"].values())
    for lead, rep in pairs:
        codes = np.array([crm.book.lead_index.code(lead)]), np.array([crm.book.rep_index.code(rep)])
        assert refusals(crm.book, crm.config, *codes, now, profiling=False)[0] == 0


def test_items_are_sorted_by_expected_value_and_ties_by_id(crm: Crm, recommender: Recommender) -> None:
    for rep in crm.book.rep_ids:
        items = recommender.leads_for_rep(str(rep), 100)["items"]
        keys = [(-item["expected_value"], -item["score"], item["lead_id"]) for item in items if item["expected_value"]]
        assert keys == sorted(keys)
        assert [item["rank"] for item in items] == list(range(1, len(items) + 1))


def test_ties_are_broken_by_id() -> None:
    order = module.Order(np.zeros(4), *(np.full(4, np.nan),) * 3, "hash", None)
    assert order.best(np.array([2, 0, 3, 1]), 3).tolist() == [1, 3, 0]


def test_k_cuts_the_same_list(crm: Crm, recommender: Recommender) -> None:
    lead = open_lead(recommender, crm)
    whole = recommender.reps_for_lead(lead, 100)["items"]
    assert recommender.reps_for_lead(lead, 2)["items"] == whole[:2]


def test_expected_value_is_what_the_configuration_says(crm: Crm, recommender: Recommender) -> None:
    value = crm.config.value.model_copy(update={"accept": 2.0, "convert": 3.0, "amount": 0.5})
    other = Recommender(crm.book, crm.config.model_copy(update={"value": value}), recommender.standing)
    lead = open_lead(recommender, crm)
    code = crm.book.lead_index.code(lead)
    amount = crm.book.mean_amount(crm.book.leads.solution[[code]], np.array([crm.book.now]))[0]
    for item in other.reps_for_lead(lead)["items"]:
        expected = 2 * item["p_accept"] + item["p_convert"] * (3 + 0.5 * amount)
        assert item["expected_value"] == pytest.approx(expected, rel=1e-12)


def test_rules_rank_without_probabilities_and_repeat_themselves(crm: Crm) -> None:
    rules = Recommender(crm.book, crm.config, RULES_STANDING)
    lead = open_lead(rules, crm)
    answer = rules.reps_for_lead(lead, 100, reasons=True)
    assert answer["rung"] in ("owner_territory", "hash")
    for item in answer["items"]:
        assert item["p_accept"] is item["p_convert"] is item["expected_value"] is None
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert answer == rules.reps_for_lead(lead, 100, reasons=True)


def test_a_model_that_fails_leaves_the_answer_to_the_rules(crm: Crm, recommender: Recommender) -> None:
    class Broken:
        vocabulary, card, content_hash = crm.products[1].vocabulary, crm.products[1].card, ""

        def predict(self, matrix: object) -> object:
            raise ModelError("native code said no")

    standing: Any = replace(recommender.standing, product=Broken())
    broken = Recommender(crm.book, crm.config, standing)
    lead = open_lead(recommender, crm)
    answer = broken.reps_for_lead(lead, 100)
    rules = Recommender(crm.book, crm.config, RULES_STANDING).reps_for_lead(lead, 100)
    assert answer["items"] == rules["items"]
    assert answer["degraded"]
    assert "could not answer" in answer["degraded_reason"]
    assert (answer["rung"], answer["model_version"]) == (rules["rung"], None)


def test_features_that_fail_leave_the_answer_to_the_hash(
    crm: Crm, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError

    lead = open_lead(recommender, crm)
    sound = recommender.reps_for_lead(lead, 100)
    monkeypatch.setattr(Engine, "matrix_of", broken)
    answer = Recommender(crm.book, crm.config, recommender.standing).reps_for_lead(lead, 100)
    assert answer["rung"] == "hash"
    assert answer["refused"] == sound["refused"]
    assert {i["rep_id"] for i in answer["items"]} == {i["rep_id"] for i in sound["items"]}


def objecting(crm: Crm, lead: str) -> Book:
    """The book in which the lead's contact objects to profiling."""
    tables = dict(crm.snapshot.tables)
    contact = crm.book.contact_ids[crm.book.leads.contact[crm.book.lead_index.code(lead)]]
    contacts = tables["contacts"].copy()
    contacts["objects_to_profiling"] = (contacts["contact_id"] == contact).astype("boolean")
    tables["contacts"] = contacts
    return Book(tables, crm.config, crm.book.now)


def test_a_contact_who_objects_is_placed_by_rules_only(crm: Crm, recommender: Recommender) -> None:
    lead = open_lead(recommender, crm)
    book = objecting(crm, lead)
    assert objects(book, np.array([book.lead_index.code(lead)])).all()
    asked = Recommender(book, crm.config, recommender.standing)
    answer = asked.reps_for_lead(lead, 100)
    assert answer["items"]
    assert answer["rung"] in ("owner_territory", "hash")
    assert all(item["p_accept"] is None for item in answer["items"])
    assert "objects to profiling" in answer["degraded_reason"]
    rep = answer["items"][0]["rep_id"]
    sheet = asked.leads_for_rep(rep, 100)
    mine = next(item for item in sheet["items"] if item["lead_id"] == lead)
    assert mine["expected_value"] is None
    scored = asked.score_pairs([lead], [rep])["items"][0]
    assert (scored["eligible"], scored["rule"], scored["score"]) == (False, "objects", None)


def test_more_candidates_than_are_scored_leave_the_newest(
    crm: Crm, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    rep = max((str(r) for r in crm.book.rep_ids), key=lambda r: recommender.leads_for_rep(r)["scored"])
    every = recommender.leads_for_rep(rep, 100)["items"]
    assert len(every) > 3
    monkeypatch.setattr(module, "SCORED", 3)
    answer = recommender.leads_for_rep(rep, 100)
    assert (answer["scored"], len(answer["items"])) == (3, 3)
    born = {str(i): b for i, b in zip(crm.book.lead_ids, crm.book.leads.born, strict=True)}
    kept = {item["lead_id"] for item in answer["items"]}
    assert min(born[lead] for lead in kept) >= max(born[i["lead_id"]] for i in every if i["lead_id"] not in kept)


def test_a_batch_scores_as_its_pairs_do_alone(crm: Crm, recommender: Recommender) -> None:
    rng = np.random.default_rng(3)
    leads = [str(i) for i in rng.choice(crm.book.lead_ids, 60)]
    reps = [str(i) for i in rng.choice(crm.book.rep_ids, 60)]
    at = [None if i % 3 else int(crm.book.now) - i * 86_400_000_000 for i in range(60)]
    together = recommender.score_pairs(leads, reps, at)["items"]
    alone = [recommender.score_pairs([a], [b], [t])["items"][0] for a, b, t in zip(leads, reps, at, strict=True)]
    assert together == alone
    for item in together:
        assert (item["rule"] is None) == item["eligible"] == (item["score"] is not None)
    assert any(item["eligible"] for item in together)


def test_a_pair_without_an_instant_is_scored_as_of_the_lead_s_creation(crm: Crm, recommender: Recommender) -> None:
    lead, rep = str(crm.book.lead_ids[3]), str(crm.book.rep_ids[0])
    born = int(crm.book.leads.born[3])
    assert recommender.score_pairs([lead], [rep])["items"] == recommender.score_pairs([lead], [rep], [born])["items"]
    assert recommender.score_pairs([lead], [rep])["items"][0]["as_of"] == iso(born)


def test_unknown_ids_are_named(recommender: Recommender) -> None:
    with pytest.raises(UnknownId, match="no lead 'nobody'"):
        recommender.reps_for_lead("nobody")
    with pytest.raises(UnknownId, match="no rep 'nobody'"):
        recommender.leads_for_rep("nobody")


def test_no_pairs_are_no_items(recommender: Recommender) -> None:
    assert recommender.score_pairs([], [])["items"] == []


def test_reasons_are_given_only_when_asked_and_only_for_what_is_shown(crm: Crm, recommender: Recommender) -> None:
    lead = open_lead(recommender, crm)
    assert all(item["reasons"] == [] for item in recommender.reps_for_lead(lead)["items"])
    asked = recommender.reps_for_lead(lead, 2, reasons=True)["items"]
    assert any(item["reasons"] for item in asked)
    for reason in (r for item in asked for r in item["reasons"]):
        assert set(reason) == {"feature", "effect", "text"}


def test_what_serves_is_swapped_as_a_whole(crm: Crm, recommender: Recommender) -> None:
    swapped = Recommender(crm.book, crm.config, RULES_STANDING)
    lead = open_lead(recommender, crm)
    swapped.standing = Standing(crm.products[0], "champion", "1", None)
    assert swapped.reps_for_lead(lead)["model_version"] == "1"
    swapped.standing = recommender.standing
    assert swapped.reps_for_lead(lead) == recommender.reps_for_lead(lead)


# -- Leads that are not stored --------------------------------------------------------------------------------------


def test_an_inline_lead_has_the_features_that_it_would_have_if_stored(crm: Crm, recommender: Recommender) -> None:
    """Taken out of the tables and sent in full, a lead gives the same bits as where it stood."""
    leads = crm.snapshot.tables["leads"]
    engine, reps = Engine(crm.book, crm.config), crm.book.rep_ids
    for lead in [str(crm.book.lead_ids[c]) for c in recommender.open_leads[:4]]:
        row = clean(leads[leads["lead_id"] == lead].iloc[0].to_dict(), "known_at", "status", "closed_at")
        gone = Book({**crm.snapshot.tables, "leads": leads[leads["lead_id"] != lead]}, crm.config, crm.book.now)
        book, rows = book_with(gone, crm.config, row)
        other = Engine(book, crm.config, engine.vocabulary)
        asked = [lead] * len(reps), reps, crm.book.now
        assert (rows["leads"]["lead_id"], book.now) == (lead, crm.book.now)
        np.testing.assert_array_equal(other.matrix(*asked).values, engine.matrix(*asked).values)
        np.testing.assert_array_equal(other.eligibility(*asked), engine.eligibility(*asked))


def test_a_source_that_the_model_never_saw_is_ranked_and_counted_and_is_no_error(
    crm: Crm, recommender: Recommender
) -> None:
    placed = open_lead(recommender, crm)
    code = crm.book.lead_index.code(placed)
    contact = str(crm.book.contact_ids[crm.book.leads.contact[code]])
    lead = {"solution": crm.book.solutions.values[crm.book.leads.solution[code]], "contact_id": contact}

    def met(feature: str) -> float:
        return float(metrics.UNSEEN.labels(feature)._value.get())

    known = recommender.reps_for_inline(lead | {"source": "webinar"}, 100)
    before = met("source")
    answer = recommender.reps_for_inline(lead | {"source": "a fair on the moon"}, 100)
    assert met("source") == before + 1
    assert len(answer["items"]) == len(known["items"]) > 0
    assert (answer["rung"], answer["degraded"]) == ("champion", False)
    assert all(np.isfinite([item["score"], item["p_accept"], item["p_convert"]]).all() for item in answer["items"])
    recommender.reps_for_inline(lead | {"source": "webinar"}, 100)
    recommender.reps_for_inline(lead, 100)
    assert met("source") == before + 1


def test_categories_are_counted_for_an_answer_and_for_nothing_that_nobody_asked(crm: Crm) -> None:
    """A worker warms up at its start and after every change, and a challenger looks on: the model knows no rep here."""
    product = crm.products[1]
    words = Vocabulary(dict(product.vocabulary.values) | {"rep_id": ()})
    product = replace(product, contract=replace(product.contract, vocabulary=words))
    asked = Recommender(crm.book, crm.config, Standing(product, "champion", "2", None))
    beside = Recommender(crm.book, crm.config, RULES_STANDING, contender=contender(crm, product))
    lead = open_lead(asked, crm)

    def met() -> float:
        return float(metrics.UNSEEN.labels("rep_id")._value.get())

    before = met()
    asked.warm()
    assert looked(Seen("D-1", datetime(2026, 3, 1, tzinfo=UTC), beside, beside.rank_reps(lead), [])) is not None
    assert met() == before
    assert asked.reps_for_lead(lead, 100)["scored"] == met() - before > 0


def test_an_inline_lead_brings_its_contact_and_account(crm: Crm, recommender: Recommender) -> None:
    stored = crm.snapshot.tables
    placed = open_lead(recommender, crm)
    code = crm.book.lead_index.code(placed)
    contact_id = crm.book.contact_ids[crm.book.leads.contact[code]]
    contact = clean(stored["contacts"][stored["contacts"]["contact_id"] == contact_id].iloc[0].to_dict(), "known_at")
    account_id = contact.pop("account_id")
    account = clean(stored["accounts"][stored["accounts"]["account_id"] == account_id].iloc[0].to_dict(), "known_at")
    lead = {
        "solution": crm.book.solutions.values[crm.book.leads.solution[code]],
        "contact": contact | {"contact_id": "new", "reports_to": None},
        "account": account | {"account_id": "newer"},
    }
    before = len(crm.book.lead_ids), len(crm.book.contact_ids), len(crm.book.account_ids)
    answer = recommender.reps_for_inline(lead, 5)
    assert answer["items"]
    assert answer["lead_id"].startswith("inline-")
    assert answer == recommender.reps_for_inline(lead, 5)
    assert before == (len(crm.book.lead_ids), len(crm.book.contact_ids), len(crm.book.account_ids))
    with pytest.raises(UnknownId):
        recommender.reps_for_lead(answer["lead_id"])


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"lead_id": "L00001"}, "lead_exists", "lead.lead_id"),
        ({"contact_id": "nobody"}, "contact_unknown", "lead.contact_id"),
        ({"account_id": "none"}, "account_unknown", "lead.account_id"),
        ({"qualified_by": "nobody"}, "rep_unknown", "lead.qualified_by"),
        ({"campaign_id": "none"}, "campaign_unknown", "lead.campaign_id"),
        ({"contact_id": None, "contact": {"contact_id": "new"}}, "input_invalid", "lead.contact.account_id"),
        ({"contact": {"contact_id": "other", "account_id": "A1"}}, "input_invalid", "lead.contact_id"),
        ({"account": {"account_id": "newer", "name": ""}}, "input_invalid", "lead.account.name"),
    ],
)
def test_an_inline_lead_with_wrong_ids_is_refused(
    crm: Crm, recommender: Recommender, change: dict[str, Any], code: str, field: str
) -> None:
    lead = {"contact_id": str(crm.book.contact_ids[0]), "solution": "payments"} | change
    if code == "lead_exists":
        lead["lead_id"] = str(crm.book.lead_ids[0])
    with pytest.raises(Exception) as refused:
        recommender.reps_for_inline(lead)
    assert (refused.value.code, refused.value.field) == (code, field)  # type: ignore[attr-defined]
    assert not isinstance(refused.value, AlreadyStored) or refused.value.status == 409


def test_instants_go_there_and_back() -> None:
    from datetime import datetime

    for text in ("2026-03-02T09:00:00Z", "1970-01-02T00:00:00.000001Z", "2099-12-31T23:59:59.999999Z"):
        assert iso(micros(datetime.fromisoformat(text))) == text
