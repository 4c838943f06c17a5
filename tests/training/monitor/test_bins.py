"""Bins of a feature: every value has one, what training never saw and what is missing have theirs."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.monitor.bins import BINS, OWN, Bins

values = st.lists(
    st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0]), st.just(float("nan"))), max_size=80
).map(lambda drawn: np.array(drawn, np.float32))


def test_numbers_by_hand() -> None:
    bins = Bins.of_numbers(np.arange(1, 101, dtype=np.float32))
    assert bins.edges.tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    asked = np.array([1, 10, 10.5, 100, 0.5, 100.5, np.nan], np.float32)
    assert bins.place(asked).tolist() == [0, 0, 1, 9, bins.new, bins.new, bins.missing]
    assert bins.names()[-3:] == ["to 100", "new", "missing"]


def test_a_frequent_value_has_a_bin_of_its_own() -> None:
    bins = Bins.of_numbers(np.array([0] * 70 + [1] * 20 + [2] * 10, np.float32))
    assert bins.place(np.array([0, 1, 2, 3, -1], np.float32)).tolist() == [0, 1, 2, bins.new, bins.new]
    assert bins.names()[0] == "0"


def test_a_value_that_never_varied_makes_any_other_one_new() -> None:
    bins = Bins.of_numbers(np.zeros(9, np.float32))
    assert bins.place(np.array([0, 1], np.float32)).tolist() == [0, bins.new]


def test_categories_by_hand() -> None:
    codes = np.repeat(np.arange(30), np.arange(31, 1, -1)).astype(np.float32)
    bins = Bins.of_codes(codes)
    assert bins.own == tuple(range(OWN))
    asked = np.array([0, 19, 20, 29, 30, np.nan, np.nan])
    unseen = np.array([False] * 6 + [True])
    assert bins.place(asked, unseen).tolist() == [0, 19, 20, 20, bins.new, bins.missing, bins.new]
    assert bins.names(tuple("abc"))[:4] == ["a", "b", "c", "3"]
    assert bins.names()[20:] == ["others", "new", "missing"]


def test_a_column_that_was_never_told_makes_every_value_new() -> None:
    nothing = np.full(5, np.nan, np.float32)
    for bins in (Bins.of_numbers(nothing), Bins.of_codes(nothing)):
        assert bins.place(np.array([1.0, np.nan])).tolist() == [bins.new, bins.missing]


@given(values, values)
def test_every_value_has_a_bin_and_its_own_training_knows_no_new_one(seen: np.ndarray, asked: np.ndarray) -> None:
    bins = Bins.of_numbers(seen)
    assert bins.ordinary <= BINS
    here = bins.place(seen)
    assert not (here == bins.new).any()
    assert ((here == bins.missing) == np.isnan(seen)).all()
    place = bins.place(asked)
    assert ((place >= 0) & (place < len(bins))).all()
    again = Bins.of_json(json.loads(json.dumps(bins.as_json(), allow_nan=False)))
    assert (again.place(asked) == place).all()


@given(st.lists(st.integers(0, 40), max_size=80))
def test_categories_come_back_from_json_as_they_were(codes: list[int]) -> None:
    bins = Bins.of_codes(np.array(codes, np.float32))
    assert not (bins.place(np.array(codes, np.float32)) == bins.new).any()
    assert Bins.of_json(json.loads(json.dumps(bins.as_json()))).own == bins.own
