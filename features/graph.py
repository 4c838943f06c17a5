"""The contact graph of each account: built by networkx from the memberships, kept as flat arrays for the searches."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import Any

import networkx as nx
import numpy as np

from features.memberships import Hub, Memberships

#: What one step through a hub of each kind weighs, before it is divided by the hub's degree.
WEIGHTS = {Hub.SOLUTION_INTEREST: 0.25, Hub.REPORTS_TO: 0.5, Hub.MET_TOGETHER: 1.0, Hub.SAME_OPPORTUNITY: 1.0}
#: In `edge_solution`: the edge leads to no solution. Not -1, which is an ask for a solution that nobody knows.
NO_SOLUTION = -2

#: ("contact", code) or (Hub, code).
Node = tuple[str | Hub, int]
Row = tuple[int, ...]
KINDS = tuple(Hub)  # Hub(kind), at a tenth of the time


def build_graph(memberships: Memberships, account: int) -> nx.Graph[Node]:
    """Draw one account's contacts and what they have in common, over all time.

    Nodes  ("contact", code) with the instants `since` which and `until` which the contact is known at the account;
           (Hub, code) for a solution, a reporting line, a meeting, an opportunity.
    Edges  contact-hub with `kind`, `weight`, `since` and `until`. A node or edge that ended and came back has the later
           (since, until) in `again`.
    Cost   one node per contact and hub, one edge per membership: 5,000 contacts who share a solution are 5,000 edges.
    """
    graph: nx.Graph[Node] = nx.Graph(account=account)
    presence = memberships.presence
    first, later = _rows(presence, ("contact", "since", "until"), presence.starts[account : account + 2])
    graph.add_nodes_from((("contact", contact), {"since": since, "until": until}) for contact, since, until in first)
    for contact, since, until in later:
        graph.nodes["contact", contact].setdefault("again", []).append((since, until))
    names = ("kind", "hub", "contact", "since", "until")
    first, later = _rows(memberships, names, memberships.starts[account : account + 2])
    graph.add_edges_from(
        (
            ("contact", contact), (KINDS[kind], hub),
            {"kind": KINDS[kind], "weight": WEIGHTS[KINDS[kind]], "since": since, "until": until},
        )
        for kind, hub, contact, since, until in first
    )  # fmt: skip
    for kind, hub, contact, since, until in later:
        graph.adj["contact", contact][KINDS[kind], hub].setdefault("again", []).append((since, until))
    return graph


def spans(data: dict[str, Any]) -> list[tuple[int, int]]:
    """The (since, until) in which a node or an edge holds, in order."""
    return [(data["since"], data["until"]), *data.get("again", ())]


def _rows(table: object, names: Sequence[str], bounds: np.ndarray) -> tuple[Iterator[Row], Iterator[Row]]:
    """(first, later) rows of each key within the bounds; the key is every column but since and until."""
    columns = [getattr(table, name)[bounds[0] : bounds[1]] for name in names]
    fresh = np.ones(len(columns[0]), bool)
    fresh[1:] = np.any([column[1:] != column[:-1] for column in columns[:-2]], axis=0)
    first, later = (zip(*(column[rows].tolist() for column in columns), strict=True) for rows in (fresh, ~fresh))
    return first, later


@dataclass(frozen=True)
class AccountArrays:
    """One account's graph as arrays.

    contacts         (nodes,) contact codes, rising; a node is a place here
    presence_*       (p,) node, contact, since, until: when a contact is known at the account
    edge_*           (e,) node, hub (a place among the account's hubs by kind, then code), solution (its code, where the
                     hub is one, else NO_SOLUTION), weight, since, until; sorted by hub, node, since
    """

    contacts: np.ndarray
    hubs: int
    presence_node: np.ndarray
    presence_contact: np.ndarray
    presence_since: np.ndarray
    presence_until: np.ndarray
    edge_node: np.ndarray
    edge_hub: np.ndarray
    edge_solution: np.ndarray
    edge_weight: np.ndarray
    edge_since: np.ndarray
    edge_until: np.ndarray

    @classmethod
    def of(cls, graph: nx.Graph[Node]) -> AccountArrays:
        """Read an account's graph into arrays."""
        people = sorted(node for node in graph if node[0] == "contact")
        hubs = sorted((kind, code) for kind, code in graph if isinstance(kind, Hub))
        place = {node: i for i, node in enumerate(people)}
        stays = [(place[node], node[1], since, until) for node in people for since, until in spans(graph.nodes[node])]
        edges = (
            (place[person], row, hub[1] if hub[0] is Hub.SOLUTION_INTEREST else NO_SOLUTION, since, until)
            for row, hub in enumerate(hubs)
            for person, data in sorted(graph.adj[hub].items())
            for since, until in spans(data)
        )
        weights = np.array([WEIGHTS[kind] for kind, _ in hubs], dtype=np.float64)
        presence = np.fromiter(chain.from_iterable(stays), np.int64).reshape(-1, 4)
        edge = np.fromiter(chain.from_iterable(edges), np.int64).reshape(-1, 5)
        return cls(
            contacts=np.array([code for _, code in people], dtype=np.int64), hubs=len(hubs),
            presence_node=presence[:, 0], presence_contact=presence[:, 1],
            presence_since=presence[:, 2], presence_until=presence[:, 3],
            edge_node=edge[:, 0], edge_hub=edge[:, 1], edge_solution=edge[:, 2], edge_weight=weights[edge[:, 1]],
            edge_since=edge[:, 3], edge_until=edge[:, 4],
        )  # fmt: skip


