"""Sources: the same CRM from CSV, Parquet and a database; strange files, double tables and what cannot be opened."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from features.errors import TableError, UsageError
from features.snapshot import Snapshot, read_snapshot
from tests.features.crm_files import FILES, breaches, places, read, write

UTC = dt.UTC
AT = dt.datetime(2025, 1, 1, 12, tzinfo=UTC)


def of_parquet(folder: Path, table: str, **columns: pa.Array | list[object]) -> Path:
    """The small CRM with one table in Parquet."""
    write(folder, **{table: None})
    pq.write_table(pa.table(columns), folder / f"{table}.parquet")
    return folder


def test_typed_parquet_columns_are_held_to_the_same_contract(tmp_path: Path) -> None:
    read_snapshot(
        str(
            of_parquet(
                tmp_path,
                "reps",
                rep_id=pa.array([1, None]).fill_null(2),
                name=pa.array(["Ada", "Ben"]).dictionary_encode(),
                role=pa.array(["inside", "inside"], pa.large_string()),
                regions=pa.array([["us-east", "uk"], []]),
                weekly_capacity=pa.array([5, None], pa.int32()),
                pilot=pa.array([True, None]),
                hired_at=pa.array([AT, None], pa.timestamp("ns", tz="America/New_York")),
            )
        )
    )
    frame = read_snapshot(str(tmp_path)).tables["reps"]
    assert frame["rep_id"].tolist() == ["1", "2"]
    assert frame["name"].tolist() == ["Ada", "Ben"]
    assert frame["regions"].tolist()[0] == "us-east;uk"
    assert frame["weekly_capacity"].tolist()[0] == 5.0
    assert frame["pilot"].tolist()[0] is True
    assert frame["hired_at"].tolist()[0] == pd.Timestamp(AT)
    assert frame[["regions", "weekly_capacity", "pilot", "hired_at"]].loc[1].isna().all()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("rep_id", pa.array([1.0, 2.0])),  # which of 1, 1.0 and 1e0 the id is, is lost
        ("name", pa.array([b"Ada", b"Ben"])),
        ("hired_at", pa.array([1735732800, 1735732800])),  # seconds, or microseconds?
        ("hired_at", pa.array([AT.replace(tzinfo=None)] * 2, pa.timestamp("us"))),
        ("hired_at", pa.array([AT.date()] * 2)),
        ("weekly_capacity", pa.array([float("nan"), float("inf")])),
        ("pilot", pa.array([2, 3])),
        ("regions", pa.array([["a;b"], ["c;d"]])),
    ],
)
def test_a_typed_column_that_cannot_be_what_it_should_is_refused(tmp_path: Path, column: str, values: pa.Array) -> None:
    columns = {"rep_id": ["R1", "R2"], "name": ["Ada", "Ben"], "role": ["inside", "inside"], column: values}
    with pytest.raises(TableError) as refused:
        read_snapshot(str(of_parquet(tmp_path, "reps", **columns)))
    assert places(refused.value.breaches) == [("reps", column, (1, 2))]


def test_industry_codes_kept_as_numbers_are_warned_of(tmp_path: Path) -> None:
    columns = {"account_id": ["A1", "A2"], "name": ["x", "y"], "naics": [522110, 110], "created_at": pa.array([AT, AT])}
    warnings = read_snapshot(str(of_parquet(tmp_path, "accounts", **columns))).warnings
    assert any(w.column == "naics" and "leading zeros" in w.expected and w.rows == (1, 2) for w in warnings)


def test_a_damaged_parquet_file_is_a_breach(tmp_path: Path) -> None:
    (write(tmp_path, reps=None) / "reps.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(TableError) as refused:
        read_snapshot(str(tmp_path))
    assert ("reps", "(header)", ()) in places(refused.value.breaches)


def test_a_table_in_two_files_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"rep_id": ["R1"]}), write(tmp_path) / "reps.parquet")
    with pytest.raises(TableError) as refused:
        read_snapshot(str(tmp_path))
    assert "reps.csv and reps.parquet" in refused.value.breaches[0].expected


def test_a_file_that_is_no_table_is_named_with_what_was_meant(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("Oportunities.csv", "meetings.xlsx", "README.md", ".hidden.csv"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / "truth").mkdir()
    warned = {w.table: w.expected for w in read_snapshot(str(tmp_path)).warnings}
    assert set(warned) == {"Oportunities.csv", "meetings.xlsx"}
    assert "did you mean opportunities.csv?" in warned["Oportunities.csv"]


def test_a_required_table_under_a_wrong_name_is_a_breach(tmp_path: Path) -> None:
    write(tmp_path, leads=None)
    (tmp_path / "Leads.csv").write_text(FILES["leads"])
    assert places(breaches(tmp_path, leads=None)) == [("leads", "(header)", ())]


@pytest.mark.parametrize(
    "data", ["{0}/nowhere", "sqlite:///{0}/nowhere.db", "nonsense://x", "postgresql://u:secret@localhost:1/x"]
)
def test_what_cannot_be_opened_is_a_wrong_usage(tmp_path: Path, data: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_snapshot(data.format(tmp_path))
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "nowhere.db").exists()


# --- databases ---


def database(tmp_path: Path, **extra: str) -> str:
    """The small CRM in SQLite, every column as text, and what `extra` says, table by table."""
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for name, text in FILES.items():
            header, *rows = (line.split(",") for line in text.splitlines())
            connection.execute(sa.text(f"CREATE TABLE {name} ({', '.join(f'{c} TEXT' for c in header)})"))
            places = ", ".join(f":{c}" for c in header)
            for row in rows:
                connection.execute(
                    sa.text(f"INSERT INTO {name} VALUES ({places})"), dict(zip(header, row, strict=True))
                )
        for sql in extra.values():
            connection.execute(sa.text(sql))
    engine.dispose()
    return url


def test_a_database_reads_as_the_files_do(tmp_path: Path) -> None:
    from_files = read(tmp_path / "files")
    from_database = read_snapshot(database(tmp_path))
    assert from_database.fingerprint == from_files.fingerprint
    assert from_database.now == from_files.now
    for name, frame in from_files.tables.items():
        pd.testing.assert_frame_equal(frame, from_database.tables[name])


def test_other_tables_are_left_alone_and_other_columns_warned_of(tmp_path: Path) -> None:
    url = database(
        tmp_path,
        other="CREATE TABLE releases (id INTEGER)",
        column="ALTER TABLE reps ADD COLUMN seq INTEGER DEFAULT 7",
        view="CREATE VIEW touches AS SELECT 'R1' AS rep_id, 'C1' AS contact_id, 'call' AS kind, '"
        + AT.isoformat()
        + "' AS occurred_at",
    )
    snapshot = read_snapshot(url)
    assert set(snapshot.tables) == {*FILES, "touches"}
    assert [(w.table, w.column) for w in snapshot.warnings] == [("reps", "seq")]


def test_typed_columns_of_a_database_are_held_to_the_contract(tmp_path: Path) -> None:
    def capacity(of: str) -> Snapshot:
        (tmp_path / of).mkdir()
        return read_snapshot(
            database(
                tmp_path / of,
                a="ALTER TABLE reps ADD COLUMN weekly_capacity",
                b=f"UPDATE reps SET weekly_capacity = {of}",
            )
        )

    assert capacity("7").tables["reps"]["weekly_capacity"].tolist() == [7.0, 7.0]
    assert capacity("7.5").tables["reps"]["weekly_capacity"].tolist() == [7.5, 7.5]
    assert capacity("NULL").tables["reps"]["weekly_capacity"].isna().all()
    with pytest.raises(TableError) as refused:
        capacity("'many'")
    assert places(refused.value.breaches) == [("reps", "weekly_capacity", (1, 2))]


def test_a_column_of_mixed_types_is_read_as_text(tmp_path: Path) -> None:
    url = database(
        tmp_path,
        a="ALTER TABLE reps ADD COLUMN segment",
        b="UPDATE reps SET segment = CASE rep_id WHEN 'R1' THEN 7 ELSE 'x' END",
    )
    assert read_snapshot(url).tables["reps"]["segment"].tolist() == ["7", "x"]


def test_rows_of_a_database_are_counted_in_the_order_of_their_key(tmp_path: Path) -> None:
    url = database(tmp_path, a="INSERT INTO reps VALUES ('R0', 'Eve', 'inside')")
    assert read_snapshot(url).tables["reps"]["rep_id"].tolist() == ["R0", "R1", "R2"]
