"""The snapshot: round trip, fingerprint, now, what is missing, what is odd, and how changing columns are read."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import reading as how
from features.config import Config
from features.errors import UsageError
from features.schema import TABLES, Kind
from features.snapshot import _as_text, read_snapshot, write_snapshot
from tests.features.crm_files import FILES, read, write

WHEN = "2025-01-01T00:00:00Z"

# --- import(export(x)) == x ---

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
#: What a spreadsheet would run, and what looks as if we had kept it from doing so.
formula = st.from_regex(r"\A'{0,2}[=+\-@\t\r\n][a-z(]{0,3}\Z")
text = plain | formula
instants = st.integers(-(10**15), 4 * 10**15).map(lambda us: pd.Timestamp(us, unit="us", tz="UTC"))
numbers = st.floats(0, 1e9, allow_nan=False).map(lambda x: x + 0.0)


def cells(kind: Kind, required: bool, zone: bool = False) -> st.SearchStrategy[Any]:
    """Values of a column of this kind, null included where it may be."""
    if zone:
        return st.none() | st.sampled_from(["UTC", "Europe/Berlin"])
    values: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.TIME: instants,
        Kind.MONEY: numbers,
        Kind.NUMBER: numbers,
        Kind.SHARE: st.floats(0, 1).map(lambda x: x + 0.0),
        Kind.FLAG: st.booleans(),
    }
    filled = values.get(kind, text)
    return filled if required else st.none() | filled


DTYPES = {
    Kind.TIME: "datetime64[us, UTC]",
    Kind.FLAG: "boolean",
    Kind.MONEY: "float64",
    Kind.NUMBER: "float64",
    Kind.SHARE: "float64",
}


@st.composite
def accounts_and_reps(draw: st.DrawFn) -> dict[str, pd.DataFrame]:
    """Two tables with every kind of column, as a snapshot holds them."""
    tables = {}
    for name in ("accounts", "reps"):
        keys = draw(st.lists(text, min_size=1, max_size=4, unique=True))
        frame = {}
        for column in TABLES[name].columns:
            values = cells(column.kind, column.required, column.zone)
            if column.allowed:
                values = st.sampled_from(column.allowed)
            if column.name in ("parent_account_id", "owner_rep_id"):
                values = st.none()
            drawn = keys if column.name == TABLES[name].key[0] else [draw(values) for _ in keys]
            frame[column.name] = pd.Series(drawn, dtype=DTYPES.get(column.kind, "str"))
        tables[name] = pd.DataFrame(frame)
    return tables


def whole(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with empty contacts and leads beside them."""
    empty = {
        name: pd.DataFrame({c.name: pd.Series([], dtype=DTYPES.get(c.kind, "str")) for c in TABLES[name].columns})
        for name in ("contacts", "leads")
    }
    return {**tables, **empty}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@settings(max_examples=15)
@given(tables=accounts_and_reps())
def test_what_is_written_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, form: Literal["csv", "parquet"], tables: dict[str, pd.DataFrame]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    write_snapshot(whole(tables), folder, format=form)
    snapshot = read_snapshot(str(folder))
    for name, frame in whole(tables).items():
        pd.testing.assert_frame_equal(snapshot.tables[name], frame)


