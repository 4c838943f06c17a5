"""Runs side by side, from a real MLflow store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from training.compare import compare
from training.contestants import RANKER
from training.evaluate import Board, Predictions, evaluate
from training.gate import PRIMARY
from training.pool import ARTIFACT, Pool, tie_breaks
from training.tracking import Store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a home")  # with a space, as on many a desktop
    store = Store(folder)
    for name, recipe, value in (("first", "fast", 0.5), ("second", "standard", 0.6)):
        with store.run(name, "What it is.", {"kind": "ranker"}) as run:
            run.params({"recipe.name": recipe, "seed": 0})
            run.metrics({"ndcg_at_5": value, "ndcg_at_5_low": value - 0.1, "ndcg_at_5_high": value + 0.1})
            run.metrics({"behaviour_share": 0.4, "log_loss_accept": float("nan"), "slice/role/inside/ndcg_at_5": 0.3})
            with store.run("Random", "A lottery.", {"kind": "baseline"}, run) as below:
                below.metrics({"ndcg_at_5": 0.2, "ranker_lead/ndcg_at_5": 0.3})
    return folder


def test_the_last_runs_come_newest_first_with_what_differs(home: Path) -> None:
    newest, oldest = compare(home)
    assert (newest.name, oldest.name) == ("second", "first")
    assert newest.params == {"recipe.name": "standard"}
    assert newest.metrics == {"ndcg_at_5": (0.6, 0.5, 0.7), "behaviour_share": (0.4, None, None)}
    assert newest.as_dict()["ndcg_at_5_high"] == pytest.approx(0.7)
    assert (newest.version, newest.gate) == (None, None)


def test_runs_are_listed_in_the_order_asked(home: Path) -> None:
    ids = [run.run_id for run in compare(home)]
    assert [run.run_id for run in compare(home, ids[::-1])] == ids[::-1]
    assert len(compare(home, last=1)) == 1


def test_a_run_is_held_to_the_first_on_the_offers_that_both_were_tested_on(tmp_path: Path) -> None:
    """Scores are the truth, or noise; the second run was tested on half of the first's offers and on others."""
    store, rng = Store(tmp_path), np.random.default_rng(0)
    accepted = (rng.random(1200) < 0.3).astype(float)
    knows, guesses = accepted + rng.normal(size=1200), rng.normal(size=1200)
    ids = []
    for name, score, rows in (("knows", knows, slice(0, 800)), ("guesses", guesses, slice(400, 1200)),
                              ("elsewhere", guesses, slice(900, 1200))):  # fmt: skip
        with store.run(name, "", {"kind": "ranker"}) as run:
            run.metrics({"ndcg_at_5": 0.5})
            run.frame(ARTIFACT, _pool(accepted, score, np.arange(1200)[rows]).frame())
        ids.append(run.id)
    first, second, third = compare(tmp_path, ids)
    assert first.behind is None
    assert third.behind is None, "they share no offer"
    assert second.behind is not None
    value, low, high = second.behind
    shared = _pool(accepted, knows, np.arange(400, 800))
    draw, other = shared.draw(), _pool(accepted, guesses, np.arange(400, 800))
    paired = evaluate(shared.board, shared.said[RANKER], draw).less(
        evaluate(other.board, other.said[RANKER], draw), PRIMARY
    )
    assert (value, low, high) == pytest.approx((paired.value, paired.low, paired.high))
    assert low is not None
    assert low > 0
    assert second.as_dict()["behind_low"] == low


def _pool(accepted: np.ndarray, score: np.ndarray, rows: np.ndarray) -> Pool:
    offer_id = np.array([f"O{row:05}" for row in rows], object)
    hit = accepted[rows]
    board = Board(rows // 10, hit.astype(int), hit, np.zeros(len(rows)), tie_breaks(offer_id))
    none = np.full(len(rows), np.nan)
    said = {RANKER: Predictions(score[rows], none, none)}
    return Pool(offer_id, np.zeros(len(rows), int), rows // 4, board, pd.DataFrame(index=range(len(rows))), said)


def test_nested_runs_follow_their_own(home: Path) -> None:
    found = compare(home, nested=True)
    assert [run.name for run in found] == ["second", "Random", "first", "Random"]
    assert [run.lead for run in found] == [None, (0.3, None, None)] * 2


def test_a_run_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match="no run 'nothing'"):
        compare(home, ["nothing"])


def test_an_empty_home_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="callsheet train"):
        compare(tmp_path)
    assert not list(tmp_path.iterdir())
