"""Mappings: SQL over text, walls around it, absent sources said by name, every row left out or made counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.config import Config
from features.errors import Breach, MappingError, TableError
from features.mapping_file import load_mapping, parse_mapping, shipped
from features.snapshot import Snapshot, read_snapshot

UTC = cast(Config, SimpleNamespace(timezone="UTC"))

MAPPING = """
-- source: firms (id, title, code, since, gone)
-- source: sellers (id)
-- step: live
-- one row per: firms
-- leaves out: gone | SELECT count(*) FROM firms WHERE gone = '1'
SELECT * FROM firms WHERE gone IS NULL OR gone <> '1';
-- table: accounts
-- one row per: live
SELECT id AS account_id, title AS name, code AS naics, since AS created_at FROM live;
-- table: contacts
-- makes: one placeholder
--   per firm | SELECT count(*) FROM live
SELECT 'c' || id AS contact_id, id AS account_id, since AS created_at FROM live;
-- table: leads
-- one row per: live
-- takes: the solution of the house | SELECT count(*) FROM live
-- note: every firm is a lead
SELECT id AS lead_id, 'c' || id AS contact_id, 'x' AS solution, since AS created_at FROM live;
-- table: reps
SELECT id AS rep_id, id AS name, 'inside' AS role FROM sellers UNION ALL SELECT 'R0', 'Nobody', 'inside';
"""
FIRMS = (
    '\ufeffid,title,code,since,gone\n007,"Acme, ""Inc""",0110,2025-01-01T00:00:00Z,\n'
    "NA,1E5,,2025-01-01T00:00:00Z,\n9,x,,,1\n"
)


def run(folder: Path, mapping: str = MAPPING, **files: str) -> Snapshot:
    """The snapshot of these source files under this mapping."""
    (folder / "export").mkdir(exist_ok=True)
    for name, content in {"firms": FIRMS, **files}.items():
        (folder / "export" / f"{name}.csv").write_text(content, encoding="utf-8")
    (folder / "mapping.sql").write_text(mapping)
    return read_snapshot(str(folder / "export"), mapping=folder / "mapping.sql")


def said(snapshot: Snapshot, table: str) -> list[str]:
    return [w.expected for w in snapshot.warnings if w.table == table]


def test_every_source_column_is_read_as_text(tmp_path: Path) -> None:
    accounts = run(tmp_path).tables["accounts"]
    assert accounts["account_id"].tolist() == ["007", "NA"]
    assert accounts["name"].tolist() == ['Acme, "Inc"', "1E5"]
    assert accounts["naics"].tolist()[0] == "0110"
    assert accounts["naics"].isna().tolist() == [False, True]


def test_a_parquet_source_is_read_as_text_too(tmp_path: Path) -> None:
    at = pd.Timestamp("2025-01-01T00:00:00Z")
    table = pa.table(
        {"id": [7, 8], "title": ["x", None], "code": ["0110", ""], "since": pa.array([at, at]), "gone": [False, True]}
    )
    mapping = MAPPING.replace("gone = '1'", "gone = 'true'").replace("gone <> '1'", "gone <> 'true'")
    (tmp_path / "export").mkdir()
    pq.write_table(table, tmp_path / "export" / "firms.parquet")
    (tmp_path / "mapping.sql").write_text(mapping)
    accounts = read_snapshot(str(tmp_path / "export"), mapping=tmp_path / "mapping.sql").tables["accounts"]
    assert accounts["account_id"].tolist() == ["7"]
    assert accounts["created_at"].tolist() == [at]


def test_rows_left_out_and_made_are_counted_with_their_reason(tmp_path: Path) -> None:
    snapshot = run(tmp_path)
    assert said(snapshot, "live") == ["1 row left out: gone"]
    assert said(snapshot, "contacts") == ["2 rows made: one placeholder per firm"]
    assert said(snapshot, "leads") == [
        "2 rows filled with what the source does not say: the solution of the house",
        "every firm is a lead",
    ]


