"""Those whom the model has never met get finite, shrunk predictions that are better than the average of their role."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from features.asof import DAY
from features.book import Book
from features.catalogue import BY_NAME
from features.config import load_config
from features.engine import Engine
from features.errors import NotEnoughData
from features.snapshot import read_snapshot
from models.product import Product, fit_product
from models.recipe import Recipe
from training.blocks import final_cut
from training.cold_start import AVERAGE, KNOWN, STRANGER, ColdStart, Kind, Snap, cold_start, without
from training.sample import write_sample
from training.world.life import live
from training.world.record import Offers
from training.world.setting import Setting

SIZE = {"accounts": 500, "reps": 24, "offers": 4000, "seed": 2}
END = date(2026, 6, 30)
FAST = Recipe.preset("fast")
#: The same without trees, for the many fits of held-out folds.
LINEAR = FAST.but(**{name: {"rounds": 0} for name in ("accept", "convert", "ranker")})


class World(NamedTuple):
    snap: Snap
    log: Offers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("cold") / "crm"
    write_sample(folder, **SIZE, end=END, world="mixed")
    config = load_config(folder / "callsheet.yaml")
    snap = Snap.of(read_snapshot(str(folder), config=config), config, cuts=2)
    return World(snap, live(Setting(*SIZE.values(), END, "mixed"), lambda _: None).offers)


@pytest.fixture(scope="module")
def reps(world: World) -> ColdStart:
    return cold_start(world.snap, LINEAR, "rep", folds=3, replicates=200)


def test_a_rep_who_is_held_out_leaves_no_record_and_all_else_stays(world: World) -> None:
    snap, held = world.snap, np.array([1, 5])
    blind, whole = without(snap, "rep", held), snap.examples.matrix
    theirs = np.isin(snap.key_of_examples("rep"), held)
    assert theirs.sum() > 50
    np.testing.assert_array_equal(np.isnan(blind.column("rep_id")), theirs)
    for name, nothing in (("offers_28d", 0), ("load_share", 0), ("response_hours", np.nan)):
        known = ~np.isnan(whole.column(name)[theirs]) if name == "load_share" else slice(None)
        assert (np.nan_to_num(blind.column(name)[theirs][known], nan=-1) == np.nan_to_num(nothing, nan=-1)).all(), name
    for rate, role in (("rep_accept_rate", "role_accept_rate"), ("rep_convert_rate", "role_convert_rate")):
        np.testing.assert_array_equal(blind.column(rate)[theirs], blind.column(role)[theirs])
        assert (blind.column(rate)[~theirs] != blind.column(role)[~theirs]).mean() > 0.6
    for feature in BY_NAME.values():
        if feature.family in ("timing", "graph", "behaviour") and "offers" not in feature.tables:
            np.testing.assert_array_equal(blind.column(feature.name), whole.column(feature.name), feature.name)


@pytest.mark.parametrize("kind", ["account", "region", "solution"])
def test_whoever_is_held_out_is_unknown_to_the_vocabulary_and_to_every_count(world: World, kind: Kind) -> None:
    snap = world.snap
    unit = np.bincount(snap.key_of_examples(kind)).argmax()
    blind, theirs = without(snap, kind, np.array([unit])), snap.key_of_examples(kind) == unit
    if kind != "account":
        np.testing.assert_array_equal(
            np.isnan(blind.column(kind)), theirs | np.isnan(snap.examples.matrix.column(kind))
        )
    if kind == "solution":
        # With no offer of it ever decided its rate is that of all offers, which hardly moves within a week.
        rate, week = pd.Series(blind.column("solution_accept_rate")[theirs]), snap.examples.week[theirs]
        assert rate.groupby(week).std().iloc[10:].max() < 0.01
    if kind == "account":
        for name in (n for n in blind.columns if n.startswith("rep_account")):
            assert (np.nan_to_num(blind.column(name)[theirs]) == 0).all(), name


def test_a_rep_never_seen_is_told_better_from_the_crm_than_by_the_average_of_the_role(
    world: World, reps: ColdStart
) -> None:
    assert reps.units >= 15
    assert reps.offers == sum(len(cut.test) for cut in world.snap.cuts)
    rows = np.array([int(offer[1:]) - 1 for offer in reps.offer_id])
    for head, true in (("accept", world.log.p_accept), ("convert", world.log.p_convert)):
        off = {name: np.abs(getattr(said, f"p_{head}") - true[rows]).mean() for name, said in reps.said.items()}
        assert off[KNOWN] < off[STRANGER] < off[AVERAGE]
        lead = reps.measured[STRANGER].less(reps.measured[AVERAGE], f"log_loss_{head}")
        assert lead.value < 0
        assert lead.low < lead.value < lead.high
    assert reps.measured[STRANGER].value["ndcg_at_5"] > reps.measured[AVERAGE].value["ndcg_at_5"]


def test_what_became_of_a_reps_own_offers_teaches_nothing_of_the_rep_as_a_stranger(world: World) -> None:
    snap = replace(world.snap, cuts=world.snap.cuts[:1])
    cut, whose = snap.cuts[0], snap.key_of_examples("rep")
    rep = np.bincount(whose[cut.test.rows]).argmax()
    own, labels = whose[cut.train.rows] == rep, cut.train.labels
    turned = replace(labels, accepted=np.where(own, 1 - labels.accepted, labels.accepted))
    other = replace(snap, cuts=(replace(cut, train=replace(cut.train, labels=turned)),))
    before, after = (cold_start(one, LINEAR, "rep", folds=2, replicates=2) for one in (snap, other))
    place = {offer: i for i, offer in enumerate(snap.examples.offer_id)}
    theirs = whose[[place[offer] for offer in before.offer_id]] == rep
    first, second = before.said[STRANGER].p_accept, after.said[STRANGER].p_accept
    np.testing.assert_array_equal(first[theirs], second[theirs])
    assert (first[~theirs] != second[~theirs]).any()
    assert (before.said[KNOWN].p_accept[theirs] != after.said[KNOWN].p_accept[theirs]).all()


def test_strangers_are_finite_and_nearer_to_the_average_than_those_who_are_known(world: World, reps: ColdStart) -> None:
    place = {offer: i for i, offer in enumerate(world.snap.examples.offer_id)}
    rep = world.snap.key_of_examples("rep")[[place[offer] for offer in reps.offer_id]]

    def apart(name: str) -> float:
        """How far the reps' mean predictions lie from the average of their role."""
        off = reps.said[name].p_accept - reps.said[AVERAGE].p_accept
        return float(pd.Series(off).groupby(rep).mean().std())

    for said in reps.said.values():
        for p in (said.p_accept, said.p_convert):
            assert ((p > 0) & (p < 1)).all()
        assert np.isfinite(said.score).all()
    assert apart(STRANGER) < apart(KNOWN)
    assert abs(reps.said[STRANGER].p_accept.mean() - reps.said[AVERAGE].p_accept.mean()) < 0.06


