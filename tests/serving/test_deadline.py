"""Deadlines: the work ends with them, whatever it is at, and nothing is written that its caller was not told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import func, select, text
from starlette.responses import Response

from features.errors import InputError
from serving import deadline
from serving.actor import LOCAL
from serving.deadline import Deadline, DeadlinePassed
from serving.edge import Edge
from serving.ledger import Ledger, LedgerError, database
from serving.ledger.change import changing, seq_of
from serving.ledger.crm import OFFERS
from serving.ledger.tables import AUDIT, DECISIONS, EVENTS, HOLDS, IDEMPOTENCY
from serving.plan import plan
from serving.recommend import SCORED, Recommender
from serving.recording import record_events
from serving.wire.record import RecordAsk
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand

T = TypeVar("T")
JSON = {"content-type": "application/json"}


class Looks(Deadline):
    """Passes when the work has looked at it so often."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def left(self) -> float:
        self.looks -= 1
        return 1000.0 if self.looks >= 0 else 0.0


def within(one: Deadline, work: Callable[[], T]) -> T:
    """What the work returns that has this deadline."""
    context = copy_context()
    context.run(deadline.CURRENT.set, one)
    return context.run(work)


def stopped(work: Callable[[], T]) -> tuple[int, T]:
    """Let the deadline pass at each of the first ten looks of the work at it, then at fewer, until it gets through."""
    looks = tried = 0
    while looks < 10_000:
        try:
            return tried, within(Looks(looks), work)
        except DeadlinePassed:
            tried, looks = tried + 1, looks + 1 if looks < 10 else 2 * looks
    raise AssertionError("it never gets through")


def test_a_deadline_passes_with_the_clock_or_when_it_is_ended() -> None:
    now = 0.0
    one = Deadline(2, lambda: now)
    assert one.left == 2
    now = 3.0
    assert one.left == 0
    other = Deadline(2, lambda: now)
    other.end()
    with pytest.raises(DeadlinePassed):
        within(other, deadline.check)
    deadline.check()  # that was another's


@pytest.mark.parametrize("given", ["", "0", "0.5", "-1", "nan", "inf", "1e3", "soon", " 1", "9" * 30])
def test_what_is_no_number_of_seconds_is_refused(given: str) -> None:
    with pytest.raises(InputError) as refused:
        Deadline().told(given)
    assert refused.value.field == "Request-Timeout"


@pytest.mark.parametrize(("given", "left"), [("2.5", 2.5), ("100000", deadline.SECONDS)])
def test_a_caller_waits_as_long_as_he_says_and_we_let_him(given: str, left: float) -> None:
    one = Deadline(clock=lambda: 0.0)
    one.told(given)
    assert one.left == left


def test_a_lock_that_others_hold_is_waited_for_no_longer_than_the_deadline(recommender: Recommender) -> None:
    lead = {"contact_id": str(recommender.book.contact_ids[0]), "solution": recommender.book.solutions.values[0]}
    with recommender._one_at_a_time, pytest.raises(DeadlinePassed):
        within(Deadline(0.01), lambda: recommender.reps_for_inline(lead))


def test_every_question_stops_at_its_deadline(recommender: Recommender) -> None:
    """Scoring between two parts of its pairs, an answer between its steps."""
    ids = (str(recommender.book.lead_ids[code]) for code in recommender.open_leads)
    lead_id, rep_id = next((one, best[0]) for one in ids if (best := recommender.rank_reps(one).best_ids))

    def scored(n: int) -> int:
        return stopped(lambda: recommender.score_pairs([lead_id] * n, [rep_id] * n, [recommender.now] * n))[0]

    assert (scored(SCORED), scored(2 * SCORED)) == (1, 2)
    looks, answer = stopped(lambda: recommender.reps_for_lead(lead_id, 3, reasons=True))
    assert looks > 2
    assert answer["rung"] == "champion"  # that it stopped was taken for no failure of the model


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def written(ledger: Ledger) -> list[int]:
    """How much there is of all that an answer writes."""
    with ledger.reading() as connection:
        tables = (OFFERS, HOLDS, EVENTS, AUDIT, IDEMPOTENCY, DECISIONS)
        return [connection.execute(select(func.count()).select_from(one)).scalar_one() for one in tables]


