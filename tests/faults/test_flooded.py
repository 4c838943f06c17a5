"""Far more is asked than can be answered, at a rate that no refusal slows down: who is turned away is told so, nobody
else is held up, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import psutil
import pytest
from sqlalchemy import select

from benchmarks.open_loop import Reply, arriving, request
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.crm import OFFERS
from serving.ledger.keys import create
from tests.faults.conftest import Served
from tests.faults.test_failing_ledger import workers_of

pytestmark = [pytest.mark.faults, pytest.mark.alone]

#: Seconds of the flood, and requests a second of who asks beside it.
SECONDS, QUIET = 15.0, 3.0


@dataclass(frozen=True)
class Guarded:
    """A service whose callers have keys without a quota, so that its queue alone stands between them."""

    served: Served
    keys: dict[str, str]

    @property
    def port(self) -> int:
        return self.served.service.port

    def asks(self, who: str, path: str, body: object = None, **headers: str) -> bytes:
        return request(path, body, authorization=f"Bearer {self.keys[who]}", **headers)

    def resident(self) -> int:
        """Bytes of the largest worker."""
        return max(psutil.Process(pid).memory_info().rss for pid in workers_of(self.served))


@pytest.fixture(scope="module")
def without_quota() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLSHEET_QUOTA", "0")
        yield


@pytest.fixture(scope="module")
def guarded(without_quota: None, served: Served) -> Guarded:
    with changing(served.ledger) as change:
        keys = {who: create(change, who, ["route", "record", "read"])[1] for who in ("flood", "quiet")}
    until_closed = time.monotonic() + 60
    while httpx.get(f"{served.service.url}/model", timeout=30).status_code != 401:
        assert time.monotonic() < until_closed
    time.sleep(3)  # the other worker, too
    return Guarded(served, keys)


def leads_of(guarded: Guarded) -> list[str]:
    """Leads that somebody could be offered."""
    headers = {"authorization": f"Bearer {guarded.keys['quiet']}"}
    today = datetime.now(UTC).isocalendar()
    body = {"week": f"{today.year}-W{today.week:02d}", "dry_run": True}
    plan = httpx.post(f"{guarded.served.service.url}/plan", json=body, headers=headers, timeout=120).json()
    return [line["lead_id"] for line in plan["assignments"]]


def as_fast_as_it_goes(guarded: Guarded, lead_id: str, seconds: float = 4.0) -> float:
    """Answers a second of one who waits for each, which is what the service computes at its best."""
    headers = {"authorization": f"Bearer {guarded.keys['quiet']}"}
    done, end = 0, time.monotonic() + seconds
    with httpx.Client(base_url=guarded.served.service.url, headers=headers, timeout=60) as client:
        while time.monotonic() < end:
            assert client.post("/recommend_reps", json={"lead_id": lead_id}).status_code == 200
            done += 1
    return done / seconds


async def flood(guarded: Guarded, leads: list[str], rate: float) -> tuple[list[Reply], list[Reply], list[Reply]]:
    """What became of the flood, of who asks beside it, and of the probes."""

    def one_of_many(number: int) -> bytes:
        body = {"lead_id": leads[number % len(leads)], "k": 1}
        if number % 10:
            return guarded.asks("flood", "/recommend_reps", body)
        return guarded.asks("flood", "/recommend_reps", body | {"commit": True}, idempotency_key=f"flood-{number}")

    def other(number: int) -> bytes:
        return guarded.asks("quiet", "/recommend_reps", {"lead_id": leads[-1 - number % len(leads)], "k": 3})

    return await asyncio.gather(
        arriving(guarded.port, one_of_many, rate, SECONDS),
        arriving(guarded.port, other, QUIET, SECONDS),
        arriving(guarded.port, lambda _: request("/livez"), QUIET, SECONDS),
    )


def test_a_flood_is_turned_away_and_nobody_else_is(guarded: Guarded) -> None:
    """Ten times what can be answered. Shown to fail where callers do not take their turns in rotation."""
    leads = leads_of(guarded)
    workers, before = workers_of(guarded.served), guarded.resident()
    best = as_fast_as_it_goes(guarded, leads[0])
    rate = 10 * best
    flooded, beside, probes = asyncio.run(flood(guarded, leads, rate))
    assert set(Counter(reply.status for reply in probes)) == {200}
    assert set(Counter(reply.status for reply in beside)) == {200}
    statuses = Counter(reply.status for reply in flooded)
    assert set(statuses) <= {200, 429, 503}
    turned = [reply for reply in flooded if reply.status in (429, 503)]
    assert turned
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in turned)
    said = {item["offer_id"] for r in flooded if r.status == 200 for item in r.json["items"] if item["offer_id"]}
    assert said
    with guarded.served.ledger.reading() as connection:
        assert said <= set(connection.execute(select(OFFERS.c.offer_id)).scalars())
        assert verify(connection) is None
    again = as_fast_as_it_goes(guarded, leads[0])  # all 200, at once after it
    assert again > best / 4
    assert workers_of(guarded.served) == workers
    after = guarded.resident()
    assert after < before + 200 * 1024 * 1024
    print(f"{len(flooded)} at {rate:.0f}/s: {dict(statuses)}; {len(beside)} beside and {len(probes)} probes: all 200;")
    print(f"{best:.0f}/s at best before, {again:.0f}/s at once after it")
    print(f"{len(said)} offers said, 0 lost; resident {before >> 20} MB before, {after >> 20} MB after")
