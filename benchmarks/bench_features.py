"""What features cost on one core: pairs a second by family, and how that grows with the number of accounts.

`python -m benchmarks.bench_features` prints the table. The shape is training's, the hardest: every offer of the log at
its own instant, so nothing is shared between pairs. Times are CPU time of one thread, the best of three.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from features.asked import Asked
from features.book import Book
from features.catalogue import FAMILIES
from features.config import load_config
from features.engine import Engine
from features.snapshot import read_snapshot
from training.sample import write_sample

BAR_PAIRS, BAR_GROWTH = 100_000, 11.0


def engine(accounts: int) -> Engine:
    """The engine over a sample of so many accounts, six offers an account."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), accounts=accounts, reps=60, offers=accounts * 6, seed=0, end=date(2026, 6, 28))
        config = load_config(Path(folder) / "callsheet.yaml")
        return Engine(Book.of(read_snapshot(folder, config=config), config), config)


def best(call: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of the fastest of some calls."""

    def once() -> float:
        begun = time.process_time()
        call()
        return time.process_time() - begun

    return min(once() for _ in range(times))


def by_family(made: Engine) -> dict[str, float]:
    """CPU seconds of each family for every offer of the log, graphs and logs already built; and of eligibility."""
    log = made.book.outcomes
    made.matrix_of(log.lead, log.rep, log.offered)  # what is made once is not what is measured

    def family(number: int) -> Callable[[], object]:
        def call() -> object:
            asked = Asked.of(made.book, made.config, made.coding, log.lead, log.rep, log.offered)
            return [compute(asked) for compute in FAMILIES[number].blocks.values()]

        return call

    seconds = {one.name: best(family(i)) for i, one in enumerate(FAMILIES)}
    seconds["eligibility"] = best(lambda: made.eligibility_of(log.lead, log.rep, log.offered))
    seconds["matrix, whole"] = best(lambda: made.matrix_of(log.lead, log.rep, log.offered))
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000, help="accounts of the small CRM; the large has ten times")
    small, large = (engine(n) for n in (parser.parse_args().accounts, 10 * parser.parse_args().accounts))
    few, many = len(small.book.outcomes), len(large.book.outcomes)
    one, ten = by_family(small), by_family(large)
    table = Table(title=f"Features of {few:,} and {many:,} pairs, each with its own lead and instant, one core")
    for column in ("family", "µs a pair", "µs a pair, 10 x", "time, 10 x"):
        table.add_column(column, justify="left" if column == "family" else "right")
    for name in one:
        table.add_row(
            name, f"{one[name] / few * 1e6:.2f}", f"{ten[name] / many * 1e6:.2f}", f"{ten[name] / one[name]:.1f} x"
        )
    Console().print(table)
    plain = [name for name in one if name not in ("graph", "eligibility", "matrix, whole")]
    without = {"1 x": few / sum(one[n] for n in plain), "10 x": many / sum(ten[n] for n in plain)}
    for size, rate in without.items():
        print(f"without the graph, {size}: {rate:,.0f} pairs/s (bar {BAR_PAIRS:,}: {rate / BAR_PAIRS:.2f} x)")
    growth = sum(ten[n] for n in plain) / sum(one[n] for n in plain)
    print(f"ten times the data: {growth:.1f} x the time without the graph (bar {BAR_GROWTH})")
    share, each = ten["graph"] / ten["matrix, whole"], ten["graph"] / many * 1e6
    print(f"graph: {share:.0%} of the whole; {each:.1f} µs a pair")


if __name__ == "__main__":
    main()
