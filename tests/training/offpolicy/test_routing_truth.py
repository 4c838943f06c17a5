"""Routing valued on logs drawn from a sample CRM's own truth: the interval holds it, and the reward model helps."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from benchmarks.coverage_crm import TruthLogs, judged
from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.snapshot import read_snapshot
from training.blocks import rolling_cuts
from training.examples import gather
from training.offpolicy import choices as drawing
from training.offpolicy.choices import NOT_DRAWN, REFUSED, drawn_choices
from training.offpolicy.routing import Routing, routing
from training.sample import write_sample

LOGS = 40


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crm")
    write_sample(folder, accounts=300, reps=12, offers=2500, seed=5, end=date(2026, 6, 30))
    return folder


@pytest.fixture(scope="module")
def logs(crm: Path) -> TruthLogs:
    return TruthLogs.of(crm, ("logistic", "owner_territory"))


@pytest.fixture(scope="module")
def told(logs: TruthLogs) -> list[Routing]:
    return [routing(*logs.draw(seed, times=4), seed=seed, replicates=300) for seed in range(LOGS)]


@pytest.mark.parametrize("recipe", ["logistic", "owner_territory"])
@pytest.mark.parametrize("reward", ["converted", "accepted"])
def test_the_interval_holds_the_truth(logs: TruthLogs, told: list[Routing], recipe: str, reward: str) -> None:
    """Of 40 intervals at 95 %, fewer than 34 hold the truth once in 900 tries."""
    values = [one.values[recipe][reward] for one in told]
    assert sum(value.refused is not None for value in values) <= 2
    seen = judged(values, logs.truth(recipe, reward)).set_index("estimator")
    assert (seen["covered"] >= 34 / LOGS).all()
    ratio = seen["error"]["dr"] / seen["error"]["ips"]
    if (recipe, reward) == ("owner_territory", "converted"):
        # Level: 1.004 on these 40 logs and 0.962 on the next 40. Conversions are rare, and where the policy is the
        # owner, whom the past chose most, weights differ little, so there is little error for a model to take away.
        assert ratio < 1.05
    else:
        assert ratio < (0.95 if reward == "accepted" else 1.0)


def test_fitted_propensities_do_as_well(logs: TruthLogs) -> None:
    values = [
        routing(*logs.draw(seed, logged=False, times=4), seed=seed, replicates=300).values["logistic"]["accepted"]
        for seed in range(8)
    ]
    truth = logs.truth("logistic", "accepted")
    held = [value.estimates[2].low < truth < value.estimates[2].high for value in values if value.refused is None]
    assert len(held) >= 7
    assert sum(held) >= 6


def test_a_round_holds_every_rep_who_was_eligible_and_the_one_who_got_it(
    crm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(crm / "callsheet.yaml")
    book = Book.of(read_snapshot(str(crm), config=config), config)
    engine = Engine(book, config)
    examples = gather(book, engine)
    cuts = rolling_cuts(examples, config, book.now)
    rows = np.concatenate([cut.test.rows for cut in cuts])
    drawn = drawn_choices(book, engine, examples, cuts, seed=1, rounds=60)
    assert len(drawn) == 60
    at = rows[drawn.row]
    of_chosen = drawn.matrix.take(drawn.chosen)
    np.testing.assert_array_equal(of_chosen.rep_id, examples.matrix.rep_id[at])
    np.testing.assert_array_equal(of_chosen.lead_id, examples.matrix.lead_id[at])
    np.testing.assert_array_equal(of_chosen.values, examples.matrix.values[at])
    logged = dict(zip(book.outcomes.offer_id, book.outcomes.propensity, strict=True))
    np.testing.assert_array_equal(drawn.propensity, [logged[offer] for offer in examples.offer_id[at]])
    for one in range(0, 60, 7):
        place = np.full(len(book.rep_ids), at[one])
        lead, instant = examples.matrix.lead_id[place], examples.offered[place]
        able = book.rep_ids[engine.eligibility(lead, book.rep_ids, instant) == 0]
        assert drawn.matrix.rep_id[drawn.round == one].tolist() == able.tolist()
    whole = drawn_choices(book, engine, examples, cuts, seed=1)
    assert whole.left_out[NOT_DRAWN] == 0
    assert len(whole) + whole.left_out[REFUSED] == len(rows)
    assert set(drawn.row) <= set(whole.row)
    monkeypatch.setattr(drawing, "PAIRS", 200)
    few = drawn_choices(book, engine, examples, cuts, seed=1)
    assert 150 < len(few.matrix) <= 200
