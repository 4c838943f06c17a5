"""The CRM in memory is what the ledger holds, read whole or followed row by row, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.schema import TABLES
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.change import Change, changing
from serving.ledger.crm import CRM
from serving.ledger.load import load
from serving.ledger.rows import as_rows, cells_of
from serving.live.crm import Crm, LedgerEmpty
from tests.serving.conftest import Crm as SmallCrm

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def filled(stocked: Ledger) -> Ledger:
    return stocked


def read(ledger: Ledger) -> Crm:
    with ledger.reading() as connection:
        return Crm.read(connection)


def caught_up(ledger: Ledger, crm: Crm) -> Crm:
    with ledger.reading() as connection:
        return crm.caught_up(connection)


def row(table: str, **told: Any) -> dict[str, Any]:
    return dict.fromkeys(TABLES[table].names) | told


def stored_row(crm: SmallCrm, table: str, place: int) -> dict[str, Any]:
    frame = crm.snapshot.tables[table]
    return dict(as_rows(table, cells_of(table, frame.iloc[place : place + 1]))[0])


def assert_same(one: Crm, other: Crm) -> None:
    assert one.tables.keys() == other.tables.keys()
    assert (dict(one.columns), one.seq) == (dict(other.columns), other.seq)
    for name, frame in one.tables.items():
        pd.testing.assert_frame_equal(frame, other.tables[name], obj=name)


def test_it_is_what_a_snapshot_of_the_ledger_is(filled: Ledger) -> None:
    """Training reads the ledger as --data, so what serves must see the very same."""
    ours, theirs = read(filled), read_snapshot(filled.engine.url.render_as_string(hide_password=False))
    assert ours.columns == theirs.columns
    for name, frame in ours.tables.items():
        pd.testing.assert_frame_equal(frame, theirs.tables[name].sort_values(list(TABLES[name].key), ignore_index=True))


def _new_row(change: Change, crm: SmallCrm) -> None:
    contact = crm.snapshot.tables["contacts"]["contact_id"].iloc[3]
    rep = crm.snapshot.tables["reps"]["rep_id"].iloc[0]
    change.upsert(
        "touches",
        [
            row("touches", touch_id=name, rep_id=rep, contact_id=contact, kind="call", occurred_at=AT)
            for name in ("0 first", "middle", "zz last", "Ä beyond ASCII")
        ],
    )


def _other_row(change: Change, crm: SmallCrm) -> None:
    change.upsert("meetings", [stored_row(crm, "meetings", 5) | {"starts_at": AT, "cancelled_at": AT}])
    change.upsert("contacts", [stored_row(crm, "contacts", 0) | {"objects_to_profiling": True, "title": None}])


def _gone(change: Change, crm: SmallCrm) -> None:
    for table in ("touches", "meeting_contacts"):
        lost = stored_row(crm, table, 7)
        key = [lost[name] for name in TABLES[table].key]
        target = CRM[table]
        change.connection.execute(
            target.delete().where(*(target.c[n] == v for n, v in zip(TABLES[table].key, key, strict=True)))
        )
        change.touch(table, key, gone=True)


def _history(change: Change, crm: SmallCrm) -> None:
    """A key of four columns, an instant among them; then the same key again."""
    told = {"table_name": "leads", "row_id": "L1", "column_name": "grade", "valid_from": AT}
    change.upsert("changes", [row("changes", **told, value=value) for value in ("A", "B")])


def _whole(change: Change, _: SmallCrm) -> None:
    table = CRM["activities"]
    change.connection.execute(table.update().values(kind="webinar").where(table.c.kind == "visit"))
    change.touch("activities", None)


def _nothing(change: Change, _: SmallCrm) -> None:
    """A decision or an audit row counts the clock up, too."""


@pytest.mark.parametrize("write", [_new_row, _other_row, _gone, _history, _whole, _nothing])
def test_what_changed_is_caught_up_with(filled: Ledger, crm: SmallCrm, write: Any) -> None:
    before = read(filled)
    with changing(filled) as change:
        write(change, crm)
        touched = {table for table, _, _ in change.touched}
    after = caught_up(filled, before)
    assert after.seq == before.seq + 1
    assert_same(after, read(filled))
    assert {name for name in after.tables if after.tables[name] is not before.tables[name]} == touched


def test_nothing_new_is_the_same(filled: Ledger) -> None:
    before = read(filled)
    assert caught_up(filled, before) is before


def test_a_table_that_was_missing_is_there_with_its_first_row(ledger: Ledger, crm: SmallCrm) -> None:
    """What no source told is missing, and not empty: until somebody tells it."""
    some = dict(crm.snapshot.tables)
    del some["time_off"]
    columns = {name: told for name, told in crm.snapshot.columns.items() if name != "time_off"}
    load(ledger, type(crm.snapshot)(**{**vars(crm.snapshot), "tables": some, "columns": columns}))
    before = read(ledger)
    assert "time_off" not in before.tables
    with changing(ledger) as change:
        change.upsert(
            "time_off", [row("time_off", time_off_id="1", rep_id="R00001", starts_at=AT, ends_at=AT + timedelta(1))]
        )
    after = caught_up(ledger, before)
    assert set(after.columns["time_off"]) == {"time_off_id", "rep_id", "starts_at", "ends_at"}
    assert_same(after, read(ledger))


def test_many_changes_are_read_at_once(filled: Ledger, crm: SmallCrm) -> None:
    before = read(filled)
    for write in (_new_row, _other_row, _gone, _history, _new_row):
        with changing(filled) as change:
            write(change, crm)
    assert_same(caught_up(filled, before), read(filled))


def test_another_ledger_in_its_place_is_read_anew(filled: Ledger, crm: SmallCrm) -> None:
    """A backup that was restored knows fewer changes than we do."""
    later = Crm(**{**vars(read(filled)), "seq": 99, "tables": {}})
    assert_same(caught_up(filled, later), read(filled))


def test_an_empty_ledger_is_refused_with_the_remedy(ledger: Ledger) -> None:
    with pytest.raises(LedgerEmpty, match="callsheet load --data"):
        read(ledger)
