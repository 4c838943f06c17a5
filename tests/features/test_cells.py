"""Cells: instants by their own offset, numbers, flags and closed sets, and what is none of these."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cells import read_cells
from features.config import Config
from features.errors import TableError
from features.schema import Column, Kind
from features.snapshot import read_snapshot
from tests.features.crm_files import breaches, places, read, write

WHEN = "2025-01-01T00:00:00Z"


def in_zone(zone: str) -> Config:
    return cast(Config, SimpleNamespace(timezone=zone))


# --- instants ---


def accounts_at(*instants: str) -> str:
    rows = "".join(f"A{i},x,{instant}\n" for i, instant in enumerate(instants, start=1))
    return "account_id,name,created_at\n" + rows


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00"),
        ("2026-03-02t09:00:00z", "2026-03-02T09:00:00"),
        ("2026-03-02 09:00:00+00", "2026-03-02T09:00:00"),
        ("2024-01-19T09:42:24.000+0000", "2024-01-19T09:42:24"),
        ("2026-03-02T09:00+05:30", "2026-03-02T03:30:00"),
        ("2026-03-02T09:00:00.123456789-02:00", "2026-03-02T11:00:00.123456"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00"),
    ],
)
def test_each_instant_is_read_by_its_own_offset(tmp_path: Path, text: str, utc: str) -> None:
    snapshot = read(tmp_path, accounts=accounts_at("2025-01-01T00:00:00+01:00", text))
    assert snapshot.tables["accounts"]["created_at"].tolist()[1] == pd.Timestamp(utc, tz="UTC")


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2026", "2026-3-2", "20260302", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-03-02T24:00:00Z", "2026-03-02T09:00:61Z", "2026-03-02T9:00:00Z", "yesterday", "1767225600",
        " 2026-03-02T09:00:00Z", "2026-03-02T09:00:00+25:00",
    ],
)  # fmt: skip
def test_what_is_not_iso_8601_is_no_instant(tmp_path: Path, text: str) -> None:
    found = breaches(tmp_path, accounts=accounts_at(WHEN, text, WHEN))
    assert [(b.column, b.rows, b.value) for b in found if b.table == "accounts"] == [("created_at", (2,), text)]


@pytest.mark.parametrize("text", ["2026-03-02T09:00:00", "2026-03-02 09:00", "2026-03-02"])
def test_an_instant_without_a_zone_needs_the_configured_one(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path, accounts=accounts_at(WHEN, text))
    with pytest.raises(TableError) as refused:
        read_snapshot(str(folder))
    assert [(b.column, b.rows) for b in refused.value.breaches] == [("created_at", (2,))]
    assert "timezone" in refused.value.breaches[0].expected
    frame = read_snapshot(str(folder), config=in_zone("America/New_York")).tables["accounts"]
    hour = "14" if "09" in text else "05"
    assert frame["created_at"].tolist() == [pd.Timestamp(WHEN), pd.Timestamp(f"2026-03-02T{hour}:00:00Z")]


def test_a_local_time_that_the_clock_skips_is_refused_and_one_shown_twice_is_the_first(tmp_path: Path) -> None:
    folder = write(tmp_path, accounts=accounts_at("2025-03-30T02:30:00", WHEN))
    with pytest.raises(TableError) as refused:
        read_snapshot(str(folder), config=in_zone("Europe/Berlin"))
    assert places(refused.value.breaches) == [("accounts", "created_at", (1,))]
    folder = write(tmp_path, accounts=accounts_at("2025-10-26T02:30:00", WHEN))
    snapshot = read_snapshot(str(folder), config=in_zone("Europe/Berlin"))
    assert snapshot.tables["accounts"].loc[0, "created_at"] == pd.Timestamp("2025-10-26T00:30:00Z")
    assert any("shows it twice" in w.expected and w.rows == (1,) for w in snapshot.warnings)


@given(
    st.datetimes(pd.Timestamp("1970-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime()),
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_are_read_as_python_reads_them(instant: datetime, minutes: int) -> None:
    sign, rest = ("-" if minutes < 0 else "+"), abs(minutes)
    text = f"{instant.isoformat()}{sign}{rest // 60:02}:{rest % 60:02}"
    read = read_cells(Column("at", Kind.TIME), pa.chunked_array([[text]]), None)
    assert not read.faults
    assert pd.Timestamp(read.values[0].as_py()) == pd.Timestamp(text)


# --- numbers, flags, closed sets ---


@pytest.mark.parametrize(
    ("text", "number"), [("1200.5", 1200.5), ("1E5", 1e5), ("+7", 7.0), (".5", 0.5), ("0", 0.0), ("-0", 0.0)]
)
def test_numbers_are_read(tmp_path: Path, text: str, number: float) -> None:
    snapshot = read(tmp_path, accounts=f"account_id,name,annual_revenue,created_at\nA1,x,{text},{WHEN}\nA2,x,,{WHEN}\n")
    revenue = snapshot.tables["accounts"]["annual_revenue"]
    assert revenue.tolist()[0] == number
    assert revenue.isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "text", ["1,200", "1 200", "$5", "inf", "-inf", "nan", "NaN", "1e999", "1_000", "0x10", "٣", "1.2.3", ""]
)
def test_what_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    header = "rep_id,name,role,weekly_capacity\n"
    found = breaches(tmp_path, reps=f'{header}R1,Ada,inside,5\nR2,Ben,inside,"{text}"\n')
    assert places(found) == ([("reps", "weekly_capacity", (2,))] if text else [])


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("annual_revenue", "-1"),
        ("employees", "-0.5"),
        ("churn_risk", "1.01"),
        ("churn_risk", "-0.1"),
        ("status", "lead"),
    ],
)
def test_what_is_out_of_range_is_refused(tmp_path: Path, column: str, text: str) -> None:
    found = breaches(tmp_path, accounts=f"account_id,name,{column},created_at\nA1,x,,{WHEN}\nA2,x,{text},{WHEN}\n")
    assert [(b.column, b.rows, b.value) for b in found] == [(column, (2,), text)]


def test_closed_sets_are_read_in_any_case(tmp_path: Path) -> None:
    snapshot = read(tmp_path, reps="rep_id,name,role\nR1,Ada,Inside\nR2,Ben,ENTERPRISE\n")
    assert snapshot.tables["reps"]["role"].tolist() == ["inside", "enterprise"]


def test_flags_are_read_and_others_refused(tmp_path: Path) -> None:
    header = "rep_id,name,role,pilot\n"
    words = ["true", "FALSE", "1", "0", "Yes", "no", ""]
    rows = "".join(f"R{i},x,inside,{w}\n" for i, w in enumerate(words))
    pilot = read(tmp_path, reps=header + rows).tables["reps"]["pilot"]
    assert str(pilot.dtype) == "boolean"
    assert pilot.tolist()[:6] == [True, False, True, False, True, False]
    assert pilot.isna().tolist() == [False] * 6 + [True]
    assert places(breaches(tmp_path, reps=header + "R1,x,inside,maybe\n")) == [("reps", "pilot", (1,))]


def test_a_zone_that_no_clock_knows_is_refused() -> None:
    cells = pa.chunked_array([["UTC", "Mars/Base", None, "Europe/Berlin"]])
    found = read_cells(Column("timezone", zone=True), cells, None)
    assert [(fault.rows.tolist(), fault.expected) for fault in found.faults] == [
        ([False, True, False, False], "a time zone's name, such as Europe/Berlin")
    ]
