"""What following the ledger costs a process: for each kind of change, against reading everything again.

`python -m benchmarks.bench_follow` prints the table. Times are CPU time of the following thread, the median of five,
from what is committed to a recommender that has answered once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from features.config import load_config
from features.schema import TABLES
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.load import load
from serving.live import Live
from training.sample import write_sample

#: CPU ms in which a change must count, so that with the look at the ledger and a busy processor it does in a second.
BAR_MS = 600.0

Rows = list[tuple[str, dict[str, Any]]]


def followed(folder: Path) -> Live:
    """A process on a ledger with the demo's CRM in it; nothing is released, so the rules answer."""
    write_sample(folder / "crm", accounts=2_000, reps=60, offers=12_000, seed=0, end=date(2026, 6, 28))
    config = load_config(folder / "crm" / "callsheet.yaml")
    ledger = Ledger.open(None, folder)
    load(ledger, read_snapshot(str(folder / "crm"), config=config))
    return Live(ledger, config, folder)


def kinds(live: Live) -> dict[str, Callable[[str, datetime], Rows]]:
    """By name, the rows of a change whose new rows have this key at this instant."""
    book = live.recommender.book
    rep, account, contact = str(book.rep_ids[3]), str(book.account_ids[3]), str(book.contact_ids[100])
    lead, solution = str(book.lead_ids[-1]), book.solutions.values[0]
    by = {"rep_id": rep, "contact_id": contact, "account_id": account, "solution": solution}

    def people(key: str, at: datetime) -> Rows:
        said = {"account_id": key, "contact_id": key, "created_at": at}
        new = {"lead_id": key, "solution": solution} | said
        return [("accounts", said | {"name": key}), ("contacts", said | {"title": "CFO"}), ("leads", new)]

    return {
        "touch": lambda key, at: [("touches", by | {"touch_id": key, "kind": "call", "occurred_at": at})],
        "meeting": lambda key, at: [
            ("meetings", by | {"meeting_id": key, "starts_at": at + timedelta(3), "created_at": at})
        ],
        "activity": lambda key, at: [("activities", by | {"activity_id": key, "kind": "visit", "occurred_at": at})],
        "preference": lambda key, at: [
            ("preferences", by | {
                "preference_id": key, "subject": "account", "subject_id": account, "rule": "include", "since": at,
            })
        ],
        "offer, or its answer": lambda key, at: [
            ("offers", by | {
                "offer_id": key, "lead_id": lead, "offered_at": at, "answer": "rejected", "answered_at": at,
            })
        ],
        "lead of a known contact": lambda key, at: [("leads", by | {"lead_id": key, "created_at": at})],
        "lead of a new account": people,
    }  # fmt: skip


def spent(live: Live, rows: Rows) -> float:
    """CPU ms of meeting a change."""
    with changing(live.ledger) as change:
        for table, told in rows:
            names = TABLES[table].names
            change.upsert(table, [dict.fromkeys(names) | {n: v for n, v in told.items() if n in names}])
    begun = time.thread_time()
    live.catch_up().warm()
    return (time.thread_time() - begun) * 1e3


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        live = followed(Path(folder))
        begun = time.process_time()
        Live(live.ledger, live.config, Path(folder))
        whole = (time.process_time() - begun) * 1e3
        table = Table(title=f"CPU ms of meeting a change; all anew: {whole:,.0f} ms", box=None)
        for name in ("change", "ms", "bar"):
            table.add_column(name, justify="left" if name == "change" else "right")
        for name, rows in kinds(live).items():
            times = [spent(live, rows(f"bench {name} {i}", datetime.now(UTC))) for i in range(5)]
            table.add_row(name, f"{statistics.median(times):.0f}", f"{BAR_MS:.0f}")
        Console().print(table)


if __name__ == "__main__":
    main()