def test_rows_lost_or_added_without_a_reason_are_found(tmp_path: Path) -> None:
    narrower = MAPPING.replace("gone <> '1';", "gone <> '1' LIMIT 1;")
    lost = "1 row lost by the mapping without a reason (3 in firms, 1 left out for a reason, 0 made)"
    assert lost in said(run(tmp_path, narrower), "live")
    wider = MAPPING.replace("AS created_at FROM live;", "AS created_at FROM live UNION ALL SELECT * FROM one;", 1)
    added = "1 row added by the mapping without a reason (2 in live, 0 left out for a reason, 0 made)"
    assert added in said(run(tmp_path, wider, one="i,n,c,s\nn,n,,2025-01-01T00:00:00Z\n"), "accounts")


def test_an_absent_column_is_named_with_what_is_missing_for_it(tmp_path: Path) -> None:
    snapshot = run(tmp_path, firms="id,title,since\n1,x,2025-01-01T00:00:00Z\n")
    assert snapshot.missing["firms.code"] == "nothing from it in accounts (naics)"
    assert "accounts.naics" in snapshot.missing
    assert "naics" not in snapshot.columns["accounts"]


def test_an_empty_cell_of_a_source_is_null_to_the_sql(tmp_path: Path) -> None:
    mapping = MAPPING.replace("code AS naics", "CASE WHEN code IS NULL THEN '5221' ELSE code END AS naics")
    assert run(tmp_path, mapping).tables["accounts"]["naics"].tolist() == ["0110", "5221"]


def test_an_absent_column_is_not_mistaken_for_one_of_the_same_name_elsewhere(tmp_path: Path) -> None:
    mapping = MAPPING.replace("sellers (id)", "sellers (id, title)").replace(
        "title AS name, code AS naics, since AS created_at FROM live",
        "f.title AS name, s.title AS segment, since AS created_at FROM live AS f LEFT JOIN sellers AS s USING (id)",
    )
    snapshot = run(tmp_path, mapping, sellers="id\nR1\n")
    assert snapshot.missing["sellers.title"] == "nothing from it in accounts (segment)"
    assert "segment" not in snapshot.columns["accounts"]


def test_an_absent_file_is_named_and_its_table_is_missing(tmp_path: Path) -> None:
    snapshot = run(tmp_path)
    assert snapshot.missing["sellers"] == "nothing from it in reps (rep_id, name)"
    mapping = MAPPING + "-- source: talks (id, firm)\n-- table: meetings\n-- one row per: talks\n"
    mapping += (
        "SELECT t.id AS meeting_id, 'R0' AS rep_id, t.firm AS account_id, since AS starts_at, since AS created_at "
    )
    mapping += "FROM talks AS t JOIN live ON live.id = t.firm"
    snapshot = run(tmp_path, mapping)
    assert "meetings" not in snapshot.tables
    assert "meetings" in snapshot.missing
    assert snapshot.missing["talks"].startswith("nothing from it in meetings (meeting_id, account_id")
    # A file that is there without rows for us is another thing: there were no meetings.
    assert len(run(tmp_path, mapping, talks="id,firm\n").tables["meetings"]) == 0


def test_a_required_table_without_its_source_says_so(tmp_path: Path) -> None:
    mapping = MAPPING.replace("-- table: reps\n", "-- table: reps\n-- one row per: sellers\n").replace(
        " UNION ALL SELECT 'R0', 'Nobody', 'inside'", ""
    )
    with pytest.raises(TableError) as refused:
        run(tmp_path, mapping)
    assert "sellers" in next(b for b in refused.value.breaches if b.table == "reps").expected


def test_a_required_cell_that_its_absent_column_would_fill_says_so(tmp_path: Path) -> None:
    with pytest.raises(TableError) as refused:
        run(tmp_path, firms="id,code,since\n1,5221,2025-01-01T00:00:00Z\n")
    assert [(b.table, b.column, b.rows) for b in refused.value.breaches] == [("accounts", "name", (1,))]
    assert "firms.title" in refused.value.breaches[0].expected


