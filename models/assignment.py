"""Who gets which lead when many compete for few places: by worth, each rep within his room, sides in turns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def greedy(lead: np.ndarray, rep: np.ndarray, priority: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Take the pairs in order of priority, each whose lead is still free and whose rep still has room.

    lead, rep  (n,) int codes of the pairs that may be; priority (n,) distinct ints, the least first
    room       (reps,) int places of each rep
    Returns    (k,) positions of the chosen pairs, in order of priority
    Method     deferred acceptance (Gale and Shapley, 1962): where both sides rank a pair alike, its one stable matching
               is the greedy one. Each round is a pass over the pairs that are left, and sends at least one away
    """
    left = np.argsort(priority, kind="stable")
    while True:
        _, first = np.unique(lead[left], return_index=True)
        asking = left[first]
        asking = asking[np.lexsort((priority[asking], rep[asking]))]
        sent = asking[_place_within(rep[asking]) >= room[rep[asking]]]
        if not len(sent):
            return asking[np.argsort(priority[asking], kind="stable")]
        away = np.zeros(len(lead), bool)
        away[sent] = True
        left = left[~away[left]]


def drafted(
    lead: np.ndarray, rep: np.ndarray, priority: np.ndarray, room: np.ndarray, side: np.ndarray,
    starts: Sequence[float],
) -> np.ndarray:  # fmt: skip
    """As `greedy` within each side, and the sides take turns: at its turn a side takes the best pair that it has left.

    side     (n,) int: the side on which the pair's lead is, from 0
    starts   as in `turns`
    Returns  (k,) positions of the chosen pairs, in order of the turns

    A side has a turn for each of its leads, spread evenly, so all have the same share of their leads placed, whatever
    the number of places, until one has no pair left whose rep has room. With one side it is `greedy`.
    """
    if not len(side) or side.min() == side.max():
        return greedy(lead, rep, priority, room)
    order = np.argsort(priority, kind="stable")
    sizes = np.bincount(side[np.unique(lead, return_index=True)[1]])
    queues = [iter(order[side[order] == one].tolist()) for one in range(len(sizes))]
    leads, reps, left, taken = lead.tolist(), rep.tolist(), room.tolist(), set[int]()
    chosen: list[int] = []
    for turn in turns(sizes.tolist(), starts).tolist():
        # A pair that is passed over is lost for good: places only get fewer.
        for place in queues[turn]:
            if leads[place] not in taken and left[reps[place]] > 0:
                taken.add(leads[place])
                left[reps[place]] -= 1
                chosen.append(place)
                break
    return np.array(chosen, np.int64)


def turns(sizes: Sequence[int], starts: Sequence[float]) -> np.ndarray:
    """(n,) int: whose turn each is among sides of these sizes, so that of any first turns all have the same share.

    starts   from 0, below 1, one for each side but the first; drawn evenly and apart, they make the shares of any first
             turns exact in the mean
    Source: systematic sampling (Madow and Madow, 1944)
    """
    turn = np.zeros(sum(sizes), np.int64)
    rest = np.arange(len(turn))
    for side in range(len(sizes) - 1, 0, -1):
        so_far = np.floor(np.arange(len(rest) + 1) * sizes[side] / max(len(rest), 1) + starts[side - 1])
        theirs = np.diff(so_far) > 0
        turn[rest[theirs]] = side
        rest = rest[~theirs]
    return turn


def _place_within(group: np.ndarray) -> np.ndarray:
    """(n,) place of each member within its group, from 0; groups stand together."""
    _, start, count = np.unique(group, return_index=True, return_counts=True)
    return np.arange(len(group)) - np.repeat(start, count)
