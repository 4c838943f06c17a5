"""As-of lookups against a plain reading of the same facts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.asof import MANY, NAT, Column, Latest, Log, Pairs, Sums, expand

facts = st.lists(
    st.tuples(st.integers(-1, 3), st.one_of(st.just(NAT), st.integers(0, 12)), st.integers(0, 20)), max_size=25
)
asks = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 13)), min_size=1, max_size=10)


def columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray]:
    return [np.array([row[i] for row in rows], dtype=np.int64) for i in range(width)]


@given(facts, asks, st.booleans())
def test_counts_sums_and_latest_equal_a_plain_reading(
    rows: list[tuple[int, int, int]], questions: list[tuple[int, int]], before: bool
) -> None:
    key, known, value = columns(rows, 3)
    asked, t = columns(questions, 2)
    log = Log(key, known, 4)
    start, stop = log.span(asked, t, before=before)
    sums, latest = Sums(log, value).between(start, stop), Latest(log, value).at(asked, t, before=before)
    for i, (k, at) in enumerate(questions):
        seen = [v for (rk, rt, v) in rows if rk == k >= 0 and rt != NAT and (rt < at if before else rt <= at)]
        assert stop[i] - start[i] == len(seen)
        assert sums[i] == sum(seen)
        assert latest[i] == (max(seen) if seen else NAT)
        assert sorted(value[log.order[start[i] : stop[i]]].tolist()) == sorted(seen)


@given(facts, asks)
def test_a_column_reads_the_change_that_was_valid_last_of_those_known(
    rows: list[tuple[int, int, int]], questions: list[tuple[int, int]]
) -> None:
    entity, known, valid = columns([row for row in rows if row[0] >= 0], 3)
    values = np.arange(len(entity), dtype=np.float64)
    column = Column(np.full(4, -7.0)).with_history(entity, valid, known, values)
    asked, t = columns(questions, 2)
    for i, (k, at) in enumerate(questions):
        seen = [(valid[j], max(valid[j], known[j]), j) for j in range(len(entity)) if entity[j] == k]
        seen = [s for s in seen if s[1] <= at]
        got = column.read(asked, t)[i]
        if k < 0:
            assert np.isnan(got)
        elif not seen:
            assert got == -7.0
        else:
            assert got in {values[j] for v, _, j in seen if v == max(s[0] for s in seen)}


def test_many_asks_are_searched_otherwise_and_answered_the_same() -> None:
    rng = np.random.default_rng(0)
    log = Log(rng.integers(-1, 300, 3000), rng.integers(0, 900, 3000), 300)
    key, t = rng.integers(-1, 300, MANY + 1), rng.integers(-1, 901, MANY + 1)
    for before in (False, True):
        together = log.span(key, t, before=before)
        halves = [log.span(key[part], t[part], before=before) for part in (slice(0, 1000), slice(1000, None))]
        for side in (0, 1):
            np.testing.assert_array_equal(together[side], np.concatenate([half[side] for half in halves]))


def test_what_outcomes_move_is_hidden_from_features_until_known_but_not_from_filters() -> None:
    column = Column(np.array([1, 2]), visible=np.array([10, 99]))
    entity, t = np.array([0, 0, 1]), np.array([9, 10, 10])
    np.testing.assert_array_equal(column.read(entity, t), [-1, 1, -1])
    np.testing.assert_array_equal(column.read(entity, t, latest=True), [1, 1, 2])


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=20))
def test_pairs_code_what_occurs_and_nothing_else(pairs: list[tuple[int, int]]) -> None:
    left, right = columns(pairs, 2)
    made = Pairs(left, right, 5)
    every = [(a, b) for a in range(-1, 5) for b in range(-1, 5)]
    codes = made.codes(*columns(every, 2))
    occurring = sorted({p for p in pairs if min(p) >= 0})
    assert {p: c for p, c in zip(every, codes, strict=True) if c >= 0} == {p: i for i, p in enumerate(occurring)}


def test_spans_are_spelled_out_in_order() -> None:
    owner, position = expand(np.array([3, 7, 7]), np.array([5, 7, 9]))
    np.testing.assert_array_equal(owner, [0, 0, 2, 2])
    np.testing.assert_array_equal(position, [3, 4, 7, 8])
