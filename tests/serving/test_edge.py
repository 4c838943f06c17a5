"""Hostile and careless clients: whatever comes in, the answer is an envelope with a stable code, and never a 5xx."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from hypothesis import given
from hypothesis import strategies as st

from features.errors import CallsheetError
from serving.actor import Actor
from serving.body import checked
from serving.credentials import Credentials, Keys, Open
from serving.edge import PASSED, Edge
from serving.ledger import Ledger
from serving.refusal import Turned, envelope
from serving.routes import ROUTES
from serving.wire.base import MAX_BODY, MAX_PAIRS
from tests.serving.conftest import Service

JSON = {"content-type": "application/json"}
LEAD = b'{"lead": {"contact_id": "C1", "solution": "x", %s}}'


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of an envelope; nothing else is in it."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "field"}
    assert isinstance(body["error"]["message"], str)
    return answer.status_code, body["error"]["code"], body["error"]["field"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "json_invalid", None),
        (b"{", "json_invalid", None),
        (b"\xff\xfe", "json_invalid", None),
        (b'{"lead_id": "L1", "k": NaN}', "input_invalid", "k"),
        (b'{"lead": {"contact_id": "C1", "solution": "x", "grade": NaN}}', "input_invalid", "lead.grade"),
        (b'{"lead_id": "\\ud800"}', "json_invalid", None),
        (b"[" * 100_000, "json_invalid", None),
        (b'{"lead_id":' * 50_000, "json_invalid", None),
        (b"null", "input_invalid", None),
        (b"[]", "input_invalid", None),
        (b'"L1"', "input_invalid", None),
        (b"{}", "input_invalid", None),
        (b'{"lead_id": null}', "input_invalid", None),
        (b'{"lead_id": 7}', "input_invalid", "lead_id"),
        (b'{"lead_id": ""}', "input_invalid", "lead_id"),
        (b'{"lead_id": "L1", "k": "3"}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "k": 3.5}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "k": 0}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "k": 101}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "k": true}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "k": 1e400}', "input_invalid", "k"),
        (b'{"lead_id": "L1", "commit": "yes"}', "input_invalid", "commit"),
        (b'{"lead_id": "L1", "kk": 3}', "input_invalid", "kk"),
        (b'{"lead_id": "L1", "lead": {"contact_id": "C1", "solution": "x"}}', "input_invalid", None),
        (b'{"lead": {"solution": "x"}}', "input_invalid", "lead"),
        (b'{"lead": {"contact_id": "C1", "solution": "x", "status": "open"}}', "input_invalid", "lead.status"),
        (LEAD % b'"behavior_score": -1', "input_invalid", "lead.behavior_score"),
        (LEAD % b'"behavior_score": NaN', "input_invalid", "lead.behavior_score"),
        (LEAD % b'"behavior_score": Infinity', "input_invalid", "lead.behavior_score"),
        (LEAD % b'"created_at": "2026-03-01T00:00:00"', "input_invalid", "lead.created_at"),
        (b'{"lead": {"contact_id": "nobody", "solution": "x"}}', "contact_unknown", "lead.contact_id"),
        (b'{"lead_id": "' + b"x" * 201 + b'"}', "input_invalid", "lead_id"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_the_question_is_refused_by_field(
    http: httpx.Client, body: bytes, code: str, field: str | None
) -> None:
    status = 404 if code.endswith("_unknown") else 400
    assert refused(http.post("/recommend_reps", content=body, headers=JSON)) == (status, code, field)


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([{"lead_id": "a", "rep_id": "b"}] * (MAX_PAIRS + 1), "pairs"),
        ([{"lead_id": "a"}], "pairs[0].rep_id"),
        ([{"lead_id": "a", "rep_id": "b", "as_of": "yesterday"}], "pairs[0].as_of"),
        ([{"lead_id": "a", "rep_id": "b", "as_of": "2026-03-01T09:00:00"}], "pairs[0].as_of"),
        ([{"lead_id": "a", "rep_id": "b", "as_of": "9999-12-31T23:59:59Z"}], "pairs[0].as_of"),
        ([{"lead_id": "a", "rep_id": "b", "as_of": "0001-01-01T00:00:00+14:00"}], "pairs[0].as_of"),
        ([{"lead_id": "a", "rep_id": "b", "as_of": 0}], "pairs[0].as_of"),
        ({"lead_id": "a"}, "pairs"),
    ],
)
def test_pairs_that_are_not_pairs_are_refused_by_place(http: httpx.Client, pairs: Any, field: str) -> None:
    answer = http.post("/score", json={"pairs": pairs})
    assert refused(answer)[0] == 400
    assert answer.json()["error"]["field"] == field


def test_a_refusal_never_repeats_what_was_sent(http: httpx.Client) -> None:
    canary = "zz-canary-7f3@example.test"
    for body in (
        {"lead_id": [canary]},
        {"lead_id": "L1", "k": canary},
        {"lead": {"contact": {"email": 5, "x": canary}}},
    ):
        assert canary not in http.post("/recommend_reps", json=body).text


@pytest.mark.parametrize(
    "kind",
    [
        None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
        "application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream",
        "application/json; charset=latin-1", "application/jsonp",
    ],
)  # fmt: skip
def test_what_is_not_json_is_415(http: httpx.Client, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = http.post("/recommend_reps", content=b'{"lead_id": "L1"}', headers=headers)
    assert refused(answer)[:2] == (415, "content_type")


@pytest.mark.parametrize(
    "kind", ["Application/JSON", "application/json;charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_json_is_json_however_it_is_spelt(http: httpx.Client, kind: str) -> None:
    answer = http.post("/recommend_reps", content=b'{"lead_id": "nobody"}', headers={"content-type": kind})
    assert refused(answer)[:2] == (404, "lead_unknown")


def test_a_compressed_body_is_not_unpacked(http: httpx.Client) -> None:
    answer = http.post("/score", content=b"\x1f\x8b", headers=JSON | {"content-encoding": "gzip"})
    assert refused(answer)[:2] == (415, "content_encoding")


def test_a_large_body_is_refused_by_its_announced_length(http: httpx.Client) -> None:
    assert refused(http.post("/score", content=b"x" * (MAX_BODY + 1), headers=JSON))[:2] == (413, "body_too_large")


def test_an_endless_body_is_refused_at_the_cap(service: Service) -> None:
    """Chunked, without a length: the answer comes while the client is still sending."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as line:
        line.sendall(
            b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 64 * MAX_BODY:
                line.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass  # the service hung up
        assert sent < 64 * MAX_BODY
        assert b"413" in line.recv(100)


def test_a_length_that_is_none_is_refused(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as line:
        line.sendall(
            b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n"
        )
        assert line.recv(100).split(b" ")[1].startswith(b"4")


@pytest.mark.parametrize("many", [{f"x-{i}": "y" for i in range(120)}, {"x-long": "y" * 20_000}])
def test_headers_have_a_cap(http: httpx.Client, many: dict[str, str]) -> None:
    assert refused(http.get("/model", headers=many))[:2] == (431, "headers_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/recommend_reps", 405, "method_not_allowed"),
        ("POST", "/model", 405, "method_not_allowed"),
        ("DELETE", "/score", 405, "method_not_allowed"),
        ("OPTIONS", "/score", 405, "method_not_allowed"),
        ("GET", "/", 404, "route_unknown"),
        ("GET", "/score/../model/x", 404, "route_unknown"),
        ("POST", "/recommend_reps/", 404, "route_unknown"),
        ("GET", "/%00", 404, "route_unknown"),
    ],
)
def test_other_routes_and_methods_have_an_envelope_too(
    http: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    assert refused(http.request(method, path))[:2] == (status, code)


def test_a_method_that_is_refused_names_the_one_that_is_not(http: httpx.Client) -> None:
    assert http.get("/score").headers["allow"] == "POST"


def test_a_request_id_is_kept_when_it_is_one(http: httpx.Client) -> None:
    assert http.get("/model", headers={"x-request-id": "mine-7.f_3"}).headers["x-request-id"] == "mine-7.f_3"
    assert http.get("/model", headers={"x-request-id": "x" * 65}).headers["x-request-id"] != "x" * 65
    assert http.get("/model", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"


# -- The edge by itself ---------------------------------------------------------------------------------------------


def ask(
    app: Any, path: str = "/model", body: bytes = b"", *, credentials: Credentials | None = None, **scope: Any
) -> list[dict[str, Any]]:
    """One request through the edge to an application; the events that came out."""
    route = ROUTES[path]
    events: list[dict[str, Any]] = []
    given = {
        "type": "http", "method": route.method, "path": path, "query_string": b"",
        "headers": [(b"content-type", b"application/json")], **scope,
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        events.append(dict(event))

    async def run() -> None:
        await Edge(app, credentials)(given, receive, send)

    asyncio.run(run())
    return events


def answers(status: int, body: bytes = b"{}") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(
    ("inner", "status", "code"),
    [(500, 500, "internal"), (503, 503, "not_ready"), (504, 503, "deadline"), (400, 400, "input_invalid"),
     (404, 404, "route_unknown"), (429, 429, "too_many"), (418, 418, "refused"), (502, 502, "internal")],
)  # fmt: skip
def test_a_refusal_of_the_framework_becomes_an_envelope(inner: int, status: int, code: str) -> None:
    start, body = ask(answers(inner, b"Traceback (most recent call last): secret"))
    assert start["status"] == status
    assert json.loads(body["body"])["error"]["code"] == code
    assert b"secret" not in body["body"]
    assert dict(start["headers"])[b"content-type"] == b"application/json"


def test_an_answer_that_is_fine_passes_untouched() -> None:
    start, body = ask(answers(200, b'{"a": 1}'))
    assert (start["status"], body["body"]) == (200, b'{"a": 1}')


def test_what_breaks_inside_is_500_without_its_story() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret")

    start, body = ask(broken)
    assert start["status"] == 500
    assert json.loads(body["body"])["error"]["code"] == "internal"
    assert b"secret" not in body["body"]


def test_a_ledger_that_is_down_is_said_without_the_words_of_its_database(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with Ledger("postgresql://somebody@127.0.0.1:1/crm").reading():
            pass

    start, body = ask(app)
    said = json.loads(body["body"])["error"]
    assert (start["status"], said["code"]) == (503, "ledger_unavailable")
    assert "127.0.0.1" not in said["message"]
    assert 'connection to server at "127.0.0.1"' in caplog.text  # for whoever has to put it right


def test_who_could_not_say_who_he_is_is_nobody_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serving.requests")
    ledger = Ledger.open(None, tmp_path)
    keys = Keys(ledger, guarded=True)
    keys.refresh()
    start, _ = ask(answers(200), credentials=keys)
    ledger.close()
    (line,) = [record.about for record in caplog.records if record.name == "serving.requests"]  # type: ignore[attr-defined]
    assert start["status"] == 401
    assert (line["status"], line["code"], line["actor"]) == (401, "unauthorized", "nobody")


def test_a_body_is_read_once_and_handed_on_as_a_checked_question() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["callsheet"].ask)
        await answers(200)(scope, receive, send)

    ask(app, "/recommend_leads", b'{"rep_id": "R1", "k": 3}')
    assert (seen[0].rep_id, seen[0].k, seen[0].commit) == ("R1", 3, False)


def test_a_question_that_is_answered_is_let_go() -> None:
    """BentoML's deadline keeps the context of every request until it fires: half a minute of questions, of any size."""
    asked: list[weakref.ref[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(weakref.ref(scope["callsheet"].ask))
        await answers(200)(scope, receive, send)

    async def run() -> None:
        transport = httpx.ASGITransport(Edge(TimeoutMiddleware(app, 3600)))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=JSON) as client:
            for _ in range(3):
                assert (await client.post("/recommend_leads", content=b'{"rep_id": "R1"}')).status_code == 200
        gc.collect()
        assert [one() for one in asked] == [None] * 3

    asyncio.run(run())


@pytest.mark.parametrize("key", [b"", b"a b", b"\xe9", b"x" * 256])
def test_an_idempotency_key_that_is_none_is_refused(key: bytes) -> None:
    start, body = ask(answers(200), headers=[(b"idempotency-key", key)])
    assert start["status"] == 400
    assert json.loads(body["body"])["error"]["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize("replayed", [False, True])
def test_an_idempotency_key_is_handed_on_and_a_replay_is_marked(replayed: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["callsheet"].idempotency_key == "7f-3"
        PASSED.get().replayed = replayed
        await answers(200)(scope, receive, send)

    start, _ = ask(app, headers=[(b"idempotency-key", b"7f-3")])
    assert dict(start["headers"]).get(b"idempotent-replayed") == (b"true" if replayed else None)


def test_a_credential_without_the_routes_scope_goes_no_further() -> None:
    class Reads(Open):
        """Whoever asks may read."""

        def actor(self, scope: Any, given: str | None) -> Actor:
            return Actor("key:k", frozenset({"read"}))

    assert ask(answers(200), credentials=Reads())[0]["status"] == 200
    start, body = ask(answers(200), "/recommend_leads", b'{"rep_id": "R1"}', credentials=Reads())
    assert start["status"] == 403
    assert json.loads(body["body"])["error"]["code"] == "forbidden"


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_to_come_back_is_told_when(status: int) -> None:
    async def full(scope: Any, receive: Any, send: Any) -> None:
        raise Turned(status, "overloaded", "Try again.")

    start, _ = ask(full)
    assert start["status"] == status
    assert int(dict(start["headers"]).get(b"retry-after", 0)) >= 1


@given(st.binary(max_size=400))
def test_any_bytes_are_a_question_or_an_envelope(body: bytes) -> None:
    for route in ROUTES.values():
        if route.ask is not None:
            with suppress(Turned):  # which is an envelope; anything else fails
                checked(route.ask, body)


@given(st.text(), st.text())
def test_an_envelope_is_json_whatever_the_message(message: str, field: str) -> None:
    body = json.loads(bytes(envelope(CallsheetError(message, field=field)).body))
    assert set(body["error"]) == {"code", "message", "field"}
