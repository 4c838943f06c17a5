"""Who may take which lead: each rule alone, and the order of the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.book import Book
from features.config import Config, read_config
from features.eligibility import RULES, objects, passes, refusals
from tests.features.small_crm import T, base, day, micros, typed

CONFIG = read_config("""
markets: {a: {revenue: [1, null], buyers: [{functions: [Finance], levels: [c_level]}]}}
reps: {roles: {channel: {statuses: [partner]}, enterprise: {segments: [large]}}}
""")
Rows = dict[str, list[dict[str, Any]]]


def crm(**tables: list[dict[str, Any]]) -> Rows:
    """One account, lead and rep that fit, and the rows given; those of entities are laid over the first row."""
    rows: Rows = base()
    rows["accounts"], rows["contacts"] = rows["accounts"][:1], rows["contacts"][:2]
    rows["leads"], rows["reps"] = rows["leads"][:1], rows["reps"][:1]
    for name, table in tables.items():
        rows[name] = [rows[name][0] | table[0], *table[1:]] if name in rows else table
    return rows


def book_of(rows: Rows, config: Config = CONFIG) -> Book:
    return Book({name: typed(name, table) for name, table in rows.items()}, config, micros(day(30)))


def rule(rows: Rows, t: pd.Timestamp = T, config: Config = CONFIG, **options: bool) -> str | None:
    """The rule that refuses (L1, R1) at t."""
    book = book_of(rows, config)
    one = np.zeros(1, np.int64)
    code = refusals(book, config, one, one, np.array([micros(t)]), **options)[0]
    return RULES[code - 1] if code else None


def offer(rep: str = "R1", at: float = -0.1, **more: Any) -> dict[str, Any]:
    return {"offer_id": f"O{rep}{at}", "lead_id": "L1", "rep_id": rep, "offered_at": day(at)} | more


def wish(subject: str, subject_id: str, which: str, **more: Any) -> dict[str, Any]:
    return {
        "preference_id": "P1", "rep_id": "R1", "since": day(-5), "subject": subject, "subject_id": subject_id,
        "rule": which,
    } | more  # fmt: skip


OTHER = {"rep_id": "R2", "name": "Bob", "role": "inside", "timezone": "UTC"}
AWAY = {"time_off_id": "F1", "rep_id": "R1"}
LEAD2 = {"lead_id": "L2", "contact_id": "C1", "solution": "payments", "created_at": day(-3)}

CASES: dict[str, tuple[Rows, str | None]] = {
    "fits": (crm(), None),
    "market": (crm(accounts=[{"annual_revenue": 0.0}]), "revenue"),
    "objects": (crm(contacts=[{"objects_to_profiling": True}]), "objects"),
    "does not object": (crm(contacts=[{"objects_to_profiling": False}]), None),
    "closed": (crm(leads=[{"status": "closed", "closed_at": day(-0.5)}]), "lead_closed"),
    "closed by status alone": (crm(leads=[{"status": "closed"}]), "lead_closed"),
    "closed later": (crm(leads=[{"status": "closed", "closed_at": day(1)}]), None),
    "taken": (crm(reps=[{}, OTHER], offers=[offer("R2")]), "lead_taken"),
    "taken and accepted": (
        crm(reps=[{}, OTHER], offers=[offer("R2", answer="accepted", answered_at=day(-0.05))]), "lead_taken",
    ),
    "not answered by another within the SLA": (crm(reps=[{}, OTHER], offers=[offer("R2", -5)]), None),
    "rejected by another": (
        crm(reps=[{}, OTHER], offers=[offer("R2", answer="rejected", answered_at=day(-0.05))]), None,
    ),
    "offered in the same instant": (crm(reps=[{}, OTHER], offers=[offer("R2", 0)]), None),
    "already offered": (crm(offers=[offer(answer="rejected", answered_at=day(-0.05))]), "already_offered"),
    "inactive": (crm(reps=[{"active_until": day(-1)}]), "inactive"),
    "inactive from now": (crm(reps=[{"active_until": T}]), "inactive"),
    "leaves later": (crm(reps=[{"active_until": day(1)}]), None),
    "not hired yet": (crm(reps=[{"hired_at": day(1)}]), "inactive"),
    "hired now": (crm(reps=[{"hired_at": T}]), None),
    "away": (crm(time_off=[AWAY | {"starts_at": day(-1), "ends_at": day(1)}]), "time_off"),
    "away from now": (crm(time_off=[AWAY | {"starts_at": T, "ends_at": day(1)}]), "time_off"),
    "back now": (crm(time_off=[AWAY | {"starts_at": day(-1), "ends_at": T}]), None),
    "away in an absence within another": (
        crm(
            time_off=[
                AWAY | {"starts_at": day(-9), "ends_at": day(9)},
                AWAY | {"time_off_id": "F2", "starts_at": day(-5), "ends_at": day(-4)},
            ]
        ),
        "time_off",
    ),
    "away, not known yet": (
        crm(time_off=[AWAY | {"starts_at": day(-1), "ends_at": day(1), "known_at": day(0.5)}]), None,
    ),
    "ldr": (crm(reps=[{"role": "ldr"}]), "role"),
    "bdr": (crm(reps=[{"role": "bdr"}]), "role"),
    "channel, a prospect": (crm(reps=[{"role": "channel"}], accounts=[{"status": "prospect"}]), "role"),
    "channel, a partner": (crm(reps=[{"role": "channel"}], accounts=[{"status": "partner"}]), None),
    "channel, status not known": (crm(reps=[{"role": "channel"}]), "role"),
    "enterprise, a small account": (crm(accounts=[{"segment": "small"}]), "role"),
    "inside, a small account": (crm(reps=[{"role": "inside"}], accounts=[{"segment": "small"}]), None),
    "out of territory": (crm(accounts=[{"region": "dach"}]), "territory"),
    "region not known": (crm(accounts=[{"region": None}]), "territory"),
    "no regions limit nothing": (crm(reps=[{"regions": None}], accounts=[{"region": None}]), None),
    "empty regions limit nothing": (crm(reps=[{"regions": " ; "}], accounts=[{"region": "dach"}]), None),
    "not the product": (crm(reps=[{"product_lines": "analytics"}]), "product_line"),
    "no product lines limit nothing": (crm(reps=[{"product_lines": None}]), None),
    "excluded account": (crm(preferences=[wish("account", "A1", "exclude")]), "exclusion"),
    "excluded contact": (crm(preferences=[wish("contact", "C1", "exclude")]), "exclusion"),
    "excluded solution": (
        crm(preferences=[wish("solution", "payments", "exclude")]), "exclusion",
    ),
    "another is excluded": (crm(preferences=[wish("contact", "C2", "exclude")]), None),
    "not excluded yet": (
        crm(preferences=[wish("account", "A1", "exclude", since=day(1))]), None,
    ),
    "not excluded any more": (
        crm(preferences=[wish("account", "A1", "exclude", until=T)]), None,
    ),
    "an include lifts territory": (
        crm(accounts=[{"region": "dach"}], preferences=[wish("account", "A1", "include")]),
        None,
    ),
    "an include lifts the product line": (
        crm(reps=[{"product_lines": "risk"}], preferences=[wish("contact", "C1", "include")]),
        None,
    ),
    "an include lifts nothing else": (
        crm(
            reps=[{"role": "channel"}], accounts=[{"region": "dach"}],
            preferences=[wish("account", "A1", "include")],
        ),
        "role",
    ),
    "exclude wins over include": (
        crm(
            preferences=[
                wish("account", "A1", "include"),
                wish("solution", "payments", "exclude") | {"preference_id": "P2"},
            ]
        ),
        "exclusion",
    ),
    "an include that has ended": (
        crm(
            accounts=[{"region": "dach"}],
            preferences=[wish("account", "A1", "include", until=day(-1))],
        ),
        "territory",
    ),
    "no capacity": (crm(reps=[{"weekly_capacity": 0.0}]), "capacity_full"),
    "no limit": (crm(reps=[{"weekly_capacity": None}]), None),
    "role stands before territory": (crm(reps=[{"role": "ldr"}], accounts=[{"region": "x"}]), "role"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_rule_refuses_alone(case: str) -> None:
    rows, expected = CASES[case]
    assert rule(rows) == expected


def full(**answer: Any) -> Rows:
    """A rep who takes one lead a week and was offered another one on this Monday's early morning."""
    held = offer(at=-0.2) | {"lead_id": "L2"} | answer
    return crm(reps=[{"weekly_capacity": 1.0}], leads=[{}, LEAD2], offers=[held])


