"""Rolling cuts: blocks never overlap, never know what came later, and say what they lack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.asof import DAY, NAT
from features.errors import NotEnoughData
from tests.training.drawn import START, config, draw_examples
from training.blocks import MIN_TRAIN, final_cut, log_end, rolling_cuts

NOW = START + 420 * DAY


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_blocks_follow_each_other_and_share_no_offer(seed: int) -> None:
    rows = draw_examples(seed)
    cuts = rolling_cuts(rows, config(), NOW)
    assert len(cuts) == 3
    for cut in cuts:
        train, calibrate, test = (set(block.rows.tolist()) for block in (cut.train, cut.calibrate, cut.test))
        assert not train & calibrate
        assert not (train | calibrate) & test
        assert rows.offered[cut.train.rows].max() < cut.at <= rows.offered[cut.test.rows].min()
        assert pd.Timestamp(cut.at, unit="us").day_name() == "Monday"
        # Each head's calibrate block is later than all that taught this head.
        taught = cut.train.labels
        graded = rows.convert_due[cut.train.rows[taught.grade >= 0]]
        assert graded.max() <= cut.at - 28 * DAY
        assert rows.due[cut.train.rows[np.isfinite(taught.accepted)]].max() <= cut.at - 28 * DAY
    for before, after in pairwise(cuts):
        assert after.at - before.at == 28 * DAY
        assert not set(before.test.rows.tolist()) & set(after.test.rows.tolist())


@given(st.integers(0, 10_000), st.integers(1, 400))
@settings(max_examples=25)
def test_what_becomes_known_after_a_cut_changes_none_of_its_labels(seed: int, days: int) -> None:
    rows = draw_examples(seed, n=400)
    at = START + days * DAY
    there = np.arange(len(rows))

    def forget(when: np.ndarray) -> np.ndarray:
        return np.where(when > at, NAT, when)

    blind = replace(
        rows, answered=forget(rows.answered), converted_known=forget(rows.converted_known),
        won_known=forget(rows.won_known), answer=np.where(rows.answered > at, 0, rows.answer),
    )  # fmt: skip
    seen, known = rows.labels(at, there), blind.labels(at, there)
    for name in ("grade", "accepted", "converted", "won"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(known, name))


@given(st.integers(0, 10_000), st.integers(30, 420))
@settings(max_examples=25)
def test_an_unripe_offer_is_censored_however_good_its_news(seed: int, days: int) -> None:
    rows = draw_examples(seed, n=400)
    at = START + days * DAY
    labels = rows.labels(at, np.arange(len(rows)))
    np.testing.assert_array_equal(np.isnan(labels.accepted), rows.due > at)
    np.testing.assert_array_equal(np.isnan(labels.converted), rows.convert_due > at)
    np.testing.assert_array_equal(labels.grade < 0, rows.convert_due > at)
    ripe = labels.grade >= 0
    np.testing.assert_array_equal(labels.grade[ripe] >= 1, labels.accepted[ripe] == 1)
    np.testing.assert_array_equal(labels.grade[ripe] >= 2, labels.converted[ripe] == 1)
    for group in np.unique(labels.group[labels.grade == 3]):
        assert np.isfinite(labels.won[labels.group == group]).all()


def test_a_head_far_from_its_horizon_still_teaches_accepting() -> None:
    rows = draw_examples()
    cut = final_cut(rows, config(), NOW)
    late = rows.offered[cut.train.rows] > NOW - 80 * DAY
    assert late.any()
    assert np.isfinite(cut.train.labels.accepted[late]).all()
    assert (cut.train.labels.grade[late] == -1).all()
    assert not len(cut.test)


def test_the_cuts_that_reach_too_far_back_are_left_out() -> None:
    rows = draw_examples(days=290, n=2500)
    assert len(rolling_cuts(rows, config(), START + 290 * DAY)) < 3


@pytest.mark.parametrize(("days", "n"), [(60, 900), (200, 2000), (420, 150)])
def test_too_little_is_refused_with_the_numbers(days: int, n: int) -> None:
    rows = draw_examples(days=days, n=n)
    with pytest.raises(NotEnoughData, match=rf"spans {days - 1}|spans {days}") as refused:
        rolling_cuts(rows, config(), START + days * DAY)
    assert str(MIN_TRAIN) in refused.value.message
    assert "236 days" in refused.value.message


def test_a_shorter_horizon_needs_fewer_days() -> None:
    rows = draw_examples(days=150, n=2500, horizon=20)
    short = config("labels: {converted: {within: 20d}}\nblocks: {calibrate: 14d, test: 14d}\n")
    assert len(rolling_cuts(rows, short, START + 150 * DAY)) == 3


def test_a_mistyped_year_does_not_move_the_blocks_to_where_nothing_is() -> None:
    rows = draw_examples(3)
    end = log_end(rows, config(), NOW + 4000 * DAY)
    assert end < NOW + 400 * DAY
    offered = rows.offered.copy()
    offered[-1] += 3000 * DAY
    strayed = replace(rows, offered=offered, known=offered, answered=np.where(rows.answered == NAT, NAT, offered))
    plain = [cut.day for cut in rolling_cuts(rows, config(), end)]
    assert [cut.day for cut in rolling_cuts(strayed, config(), log_end(strayed, config(), NOW + 4000 * DAY))] == plain


def test_what_was_open_when_an_old_log_ended_is_censored() -> None:
    rows = draw_examples(3)
    end = log_end(rows, config(), NOW + 4000 * DAY)
    young = rows.convert_due > end
    assert young.any()
    assert np.isnan(rows.labels(end, np.flatnonzero(young)).converted).all()


def test_a_log_that_goes_on_is_told_of_until_now() -> None:
    rows = draw_examples(3)
    now = int(rows.offered.max())
    assert log_end(rows, config(), now) == now
