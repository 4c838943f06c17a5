"""The served market: each rule alone, their order, several markets, and what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.book import Book
from features.config import Config, read_config
from features.market import MARKET_RULES, NO_MARKET, ServedMarket
from tests.features.small_crm import T, base, day, micros, typed

BANKS = """
markets:
  banks:
    revenue: [100, 1_000]
    employees: [10, 100]
    naics: ["522", "5239"]
    sic: ["602"]
    countries: [GB]
    regions: [uk]
    statuses: [prospect, customer]
    accounts: {include: [named], exclude: [out]}
    solutions: [payments, analytics]
    buyers:
      - {functions: [Finance], levels: [c_level, vp], keywords: [treasury], solutions: [payments]}
      - {functions: [IT], levels: [c_level]}
"""
IN = {
    "annual_revenue": 500.0, "employees": 50.0, "naics": "522110", "sic": None, "country": "GB", "region": "uk",
    "status": "prospect", "account_id": "A1", "solution": "payments", "title": "CFO",
}  # fmt: skip


def lead(config: Config, *, changes: tuple[dict[str, Any], ...] = (), **facts: Any) -> tuple[str | None, str | None]:
    """The rule that refuses a lead that is inside but for the facts given, and the market that lets it in."""
    facts = IN | facts
    rows = base()
    account = {"name": "x", "created_at": day(-9)} | {
        k: v for k, v in facts.items() if k not in ("solution", "title", "function", "seniority")
    }
    contact = {"contact_id": "C1", "account_id": account["account_id"], "created_at": day(-9)}
    contact |= {k: facts.get(k) for k in ("title", "function", "seniority")}
    rows |= {
        "accounts": [account],
        "contacts": [contact],
        "leads": [{"lead_id": "L1", "contact_id": "C1", "solution": facts["solution"], "created_at": day(-1)}],
        "changes": list(changes),
    }
    book = Book({name: typed(name, table) for name, table in rows.items()}, config, micros(T))
    served = ServedMarket(book, config)
    rule, market = served.judge(np.array([0]), np.array([micros(T)]))
    return (
        MARKET_RULES[rule[0] - 1] if rule[0] else None,
        None if market[0] == NO_MARKET else served.names[market[0]],
    )


CASES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"annual_revenue": 100.0}, None),
    ({"annual_revenue": 1000.0}, None),
    ({"annual_revenue": 99.0}, "revenue"),
    ({"annual_revenue": 1001.0}, "revenue"),
    ({"annual_revenue": None}, "revenue"),
    ({"employees": 9.0}, "employees"),
    ({"employees": None}, "employees"),
    ({"naics": "52391"}, None),
    ({"naics": "5221"}, None),
    ({"naics": "52"}, "industry"),  # a code shorter than the prefix does not lie in it
    ({"naics": "0522"}, "industry"),
    ({"naics": None}, "industry"),
    ({"naics": "111", "sic": "6021"}, None),  # any of the three lets it in
    ({"naics": "111", "sic": "0110"}, "industry"),
    ({"naics": "111", "account_id": "named"}, None),
    ({"account_id": "out"}, "account_excluded"),
    ({"account_id": "out", "status": "former"}, "status"),  # the first in order names it
    ({"country": "US"}, "country"),
    ({"country": "gb"}, None),
    ({"country": "United Kingdom"}, None),
    ({"country": "GBR"}, None),
    ({"country": None}, "country"),
    ({"country": "Atlantis"}, "country"),
    ({"region": "UK "}, None),
    ({"region": "dach"}, "region"),
    ({"region": None}, "region"),
    ({"status": "partner"}, "status"),
    ({"status": None}, "status"),
    ({"solution": "risk"}, "solution"),
    ({"title": "VP Finance"}, None),
    ({"title": "Treasury Analyst"}, None),  # a keyword stands for the level
    ({"title": "Finance Manager"}, "buyer"),
    ({"title": "CFO", "solution": "analytics"}, "buyer"),  # Finance buys payments alone
    ({"title": "CIO", "solution": "analytics"}, None),
    ({"title": "Assistant to the CFO"}, "buyer"),
    ({"title": "CEO"}, "buyer"),
    ({"title": "VP Finance & IT", "solution": "analytics"}, "buyer"),  # IT buys from the c_level only
    ({"title": "Finance"}, "buyer"),
    ({"title": None}, "buyer"),
    ({"title": None, "function": "Finance", "seniority": "VP"}, None),
    ({"title": "CFO", "function": "Marketing"}, "buyer"),  # what the CRM says goes before the title
    ({"annual_revenue": 1.0, "employees": 1.0, "title": None}, "revenue"),
]


@pytest.mark.parametrize(("facts", "rule"), CASES, ids=[str(facts) for facts, _ in CASES])
def test_each_rule_refuses_alone(facts: dict[str, Any], rule: str | None) -> None:
    assert lead(read_config(BANKS), **facts) == (rule, None if rule else "banks")


ALLOWED = [
    ({"annual_revenue": None, "employees": None, "naics": None, "country": None, "region": None, "status": None}, None),
    ({"title": None}, None),
    ({"title": "Finance"}, None),  # a level that can't be read
    ({"title": "VP"}, None),
    ({"title": "Finance Manager"}, "buyer"),  # read, and too low
    ({"title": "VP Marketing"}, "buyer"),
    ({"annual_revenue": 5.0}, "revenue"),
    ({"naics": None, "sic": "0110"}, "industry"),  # one code is known, and is out
]


@pytest.mark.parametrize(("facts", "rule"), ALLOWED, ids=[str(facts) for facts, _ in ALLOWED])
def test_with_unknown_allow_only_what_is_known_refuses(facts: dict[str, Any], rule: str | None) -> None:
    assert lead(read_config(BANKS + "unknown: allow"), **facts)[0] == rule


SEVERAL = """
markets:
  small: {revenue: [0, 100], countries: [GB]}
  named: {accounts: {include: [named]}}
  large: {revenue: [50, null], countries: [GB, DE]}