def test_a_place_is_used_by_open_and_accepted_offers_of_the_week() -> None:
    assert rule(full()) == "capacity_full"
    assert rule(full(answer="accepted", answered_at=day(-0.1))) == "capacity_full"
    assert rule(full(answer="accepted", answered_at=day(1))) == "capacity_full"  # open until then
    for given_back in ("rejected", "expired", "withdrawn"):
        assert rule(full(answer=given_back, answered_at=day(-0.1))) is None
        assert rule(full(answer=given_back, answered_at=day(1))) == "capacity_full"
    assert rule(full(offered_at=day(-3))) is None  # last week's
    assert rule(full(), day(7)) is None  # a new week


def test_the_week_is_that_of_the_reps_zone() -> None:
    sunday = full(offered_at=pd.Timestamp("2026-03-01T23:30:00Z"))  # T is on Monday, 9:00 UTC
    assert rule(sunday) is None
    sunday["reps"][0]["timezone"] = "Europe/Berlin"  # there it was Monday already
    assert rule(sunday) == "capacity_full"


def test_a_rep_who_said_no_capacity_is_full_until_his_week_ends_whatever_his_capacity() -> None:
    said = full(answer="rejected", answered_at=day(0), reject_reason="no_capacity")
    said["reps"][0]["weekly_capacity"] = None
    monday = T.normalize() + pd.Timedelta(days=7)  # T is a Monday, and London on UTC
    assert rule(said, day(0)) is None  # what is said at t counts after t
    assert rule(said, day(0.1)) == rule(said, monday - pd.Timedelta("1us")) == "capacity_full"
    assert rule(said, monday) is None
    ends = passes(book_of(said), np.array([RULES.index("capacity_full") + 1], np.int8), *np.array([[0], [micros(T)]]))
    assert ends.tolist() == [micros(monday)]


