"""A ledger that somebody holds: how fast what writes nothing is answered, while commits wait for the lock.

`python benchmarks/bench_held.py` on an idle machine, some 40 s: one worker on a SQLite ledger of a sample CRM of 300
accounts, by rule; another process's `BEGIN IMMEDIATE` for 8 s, and 20 commits at once. In the same run: the same
questions before it.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx

from features.config import load_config
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.load import load
from serving.live import ledger_book
from training.sample import write_sample

HELD_SECONDS, COMMITS = 8.0, 20
PAUSE = 0.05


def ledger_of(folder: Path) -> tuple[Ledger, list[str]]:
    """A ledger with a sample in it, and the leads that are open."""
    write_sample(folder / "crm", accounts=300, reps=40, offers=1500, seed=0, end=date.today())
    config = load_config(folder / "crm" / "callsheet.yaml")
    ledger = Ledger.open(None, folder)
    load(ledger, read_snapshot(str(folder / "crm"), config=config), config=config)
    book = ledger_book(ledger, config)
    return ledger, [str(one) for one in book.lead_ids[book.open_leads(book.now)]]


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The address of a service on that ledger."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [
        sys.executable, "-m", "callsheet", "serve", "--config", str(folder / "crm" / "callsheet.yaml"), "--home",
        str(folder), "--port", str(port),
    ]  # fmt: skip
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | {"CALLSHEET_QUOTA": "0"}, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def asked(url: str, leads: list[str], while_true: Callable[[], bool]) -> dict[str, list[tuple[float, str]]]:
    """Each route asked again and again by one caller of its own: seconds, and what was answered."""
    body = {"lead_id": leads[0], "k": 3}
    asks: dict[str, tuple[str, dict[str, object] | None]] = {
        "/livez": ("GET", None), "/readyz": ("GET", None), "/model": ("GET", None), "/recommend_reps": ("POST", body),
    }  # fmt: skip

    def one(path: str, method: str, content: dict[str, object] | None) -> list[tuple[float, str]]:
        got = []
        with httpx.Client(base_url=url, timeout=120) as client:
            while while_true():
                begun = time.perf_counter()
                answer = client.request(method, path, json=content)
                got.append((time.perf_counter() - begun, said(answer)))
                time.sleep(PAUSE)
        return got

    with ThreadPoolExecutor(len(asks)) as pool:
        futures = {path: pool.submit(one, path, *ask) for path, ask in asks.items()}
        return {path: future.result() for path, future in futures.items()}


def said(answer: httpx.Response) -> str:
    """200, 200 advice, or what a refusal is called."""
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.json()['error']['code']}"
    advice = answer.headers["content-type"] == "application/json" and answer.json().get("advice_only")
    return "200 advice" if advice else "200"


def commit(client: httpx.Client, lead: str) -> tuple[float, str]:
    """Seconds, and what was answered."""
    begun = time.perf_counter()
    answer = client.post(
        "/recommend_reps", json={"lead_id": lead, "k": 3, "commit": True}, headers={"Idempotency-Key": uuid4().hex}
    )
    return time.perf_counter() - begun, said(answer)


def printed(when: str, measured: dict[str, list[tuple[float, str]]]) -> None:
    """One line for each."""
    for what, got in measured.items():
        spent = [seconds for seconds, _ in got]
        answers = ", ".join(f"{n} x {answer}" for answer, n in Counter(answer for _, answer in got).most_common())
        print(f"{when:8} {what:16} p50 {1e3 * median(spent):8.1f} ms  max {1e3 * max(spent):8.1f} ms  {answers}")


def main() -> None:
    """Print how long each took, before and while the ledger is held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=HELD_SECONDS, help="that the ledger is held")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        ledger, leads = ledger_of(Path(name))
        with (
            service(Path(name)) as url,
            ThreadPoolExecutor(COMMITS) as pool,
            httpx.Client(base_url=url, timeout=120) as client,
        ):
            until = time.monotonic() + 3
            asked(url, leads, lambda: time.monotonic() < until)
            until = time.monotonic() + 3
            printed("before", asked(url, leads, lambda: time.monotonic() < until))
            done = threading.Event()
            with ledger.writing():
                commits = [pool.submit(commit, client, lead) for lead in leads[1 : COMMITS + 1]]
                threading.Timer(seconds, done.set).start()
                printed("held", asked(url, leads, lambda: not done.is_set()))
            printed("held", {"20 commits": [one.result() for one in commits]})
        ledger.close()


if __name__ == "__main__":
    main()
