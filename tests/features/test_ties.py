"""Searches and diffusion over the account graphs: cases worked by hand, networkx as the reference, and their bounds."""

from __future__ import annotations

import tracemalloc
from dataclasses import astuple, replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.asof import DAY, NAT, NEVER
from features.graph import ContactGraphs
from features.memberships import Hub
from features.ties import TieFeatures, chunks
from features.walk import Reached, Walk
from features.worked import last_instants
from tests.features.drawn import Drawing, projected, reference_diffusion, reference_paths, spans

SOLUTION, LINE, MEETING, OPPORTUNITY = Hub

#: Ann met Bob; Bob, Cy and Fay are in one opportunity; Cy and Fay report to Di; Eve knows nobody.
#:
#:                            1/3
#:          1/2           +----------- Cy ---+ 1/6
#:     Ann ------- Bob ---+            |     +------ Di        Eve
#:        meeting         +----------- Fay --+ 1/6
#:                     opportunity 1/3      line
ANN, BOB, CY, DI, EVE, FAY = range(6)
FACTS = (
    (MEETING, 0, ANN, 10), (MEETING, 0, BOB, 10),
    (OPPORTUNITY, 0, BOB, 20), (OPPORTUNITY, 0, CY, 20), (OPPORTUNITY, 0, FAY, 20),
    (LINE, DI, DI, 0), (LINE, DI, CY, 0), (LINE, DI, FAY, 0),
)  # fmt: skip
DRAWN = Drawing(accounts=[0] * 6, facts=FACTS)
T = 1000 * DAY


def worked(*rows: tuple[int, int, int], drawing: Drawing = DRAWN) -> Drawing:
    """The drawing, with (rep, contact, instant) of work."""
    return replace(drawing, work=[(rep, contact, at, at, NEVER) for rep, contact, at in rows])


@pytest.mark.parametrize(
    ("contact", "distance", "strength"),
    [
        (ANN, 0, 1.0),
        (BOB, 1, 1 / 2),
        (CY, 2, 1 / 2 * 1 / 3),
        (FAY, 2, 1 / 2 * 1 / 3),
        (DI, 3, 2 * (1 / 2 * 1 / 3 * 1 / 6)),  # over Cy and over Fay
        (EVE, np.nan, 0.0),
    ],
)
def test_distance_and_strength_to_the_one_worked_contact(contact: int, distance: float, strength: float) -> None:
    told = worked((0, contact, T)).ask([(0, ANN, 0, T)], [(0, 0)])
    np.testing.assert_array_equal(told.distance, [distance])
    np.testing.assert_allclose(told.strength, [strength], rtol=1e-15)
    assert told.near[0] == (distance <= 2)


def test_the_nearest_counts_and_of_equals_the_strongest() -> None:
    # Ann and Cy are asked about the same solution, which makes Cy a neighbour, but a weaker one than Bob.
    told = worked(
        (0, DI, T), (0, BOB, T), (0, CY, T), (1, CY, T), drawing=replace(DRAWN, facts=(*FACTS, (SOLUTION, 7, CY, 5)))
    ).ask([(0, ANN, 7, T)], [(0, 0), (0, 1)])  # fmt: skip
    np.testing.assert_array_equal(told.distance, [1, 1])
    np.testing.assert_array_equal(told.strength, [1 / 2, 1 / 8])
    np.testing.assert_array_equal(told.near, [3, 1])  # over Cy, Di is two steps away


def test_the_nearest_counts_even_where_a_farther_one_is_tied_more_strongly() -> None:
    # Di is a neighbour by a solution (1/8); Cy stands behind Bob over two meetings of two (1/4).
    met = [(MEETING, 0, ANN, 0), (MEETING, 0, BOB, 0), (MEETING, 1, BOB, 0), (MEETING, 1, CY, 0), (SOLUTION, 0, DI, 0)]
    told = worked((0, CY, T), (0, DI, T), (1, CY, T), drawing=Drawing([0] * 4, met)).ask(
        [(0, ANN, 0, T)], [(0, 0), (0, 1)]
    )
    np.testing.assert_array_equal(told.distance, [1, 2])
    np.testing.assert_array_equal(told.strength, [1 / 8, 1 / 4])


