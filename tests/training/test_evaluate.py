"""Ranking and probability metrics, worked by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, ndcg_score

from training.bootstrap import Draw
from training.evaluate import Board, Predictions, calibration_error, evaluate, perfect_calibration


def board(group: list[int], grade: list[int], tie: np.ndarray | None = None) -> Board:
    level = np.array(grade)
    return Board(
        np.array(group), level, (level >= 1).astype(float), (level >= 2).astype(float),
        np.arange(len(grade), dtype=np.uint64) if tie is None else tie,
    )  # fmt: skip


def said(score: object, p: object = np.nan) -> Predictions:
    values = np.asarray(score, float)
    chance = np.broadcast_to(np.asarray(p, float), values.shape).copy()
    return Predictions(values, chance, chance)


def test_one_group_by_hand() -> None:
    # Sorted by score the grades read 0, 2, 1; the best order would be 2, 1, 0.
    seen = evaluate(board([7, 7, 7], [1, 0, 2]), said([0.1, 0.9, 0.5])).value
    discount = 1 / np.log2([2, 3, 4])
    got, best = 3 * discount[1] + 1 * discount[2], 3 * discount[0] + 1 * discount[1]
    assert seen["ndcg_at_1"] == pytest.approx(0, abs=1e-12)
    assert seen["ndcg_at_3"] == pytest.approx(got / best)
    assert seen["ndcg_at_5"] == pytest.approx(got / best)
    assert seen["mrr"] == pytest.approx(1 / 2)
    assert seen["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (seen["accept_at_1"], seen["accept_at_3"]) == (0, pytest.approx(2 / 3))
    assert seen["convert_at_3"] == pytest.approx(1 / 3)
    assert seen["convert_lift_at_3"] == pytest.approx(1)


def test_groups_count_the_same_and_those_that_tell_nothing_are_left_out() -> None:
    # A perfect group, a wrong group, a group without any accept, and a row that competes with nobody.
    rows = board([1, 1, 2, 2, 2, 2, 3, 3, 4], [0, 1, 1, 0, 0, 0, 0, 0, 1])
    seen = evaluate(rows, said([0, 1, 0, 1, 2, 3, 1, 2, 1])).value
    assert seen["mrr"] == pytest.approx((1 + 1 / 4) / 2)
    assert seen["ndcg_at_1"] == pytest.approx(1 / 2)
    assert seen["accept_at_1"] == pytest.approx(1 / 3)
    assert seen["accept_lift_at_1"] == pytest.approx((1 / 3) / ((1 / 2 + 1 / 4 + 0) / 3))


@given(st.integers(0, 10_000))
def test_ndcg_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 15, 4)
    group, grade, score = np.repeat(range(4), size), rng.integers(0, 4, size.sum()), rng.random(size.sum())
    seen = evaluate(board(group.tolist(), grade.tolist()), said(score)).value
    for k in (1, 3, 5, 10):
        each = [
            ndcg_score([2.0 ** grade[group == g] - 1], [score[group == g]], k=k)
            for g in range(4)
            if grade[group == g].any()
        ]
        assert seen.get(f"ndcg_at_{k}", np.nan) == pytest.approx(np.mean(each) if each else np.nan, nan_ok=True)


@given(st.integers(0, 10_000))
def test_the_order_of_rows_never_settles_a_tie(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    rows = board(rng.integers(0, 4, n).tolist(), rng.integers(0, 4, n).tolist(), rng.permutation(n).astype(np.uint64))
    guess = said(rng.integers(0, 3, n), rng.choice([0.1, 0.4], n))
    mixed = rng.permutation(n)
    first, second = evaluate(rows, guess).value, evaluate(rows.take(mixed), guess.take(mixed)).value
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value), name


def test_a_constant_score_is_worth_no_more_than_chance() -> None:
    rng = np.random.default_rng(1)
    n = 30_000
    rows = board(
        np.repeat(np.arange(n // 10), 10).tolist(),
        np.sort(rng.integers(0, 2, n))[::-1].tolist(),  # the good ones come first, as in a log sorted by outcome
        rng.integers(0, 2**63, n).astype(np.uint64),
    )
    assert evaluate(rows, said(np.zeros(n))).value["accept_lift_at_1"] == pytest.approx(1, abs=0.03)


def test_probabilities_against_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    p, grade = rng.random(500), rng.integers(0, 2, 500)
    seen = evaluate(board([0] * 500, grade.tolist()), said(p, p)).value
    assert seen["log_loss_accept"] == pytest.approx(log_loss(grade, p))
    assert seen["brier_accept"] == pytest.approx(brier_score_loss(grade, p))


def test_a_head_that_is_not_estimable_has_no_metrics() -> None:
    rows, draw = board([0, 0, 1, 1], [0, 1, 1, 0]), Draw.of(np.arange(4), 10)
    seen = evaluate(rows, said([1, 2, 3, 4]), draw)
    assert not [name for name in (*seen.value, *seen.samples) if name.endswith(("_accept", "_convert"))]
    assert "ndcg_at_3" in seen.samples


def test_nothing_accepted_leaves_nothing_to_rank_but_the_shares() -> None:
    seen = evaluate(board([0, 0, 0], [0, 0, 0]), said([1, 2, 3], 0.2), Draw.of(np.arange(3), 10)).value
    assert {"ndcg_at_3", "mrr", "map", "accept_lift_at_1"}.isdisjoint(seen)
    assert seen["accept_at_1"] == 0


def test_calibration_error_by_hand() -> None:
    p, y = np.array([0.2] * 5 + [0.6] * 5), np.array([1, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert calibration_error(p, y) == pytest.approx(0.5 * 0 + 0.5 * 0.4)


def test_perfect_calibration_stays_below_its_quantile_19_times_in_20() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(2, 5, 700)
    most = perfect_calibration(p)
    below = [calibration_error(p, (rng.random(700) < p).astype(float)) <= most for _ in range(400)]
    assert 0.91 <= np.mean(below) <= 0.985
    assert calibration_error(p, (rng.random(700) < np.clip(p + 0.12, 0, 1)).astype(float)) > most
