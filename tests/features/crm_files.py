"""A small, sound CRM as CSV files, to be spoilt in one place by each test."""

from __future__ import annotations

from pathlib import Path

from features.errors import Breach, TableError
from features.snapshot import Snapshot, read_snapshot

FILES = {
    "accounts": "account_id,name,created_at\nA1,Acme,2025-01-01T00:00:00Z\nA2,Bolt,2025-01-02T00:00:00Z\n",
    "contacts": "contact_id,account_id,created_at\nC1,A1,2025-01-03T00:00:00Z\nC2,A2,2025-01-03T00:00:00Z\n",
    "leads": "lead_id,contact_id,solution,created_at\nL1,C1,payments,2025-02-01T00:00:00Z\n",
    "reps": "rep_id,name,role\nR1,Ada,inside\nR2,Ben,enterprise\n",
}


def write(folder: Path, **tables: str | bytes | None) -> Path:
    """The small CRM in `folder`, with the given tables instead of, or beside, its own; None leaves one out."""
    folder.mkdir(exist_ok=True)
    for name, content in {**FILES, **tables}.items():
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (folder / f"{name}.csv").write_bytes(data)
    return folder


def read(folder: Path, **tables: str | bytes | None) -> Snapshot:
    """The snapshot of the small CRM with these tables."""
    return read_snapshot(str(write(folder, **tables)))


def breaches(folder: Path, **tables: str | bytes | None) -> tuple[Breach, ...]:
    """What is wrong with the small CRM with these tables; () when nothing is."""
    try:
        read(folder, **tables)
    except TableError as error:
        return error.breaches
    return ()


def places(found: tuple[Breach, ...]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Where breaches are: table, column, rows."""
    return [(b.table, b.column, b.rows) for b in found]
