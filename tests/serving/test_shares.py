"""Where places are few, accounts under the model and held-out ones get the same share of them, and objectors theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.book import Book
from features.config_policy import Policy
from features.eligibility import objects
from serving.ladder import Standing
from serving.plan import made
from serving.policy import held_out
from serving.recommend import Recommender
from tests.serving.conftest import Crm

SALTS = range(20)


@pytest.fixture(scope="module")
def scarce(crm: Crm) -> Book:
    """The small CRM whose reps have few places, and whose every fifth contact objects to profiling."""
    reps, contacts = (crm.snapshot.tables[name].copy() for name in ("reps", "contacts"))
    reps["weekly_capacity"] = 3.0
    contacts["objects_to_profiling"] = pd.array(np.arange(len(contacts)) % 5 == 0, "boolean")
    tables = {**crm.snapshot.tables, "reps": reps, "contacts": contacts}
    return Book.of(replace(crm.snapshot, tables=tables), crm.config)


def mixing(crm: Crm, book: Book, holdout: float, salt: int) -> Recommender:
    policy = Policy(holdout=holdout, salt=f"salt {salt}")
    config = crm.config.model_copy(update={"policy": policy})
    return Recommender(book, config, Standing(crm.products[1], "champion", "2", None))


def kinds(recommender: Recommender, leads: np.ndarray) -> np.ndarray:
    """(n, 3) bool: whether each lead's account is under the model, is held out; whether its contact objects."""
    accounts = recommender.book.account_of(leads, np.full(len(leads), recommender.now))
    policy = recommender.config.policy
    held = np.array([held_out(str(recommender.book.account_ids[code]), policy) for code in accounts], bool)
    return np.stack([~held, held, objects(recommender.book, leads)], axis=1)


def test_a_plan_places_leads_of_held_out_accounts_and_of_objectors_as_often(crm: Crm, scarce: Book) -> None:
    year, week, _ = crm.snapshot.now.isocalendar()
    placed, asked = np.zeros(3), np.zeros(3)
    for salt in SALTS:
        recommender = mixing(crm, scarce, 0.4, salt)
        found = made(recommender, f"{year}-W{week:02d}")
        asked += kinds(recommender, np.unique(found.pairs.lead)).sum(axis=0)
        placed += kinds(recommender, found.pairs.lead[found.chosen]).sum(axis=0)
    rate = placed / asked
    assert rate.max() < 0.8, "places are not few"
    assert abs(rate[0] - rate[1]) < 0.05
    assert abs(rate[0] - rate[2]) < 0.1


def test_a_call_sheet_gives_rules_and_model_their_share_of_the_first_lines(crm: Crm, scarce: Book) -> None:
    """Of k lines on a sheet of n leads the rules have k / n of theirs, to within two lines, and so has the model."""
    sheets, first = 0, []
    for salt in range(3):
        recommender = mixing(crm, scarce, 0.3, salt)
        for rep_id in recommender.book.rep_ids:
            ranking = recommender.rank_leads(str(rep_id))
            by_rule = np.isnan(ranking.order.value[ranking.best])
            if by_rule.any() and not by_rule.all():
                sheets += 1
                lines = np.arange(1, len(by_rule) + 1)
                assert (np.abs(np.cumsum(by_rule) - lines * by_rule.mean()) < 2).all()
                first.append(by_rule[0])
    assert sheets > 20
    assert 0 < np.mean(first) < 1, "the same side always begins"


def test_a_sheet_of_held_out_accounts_alone_says_nothing_of_objections(crm: Crm) -> None:
    recommender = mixing(crm, crm.book, 0.999, 0)
    answers = [recommender.leads_for_rep(str(rep_id), 3) for rep_id in crm.book.rep_ids]
    assert any(answer["items"] for answer in answers)
    assert not any(answer["degraded"] for answer in answers)