def test_filters_can_be_switched_off() -> None:
    lax = read_config("markets: {a: {revenue: [1, null]}}\nreps: {territory: false, product_line: false}")
    assert rule(crm(accounts=[{"region": "dach"}], reps=[{"product_lines": "risk"}]), config=lax) is None


def test_with_unknown_allow_a_missing_region_or_status_passes() -> None:
    lenient = read_config(
        "markets: {a: {revenue: [1, null]}}\nunknown: allow\nreps: {roles: {channel: {statuses: [partner]}}}"
    )
    assert rule(crm(accounts=[{"region": None}], reps=[{"role": "channel"}]), config=lenient) is None
    assert rule(crm(accounts=[{"region": "dach"}], reps=[{"role": "channel"}]), config=lenient) == "territory"


def test_who_objects_to_profiling_may_be_placed_where_nothing_is_scored() -> None:
    rows = crm(contacts=[{"objects_to_profiling": True}])
    assert rule(rows) == "objects"
    assert rule(rows, profiling=False) is None
    assert objects(book_of(rows), np.zeros(1, np.int64)).tolist() == [True]


def test_columns_with_a_history_are_read_as_of_the_instant() -> None:
    def changed(table: str, row: str, column: str, value: str, at: float) -> Rows:
        row_ = {"table_name": table, "row_id": row, "column_name": column, "value": value, "valid_from": day(at)}
        return crm(changes=[row_])

    assert rule(changed("reps", "R1", "regions", "dach", -1)) == "territory"
    assert rule(changed("reps", "R1", "regions", "dach", 1)) is None
    assert rule(changed("reps", "R1", "role", "bdr", -1)) == "role"
    assert rule(changed("reps", "R1", "product_lines", "risk", -1)) == "product_line"
    assert rule(changed("reps", "R1", "weekly_capacity", "0", -1)) == "capacity_full"
    assert rule(changed("accounts", "A1", "segment", "small", -1)) == "role"
    assert rule(changed("leads", "L1", "status", "closed", -0.5)) == "lead_closed"


def test_the_rules_stand_in_the_order_of_the_design() -> None:
    assert " ".join(RULES) == (
        "revenue employees industry country region status account_excluded solution buyer objects lead_closed "
        "lead_taken already_offered inactive time_off role territory product_line exclusion capacity_full"
    )


def test_no_pairs_are_no_refusals() -> None:
    none = np.zeros(0, np.int64)
    assert refusals(book_of(crm()), CONFIG, none, none, none).tolist() == []
