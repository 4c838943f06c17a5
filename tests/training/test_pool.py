"""The pool of test rows survives being written and read, with what each recipe is worth on each row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from training.evaluate import Board, Predictions
from training.pool import Pool, tie_breaks


def _pool(n: int = 6) -> Pool:
    rng = np.random.default_rng(0)
    offer_id = np.array([f"O{i}" for i in range(n)], object)
    board = Board(np.arange(n) // 2, np.zeros(n, np.int64), np.zeros(n), np.ones(n), tie_breaks(offer_id))
    said = Predictions(rng.random(n), rng.random(n), np.full(n, np.nan))
    slices = pd.DataFrame({"role": pd.Categorical(["inside", "partner", "inside"] * 2)})
    worth = {"ranker": np.array([0.1, np.nan, -0.4, 2.0, np.nan, 0.0]), "random": np.full(n, np.nan)}
    return Pool(
        offer_id, np.zeros(n, np.int64), np.arange(n) % 3, board, slices, {"ranker": said, "random": said}, worth
    )


def test_a_pool_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    pool = _pool()
    pool.frame().to_parquet(tmp_path / "pool.parquet")
    back = Pool.of_frame(pd.read_parquet(tmp_path / "pool.parquet"))
    assert list(back.said) == ["ranker", "random"]
    assert list(back.worth) == ["ranker", "random"]
    np.testing.assert_array_equal(back.worth["ranker"], pool.worth["ranker"])
    assert np.isnan(back.worth["random"]).all()
    np.testing.assert_array_equal(back.said["ranker"].score, pool.said["ranker"].score)
    np.testing.assert_array_equal(back.board.tie, pool.board.tie)


def test_some_rows_keep_their_worth_and_a_pool_without_any_has_none() -> None:
    part = _pool().take(np.array([3, 0]))
    assert part.worth["ranker"].tolist() == [2.0, 0.1]
    assert Pool.of_frame(replace(_pool(), worth={}).frame()).worth == {}
