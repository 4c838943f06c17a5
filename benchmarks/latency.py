"""How long an answer takes that ranks some two hundred reps, without reasons, when requests arrive at a fixed rate.

`python -m benchmarks.latency` (two runs of five minutes; --seconds, --rate): two workers on a SQLite ledger, each
answer recorded, on kept connections, or with --close each on its own. Ends with 1 where a run's p50 or p99 is over its
bar, or an answer failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.open_loop import arriving, at_percent, request
from benchmarks.standing_service import Standing, standing

#: Milliseconds at most, from when a request was due.
P50, P99 = 10.0, 50.0
RUNS = 2
#: Reps of the sample, most of whom are eligible, and how many leads are asked about: those with the most of them.
REPS, LEADS = 300, 20


def asks(service: Standing, lead_id: str, *, kept: bool = False) -> bytes:
    """Who should get this lead? Ten lines."""
    key = service.keys["load"]
    return request("/recommend_reps", {"lead_id": lead_id, "k": 10}, authorization=f"Bearer {key}", kept=kept)


def widest(service: Standing) -> tuple[list[str], float]:
    """The leads with the most eligible reps, and how many these are in the median."""
    replies = asyncio.run(
        arriving(service.port, lambda n: asks(service, service.leads[n]), 5.0, len(service.leads) / 5)
    )
    scored = {service.leads[r.number]: r.json["scored"] for r in replies if r.status == 200}
    chosen = sorted(scored, key=lambda lead: (-scored[lead], lead))[:LEADS]
    return chosen, median(scored[lead] for lead in chosen)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each run")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--close", action="store_true", help="a new connection for each request")
    told = parser.parse_args()
    kept = not told.close
    held = True
    with tempfile.TemporaryDirectory() as name, standing(Path(name), "load", reps=REPS, wide=True) as service:
        leads, candidates = widest(service)

        def asked(number: int) -> bytes:
            return asks(service, leads[number % len(leads)], kept=kept)

        for run in range(RUNS):
            replies = asyncio.run(arriving(service.port, asked, told.rate, told.seconds))
            good = [reply for reply in replies if reply.status == 200]
            p50, p99 = at_percent(good, 50), at_percent(good, 99)
            held &= len(good) == len(replies) and p50 <= P50 and p99 <= P99
            print(
                f"run {run + 1}: {candidates:.0f} eligible reps, {told.rate:g}/s for {told.seconds:g} s: "
                f"{len(good):,} of {len(replies):,} answered; p50 {p50:.1f} ms (at most {P50:g}), p99 {p99:.1f} ms (at "
                f"most {P99:g})"
            )
    sys.exit(not held)


if __name__ == "__main__":
    main()