def test_what_stops_at_its_deadline_has_written_nothing_and_is_done_by_its_retry(stand: Stand) -> None:
    """Wherever it was at: a commit, a week's plan, events."""
    lead_id, at = stand.free_lead(), stand.now
    year, week, _ = at.isocalendar()
    made: dict[str, Any] = {}

    def told() -> Any:
        event = {"event_id": "E1", "offer_id": made["commit"]["items"][0]["offer_id"], "kind": "accepted", "at": at}
        return record_events(stand.ledger, stand.crm.config, RecordAsk(events=[event]).events, LOCAL, "key-3", at)

    work: dict[str, Callable[[], Any]] = {
        "commit": lambda: stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True, once=stand.once("key-1")),
        "plan": lambda: plan(stand.decider, f"{year}-W{week:02d}", actor=LOCAL, once=stand.once("key-2")),
        "record": told,
    }
    for name, answer in work.items():
        before, seen = written(stand.ledger), []

        def stops() -> Any:
            try:
                return answer()  # noqa: B023
            except DeadlinePassed:
                seen.append(written(stand.ledger))  # noqa: B023
                raise

        tries, done = stopped(stops)
        made[name] = done.answer
        assert tries == len(seen) > 2, name
        assert seen == [before] * tries, name
        assert not done.replayed
    assert made["plan"]["assignments"]
    assert [one["result"] for one in made["record"]["results"]] == ["applied"]


# -- The ledger's lock ------------------------------------------------------------------------------------------------


def test_what_its_caller_gave_up_before_the_commit_is_not_committed(ledger: Ledger) -> None:
    given_up = Deadline()

    def write() -> None:
        with changing(ledger) as change:
            change.touch("touches", ["T1"])
            given_up.end()

    before = seq(ledger)
    with pytest.raises(DeadlinePassed):
        within(given_up, write)
    assert seq(ledger) == before


def seq(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return seq_of(connection)


@pytest.fixture
def held(ledger: Ledger) -> Iterator[Ledger]:
    """A ledger whose lock somebody else holds."""
    with changing(ledger):
        yield ledger


def test_nobody_waits_for_the_ledger_past_the_deadline(held: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 3600)
    other = Ledger(url)

    def write() -> None:
        with changing(other):
            pass

    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(within, Deadline(0.2), write)
        assert isinstance(waits.exception(timeout=60), DeadlinePassed)
    other.close()


def test_the_wait_for_other_writers_has_one_limit_however_many_locks_it_takes(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits behind another for PostgreSQL's row takes two, one after the other."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    ledger = Ledger(postgres)

    def waits(seconds: float) -> str:
        with ledger.writing(seconds=60) as connection:
            ledger.alone(connection, lambda: connection.execute(text(f"SELECT pg_sleep({seconds})")))
            connection.exec_driver_sql("SELECT pg_sleep(0.3)")  # what follows is no waiting
            return str(connection.exec_driver_sql("SHOW statement_timeout").scalar())

    with pytest.raises(LedgerError, match="statement timeout"):
        waits(60)
    assert waits(0.01) == "0"
    assert within(Deadline(2), lambda: waits(0.01)).endswith("ms")
    ledger.close()


# -- At the edge ------------------------------------------------------------------------------------------------------


def test_work_has_what_is_left_of_what_the_caller_said() -> None:
    left: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(await asyncio.to_thread(deadline.left))
        await Response("{}")(scope, receive, send)

    async def asked(**headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(Edge(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=JSON | headers) as client:
            return await client.post("/score", content=b'{"pairs": []}')

    assert asyncio.run(asked()).status_code == 200
    assert asyncio.run(asked(**{"request-timeout": "7"})).status_code == 200
    assert left[1] <= 7 < left[0] <= deadline.SECONDS
    refused = asyncio.run(asked(**{"request-timeout": "soon"}))
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "Request-Timeout")


def test_work_whose_caller_has_left_stops() -> None:
    """Its turn is free again, and the log has it as no answer of ours."""
    edge, statuses = None, []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with scope["callsheet"].working():
            statuses.append("began")
            try:
                while True:
                    await asyncio.sleep(0.001)
                    deadline.check()
            finally:
                statuses.append("ended")

    async def run() -> None:
        nonlocal edge
        edge = Edge(app)
        messages = iter([{"type": "http.request", "body": b'{"pairs": []}'}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            await asyncio.sleep(0.01 if statuses else 0)
            return next(messages)

        async def send(event: Any) -> None:
            statuses.append(event.get("status"))

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/score",
            "headers": [(b"content-type", b"application/json")],
        }
        async with asyncio.timeout(deadline.SECONDS / 2):  # not by his deadline
            await edge(scope, receive, send)
        await asyncio.sleep(0)
        assert edge.turns.running == 0

    asyncio.run(run())
    assert statuses[:3] == ["began", "ended", 503]
