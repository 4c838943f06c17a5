"""What writing an offer down costs: a committed answer over one that is not written, beside a bare commit of a row.

`python benchmarks/bench_commit.py` on an idle machine, some 30 s: a sample CRM of 300 accounts in a SQLite ledger.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import uuid4

from sqlalchemy import insert

from features.config import load_config
from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.decide import Decider
from serving.ledger import Ledger
from serving.ledger.idempotency import Once
from serving.ledger.load import load
from serving.ledger.tables import ERASURES
from serving.live import ledger_book
from serving.live.follow import utc_now
from serving.recommend import Recommender
from serving.start import recommender
from training.sample import write_sample

ROUNDS = 150


def ledger_of(folder: Path) -> tuple[Ledger, Recommender]:
    """A ledger with a sample in it, and what answers from it: by rule, for a model costs the same on both sides."""
    write_sample(folder / "crm", accounts=300, reps=40, offers=1500, seed=0, end=date.today())
    config = load_config(folder / "crm" / "callsheet.yaml")
    ledger = Ledger.open(None, folder)
    load(ledger, read_snapshot(str(folder / "crm"), config=config), config=config)
    ready = recommender(ledger_book(ledger, config), config, folder)
    ready.clock = utc_now
    ready.warm()
    return ledger, ready


def timed(call: object, times: int) -> float:
    """p50 in ms."""
    spent = []
    for number in range(times):
        begun = perf_counter()
        call(number)  # type: ignore[operator]
        spent.append(1000 * (perf_counter() - begun))
    return median(spent)


def main() -> None:
    """Print the three and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        ledger, ready = ledger_of(Path(name))
        decider = Decider(ledger, ready.config, lambda: ready)
        leads = [str(ready.book.lead_ids[code]) for code in ready.open_leads]
        free = [lead for lead in leads if len(ready.rank_reps(lead).best)][:ROUNDS]

        def bare(number: int) -> None:
            with ledger.writing() as connection:
                connection.execute(insert(ERASURES).values(contact_hash=f"bench-{number}", at=decider.clock()))

        def unwritten(number: int) -> None:
            ready.reps_for_lead(free[number], 3)

        def committed(number: int) -> None:
            once = Once.of(LOCAL.name, "bench", uuid4().hex, {})
            decider.reps(free[number], None, 3, actor=LOCAL, once=once)

        said = {"a bare commit": timed(bare, ROUNDS), "an answer that is not written": timed(unwritten, len(free))}
        said["a committed offer"] = timed(committed, len(free))
        for what, ms in said.items():
            print(f"{what:32} p50 {ms:7.2f} ms")
        added = said["a committed offer"] - said["an answer that is not written"]
        print(f"{'what committing adds':32} {added:11.2f} ms = {added / said['a bare commit']:.1f} bare commits")
        ledger.close()


if __name__ == "__main__":
    main()
