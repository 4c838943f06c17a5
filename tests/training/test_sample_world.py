"""The hidden side of the sample: the policy draws as it says, and worlds differ in what they are named for."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from training.world.life import Life, live
from training.world.policy import drawn
from training.world.setting import Graph, Setting, World


def lived(world: World = "smooth", graph: Graph = "strong", *, traits: bool = True) -> Life:
    return live(Setting(150, 16, 600, 5, date(2026, 3, 1), world, graph, traits), lambda day: None)


@pytest.fixture(scope="module")
def life() -> Life:
    return lived()


def test_draws_are_as_frequent_as_their_chances() -> None:
    chance = np.array([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    picks = drawn(np.random.default_rng(0), np.tile(chance, (20_000, 1)))
    np.testing.assert_allclose(np.bincount(picks, minlength=6) / picks.size, chance, atol=0.012)


def test_offers_are_accepted_as_often_as_the_truth_says(life: Life) -> None:
    log = life.offers
    kept = log.answer != 3
    error = np.sqrt((log.p_accept[kept] * (1 - log.p_accept[kept])).sum())
    assert abs((log.answer[kept] == 0).sum() - log.p_accept[kept].sum()) < 3 * error


def test_without_traits_reps_of_a_role_have_the_same_taste() -> None:
    plain = lived(traits=False)
    for role in np.unique(plain.reps.role):
        same = plain.reps.role == role
        assert np.ptp(plain.truth.taste_solution[same], axis=0).max() == 0
    assert np.ptp(plain.truth.skill) == 0


def test_colleagues_matter_only_where_the_graph_does(life: Life) -> None:
    pairs = (life.pairs.lead * 1000 + life.pairs.rep).tolist()
    none = lived(graph="none")
    assert pairs == (none.pairs.lead * 1000 + none.pairs.rep).tolist()
    assert np.abs(life.pairs.p_convert - none.pairs.p_convert).max() > 0.01


def test_a_rough_world_differs_from_a_smooth_one(life: Life) -> None:
    rough = lived("rough")
    both = np.corrcoef(life.pairs.p_convert, rough.pairs.p_convert)[0, 1]
    assert 0.1 < both < 0.95


def test_some_ties_never_show(life: Life) -> None:
    touched = set(zip(life.touches.rep.tolist(), life.touches.contact.tolist(), strict=True))
    tied = list(zip(life.ties.rep.tolist(), life.ties.contact.tolist(), strict=True))
    hidden = sum(pair not in touched for pair in tied) / len(tied)
    assert 0.15 < hidden < 0.7


def test_no_fact_about_a_contact_is_older_than_the_contact(life: Life) -> None:
    created = life.people.created
    for contact, at in (
        (life.leads.contact, life.leads.created),
        (life.touches.contact, life.touches.at),
        (life.meetings.contact, life.meetings.created),
        (life.activities.contact, life.activities.at),
        (life.deals.contact, life.deals.opened),
    ):
        assert (created[contact] <= at).all()
    assert (created >= life.accounts.created[life.people.account]).all()


def test_reps_do_nothing_before_they_come_or_after_they_leave(life: Life) -> None:
    reps = life.reps
    for rep, at in ((life.touches.rep, life.touches.at), (life.offers.rep, life.offers.at)):
        assert (reps.hired[rep] <= at).all()
        assert (at < reps.until[rep]).all()
    assert (life.meetings.starts < reps.until[life.meetings.rep]).all()
