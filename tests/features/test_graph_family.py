"""The graph family from CRM tables to columns: which rows tie whom, since when, and that nothing later is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import families
from features.graph_family import GRAPH
from tests.features.small_crm import T, base, day, engine, micros, value

Rows = dict[str, list[dict[str, Any]]]
COLUMNS = families()["graph"]


def acme(**more: list[dict[str, Any]]) -> Rows:
    """The small CRM, with five contacts at Acme: C1 (of the lead), C2, C4, C5, C6."""
    rows = base()
    rows["contacts"] += [{"contact_id": f"C{i}", "account_id": "A1", "created_at": day(-1000)} for i in (4, 5, 6)]
    return rows | more


def touch(contact: str, when: float, rep: str = "R1", **more: Any) -> dict[str, Any]:
    return {
        "touch_id": f"{rep}{contact}{when}",
        "rep_id": rep,
        "contact_id": contact,
        "kind": "call",
        "occurred_at": day(when),
    } | more


def meeting(key: str, contact: str | None, starts: float, **more: Any) -> dict[str, Any]:
    return {
        "meeting_id": key, "rep_id": "R1", "account_id": "A1", "contact_id": contact, "starts_at": day(starts),
        "created_at": day(-50),
    } | more  # fmt: skip


def opportunity(opened: pd.Timestamp) -> dict[str, Any]:
    return {"opportunity_id": "O", "account_id": "A1", "rep_id": "R1", "contact_id": "C1", "opened_at": opened}


def asked(rows: Rows, rep: str = "R1", t: pd.Timestamp = T, lead: str = "L1") -> dict[str, float]:
    """Every column of the family."""
    matrix = engine(rows).matrix([lead], [rep], micros(t))
    return {name: float(matrix.column(name)[0]) for name in COLUMNS}


def test_a_line_a_meeting_and_an_opportunity_tie_the_lead_to_whom_the_rep_works() -> None:
    # C1 reports to C2, who met C4 (and R1), who is in an opportunity with C5, whom R2 touched 90 days ago.
    rows = acme(
        meetings=[meeting("M", "C2", -20)],
        meeting_contacts=[{"meeting_id": "M", "contact_id": "C4"}, {"meeting_id": "M", "contact_id": "C2"}],
        opportunities=[
            {"opportunity_id": "O", "account_id": "A1", "rep_id": "R2", "contact_id": "C4", "opened_at": day(-10)}
        ],
        opportunity_contacts=[{"opportunity_id": "O", "contact_id": "C5"}],
        touches=[touch("C6", -90, "R1")],
    )
    rows["contacts"][0]["reports_to"] = "C2"
    mine, hers = asked(rows, "R1"), asked(rows, "R2")
    assert (mine["tie_distance"], mine["worked_within_two"]) == (1, 2)  # C2 and C4; C6 is tied to nobody
    assert mine["tie_strength"] == 0.25  # a line of two weighs 0.5 / 2
    assert (hers["tie_distance"], hers["worked_within_two"]) == (2, 1)  # C4; C5 is three steps away
    assert hers["tie_strength"] == 0.25 * 0.5
    assert 0 < hers["tie_diffusion"] < mine["tie_diffusion"]
    assert (mine["contact_degree"], mine["account_interest_share"], mine["colleagues_lately"]) == (1, 0, 0)
    assert mine["account_contacts"] == np.float32(np.log1p(5))


def test_diffusion_halves_in_90_days() -> None:
    rows = acme(touches=[touch("C2", -90), touch("C2", 0, "R2")])
    rows["contacts"][1]["reports_to"] = "C1"
    # x = chance to be at the other of two who are tied: x = 0.8 (1 - x).
    assert asked(rows, "R2")["tie_diffusion"] == pytest.approx(4 / 9)
    assert asked(rows, "R1")["tie_diffusion"] == pytest.approx(2 / 9)
    assert asked(rows)["contact_pagerank"] == pytest.approx(
        # Three of five are stuck and start again anywhere: x = (0.2 + 0.8 * 3 x) / 5 each, and the two share the rest.
        5 * (1 - 3 * (0.2 / 5) / (1 - 0.8 * 3 / 5)) / 2
    )


def test_interest_is_an_activity_or_a_lead_for_the_solution() -> None:
    def lead(key: str, contact: str, solution: str, when: float) -> dict[str, Any]:
        return {"lead_id": key, "contact_id": contact, "solution": solution, "created_at": day(when)}

    def activity(key: str, contact: str, solution: str | None, when: float) -> dict[str, Any]:
        return {
            "activity_id": key,
            "contact_id": contact,
            "kind": "visit",
            "solution": solution,
            "occurred_at": day(when),
        }

    rows = acme(
        activities=[
            activity("1", "C2", "payments", -500),
            activity("2", "C6", None, -1),
            activity("3", "C5", "payments", 1),
        ]
    )
    rows["leads"] += [
        lead("L3", "C4", "payments", -89),
        lead("L4", "C5", "analytics", -1),
        lead("L5", "C4", "payments", -2),
    ]
    told = asked(rows)
    assert told["account_interest_share"] == 0.5  # C2 and C4 of four
    assert told["contact_degree"] == 2
    assert told["colleagues_lately"] == 1  # C4, twice
    assert asked(rows, t=day(2))["account_interest_share"] == 0.75
    assert asked(rows, t=day(2))["colleagues_lately"] == 1
    assert asked(rows, t=day(88.5))["colleagues_lately"] == 0


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        ({"touches": [touch("C1", 0)]}, True),
        ({"touches": [touch("C1", 0.001)]}, False),
        ({"touches": [touch("C1", -5, known_at=day(1))]}, False),
        ({"meetings": [meeting("M", "C1", 0)]}, True),
        ({"meetings": [meeting("M", "C1", 1)]}, False),
        ({"meetings": [meeting("M", "C1", -5, created_at=day(1))]}, False),
        ({"meetings": [meeting("M", "C1", -5, known_at=day(1))]}, False),
        ({"meetings": [meeting("M", "C1", -5, cancelled_at=day(-6))]}, False),
        ({"meetings": [meeting("M", "C1", -5, cancelled_at=day(-4))]}, False),
        ({"meetings": [meeting("M", "C1", -5, cancelled_at=day(1))]}, True),
        ({"meetings": [meeting("M", None, -5)]}, False),
        (
            {
                "meetings": [meeting("M", None, -5)],
                "meeting_contacts": [{"meeting_id": "M", "contact_id": "C1", "known_at": day(-1)}],
            },
            True,
        ),
        (
            {
                "meetings": [meeting("M", None, -5)],
                "meeting_contacts": [{"meeting_id": "M", "contact_id": "C1", "known_at": day(1)}],
            },
            False,
        ),
        ({"opportunities": [opportunity(day(-1))]}, True),
        ({"opportunities": [opportunity(T)]}, False),  # may be what came of the offer itself, so only strictly before
    ],
)  # fmt: skip
def test_what_counts_as_work_and_when_it_is_known(rows: Rows, known: bool) -> None:
    told = asked(acme(**rows))
    assert told["tie_distance"] == 0 if known else np.isnan(told["tie_distance"])
    assert told["worked_within_two"] == known
    assert asked(acme(**rows), "R2")["worked_within_two"] == 0


def test_without_touches_meetings_and_opportunities_ties_are_not_known() -> None:
    told = asked(acme())
    assert np.isnan(
        [told[name] for name in ("tie_distance", "tie_strength", "worked_within_two", "tie_diffusion")]
    ).all()
    told = asked(acme(touches=[]))
    assert np.isnan(told["tie_distance"])
    assert (told["tie_strength"], told["worked_within_two"], told["tie_diffusion"]) == (0, 0, 0)


def test_lines_and_accounts_are_followed_through_changes() -> None:
    def change(row: str, column: str, new: str, when: float, known: float) -> dict[str, Any]:
        return {
            "table_name": "contacts", "row_id": row, "column_name": column, "value": new, "valid_from": day(when),
            "known_at": day(known),
        }  # fmt: skip

    rows = acme(
        touches=[touch("C2", -30)],
        changes=[
            change("C1", "reports_to", "C2", -20, -20),
            change("C1", "reports_to", "C4", -10, -5),
            change("C4", "account_id", "A2", -3, 1),
        ],
    )
    degree = {when: asked(rows, t=day(when))["tie_distance"] for when in (-21, -20, -6, -5)}
    np.testing.assert_array_equal(list(degree.values()), [np.nan, 1, 1, np.nan])
    contacts = [asked(rows, t=day(when))["account_contacts"] for when in (0, 1)]
    np.testing.assert_allclose(np.expm1(contacts), [5, 4], rtol=1e-6)
    assert [asked(rows, t=day(when))["contact_degree"] for when in (0, 1)] == [1, 0]


def test_a_contact_is_there_once_he_is_known() -> None:
    rows = acme()
    rows["contacts"][1] |= {"created_at": day(-1), "known_at": day(1)}
    assert np.expm1(value(rows, "account_contacts")) == pytest.approx(4)
    assert np.expm1(value(rows, "account_contacts", t=day(1))) == pytest.approx(5)


def test_every_feature_says_what_it_is() -> None:
    for feature in GRAPH.features:
        assert feature.means.endswith(".")
        assert feature.unit
    assert [f.name for f in GRAPH.features if f.monotone == -1] == ["tie_distance"]
    assert [f.level for f in GRAPH.features] == ["lead"] * 5 + ["pair"] * 4


# Nothing from the future --------------------------------------------------------------------------------------------

CONTACTS = ("C1", "C2", "C4", "C5", "C6")
who = st.sampled_from(CONTACTS)
solution = st.sampled_from(("payments", "analytics", "zebra"))
past, future = st.integers(-120, 0), st.integers(1, 60)


@st.composite
def fact(draw: st.DrawFn, late: bool) -> tuple[str, dict[str, Any]]:
    """One row of some table: dated and known by T, or else dated or known after it."""
    event = draw(past)
    known = draw(future) if late else draw(st.one_of(st.none(), past))
    if late and draw(st.booleans()):
        event, known = draw(future), None
    seen = {"known_at": None if known is None else day(known)}
    key = f"{'z' if late else 'm'}{draw(st.integers(0, 10**6))}"
    at, contact, rep = day(event), draw(who), draw(st.sampled_from(("R1", "R2")))
    match draw(st.sampled_from(("touches", "activities", "leads", "meetings", "opportunities", "contacts", "changes"))):
        case "touches":
            row: dict[str, Any] = {
                "touch_id": key,
                "rep_id": rep,
                "contact_id": contact,
                "kind": "call",
                "occurred_at": at,
            }
            return "touches", row | seen
        case "activities":
            row = {
                "activity_id": key,
                "contact_id": contact,
                "kind": "visit",
                "solution": draw(solution),
                "occurred_at": at,
            }
            return "activities", row | seen
        case "leads":
            return "leads", {"lead_id": key, "contact_id": contact, "solution": draw(solution), "created_at": at} | seen
        case "meetings":
            # Booked in the past, it may still be held or cancelled in the future; both are unknown at T.
            row = {"meeting_id": key, "rep_id": rep, "account_id": "A1", "contact_id": contact, "starts_at": at}
            return "meetings", row | {"created_at": day(min(event, -1))} | seen
        case "opportunities":
            row = {"opportunity_id": key, "account_id": "A1", "rep_id": rep, "contact_id": contact, "opened_at": at}
            return "opportunities", row | seen
        case "contacts":
            # In code order a new contact may stand before, between or after those who are there.
            name = draw(st.sampled_from(("B", "C3x", "D"))) + key
            return "contacts", {
                "contact_id": name,
                "account_id": "A1",
                "reports_to": draw(who),
                "created_at": at,
            } | seen
        case _:
            column, new = draw(st.sampled_from((("account_id", "A2"), ("account_id", "A1"), ("reports_to", "C2"))))
            row = {"table_name": "contacts", "row_id": contact, "column_name": column, "value": new, "valid_from": at}
            return "changes", row | seen


def crm(facts: list[tuple[str, dict[str, Any]]]) -> Rows:
    """The small CRM and some facts; every table is there, so that none appears or goes with a fact."""
    rows = acme(touches=[], activities=[], meetings=[], opportunities=[], changes=[])
    # Keys are drawn at random: the first of two rows with one key stays.
    seen = set()
    for name, row in facts:
        key = (name, *list(row.values())[: 3 if name == "changes" else 1], row.get("valid_from"))
        if key not in seen:
            seen.add(key)
            rows[name] = [*rows[name], row]
    return rows


@settings(max_examples=30)
@given(st.lists(fact(late=False), max_size=12), st.lists(fact(late=True), min_size=1, max_size=6), st.data())
def test_no_fact_dated_or_known_after_the_instant_moves_a_bit(
    known: list[tuple[str, dict[str, Any]]], unknown: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    tables = crm(known)
    leads = [row["lead_id"] for row in tables["leads"] if row["created_at"] <= T]
    pairs = [(lead, rep) for lead in leads for rep in ("R1", "R2")]

    def answer(rows: Rows) -> bytes:
        matrix = engine(rows).matrix([lead for lead, _ in pairs], [rep for _, rep in pairs], micros(T))
        return b"".join(matrix.column(name).tobytes() for name in COLUMNS)

    before = answer(tables)
    assert answer(crm([*known, *unknown])) == before
    edited = [(name, row | {"known_at": day(data.draw(future))}) for name, row in unknown]
    cancelled = [
        (name, row | {"cancelled_at": day(data.draw(future))} if name == "meetings" else row) for name, row in known
    ]
    assert answer(crm([*cancelled, *edited[1:]])) == before


def test_a_batch_is_its_single_answers() -> None:
    rows = acme(
        touches=[touch("C2", -3), touch("C4", -30, "R2"), touch("C3", -1)],
        meetings=[meeting("M", "C2", -20)],
        meeting_contacts=[{"meeting_id": "M", "contact_id": "C1"}, {"meeting_id": "M", "contact_id": "C4"}],
    )
    made = engine(rows)
    leads, reps = ["L1", "L2", "L1", "L2", "L1"], ["R1", "R2", "R2", "R1", "R1"]
    instants = np.array([micros(day(d)) for d in (0, 0, 1, 5, 9)])
    batch = made.matrix(leads, reps, instants)
    for row, (lead, rep, t) in enumerate(zip(leads, reps, instants, strict=True)):
        alone = made.matrix([lead], [rep], int(t))
        for name in COLUMNS:
            assert alone.column(name).tobytes() == batch.column(name)[[row]].tobytes()
