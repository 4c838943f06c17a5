"""Contracts: each trap of a CSV file, each kind of cell, keys, references; breaches are named by table, column, row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contracts import split_list
from features.schema import TABLES
from tests.features.crm_files import FILES, breaches, places, read

ACCOUNTS = "account_id,name,naics,created_at\n"
WHEN = "2025-01-01T00:00:00Z"


def test_a_sound_crm_has_no_breach(tmp_path: Path) -> None:
    assert breaches(tmp_path) == ()


# --- text stays text ---


@pytest.mark.parametrize(
    "text", ["0110", "02139", "NA", "None", "NULL", "null", "nan", "1E5", "1,200", " x ", "true", "-"]
)
def test_text_that_looks_like_something_else_stays_text(tmp_path: Path, text: str) -> None:
    cell = f'"{text}"'
    files = {
        "accounts": f"{ACCOUNTS}{cell},{cell},{cell},{WHEN}\n",
        "contacts": f"contact_id,account_id,created_at\n{cell},{cell},{WHEN}\n",
    }
    leads = f"lead_id,contact_id,solution,created_at\n{cell},{cell},{cell},{WHEN}\n"
    snapshot = read(tmp_path, leads=leads, **files)
    row = snapshot.tables["accounts"].loc[0]
    assert (row["account_id"], row["name"], row["naics"]) == (text, text, text)
    assert snapshot.tables["leads"].loc[0, "solution"] == text


def test_an_empty_cell_is_null_even_in_quotes(tmp_path: Path) -> None:
    snapshot = read(
        tmp_path, accounts=f'account_id,name,naics,sic,created_at\nA1,Acme,"",,{WHEN}\nA2,B,0110,0,{WHEN}\n'
    )
    frame = snapshot.tables["accounts"]
    assert frame["naics"].isna().tolist() == [True, False]
    assert frame["sic"].isna().tolist() == [True, False]


def test_codes_keep_their_zeros_beside_a_blank(tmp_path: Path) -> None:
    snapshot = read(tmp_path, accounts=f"{ACCOUNTS}A1,Acme,0111,{WHEN}\nA2,B,,{WHEN}\n")
    assert snapshot.tables["accounts"]["naics"].tolist()[0] == "0111"


# --- the form of the file ---


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("A1,Acme,,2025-01-01T00:00:00Z\nA2,Bolt\n", (2,)),  # short
        ("A1,Acme,,2025-01-01T00:00:00Z,more\nA2,Bolt,,2025-01-01T00:00:00Z\n", (1,)),  # long
        ("A1,Acme,,2025-01-01T00:00:00Z,\nA2,Bolt,,2025-01-01T00:00:00Z,\n", (1, 2)),  # one more field on every row
        ("A1,Acme,,2025-01-01T00:00:00Z\n\nA2,Bolt,,2025-01-01T00:00:00Z\n", (2,)),  # a blank line between
    ],
)
def test_a_row_with_other_fields_than_the_header_is_refused(tmp_path: Path, body: str, rows: tuple[int, ...]) -> None:
    assert ("accounts", "(row)", rows) in places(breaches(tmp_path, accounts=ACCOUNTS + body))


def test_a_damaged_row_is_not_judged_cell_by_cell_but_sound_rows_are(tmp_path: Path) -> None:
    found = breaches(tmp_path, accounts=f"{ACCOUNTS}A1\nA2,,,{WHEN}\n")
    assert places(found) == [("accounts", "(row)", (1,)), ("accounts", "name", (2,))]


def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    assert len(read(tmp_path, reps=FILES["reps"] + "\n\n").tables["reps"]) == 2


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps="rep_id,name,role,name\nR1,Ada,inside,Eve\n")
    assert [(b.column, b.value) for b in found] == [("(header)", "name")]


def test_an_unknown_column_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps="rep_id,name,role,time_zone\nR1,Ada,inside,UTC\n")
    assert [b.column for b in found] == ["time_zone"]
    assert "did you mean timezone?" in found[0].expected


def test_other_separators_are_named(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps="rep_id;name;role\nR1;Ada;inside\n")
    assert "separated by commas" in found[0].expected


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(tmp_path, reps=b"\xef\xbb\xbf" + FILES["reps"].encode()).tables["reps"]["rep_id"].tolist() == [
        "R1",
        "R2",
    ]


def test_text_that_is_not_utf8_is_refused_with_its_row(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps=b"rep_id,name,role\nR1,Ada,inside\nR2,Ren\xe9,inside\n")
    assert places(found) == [("reps", "name", (2,))]
    assert "UTF-8" in found[0].expected


def test_a_nul_byte_is_refused_with_its_row(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps=b"rep_id,name,role\nR1,Ada,inside\nR2,B\x00n,inside\n")
    assert places(found) == [("reps", "name", (2,))]


@pytest.mark.parametrize(
    ("body", "row"),
    [
        ('R1,"Ada,inside\nR2,Ben,inside\n', 1),  # never closed
        ('R1,Ada,inside\nR2,"B"en,inside\n', 2),  # closed too early
        ('R1,"Ada,inside\nR2,"Ben",inside\n', 1),  # closed by the next one
    ],
)
def test_a_quote_that_does_not_close_is_refused(tmp_path: Path, body: str, row: int) -> None:
    found = breaches(tmp_path, reps="rep_id,name,role\n" + body)
    assert places(found) == [("reps", "(row)", (row,))]


def test_quoted_cells_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    snapshot = read(tmp_path, reps='rep_id,name,role\r\nR1,"Ada ""A"", of\r\nMilan",inside\r\nR2,Ben,inside\r\n')
    assert snapshot.tables["reps"]["name"].tolist() == ['Ada "A", of\r\nMilan', "Ben"]


def test_a_file_without_a_header_is_refused(tmp_path: Path) -> None:
    assert [(b.table, b.column) for b in breaches(tmp_path, reps="")] == [("reps", "(header)")]


def test_a_table_of_no_rows_is_a_table(tmp_path: Path) -> None:
    snapshot = read(tmp_path, leads="lead_id,contact_id,solution,created_at\n")
    assert len(snapshot.tables["leads"]) == 0


# --- keys and references ---


def test_a_required_cell_that_is_empty_is_refused(tmp_path: Path) -> None:
    assert places(breaches(tmp_path, reps="rep_id,name,role\nR1,,inside\n,Ben,inside\n")) == [
        ("reps", "rep_id", (2,)),
        ("reps", "name", (1,)),
    ]


def test_a_required_column_or_table_that_is_missing_is_named(tmp_path: Path) -> None:
    found = breaches(tmp_path / "a", reps="rep_id,name\nR1,Ada\n")
    assert places(found) == [("reps", "role", ())]
    assert places(breaches(tmp_path / "b", leads=None)) == [("leads", "(header)", ())]


def test_a_key_that_comes_twice_is_refused_with_all_its_rows(tmp_path: Path) -> None:
    found = breaches(tmp_path, reps="rep_id,name,role\nR1,Ada,inside\nR2,Ben,inside\nR1,Eve,inside\n")
    assert [(b.column, b.rows, b.value) for b in found] == [("rep_id", (1, 3), "R1")]


def test_a_key_of_two_columns_is_unique_as_a_pair(tmp_path: Path) -> None:
    opportunities = f"opportunity_id,account_id,rep_id,opened_at\nO1,A1,R1,{WHEN}\nO2,A1,R1,{WHEN}\n"
    sound = "opportunity_id,contact_id\nO1,C1\nO1,C2\nO2,C1\n"
    assert breaches(tmp_path, opportunities=opportunities, opportunity_contacts=sound) == ()
    found = breaches(tmp_path, opportunities=opportunities, opportunity_contacts=sound + "O1,C1\n")
    assert places(found) == [("opportunity_contacts", "opportunity_id + contact_id", (1, 4))]


def test_a_required_reference_to_no_row_is_refused(tmp_path: Path) -> None:
    contacts = f"contact_id,account_id,created_at\nC1,A1,{WHEN}\nC2,A9,{WHEN}\n"
    found = breaches(tmp_path, contacts=contacts)
    assert [(b.table, b.column, b.rows, b.value) for b in found] == [("contacts", "account_id", (2,), "A9")]


def test_an_optional_reference_to_no_row_is_counted_in_a_warning(tmp_path: Path) -> None:
    snapshot = read(tmp_path, accounts=f"account_id,name,owner_rep_id,created_at\nA1,x,R1,{WHEN}\nA2,x,R9,{WHEN}\n")
    warning = next(w for w in snapshot.warnings if w.column == "owner_rep_id")
    assert (warning.table, warning.rows, warning.value) == ("accounts", (2,), "R9")
    assert "1 of 2" in warning.expected


def test_a_required_reference_to_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = breaches(tmp_path, meeting_contacts="meeting_id,contact_id\nM1,C1\n")
    assert places(found) == [("meeting_contacts", "meeting_id", ())]


def test_every_breach_of_every_table_is_listed_at_once(tmp_path: Path) -> None:
    found = breaches(
        tmp_path,
        accounts=f"account_id,name,annual_revenue,created_at\nA1,x,-1,{WHEN}\nA2,x,abc,never\n",
        reps="rep_id,name,role\nR1,Ada,boss\nR1,Ben,inside\n",
        leads=f"lead_id,contact_id,solution,created_at\nL1,C9,x,{WHEN}\n",
    )
    assert sorted(places(found)) == [
        ("accounts", "annual_revenue", (1,)),
        ("accounts", "annual_revenue", (2,)),
        ("accounts", "created_at", (2,)),
        ("leads", "contact_id", (1,)),
        ("reps", "rep_id", (1, 2)),
        ("reps", "role", (1,)),
    ]


def test_one_bad_row_in_ten_thousand_is_found(tmp_path: Path) -> None:
    rows = [f"A{i},x,{i},{WHEN}\n" for i in range(10_000)]
    rows[7_654] = f"A7654,x,seven,{WHEN}\n"
    accounts = "account_id,name,employees,created_at\n" + "".join(rows)
    contacts = f"contact_id,account_id,created_at\nC1,A1,{WHEN}\n"
    found = breaches(tmp_path, accounts=accounts, contacts=contacts)
    assert [(b.column, b.rows, b.value) for b in found] == [("employees", (7_655,), "seven")]


# --- keys that are made ---

ACTIVITIES = "contact_id,kind,occurred_at\n"
THREE = [f"C1,visit,{WHEN}\n", "C1,reply,2025-01-01T01:00:00+01:00\n", f"C2,visit,{WHEN}\n"]


def keys_by_row(folder: Path, lines: list[str]) -> list[tuple[str, ...]]:
    frame = read(folder, activities=ACTIVITIES + "".join(lines)).tables["activities"]
    columns = ["contact_id", "kind", "activity_id"]
    return sorted(frame[columns].itertuples(index=False, name=None))


def test_a_missing_key_is_made_from_the_content_whatever_the_order(tmp_path: Path) -> None:
    made = keys_by_row(tmp_path, THREE)
    assert len({key for *_, key in made}) == 3
    assert keys_by_row(tmp_path, THREE[::-1]) == made
    # The same instant, spelt in another zone, is the same content.
    assert keys_by_row(tmp_path, [*THREE[:1], f"C1,reply,{WHEN}\n", THREE[2]]) == made


def test_rows_alike_in_everything_get_numbered_keys(tmp_path: Path) -> None:
    once = dict.fromkeys(key for *_, key in keys_by_row(tmp_path, THREE))
    thrice = [key for *_, key in keys_by_row(tmp_path, [*THREE, THREE[0], THREE[0]])]
    first = next(k for k in thrice if f"{k}-2" in thrice)
    assert set(thrice) == {*once, f"{first}-2", f"{first}-3"}


def test_a_key_that_is_there_is_kept_and_must_be_whole(tmp_path: Path) -> None:
    header = "activity_id," + ACTIVITIES
    assert read(tmp_path, activities=f"{header}X1,{THREE[0]}").tables["activities"]["activity_id"].tolist() == ["X1"]
    assert places(breaches(tmp_path, activities=f"{header},{THREE[0]}")) == [("activities", "activity_id", (1,))]


# --- changes ---

CHANGES = "table_name,row_id,column_name,value,valid_from\n"


def test_a_change_must_be_of_a_tracked_column_and_hold_what_it_may(tmp_path: Path) -> None:
    found = breaches(
        tmp_path,
        changes=f"{CHANGES}accounts,A1,status,customer,{WHEN}\naccounts,A1,status,friend,{WHEN[:-1]}+01:00\n"
        f"accounts,A1,annual_revenue,much,{WHEN}\naccounts,A1,name,New,{WHEN}\n",
    )
    assert sorted((b.column, b.rows, b.value) for b in found) == [
        ("column_name", (4,), "accounts.name"),
        ("value", (2,), "friend"),
        ("value", (3,), "much"),
    ]


def test_a_change_of_a_row_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    snapshot = read(tmp_path, changes=f"{CHANGES}accounts,A9,status,customer,{WHEN}\naccounts,A1,status,,{WHEN}\n")
    assert [(w.column, w.rows, w.value) for w in snapshot.warnings if w.table == "changes"] == [("row_id", (1,), "A9")]


def test_a_leave_that_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    header = "rep_id,starts_at,ends_at\n"
    sound = f"{header}R1,{WHEN},2025-01-05T00:00:00Z\n"
    assert breaches(tmp_path, time_off=sound) == ()
    assert places(breaches(tmp_path, time_off=f"{sound}R1,2025-02-01T00:00:00Z,{WHEN}\n")) == [
        ("time_off", "ends_at", (2,))
    ]


# --- any table, any text ---


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), min_size=1, max_size=8
    )
)
def test_any_text_survives_being_read(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(
        [["rep_id", "name", "role"], *([f"R{i}", n, "inside"] for i, n in enumerate(names))]
    )
    folder = tmp_path_factory.mktemp("text")
    assert read(folder, reps=out.getvalue()).tables["reps"]["name"].tolist() == names


def test_every_required_column_is_asked_for_in_every_table(tmp_path: Path) -> None:
    for number, (name, table) in enumerate(TABLES.items()):
        made = table.key[0] if table.made_key else None
        needed = [c.name for c in table.columns if c.required and c.name != made]
        found = breaches(tmp_path / str(number), **{name: "known_at\n"})
        assert [b.column for b in found if b.table == name and not b.rows] == needed


def test_lists_are_split_at_semicolons() -> None:
    assert split_list("us-east; uk;;dach") == ("us-east", "uk", "dach")
    assert split_list(float("nan")) == ()
