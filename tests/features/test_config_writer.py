"""The configuration that `callsheet init` writes: always one that loads, and a market with someone in it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audit import Audit, audit
from features.book import Book
from features.config import Config, read_config
from features.config_writer import write_config
from features.snapshot import Snapshot
from tests.features.small_crm import T, base, day, micros, typed

Rows = dict[str, list[dict[str, Any]]]


def snapshot(rows: Rows) -> Snapshot:
    tables = {name: typed(name, table) for name, table in rows.items()}
    return Snapshot(tables, {}, T, "", (), {})


def begun(rows: Rows) -> tuple[str, Config, Audit]:
    """What is written of the rows, as it is read again, and whom it lets in."""
    crm = snapshot(rows)
    text = write_config(crm)
    config = read_config(text)
    return text, config, audit(Book(crm.tables, config, micros(T)), config)


def accounts(n: int, **columns: Any) -> list[dict[str, Any]]:
    """n accounts; a column is a value for all, or a function of the number."""
    return [
        {"account_id": f"A{i:03}", "name": "x", "created_at": day(-9)}
        | {key: value(i) if callable(value) else value for key, value in columns.items()}
        for i in range(n)
    ]


def crm(of: list[dict[str, Any]], titles: list[str | None]) -> Rows:
    contacts = [
        {
            "contact_id": f"C{i:03}",
            "account_id": account["account_id"],
            "title": titles[i % len(titles)],
            "created_at": day(-9),
        }
        for i, account in enumerate(of)
    ]
    leads = [
        {
            "lead_id": f"L{i}",
            "contact_id": c["contact_id"],
            "solution": ["payments", "no"][i % 2],
            "created_at": day(-2),
        }
        for i, c in enumerate(contacts)
    ]
    return base() | {"accounts": of, "contacts": contacts, "leads": leads}


def test_the_market_is_drawn_from_what_is_there() -> None:
    of = accounts(
        100, annual_revenue=lambda i: 1e6 * (i + 1), naics=lambda i: "0110" if i < 5 else "522110",
        country=lambda i: "NO" if i % 2 else "Germany", region=None, status=lambda i: "former" if i < 3 else "prospect",
    )  # fmt: skip
    text, config, found = begun(crm(of, ["CFO", "VP Finance", "Treasury Manager", "CIO", "Analyst"]))
    market = config.markets["main"]
    assert market.naics == ("522",)
    assert market.countries == ("DE", "NO")
    assert market.statuses == ("prospect",)
    assert market.solutions == ("no", "payments")
    assert market.revenue == (5e6, None)
    assert market.regions is None
    assert market.buyers is not None
    assert [buyer.functions for buyer in market.buyers] == [("Finance",), ("IT",)]
    assert "# naics found: 522 95; 011 5; missing in 0" in text
    assert "#   Finance: c_level 20, vp 20, director 0, manager 20" in text
    assert found.accounts_served == 95
    assert found.contacts_served == 76  # four of five titles buy


def test_those_who_bought_show_the_market() -> None:
    of = accounts(100, annual_revenue=lambda i: 1e6 if i < 60 else 1e9, naics=lambda i: "111" if i < 60 else "522")
    deals = [
        {"opportunity_id": f"O{i}", "account_id": f"A{i:03}", "rep_id": "R1", "opened_at": day(-5), "outcome": "won"}
        for i in range(60, 100)
    ]
    text, config, found = begun(crm(of, ["CFO"]) | {"opportunities": deals})
    assert "40 accounts that bought or accepted leads" in text
    assert config.markets["main"].naics == ("522",)
    assert found.accounts_served == 40


def test_a_rule_that_would_refuse_for_want_of_data_is_not_in_force() -> None:
    of = accounts(10, annual_revenue=lambda i: None if i < 5 else 1e6, country="NO")
    text, config, _ = begun(crm(of, [None]))
    assert config.markets["main"].revenue is None
    assert config.markets["main"].buyers is None
    assert "    # revenue: [1_000_000, null]" in text
    assert "    # buyers:" in text


def test_without_any_column_the_accounts_are_named() -> None:
    _, config, found = begun(crm(accounts(3), ["CFO"]))
    assert config.markets["main"].accounts.include == ("A000", "A001", "A002")
    assert found.accounts_served == 3


ODD = st.sampled_from(
    ["NO", "no", "null", "0110", "1e5", "a: b", "- x", '"', "# x", "é", "a\nb", "\x07", "[", " ", "DE", "~"]
)


@settings(max_examples=25)
@given(st.data())
def test_whatever_the_data_holds_what_is_written_is_read(data: st.DataObject) -> None:
    draw = data.draw
    of = accounts(
        draw(st.integers(1, 4)),
        annual_revenue=lambda i: draw(st.none() | st.floats(0, 1e13)),
        employees=lambda i: draw(st.none() | st.floats(0, 1e7)),
        naics=lambda i: draw(st.none() | ODD),
        country=lambda i: draw(st.none() | ODD),
        region=lambda i: draw(st.none() | ODD),
        status=lambda i: draw(st.sampled_from([None, "prospect", "former"])),
    )
    rows = crm(of, [draw(ODD)])
    rows["leads"] = [lead | {"solution": draw(ODD)} for lead in rows["leads"]]
    _, config, _ = begun(rows)
    assert list(config.markets) == ["main"]


def test_the_clock_of_the_snapshot_does_not_matter() -> None:
    crm_ = snapshot(crm(accounts(3, country="NO"), ["CFO"]))
    later = Snapshot(crm_.tables, {}, T + pd.Timedelta(days=9), "", (), {})
    assert write_config(crm_) == write_config(later)


def test_the_zone_in_which_bare_instants_were_read_is_written_down() -> None:
    text = write_config(snapshot(crm(accounts(3, annual_revenue=1e6), ["CFO"])), "Europe/Berlin")
    assert read_config(text).timezone == "Europe/Berlin"