def test_the_result_is_held_to_the_contracts(tmp_path: Path) -> None:
    mapping = MAPPING.replace("title AS name,", "title AS nmae,")
    with pytest.raises(TableError) as refused:
        run(tmp_path, mapping, firms="id,title,code,since,gone\n1,x,,yesterday,\n1,y,,2025-01-01,\n")
    found = {(b.table, b.column, b.rows) for b in refused.value.breaches}
    assert {
        ("accounts", "nmae", ()),
        ("accounts", "name", ()),
        ("accounts", "created_at", (1,)),
        ("accounts", "account_id", (1, 2)),
    } <= found


def test_a_damaged_source_file_is_refused_by_its_own_name_and_row(tmp_path: Path) -> None:
    with pytest.raises(TableError) as refused:
        run(tmp_path, other="a,b\n1,2\n3\n")
    assert [(b.table, b.rows) for b in refused.value.breaches] == [("other.csv", (2,))]


def test_a_file_that_the_mapping_does_not_read_is_named(tmp_path: Path) -> None:
    assert said(run(tmp_path, cases="id\n1\n2\n"), "cases.csv") == [
        "a file that the mapping reads; its rows (2) are not taken"
    ]


@pytest.mark.parametrize(
    "select",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT content FROM read_text('{0}/secret.txt')",
        "SELECT * FROM 'https://example.com/x.csv'",
        "COPY firms TO '{0}/stolen.csv'",
        "ATTACH '{0}/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM firms",
        "SELECT * FROM nowhere",
        "SELEC 1",
        "",
    ],
)
def test_sql_that_reaches_out_or_is_no_single_select_is_refused(tmp_path: Path, select: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    mapping = f"{MAPPING}\n-- table: campaigns\n{select.format(tmp_path)};"
    with pytest.raises(MappingError) as refused:
        run(tmp_path, mapping)
    assert "campaigns" in str(refused.value)
    assert not (tmp_path / "stolen.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "fills no table"),
        ("-- table: acounts\nSELECT 1", "'acounts' is no table"),
        ("-- table: reps\nSELECT 1;\n-- table: reps\nSELECT 2", "a second SELECT for reps"),
        ("-- step: a b\nSELECT 1", "no name for a step"),
        ("-- leaves out: x | SELECT 1\n-- table: reps\nSELECT 1", "stands before"),
        ("-- table: reps\n-- leaves out: no count\nSELECT 1", "line 2"),
        ("-- source: firms\n-- table: reps\nSELECT 1", "line 1"),
    ],
)
def test_a_mapping_of_a_wrong_form_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        parse_mapping(text, "m.sql")


def test_only_macros_may_stand_before_the_first_step(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "CREATE MACRO twice(x) AS x || x;" + MAPPING.replace("title AS name", "twice(title) AS name"))
        .tables["accounts"]["name"]
        .tolist()[1]
        == "1E51E5"
    )
    with pytest.raises(MappingError, match="only CREATE MACRO"):
        run(tmp_path, "CREATE TABLE x (a INTEGER);" + MAPPING)


def test_what_is_no_mapping_or_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"hubspot, salesforce"):
        load_mapping(tmp_path / "nowhere.sql")
    (tmp_path / "m.sql").write_text(MAPPING)
    with pytest.raises(MappingError, match="not a database"):
        read_snapshot("sqlite:///x.db", mapping=tmp_path / "m.sql")


def test_shipped_mappings_are_found_by_name_and_name_each_source_once() -> None:
    assert set(shipped()) == {"salesforce", "hubspot"}
    for name in shipped():
        plan = load_mapping(name)
        assert {"accounts", "contacts", "leads", "reps", "offers"} <= {s.name for s in plan.steps if s.table}
        for columns in plan.sources.values():
            assert len(set(columns)) == len(columns)


@pytest.mark.parametrize("name", ["salesforce", "hubspot"])
def test_a_shipped_mapping_over_an_empty_folder_refuses_by_naming_the_sources(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError) as refused:
        read_snapshot(str(tmp_path), mapping=Path(name))
    expected: dict[str, Breach] = {b.table: b for b in refused.value.breaches}
    assert set(expected) == {"accounts", "contacts", "leads", "reps"}
    assert "not there: " in expected["accounts"].expected