@given(cell=text)
def test_no_cell_of_a_csv_file_is_run_as_a_formula(tmp_path_factory: pytest.TempPathFactory, cell: str) -> None:
    folder = tmp_path_factory.mktemp("formula")
    row = {"rep_id": cell, "name": cell, "role": "inside", "regions": cell, "weekly_capacity": 5.0}
    frame = pd.DataFrame(
        {c.name: pd.Series([row.get(c.name)], dtype=DTYPES.get(c.kind, "str")) for c in TABLES["reps"].columns}
    )
    write_snapshot({"reps": frame}, folder, format="csv")
    with (folder / "reps.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.reader(file))[1]
    assert not [c for c in written if c.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert "5" in written


def test_a_number_below_zero_is_no_formula() -> None:
    assert _as_text(pd.Series([-5.0, 2.5]), Kind.NUMBER).tolist() == ["-5", "2.5"]


def test_a_quote_before_what_is_no_formula_stays(tmp_path: Path) -> None:
    snapshot = read(tmp_path, reps="rep_id,name,role\nR1,'Ada,inside\nR2,'=Ben,inside\n")
    assert snapshot.tables["reps"]["name"].tolist() == ["'Ada", "=Ben"]


def test_tables_have_all_columns_of_their_contract_in_its_types(tmp_path: Path) -> None:
    snapshot = read(tmp_path)
    for name, frame in snapshot.tables.items():
        assert tuple(frame.columns) == TABLES[name].names
        for column in TABLES[name].columns:
            assert str(frame[column.name].dtype) == DTYPES.get(column.kind, "str")
    assert snapshot.columns["reps"] == {"rep_id", "name", "role"}


# --- the fingerprint ---


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    reps = "rep_id,name,role,weekly_capacity,hired_at\nR1,Ada,inside,5,2025-01-01T01:00:00+01:00\nR2,Ben,Inside,,\n"
    one = read(tmp_path / "one", reps=reps)
    shuffled = (
        "hired_at,role,rep_id,name,weekly_capacity,segment\n,inside,R2,Ben,,\n2025-01-01T00:00:00Z,inside,R1,Ada,5.0,\n"
    )
    assert read(tmp_path / "two", reps=shuffled).fingerprint == one.fingerprint
    write_snapshot(one.tables, tmp_path / "three", format="parquet")
    assert read_snapshot(str(tmp_path / "three")).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    "reps",
    [
        "rep_id,name,role\nR1,Ada,inside\nR2,Ben,partner\n",
        "rep_id,name,role\nR1,Ada,inside\n",
        "rep_id,name,role\nR1,AdaB,inside\nR2,en,enterprise\n",  # the same letters in other cells
        "rep_id,name,role,segment\nR1,Ada,inside,\nR2,Ben,enterprise,x\n",
        "rep_id,name,role,hired_at\nR1,Ada,inside,\nR2,Ben,enterprise,2025-01-01T00:00:00.000001Z\n",
    ],
)
def test_any_other_content_has_another_fingerprint(tmp_path: Path, reps: str) -> None:
    assert read(tmp_path / "a", reps=reps).fingerprint != read(tmp_path / "b").fingerprint


# --- now ---


def test_now_is_the_latest_fact_and_no_plan(tmp_path: Path) -> None:
    plans = {
        "meetings": f"rep_id,account_id,starts_at,created_at\nR1,A1,2031-01-01T00:00:00Z,{WHEN}\n",
        "time_off": "rep_id,starts_at,ends_at\nR1,2032-01-01T00:00:00Z,2033-01-01T00:00:00Z\n",
        "preferences": "rep_id,subject,subject_id,rule,since,until\n"
        f"R1,account,A1,include,{WHEN},2034-01-01T00:00:00Z\n",
        "campaigns": "campaign_id,name,starts_at,ends_at\nK1,x,2035-01-01T00:00:00Z,2036-01-01T00:00:00Z\n",
        "opportunities": "opportunity_id,account_id,rep_id,opened_at,expected_close\n"
        f"O1,A1,R1,{WHEN},2037-01-01T00:00:00Z\n",
    }
    assert read(tmp_path, **plans).now == pd.Timestamp("2025-02-01T00:00:00Z")
    answered = "offer_id,lead_id,rep_id,offered_at,answer,answered_at\n"
    answered += "F1,L1,R1,2025-02-02T00:00:00Z,accepted,2025-02-03T00:00:00Z\n"
    assert read(tmp_path, **plans, offers=answered).now == pd.Timestamp("2025-02-03T00:00:00Z")
    late = "rep_id,name,role,known_at\nR1,Ada,inside,2025-03-01T00:00:00Z\n"
    assert read(tmp_path, **plans, offers=answered, reps=late).now == pd.Timestamp("2025-03-01T00:00:00Z")


def test_now_can_be_said_but_only_with_a_zone(tmp_path: Path) -> None:
    data = str(write(tmp_path))
    assert read_snapshot(data, as_of=pd.Timestamp("2025-01-05T02:00:00+02:00")).now == pd.Timestamp(
        "2025-01-05T00:00:00Z"
    )
    with pytest.raises(UsageError):
        read_snapshot(data, as_of=pd.Timestamp("2025-01-05"))


# --- what is missing, what is odd ---


def test_what_is_missing_is_said_by_what_it_would_have_told(tmp_path: Path) -> None:
    missing = read(tmp_path).missing
    assert "meetings" in missing["meetings"]
    assert "revenue" in missing["accounts.annual_revenue"]
    assert "meetings.cancelled_at" not in missing  # the whole table is named
    meetings = f"rep_id,account_id,starts_at,created_at\nR1,A1,{WHEN},{WHEN}\n"
    missing = read(tmp_path, meetings=meetings).missing
    assert "meetings" not in missing
    assert "called off" in missing["meetings.cancelled_at"]


def warned(folder: Path, **tables: str) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(w.table, w.column, w.rows) for w in read(folder, **tables).warnings]


