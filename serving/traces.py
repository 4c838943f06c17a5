"""Traces of requests for an OpenTelemetry collector, where one is configured; otherwise nothing is even imported."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from features.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

#: The variables by which every program is told of a collector; the exporter reads the rest of them itself.
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
#: How long the end of a process waits for its last spans to be taken.
LAST_SECONDS: Final = 2.0
_OTLP: Final = "http/protobuf"

_NOTHING: Final = nullcontext()
_kept: Traces | None = None


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are asked for. Raises UsageError where they are to go another way than OTLP over HTTP."""
    exporter = environment.get(EXPORTER, "").strip()
    if exporter == "none" or environment.get(DISABLED, "").strip().lower() == "true":
        return False
    if exporter not in ("", "otlp"):
        raise UsageError(f"{EXPORTER} is otlp or none, not {exporter!r}.", field=EXPORTER)
    if not exporter and not any(environment.get(name) for name in ENDPOINTS):
        return False
    for name in PROTOCOLS:
        if environment.get(name, _OTLP) not in ("", _OTLP):
            raise UsageError(f"{name} is {_OTLP}, not {environment[name]!r}.", field=name)
    try:
        version("opentelemetry-exporter-otlp-proto-http")
    except ModuleNotFoundError:
        raise UsageError(
            f"{EXPORTER} or {ENDPOINTS[1]} asks for traces, and what sends them is not installed: "
            "pip install 'callsheet[otel]'.",
            field=EXPORTER,
        ) from None
    return True


class Traces:
    """Spans on their way to a collector: gathered aside and sent in batches, dropped where nobody takes them.

    What a span tells is a short list of our own words; never an exception's message, which may repeat a request.
    """

    def __init__(self) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        ours = Resource.create({"service.name": "callsheet", "service.version": version("callsheet")})
        self.provider: TracerProvider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._api, self._context = trace, TraceContextTextMapPropagator()
        self._tracer = self.provider.get_tracer("callsheet")

    @contextmanager
    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """The span of a request, below the caller's own where a traceparent names one."""
        above = self._context.extract({"traceparent": dict(headers).get(b"traceparent", b"").decode("latin-1")})
        with self._tracer.start_as_current_span(
            "request",
            context=above,
            kind=self._api.SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    def told(self, method: str, route: str, status: int, about: Mapping[str, str | None]) -> None:
        """What became of the request whose span is the current one."""
        span = self._api.get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        span.set_attributes({f"callsheet.{name}": value for name, value in about.items() if value is not None})
        if status >= 500:
            span.set_status(self._api.StatusCode.ERROR)

    def step(self, name: str) -> AbstractContextManager[Any]:
        """The span of a part of a request; nothing outside of one that is traced."""
        if not self._api.get_current_span().is_recording():
            return _NOTHING
        return self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)


def start(environment: Mapping[str, str] = os.environ) -> None:
    """Begin to trace what this process does, where that is asked for. Raises UsageError."""
    global _kept
    if wanted(environment):
        _kept = Traces()
        atexit.register(stop)


def stop() -> None:
    """Send what is left, and trace no more; a collector that does not take it is not waited for."""
    global _kept
    if _kept is not None:
        last = Thread(target=_kept.provider.shutdown, daemon=True)
        _kept = None
        last.start()
        last.join(LAST_SECONDS)


def request(headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[None]:
    """Held while a request is answered."""
    return _NOTHING if _kept is None else _kept.request(headers)


def told(method: str, route: str, status: int, **about: str | None) -> None:
    """Say in the span of the request what became of it."""
    if _kept is not None:
        _kept.told(method, route, status, about)


def step(name: str) -> AbstractContextManager[Any]:
    """Held while a part of a request is worked on."""
    return _NOTHING if _kept is None else _kept.step(name)
