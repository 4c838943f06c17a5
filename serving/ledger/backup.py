"""Backups: a ledger in one SQLite file of its own, taken while others write, opened and verified; and the way back."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import insert, select, update

from features.config import Config
from features.errors import Refused, UsageError
from features.schema import TABLES
from features.sql import sqlite_module
from serving.actor import CLI
from serving.ledger import audit
from serving.ledger.change import Change, changing, seq_of
from serving.ledger.copying import Tick, copy_rows, count_rows
from serving.ledger.database import Ledger, LedgerError, LedgerNewer
from serving.ledger.erase import erase_again
from serving.ledger.keys import listed, merge
from serving.ledger.noted import noted
from serving.ledger.scrub import TRACES, scrub
from serving.ledger.tables import ERASURES, LEDGER_CLOCK
from serving.ledger.taken import NotNoted, note_taken

log = logging.getLogger(__name__)


class BackupInvalid(Refused):
    """A file is no backup that this version can restore; the ledger is as it was."""

    code = "backup_invalid"


class LedgerNotEmpty(Refused):
    """A restore would overwrite a ledger that holds something."""

    code = "ledger_not_empty"


@dataclass(frozen=True)
class Backed:
    """What a backup or a restore holds: the last change in it, and how many rows by table.

    replaced  the last row of the audit that a restore wrote over; None: there was none
    sha256    of a backup's file, hex; recorded: whether the ledger's audit says that it was taken
    """

    seq: int
    rows: dict[str, int]
    replaced: audit.Head | None = None
    sha256: str | None = None
    recorded: bool = True


def backup(
    ledger: Ledger, file: Path, tick: Tick = lambda _table, _rows: None, *, unrecorded: bool = False
) -> Backed:  # fmt: skip
    """Write the whole ledger to `file`, as of one instant, and open it again to see that it is sound.

    From SQLite by its online backup, from PostgreSQL row by row inside one read transaction: either way the file is a
    ledger in SQLite, holds every change that was acknowledged before this began, and restores to both. The ledger's
    audit says that it was taken, by whom and with which hash, before it has its name; it is the next row after those
    that the backup holds.
    unrecorded  keep the file also where the ledger cannot be written to, and so does not say that it was taken
    Raises      UsageError where there is such a file, NotNoted, LedgerError
    """
    if file.exists():
        raise UsageError(f"{file} is there already; name a new file.", field="FILE")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {file.absolute().parent}.", field="FILE")
    with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}.") as folder:
        part = Path(folder) / file.name
        part.touch(mode=0o600)
        if ledger.journal is not None:
            _online(ledger, part)
        else:
            with _opened(part) as copy, ledger.reading() as source, copy.writing() as target:
                copy_rows(source, target, tick)
        done = _verified(part)
        recorded = _recorded(ledger, file, done, unrecorded)
        part.replace(file)
    return Backed(done.seq, done.rows, sha256=done.sha256, recorded=recorded)


def _recorded(ledger: Ledger, file: Path, done: Backed, unrecorded: bool) -> bool:
    told = {"file": file.name, "sha256": done.sha256, "seq": done.seq, "rows": done.rows}
    try:
        note_taken(ledger, "backup", told, "; in an emergency, with --unrecorded")
    except NotNoted:
        if not unrecorded:
            raise
        return False
    return True


def restore(
    ledger: Ledger, file: Path, home: Path, config: Config, *, replace: bool = False,
    tick: Tick = lambda _table, _rows: None,
) -> Backed:  # fmt: skip
    """Put a backup in place of what the ledger holds, in one transaction; services that run follow it.

    An older backup is brought to this version's tables first. Contacts whose erasure the ledger, its home or the backup
    knows are forgotten again; of API keys both count, and what ended in either has ended. Changes are counted on from
    the higher of the two numbers, and the new audit says with which row the old one ended.
    home     where it works on a copy of the backup
    Raises   BackupInvalid, LedgerNotEmpty without `replace`, UsageError, LedgerError
    """
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", field="FILE")
    with tempfile.TemporaryDirectory(dir=home, prefix="restore-") as folder:
        staged = Path(folder) / "ledger.db"
        _checked_copy(file, staged)
        with _opened(staged) as backed, backed.reading() as source, changing(ledger) as change:
            known = noted(home) | _may_go(change, replace)
            before, keys, ended = change.seq, listed(change.connection), audit.head(change.connection)
            rows = copy_rows(source, change.connection, tick)
            change.seq = max(before, seq_of(change.connection) + 1)
            change.connection.execute(update(LEDGER_CLOCK).values(seq=change.seq))
            last = audit.head(change.connection)
            change.audited = last.number, last.hash
            _keep_erasures(change, known)
            merge(change, keys)
            forgotten = erase_again(change, config, CLI)
            told = {"rows": rows, "forgotten": forgotten, "replaced": asdict(ended)}
            audit.record(change, CLI.name, "restore", f"change {change.seq}", told)
            for name in TABLES:
                change.touch(name, None)
    if forgotten and not scrub(ledger):
        log.warning(TRACES)
    return Backed(change.seq, rows, ended if ended.number else None)


def _may_go(change: Change, replace: bool) -> frozenset[str]:
    """The erasures that the ledger knows, where it may be overwritten. Raises LedgerNotEmpty."""
    held = {name: n for name, n in count_rows(change.connection).items() if n and name != LEDGER_CLOCK.name}
    if held and not replace:
        most = ", ".join(f"{n:,} {name}" for name, n in sorted(held.items(), key=lambda h: -h[1])[:3])
        raise LedgerNotEmpty(
            f"The ledger is not empty ({most}). Take a backup of it, then restore with --replace, or name another --db."
        )
    return frozenset(change.connection.execute(select(ERASURES.c.contact_hash)).scalars())


def _online(ledger: Ledger, part: Path) -> None:
    """SQLite's own copy of a database in use: never of the file, whose log may hold what the file does not yet."""
    module = sqlite_module()
    connection = ledger.engine.raw_connection()
    try:
        with closing(module.connect(str(part))) as copy:
            connection.driver_connection.backup(copy)  # type: ignore[union-attr]
    except module.Error as error:
        raise LedgerError(f"The backup could not be written: {error}") from error
    finally:
        connection.close()