def test_several_meetings_make_a_tie_no_stronger_than_one_self() -> None:
    often = [(MEETING, m, who, 0) for m in range(9) for who in (ANN, BOB)]
    told = worked((0, BOB, T), drawing=Drawing([0, 0], often)).ask([(0, ANN, 0, T)], [(0, 0)])
    assert told.strength[0] == 1.0


def test_a_rep_who_works_nobody_there_has_no_distance_and_no_ties() -> None:
    told = worked((0, BOB, T), (1, BOB, T + 1)).ask([(0, ANN, 0, T)], [(0, 1), (0, 2)])
    np.testing.assert_array_equal(told.distance, [np.nan, np.nan])
    np.testing.assert_array_equal(np.stack([told.strength, told.near, told.diffusion]), np.zeros((3, 2)))


def test_two_who_met_reach_each_other_by_diffusion() -> None:
    # x = chance to be at the other: x = 0.8 (1 - x), so x = 4/9. Worked 90 days ago counts half, 180 a quarter.
    two = Drawing([0, 0], [(MEETING, 0, ANN, 0), (MEETING, 0, BOB, 0)])
    told = worked((0, BOB, T), (1, BOB, T - 90 * DAY), (2, ANN, T - 180 * DAY), drawing=two).ask(
        [(0, ANN, 0, T)], [(0, 0), (0, 1), (0, 2)]
    )
    np.testing.assert_allclose(told.diffusion, [4 / 9, 2 / 9, 5 / 9 / 4], rtol=1e-12)
    np.testing.assert_allclose(told.pagerank, [1.0], rtol=1e-12)


def test_only_the_last_work_before_the_instant_counts() -> None:
    two = Drawing([0, 0], [(MEETING, 0, ANN, 0), (MEETING, 0, BOB, 0)])
    told = worked((0, BOB, T - 90 * DAY), (0, BOB, T - 300 * DAY), (0, BOB, T + DAY), drawing=two).ask(
        [(0, ANN, 0, T), (0, ANN, 0, T + DAY)], [(0, 0), (1, 0)]
    )
    np.testing.assert_allclose(told.diffusion, [2 / 9, 4 / 9], rtol=1e-12)


def test_the_contacts_own_features() -> None:
    leads = [
        (BOB, 3, T - 10 * DAY, T - 10 * DAY),
        (BOB, 3, T - 5 * DAY, T - 5 * DAY),
        (CY, 3, T - 90 * DAY, T),
        (DI, 4, T, T),
    ]
    leads += [(ANN, 3, T, T), (FAY, 3, T - DAY, T + 1), (EVE, 3, T, T)]
    interest = tuple((SOLUTION, solution, who, known) for who, solution, _, known in leads)
    told = replace(DRAWN, facts=FACTS + interest, arrivals=leads).ask([(0, ANN, 3, T), (0, EVE, 5, T), (0, CY, 4, T)])
    np.testing.assert_array_equal(told.contacts, [6, 6, 6])
    np.testing.assert_array_equal(told.interest_share, [3 / 5, 0, 1 / 5])  # Bob, Cy and Eve; nobody; Di
    np.testing.assert_array_equal(told.colleagues_lately, [2, 0, 1])  # Bob (once) and Eve; nobody; Di
    np.testing.assert_array_equal(told.degree, [3, 3, 5])  # Bob, Cy, Eve; Ann, Bob, Cy; all


def test_who_left_since_he_came_in_is_no_colleague() -> None:
    left = Drawing([0, 0], [(SOLUTION, 3, BOB, 10)], arrivals=[(BOB, 3, 10, 10)], moves=[(BOB, 20, 1)])
    told = left.ask([(0, ANN, 3, 19), (0, ANN, 3, 20)])
    np.testing.assert_array_equal(told.colleagues_lately, [1, 0])
    np.testing.assert_array_equal(told.interest_share, [1, np.nan])


def test_a_contact_alone_has_the_pagerank_of_restarts_only() -> None:
    told = DRAWN.ask([(0, EVE, 0, T)])
    ranks = nx.pagerank(projected(DRAWN.memberships(), 0, EVE, 0, T), 0.8, tol=1e-13, max_iter=1000)
    np.testing.assert_allclose(told.pagerank, [ranks[EVE] * 6], rtol=1e-9)
    assert told.degree[0] == 0


