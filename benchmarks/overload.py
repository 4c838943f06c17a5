"""Once, ten and a hundred times the load: how long who is admitted waits, who is refused, and who asks beside a flood.

`python -m benchmarks.overload`: requests arrive at a fixed rate whatever the answers do. The client is on the
same cores, so at a hundred times it is the client that gives out; what it sent is printed. CALLSHEET_QUOTA counts.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.open_loop import Reply, arriving, at_percent, request
from benchmarks.standing_service import Standing, standing

#: Requests a second of who asks beside, and of the probe.
BESIDE = 5.0


def best(service: Standing, connections: int = 2, seconds: float = 5.0) -> float:
    """Answers a second of a few who wait for each: what the service computes at its best."""
    done = [0] * connections
    end = time.perf_counter() + seconds

    def one(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        headers = {"content-type": "application/json", "authorization": f"Bearer {service.keys[f'warm{place}']}"}
        while time.perf_counter() < end:
            connection.request("POST", "/recommend_reps", json.dumps({"lead_id": service.leads[0], "k": 3}), headers)
            answer = connection.getresponse()
            answer.read()
            done[place] += answer.status == 200

    threads = [threading.Thread(target=one, args=(place,)) for place in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def asks(service: Standing, who: str, number: int) -> bytes:
    """A question of one of the callers, about one of the leads."""
    body = {"lead_id": service.leads[number % len(service.leads)], "k": 3}
    return request("/recommend_reps", body, authorization=f"Bearer {service.keys[who]}")


async def load(service: Standing, rate: float, seconds: float) -> tuple[list[Reply], list[Reply], list[Reply], float]:
    """The replies to the load, to who asks beside it and to the probe; the most memory of a worker meanwhile, MB."""
    most = 0.0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, *service.resident().values())
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    replies = await asyncio.gather(
        arriving(service.port, lambda n: asks(service, "load", n), rate, seconds),
        arriving(service.port, lambda n: asks(service, "beside", n), BESIDE, seconds),
        arriving(service.port, lambda _: request("/livez"), BESIDE, seconds),
    )
    watching.cancel()
    return *replies, most


def recovered(service: Standing, rate: float, usual: float) -> float:
    """Seconds after which no answer of the usual load takes longer than twice its usual p99 any more."""
    replies = asyncio.run(arriving(service.port, lambda n: asks(service, "load", n), rate, 15.0))
    late = [r.number / rate for r in replies if r.status != 200 or r.seconds * 1e3 > max(2 * usual, 50.0)]
    return max(late, default=0.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load")
    seconds = parser.parse_args().seconds
    table = Table(title="ms from when a request was due", box=None)
    for name in (
        "load", "sent/s", "200", "429", "503", "none", "200 p50", "200 p99", "refused p99", "beside 200", "beside p99",
        "livez p99", "MB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as name, standing(Path(name), "load", "beside", "warm0", "warm1") as service:
        best(service, seconds=3.0)
        base = best(service) / 2
        usual = float("nan")
        for times in (1, 10, 100):
            begun = time.perf_counter()
            replies, beside, probes, most = asyncio.run(load(service, base * times, seconds))
            sent = len(replies) / max(time.perf_counter() - begun, seconds)
            statuses = Counter(reply.status for reply in replies)
            good = [r for r in replies if r.status == 200]
            refused = [r for r in replies if r.status in (429, 503)]
            usual = at_percent(good, 99) if times == 1 else usual
            well = sum(r.status == 200 for r in beside)
            table.add_row(
                f"{times} x", f"{sent:.0f}", *(str(statuses[code]) for code in (200, 429, 503, 0)),
                *(f"{at_percent(good, p):.0f}" for p in (50, 99)), f"{at_percent(refused, 99):.0f}",
                f"{well} of {len(beside)}", f"{at_percent(beside, 99):.0f}", f"{at_percent(probes, 99):.0f}",
                f"{most:.0f}",
            )  # fmt: skip
            if times > 1:
                print(f"after {times} x: as before {recovered(service, base, usual):.1f} s after its end")
    Console(width=160).print(table)
    quota = os.environ.get("CALLSHEET_QUOTA", "200")
    print(
        f"1 x is half of what two who wait for their answers get: {base:.0f} a second; quota {quota} a key and worker"
    )


if __name__ == "__main__":
    main()
