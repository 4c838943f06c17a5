"""Traces: a real receiver of OTLP gets the spans of a request, none of its content, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.concurrency import run_in_threadpool

from features.errors import UsageError
from serving import traces
from serving.edge import PASSED, Edge
from serving.ledger import Ledger
from serving.service import _answered
from serving.traces import wanted
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
CANARY = "zz-canary-7f3@example.test"
ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    """What a collector on loopback was sent."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        """Every span, in the order in which they ended."""
        asked = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [s for one in asked for r in one.resource_spans for scope in r.scope_spans for s in scope.spans]

    def services(self) -> set[str]:
        """The names under which they were sent."""
        asked = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        attributes = [a for one in asked for r in one.resource_spans for a in r.resource.attributes]
        return {a.value.string_value for a in attributes if a.key == "service.name"}


def said(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            made.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(ENDPOINT, made.url)
    traces.start()
    yield made
    traces.stop()
    server.shutdown()
    server.server_close()


@pytest.fixture
def stand(crm: Crm, stocked: Ledger) -> Stand:
    return Stand(stocked, crm)


def ask(answer: Any, body: bytes, path: str = "/recommend_reps", **headers: str) -> int:
    """One request through the edge, answered in a thread as BentoML does; its status."""
    events: list[Any] = []
    given = [(b"content-type", b"application/json"), *((k.encode(), v.encode()) for k, v in headers.items())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"q=" + CANARY.encode(), "headers": given}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = await run_in_threadpool(_answered, answer)
        await response(scope, receive, send)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        events.append(event)

    asyncio.run(Edge(app)(scope, receive, send))
    return int(events[0]["status"])


def test_a_commit_is_a_span_below_the_callers_with_its_parts_below_it(collector: Collector, stand: Stand) -> None:
    lead_id = stand.free_lead()
    body = json.dumps({"lead_id": lead_id, "commit": True}).encode()

    def answer() -> Any:
        return stand.decider.reps(lead_id, None, 3, actor=PASSED.get().actor, once=stand.once()).answer

    headers = {"traceparent": ABOVE, "tracestate": f"x={lead_id}", "x-request-id": "mine-1"}
    assert ask(answer, body, **headers) == 200
    traces.stop()
    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"POST /recommend_reps", "rank", "model", "transaction"}
    top = spans["POST /recommend_reps"]
    assert (top.trace_id.hex(), top.parent_span_id.hex()) == tuple(ABOVE.split("-")[1:3])
    assert said(top) == {
        "http.request.method": "POST", "http.route": "/recommend_reps", "http.response.status_code": 200,
        "callsheet.request_id": "mine-1", "callsheet.rung": "champion", "callsheet.policy": "champion",
    }  # fmt: skip
    assert {spans[name].parent_span_id for name in ("rank", "transaction")} == {top.span_id}
    assert spans["model"].parent_span_id == spans["rank"].span_id
    assert [said(spans[name]) for name in ("rank", "model", "transaction")] == [{}, {}, {}]
    assert not [raw for raw in collector.bodies if lead_id.encode() in raw]
    assert collector.services() == {"callsheet"}


def test_nothing_that_was_sent_or_that_broke_is_in_a_span(collector: Collector) -> None:
    def breaks() -> Any:
        with traces.step("rank"):
            raise RuntimeError(CANARY)

    lead = {"lead_id": CANARY}
    assert ask(breaks, json.dumps(lead).encode()) == 500
    assert ask(dict, json.dumps(lead | {CANARY: 1}).encode(), cookie=CANARY) == 400
    assert ask(dict, b"{}", path=f"/explain/{CANARY}/{CANARY}") == 404
    traces.stop()
    spans = [span for span in collector.spans() if span.name != "rank"]
    assert [(s.name, said(s)["http.response.status_code"], said(s)["callsheet.code"]) for s in spans] == [
        ("POST /recommend_reps", 500, "internal"), ("POST /recommend_reps", 400, "input_invalid"),
        ("HTTP other", 404, "route_unknown"),
    ]  # fmt: skip
    assert [span.status.code for span in spans] == [2, 0, 0]
    assert len({span.trace_id for span in spans}) == 3
    assert not [raw for raw in collector.bodies if b"canary" in raw]


def test_what_no_request_does_and_what_probes_ask_has_no_span(collector: Collector, stand: Stand) -> None:
    with stand.ledger.writing():
        pass
    ask(dict, b"", path="/livez")
    traces.stop()
    assert collector.spans() == []


def test_a_collector_that_is_not_there_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setattr(traces, "LAST_SECONDS", 0.5)
    traces.start()
    try:
        assert [ask(dict, b'{"lead_id": "L1"}') for _ in range(5)] == [200] * 5
    finally:
        traces.stop()
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")]


@pytest.mark.parametrize(
    ("environment", "is_wanted"),
    [
        ({}, False),
        ({ENDPOINT: "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", ENDPOINT: "http://127.0.0.1:4318"}, False),
    ],
)
def test_the_usual_variables_say_whether(environment: dict[str, str], is_wanted: bool) -> None:
    assert wanted(environment) is is_wanted


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_TRACES_EXPORTER": "jaeger"}, {ENDPOINT: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_another_way_than_otlp_over_http_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        wanted(environment)


def test_nothing_is_imported_where_nothing_is_configured() -> None:
    code = """
import sys
from serving import traces
traces.start({})
with traces.request([(b"traceparent", b"x")]), traces.step("rank"):
    traces.told("GET", "/model", 200)
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