def test_an_account_with_nobody_else_tells_nothing_of_others() -> None:
    told = Drawing([0, 1]).ask([(0, 0, 0, T)])
    assert (told.contacts[0], told.degree[0]) == (1, 0)
    assert told.pagerank[0] == pytest.approx(1.0)
    assert np.isnan(told.interest_share[0])


def test_a_contact_who_is_not_at_the_account_yet_counts_as_one_who_just_came() -> None:
    late = Drawing([0, 0], [(SOLUTION, 2, BOB, 0)], born=[T + 1, 0])
    told = worked((0, ANN, T), (1, BOB, T), drawing=late).ask([(0, ANN, 2, T), (0, -1, 2, T)], [(0, 0), (0, 1), (1, 1)])
    np.testing.assert_array_equal(told.contacts, [2, 2])
    np.testing.assert_array_equal(told.interest_share, [1, 1])
    np.testing.assert_array_equal(told.distance, [0, 1, 1])


def test_an_unknown_account_is_not_known() -> None:
    told = worked((0, BOB, T)).ask([(-1, ANN, 0, T), (0, ANN, 0, T)], [(0, 0), (1, 0)])
    for values in astuple(told):
        assert np.isnan(values[0])
        assert not np.isnan(values[1])


def test_without_a_table_of_work_ties_are_not_known() -> None:
    told = (
        worked((0, BOB, T))
        .ties(work_told=False)
        .ask(*(np.array([v]) for v in (0, ANN, 0, T)), np.array([0]), np.array([0]))
    )
    assert np.isnan([told.distance, told.strength, told.near, told.diffusion]).all()
    assert told.degree[0] == 1


def test_a_cancelled_meeting_ties_until_it_is_cancelled() -> None:
    met = Drawing([0, 0], [(MEETING, 0, ANN, 10, 20), (MEETING, 0, BOB, 10, 20)], work=[(0, BOB, 10, 10, 20)])
    told = met.ask([(0, ANN, 0, t) for t in (9, 10, 19, 20)], [(ask, 0) for ask in range(4)])
    np.testing.assert_array_equal(told.degree, [0, 1, 1, 0])
    np.testing.assert_array_equal(told.distance, [np.nan, 1, 1, np.nan])


def test_who_leaves_the_account_leaves_the_graph() -> None:
    moved = replace(DRAWN, moves=[(BOB, 30, 1), (BOB, 40, 0)])
    told = worked((0, CY, 25), drawing=moved).ask(
        [(0, ANN, 0, t) for t in (29, 30, 39, 40)], [(a, 0) for a in range(4)]
    )
    np.testing.assert_array_equal(told.contacts, [6, 5, 5, 6])
    np.testing.assert_array_equal(told.distance, [2, np.nan, np.nan, 2])


# What networkx says -------------------------------------------------------------------------------------------------

CONTACTS, REPS, NOW = 7, 3, 12
instants = st.integers(0, 20)


@st.composite
def fact(draw: st.DrawFn) -> tuple[Hub, int, int, int, int]:
    since = draw(instants)
    until = draw(st.one_of(st.just(NEVER), st.integers(since + 1, 24)))
    return draw(st.sampled_from(Hub)), draw(st.integers(0, 2)), draw(st.integers(0, CONTACTS - 1)), since, until


@st.composite
def drawing(draw: st.DrawFn) -> Drawing:
    work = draw(st.lists(st.tuples(st.integers(0, REPS - 1), st.integers(0, CONTACTS - 1), instants), max_size=8))
    leads = draw(
        st.lists(st.tuples(st.integers(0, CONTACTS - 1), st.integers(0, 2), instants, st.integers(0, 3)), max_size=6)
    )
    return Drawing(
        accounts=draw(st.lists(st.integers(0, 1), min_size=CONTACTS, max_size=CONTACTS)),
        facts=draw(st.lists(fact(), max_size=20)),
        born=draw(st.lists(st.integers(0, 14), min_size=CONTACTS, max_size=CONTACTS)),
        arrivals=[(c, s, created, created + lag) for c, s, created, lag in leads],
        work=[(rep, contact, at, at, NEVER) for rep, contact, at in work],
        moves=draw(st.lists(st.tuples(st.integers(0, CONTACTS - 1), instants, st.integers(0, 1)), max_size=2)),
    )  # fmt: skip


