"""The very artefact on answers that came after its cut: tried where there are enough, and never on what it learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate_pools import Quality, case_of, draw_pool, with_champion
from features.asof import DAY
from models.product import Product, fit_product
from tests.training.gate.worlds import RECIPE, World, sample
from training.blocks import final_cut, rolling_cuts
from training.contestants import CHAMPION, RANKER, RULES
from training.gate.case import Case
from training.gate.fresh import answers_since
from training.since import fresh, todays

GOOD = Quality(0.65, 0.9)


def tried(ranker: Quality = GOOD, champion: Quality | None = None, n: int = 600) -> Case:
    """A sound case, and n offers that were answered since."""
    recipes = {RANKER: ranker, RULES: Quality(0.35)} | ({CHAMPION: champion} if champion else {})
    return replace(case_of(draw_pool(0, 600, with_champion(GOOD, None))), fresh=draw_pool(1, n, recipes))


def test_newer_answers_that_bear_the_model_out_pass() -> None:
    seen = answers_since(tried(champion=GOOD))
    assert (seen.passed, seen.mark) == (True, "met")
    assert "0.010 more is allowed" in seen.text
    assert "against the rules" in seen.text
    assert "against the champion" in seen.text


@pytest.mark.parametrize("against", ["the rules", "the champion"])
def test_a_model_that_newer_answers_show_to_be_worse_is_refused(against: str) -> None:
    one = tried(Quality(-0.3), Quality(0.8) if against == "the champion" else None, n=2000)
    assert not answers_since(one).passed
    assert against in answers_since(one).text


def test_a_probability_that_newer_answers_belie_is_refused() -> None:
    one = tried(n=2000)
    assert one.fresh is not None
    said = one.fresh.said[RANKER]
    off = one.fresh.said | {RANKER: replace(said, p_accept=np.clip(said.p_accept + 0.1, 0, 1))}
    seen = answers_since(replace(one, fresh=replace(one.fresh, said=off)))
    assert not seen.passed
    assert seen.numbers["accept error"] > 0.08  # type: ignore[operator]


def test_few_answers_and_no_data_are_said_to_be_so() -> None:
    few, none = answers_since(tried(n=60)), answers_since(replace(tried(), fresh=None))
    assert "it takes 100" in few.text
    assert "no data is named" in none.text
    assert [(one.passed, one.mark) for one in (few, none)] == [(True, "not tried")] * 2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder: Path = tmp_path_factory.mktemp("fresh")
    return sample(folder / "crm", accounts=150, reps=12, offers=1500)


def test_what_is_tried_was_offered_after_the_cut_and_is_due_and_a_newer_champion_stays_out(world: World) -> None:
    examples, matrix = world.examples, world.examples.matrix
    older = rolling_cuts(examples, world.config, world.now, 1)[0]

    def fitted(cut: str) -> Product:
        blocks = matrix.take(older.train.rows), matrix.take(older.calibrate.rows)
        return fit_product(
            RECIPE, blocks[0], older.train.labels, blocks[1], older.calibrate.labels, about={"cut": cut}
        )  # fmt: skip

    today = todays(world.snapshot, world.config)
    product, newest = fitted(older.day), fitted(final_cut(examples, world.config, world.now).day)
    pool = fresh(*today, product, product)
    due = (examples.offered >= older.at + DAY) & (examples.due <= world.now)
    assert set(pool.offer_id) == set(examples.offer_id[due])
    assert set(pool.said) == {RANKER, RULES, CHAMPION}
    assert set(fresh(*today, product, newest).said) == {RANKER, RULES}
    assert len(fresh(*today, newest, None)) == 0
