"""The release row: compare-and-set, the way back, and durability, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Timer

import pytest
from sqlalchemy import inspect, select

from features.errors import CallsheetError, Conflict, Refused, UsageError
from features.sql import sqlite_module
from serving.ledger import WAL_SAFE, Ledger, LedgerError
from serving.ledger.audit import verify
from serving.ledger.releases import Release, Released, Releases
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, METADATA


def model(version: str) -> Released:
    return Released(version, version.zfill(64), "f1", "m1")


@pytest.fixture
def releases(ledger: Ledger) -> Releases:
    return Releases(ledger)


def test_nothing_serves_before_the_first_release(releases: Releases) -> None:
    assert releases.current() is None
    assert releases.last_good() is None
    assert releases.history() == []


def test_a_release_reads_back_as_it_was_made(releases: Releases) -> None:
    made = releases.promote(model("1"), seen=0, reason="better by 3 %", gate={"passed": True, "low": 0.01})
    assert releases.current() == made
    assert made.gate == {"passed": True, "low": 0.01}
    assert made.promoted_at.tzinfo is not None


def test_who_released_what_and_why_is_in_the_audit(ledger: Ledger, releases: Releases) -> None:
    releases.promote(model("1"), seen=0, reason="better by 3 %", forced=True)
    releases.rollback(seen=1, reason="complaints")
    with ledger.reading() as connection:
        rows = connection.execute(select(AUDIT.c.action, AUDIT.c.subject).order_by(AUDIT.c.number)).all()
        bodies = connection.execute(select(AUDIT_PAYLOADS.c.body).order_by(AUDIT_PAYLOADS.c.number)).scalars()
        said = [json.loads(body) for body in bodies]
        assert verify(connection) is None
    assert [tuple(row) for row in rows] == [("promote", "release 1"), ("rollback", "release 2")]
    assert (said[0]["content_hash"], said[0]["forced"]) == ("1".zfill(64), True)
    assert (said[1]["content_hash"], said[1]["reason"]) == (None, "complaints")


def test_a_promotion_that_was_overtaken_is_refused_and_names_what_serves(releases: Releases) -> None:
    releases.promote(model("1"), seen=0, reason="first")
    with pytest.raises(Conflict, match=r"revision 1 with model 1 serves now"):
        releases.promote(model("2"), seen=0, reason="late")
    assert [r.revision for r in releases.history()] == [1]


def test_a_promotion_based_on_what_never_was_is_refused(releases: Releases) -> None:
    with pytest.raises(Conflict):
        releases.promote(model("1"), seen=4, reason="from another ledger")


def test_rollback_walks_back_one_release_at_a_time_down_to_the_rules(releases: Releases) -> None:
    for revision, version in enumerate(("1", "2", "3")):
        releases.promote(model(version), seen=revision, reason="better")
    served: list[Release] = [releases.rollback(seen=3 + step, reason="complaints") for step in range(3)]
    assert [r.called for r in served] == ["model 2", "model 1", "the rules"]
    with pytest.raises(Refused):
        releases.rollback(seen=6, reason="again")
    releases.promote(model("4"), seen=6, reason="better")
    assert releases.rollback(seen=7, reason="no").called == "the rules"


def test_rollback_then_promote_then_rollback_returns_to_what_really_served(releases: Releases) -> None:
    releases.promote(model("1"), seen=0, reason="a")
    releases.promote(model("2"), seen=1, reason="b")
    releases.rollback(seen=2, reason="bad")
    releases.promote(model("3"), seen=3, reason="c")
    assert releases.rollback(seen=4, reason="bad").called == "model 1"


def test_last_good_is_another_model_than_the_champion(releases: Releases) -> None:
    releases.promote(model("1"), seen=0, reason="a")
    assert releases.last_good() is None
    releases.promote(model("2"), seen=1, reason="b")
    releases.promote(model("2"), seen=2, reason="judged again under another market")
    found = releases.last_good()
    assert found is not None
    assert found.called == "model 1"


def test_a_rollback_past_the_same_files_returns_to_the_last_other_model_or_to_the_rules(releases: Releases) -> None:
    """A person's goes one release back, whatever that served."""
    for revision, version in enumerate(("1", "1", "2", "2", "2")):
        again = replace(model(version), version=f"{version}.{revision}")
        releases.promote(again, seen=revision, reason="trained again")
    assert releases.rollback(seen=5, reason="a person's").called == "model 2.3"
    assert releases.rollback(seen=6, reason="past", past_same=True).called == "model 1.1"
    assert releases.rollback(seen=7, reason="past", past_same=True).called == "the rules"