def _verified(part: Path) -> Backed:
    """What the file holds, as a ledger that is opened anew; it ends as one file on the disk. Raises BackupInvalid."""
    _one_file(part)
    _sound(part)
    with _opened(part) as copy, copy.reading() as connection:
        seq, rows = seq_of(connection), count_rows(connection)
    _one_file(part)
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Backed(seq, rows, sha256=sha256)


def _one_file(part: Path) -> None:
    """Put what a log beside the file may hold into it."""
    with closing(sqlite_module().connect(str(part))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _checked_copy(file: Path, staged: Path) -> None:
    """A copy of the backup to work on. Raises BackupInvalid."""
    module = sqlite_module()
    try:
        _sound(file)
        with closing(module.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source:
            if not source.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                raise BackupInvalid(f"{file} is no backup of a ledger.")
            with closing(module.connect(str(staged))) as copy:
                source.backup(copy)
    except module.Error as error:
        raise BackupInvalid(f"{file} is no backup that can be read: {error}.") from error


def _sound(file: Path) -> None:
    """Raises BackupInvalid where SQLite finds the file damaged."""
    module = sqlite_module()
    try:
        with closing(module.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchall()
    except module.Error as error:
        raise BackupInvalid(f"{file} is no backup that can be read: {error}.") from error
    if said != [("ok",)]:
        raise BackupInvalid(f"{file} is damaged: {said[0][0]}.")


@contextmanager
def _opened(file: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{file}")
    try:
        ledger.upgrade()
        yield ledger
    except LedgerNewer as error:
        raise BackupInvalid(f"{file.name} is a backup of another version: {error}") from error
    finally:
        ledger.close()


def _keep_erasures(change: Change, known: frozenset[str]) -> None:
    """Add what the backup does not know of."""
    there = set(change.connection.execute(select(ERASURES.c.contact_hash)).scalars())
    if known - there:
        rows = [{"contact_hash": contact_hash, "at": change.at} for contact_hash in sorted(known - there)]
        change.connection.execute(insert(ERASURES), rows)


__all__ = ["Backed", "BackupInvalid", "LedgerNotEmpty", "backup", "restore"]
