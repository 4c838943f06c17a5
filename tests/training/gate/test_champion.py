"""What a run learns of the champion: its recipe or another one, and offers that it knew nothing of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate_pools import case_of
from features.asof import DAY
from features.matrix import Vocabulary
from models import store
from models.product import Product, fit_product
from tests.training.gate.worlds import RECIPE, World, sample
from training.blocks import Cut, day_of, final_cut, rolling_cuts
from training.champion import Champion
from training.contestants import CHAMPION, RANKER
from training.evaluate import Predictions
from training.evidence import Evidence, Trained
from training.gate.rivals import against_champion
from training.offpolicy.routing import ARTIFACT
from training.pool import Pool
from training.since import unseen_from
from training.tracking import Store


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return sample(tmp_path_factory.mktemp("champion") / "crm", accounts=150, reps=12, offers=1500)


def fitted(world: World, cut: Cut, vocabulary: Vocabulary | None = None) -> Product:
    matrix = world.examples.matrix if vocabulary is None else world.examples.matrix.recoded(vocabulary)
    return fit_product(RECIPE, *cut.learned_from(matrix), about={"cut": cut.day})


@pytest.fixture(scope="module")
def stale(world: World, tmp_path_factory: pytest.TempPathFactory) -> Champion:
    """A champion of the older of two cuts, whose vocabulary had another order and lacked a rep."""
    words = {name: values[:0:-1] for name, values in world.examples.matrix.vocabulary.values.items()}
    product = fitted(world, rolling_cuts(world.examples, world.config, world.now, 2)[0], Vocabulary(words))
    folder = tmp_path_factory.mktemp("files") / "model"
    product.save(folder)
    return Champion.read("1", product.content_hash, folder)


@pytest.fixture(scope="module")
def trained(world: World, stale: Champion) -> Trained:
    """A training of the same recipe; its pool says numbers that are easy to know again."""
    examples, config, now = world.examples, world.config, world.now
    cuts, last = rolling_cuts(examples, config, now, 2), final_cut(examples, config, now)
    pool = Pool.of(examples, cuts)
    scores = np.arange(len(pool)) * 1.0
    pool = replace(pool, said={RANKER: Predictions(scores, scores, scores)})
    return Trained(examples, cuts, last, now, pool, fitted(world, last), "same", stale)


@pytest.fixture(scope="module")
def evidence(trained: Trained) -> Evidence:
    return trained.evidence(20)


def test_another_seed_is_the_same_recipe_and_another_number_of_trees_is_not(stale: Champion) -> None:
    assert stale.relation(RECIPE.but(seed=9)) == "same"
    assert stale.relation(RECIPE.but(name="called otherwise")) == "same"
    assert stale.relation(RECIPE.but(drop=("graph",))) == "new"


def test_a_champion_that_cannot_be_read_is_said_to_be_so(stale: Champion, tmp_path: Path) -> None:
    gone = Champion.read("1", stale.content_hash, tmp_path / "nowhere")
    assert gone.relation(RECIPE) == "unreadable"
    assert gone.gap
    files = dict(stale.product.files)  # type: ignore[union-attr]
    model = json.loads(files["product.json"])
    for change, relation in (({"format": 99}, "lost"), ({"recipe": {"name": "fast", "wheels": 4}}, "unreadable")):
        folder = tmp_path / relation
        files["product.json"] = json.dumps(model | {"card": model["card"] | change}).encode()
        store.write(files, folder)
        read = Champion.read("1", store.content_hash(files), folder)
        assert read.relation(RECIPE) == relation
        assert read.gap


def test_the_champion_is_tried_on_offers_made_after_its_cut_and_on_no_other(
    world: World, stale: Champion, evidence: Evidence
) -> None:
    examples = world.examples
    cuts = rolling_cuts(examples, world.config, world.now, 2)
    unseen = set(examples.offer_id[examples.offered >= cuts[0].at + DAY])
    held, answered = evidence.since["held_out"], evidence.since["answered"]
    tested = {offer for cut in cuts for offer in examples.offer_id[cut.test.rows]}
    assert set(held.offer_id) == tested & unseen
    assert set(answered.offer_id) == unseen & set(examples.offer_id[examples.due <= world.now])
    rows = np.flatnonzero(np.isin(examples.offer_id, held.offer_id))
    assert stale.product is not None
    said = stale.product.predict(examples.matrix.take(rows).recoded(stale.product.vocabulary))
    order = np.argsort(held.offer_id)
    np.testing.assert_array_equal(
        held.said[CHAMPION].score[order], said.score[np.argsort(examples.offer_id[rows])]
    )  # fmt: skip
    assert set(held.said) == set(answered.said) == {RANKER, CHAMPION}
    assert set(np.unique(answered.board.grade)) == {0, 1}


def test_a_champion_too_young_to_be_tried_is_told_with_the_day_from_which_it_can_be(
    world: World, stale: Champion, trained: Trained, evidence: Evidence
) -> None:
    """1,500 offers hold too few made since its cut, whatever the two say of them."""
    one = replace(case_of(trained.pool, "same"), evidence=evidence, serving=stale, config=world.config)
    seen = against_champion(one)
    assert (seen.passed, seen.mark) == (True, "not tried")
    assert f"{len(evidence.since['held_out']):,} ripe test offers" in seen.text
    assert stale.product is not None
    within, block = world.config.labels.converted.within, world.config.blocks.test
    first = day_of(unseen_from(stale.product) + within.microseconds + block.microseconds)
    assert f"({within} and {block}: from {first} on)" in seen.text


def test_a_new_recipe_is_judged_by_its_recipe_and_not_by_the_champion_s_artefact(trained: Trained) -> None:
    assert replace(trained, relation="new").evidence(20).since == {}


def test_what_a_run_leaves_reads_back_as_it_was(evidence: Evidence, tmp_path: Path) -> None:
    tracking = Store(tmp_path)
    with tracking.run("a training", "", {}) as run:
        evidence.write(run)
        value = {"ranker": {"converted": {"refused": "Too few accounts."}}, "random": {"converted": {"refused": None}}}
        run.text(ARTIFACT, json.dumps({"recipes": value}))
    again = Evidence.read(tracking.open(run.id))
    assert again.champion == evidence.champion
    assert again.no_value == {"ranker": "Too few accounts."}
    assert again.since.keys() == evidence.since.keys()
    for name in ("tried", "known", "telling"):
        ours, theirs = getattr(evidence, name), getattr(again, name)
        assert list(ours.columns) == list(theirs.columns)
        assert len(ours) == len(theirs) > 0
    columns = evidence.tried.columns[1:]
    np.testing.assert_array_equal(
        again.tried[columns].to_numpy(np.float64), evidence.tried[columns].to_numpy(np.float64)
    )  # fmt: skip
