"""Contact graphs drawn by hand or at random, and what networkx says of them: the reference of the array searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import networkx as nx
import numpy as np

from features.asof import NEVER, Column
from features.graph import WEIGHTS, ContactGraphs, build_graph
from features.graph import spans as graph_spans
from features.memberships import Hub, Memberships, Presence, Spans
from features.ties import CHUNK, Arrivals, TieFeatures, Ties
from features.walk import REACH, RESTART
from features.worked import Worked

#: (kind, hub, contact, since[, until])
Fact = tuple[Hub, int, int, int] | tuple[Hub, int, int, int, int]


@dataclass(frozen=True)
class Drawing:
    """Two accounts: contacts (code -> account, and since when), what they have in common, and what befell them.

    arrivals  leads: contact, solution, created_at, known
    work      rep, contact, at, since, until
    moves     contact, instant, new account
    """

    accounts: Sequence[int]
    facts: Sequence[Fact] = ()
    born: Sequence[int] | None = None
    arrivals: Sequence[tuple[int, int, int, int]] = ()
    work: Sequence[tuple[int, int, int, int, int]] = ()
    moves: Sequence[tuple[int, int, int]] = ()

    def memberships(self) -> Memberships:
        """The rows from which graphs are built."""
        born = np.array(self.born if self.born is not None else [0] * len(self.accounts), np.int64)
        column = Column(np.array(self.accounts, np.int64))
        if self.moves:
            who, when, where = (np.array(values, np.int64) for values in zip(*self.moves, strict=True))
            column.with_history(who, when, when, where)
        presence = Presence.of(column, born, 2)
        kinds: Mapping[Hub, list[Fact]] = {kind: [f for f in self.facts if f[0] is kind] for kind in Hub}
        return Memberships.of(
            presence, {kind: spans((f[2], f[1], *f[3:]) for f in rows) for kind, rows in kinds.items()}
        )

    def ties(self, *, work_told: bool = True) -> Ties:
        """Ready to be asked."""
        contact, solution, created, known = _columns(self.arrivals, 4)
        arrivals = Spans.of(contact, solution, known, at=created)
        rep, worked, at, since, until = _columns(self.work, 5)
        work = Spans.of(worked, np.zeros(len(worked), np.int64), since, until, at, rep)
        memberships = self.memberships()
        presence = memberships.presence
        return Ties(
            ContactGraphs(memberships), Worked(work, presence, 8), Arrivals(arrivals, presence, 8), work_told=work_told
        )  # fmt: skip

    def ask(
        self, asks: Sequence[tuple[int, int, int, int]], pairs: Sequence[tuple[int, int]] = (), chunk: int = CHUNK
    ) -> TieFeatures:
        """Ask for (account, contact, solution, t), and for pairs (ask, rep)."""
        return self.ties().ask(*_columns(asks, 4), *_columns(pairs, 2), chunk=chunk)


def spans(rows: Iterable[tuple[int, ...]]) -> Spans:
    """(contact, hub, since[, until])."""
    contact, hub, since, until = _columns([(*row, NEVER)[:4] for row in rows], 4)
    return Spans.of(contact, hub, since, until)


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, width).T.copy()


def projected(memberships: Memberships, account: int, contact: int, solution: int, t: int) -> nx.Graph[int]:
    """The account's contacts as of t, each pair joined by the sum over their hubs of the kind's weight / members.

    Every pair of every hub: what the arrays never spell out. The ask's own interest is in it.
    """
    graph = build_graph(memberships, account)

    def holds(data: dict[str, Any]) -> bool:
        return any(since <= t < until for since, until in graph_spans(data))

    people: nx.Graph[int] = nx.Graph()
    people.add_nodes_from(node[1] for node, data in graph.nodes(data=True) if node[0] == "contact" and holds(data))
    people.add_node(contact)
    hubs = {node for node in graph if isinstance(node[0], Hub)} | {(Hub.SOLUTION_INTEREST, solution)}
    for hub in hubs:
        around = graph.adj.get(hub, {})
        members = {person[1] for person in around if holds(graph.edges[person, hub])}
        members |= {contact} if hub == (Hub.SOLUTION_INTEREST, solution) else set()
        for one, other in combinations(sorted(members), 2):
            step = WEIGHTS[hub[0]] / len(members)
            weight = people.get_edge_data(one, other, {"weight": 0.0})["weight"]
            people.add_edge(one, other, weight=weight + step)
    return people


def reference_paths(people: nx.Graph[int], contact: int) -> dict[int, tuple[int, float]]:
    """(distance, strength) of every contact within reach, path by path."""
    found = {}
    for other, steps in nx.single_source_shortest_path_length(people, contact, cutoff=REACH).items():
        strength = 0.0
        for path in nx.all_shortest_paths(people, contact, other):
            strength += float(np.prod([people.edges[edge]["weight"] for edge in pairwise(path)]))
        found[other] = (steps, min(strength, 1.0))
    return found


def reference_diffusion(people: nx.Graph[int], start: int) -> dict[int, float]:
    """Personalised PageRank of every contact, from one."""
    ranks: dict[int, float] = nx.pagerank(people, 1 - RESTART, personalization={start: 1}, max_iter=2000, tol=1e-13)
    return ranks
