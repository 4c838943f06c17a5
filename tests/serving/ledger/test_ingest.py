"""Rows put in one by one: the same as a load of the whole, held to the same contracts, with no effect on the past."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from features.ahead import AHEAD
from features.config import read_config
from features.schema import TABLES
from features.snapshot import Snapshot, read_snapshot, write_snapshot
from serving.actor import LOCAL
from serving.doors import Doors
from serving.ledger import Ledger
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.crm import CRM
from serving.ledger.events import record
from serving.ledger.ingest import LATE, Ingested, LeadHeld, OfferMadeHere, RowsInvalid, ingest
from serving.ledger.load import load
from serving.ledger.rows import as_rows, cells_of
from serving.ledger.tables import CRM_COLUMNS, HOLDS
from tests.features.crm_files import read
from tests.features.small_crm import MARKET
from tests.serving.ledger.test_load import decide
from training.sample import write_sample

CONFIG = read_config(MARKET)
NOW = datetime(2025, 3, 10, 9, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 5, tzinfo=UTC)
TOUCH = {"rep_id": "R1", "contact_id": "C1", "kind": "call"}
UNTRACKED = {"table_name": "reps", "row_id": "R1", "column_name": "name", "valid_from": NOW}
NOWHERE = {"opportunity_id": "O1", "contact_id": "C1"}
MEETING = {"rep_id": "R1", "account_id": "A1", "starts_at": NOW + timedelta(days=3), "created_at": NOW}


def put(ledger: Ledger, at: datetime = NOW, **tables: Sequence[dict[str, Any]]) -> Ingested:
    with changing(ledger, at) as change:
        return ingest(change, tables)


@pytest.fixture
def small(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A ledger with the small CRM in it."""
    load(ledger, read(tmp_path / "crm"))
    return ledger


def frame(ledger: Ledger, name: str) -> pd.DataFrame:
    return read_snapshot(ledger.url).tables[name]