PRESENCE = tuple(f.name for f in fields(AccountArrays) if f.name.startswith("presence_"))
EDGES = tuple(f.name for f in fields(AccountArrays) if f.name.startswith("edge_"))


@dataclass(frozen=True)
class Flat:
    """The arrays of all accounts built so far, end to end.

    Offsets are (accounts + 1,): the last is an account without anybody, so that code -1 reads it. An account not built
    yet has start -1. `columns` hold the presence_* and edge_* arrays, with room at the end: a later Flat may write
    there, never before.
    """

    nodes: np.ndarray
    hubs: np.ndarray
    presence_start: np.ndarray
    presence_stop: np.ndarray
    edge_start: np.ndarray
    edge_stop: np.ndarray
    columns: dict[str, np.ndarray]
    presences: int = 0
    edges: int = 0

    @classmethod
    def empty(cls, accounts: int) -> Flat:
        """No account built yet."""
        size = accounts + 1
        start = np.full(size, -1, np.int64)
        start[-1] = 0
        stop = np.zeros(size, np.int64)
        columns = {name: np.empty(0, np.int64) for name in (*PRESENCE, *EDGES)}
        columns["edge_weight"] = np.empty(0, np.float64)
        return cls(stop, stop, start, stop, start, stop, columns)

    def with_accounts(self, codes: Sequence[int], built: Sequence[AccountArrays]) -> Flat:
        """These accounts' arrays put at the end."""
        at = np.asarray(codes)
        columns = dict(self.columns)
        for names, size in ((PRESENCE, self.presences), (EDGES, self.edges)):
            for name in names:
                columns[name] = _append(columns[name], size, [getattr(arrays, name) for arrays in built])
        presences = np.array([len(arrays.presence_node) for arrays in built])
        edges = np.array([len(arrays.edge_node) for arrays in built])
        presence_stop, edge_stop = self.presences + np.cumsum(presences), self.edges + np.cumsum(edges)
        return self.filled(
            at, nodes=np.array([len(arrays.contacts) for arrays in built]),
            hubs=np.array([arrays.hubs for arrays in built]), presence=(presence_stop - presences, presence_stop),
            edge=(edge_stop - edges, edge_stop), columns=columns,
        )  # fmt: skip

    def filled(
        self, at: np.ndarray, *, nodes: np.ndarray, hubs: np.ndarray, presence: tuple[np.ndarray, np.ndarray],
        edge: tuple[np.ndarray, np.ndarray], columns: dict[str, np.ndarray],
    ) -> Flat:  # fmt: skip
        """These accounts (codes, one at least) built: their (start, stop) in the columns, in rising order."""
        return replace(
            self, nodes=_put(self.nodes, at, nodes), hubs=_put(self.hubs, at, hubs),
            presence_start=_put(self.presence_start, at, presence[0]),
            presence_stop=_put(self.presence_stop, at, presence[1]),
            edge_start=_put(self.edge_start, at, edge[0]), edge_stop=_put(self.edge_stop, at, edge[1]),
            columns=columns, presences=int(presence[1][-1]), edges=int(edge[1][-1]),
        )  # fmt: skip

    def without(self, account: int) -> Flat:
        """The account marked as not built; its old rows stay behind, unread."""
        at, none = np.array([account]), np.array([-1])
        return replace(
            self, presence_start=_put(self.presence_start, at, none), edge_start=_put(self.edge_start, at, none)
        )


