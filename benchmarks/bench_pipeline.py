"""What training costs around its fits: `callsheet train` on a log of 100,000 offers, by part, and its peak memory.

`python -m benchmarks.bench_pipeline` prints the table and the ratio of everything but the fits to the fits.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from features.config import load_config
from features.snapshot import read_snapshot
from training.sample import write_sample
from training.train import train

BAR = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offers", type=int, default=100_000)
    parser.add_argument("--recipe", default="standard")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        crm, home = Path(folder) / "crm", Path(folder) / "home"
        offers = options.offers
        write_sample(
            crm, accounts=offers // 10, reps=max(offers // 400, 20), offers=offers, seed=0, end=date(2026, 6, 28)
        )
        begun = time.perf_counter()
        config = load_config(crm / "callsheet.yaml")
        snapshot = read_snapshot(str(crm), config=config)
        read = time.perf_counter() - begun
        result = train(snapshot, config, home, recipe=options.recipe)
        whole = time.perf_counter() - begun
    parts = {"read and check the tables": read} | dict(result.seconds)
    parts["the rest"] = whole - sum(parts.values())
    table = Table(title=f"callsheet train, {offers:,} offers, recipe {options.recipe}")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    for name, seconds in (parts | {"whole": whole}).items():
        table.add_row(name, f"{seconds:.1f}")
    Console().print(table)
    fits = result.seconds["fits"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"everything but the fits / the fits: {(whole - fits) / fits:.2f} (bar {BAR}); peak memory {peak:,.0f} MiB")
    print(result.sentence)


if __name__ == "__main__":
    main()
