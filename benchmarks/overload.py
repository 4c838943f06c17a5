"""Once, ten and a hundred times the load: how long who is admitted waits, who is refused, and who asks beside a flood.

`python -m benchmarks.overload`: requests arrive at a fixed rate whatever the answers do. The clients are processes of
their own, so that the flood's own queue delays nobody else's requests, but on the service's cores: at a hundred times
it is the flood's client that gives out; what it sent is printed. CALLSHEET_QUOTA counts.
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
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.open_loop import Reply, arriving, at_percent, request, sent_rate
from benchmarks.standing_service import Standing, standing

#: Requests a second of who asks beside, and of the probe.
BESIDE = 5.0
#: Requests in a row of which a 95th percentile is told: of a second's twenty it would be the slowest.
IN_A_ROW = 100
#: Seconds after its end within which an overload should be over; for so long it is looked at.
OVER = 10.0


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


@dataclass(frozen=True)
class Asks:
    """Questions of one caller about the leads in turn; without a key: the probe."""

    leads: list[str]
    key: str | None = None

    def __call__(self, number: int) -> bytes:
        """One request, as it goes over the wire."""
        if self.key is None:
            return request("/livez")
        body = {"lead_id": self.leads[number % len(self.leads)], "k": 3}
        return request("/recommend_reps", body, authorization=f"Bearer {self.key}")


def client(port: int, asks: Asks, rate: float, seconds: float) -> list[Reply]:
    """The replies to one caller; in a process of its own."""
    return asyncio.run(arriving(port, asks, rate, seconds))


@dataclass(frozen=True)
class Seen:
    """The replies to the load, to who asks beside it and to the probe; a worker's most memory, MB."""

    load: list[Reply]
    beside: list[Reply]
    probes: list[Reply]
    most: float


def load(service: Standing, clients: ProcessPoolExecutor, rate: float, seconds: float) -> Seen:
    """Ask at a rate, with another and the probe beside."""
    said = {who: Asks(service.leads, service.keys[who]) for who in ("load", "beside")}
    most = 0.0
    running = [
        clients.submit(client, service.port, said["load"], rate, seconds),
        clients.submit(client, service.port, said["beside"], BESIDE, seconds),
        clients.submit(client, service.port, Asks([]), BESIDE, seconds),
    ]
    while not running[0].done():
        most = max(most, *service.resident().values())
        time.sleep(0.5)
    flood, beside, probes = (one.result() for one in running)
    return Seen(flood, beside, probes, most)


def usual_again(service: Standing, clients: ProcessPoolExecutor, rate: float, usual: float) -> str:
    """Put the usual load on and say how long it takes until it is answered as usual."""
    asks = Asks(service.leads, service.keys["load"])
    replies = clients.submit(client, service.port, asks, rate, OVER + IN_A_ROW / rate).result()
    after = recovered(replies, rate, usual)
    return f"as usual {after:.1f} s after its end" if after <= OVER else f"not as usual within {OVER:g} s of its end"


def recovered(replies: Sequence[Reply], rate: float, usual: float) -> float:
    """Seconds after which no request is refused, and of none IN_A_ROW the 95th percentile is over twice the usual p99.

    replies  in the order in which they were due, `rate` a second; usual: that p99, ms
    Returns  infinity where the last of them are still slow
    """
    rows = [replies[first : first + IN_A_ROW] for first in range(max(len(replies) - IN_A_ROW, 0) + 1)]
    slow = [first for first, row in enumerate(rows) if at_percent(row, 95) > 2 * usual]
    if slow and slow[-1] == len(rows) - 1:
        return float("inf")
    refused = [place for place, reply in enumerate(replies) if reply.status != 200]
    return (max(slow + refused, default=-1) + 1) / rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load")
    parser.add_argument("--rate", type=float, help="the usual load a second, by default half of what it can")
    parser.add_argument("--times", type=int, nargs="*", default=[10, 100], help="the usual load, after it by itself")
    told = parser.parse_args()
    seconds = told.seconds
    table = Table(title="ms from when a request was due", box=None)
    for name in (
        "load", "sent/s", "200", "429", "503", "none", "200 p50", "200 p99", "refused p99", "beside 200", "beside p50",
        "beside p99", "livez p99", "MB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    with (
        tempfile.TemporaryDirectory() as name,
        standing(Path(name), "load", "beside", "warm0", "warm1") as service,
        ProcessPoolExecutor(3, mp_context=get_context("spawn")) as clients,
    ):
        load(service, clients, 2 * BESIDE, 2.0)  # the clients' processes are there, and the service is warm
        best(service, seconds=3.0)
        base = told.rate or best(service) / 2
        usual = float("nan")
        for times in (1, *told.times):
            seen = load(service, clients, base * times, seconds)
            statuses = Counter(reply.status for reply in seen.load)
            good = [r for r in seen.load if r.status == 200]
            refused = [r for r in seen.load if r.status in (429, 503)]
            usual = at_percent(good, 99) if times == 1 else usual
            well = sum(r.status == 200 for r in seen.beside)
            table.add_row(
                f"{times} x", f"{sent_rate(seen.load):.0f}", *(str(statuses[code]) for code in (200, 429, 503, 0)),
                *(f"{at_percent(good, p):.0f}" for p in (50, 99)), f"{at_percent(refused, 99):.0f}",
                f"{well} of {len(seen.beside)}", *(f"{at_percent(seen.beside, p):.0f}" for p in (50, 99)),
                f"{at_percent(seen.probes, 99):.0f}", f"{seen.most:.0f}",
            )  # fmt: skip
            print(f"after {times} x: {usual_again(service, clients, base, usual)}")
    Console(width=160).print(table)
    quota = os.environ.get("CALLSHEET_QUOTA", "200")
    print(
        f"1 x is {'as told' if told.rate else 'half of what two who wait for their answers get'}: {base:.0f} a second; "
        f"quota {quota} a key and worker"
    )


if __name__ == "__main__":
    main()
