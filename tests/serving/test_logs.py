"""What is written down: a JSON line a request, one message one line, and nothing of what a request held."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import logs
from serving.edge import Edge
from serving.ledger import Ledger, LedgerError
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import Site

CANARY = "zz-canary-7f3@example.test"


@pytest.fixture(scope="module")
def written(crm: Crm, site: Site) -> Iterator[Service]:
    home = make_home(crm, site.home, site.url)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CALLSHEET_LOG", "json")
        with running(crm.folder, crm.config_path, home, "--db", site.url) as service:
            yield service


def lines(service: Service) -> list[dict[str, Any]]:
    """The requests' lines so far; the supervisor's own are not JSON."""
    text = (service.home / "serve.log").read_text()
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line["logger"] == "serving.requests"]


def line_of(service: Service, request_id: str) -> dict[str, Any]:
    """The one line of a request; it is written once the answer has gone out."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = [line for line in lines(service) if line["request_id"] == request_id]
        if found:
            (line,) = found
            return line
        time.sleep(0.05)
    raise AssertionError(f"no line of {request_id}")


def test_a_request_is_one_line_with_its_id(written: Service) -> None:
    headers = {"x-request-id": "mine-1"}
    httpx.post(f"{written.url}/score", json={"pairs": []}, headers=headers, timeout=30)
    line = line_of(written, "mine-1")
    assert {k: line[k] for k in ("route", "status", "actor", "code", "level", "message")} == {
        "route": "/score", "status": 200, "actor": "local", "code": None, "level": "info", "message": "request"
    }  # fmt: skip
    assert line["ms"] > 0
    httpx.post(f"{written.url}/score", json={"pairs": 3}, headers={"x-request-id": "mine-2"}, timeout=30)
    line = line_of(written, "mine-2")
    assert (line["status"], line["code"]) == (400, "input_invalid")
    assert not [line for line in lines(written) if line["route"] == "/readyz" and line["status"] == 200]


def test_a_canary_sent_through_every_door_shows_nowhere(written: Service, crm: Crm) -> None:
    contact, account = str(crm.book.contact_ids[0]), str(crm.book.account_ids[0])
    solution = crm.book.solutions.values[0]
    inline = {"contact_id": contact, "solution": solution}
    fresh = {"contact_id": "zz-new", "account_id": account, "title": CANARY, "email": CANARY}
    for route, body in (
        ("recommend_reps", {"lead_id": CANARY}), ("recommend_leads", {"rep_id": CANARY}),
        ("recommend_reps", {"lead": inline | {"lead_id": CANARY}}),
        ("recommend_reps", {"lead": inline | {"contact_id": "zz-new", "contact": fresh}}),
        ("recommend_reps", {"lead": inline | {"contact": {"email": 5, "name": CANARY}}}),
        ("recommend_reps", {CANARY: CANARY}), ("score", {"pairs": [{"lead_id": CANARY, "rep_id": CANARY}]}),
        ("score", CANARY), (CANARY, {}), (f"score?email={CANARY}", {"pairs": []}),
    ):  # fmt: skip
        httpx.post(f"{written.url}/{route}", json=body, timeout=30)
    for headers in (
        {"authorization": f"Bearer {CANARY}"}, {"x-request-id": CANARY}, {"idempotency-key": f"{CANARY} x"},
        {"content-type": CANARY}, {"user-agent": CANARY, "cookie": CANARY, "x-forwarded-for": CANARY},
    ):  # fmt: skip
        httpx.post(f"{written.url}/score", content=CANARY.encode(), headers=headers, timeout=30)
    assert CANARY not in httpx.get(f"{written.url}/metrics", timeout=30).text
    httpx.get(f"{written.url}/model", headers={"x-request-id": "the-last"}, timeout=30)
    line_of(written, "the-last")
    said = (written.home / "serve.log").read_text()
    assert len(lines(written)) > 15
    assert "canary" not in said
    kept = [p for p in written.home.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert kept == []


# -- The formats by themselves --------------------------------------------------------------------------------------


@pytest.fixture(params=["json", ""])
def out(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the root logger's handler writes, as a worker's would."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    kept = root.handlers[:], logging.getLogger("serving").level
    root.handlers[:] = [handler]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.excepthook", None)
        logs.configure({"CALLSHEET_LOG": request.param})
        yield text
    root.handlers[:] = kept[0]
    logging.getLogger("serving").setLevel(kept[1])
    logs.REQUESTS.setLevel(logging.NOTSET)


def test_a_message_is_one_line_whatever_is_in_it(out: io.StringIO) -> None:
    logging.getLogger("serving.x").warning("a\r\n%s", "b\nlevel=critical\x1b[31m")
    assert out.getvalue().count("\n") == 1
    assert "\r" not in out.getvalue()


def test_a_crash_is_told_by_place_and_kind_never_by_its_words(out: io.StringIO) -> None:
    async def crashes(scope: Any, receive: Any, send: Any) -> None:
        try:
            {}[CANARY]
        except KeyError as error:
            raise RuntimeError(f"no {CANARY}") from error

    async def run() -> list[Any]:
        events: list[Any] = []

        async def send(event: Any) -> None:
            events.append(event)

        scope = {"type": "http", "method": "GET", "path": "/model", "query_string": b"", "headers": []}
        await Edge(crashes)(scope, None, send)  # type: ignore[arg-type]
        return events

    start, body = asyncio.run(run())
    assert start["status"] == 500
    assert CANARY.encode() not in body["body"]
    said = out.getvalue()
    assert CANARY not in said
    assert "test_logs.py" in said
    assert "RuntimeError" in said
    assert "KeyError" in said


@pytest.mark.owner
def test_what_the_database_says_of_a_row_is_not_repeated(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE canaries (email TEXT PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO canaries VALUES ('{CANARY}')")
    with pytest.raises(LedgerError) as refused, ledger.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO canaries VALUES ('{CANARY}')")
    assert CANARY not in str(refused.value)


def test_the_story_of_a_ring_of_errors_ends() -> None:
    one, two = ValueError("x"), KeyError("y")
    one.__cause__, two.__cause__ = two, one
    assert logs.story(one).count("because of") == 1


def test_a_subject_that_an_issuer_names_by_email_is_told_by_a_hash() -> None:
    assert logs.who("key:1f0c9a77be21") == "key:1f0c9a77be21"
    assert logs.who(f"oidc:{CANARY}").startswith("oidc#")
    assert CANARY not in logs.who(f"oidc:{CANARY}")


def test_configuring_twice_is_configuring_once(out: io.StringIO, tmp_path: Path) -> None:
    logs.configure({})
    logging.getLogger("serving.x").warning("once")
    assert out.getvalue() == "once\n"
