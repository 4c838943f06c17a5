"""The greedy assignment is what taking pairs one by one would give, and never more than a rep has room for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.assignment import greedy


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
