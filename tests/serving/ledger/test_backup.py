"""Backups: all that was acknowledged is in one, damaged ones are refused, a ledger comes back whole or not at all."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, make_url, select

from features.config import read_config
from features.errors import UsageError
from features.snapshot import read_snapshot
from features.sql import sqlite_module
from serving.actor import CLI
from serving.ledger import Ledger, audit, database, keys
from serving.ledger.backup import BackupInvalid, LedgerNotEmpty, backup, restore
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.copying import count_rows
from serving.ledger.crm import CRM
from serving.ledger.database import newest_revision
from serving.ledger.load import load
from serving.ledger.releases import Released, Releases
from serving.ledger.status import status
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, EVENTS
from serving.ledger.taken import NotNoted
from tests.features.crm_files import read
from tests.features.small_crm import MARKET
from tests.serving.conftest import Crm
from tests.serving.ledger.small import last_audited
from tests.serving.ledger.test_load import decide

# A restore, as an upgrade, is the owner's.
pytestmark = pytest.mark.owner

AT = datetime(2025, 3, 1, tzinfo=UTC)
CONFIG = read_config(MARKET)

#: Writes an event a transaction, and says so on stdout once it is committed, until it is killed.
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import insert
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.tables import EVENTS
ledger = Ledger.open(sys.argv[1], Path(sys.argv[2]))
number = 0
while True:
    number += 1
    with changing(ledger) as change:
        change.connection.execute(insert(EVENTS).values(
            event_id=f"e{number:06}", offer_id="F1", kind="accepted", at=change.at, body="{}", actor="local",
            received_at=change.at, seq=change.seq, parked=False))
    print(f"e{number:06}", flush=True)
"""


