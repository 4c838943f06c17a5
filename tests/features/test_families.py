"""Every feature of the families fit, rep, account, timing and behaviour, worked out by hand on a small CRM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.asof import MANY
from features.catalogue import FEATURES
from tests.features.small_crm import T, base, day, engine, micros, value, word

Rows = dict[str, list[dict[str, Any]]]


def crm(**more: list[dict[str, Any]]) -> Rows:
    return base() | more


def changed(table: str, key: str, **fields: Any) -> Rows:
    rows = base()
    id_column = f"{table[:-1]}_id"
    rows[table] = [row | fields if row[id_column] == key else row for row in rows[table]]
    return rows


MEETINGS = [
    {"meeting_id": "past", "rep_id": "R1", "account_id": "A1", "starts_at": day(-4), "created_at": day(-9)},
    {"meeting_id": "next", "rep_id": "R1", "account_id": "A1", "starts_at": day(6), "created_at": day(-1)},
    {"meeting_id": "late", "rep_id": "R1", "account_id": "A1", "starts_at": day(20), "created_at": day(-1)},
    {"meeting_id": "unbooked", "rep_id": "R1", "account_id": "A1", "starts_at": day(2), "created_at": day(1)},
    {
        "meeting_id": "called off", "rep_id": "R1", "account_id": "A1", "starts_at": day(1), "created_at": day(-9),
        "cancelled_at": day(-2),
    },
    {
        "meeting_id": "to be called off", "rep_id": "R2", "account_id": "A1", "starts_at": day(3),
        "created_at": day(-9), "cancelled_at": day(1),
    },
    {"meeting_id": "elsewhere", "rep_id": "R1", "account_id": "A2", "starts_at": day(1), "created_at": day(-9)},
]  # fmt: skip
TOUCHES = [
    {"touch_id": "1", "rep_id": "R1", "contact_id": "C1", "kind": "call", "occurred_at": day(-3)},
    {"touch_id": "2", "rep_id": "R1", "contact_id": "C2", "kind": "call", "occurred_at": day(-40)},
    {"touch_id": "3", "rep_id": "R1", "contact_id": "C3", "kind": "call", "occurred_at": day(-1)},
    {"touch_id": "4", "rep_id": "R1", "contact_id": "C1", "kind": "call", "occurred_at": day(-2), "known_at": day(2)},
]
ACTIVITIES = [
    {"activity_id": "1", "contact_id": "C1", "kind": "visit", "solution": "payments", "occurred_at": day(-10)},
    {"activity_id": "2", "contact_id": "C1", "kind": "visit", "solution": "analytics", "occurred_at": day(-20)},
    {"activity_id": "3", "contact_id": "C1", "kind": "visit", "occurred_at": day(-100)},
    {"activity_id": "4", "contact_id": "C2", "kind": "visit", "solution": "payments", "occurred_at": day(-5)},
    {"activity_id": "5", "contact_id": "C3", "kind": "visit", "solution": "payments", "occurred_at": day(-5)},
    {"activity_id": "6", "contact_id": "C1", "kind": "visit", "solution": "payments", "occurred_at": day(1)},
]


def opp(key: str, **more: Any) -> dict[str, Any]:
    return {"opportunity_id": key, "account_id": "A1", "rep_id": "R1", "opened_at": day(-100)} | more


OPPORTUNITIES = [
    opp("won", closed_at=day(-50), outcome="won", amount=1000.0),
    opp("lost", closed_at=day(-20), outcome="lost"),
    opp("open, mine", opened_at=day(-10)),
    opp("open, hers", rep_id="R2", opened_at=day(-10), expected_close=day(10)),
    opp("won later", closed_at=day(5), outcome="won"),
    opp("opened later", opened_at=day(1)),
    opp("opened with the offer", opened_at=T),
]
WEIGHTS = [
    {"table_name": "opportunities", "row_id": "open, hers", "column_name": c, "value": v, "valid_from": day(d)}
    for c, v, d in [
        ("forecast_weight", "0.2", -10), ("forecast_weight", "0.4", -5), ("forecast_weight", "0.9", 1),
        ("amount", "999", -10),
    ]
]  # fmt: skip


def offers() -> list[dict[str, Any]]:
    """Ten decided offers of R1 for other leads, six accepted, one of them converted; all older than a quarter."""
    rows = []
    for i in range(10):
        row: dict[str, Any] = {"offer_id": f"O{i}", "lead_id": f"old{i}", "rep_id": "R1", "offered_at": day(-120)}
        row |= {"answer": "accepted" if i < 6 else "rejected", "answered_at": day(-119)}
        rows.append(row | ({"converted_at": day(-100)} if i == 0 else {}))
    return rows


def with_offers() -> Rows:
    rows = crm(offers=offers())
    rows["leads"] += [
        {"lead_id": f"old{i}", "contact_id": "C1", "solution": "payments", "created_at": day(-121)} for i in range(10)
    ]
    return rows


OWNED = {"table_name": "accounts", "row_id": "A1", "column_name": "owner_rep_id", "value": "R2", "valid_from": day(-9)}
PROMOTED = {"table_name": "contacts", "row_id": "C1", "column_name": "title", "value": "CFO", "valid_from": day(1)}
ALL_ACCEPT = (6 + 50 * 0.3) / 60  # 10 decided offers against a prior of 50 at 0.3
ROLE_ACCEPT = (6 + 20 * ALL_ACCEPT) / 30
REP_ACCEPT = (6 + 20 * ROLE_ACCEPT) / 30
ALL_CONVERT = (1 + 50 * 0.05) / 60
ROLE_CONVERT = (1 + 60 * ALL_CONVERT) / 70
REP_CONVERT = (1 + 60 * ROLE_CONVERT) / 70

GOLDEN: list[tuple[str, Rows, float]] = [
    # fit
    ("revenue", crm(), 9.0),
    ("employees", crm(), 3.0),
    ("level", crm(), 5),  # CFO: the highest of six levels
    ("keywords", crm(), 0),
    ("keywords", changed("leads", "L1", contact_id="C2"), 1),  # Head of Treasury
    ("market_depth", crm(), 0),
    ("industry_depth", crm(), 3),
    ("industry_depth", changed("reps", "R1", industries="44"), 0),
    ("region_match", crm(), 1),
    ("region_match", changed("reps", "R1", regions="dach"), 0),
    ("region_match", changed("reps", "R1", regions=None), np.nan),
    ("country_match", crm(), 1),
    ("country_match", changed("reps", "R1", country="DE"), 0),
    ("segment_match", crm(), 1),
    ("segment_match", changed("reps", "R1", segment="small"), 0),
    ("product_line_match", crm(), 1),
    ("product_line_match", changed("leads", "L1", solution="cards"), 0),
    ("lines", crm(), 2),
    ("focus_match", crm(), np.nan),  # nothing tells yet whether Acme is a customer
    ("focus_match", changed("accounts", "A1", customer_since=day(-9)), 0),
    # rep
    ("tenure_days", crm(), 400),
    ("weekly_capacity", crm(), 5),
    ("load_share", crm(offers=[{"offer_id": "O", "lead_id": "L2", "rep_id": "R1", "offered_at": day(-0.1)}]), 0.2),
    ("load_share", crm(offers=[{"offer_id": "O", "lead_id": "L2", "rep_id": "R1", "offered_at": T}]), 0.0),
    ("offers_28d", with_offers(), 0),
    ("rep_accept_rate", with_offers(), REP_ACCEPT),
    ("rep_accept_rate_90d", with_offers(), REP_ACCEPT),
    ("rep_convert_rate", with_offers(), REP_CONVERT),
    ("role_accept_rate", with_offers(), ROLE_ACCEPT),
    ("role_convert_rate", with_offers(), ROLE_CONVERT),
    ("response_hours", with_offers(), 24),
    ("solution_accept_rate", with_offers(), ROLE_ACCEPT),  # the same ten offers, the same strength
    ("solution_convert_rate", with_offers(), ROLE_CONVERT),
    ("rep_solution_accept_rate", with_offers(), (6 + 15 * REP_ACCEPT) / 25),
    ("rep_solution_convert_rate", with_offers(), (1 + 60 * REP_CONVERT) / 70),
    ("rep_function_accept_rate", with_offers(), (6 + 15 * REP_ACCEPT) / 25),
    ("rep_sector_accept_rate", with_offers(), (6 + 15 * REP_ACCEPT) / 25),
    # account
    ("customer", crm(), np.nan),
    ("customer", changed("accounts", "A1", customer_since=day(-9)), 1),
    ("customer", changed("accounts", "A1", customer_since=day(9)), np.nan),
    ("customer_days", changed("accounts", "A1", customer_since=day(-9)), 9),
    ("open_opportunities", crm(opportunities=OPPORTUNITIES), 3),
    ("furthest_weight", crm(opportunities=OPPORTUNITIES, changes=WEIGHTS), 0.4),
    ("pipeline_quarter", crm(opportunities=OPPORTUNITIES, changes=WEIGHTS), np.log(1000)),
    ("quarter_left", crm(), (29 + 15 / 24) / 90),  # 2 March 09:00 to 1 April, of 90 days
    ("wins", crm(opportunities=OPPORTUNITIES), 1),
    ("losses", crm(opportunities=OPPORTUNITIES), 1),
    ("days_since_win", crm(opportunities=OPPORTUNITIES), 50),
    ("churn_risk", changed("accounts", "A1", churn_risk=0.5), np.nan),  # outcomes move it, and nothing dates it
    ("churn_risk", changed("accounts", "A1", churn_risk=0.5, known_at=day(-1)), 0.5),
    ("churn_risk", changed("accounts", "A1", churn_risk=0.5, known_at=day(1)), np.nan),
    ("parent_customer", crm(), np.nan),
    ("parent_customer", changed("accounts", "A1", parent_account_id="A2"), np.nan),
    ("owner_known", crm(), np.nan),  # nothing tells who owned it then
    ("owner_known", crm(changes=[OWNED]), 1),
    ("owner_known", crm(changes=[OWNED | {"valid_from": day(1)}]), np.nan),
    ("level", changed("contacts", "C1", title="CFO") | {"changes": [PROMOTED]}, np.nan),  # what was he before?
    ("level", changed("contacts", "C1", title="Clerk") | {"changes": [PROMOTED]}, 0),
    ("owner_known", changed("accounts", "A1", owner_rep_id="R1", known_at=day(-1)), 1),
    ("owner_is_rep", changed("accounts", "A1", owner_rep_id="R1", known_at=day(-1)), 1),
    ("owner_is_rep", changed("accounts", "A1", owner_rep_id="R2", known_at=day(-1)), 0),
    ("owner_is_rep", changed("accounts", "A1", owner_rep_id="R1"), np.nan),
    ("open_opportunities_own", crm(opportunities=OPPORTUNITIES), 2),
    ("wins_own", crm(opportunities=OPPORTUNITIES), 1),
    ("losses_own", crm(opportunities=OPPORTUNITIES), 1),
    ("accepted_here", with_offers(), 6),
    ("declined_here", with_offers(), 4),
    # timing
    ("meeting_14d", crm(meetings=MEETINGS), 1),
    ("meeting_28d", crm(meetings=MEETINGS), 1),
    ("days_to_meeting", crm(meetings=MEETINGS), 6),
    ("days_since_meeting", crm(meetings=MEETINGS), 4),
    ("touches_30d", crm(touches=TOUCHES), 1),
    ("days_since_touch", crm(touches=TOUCHES), 3),
    # behaviour
    ("contact_recency", crm(activities=ACTIVITIES), 170),
    ("contact_activities", crm(activities=ACTIVITIES), 2),
    ("account_activities", crm(activities=ACTIVITIES), np.log(4)),
    ("contact_interest", crm(activities=ACTIVITIES), 1),
    ("account_interest", crm(activities=ACTIVITIES), np.log(3)),
    ("behavior_score", changed("leads", "L1", behavior_score=42.0), 42),
    ("grade", changed("leads", "L1", grade="B+"), 4 + 1 / 3),
    ("fields_filled", changed("leads", "L1", fields_filled=7.0), 7),
    ("bant_budget", changed("leads", "L1", budget="50k"), 1),
    ("bant_authority", changed("leads", "L1", authority="no"), 0),
    ("bant_need", crm(), np.nan),
    ("bant_timeline", changed("leads", "L1", timeline="this quarter"), 1),
    ("prequalified", changed("leads", "L1", qualified_at=day(-0.5)), 1),
    ("prequalified", changed("leads", "L1", qualified_at=day(0.5)), 0),
]

WORDS: list[tuple[str, Rows, str | None]] = [
    ("solution", crm(), "payments"),
    ("function", crm(), "Finance"),
    ("sector", crm(), "naics 52"),
    ("account_segment", crm(), "large"),
    ("region", crm(), "uk"),
    ("rep_id", crm(), "R1"),
    ("role", crm(), "enterprise"),
    ("rep_segment", crm(), "large"),
    ("focus", crm(), "new"),
    ("account_status", changed("accounts", "A1", status="customer"), None),
    ("account_status", changed("accounts", "A1", status="customer", known_at=day(-1)), "customer"),
    ("source", changed("leads", "L1", source="webinar"), "webinar"),
]


@pytest.mark.parametrize(
    ("feature", "rows", "expected"), GOLDEN, ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(GOLDEN)]
)
def test_a_feature_worked_out_by_hand(feature: str, rows: Rows, expected: float) -> None:
    np.testing.assert_allclose(value(rows, feature), expected, rtol=1e-6)


@pytest.mark.parametrize(("feature", "rows", "expected"), WORDS)
def test_a_category_worked_out_by_hand(feature: str, rows: Rows, expected: str | None) -> None:
    assert word(rows, feature) == expected


def test_every_feature_has_a_case_worked_out_by_hand() -> None:
    worked = {feature for feature, _, _ in GOLDEN} | {feature for feature, _, _ in WORDS}
    assert {f.name for f in FEATURES if f.family != "graph"} == worked


@pytest.mark.parametrize("feature", [f for f in FEATURES if f.tables], ids=lambda f: f.name)
def test_what_no_table_tells_is_missing_and_never_zero(feature: Any) -> None:
    made = engine(base(), columns={})
    assert np.isnan(made.matrix(["L1"], ["R1"], micros(T)).column(feature.name)[0])


def test_a_meeting_cancelled_after_the_instant_still_counts_at_it() -> None:
    assert value(crm(meetings=MEETINGS), "days_to_meeting", rep="R2") == 3


def test_a_value_that_no_vocabulary_holds_is_missing() -> None:
    from features.engine import Engine
    from features.matrix import Vocabulary

    made = engine(crm())
    other = Vocabulary(made.vocabulary.values | {"rep_id": ("R0", "R2"), "region": ("uk",)})
    matrix = Engine(made.book, made.config, other).matrix(["L1", "L1", "L2"], ["R1", "R2", "R1"], micros(T))
    np.testing.assert_array_equal(matrix.column("rep_id"), np.float32([np.nan, 1, np.nan]))
    np.testing.assert_array_equal(matrix.column("region"), np.float32([0, 0, np.nan]))


def test_windows_count_what_happened_in_them_however_late_it_was_known() -> None:
    old = {"activity_id": "9", "contact_id": "C1", "kind": "visit", "occurred_at": day(-400), "known_at": day(-2)}
    late = {"activity_id": "8", "contact_id": "C1", "kind": "visit", "occurred_at": day(-80), "known_at": day(-2)}
    rows = crm(activities=[*ACTIVITIES, old, late])
    assert value(rows, "contact_activities") == 3
    assert value(rows, "contact_activities", t=day(11)) == 3  # the late one is 91 days old; the one of T + 1 has come


@pytest.mark.parametrize("absent", ["activities", "opportunities", "meetings", "touches", "offers", "changes"])
def test_many_pairs_are_answered_without_any_optional_table(absent: str) -> None:
    rows = crm(activities=ACTIVITIES, opportunities=OPPORTUNITIES, meetings=MEETINGS, touches=TOUCHES)
    rows.pop(absent, None)
    many = MANY + 1
    values = engine(rows).matrix(["L1"] * many, ["R1"] * many, micros(T) - np.arange(many)).values
    one = engine(rows).matrix(["L1"], ["R1"], micros(T)).values
    assert values[0].tobytes() == one[0].tobytes()
