"""The example's mapping over hand-made files in the layout of the sales export that it is for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.config import load_config
from features.snapshot import Snapshot, read_snapshot

EXAMPLES = Path(__file__).parents[2] / "examples"

EXPORT = {
    "accounts": """account,sector,year_established,revenue,employees,office_location,subsidiary_of
Stone Ltd,technolgy,1990,12.5,100,United States,
Brook Ltd,retail,1991,1100.04,200,Philipines,Stone Ltd
""",
    "products": "product,series,sales_price\nGTX Pro,GTX,100\n",
    "sales_teams": "sales_agent,manager,regional_office\nAda,Max,East\nBen,Max,West\n",
    "sales_pipeline": """opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value
P1,Ada,GTXPro,Stone Ltd,Won,2020-01-10,2020-02-01,90
P2,Ada,GTX Pro,Brook Ltd,Lost,2020-01-11,2020-02-02,0
P3,Ben,Other,Stone Ltd,Engaging,2020-01-12,,
P4,Ben,GTX Pro,,Engaging,2020-01-13,,
P5,Ben,GTX Pro,Stone Ltd,Prospecting,,,
P6,Eve,GTX Pro,Stone Ltd,Prospecting,2020-01-14,,
P7,Ben,GTX Pro,Typo Ltd,Won,2020-01-15,2020-03-01,5
""",
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("pipeline")
    for name, text in EXPORT.items():
        (folder / f"{name}.csv").write_text(text)
    config = load_config(EXAMPLES / "crm_sales_opportunities.yaml")
    return read_snapshot(str(folder), mapping=EXAMPLES / "crm_sales_opportunities.sql", config=config)


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def rows(snapshot: Snapshot, table: str, *columns: str) -> list[tuple[object, ...]]:
    frame = snapshot.tables[table][list(columns)].astype(object)
    return sorted(frame.where(frame.notna(), None).itertuples(index=False, name=None), key=str)


def test_an_opportunity_is_an_offer_to_its_agent(snapshot: Snapshot) -> None:
    assert rows(snapshot, "offers", "offer_id", "lead_id", "rep_id", "offered_at", "answer", "converted_at") == [
        ("P1", "P1", "Ada", day("2020-01-10"), "accepted", day("2020-02-01")),
        ("P2", "P2", "Ada", day("2020-01-11"), "accepted", None),
        ("P3", "P3", "Ben", day("2020-01-12"), "accepted", None),
        ("P6", "P6", "Eve", day("2020-01-14"), None, None),
    ]
    assert rows(snapshot, "leads", "lead_id", "contact_id", "account_id", "solution", "closed_at") == [
        ("P1", "contact of Stone Ltd", "Stone Ltd", "GTX Pro", day("2020-02-01")),
        ("P2", "contact of Brook Ltd", "Brook Ltd", "GTX Pro", day("2020-02-02")),
        ("P3", "contact of Stone Ltd", "Stone Ltd", "Other", None),
        ("P6", "contact of Stone Ltd", "Stone Ltd", "GTX Pro", None),
    ]


def test_what_is_misspelt_or_in_millions_is_put_right(snapshot: Snapshot) -> None:
    columns = ("account_id", "parent_account_id", "annual_revenue", "country", "segment", "created_at")
    assert rows(snapshot, "accounts", *columns) == [
        ("Brook Ltd", "Stone Ltd", 1_100_040_000.0, "PH", "retail", day("2020-01-10")),
        ("Stone Ltd", None, 12_500_000.0, "US", "technology", day("2020-01-10")),
    ]


def test_agents_are_reps_those_outside_the_teams_too(snapshot: Snapshot) -> None:
    assert rows(snapshot, "reps", "rep_id", "role", "regions") == [
        ("Ada", "regional", "East"),
        ("Ben", "regional", "West"),
        ("Eve", "regional", None),
    ]


def test_what_is_left_out_and_made_is_counted(snapshot: Snapshot) -> None:
    said = {w.expected for w in snapshot.warnings}
    assert {
        "1 row left out: neither an engage_date nor a close_date",
        "1 row left out: no account",
        "1 row left out: an account that is not in accounts.csv",
        "1 row made: agents of the pipeline who are in no team",
    } <= said
    assert not [text for text in said if "without a reason" in text]