ask = st.tuples(st.integers(0, 1), st.integers(0, CONTACTS - 1), st.integers(0, 2), st.just(NOW))


@given(drawing(), ask)
def test_paths_are_those_of_the_projected_graph(drawn: Drawing, asked: tuple[int, int, int, int]) -> None:
    contact = asked[1]
    everyone = replace(drawn, work=[(c, c, NOW, NOW, NEVER) for c in range(CONTACTS)])
    told = everyone.ask([asked], [(0, c) for c in range(CONTACTS)])
    people = projected(drawn.memberships(), *asked)
    expected = reference_paths(people, contact)
    for other in range(CONTACTS):
        steps, strength = expected.get(other, (np.nan, 0.0))
        np.testing.assert_array_equal(told.distance[other], steps)
        np.testing.assert_allclose(told.strength[other], strength, rtol=1e-12)
    assert told.degree[0] == people.degree(contact)
    assert told.contacts[0] == len(people)


@given(drawing(), ask)
def test_diffusion_and_pagerank_go_where_networkx_goes(drawn: Drawing, asked: tuple[int, int, int, int]) -> None:
    account, contact = asked[:2]
    people = projected(drawn.memberships(), *asked)
    flat = ContactGraphs(drawn.memberships()).flat_of(np.array([account]))
    reach, walk = search(flat, asked)
    settled = walk.diffuse(reach.source, steps=120)
    contacts = ContactGraphs(drawn.memberships()).arrays(account).contacts  # one ask only, so its nodes start at 0
    for other in people:
        place = np.searchsorted(contacts, other)
        node = reach.source[0] if other == contact else place
        assert settled[node] == pytest.approx(reference_diffusion(people, other)[contact], abs=1e-9)
        # Six steps leave out at most what a walk has left after them.
        assert abs(reach.diffusion[node] - settled[node]) <= 0.8**6
    rank = nx.pagerank(people, 0.8, max_iter=2000, tol=1e-13)[contact] * len(people)
    assert reach.pagerank[0] == pytest.approx(rank, rel=0.8**6 * 2)
    if walk.pull[reach.source[0]] > 0:
        assert reach.pagerank[0] * settled.sum() / reach.diffusion.sum() == pytest.approx(rank, abs=1e-8)


def search(flat: object, asked: tuple[int, int, int, int]) -> tuple[Reached, Walk]:
    """One ask's search, and the steps that it went."""
    account, contact, solution, t = (np.array([value]) for value in asked)
    reach = Reached.of(flat, account, contact, solution, t)  # type: ignore[arg-type]
    nodes = len(reach.steps)
    walk, _ = Walk.of(flat, account, solution, t, reach.base, reach.source, nodes)  # type: ignore[arg-type]
    return reach, walk


@given(drawing())
def test_the_mean_pagerank_of_an_account_is_one(drawn: Drawing) -> None:
    # Each asks for a solution of his own, so that all asks see the same graph.
    plain = replace(drawn, facts=[f for f in drawn.facts if f[0] is not SOLUTION], arrivals=())
    graph = projected(plain.memberships(), 0, -9, 3, NOW)
    here = sorted(set(graph) - {-9})
    if here:
        told = plain.ask([(0, contact, 3, NOW) for contact in here])
        # Where nobody is stuck the mean is exact at any number of steps.
        if all(degree for node, degree in graph.degree() if node != -9):
            assert told.pagerank.mean() == pytest.approx(1.0)
        assert (told.pagerank > 0).all()


# Same bits, whatever is asked with it -------------------------------------------------------------------------------


def same(left: TieFeatures, right: TieFeatures) -> None:
    for one, other in zip(astuple(left), astuple(right), strict=True):
        assert one.tobytes() == other.tobytes()


