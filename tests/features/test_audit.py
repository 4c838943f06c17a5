"""The audit of the served market, counted by hand."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from features.audit import Audit, audit
from features.book import Book
from features.config import read_config
from tests.features.small_crm import base, day, micros, typed

CONFIG = read_config("""
markets:
  banks:
    revenue: [100, null]
    naics: ["522"]
    accounts: {exclude: [A4]}
    buyers:
      - {functions: [Finance], levels: [c_level]}
      - {functions: [IT], levels: [c_level], keywords: [architect]}
  named: {accounts: {include: [A3]}}
""")


def account(number: int, revenue: float | None, naics: str | None, **more: Any) -> dict[str, Any]:
    return {
        "account_id": f"A{number}", "name": f"n{number}", "annual_revenue": revenue, "naics": naics,
        "created_at": day(-9),
    } | more  # fmt: skip


def contact(number: int, of: str, title: str, **more: Any) -> dict[str, Any]:
    return {"contact_id": f"C{number}", "account_id": of, "title": title, "created_at": day(-9)} | more


ROWS = base() | {
    "accounts": [
        account(1, 500.0, "522110"),
        account(2, 500.0, "522110"),
        account(3, 500.0, "111"),
        account(4, 500.0, "522110"),
        account(5, None, "522110"),
        account(6, 500.0, "522110", created_at=day(2)),
    ],
    "contacts": [
        contact(1, "A1", "CFO"),
        contact(2, "A1", "CFO", objects_to_profiling=True),
        contact(3, "A1", "Finance Manager"),
        contact(4, "A2", "IT Architect"),
        contact(5, "A3", "CFO"),
        contact(6, "A5", "CIO"),
        contact(7, "A6", "CFO", created_at=day(2)),
    ],
    "leads": [],
}


def done(at: float | None = 0) -> Audit:
    book = Book({name: typed(name, rows) for name, rows in ROWS.items()}, CONFIG, micros(day(3)))
    return audit(book, CONFIG, None if at is None else micros(day(at)))


def test_the_funnel_counts_each_rule_alone_and_after_those_before_it() -> None:
    assert [astuple(step) for step in done().steps] == [
        ("banks", "all", 5, 5, 6, 6),
        ("banks", "revenue", 4, 4, None, 5),  # A5's is not known
        ("banks", "industry", 4, 3, None, 4),  # not A3
        ("banks", "account_excluded", 4, 2, None, 4),  # not A4
        ("banks", "buyer", None, 2, 5, 3),  # all but the manager; left are A1's CFOs and A2's architect
        ("banks", "objects", None, 2, 5, 2),
        ("named", "all", 5, 5, 6, 6),
        ("named", "industry", 1, 1, None, 1),
        ("named", "objects", None, 1, 5, 1),
    ]


def test_the_contacts_to_obtain() -> None:
    found = done()
    assert [(gap.market, gap.account_id, gap.name, gap.buyer, gap.contacts) for gap in found.gaps] == [
        ("banks", "A1", "n1", "IT: c_level or architect", 3),
        ("banks", "A2", "n2", "Finance: c_level", 1),
    ]
    assert [astuple(row) for row in found.coverage] == [
        ("banks", "Finance: c_level", 2, 1, 1),
        ("banks", "IT: c_level or architect", 2, 1, 1),
    ]


def test_who_is_served_in_any_market() -> None:
    found = done()
    assert (found.accounts, found.contacts) == (5, 6)
    assert (found.accounts_served, found.contacts_served) == (3, 3)  # A1, A2, A3; C1, C4, C5


def test_what_is_born_later_counts_later() -> None:
    assert done(None).accounts == 6
    assert done(None).accounts_served == 4
