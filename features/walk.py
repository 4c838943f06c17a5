"""Searches and diffusion over the contact graphs' arrays, from many (contact, instant) in one sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.asof import expand
from features.graph import WEIGHTS, Flat
from features.memberships import Hub

#: How many steps a search goes, and the distance of those beyond.
REACH, FAR = 3, 127
#: Diffusion is a walk that starts again at the lead's contact with this probability before each step, ...
RESTART = 0.2
#: ... followed for this many steps, so that its cost is bounded; where it goes after them is left out.
POWER_STEPS = 6


@dataclass(frozen=True)
class Reached:
    """What the searches from each ask's contact found.

    of each ask (q,)   t, contact, base (where its account's nodes start), source (the contact's node), and
                       features as TieFeatures
    of each node       steps: distance from the source, FAR beyond REACH
                       strength: total weight of the shortest paths, each the product of its steps' weights, at most 1
                       diffusion: what a walk with restarts that begins at the node brings to the source
    """

    t: np.ndarray
    contact: np.ndarray
    base: np.ndarray
    source: np.ndarray
    steps: np.ndarray
    strength: np.ndarray
    diffusion: np.ndarray
    degree: np.ndarray
    pagerank: np.ndarray
    interest_share: np.ndarray
    contacts: np.ndarray

    @classmethod
    def of(cls, flat: Flat, account: np.ndarray, contact: np.ndarray, solution: np.ndarray, t: np.ndarray) -> Reached:
        """Search from each ask's contact over his account as it was known at t, all (q,) asks in one sweep.

        Each ask has its own nodes and hubs in the vectors, and `np.bincount` adds up a node's edges one after the other
        in the order of the account's arrays, so what else is in the batch changes no bit.
        """
        size = len(t)
        nodes = flat.nodes[account] + 1  # the last is for a contact who is not there by t
        base = np.cumsum(nodes) - nodes
        owner, place = _live(flat, "presence", account, t)
        source = base + nodes - 1
        own = flat.columns["presence_contact"][place] == contact[owner]
        source[owner[own]] = base[owner[own]] + flat.columns["presence_node"][place[own]]
        contacts = np.bincount(owner, minlength=size) + (source == base + nodes - 1)
        walk, interested = Walk.of(flat, account, solution, t, base, source, int(nodes.sum()))
        steps, strength = walk.search(source)
        diffusion = walk.diffuse(source)
        of_ask = np.repeat(np.arange(size), nodes)
        linked = np.bincount(of_ask[walk.pull > 0], minlength=size)
        # By symmetry what all nodes bring to the source is its own PageRank, save that a walk which is stuck at a
        # contact without ties starts again anywhere: that scales it.
        restart = RESTART / (1 - (1 - RESTART) * ((contacts - linked) / contacts))
        brought = np.bincount(of_ask, weights=diffusion, minlength=size)
        others = np.where(solution >= 0, contacts - 1, 0).astype(np.float64)
        return cls(
            t, contact, base, source, steps, strength, diffusion,
            degree=np.bincount(of_ask[steps == 1], minlength=size),
            pagerank=np.where(walk.pull[source] > 0, restart / RESTART * brought, restart),
            interest_share=np.divide(interested, others, out=np.full(size, np.nan), where=others > 0),
            contacts=contacts,
        )  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """The steps contact-hub-contact of all asks of a batch: (e,) memberships of hubs that tie two contacts or more.

    share   weight of one step through the membership's hub: the kind's weight / the hub's degree as of t
    pull    (nodes,) total weight of a node's steps to others
    """

    node: np.ndarray
    hub: np.ndarray
    share: np.ndarray
    hubs: int
    pull: np.ndarray

    @classmethod
    def of(
        cls, flat: Flat, account: np.ndarray, solution: np.ndarray, t: np.ndarray, base: np.ndarray, source: np.ndarray,
        nodes: int,
    ) -> tuple[Walk, np.ndarray]:  # fmt: skip
        """(walk, number of the account's other contacts interested in the ask's solution), as known at t.

        The ask itself says that its contact is interested in its solution. So he is a member of that hub whether or not
        a row says so, and a lead that is not stored yet is told as it will be once it is.
        """
        owner, place = _live(flat, "edge", account, t)
        room = flat.hubs[account] + 1  # the last is the hub of the ask's solution
        first = np.cumsum(room) - room
        asked = first + room - 1
        node = base[owner] + flat.columns["edge_node"][place]
        same = flat.columns["edge_solution"][place] == solution[owner]
        hub = np.where(same, asked[owner], first[owner] + flat.columns["edge_hub"][place])
        other = ~same | (node != source[owner])
        interested = np.bincount(owner[same & other], minlength=len(t))
        node, hub = np.concatenate([node[other], source]), np.concatenate([hub[other], asked])
        weight = np.concatenate(
            [flat.columns["edge_weight"][place[other]], np.full(len(t), WEIGHTS[Hub.SOLUTION_INTEREST])]
        )
        hubs = int(room.sum())
        members = np.bincount(hub, minlength=hubs)[hub]
        tied = members > 1
        node, hub, weight = node[tied], hub[tied], weight[tied]
        share = weight / members[tied]
        return cls(node, hub, share, hubs, np.bincount(node, weights=weight - share, minlength=nodes)), interested

    def across(self, values: np.ndarray) -> np.ndarray:
        """(nodes,) sum over each node's neighbours of the step's weight times the neighbour's value."""
        mine = values[self.node]
        met = np.bincount(self.hub, weights=mine, minlength=self.hubs)
        return np.bincount(self.node, weights=self.share * (met[self.hub] - mine), minlength=len(self.pull))

    def search(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(steps, strength) of every node, by breadth first from each ask's source."""
        steps = np.full(len(self.pull), FAR, np.int8)
        steps[source] = 0
        front = np.zeros(len(self.pull))
        front[source] = 1.0
        strength = front.copy()
        for step in range(1, REACH + 1):
            arrived = self.across(front)
            front = np.where(steps == FAR, arrived, 0.0)
            steps[front > 0] = step
            strength += front
        return steps, np.minimum(strength, 1.0)

    def diffuse(self, source: np.ndarray, steps: int = POWER_STEPS) -> np.ndarray:
        """(nodes,) chance that a walk with restarts at its first node, as begun there, is at its ask's source.

        The walk goes to a neighbour with probability weight / pull. Its weights are symmetric, so one run from the
        source tells it for every start.
        """
        onward = np.divide(1 - RESTART, self.pull, out=np.zeros(len(self.pull)), where=self.pull > 0)
        brought = np.zeros(len(self.pull))
        brought[source] = 1.0
        for _ in range(steps):
            before = brought
            brought = onward * self.across(before)
            brought[source] += RESTART
        # Between two contacts the walk swings to and fro; this mean of its last two steps takes the swing out.
        brought = (brought + (1 - RESTART) * before) / (2 - RESTART)
        brought[source[self.pull[source] == 0]] = 1.0  # alone: the walk never leaves
        return brought


def _live(flat: Flat, what: str, account: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ask, place) of every presence or edge of each ask's account that holds at its instant."""
    start, stop = (flat.presence_start, flat.presence_stop) if what == "presence" else (flat.edge_start, flat.edge_stop)
    owner, place = expand(start[account], stop[account])
    since, until = flat.columns[what + "_since"], flat.columns[what + "_until"]
    held = (since[place] <= t[owner]) & (t[owner] < until[place])
    return owner[held], place[held]