"""


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"annual_revenue": 10.0}, (None, "small")),
        ({"annual_revenue": 70.0}, (None, "small")),  # both match: the first counts
        ({"annual_revenue": 70.0, "country": "DE"}, (None, "large")),
        ({"annual_revenue": 10.0, "country": "FR", "account_id": "named"}, (None, "named")),
        ({"annual_revenue": 70.0, "country": "FR"}, ("country", None)),  # small got further than named
        ({"annual_revenue": None, "country": "GB"}, ("industry", None)),  # named got furthest
    ],
)
def test_several_markets(facts: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    assert lead(read_config(SEVERAL), **facts) == expected


def test_a_column_with_a_history_is_read_as_of_the_instant() -> None:
    change = {"table_name": "accounts", "row_id": "A1", "column_name": "annual_revenue", "value": "5"}
    config = read_config(BANKS)
    assert lead(config, changes=({**change, "valid_from": day(-1)},)) == ("revenue", None)
    assert lead(config, changes=({**change, "valid_from": day(1)},)) == (None, "banks")
    assert lead(config, changes=({**change, "valid_from": day(-2), "known_at": day(1)},)) == (None, "banks")


def test_buyers_without_levels_or_functions() -> None:
    any_title = "markets: {a: {countries: [GB], buyers: [{functions: [IT]}]}}"
    assert lead(read_config(any_title), title="IT Analyst")[0] is None
    assert lead(read_config(any_title), title="IT")[0] is None
    any_function = "markets: {a: {countries: [GB], buyers: [{levels: [vp]}]}}"
    assert lead(read_config(any_function), title="VP")[0] is None
    assert lead(read_config(any_function), title="VP Sales")[0] is None
    assert lead(read_config("markets: {a: {countries: [GB]}}"), title=None)[0] is None