def test_a_lone_date_years_from_the_rest_is_warned_of(tmp_path: Path) -> None:
    def dated(*years: int) -> str:
        rows = "".join(f"A{i},x,{year}-06-0{i % 9 + 1}T00:00:00Z\n" for i, year in enumerate(years, start=1))
        return "account_id,name,created_at\n" + rows

    near = [2024, 2025, 2024, 2023, 2025, 2024]
    assert warned(tmp_path, accounts=dated(*near)) == []
    assert warned(tmp_path, accounts=dated(*near, 2033)) == [("accounts", "created_at", (7,))]
    assert warned(tmp_path, accounts=dated(1970, *near)) == [("accounts", "created_at", (1,))]
    assert warned(tmp_path, accounts=dated(*near, *near, 2033, 2034, 2033)) == [
        ("accounts", "created_at", (13, 14, 15))
    ]
    # Two halves with years between them are no slip.
    assert warned(tmp_path, accounts=dated(2015, 2015, 2016, 2015, 2024, 2024, 2024, 2025)) == []


@pytest.mark.parametrize(
    ("column", "code", "odd"),
    [
        ("naics", "522110", False), ("naics", "52", False), ("naics", "6021", True), ("naics", "6029", True),
        ("naics", "6111", False), ("naics", "99", True), ("sic", "6021", False), ("sic", "522110", True),
    ],
)  # fmt: skip
def test_a_code_of_the_other_scheme_is_warned_of(tmp_path: Path, column: str, code: str, odd: bool) -> None:
    found = read(tmp_path, accounts=f"account_id,name,{column},created_at\nA1,x,,{WHEN}\nA2,y,{code},{WHEN}\n").warnings
    assert [(w.column, w.rows, w.value) for w in found] == ([(column, (2,), code)] if odd else [])
    if code == "6021" and odd:
        assert "SIC" in found[0].expected


def test_a_country_that_is_no_code_is_warned_of(tmp_path: Path) -> None:
    accounts = f"account_id,name,country,created_at\nA1,x,US,{WHEN}\nA2,y,United States,{WHEN}\n"
    assert warned(tmp_path, accounts=accounts) == [("accounts", "country", (2,))]


def test_facts_in_a_wrong_order_or_without_their_instant_are_warned_of(tmp_path: Path) -> None:
    header = "opportunity_id,account_id,rep_id,opened_at,closed_at,outcome\n"
    rows = f"O1,A1,R1,{WHEN},2024-12-31T00:00:00Z,won\nO2,A1,R1,{WHEN},{WHEN},lost\nO3,A1,R1,{WHEN},,won\n"
    found = warned(tmp_path, opportunities=header + rows)
    assert found == [("opportunities", "closed_at", (1,)), ("opportunities", "closed_at", (3,))]


# --- how changing columns are read ---


def reading_of(folder: Path, config: Config | None = None, **tables: str) -> dict[str, str]:
    return dict(how.reading(read(folder, **tables).tables, config))


def test_a_changing_column_is_read_by_its_history_or_as_its_kind_allows(tmp_path: Path) -> None:
    accounts = f"account_id,name,annual_revenue,employees,status,owner_rep_id,created_at\nA1,x,5,7,customer,R1,{WHEN}\n"
    contacts = f"contact_id,account_id,created_at\nC1,A1,{WHEN}\n"
    changes = "table_name,row_id,column_name,value,valid_from\n"
    changes += f"accounts,A1,status,prospect,{WHEN}\naccounts,A1,employees,7,{WHEN}\n"
    found = reading_of(tmp_path, accounts=accounts, contacts=contacts, changes=changes)
    assert found["accounts.status"] == how.HISTORY
    assert found["accounts.employees"] == how.HISTORY
    assert found["accounts.annual_revenue"] == how.CONSTANT
    assert found["accounts.owner_rep_id"] == how.HIDDEN
    assert "accounts.churn_risk" not in found  # nothing is in it
    config = cast(Config, SimpleNamespace(history=SimpleNamespace(assume_constant=["accounts.owner_rep_id"])))
    tables = read(tmp_path, accounts=accounts, contacts=contacts).tables
    assert dict(how.reading(tables, config))["accounts.owner_rep_id"] == how.CONSTANT


def test_a_known_at_opens_what_outcomes_move(tmp_path: Path) -> None:
    accounts = f"account_id,name,status,created_at,known_at\nA1,x,customer,{WHEN},{WHEN}\n"
    contacts = f"contact_id,account_id,created_at\nC1,A1,{WHEN}\n"
    assert reading_of(tmp_path, accounts=accounts, contacts=contacts)["accounts.status"] == how.KNOWN


def test_files_of_the_small_crm_are_sound(tmp_path: Path) -> None:
    snapshot = read(tmp_path)
    assert {n: len(t) for n, t in snapshot.tables.items()} == {n: t.count("\n") - 1 for n, t in FILES.items()}
    assert np.array_equal(snapshot.tables["reps"]["rep_id"], ["R1", "R2"])