def test_before_files_that_were_released_again_the_last_other_model_served_or_the_rules(releases: Releases) -> None:
    same = replace(model("1"), version="1.2")
    first = releases.promote(model("1"), seen=0, reason="a")
    second = releases.promote(same, seen=1, reason="a, trained again")
    other = releases.promote(model("2"), seen=2, reason="b")
    third = releases.promote(model("2"), seen=3, reason="b once more")
    assert [releases.before(release) for release in (first, second, other, third)] == [None, None, same, same]


def test_of_promotions_at_once_exactly_one_wins(url: str, tmp_path: Path) -> None:
    Ledger.open(url, tmp_path).close()
    start = Barrier(6)

    def attempt(n: int) -> Release | CallsheetError:
        ledger = Ledger(url)
        start.wait()
        try:
            return Releases(ledger).promote(model(str(n)), seen=0, reason="race")
        except CallsheetError as error:
            return error
        finally:
            ledger.close()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(attempt, range(6)))
    won = [r for r in results if isinstance(r, Release)]
    assert len(won) == 1
    assert all(isinstance(r, Conflict) for r in results if not isinstance(r, Release))


def test_first_starts_at_once_migrate_once(nothing: str, tmp_path: Path) -> None:
    start = Barrier(4)

    def first(_: int) -> None:
        start.wait()
        Ledger.open(nothing, tmp_path).close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(first, range(4)))
    ledger = Ledger.open(nothing, tmp_path)
    assert Releases(ledger).current() is None
    ledger.close()


def test_a_first_start_waits_for_who_writes_to_the_new_file(tmp_path: Path) -> None:
    with sqlite_module().connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        release = Timer(0.3, other.rollback)  # meanwhile SQLite refuses another journal without waiting
        release.start()
        ledger = Ledger.open(None, tmp_path)
        release.join()
    assert Releases(ledger).current() is None
    ledger.close()


def test_migrations_make_just_the_declared_tables(ledger: Ledger) -> None:
    found = inspect(ledger.engine)
    for table in METADATA.sorted_tables:
        assert {c["name"] for c in found.get_columns(table.name)} == set(table.columns.keys())
        assert {c["name"] for c in found.get_columns(table.name) if not c["nullable"]} == {
            c.name for c in table.columns if not c.nullable
        }


def test_a_transaction_that_raises_leaves_nothing(ledger: Ledger, releases: Releases) -> None:
    def half_done() -> None:
        with ledger.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO releases (revision, kind, model_name, promoted_at, reason, forced, gate) "
                "VALUES (1, 'promote', 'm', '2026-01-01 00:00:00', 'r', false, '{}')"
            )
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    assert releases.current() is None


def test_sqlite_is_durable_and_uses_wal_only_where_it_is_safe(tmp_path: Path) -> None:
    ledger = Ledger.open(None, tmp_path)
    with ledger.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    safe = tuple(map(int, version.split("."))) >= WAL_SAFE
    assert mode == ("wal" if safe else "delete") == ledger.journal
    assert sqlite_module().sqlite_version_info >= sqlite3.sqlite_version_info
    ledger.close()


def test_a_writer_holds_its_lock_from_the_first_statement(tmp_path: Path) -> None:
    ledger = Ledger.open(None, tmp_path)
    other = sqlite_module().connect(str(tmp_path / "ledger.db"), timeout=0)
    with ledger.writing(), pytest.raises(sqlite_module().OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    ledger.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://u@h/d", "sqlitee:///x"])
def test_a_url_that_cannot_be_a_ledger_is_wrong_usage(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Ledger.open(url, tmp_path)


def test_a_database_that_is_not_there_is_said_as_ours(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger.open("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    assert refused.value.code == "ledger_unavailable"
