"""Intervals hold what they promise when outcomes come in clusters, and differences are paired."""

from __future__ import annotations

import numpy as np
import pytest

from training.bootstrap import Draw, difference, interval, normal_interval
from training.evaluate import Board, Predictions, evaluate


def test_a_replicate_draws_as_many_clusters_as_there_are() -> None:
    draw = Draw.of(np.array([5, 5, 9, 2]), replicates=50, seed=1)
    assert draw.cluster.tolist() == [1, 1, 2, 0]
    assert (draw.counts.sum(axis=1) == 3).all()
    np.testing.assert_array_equal(draw.counts, Draw.of(np.array([5, 5, 9, 2]), replicates=50, seed=1).counts)
    assert (draw.counts != Draw.of(np.array([5, 5, 9, 2]), replicates=50, seed=2).counts).any()


def test_sums_weigh_each_row_by_its_cluster() -> None:
    rng = np.random.default_rng(0)
    cluster, values = rng.integers(0, 6, 30), rng.random((30, 2))
    draw = Draw.of(cluster, 20)
    np.testing.assert_allclose(draw.sums(values), draw.counts[:, draw.cluster] @ values)


def test_a_slice_is_drawn_with_the_same_accounts() -> None:
    draw = Draw.of(np.array([0, 1, 2, 3, 1]), 30)
    part = draw.take(np.array([1, 3]))
    np.testing.assert_array_equal(part.counts[:, part.cluster], draw.counts[:, draw.cluster[[1, 3]]])


def test_an_interval_is_not_known_where_most_replicates_have_no_value() -> None:
    few = np.array([1.0, np.nan, np.nan, np.nan])
    assert np.isnan(interval(1.0, few).low)
    assert interval(1.0, np.array([0.0, 1.0, 2.0, np.nan])).low < 1


def test_a_normal_interval_reaches_as_far_as_the_spread_of_the_replicates_says() -> None:
    samples = np.concatenate([np.full(500, -1.0), np.full(500, 1.0), [np.nan]])
    seen = normal_interval(3.0, samples, 0.99)
    assert (seen.low, seen.high) == pytest.approx((3 - 2.5758, 3 + 2.5758), abs=0.01)
    assert np.isnan(normal_interval(1.0, np.array([1.0, np.nan, np.nan, np.nan])).low)


def test_the_same_recipe_differs_from_itself_by_nothing() -> None:
    samples = np.random.default_rng(0).random(100)
    seen = difference(0.4, samples, 0.4, samples)
    assert (seen.value, seen.low, seen.high) == (0, 0, 0)
    assert not seen.above_zero


def _world(rng: np.random.Generator, weeks: int = 25, size: int = 10) -> tuple[Board, np.ndarray, list[Predictions]]:
    """Groups of offers from accounts with a fortune of their own, and two scores, the first the better one."""
    n = weeks * size
    account = rng.integers(0, n // 4, n)
    taste, fortune = rng.normal(size=n), rng.normal(scale=0.8, size=n // 4)[account]
    yes = rng.random(n) < 1 / (1 + np.exp(1.0 - taste - fortune))
    grade = yes.astype(np.int64) * (1 + (rng.random(n) < 0.2))
    rows = Board(
        np.repeat(np.arange(weeks), size), grade, (grade > 0) * 1.0, (grade > 1) * 1.0, np.arange(n, dtype=np.uint64)
    )
    none = np.full(n, np.nan)
    return rows, account, [Predictions(taste + rng.normal(scale=s, size=n), none, none) for s in (0.5, 1.5)]


def test_the_interval_of_a_difference_holds_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(4)
    leads = []
    for _ in range(200):
        rows, account, (good, bad) = _world(rng, weeks=50)
        draw = Draw.of(account, 200)
        first, second = evaluate(rows, good, draw), evaluate(rows, bad, draw)
        leads.append({m: first.less(second, m) for m in ("ndcg_at_5", "accept_at_3", "map", "mrr")})
    for metric in leads[0]:
        truth = np.mean([lead[metric].value for lead in leads])
        held = np.mean([lead[metric].low <= truth <= lead[metric].high for lead in leads])
        assert 0.90 <= held <= 0.985, metric


def test_the_interval_of_a_lead_on_ndcg_is_no_wider_than_the_lead_is_uncertain() -> None:
    rng, leads = np.random.default_rng(6), []
    for _ in range(150):
        rows, account, (good, _) = _world(rng, weeks=25, size=25)
        other = Predictions(rng.permutation(good.score), good.p_accept, good.p_convert)
        draw = Draw.of(account, 200)
        leads.append(evaluate(rows, other, draw).less(evaluate(rows, good, draw), "ndcg_at_5"))
    claimed = np.mean([lead.high - lead.low for lead in leads]) / (2 * 1.96)
    # With a row's whole gain in place of what it is above its group's mean this is 1.19.
    assert 0.88 <= claimed / np.std([lead.value for lead in leads]) <= 1.12


def test_a_pair_is_surer_than_its_parts() -> None:
    rows, account, (good, bad) = _world(np.random.default_rng(5), weeks=200)
    draw = Draw.of(account, 400)
    first, second = evaluate(rows, good, draw), evaluate(rows, bad, draw)
    alone = [m.interval("ndcg_at_5").high - m.interval("ndcg_at_5").low for m in (first, second)]
    paired = first.less(second, "ndcg_at_5")
    assert paired.high - paired.low < np.hypot(*alone)
    assert paired.above_zero
    assert first.interval("ndcg_at_5").value == pytest.approx(first.samples["ndcg_at_5"].mean(), abs=0.01)