def test_accounts_never_seen_are_told_better_than_by_the_average_too(world: World) -> None:
    found = cold_start(world.snap, LINEAR, "account", folds=2, replicates=50)
    for metric in ("log_loss_accept", "log_loss_convert"):
        assert found.measured[STRANGER].value[metric] < found.measured[AVERAGE].value[metric]
        assert np.isfinite(found.measured[KNOWN].value[metric])


def test_newcomers_are_reps_that_no_block_taught_of(world: World) -> None:
    found = cold_start(world.snap, LINEAR, "newcomer", replicates=20)
    assert set(found.said) == {STRANGER, AVERAGE}
    first = {
        str(r): min(world.snap.examples.offered[world.snap.examples.matrix.rep_id == r]) for r in _reps(world, found)
    }
    assert min(first.values()) > world.snap.cuts[0].at - 40 * DAY
    alone = Snap(
        *(getattr(world.snap, name) for name in ("snapshot", "config", "book", "examples")), world.snap.cuts[:0]
    )
    with pytest.raises(NotEnoughData, match="no newcomer"):
        cold_start(alone, LINEAR, "newcomer")


def _reps(world: World, found: ColdStart) -> set[str]:
    rows = np.isin(world.snap.examples.offer_id.astype(str), found.offer_id.astype(str))
    return set(world.snap.examples.matrix.rep_id[rows])


@pytest.fixture(scope="module")
def product(world: World) -> Product:
    snap = world.snap
    cut = final_cut(snap.examples, snap.config, snap.book.now)
    return fit_product(FAST, *cut.learned_from(snap.examples.matrix))


@pytest.mark.parametrize("new", ["rep", "account", "solution", "all"])
def test_tomorrows_reps_accounts_regions_and_solutions_are_scored_within_the_range_of_todays(
    world: World, product: Product, new: str
) -> None:
    """The CRM as it is, and a rep, an account in a region of its own and a lead for a solution that nobody sold yet."""
    tables = dict(world.snap.snapshot.tables)
    lead = tables["leads"].iloc[[-1]].assign(lead_id="L-new")
    if new in ("rep", "all"):
        rep = tables["reps"].iloc[[0]].assign(rep_id="R-new", hired_at=world.snap.snapshot.now, regions=None)
        tables["reps"] = pd.concat([tables["reps"], rep], ignore_index=True)
    if new in ("account", "all"):
        account = tables["accounts"].iloc[[0]].assign(account_id="A-new", region="atlantis", owner_rep_id=None)
        contact = tables["contacts"].iloc[[0]].assign(contact_id="C-new", account_id="A-new", reports_to=None)
        tables["accounts"] = pd.concat([tables["accounts"], account], ignore_index=True)
        tables["contacts"] = pd.concat([tables["contacts"], contact], ignore_index=True)
        lead = lead.assign(contact_id="C-new", account_id=None)
    if new in ("solution", "all"):
        lead = lead.assign(solution="launched yesterday")
    tables["leads"] = pd.concat([tables["leads"], lead], ignore_index=True)
    book = Book.of(replace(world.snap.snapshot, tables=tables), world.snap.config)
    engine = Engine(book, world.snap.config, product.vocabulary)
    asked = book.rep_ids if new in ("account", "solution") else np.array(["R-new"], object)
    matrix = engine.matrix(["L-new"] * len(asked), asked, book.now)
    unseen = {
        "rep": ["rep_id"],
        "account": ["region"],
        "solution": ["solution"],
        "all": ["rep_id", "region", "solution"],
    }
    for name in unseen[new]:
        assert np.isnan(matrix.column(name)).all()
    said, usual = product.predict(matrix), product.predict(world.snap.examples.matrix)
    for name in ("score", "p_accept", "p_convert"):
        ours, low, high = getattr(said, name), getattr(usual, name).min(), getattr(usual, name).max()
        assert ((ours >= low) & (ours <= high)).all(), name
    assert 0.05 < said.p_accept.mean() < 0.7
    np.testing.assert_allclose(
        product.contributions(matrix).values.sum(axis=1) + product.contributions(matrix).base, said.score, atol=1e-9
    )
