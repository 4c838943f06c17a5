"""The wall on CRMs at random: it says what a reader of the rows says, and no behaviour buys a way in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from features.book import Book
from features.config import Config, read_config
from features.eligibility import RULES, refusals
from tests.features.small_crm import day, micros, typed

CONFIG = read_config("""
markets: {a: {revenue: [1, null], buyers: [{functions: [Finance], levels: [c_level]}]}}
reps: {roles: {channel: {statuses: [partner]}}}
sla: {accept: 900d}
""")
Rows = dict[str, list[dict[str, Any]]]


def book_of(rows: Rows, config: Config = CONFIG) -> Book:
    return Book({name: typed(name, table) for name, table in rows.items()}, config, micros(day(30)))


MAYBE = st.sampled_from([None, "uk", "dach"])
SOLUTION = st.sampled_from(["payments", "analytics"])
INSTANT = st.integers(-20, 20).map(lambda n: day(n / 4))


@st.composite
def crms(draw: st.DrawFn) -> Rows:
    """Small CRMs at random, so that most pairs are refused by something and some by nothing."""
    accounts = [
        {
            "account_id": f"A{i}", "name": "x", "created_at": day(-90),
            "annual_revenue": draw(st.sampled_from([0.5, 5.0, None])),
            "region": draw(MAYBE), "status": draw(st.sampled_from([None, "partner"])),
            "segment": draw(st.sampled_from([None, "large"])),
        }
        for i in range(2)
    ]  # fmt: skip
    contacts = [
        {
            "contact_id": f"C{i}", "account_id": f"A{i % 2}", "created_at": day(-90),
            "title": draw(st.sampled_from(["CFO", "CFO", "CIO", None])),
            "objects_to_profiling": draw(st.sampled_from([None, False, True])),
        }
        for i in range(3)
    ]  # fmt: skip
    leads = [
        {
            "lead_id": f"L{i}", "contact_id": f"C{i}", "solution": draw(SOLUTION), "created_at": day(-30),
            "closed_at": draw(st.none() | INSTANT),
        }
        for i in range(3)
    ]  # fmt: skip
    reps = [
        {
            "rep_id": f"R{i}", "name": "x", "role": draw(st.sampled_from(["inside", "inside", "channel", "bdr"])),
            "regions": draw(st.sampled_from([None, "uk", "uk;dach"])),
            "product_lines": draw(st.sampled_from([None, "payments"])), "hired_at": draw(st.none() | INSTANT),
            "active_until": draw(st.none() | INSTANT), "weekly_capacity": draw(st.sampled_from([None, 1.0, 2.0])),
            "timezone": draw(st.sampled_from(["UTC", "Asia/Tokyo"])),
        }
        for i in range(3)
    ]  # fmt: skip
    pick = st.integers(0, 2)
    offers = [
        {
            "offer_id": f"O{lead}{rep}", "lead_id": f"L{lead}", "rep_id": f"R{rep}", "offered_at": draw(INSTANT),
            "answer": draw(st.sampled_from([None, "accepted", "rejected"])), "answered_at": day(4),
        }
        for lead, rep in draw(st.sets(st.tuples(pick, pick), max_size=4))
    ]  # fmt: skip
    wishes = [
        {
            "preference_id": f"P{n}", "rep_id": f"R{draw(pick)}", "subject": "account", "subject_id": f"A{n % 2}",
            "rule": draw(st.sampled_from(["include", "exclude"])), "since": draw(INSTANT),
            "until": draw(st.none() | INSTANT),
        }
        for n in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    away = [
        {"time_off_id": f"F{n}", "rep_id": f"R{draw(pick)}", "starts_at": draw(INSTANT), "ends_at": draw(INSTANT)}
        for n in range(draw(st.integers(0, 3)))
    ]
    return {
        "accounts": accounts, "contacts": contacts, "leads": leads, "reps": reps, "offers": offers,
        "preferences": wishes, "time_off": away,
    }  # fmt: skip


def by_hand(rows: Rows, lead: dict[str, Any], rep: dict[str, Any], t: pd.Timestamp) -> str | None:
    """The first rule that refuses, row by row."""
    contact = next(c for c in rows["contacts"] if c["contact_id"] == lead["contact_id"])
    account = next(a for a in rows["accounts"] if a["account_id"] == contact["account_id"])

    until = {each["rep_id"]: each["active_until"] for each in rows["reps"]}

    def holds(offer: dict[str, Any]) -> bool:
        if offer["answer"] is not None and offer["answered_at"] < t:
            return offer["offered_at"] < t and bool(offer["answer"] == "accepted")
        left = until[offer["rep_id"]]  # nobody waits for the answer of a rep who has left
        return offer["offered_at"] < t and (left is None or max(left, offer["offered_at"]) >= t)

    def week(at: pd.Timestamp) -> Any:
        return at.tz_convert(rep["timezone"]).isocalendar()[:2]

    def there(hour: pd.Timestamp) -> bool:
        if hour < (rep["hired_at"] or hour) or (rep["active_until"] or day(99)) <= hour:
            return False
        away = [f for f in rows["time_off"] if f["rep_id"] == rep["rep_id"]]
        return not any(f["starts_at"] <= hour < f["ends_at"] for f in away)

    def room() -> float:
        monday = t.tz_convert(rep["timezone"]).normalize() - pd.Timedelta(days=t.tz_convert(rep["timezone"]).weekday())
        working = [monday + pd.Timedelta(days=d, hours=h) for d in range(5) for h in range(9, 17)]
        return math.ceil(rep["weekly_capacity"] * sum(map(there, working)) / 40)

    def wished(which: str) -> bool:
        return any(
            w["rep_id"] == rep["rep_id"] and w["subject_id"] == account["account_id"] and w["rule"] == which
            and w["since"] <= t and (w["until"] is None or w["until"] > t)
            for w in rows["preferences"]
        )  # fmt: skip

    offers = rows["offers"]
    mine = [o for o in offers if o["rep_id"] == rep["rep_id"]]
    lifted = wished("include")
    named = {
        "revenue": (account["annual_revenue"] or 0) < 1,
        "buyer": contact["title"] != "CFO",
        "objects": contact["objects_to_profiling"],
        "lead_closed": lead["closed_at"] is not None and lead["closed_at"] <= t,
        "lead_taken": any(o["lead_id"] == lead["lead_id"] and holds(o) for o in offers),
        "already_offered": any(o["lead_id"] == lead["lead_id"] and o["offered_at"] < t for o in mine),
        "inactive": (rep["hired_at"] or t) > t or (rep["active_until"] or day(99)) <= t,
        "time_off": any(f["rep_id"] == rep["rep_id"] and f["starts_at"] <= t < f["ends_at"] for f in rows["time_off"]),
        "role": rep["role"] == "bdr" or (rep["role"] == "channel" and account["status"] != "partner"),
        "territory": rep["regions"] and account["region"] not in rep["regions"].split(";") and not lifted,
        "product_line": rep["product_lines"] and lead["solution"] != rep["product_lines"] and not lifted,
        "exclusion": wished("exclude"),
        "capacity_full": rep["weekly_capacity"] is not None
        and sum(holds(o) and week(o["offered_at"]) == week(t) for o in mine) >= room(),
    }
    return next((rule for rule in RULES if named.get(rule)), None)


def pairs(n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(n), n), np.tile(np.arange(n), n)


@settings(max_examples=40)
@given(crms(), INSTANT)
def test_a_pair_is_refused_by_the_rule_that_a_reader_of_the_rows_names(rows: Rows, t: pd.Timestamp) -> None:
    lead, rep = pairs()
    found = refusals(book_of(rows), CONFIG, lead, rep, np.full(9, micros(t)))
    expected = [by_hand(rows, rows["leads"][i], rows["reps"][j], t) for i, j in zip(lead, rep, strict=True)]
    assert [RULES[code - 1] if code else None for code in found] == expected


@settings(max_examples=15)
@given(crms(), st.lists(INSTANT, min_size=9, max_size=9))
def test_a_batch_is_its_single_answers(rows: Rows, instants: list[pd.Timestamp]) -> None:
    book, (lead, rep) = book_of(rows), pairs()
    t = np.array([micros(at) for at in instants])
    together = refusals(book, CONFIG, lead, rep, t)
    alone = [refusals(book, CONFIG, lead[i : i + 1], rep[i : i + 1], t[i : i + 1])[0] for i in range(9)]
    assert together.tolist() == alone


@settings(max_examples=15)
@given(crms(), INSTANT, st.floats(0, 1e6), st.sampled_from("ABC"), st.integers(0, 30))
def test_no_behaviour_buys_a_way_in(rows: Rows, t: pd.Timestamp, score: float, grade: str, fields: int) -> None:
    loud = {"behavior_score": score, "grade": grade, "fields_filled": float(fields)} | dict.fromkeys(
        ("budget", "authority", "need", "timeline"), "yes"
    )
    activities = [
        {
            "activity_id": f"V{n}",
            "contact_id": f"C{n % 3}",
            "kind": "webinar",
            "solution": "payments",
            "occurred_at": day(-n),
        }
        for n in range(fields)
    ]
    raised = rows | {"leads": [lead | loud for lead in rows["leads"]], "activities": activities}
    lead, rep = pairs()
    at = np.full(9, micros(t))
    assert (refusals(book_of(rows), CONFIG, lead, rep, at) == refusals(book_of(raised), CONFIG, lead, rep, at)).all()