def _put(values: np.ndarray, at: np.ndarray, new: np.ndarray) -> np.ndarray:
    copy = values.copy()
    copy[at] = new
    return copy


def _append(buffer: np.ndarray, size: int, parts: Sequence[np.ndarray]) -> np.ndarray:
    needed = size + sum(map(len, parts))
    if needed > len(buffer):
        grown = np.empty(max(needed, 2 * len(buffer)), buffer.dtype)
        grown[:size] = buffer[:size]
        buffer = grown
    np.concatenate(parts, out=buffer[size:needed])
    return buffer


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Build many small objects, none of them in a cycle, without the search for cycles that doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class ContactGraphs:
    """The graphs' arrays of all accounts, each built when it is first asked for, and again when it has changed.

    Safe for several threads: a reader keeps the Flat that it was given. Only the arrays are kept, not the networkx
    graphs, which take about forty times their memory.
    """

    memberships: Memberships
    flat: Flat = field(init=False)

    def __post_init__(self) -> None:
        self.flat = Flat.empty(self.memberships.accounts)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ContactGraphs], tuple[Memberships]]:
        return ContactGraphs, (self.memberships,)  # a lock does not travel; the receiver builds what it asks for

    @property
    def state(self) -> tuple[Flat, Memberships]:
        """The arrays built so far, and the memberships that they were built from."""
        with self._lock:
            return self.flat, self.memberships

    def graph(self, account: int) -> nx.Graph[Node]:
        """The account's graph, over all time."""
        return build_graph(self.memberships, account)

    def arrays(self, account: int) -> AccountArrays:
        """The account's graph as arrays."""
        return AccountArrays.of(self.graph(account))

    def flat_of(self, accounts: np.ndarray) -> Flat:
        """The flat arrays, with at least these accounts (codes; -1 is nobody's) in them."""
        flat = self.flat
        if (flat.edge_start[accounts] >= 0).all():
            return flat
        with self._lock:
            flat = self.flat
            missing = np.unique(accounts[flat.edge_start[accounts] < 0]).tolist()
            if missing:
                with _collector_paused():
                    built = [self.arrays(account) for account in missing]
                self.flat = flat = flat.with_accounts(missing, built)
            return flat

    def rebuild(self, account: int, memberships: Memberships | None = None) -> None:
        """Forget an account's arrays, because it changed; the next ask builds them from the memberships given now."""
        with self._lock:
            if memberships is not None:
                self.memberships = memberships
            flat = self.flat.without(account)
            live = int((flat.edge_stop - flat.edge_start)[flat.edge_start >= 0].sum())
            # More rows left behind than in use: start again, so that memory stays bounded over any number of changes.
            self.flat = Flat.empty(self.memberships.accounts) if flat.edges > 2 * live + 1024 else flat