@given(
    drawing(),
    st.lists(
        st.tuples(st.integers(-1, 1), st.integers(0, CONTACTS - 1), st.integers(-1, 2), instants),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_a_batch_is_its_single_answers_and_chunks_move_no_bit(
    drawn: Drawing, asks: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, len(asks) - 1), st.integers(0, REPS - 1)), max_size=12))
    whole = drawn.ask(asks, pairs)
    same(whole, drawn.ask(asks, pairs, chunk=1))
    same(whole, drawn.ask(asks, pairs, chunk=7))
    for row, one in enumerate(asks):
        mine = [at for at, pair in enumerate(pairs) if pair[0] == row]
        alone = drawn.ask([one], [(0, pairs[at][1]) for at in mine])
        for name, values in vars(alone).items():
            of_ask = name in ("degree", "pagerank", "interest_share", "colleagues_lately", "contacts")
            assert values.tobytes() == getattr(whole, name)[[row] if of_ask else mine].tobytes()


@given(drawing(), st.lists(fact(), max_size=6), st.data())
def test_nothing_dated_after_the_instant_moves_a_bit(
    drawn: Drawing, more: list[tuple[Hub, int, int, int, int]], data: st.DataObject
) -> None:
    asks = [(account, contact, 1, NOW) for account in (0, 1) for contact in range(CONTACTS)]
    pairs = [(row, rep) for row in range(len(asks)) for rep in range(REPS)]

    def until(value: int) -> int:
        return value if value <= NOW else data.draw(st.sampled_from([NOW + 1, NOW + 9, NEVER]))

    kept = [(k, h, c, since, until(end)) for k, h, c, since, end in drawn.facts if since <= NOW]
    later = [(k, h, c, since + NOW + 1, NEVER) for k, h, c, since, _ in more]
    other = replace(
        drawn,
        facts=data.draw(st.permutations(kept + later)),
        arrivals=[a for a in drawn.arrivals if a[3] <= NOW] + [(0, 1, NOW, NOW + 1)],
        work=[w for w in drawn.work if w[3] <= NOW] + [(1, 2, NOW + 3, NOW + 3, NEVER)],
        moves=[m for m in drawn.moves if m[1] <= NOW] + [(3, NOW + 1, 1)],
    )
    same(drawn.ask(asks, pairs), other.ask(asks, pairs))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 6))),
        max_size=14,
    )
)
def test_last_work_is_the_greatest_that_holds(rows: list[tuple[int, int, int, int | None]]) -> None:
    facts = [(k, at, at + lag, NEVER if length is None else at + lag + 1 + length) for k, at, lag, length in rows]
    key, at, since, until = np.array(facts, np.int64).reshape(-1, 4).T
    work = replace(spans((0, 0, s, u) for s, u in zip(since, until, strict=True)), at=at)
    log, values = last_instants(key, work, 3)
    for k in range(3):
        for t in range(25):
            start, stop = log.span(np.array([k]), np.array([t]))
            found = values[stop[0] - 1] if stop[0] > start[0] else NAT
            assert found == max([a for kk, a, s, u in facts if kk == k and s <= t < u], default=NAT)


# Bounds -------------------------------------------------------------------------------------------------------------


def test_ten_thousand_contacts_of_one_solution_stay_bounded() -> None:
    many = 10_000
    crowd = Drawing(
        [0] * many, [(SOLUTION, 0, c, 0) for c in range(many)], work=[(c % 8, c, T, T, NEVER) for c in range(many)]
    )
    ties = crowd.ties()
    pairs = np.arange(8)
    tracemalloc.start()
    told = ties.ask(*(np.array([v]) for v in (0, 0, 0, T)), np.zeros(8, np.int64), pairs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    assert ties.graphs.flat.edges == many  # a star, not the 50 million pairs of a clique
    assert told.degree[0] == many - 1
    np.testing.assert_array_equal(told.distance, [0, 1, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(told.near, np.full(8, many / 8))


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
def test_chunks_cover_all_and_hold_the_bound(cost: list[int], bound: int) -> None:
    pieces = list(chunks(np.array(cost, np.int64), bound))
    assert [low for low, _ in pieces] == [0, *(high for _, high in pieces)][: len(pieces)]
    assert sum(high - low for low, high in pieces) == len(cost)
    assert all(sum(cost[low:high]) <= bound or high == low + 1 for low, high in pieces)
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
