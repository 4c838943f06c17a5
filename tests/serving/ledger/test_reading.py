"""A ledger read as data while others write it: one state throughout, and no lock of the writer lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from features.snapshot import read_snapshot
from features.sql import sqlite_module
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.ingest import ingest
from serving.ledger.load import load
from tests.features.crm_files import read
from tests.serving.ledger.test_ingest import NOW

#: Tries to take the writer's lock, from a process of its own; says whether it was refused.
RIVAL = """
import sys
from features.sql import sqlite_module
connection = sqlite_module().connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
    print("taken")
except sqlite_module().OperationalError as error:
    print(error)
"""


def test_a_reader_sees_each_lead_with_its_contact_however_much_is_written(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    load(ledger, read(tmp_path / "crm"))
    stop = Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            contact = {"contact_id": f"C-{number}", "account_id": "A1", "created_at": NOW}
            lead = {"lead_id": f"L-{number}", "contact_id": f"C-{number}", "solution": "payments", "created_at": NOW}
            with changing(ledger, NOW) as change:
                ingest(change, {"contacts": [contact], "leads": [lead]})

    writer = Thread(target=write)
    writer.start()
    try:
        sizes = []
        for _ in range(8):
            tables = read_snapshot(url).tables  # refused, were a lead there without its contact
            sizes.append(len(tables["leads"]))
            assert len(tables["contacts"]) == len(tables["leads"]) + 1
    finally:
        stop.set()
        writer.join()
    assert sizes[-1] > sizes[0]


def test_reading_beside_a_writer_of_the_same_process_leaves_its_lock(tmp_path: Path) -> None:
    """A second SQLite library in the process would drop it by closing the file."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    try:
        load(ledger, read(tmp_path / "crm"))
        with changing(ledger):
            if ledger.journal == "wal":
                read_snapshot(ledger.url)
            run = [sys.executable, "-c", RIVAL, str(tmp_path / "ledger.db")]
            rival = subprocess.run(run, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
        assert rival.stdout.strip() == "database is locked"
    finally:
        ledger.close()
    if sqlite_module().sqlite_version_info < (3, 51, 3):
        pytest.skip("the rollback journal lets no reader beside a writer")