# --- the same as a load ---


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A sample CRM of which every row says since when it is known."""
    folder = tmp_path_factory.mktemp("tiny")
    write_sample(folder / "crm", accounts=50, reps=12, offers=20, seed=3, end=date(2026, 3, 1))
    known = pd.Timestamp("2026-03-01T00:00:00Z").as_unit("us")
    tables = {
        n: f.assign(known_at=f["known_at"].fillna(known)) for n, f in read_snapshot(str(folder / "crm")).tables.items()
    }
    write_snapshot(tables, folder / "known", format="parquet")
    return read_snapshot(str(folder / "known"))


def wipe(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for table in (*CRM.values(), CRM_COLUMNS, HOLDS):
            connection.execute(delete(table))


@settings(
    max_examples=4,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 1_000), cuts=st.lists(st.floats(0, 1), max_size=6), again=st.booleans())
def test_rows_in_any_batches_are_the_load_of_the_whole(
    ledger: Ledger, tiny: Snapshot, seed: int, cuts: list[float], again: bool
) -> None:
    wipe(ledger)
    shuffle = random.Random(seed)
    rows: list[tuple[str, Any]] = []
    for name in (n for n in TABLES if n in tiny.tables):
        of_table = as_rows(name, cells_of(name, tiny.tables[name]))
        shuffle.shuffle(of_table)
        rows += [(name, row) for row in of_table]
    places = sorted({0, len(rows), *(int(cut * len(rows)) for cut in cuts)})
    batches = [rows[start:stop] for start, stop in pairwise(places)]
    for batch in batches + (batches[:2] if again else []):
        tables: dict[str, list[Any]] = {}
        for name, row in batch:
            tables.setdefault(name, []).append(row)
        put(ledger, datetime.now(UTC), **tables)
    assert read_snapshot(ledger.url).fingerprint == tiny.fingerprint
    with ledger.reading() as connection:
        held = {(r.lead_id, r.offer_id) for r in connection.execute(select(HOLDS))}
    load(ledger, tiny)
    with ledger.reading() as connection:
        assert held == {(r.lead_id, r.offer_id) for r in connection.execute(select(HOLDS))}


# --- by key ---


def test_a_row_that_is_known_keeps_what_the_request_leaves_out(small: Ledger) -> None:
    put(small, reps=[{"rep_id": "R1", "country": "GB"}])
    done = put(small, reps=[{"rep_id": "R1", "segment": "large"}, {"rep_id": "R2", "country": None}])
    assert (done.rows, done.inserted, done.changed) == ({"reps": 2}, 0, 1)
    reps = frame(small, "reps")
    assert reps[["name", "country", "segment"]].iloc[0].tolist() == ["Ada", "GB", "large"]


def test_rows_may_refer_to_rows_of_the_same_request(small: Ledger) -> None:
    put(
        small,
        meetings=[{**MEETING, "meeting_id": "M1", "contact_id": "C9"}],
        meeting_contacts=[{"meeting_id": "M1", "contact_id": "C9"}],
        contacts=[{"contact_id": "C9", "account_id": "A9", "created_at": NOW}],
        accounts=[{"account_id": "A9", "name": "Nine", "created_at": NOW}],
    )
    assert frame(small, "meeting_contacts")["contact_id"].tolist() == ["C9"]


def test_an_event_without_a_key_sent_twice_is_one_event(small: Ledger) -> None:
    first = put(small, meetings=[MEETING])
    again = put(small, NOW + timedelta(days=2), meetings=[MEETING])
    assert (first.inserted, again.inserted, again.changed) == (1, 0, 0)
    both = put(small, meetings=[MEETING, MEETING])
    assert both.inserted == 1  # two alike in one request are two
    assert len(frame(small, "meetings")) == 2


def test_who_follows_is_told_of_each_row(small: Ledger) -> None:
    with small.reading() as connection:
        seq = seq_of(connection)
    put(small, reps=[{"rep_id": "R1", "name": "Ada L."}, {"rep_id": "R2", "name": "Ben"}])
    with small.reading() as connection:
        changed = changed_since(connection, seq)
    assert changed.rows == {"reps": [("R1",)]}
    assert not changed.whole
    put(small, meetings=[{**MEETING, "cancelled_at": None}])
    with small.reading() as connection:
        assert changed_since(connection, changed.seq).whole == {"meetings"}  # a column that is there, and empty
    assert "meetings.cancelled_at" not in read_snapshot(small.url).missing
    assert "meetings.contact_id" in read_snapshot(small.url).missing


# --- what lies ahead ---


def test_what_cannot_have_happened_yet_is_refused_by_its_place_and_what_is_planned_is_not(small: Ledger) -> None:
    later = NOW + AHEAD + timedelta(seconds=1)
    wrong: dict[str, list[dict[str, Any]]] = {
        "touches": [{**TOUCH, "occurred_at": NOW + AHEAD}, {**TOUCH, "touch_id": "T9", "occurred_at": later}],
        "leads": [{"lead_id": "L1", "closed_at": later}],
    }
    with pytest.raises(RowsInvalid) as caught:
        put(small, **wrong)
    told = [(b.table, b.column, b.rows, b.value) for b in caught.value.breaches]
    assert told == [
        ("leads", "closed_at", (1,), later.isoformat()), ("touches", "occurred_at", (2,), later.isoformat())
    ]  # fmt: skip
    assert caught.value.field == "tables.leads[0].closed_at"
    assert "5 minutes ahead of our clock" in str(caught.value)
    assert frame(small, "leads")["closed_at"].isna().all()
    years = NOW + timedelta(days=800)
    put(
        small, touches=wrong["touches"][:1], meetings=[MEETING | {"meeting_id": "M9", "starts_at": years}],
        time_off=[{"time_off_id": "V9", "rep_id": "R1", "starts_at": years, "ends_at": years}],
        reps=[{"rep_id": "R1", "active_until": years}],
    )  # fmt: skip


# --- what comes late ---


def test_what_comes_late_is_known_since_now_and_what_does_not_since_its_own_time(small: Ledger) -> None:
    soon = NOW - LATE + timedelta(minutes=1)
    put(
        small,
        touches=[
            {**TOUCH, "touch_id": "T1", "occurred_at": LONG_AGO},
            {**TOUCH, "touch_id": "T2", "occurred_at": soon},
            {**TOUCH, "touch_id": "T3", "occurred_at": LONG_AGO, "known_at": LONG_AGO},
        ],
        time_off=[{"time_off_id": "V1", "rep_id": "R1", "starts_at": NOW, "ends_at": NOW}],
        accounts=[{"account_id": "A3", "name": "Cog", "created_at": NOW, "status": "prospect"}],
    )  # fmt: skip
    now, known = pd.Timestamp(NOW), frame(small, "touches")["known_at"]
    assert known.tolist()[0] == now
    assert pd.isna(known[1])
    assert known.tolist()[2] == pd.Timestamp(LONG_AGO)
    assert frame(small, "time_off")["known_at"].tolist() == [now]
    assert frame(small, "accounts")["known_at"].tolist()[2] == now
    put(small, NOW + timedelta(days=9), touches=[{"touch_id": "T2", "kind": "email"}])
    assert pd.isna(frame(small, "touches")["known_at"][1])  # a known row keeps the time since which it is known


def test_a_tracked_column_that_changes_leaves_its_history(small: Ledger) -> None:
    put(small, contacts=[{"contact_id": "C1", "title": "CFO"}])
    later = NOW + timedelta(days=1)
    put(small, later, contacts=[{"contact_id": "C1", "title": "CEO", "email": "x@example.test"}])
    changes = frame(small, "changes")
    assert set(zip(changes["table_name"], changes["row_id"], changes["column_name"], strict=True)) == {
        ("contacts", "C1", "title")
    }
    assert changes["valid_from"].tolist() == [pd.Timestamp(t) for t in (datetime(2025, 1, 3, tzinfo=UTC), NOW, later)]
    assert changes["value"].fillna("").tolist() == ["", "CFO", "CEO"]
    put(small, later + timedelta(days=1), contacts=[{"contact_id": "C1", "email": "y@example.test"}])
    assert len(frame(small, "changes")) == 3


def test_history_in_the_request_is_not_told_twice(small: Ledger) -> None:
    told = {"table_name": "reps", "row_id": "R1", "column_name": "segment", "value": "large", "valid_from": NOW}
    put(small, reps=[{"rep_id": "R1", "segment": "large"}], changes=[told])
    assert len(frame(small, "changes")) == 1


# --- what is refused ---


@pytest.mark.parametrize(
    ("tables", "field"),
    [
        ({"meetings": [{**MEETING, "starts_at": None}]}, "tables.meetings[0].starts_at"),
        ({"meetings": [MEETING, {**MEETING, "rep_id": "R77"}]}, "tables.meetings[1].rep_id"),
        ({"reps": [{"rep_id": "R5", "name": "Eve"}]}, "tables.reps[0].role"),
        ({"reps": [{"rep_id": "R1"}, {"rep_id": "R1"}]}, "tables.reps[0].rep_id"),
        ({"reps": [{"rep_id": "R1", "timezone": "Mars/Base"}]}, "tables.reps[0].timezone"),
        ({"contacts": [{"contact_id": "C1", "title": "a\x00b"}]}, "tables.contacts[0].title"),
        ({"changes": [UNTRACKED]}, "tables.changes[0].column_name"),
        ({"time_off": [{"rep_id": "R1", "starts_at": NOW, "ends_at": LONG_AGO}]}, "tables.time_off[0].ends_at"),
        ({"opportunity_contacts": [NOWHERE]}, "tables.opportunity_contacts[0].opportunity_id"),
    ],
)  # fmt: skip
def test_a_row_that_breaks_its_contract_refuses_the_whole_request_by_its_place(
    small: Ledger, tables: dict[str, list[dict[str, Any]]], field: str
) -> None:
    with small.reading() as connection:
        seq = seq_of(connection)
    with pytest.raises(RowsInvalid) as refused:
        put(small, accounts=[{"account_id": "A5", "name": "Five", "created_at": NOW}], **tables)
    assert (refused.value.code, refused.value.status, refused.value.field) == ("table_invalid", 400, field)
    assert "Nothing was stored" in str(refused.value)
    assert "A5" not in frame(small, "accounts")["account_id"].tolist()
    with small.reading() as connection:
        assert seq_of(connection) == seq


def test_an_offer_that_was_made_here_is_told_of_by_events_alone(small: Ledger) -> None:
    decide(small)
    same = {"offer_id": "F1", "lead_id": "L1", "rep_id": "R1"}
    put(small, offers=[same])  # says nothing else
    with pytest.raises(OfferMadeHere, match="/record") as refused:
        put(small, offers=[{**same, "answer": "accepted", "answered_at": NOW}])
    assert refused.value.field == "tables.offers[0].offer_id"
    other = {"offer_id": "F2", "lead_id": "L1", "rep_id": "R2", "offered_at": NOW}
    with pytest.raises(LeadHeld) as held:
        put(small, offers=[other])
    assert held.value.field == "tables.offers[0].lead_id"
    put(small, offers=[{**other, "answer": "rejected", "answered_at": NOW}])
    with small.reading() as connection:
        assert connection.execute(select(HOLDS.c.offer_id)).scalars().all() == ["F1"]


def test_an_offer_made_elsewhere_holds_its_lead_until_it_is_answered(small: Ledger) -> None:
    def held() -> list[str]:
        with small.reading() as connection:
            return list(connection.execute(select(HOLDS.c.offer_id)).scalars())

    put(small, offers=[{"offer_id": "F2", "lead_id": "L1", "rep_id": "R2", "offered_at": NOW}])
    assert held() == ["F2"]
    put(small, offers=[{"offer_id": "F2", "answer": "rejected", "answered_at": NOW}])
    assert held() == []
    put(small, offers=[{"offer_id": "F2", "answer": "accepted"}])
    put(small, leads=[{"lead_id": "L1", "status": "closed", "closed_at": NOW}])
    assert held() == []


def test_many_rows_go_in_at_once(small: Ledger) -> None:
    rows = [
        {**TOUCH, "touch_id": f"T{i}", "occurred_at": NOW - timedelta(seconds=i)} for i in range(5_000)
    ]  # fmt: skip
    assert put(small, touches=rows).inserted == 5_000
    with small.reading() as connection:
        assert connection.execute(select(func.count()).select_from(CRM["touches"])).scalar_one() == 5_000


# --- with what events tell ---


def test_an_event_that_waited_for_its_offer_takes_effect_when_it_comes(small: Ledger, tmp_path: Path) -> None:
    doors = Doors(small, CONFIG, tmp_path, lambda: None)
    with changing(small, NOW) as change:
        event = {"event_id": "e1", "offer_id": "F7", "kind": "accepted", "at": NOW}
        assert [o.result for o in record(change, CONFIG, [event], LOCAL)] == ["parked"]
    offer = {"offer_id": "F7", "lead_id": "L1", "rep_id": "R1", "offered_at": LONG_AGO}
    doors.take_in({"offers": [offer]}, LOCAL)
    assert frame(small, "offers")["answer"].tolist() == ["accepted"]


def test_what_events_made_of_an_offer_is_not_undone_by_its_source(small: Ledger, tmp_path: Path) -> None:
    """The CRM's next snapshot does not know of the answer yet."""
    offers = "offer_id,lead_id,rep_id,offered_at\nF7,L1,R1,2025-02-02T00:00:00Z\n"
    load(small, read(tmp_path / "again", offers=offers))
    with changing(small, NOW) as change:
        event = {"event_id": "e1", "offer_id": "F7", "kind": "rejected", "at": NOW, "reason": "bad_fit"}
        assert [o.result for o in record(change, CONFIG, [event], LOCAL)] == ["applied"]
    done = load(small, read(tmp_path / "again", offers=offers), config=CONFIG)
    assert next(t.ours for t in done.tables if t.table == "offers") == 1
    assert frame(small, "offers")["answer"].tolist() == ["rejected"]
    with pytest.raises(OfferMadeHere):
        put(small, offers=[{"offer_id": "F7", "answer": None}])
