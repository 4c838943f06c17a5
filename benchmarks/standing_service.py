"""A service of two workers on a SQLite ledger with a sample CRM and a model, for who wants to see it under load."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import yaml

from benchmarks.bench_online import free_port, server
from features.book import Book
from features.config import load_config
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.keys import create
from serving.ledger.load import load
from serving.promote import promote
from training.sample import write_sample
from training.train import train

SCOPES = ["route", "record", "ingest", "read", "operate"]


@dataclass(frozen=True)
class Standing:
    """What is needed to ask it, and to see what it costs.

    keys   by the name of who has it
    leads  open ones, reps: all of them
    """

    port: int
    ledger: Ledger
    keys: Mapping[str, str]
    leads: list[str]
    reps: list[str]

    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        children = psutil.Process(os.getpid()).children(recursive=True)
        return [child for child in children if "--worker-id" in child.cmdline()]

    def resident(self) -> dict[int, float]:
        """Megabytes of each."""
        return {worker.pid: worker.memory_info().rss / 2**20 for worker in self.workers()}


@contextmanager
def standing(
    folder: Path, *who: str, accounts: int = 300, reps: int = 40, offers: int = 1500, wide: bool = False
) -> Iterator[Standing]:
    """Make everything in a folder, and serve it; each of `who` gets a key. CALLSHEET_QUOTA counts as always.

    wide   neither territory nor product line keeps a rep from a lead, so that most reps are eligible
    """
    crm, home = folder / "crm", folder / "home"
    write_sample(crm, accounts=accounts, reps=reps, offers=offers, seed=0, end=datetime.now(UTC).date())
    if wide:
        document = yaml.safe_load((crm / "callsheet.yaml").read_text())
        document["reps"] = {"territory": False, "product_line": False}
        (crm / "callsheet.yaml").write_text(yaml.safe_dump(document))
    config = load_config(crm / "callsheet.yaml")
    snapshot = read_snapshot(str(crm), config=config)
    result = train(snapshot, config, home, recipe="fast", cuts=1, replicates=20, progress=False)
    ledger = Ledger.open(None, home)
    load(ledger, snapshot, config=config)
    promote(home, ledger, config, version=result.version, force=True, reason="load is measured, not quality")
    with changing(ledger) as change:
        keys = {name: create(change, name, SCOPES)[1] for name in who}
    book = Book.of(snapshot, config)
    leads = [str(book.lead_ids[code]) for code in book.open_leads(book.now)]
    port = free_port()
    command = [sys.executable, "-m", "callsheet", "serve", "--workers", "2", "--port", str(port)]
    options = ["--config", str(crm / "callsheet.yaml"), "--home", str(home)]
    with server([*command, *options], port, "/readyz", home, {}):
        yield Standing(port, ledger, keys, leads, [str(rep) for rep in book.rep_ids])
    ledger.close()