@pytest.fixture
def filled(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A ledger that holds something of every sort."""
    load(ledger, read(tmp_path / "crm"))
    decide(ledger)
    Releases(ledger).promote(Released("1", "0" * 64, "f", "m"), seen=0, reason="better")
    with changing(ledger) as change:
        audit.record(change, "cli", "load", "crm", {"rows": 7})
    return ledger


def other(url: str, tmp_path: Path) -> Ledger:
    """An empty ledger beside it, in SQLite."""
    return Ledger.open(f"sqlite:///{tmp_path / 'other' / 'ledger.db'}", tmp_path)


def content(ledger: Ledger) -> tuple[str, dict[str, int]]:
    with ledger.reading() as connection:
        rows = count_rows(connection)
    for name in ("journal", "audit", "audit_payloads"):  # a restore says of itself that it was
        rows.pop(name)
    return read_snapshot(ledger.url).fingerprint, rows


def test_a_backup_is_a_ledger_of_its_own_and_comes_back_as_it_was(filled: Ledger, url: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    done = backup(filled, file)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(("backup", ".backup"))] == ["backup.db"]
    assert file.stat().st_mode & 0o077 == 0
    fresh = other(url, tmp_path)
    try:
        back = restore(fresh, file, tmp_path, CONFIG)
        assert content(fresh) == content(filled)
        assert Releases(fresh).history() == Releases(filled).history()
        with fresh.reading() as connection:
            assert audit.verify(connection) is None
            assert seq_of(connection) == back.seq > done.seq
            said = connection.execute(select(AUDIT.c.action).order_by(AUDIT.c.number)).scalars().all()
        assert said[-1] == "restore"
        assert len(said) == done.rows["audit"] + 1
    finally:
        fresh.close()


def test_a_backup_of_sqlite_restores_to_either_database(ledger: Ledger, url: str, tmp_path: Path, crm: Crm) -> None:
    """`ledger` is the target, empty: of each kind."""
    source = other(url, tmp_path)
    try:
        load(source, crm.snapshot)
        Releases(source).promote(Released("1", "0" * 64, "f", "m"), seen=0, reason="better")
        backup(source, tmp_path / "backup.db")
        restore(ledger, tmp_path / "backup.db", tmp_path, CONFIG)
        assert content(ledger) == content(source)
        assert Releases(ledger).history() == Releases(source).history()
    finally:
        source.close()


def test_a_backup_holds_all_that_was_acknowledged_before_it_began(ledger: Ledger, url: str, tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert writer.stdout is not None
    try:
        for round_ in range(3):
            acknowledged = {writer.stdout.readline().strip() for _ in range(25)}
            file = tmp_path / f"backup{round_}.db"
            backup(ledger, file)
            with closing(sqlite_module().connect(str(file))) as connection:
                held = {row[0] for row in connection.execute("SELECT event_id FROM events")}
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                (seq,) = connection.execute("SELECT seq FROM ledger_clock").fetchone()
            assert acknowledged <= held
            # As of one instant: no event without its change, no change without its event, but for the backups before.
            assert seq == len(held) + round_
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_that_a_backup_was_taken_is_written_down_unless_an_emergency_lets_it_be(
    filled: Ledger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = backup(filled, tmp_path / "first.db")
    written = hashlib.sha256((tmp_path / "first.db").read_bytes()).hexdigest()
    row, body = last_audited(filled)
    assert (row.actor, row.action, row.subject) == (CLI.name, "backup", f"change {done.seq + 1}")
    assert json.loads(body) == {"file": "first.db", "sha256": written, "seq": done.seq, "rows": done.rows}
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    hindered = [Ledger(url)]
    if filled.journal is None:
        read_only = {"options": "-c default_transaction_read_only=on"}
        hindered.append(Ledger(make_url(url).update_query_dict(read_only).render_as_string(hide_password=False)))
    with changing(filled):
        for number, other in enumerate(hindered):
            file = tmp_path / f"emergency{number}.db"
            with pytest.raises(NotNoted, match=r"Nothing was taken out.*--unrecorded"):
                backup(other, file)
            assert not file.exists()
            made = backup(other, file, unrecorded=True)
            assert (made.recorded, made.rows["audit"]) == (False, done.rows["audit"] + 1)
            assert file.exists()
            other.close()


def test_a_ledger_that_holds_something_is_overwritten_only_on_demand(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "backup.db")
    before = content(filled)
    with changing(filled) as change:
        change.connection.execute(
            insert(EVENTS).values(
                event_id="later", offer_id="F1", kind="accepted", at=AT, body="{}", actor="local", received_at=AT,
                seq=change.seq, parked=False,
            )
        )  # fmt: skip
        audit.record(change, "cli", "load", "crm", {"rows": 8})
        after = change.seq
    with pytest.raises(LedgerNotEmpty, match="--replace"):
        restore(filled, tmp_path / "backup.db", tmp_path, CONFIG)
    assert content(filled) != before
    back = restore(filled, tmp_path / "backup.db", tmp_path, CONFIG, replace=True)
    assert content(filled) == before
    with filled.reading() as connection:
        assert audit.verify(connection) is None
        changed = changed_since(connection, after)  # what a service that follows is told
    assert back.seq == changed.seq == after + 1
    assert changed.whole == set(CRM)


def test_a_restore_brings_no_key_back_that_was_revoked_since_and_loses_none_that_was_made(
    filled: Ledger, tmp_path: Path
) -> None:
    with changing(filled) as change:
        old = keys.create(change, "router", ["route"])[0].key_id
    backup(filled, tmp_path / "backup.db")
    with changing(filled) as change:
        keys.revoke(change, old)
        new = keys.create(change, "its successor", ["route"])[0].key_id
    with filled.reading() as connection:
        ended = audit.head(connection)
    done = restore(filled, tmp_path / "backup.db", tmp_path, CONFIG, replace=True)
    now = datetime.now(UTC)
    with filled.reading() as connection:
        assert {key.key_id: key.state(now) for key in keys.listed(connection)} == {old: "revoked", new: "live"}
        last = connection.execute(select(AUDIT_PAYLOADS.c.body).order_by(AUDIT_PAYLOADS.c.number.desc())).scalars()
        assert json.loads(next(iter(last)))["replaced"] == {"number": ended.number, "hash": ended.hash}
        assert audit.verify(connection) is None
    assert done.replaced == ended


def test_the_audit_is_guarded_again_after_a_restore(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "backup.db")
    restore(filled, tmp_path / "backup.db", tmp_path, CONFIG, replace=True)
    for statement in (AUDIT.delete(), AUDIT.update().values(actor="someone else")):
        with pytest.raises(Exception, match="append-only"), filled.writing() as connection:
            connection.execute(statement)


def test_a_restore_that_breaks_off_leaves_the_ledger_as_it_was(filled: Ledger, tmp_path: Path) -> None:
    backup(filled, tmp_path / "backup.db")
    with changing(filled) as change:
        audit.record(change, "cli", "load", "crm", {"rows": 8})
    before = content(filled)

    def stop(table: str, rows: int) -> None:
        if table == "audit":
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        restore(filled, tmp_path / "backup.db", tmp_path, CONFIG, replace=True, tick=stop)
    assert content(filled) == before
    with pytest.raises(Exception, match="append-only"), filled.writing() as connection:
        connection.execute(AUDIT.delete())
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("restore-")]


@pytest.mark.parametrize("spoil", ["torn", "text", "foreign", "newer"])
def test_what_is_no_sound_backup_is_refused(tmp_path: Path, spoil: str) -> None:
    ledger = other("", tmp_path)
    try:
        load(ledger, read(tmp_path / "crm"))
        file = tmp_path / "backup.db"
        backup(ledger, file)
        if spoil == "torn":
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) // 4))
        elif spoil == "text":
            file.write_text("not a database, whatever it is called " * 100)
        elif spoil == "foreign":
            file.unlink()
            with closing(sqlite_module().connect(str(file))) as connection:
                connection.execute("CREATE TABLE t (x)")
        else:
            with closing(sqlite_module().connect(str(file))) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
                connection.commit()
        before = content(ledger)
        with pytest.raises(BackupInvalid):
            restore(ledger, file, tmp_path, CONFIG, replace=True)
        assert content(ledger) == before
    finally:
        ledger.close()


def test_a_backup_overwrites_no_file(filled: Ledger, tmp_path: Path) -> None:
    (tmp_path / "backup.db").write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        backup(filled, tmp_path / "backup.db")
    with pytest.raises(UsageError, match="no folder"):
        backup(filled, tmp_path / "nowhere" / "backup.db")
    with pytest.raises(UsageError, match="no file"):
        restore(filled, tmp_path / "nothing.db", tmp_path, CONFIG)
    assert (tmp_path / "backup.db").read_text() == "mine"


def test_of_two_that_start_at_once_exactly_one_migrates(nothing: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "callsheet", "db", "upgrade", "--db", nothing, "--home", str(tmp_path / "home")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    newest = newest_revision()
    assert sorted(out.strip() for out, _ in said) == [f"made: {newest}"] + [f"up to date: {newest}"] * 2


def test_the_state_of_a_ledger_is_told_without_changing_it(filled: Ledger, tmp_path: Path) -> None:
    seen = status(filled)
    assert (seen.revision, seen.newest) == (newest_revision(), newest_revision())
    assert seen.journal == filled.journal
    assert seen.rows["leads"] == 1
    with filled.reading() as connection:
        assert seen.seq == seq_of(connection)
        assert seen.rows["offers"] == connection.execute(select(func.count()).select_from(CRM["offers"])).scalar_one()
    nowhere = Ledger(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(Exception, match="db upgrade"):
        status(nowhere)
    assert not (tmp_path / "none.db").exists()
