"""Who gets which lead when many compete for few places: greedily by worth, each rep within his room."""

from __future__ import annotations

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


def _place_within(group: np.ndarray) -> np.ndarray:
    """(n,) place of each member within its group, from 0; groups stand together."""
    _, start, count = np.unique(group, return_index=True, return_counts=True)
    return np.arange(len(group)) - np.repeat(start, count)
