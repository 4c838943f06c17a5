"""A snapshot in the ledger: the same when read back, whole or not at all, its history kept, its own offers spared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import func, insert, select

from features.errors import TableError
from features.snapshot import Snapshot, read_snapshot
from serving.ledger import Ledger
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.crm import CRM
from serving.ledger.load import Loaded, OffersWouldBeLost, load
from serving.ledger.rows import EVER
from serving.ledger.tables import DECISIONS, HOLDS
from tests.features.crm_files import read
from tests.serving.conftest import Crm

AT = datetime(2025, 3, 1, tzinfo=UTC)
OFFERS = "offer_id,lead_id,rep_id,offered_at,answer,answered_at\n"


def back(url: str) -> Snapshot:
    return read_snapshot(url)


def counts(done: Loaded, table: str) -> tuple[int, int, int, int]:
    found = next(t for t in done.tables if t.table == table)
    return found.inserted, found.changed, found.unchanged, found.removed


def decide(ledger: Ledger, offer_id: str = "F1", lead_id: str = "L1", rep_id: str = "R1") -> None:
    """An offer that this ledger made."""
    with changing(ledger, AT) as change:
        change.connection.execute(
            insert(DECISIONS).values(
                decision_id=f"D-{offer_id}", at=AT, actor="local", route="/recommend_reps", lead_id=lead_id, as_of=AT,
                policy="champion", rung="champion", feature_version="f", config_fingerprint="c", inputs_hash="h",
                book_seq=0, candidates=2, refused="{}",
            )
        )  # fmt: skip
        row = dict.fromkeys(CRM["offers"].c.keys()) | {
            "offer_id": offer_id, "lead_id": lead_id, "rep_id": rep_id, "offered_at": AT, "decision_id": f"D-{offer_id}"
        }  # fmt: skip
        change.upsert("offers", [row])
        change.connection.execute(insert(HOLDS).values(lead_id=lead_id, offer_id=offer_id, rep_id=rep_id))


def test_a_snapshot_reads_back_the_same_from_the_ledger(ledger: Ledger, url: str, crm: Crm) -> None:
    done = load(ledger, crm.snapshot)
    again = back(url)
    assert again.fingerprint == crm.snapshot.fingerprint
    assert again.now == crm.snapshot.now
    assert set(again.missing) == set(crm.snapshot.missing)
    for name, frame in crm.snapshot.tables.items():
        key = list(CRM[name].primary_key.columns.keys())
        left, right = (f.sort_values(key).reset_index(drop=True) for f in (frame, again.tables[name]))
        pd.testing.assert_frame_equal(left, right)
    assert {t.table: t.rows for t in done.tables} == {n: len(t) for n, t in crm.snapshot.tables.items()}
    assert all((t.inserted, t.changed) == (t.rows, 0) for t in done.tables)


def test_what_the_source_lacks_stays_missing_and_what_is_there_but_empty_does_not(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    empty = read(tmp_path, meetings="rep_id,account_id,starts_at,created_at,cancelled_at\n")
    load(ledger, empty)
    again = back(url)
    assert set(again.tables) == set(empty.tables)
    assert again.missing == empty.missing
    assert "meetings" not in again.missing
    assert "touches" in again.missing
    assert again.fingerprint == empty.fingerprint


def test_a_load_again_puts_rows_in_by_key_and_says_what_became_of_them(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    first = load(ledger, read(tmp_path))
    reps = "rep_id,name,role\nR1,Ada Lovelace,inside\nR2,Ben,enterprise\nR3,Cy,inside\n"
    second = load(ledger, read(tmp_path, reps=reps))
    assert counts(second, "reps") == (1, 1, 1, 0)
    assert counts(second, "accounts") == (0, 0, 2, 0)
    assert back(url).tables["reps"]["name"].tolist() == ["Ada Lovelace", "Ben", "Cy"]
    with ledger.reading() as connection:
        assert changed_since(connection, first.seq).whole == {"reps"}


def test_a_column_that_no_later_source_has_is_emptied_but_a_row_that_it_leaves_out_stays(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    load(ledger, read(tmp_path, reps="rep_id,name,role,country\nR1,Ada,inside,GB\nR2,Ben,inside,GB\n"))
    load(ledger, read(tmp_path, reps="rep_id,name,role\nR1,Ada,inside\n"))
    assert back(url).tables["reps"]["country"].fillna("").tolist() == ["", "GB"]


def test_a_tracked_column_that_changes_leaves_its_history(ledger: Ledger, url: str, tmp_path: Path) -> None:
    reps = "rep_id,name,role,weekly_capacity\nR1,Ada,inside,{}\nR2,Ben,enterprise,5\n"
    load(ledger, read(tmp_path, reps=reps.format(4)))
    load(ledger, read(tmp_path, reps=reps.format(6.5)))
    changes = back(url).tables["changes"]
    assert changes["value"].tolist() == ["4", "6.5"]
    assert (changes["column_name"] == "weekly_capacity").all()
    assert changes["valid_from"].tolist()[0] == pd.Timestamp(EVER)
    load(ledger, read(tmp_path, reps=reps.format(7)))
    assert back(url).tables["changes"]["value"].tolist() == ["4", "6.5", "7"]


def test_what_outcomes_move_stays_hidden_for_the_past(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """It was hidden until now for want of a known_at, so its old value may not come to light by being replaced."""
    accounts = "account_id,name,status,created_at\nA1,Acme,{},2025-01-01T00:00:00Z\nA2,Bolt,,2025-01-01T00:00:00Z\n"
    load(ledger, read(tmp_path, accounts=accounts.format("prospect")))
    load(ledger, read(tmp_path, accounts=accounts.format("customer")))
    assert back(url).tables["changes"]["value"].tolist() == ["customer"]


def test_history_that_the_source_tells_itself_is_not_told_twice(ledger: Ledger, url: str, tmp_path: Path) -> None:
    reps = "rep_id,name,role,weekly_capacity\nR1,Ada,inside,{}\nR2,Ben,enterprise,5\n"
    load(ledger, read(tmp_path, reps=reps.format(4)))
    told = "table_name,row_id,column_name,value,valid_from\nreps,R1,weekly_capacity,6,2025-02-01T00:00:00Z\n"
    load(ledger, read(tmp_path, reps=reps.format(6), changes=told))
    assert back(url).tables["changes"]["value"].tolist() == ["6"]


def test_open_leads_are_held_by_their_latest_open_or_accepted_offer(ledger: Ledger, tmp_path: Path) -> None:
    leads = "lead_id,contact_id,solution,created_at,status\n"
    leads += "".join(f"L{i},C1,payments,2025-02-01T00:00:00Z,{'closed' if i == 4 else 'open'}\n" for i in range(1, 6))
    offers = OFFERS + "F1,L1,R1,2025-02-02T00:00:00Z,accepted,2025-02-03T00:00:00Z\nF2,L1,R2,2025-02-04T00:00:00Z,,\n"
    offers += "F3,L2,R1,2025-02-02T00:00:00Z,rejected,2025-02-03T00:00:00Z\nF4,L3,R1,2025-02-02T00:00:00Z,,\n"
    offers += "F5,L4,R1,2025-02-02T00:00:00Z,,\n"
    done = load(ledger, read(tmp_path, leads=leads, offers=offers))
    with ledger.reading() as connection:
        assert {r.lead_id: r.offer_id for r in connection.execute(select(HOLDS))} == {"L1": "F2", "L3": "F4"}
    assert (done.held, done.doubled) == (2, 1)


def test_replacing_takes_out_what_the_data_lacks_but_no_offer_made_here(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    load(ledger, read(tmp_path, offers=OFFERS + "F0,L1,R1,2025-02-02T00:00:00Z,rejected,2025-02-03T00:00:00Z\n"))
    decide(ledger)
    smaller = read(tmp_path / "smaller", contacts="contact_id,account_id,created_at\nC1,A1,2025-01-03T00:00:00Z\n")
    done = load(ledger, smaller, replace=True)
    assert counts(done, "contacts") == (0, 0, 1, 1)
    assert counts(done, "offers") == (0, 0, 0, 1)
    assert back(url).tables["contacts"]["contact_id"].tolist() == ["C1"]
    assert back(url).tables["offers"]["offer_id"].tolist() == ["F1"]
    with ledger.reading() as connection:
        assert connection.execute(select(HOLDS.c.offer_id)).scalars().all() == ["F1"]


def test_replacing_that_would_lose_an_offer_made_here_is_refused_with_the_remedy(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    load(ledger, read(tmp_path))
    decide(ledger)
    before = back(url).fingerprint
    other = read(
        tmp_path / "other", leads="lead_id,contact_id,solution,created_at\nL2,C1,payments,2025-02-01T00:00:00Z\n"
    )
    with pytest.raises(OffersWouldBeLost, match=r"L1.*without --replace"):
        load(ledger, other, replace=True)
    assert back(url).fingerprint == before


def test_an_offer_made_here_stays_as_it_is_whatever_a_snapshot_says_of_it(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    load(ledger, read(tmp_path))
    decide(ledger)
    stale = OFFERS + "F1,L1,R2,2025-02-02T00:00:00Z,rejected,2025-02-03T00:00:00Z\n"
    done = load(ledger, read(tmp_path, offers=stale))
    assert next(t.ours for t in done.tables if t.table == "offers") == 1
    assert back(url).tables["offers"]["rep_id"].tolist() == ["R1"]


def test_a_load_that_fails_in_the_middle_leaves_nothing(ledger: Ledger, crm: Crm) -> None:
    seen: list[str] = []

    def stop(table: str, rows: int) -> None:
        seen.append(table)
        if table == "touches":
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        load(ledger, crm.snapshot, tick=stop)
    assert "accounts" in seen
    with ledger.reading() as connection:
        assert seq_of(connection) == 0
        assert connection.execute(select(func.count()).select_from(CRM["accounts"])).scalar_one() == 0


def test_a_broken_table_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TableError):
        read(tmp_path, reps="rep_id,name,role\nR1,Ada,king\n")
