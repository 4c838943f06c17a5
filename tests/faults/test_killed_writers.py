"""kill -9 of a writer, round after round: what it said was committed is there, whole, and the ledger is sound."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from serving.actor import LOCAL
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.tables import AUDIT, DECISION_DETAILS, DECISIONS, EVENTS, HOLDS, IDEMPOTENCY
from tests.faults.writer import ROUTE
from tests.serving.ledger.small import DECIDED, furnish

#: When a writer is killed, in seconds after the first id that it said.
KILLED = 0.05, 0.3


def kill_9(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@dataclass
class Writers:
    """The process that forks writers, and the ids that they said: kind -> ids."""

    process: subprocess.Popen[str]
    random: random.Random = field(default_factory=lambda: random.Random(8))

    def killed(self, how: str = "", kill: Callable[[int], None] = kill_9) -> dict[str, set[str]]:
        """Let one write, kill it at some instant, and return what it said until then."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()
        said: dict[str, set[str]] = {"decision": set(), "event": set()}
        pid = int(self._line()[1])
        kind, one = self._line()
        said[kind].add(one)
        time.sleep(self.random.uniform(*KILLED))
        kill(pid)
        while (words := self._line()) != ["over"]:
            said[words[0]].add(words[1])
        return said

    def _line(self) -> list[str]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the writers' process has ended"
        return line.split()


@pytest.fixture
def writers(ledger: Ledger, url: str) -> Iterator[Writers]:
    furnish(ledger)
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writer", url], env=os.environ | {"PYTHONPATH": root}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield Writers(process)


def parts_of(ledger: Ledger) -> tuple[dict[str, str], list[set[str]]]:
    """The decision of each kept answer by its key; of what one change writes, the decisions that have each part."""
    scope = f"{LOCAL.name} {ROUTE}"
    with ledger.reading() as connection:
        answers = connection.execute(select(IDEMPOTENCY.c.key, IDEMPOTENCY.c.body).where(IDEMPOTENCY.c.scope == scope))
        kept = {row.key: str(json.loads(row.body)["decision_id"]) for row in answers}
        decisions = set(connection.execute(select(DECISIONS.c.decision_id)).scalars())
        explained = set(connection.execute(select(DECISION_DETAILS.c.decision_id)).scalars())
        made = select(OFFERS.c.decision_id, OFFERS.c.lead_id).where(OFFERS.c.decision_id.is_not(None))
        offers = {row.decision_id: row.lead_id for row in connection.execute(made)}
        stored = set(connection.execute(select(CRM["leads"].c.lead_id)).scalars())
        held = set(connection.execute(select(HOLDS.c.lead_id)).scalars())
        audited = set(connection.execute(select(AUDIT.c.subject).where(AUDIT.c.action == "offer")).scalars())
    placed = [{one for one, lead_id in offers.items() if lead_id in those} for those in (stored, held)]
    return kept, [decisions, explained, set(offers), set(kept.values()), audited, *placed]


def lost(ledger: Ledger, said: dict[str, set[str]]) -> set[str]:
    """What was said to be committed, and is not there in full."""
    kept, parts = parts_of(ledger)
    whole = set.intersection(*parts)
    with ledger.reading() as connection:
        events = set(connection.execute(select(EVENTS.c.event_id)).scalars())
        answered = set(connection.execute(select(IDEMPOTENCY.c.key)).scalars())
    return {key for key in said["decision"] if kept.get(key) not in whole} | (said["event"] - (events & answered))


def torn(ledger: Ledger) -> set[str]:
    """Of what one change writes, what is there in part: whether it was said or not."""
    _, parts = parts_of(ledger)
    return set.union(*parts) - set.intersection(*parts) - {DECIDED}


def sound(ledger: Ledger) -> None:
    """The audit's chain is whole, and so is the file."""
    with ledger.reading() as connection:
        assert verify(connection) is None
        if ledger.journal:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.faults)])
def test_nothing_that_was_said_to_be_committed_is_lost(ledger: Ledger, writers: Writers, rounds: int) -> None:
    """Shown to fail with the ids said early (the next test), and with `record` moved to a change of its own: torn."""
    said: dict[str, set[str]] = {"decision": set(), "event": set()}
    for _ in range(rounds):
        for kind, ids in writers.killed().items():
            said[kind] |= ids
        assert not lost(ledger, said)
        assert not torn(ledger)
        sound(ledger)
    assert len(said["decision"]) >= rounds
    print(f"{rounds} rounds, {sum(map(len, said.values()))} commits said: 0 lost, 0 torn")


def test_an_id_that_is_said_before_its_commit_is_lost_sooner_or_later(ledger: Ledger, writers: Writers) -> None:
    """So the rounds above would tell: a service that answers before it commits does not get through them."""
    assert any(lost(ledger, writers.killed("early")) for _ in range(60))
    assert not torn(ledger)
    sound(ledger)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_what_is_committed_is_on_the_disk(ledger: Ledger, writers: Writers, tmp_path: Path) -> None:
    """What kill -9 cannot show and a power cut would: at least one sync of a file for each commit."""
    with ledger.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == ledger.journal
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("no strace to count the syncs with; the pragmas are as they must be")
    trace = tmp_path / "trace"
    attached = subprocess.Popen(
        [tracer, "-f", "-q", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(writers.process.pid)]
    )
    try:
        while not trace.exists():
            if attached.poll() is not None:
                pytest.skip("strace may not attach here; the pragmas are as they must be")
            time.sleep(0.05)
        time.sleep(0.5)
        said = writers.killed()
    finally:
        attached.terminate()
        attached.wait()
    assert trace.read_text().count("= 0") >= sum(map(len, said.values()))
