"""The account graphs as networkx draws them, the facts that they are drawn from, and their arrays."""

from __future__ import annotations

import pickle  # noqa: TID251 - graphs go to worker processes so
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.asof import NEVER, Column
from features.graph import NO_SOLUTION, AccountArrays, ContactGraphs, build_graph, spans
from features.memberships import Hub, Presence, column_spans, union
from tests.features.drawn import Drawing

SOLUTION, LINE, MEETING, OPPORTUNITY = Hub


def test_a_graph_joins_contacts_to_what_they_share_and_since_when() -> None:
    # Contact 2 leaves account 0 at 30 and is back at 50; contact 3 was never there.
    drawn = Drawing(
        accounts=[0, 0, 0, 1],
        born=[1, 2, 3, 4],
        facts=[(SOLUTION, 7, 0, 10), (SOLUTION, 7, 2, 20), (SOLUTION, 7, 3, 20), (MEETING, 7, 1, 15, 18)],
        moves=[(2, 3, 0), (2, 30, 1), (2, 50, 0)],
    )
    graph = build_graph(drawn.memberships(), 0)
    assert {node: spans(data) for node, data in graph.nodes(data=True) if node[0] == "contact"} == {
        ("contact", 0): [(1, NEVER)],
        ("contact", 1): [(2, NEVER)],
        ("contact", 2): [(3, 30), (50, NEVER)],
    }
    assert {(a, b): (d["kind"], d["weight"], spans(d)) for a, b, d in graph.edges(data=True)} == {
        (("contact", 0), (SOLUTION, 7)): (SOLUTION, 0.25, [(10, NEVER)]),
        (("contact", 1), (MEETING, 7)): (MEETING, 1.0, [(15, 18)]),
        (("contact", 2), (SOLUTION, 7)): (SOLUTION, 0.25, [(20, 30), (50, NEVER)]),
    }
    assert nx.is_bipartite(graph)


def test_arrays_spell_the_graph_out_in_the_order_of_codes() -> None:
    drawn = Drawing(
        [0, 0], [(MEETING, 0, 1, 5), (SOLUTION, 4, 1, 6), (SOLUTION, 4, 0, 7)], moves=[(0, 0, 0), (0, 8, 1), (0, 9, 0)]
    )
    arrays = AccountArrays.of(build_graph(drawn.memberships(), 0))
    assert arrays.contacts.tolist() == [0, 1]
    assert arrays.hubs == 2
    assert arrays.presence_node.tolist() == [0, 0, 1]
    assert arrays.edge_node.tolist() == [0, 0, 1, 1]
    assert arrays.edge_hub.tolist() == [0, 0, 0, 1]
    assert arrays.edge_solution.tolist() == [4, 4, 4, NO_SOLUTION]
    assert arrays.edge_weight.tolist() == [0.25, 0.25, 0.25, 1.0]
    assert arrays.edge_since.tolist() == [7, 9, 6, 5]
    assert arrays.edge_until.tolist() == [8, NEVER, NEVER, NEVER]


def test_an_account_without_contacts_has_an_empty_graph() -> None:
    drawn = Drawing([0])
    assert len(build_graph(drawn.memberships(), 1)) == 0
    arrays = ContactGraphs(drawn.memberships()).arrays(1)
    assert (len(arrays.contacts), arrays.hubs, len(arrays.edge_node)) == (0, 0, 0)


def test_a_solution_that_5000_share_costs_5000_edges() -> None:
    graph = build_graph(Drawing([0] * 5000, [(SOLUTION, 0, c, 0) for c in range(5000)]).memberships(), 0)
    assert graph.number_of_edges() == 5000


