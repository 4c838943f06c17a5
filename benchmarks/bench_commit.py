"""What writing an offer down costs: a committed answer over the same one that is not written, in commits of one row.

`python benchmarks/bench_commit.py [--folder DIR] [--rounds N]`, some 30 s: a sample CRM of 300 accounts in a SQLite
ledger in DIR, by default where temporary files go. A folder in memory, where a flush costs nothing, is the hardest
case; on a disk every commit waits for one flush, bare or not. Ends with 1 where committing adds more than MOST.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from uuid import uuid4

from sqlalchemy import insert, update

from features.config import load_config
from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.decide import Decider
from serving.ledger import Ledger
from serving.ledger.crm import CRM
from serving.ledger.idempotency import Once
from serving.ledger.load import load
from serving.ledger.tables import ERASURES
from serving.live import Live
from serving.uptodate import UpToDate
from training.sample import write_sample

ROUNDS = 150
WARM = 10
#: Bare commits of one row that committing may add to the median.
MOST = 3.0
#: Rounds after which the worker has followed its own commits.
FOLLOWED = 10
BARE, UNWRITTEN, COMMITTED = "a bare commit", "an answer that is not written", "a committed offer"


def followed(folder: Path) -> Live:
    """A ledger with a sample in it, and what answers from it: by rule, for a model costs the same on both sides."""
    write_sample(folder / "crm", accounts=300, reps=40, offers=1500, seed=0, end=date.today())
    config = load_config(folder / "crm" / "callsheet.yaml")
    ledger = Ledger.open(None, folder)
    load(ledger, read_snapshot(str(folder / "crm"), config=config), config=config)
    with ledger.writing() as connection:  # room for all, or some answers would have to be made twice
        connection.execute(update(CRM["reps"]).values(weekly_capacity=1000.0))
    return Live(ledger, config, folder)


def main() -> None:
    """Print the three, each in its turn within every round, and their ratio."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--folder", default=None)
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        live = followed(Path(name))
        ledger, ready = live.ledger, live.recommender
        decider = Decider(ledger, live.config, lambda: live.recommender, uptodate=UpToDate(live))
        leads = [str(ready.book.lead_ids[code]) for code in ready.open_leads]
        free = [lead for lead in leads if len(ready.rank_reps(lead).best)][: options.rounds + WARM]

        def bare(_: str) -> None:
            with ledger.writing() as connection:
                connection.execute(insert(ERASURES).values(contact_hash=uuid4().hex, at=decider.clock()))

        def unwritten(lead_id: str) -> None:
            live.recommender.reps_for_lead(lead_id, 3)

        def committed(lead_id: str) -> None:
            decider.reps(lead_id, None, 3, actor=LOCAL, once=Once.of(LOCAL.name, "bench", uuid4().hex, {}))

        calls: list[tuple[str, Callable[[str], None]]] = [(BARE, bare), (UNWRITTEN, unwritten), (COMMITTED, committed)]
        wall: dict[str, list[float]] = {what: [] for what, _ in calls}
        busy: dict[str, list[float]] = {what: [] for what, _ in calls}
        for number, lead_id in enumerate(free):
            if not number % FOLLOWED:
                live.catch_up()
            unwritten(lead_id)  # what is remembered of the lead's account is remembered for both
            for turn in range(len(calls)):
                what, call = calls[(number + turn) % len(calls)]
                begun, worked = perf_counter(), thread_time()
                call(lead_id)
                if number >= WARM:
                    busy[what].append(1000 * (thread_time() - worked))
                    wall[what].append(1000 * (perf_counter() - begun))
        for what, _ in calls:
            print(f"{what:32} p50 {median(wall[what]):7.2f} ms, of which the processor {median(busy[what]):7.2f} ms")
        bare_commits = {}
        for how, spent in (("by the clock", wall), ("by the processor", busy)):
            added = median(spent[COMMITTED]) - median(spent[UNWRITTEN])
            bare_commits[how] = added / median(spent[BARE])
            print(f"what committing adds {how:18} {added:7.2f} ms = {bare_commits[how]:.1f} bare commits")
        ledger.close()
    if bare_commits["by the clock"] > MOST:
        sys.exit(f"Committing adds more than {MOST:g} bare commits.")


if __name__ == "__main__":
    main()
