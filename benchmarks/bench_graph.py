"""What the graph family costs: per (contact, instant) asked, against the number of accounts, for one request, and for
an account of 10,000 contacts. `python -m benchmarks.bench_graph` prints the table; times are CPU time of one thread."""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np

from features.asof import DAY, NEVER, Column
from features.graph import ContactGraphs
from features.memberships import Hub, Memberships, Presence, Spans
from features.ties import Arrivals, Ties
from features.worked import Worked

YEAR = 365 * DAY
SOLUTIONS, REPS = 6, 60


def made_up(accounts: int, contacts_each: int, seed: int = 0) -> tuple[Ties, Spans]:
    """Accounts of about so many contacts, with three years of interest, lines, meetings, opportunities and work.

    Returns  what is asked, and the leads that came in
    """
    rng = np.random.default_rng(seed)
    size = rng.poisson(contacts_each, accounts) if contacts_each < 1000 else np.full(accounts, contacts_each)
    account = np.repeat(np.arange(accounts), size)
    people = len(account)
    first = np.cumsum(size) - size

    def some(each: float) -> np.ndarray:
        return rng.integers(0, people, int(people * each))

    def when(n: int) -> np.ndarray:
        return rng.integers(0, 3 * YEAR, n)

    def gatherings(each: float, guests: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        host = some(each)
        hub = np.repeat(np.arange(len(host)), guests)
        home = account[host][hub]
        guest = first[home] + rng.integers(0, size[home])
        return guest, hub, when(len(host))[hub], np.repeat(rng.integers(0, REPS, len(host)), guests)

    presence = Presence.of(Column(account.astype(np.int64)), np.zeros(people, np.int64), accounts)
    leads, active = some(0.6), some(1.5)
    arrivals = Spans.of(leads, rng.integers(0, SOLUTIONS, len(leads)), when(len(leads)))
    activity = Spans.of(active, rng.integers(0, SOLUTIONS, len(active)), when(len(active)))
    report = some(0.7)
    boss = first[account[report]] + rng.integers(0, np.maximum(size[account[report]] // 5, 1))
    line = Spans.of(np.append(report, boss), np.append(boss, boss), np.zeros(2 * len(report), np.int64))
    guest, meeting, met, host_rep = gatherings(0.3, 3)
    buyer, opportunity, opened, seller = gatherings(0.15, 3)
    touched, touching = some(1.0), rng.integers(0, REPS, int(people * 1.0))
    kinds = {
        Hub.SOLUTION_INTEREST: Spans.joined(arrivals, activity), Hub.REPORTS_TO: line,
        Hub.MET_TOGETHER: Spans.of(guest, meeting, met), Hub.SAME_OPPORTUNITY: Spans.of(buyer, opportunity, opened),
    }  # fmt: skip
    worked, rep = np.concatenate([guest, buyer, touched]), np.concatenate([host_rep, seller, touching])
    at = np.concatenate([met, opened, when(len(touched))])
    work = Spans.of(worked, np.zeros(len(worked), np.int64), at, np.full(len(at), NEVER), at, rep)
    graphs = ContactGraphs(Memberships.of(presence, kinds))
    return Ties(graphs, Worked(work, presence, REPS), Arrivals(arrivals, presence, SOLUTIONS), work_told=True), arrivals


def asks_of(ties: Ties, leads: Spans) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every lead at the instant at which it came in: (account, contact, solution, t)."""
    presence = ties.graphs.memberships.presence
    account = presence.account[presence.contact_order[presence.contact_starts[leads.contact]]]
    return account, leads.contact, leads.hub, leads.since


def cpu(call: Callable[[], object]) -> float:
    """Seconds of CPU that a call takes."""
    start = time.process_time()
    call()
    return time.process_time() - start


def training(accounts: int) -> tuple[int, int, float, float]:
    """(asks, memberships, µs per ask with the graphs still to build, µs per ask with them built), 3 pairs an ask."""
    ties, leads = made_up(accounts, 15)
    asks = asks_of(ties, leads)
    count = len(asks[0])
    row = np.repeat(np.arange(count), 3)
    rep = np.random.default_rng(1).integers(0, REPS, len(row))
    first = cpu(lambda: ties.ask(*asks, row, rep))
    again = cpu(lambda: ties.ask(*asks, row, rep))
    return count, len(ties.graphs.memberships.account), first / count * 1e6, again / count * 1e6


def request(calls: int = 300) -> float:
    """Median ms of one lead × 200 reps, account by account, with the graphs built."""
    ties, leads = made_up(300, 20)
    account, contact, solution, _ = (values[:calls] for values in asks_of(ties, leads))
    now, rep, row = np.array([3 * YEAR]), np.arange(200) % REPS, np.zeros(200, np.int64)
    ties.graphs.flat_of(account)
    spent = []
    for i in range(len(account)):
        one = (account[i : i + 1], contact[i : i + 1], solution[i : i + 1], now, row, rep)
        spent.append(cpu(partial(ties.ask, *one)))
    return statistics.median(spent) * 1e3


def giant(contacts: int = 10_000) -> tuple[float, float, float]:
    """(ms of the first ask, ms of the next, MB at most) in one account of so many contacts, × 60 reps."""
    ties, _ = made_up(1, contacts)
    one = (np.array([0]), np.array([5]), np.array([0]), np.array([3 * YEAR]), np.zeros(REPS, np.int64), np.arange(REPS))
    first, again = cpu(lambda: ties.ask(*one)), cpu(lambda: ties.ask(*one))
    fresh, _ = made_up(1, contacts)
    tracemalloc.start()
    fresh.ask(*one)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return first * 1e3, again * 1e3, peak / 1e6


def main() -> None:
    """Print every figure beside its bar."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--accounts", type=int, default=1000, help="the smaller of two sizes, the other is ten times it"
    )
    small = options.parse_args().accounts
    rows: list[tuple[str, float, str, str]] = []
    totals = []
    for accounts in (small, 10 * small):
        count, memberships, first, again = training(accounts)
        totals.append(first * count)
        print(f"{accounts} accounts, {memberships} memberships, {count} asks with 3 pairs each")
        rows.append((f"{accounts} accounts, graphs built on the way", first, "µs/ask", "<= 150"))
        rows.append((f"{accounts} accounts, graphs built before", again, "µs/ask", "<= 60"))
    rows.append(("time for 10 x the accounts", totals[1] / totals[0], "x", "<= 11"))
    rows.append(("one lead x 200 reps", request(), "ms", "<= 0.8"))
    first, again, peak = giant()
    rows.append(("10,000 contacts, first ask", first, "ms", "<= 200"))
    rows.append(("10,000 contacts, next ask", again, "ms", "<= 200"))
    rows.append(("10,000 contacts, memory of the first ask", peak, "MB", "<= 100"))
    for name, value, unit, bar in rows:
        print(f"{name:45} {value:9.2f} {unit:8} {bar}")


if __name__ == "__main__":
    main()