def test_graphs_are_built_when_asked_for_and_again_when_changed() -> None:
    before = Drawing([0, 1, 1], [(SOLUTION, 0, c, 0) for c in range(3)]).memberships()
    after = Drawing([0, 1, 1], [(SOLUTION, 0, 1, 0)]).memberships()
    graphs = ContactGraphs(before)
    assert graphs.flat.edges == 0
    held = graphs.flat_of(np.array([1]))
    assert (held.edge_start >= 0).tolist() == [False, True, True]  # the last is nobody's
    assert graphs.flat_of(np.array([1, -1])) is held
    graphs.rebuild(1, after)
    flat = graphs.flat_of(np.array([0, 1]))
    assert (flat.edge_stop - flat.edge_start).tolist() == [0, 1, 0]
    # A reader who began before the change ends with what he began with.
    rows = slice(held.edge_start[1], held.edge_stop[1])
    assert held.columns["edge_node"][rows].tolist() == [0, 1]


def test_memory_stays_bounded_over_many_changes() -> None:
    memberships = Drawing([0] * 50 + [1] * 50, [(SOLUTION, 0, c, 0) for c in range(100)]).memberships()
    graphs = ContactGraphs(memberships)
    for _ in range(200):
        graphs.flat_of(np.array([0, 1]))
        graphs.rebuild(0)
    assert graphs.flat.edges <= 2 * 100 + 1024 + 50


def test_graphs_travel_to_another_process() -> None:
    graphs = ContactGraphs(Drawing([0], [(SOLUTION, 0, 0, 0)]).memberships())
    again = pickle.loads(pickle.dumps(graphs))  # noqa: S301 - written in this line
    assert again.flat_of(np.array([0])).edges == 1


# The facts ----------------------------------------------------------------------------------------------------------

interval = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 12), st.integers(1, 5))


@given(st.lists(interval, max_size=12))
def test_union_holds_where_any_part_holds_and_parts_never_touch(rows: list[tuple[int, int, int, int]]) -> None:
    a, b, since, length = np.array(rows, np.int64).reshape(-1, 4).T
    (key, second), start, stop = union((a, b), since, since + length)
    joined = list(zip(key.tolist(), second.tolist(), start.tolist(), stop.tolist(), strict=True))
    assert joined == sorted(joined)
    assert all(x[:2] != y[:2] or x[3] < y[2] for x, y in pairwise(joined))
    for t in range(19):
        holding = {(x, y) for x, y, s, n in rows if s <= t < s + n}
        assert [(x, y) for x, y, s, e in joined if s <= t < e] == sorted(holding)


@given(
    st.lists(st.integers(-1, 3), min_size=3, max_size=3),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12), st.integers(-1, 3)), max_size=8),
)
def test_spans_of_a_column_are_what_reading_it_answers(
    base: list[int], born: list[int], changes: list[tuple[int, int, int, int]]
) -> None:
    column = Column(np.array(base, np.int64))
    if changes:
        column.with_history(*np.array(changes, np.int64).T)
    entity, value, since, until = column_spans(column, np.array(born, np.int64))
    for who in range(3):
        for t in range(15):
            held = value[(entity == who) & (since <= t) & (t < until)].tolist()
            read = int(column.read(np.array([who]), np.array([t]))[0])
            assert held == ([read] if read >= 0 and t >= born[who] else [])


def test_facts_follow_their_contact_from_account_to_account() -> None:
    column = Column(np.array([0, 1])).with_history(*(np.array([v]) for v in (0, 20, 20, 1)))
    presence = Presence.of(column, np.array([5, 5]), 2)
    assert presence.place.tolist() == [0, 0, 1]
    parts = presence.split(np.array([0, 1]), np.array([0, 30]), np.array([40, NEVER]))
    rows = sorted(zip(*(part.tolist() for part in parts), strict=True))
    assert rows == [(0, 0, 5, 20), (0, 1, 20, 40), (1, 1, 30, NEVER)]


@pytest.mark.parametrize("account", [0, 1])
def test_codes_of_nodes_are_places_among_the_accounts_contacts(account: int) -> None:
    memberships = Drawing([1, 0, 1, 0], moves=[(0, 9, 0)]).memberships()
    presence, contacts = memberships.presence, ContactGraphs(memberships).arrays(account).contacts
    rows = slice(presence.starts[account], presence.starts[account + 1])
    assert contacts[presence.place[rows]].tolist() == presence.contact[rows].tolist()
