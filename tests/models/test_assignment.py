"""The greedy assignment is what taking pairs one by one would give, and never more than a rep has room for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.assignment import drafted, greedy, turns


def one_by_one(lead: np.ndarray, rep: np.ndarray, priority: np.ndarray, room: np.ndarray) -> list[int]:
    left, taken, chosen = room.copy(), set(), []
    for place in np.argsort(priority):
        if lead[place] not in taken and left[rep[place]] > 0:
            taken.add(lead[place])
            left[rep[place]] -= 1
            chosen.append(int(place))
    return chosen


@given(st.data())
def test_it_takes_what_taking_one_by_one_takes(data: st.DataObject) -> None:
    n, leads, reps = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 12)), data.draw(st.integers(1, 6))
    pairs = [(i, j) for i in range(leads) for j in range(reps)]
    picked = data.draw(st.lists(st.sampled_from(pairs), max_size=n, unique=True))
    lead, rep = (np.array([p[side] for p in picked], np.int64) for side in (0, 1))
    priority = np.array(data.draw(st.permutations(range(len(picked)))), np.int64)
    room = np.array(data.draw(st.lists(st.integers(0, 4), min_size=reps, max_size=reps)), np.int64)
    assert greedy(lead, rep, priority, room).tolist() == one_by_one(lead, rep, priority, room)


def test_by_hand() -> None:
    """Two leads want rep 0, who has one place: the better pair gets it, the other goes to rep 1."""
    lead, rep = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert greedy(lead, rep, np.array([0, 3, 1, 2]), np.array([1, 1])).tolist() == [0, 3]
    assert greedy(lead, rep, np.array([0, 3, 1, 2]), np.array([1, 0])).tolist() == [0]
    assert greedy(lead, rep, np.array([0, 3, 1, 2]), np.array([2, 0])).tolist() == [0, 2]


@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=3), starts=st.tuples(*[st.floats(0, 0.999)] * 2))
def test_turns_keep_every_side_s_share_of_any_first_ones(sizes: list[int], starts: tuple[float, float]) -> None:
    turn = turns(sizes, starts)
    assert np.bincount(turn, minlength=len(sizes)).tolist() == sizes
    for side, size in enumerate(sizes):
        so_far = np.cumsum(turn == side)
        assert (np.abs(so_far - np.arange(1, len(turn) + 1) * size / max(len(turn), 1)) < 2).all()


def test_over_all_starts_each_turn_is_a_side_s_as_often_as_its_leads_are_of_all() -> None:
    sizes, grid = [9, 4, 2], (np.arange(60) + 0.5) / 60
    every = np.array([turns(sizes, (a, b)) for a in grid for b in grid])
    for side, size in enumerate(sizes):
        np.testing.assert_allclose((every == side).mean(axis=0), size / 15, atol=0.03)


@given(st.data())
def test_sides_share_the_places_and_one_alone_is_greedy(data: st.DataObject) -> None:
    leads, reps = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 4))
    lead, rep = np.repeat(np.arange(leads), reps), np.tile(np.arange(reps), leads)
    priority = np.array(data.draw(st.permutations(range(len(lead)))), np.int64)
    room = np.array(data.draw(st.lists(st.integers(0, 4), min_size=reps, max_size=reps)), np.int64)
    side = np.array(data.draw(st.lists(st.integers(0, 2), min_size=leads, max_size=leads)))
    starts = data.draw(st.tuples(*[st.floats(0, 0.999)] * 2))
    chosen = drafted(lead, rep, priority, room, side[lead], starts)
    assert len(chosen) == min(leads, room.sum()), "any rep may take any lead, so no place stays empty"
    assert len(set(lead[chosen])) == len(chosen)
    assert (np.bincount(rep[chosen], minlength=reps) <= room).all()
    for one in range(3):
        mine = chosen[side[lead[chosen]] == one]
        assert abs(len(mine) - len(chosen) * (side == one).mean()) < 2
        assert (np.diff(priority[mine]) > 0).all()
    if side.min() == side.max():
        assert chosen.tolist() == one_by_one(lead, rep, priority, room)
