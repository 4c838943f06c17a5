"""The one ASGI edge before BentoML: what may come in, in which shape, and how every refusal looks."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from features.errors import CallsheetError
from serving.actor import LOCAL, Actor
from serving.credentials import Credentials, Forbidden, Open
from serving.ledger.idempotency import HEADER, key_of
from serving.routes import ROUTES, Route
from serving.wire.base import MAX_BODY
from serving.wire.record import KINDS, without_tag

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16_384
#: A body of at most MAX_BODY that takes longer is sent by someone who wants to hold the connection.
BODY_SECONDS: Final = 10.0
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: What a status means when BentoML, not we, said no.
CODES: Final = {
    400: "input_invalid", 404: "route_unknown", 405: "method_not_allowed", 415: "content_type", 429: "too_many",
    503: "not_ready", 504: "timeout",
}  # fmt: skip
MESSAGES: Final = {
    400: "The request could not be read.",
    404: "There is no such route; /docs.json lists them.",
    429: "Too many requests at once; try again in a moment.",
    503: "The service is not ready.",
    504: "The answer took too long.",
}
INTERNAL: Final = "Something broke here; it is a fault of ours. The request id finds it in the log."


class Turned(CallsheetError):
    """A request that the edge turns away."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, field=field)
        self.status, self.code, self.headers = status, code, headers or {}


@dataclass
class Passed:
    """What the edge hands on with a request: who asks, the checked body; and what it is told of the answer.

    shaped    the answer has its final shape, a refusal too
    replayed  it is the one that an earlier request with this idempotency key got
    """

    request_id: str
    ask: BaseModel | None = None
    shaped: bool = False
    actor: Actor = LOCAL
    idempotency_key: str | None = None
    replayed: bool = False


#: The request that is being answered, for code that BentoML does not hand it to.
PASSED: Final[ContextVar[Passed]] = ContextVar("callsheet_passed")


def envelope(error: CallsheetError, request_id: str | None = None) -> Response:
    """An error as every client sees it: {"error": {code, message, field}}."""
    body = {"error": {"code": error.code, "message": str(error), "field": error.field}}
    headers = {"x-request-id": request_id} if request_id else {}
    headers |= getattr(error, "headers", {})
    if error.status in (429, 503):
        headers["retry-after"] = "1"
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, error.status, headers, media_type="application/json")


class Edge:
    """Wraps the service's whole ASGI application: no route but the listed ones, no body but a checked one.

    Every path but the probes takes a credential, before it is said whether there is such a route, and before a body
    is read.
    """

    def __init__(self, app: App, credentials: Credentials | None = None) -> None:
        self.app = app
        self.credentials = credentials or Open()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's events, as ASGI has them."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        passed = Passed(uuid.uuid4().hex)
        out = _Shaped(send, passed)
        try:
            headers = _headers(scope)
            given = headers.get(b"x-request-id", b"").decode("latin-1")
            if REQUEST_ID.fullmatch(given):
                passed.request_id = given
            if not _probe(scope):
                passed.actor = self.credentials.actor(scope, _text(headers.get(b"authorization")))
            route = _route(scope)
            if route.scope is not None and route.scope not in passed.actor.scopes:
                raise Forbidden(route.scope)
            if (key := headers.get(HEADER.lower().encode())) is not None:
                passed.idempotency_key = key_of(str(_text(key)))
            if route.ask is not None:
                _accepts(headers)
                body = await _body(headers, receive)
                passed.ask = checked(route.ask, body)
            scope["callsheet"] = passed
            PASSED.set(passed)
            await self.app(scope, receive, out)
        except CallsheetError as error:
            await self._refuse(error, out, scope, receive)
        except Exception:
            log.exception("Request %s broke", passed.request_id)
            if out.started:  # too late for an envelope: the connection breaks, so that nobody takes half for whole
                raise
            await self._refuse(Turned(500, "internal", INTERNAL), out, scope, receive)
        await out.finish()

    async def _refuse(self, error: CallsheetError, out: _Shaped, scope: Scope, receive: Receive) -> None:
        if not out.started:
            out.passed.shaped = True
            await envelope(error)(scope, receive, out)


class _Shaped:
    """Passes an answer on with its request id; one that says no in another shape is replaced by the envelope."""

    def __init__(self, send: Send, passed: Passed) -> None:
        self.send, self.passed = send, passed
        self.started = False
        self._withheld: Message | None = None

    async def __call__(self, message: Message) -> None:
        """One event of the answer."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not self.passed.shaped:
                self._withheld = message
                return
            self.started = True
            own = [(b"x-request-id", self.passed.request_id.encode())]
            if self.passed.replayed:
                own.append((b"idempotent-replayed", b"true"))
            message["headers"] = [*message.get("headers", ()), *own]
        elif self._withheld is not None:
            return
        await self.send(message)

    async def finish(self) -> None:
        """Send the envelope in place of an answer that was withheld."""
        if self._withheld is None:
            return
        status = self._withheld["status"]
        # BentoML says 504 of its own deadline; to a caller that is the service being too busy.
        shown = 503 if status == 504 else status
        code = CODES.get(status, "internal" if status >= 500 else "refused")
        error = Turned(shown, code, MESSAGES.get(status, INTERNAL if status >= 500 else "The request was refused."))
        self._withheld, self.passed.shaped = None, True
        response = envelope(error)
        await self({"type": "http.response.start", "status": shown, "headers": response.raw_headers})
        await self({"type": "http.response.body", "body": response.body})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum(len(k) + len(v) for k, v in headers) > MAX_HEADER_BYTES:
        raise Turned(431, "headers_too_large", f"At most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all.")
    return dict(headers)


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _probe(scope: Scope) -> bool:
    """Whether anyone may ask it; a path that is no route is not one."""
    route = ROUTES.get(scope["path"])
    return route is not None and route.scope is None


def _route(scope: Scope) -> Route:
    route = ROUTES.get(scope["path"])
    if route is None:
        raise Turned(404, "route_unknown", "There is no such route; /docs.json lists them.")
    if scope["method"] != route.method:
        raise Turned(405, "method_not_allowed", f"{route.path} takes {route.method}.", headers={"allow": route.method})
    return route


def _accepts(headers: dict[bytes, bytes]) -> None:
    media, _, rest = headers.get(b"content-type", b"").partition(b";")
    charset = rest.strip().lower().replace(b'"', b"")
    if media.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise Turned(415, "content_type", "Send JSON in UTF-8: content-type: application/json.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Turned(415, "content_encoding", "Send the body uncompressed.")


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The body, read to its end or to the cap, whichever comes first."""
    too_large = Turned(413, "body_too_large", f"A body holds at most {MAX_BODY:,} bytes.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:20]) > MAX_BODY:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Turned(400, "body_incomplete", "The connection ended before the body did.")
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY:
                    raise too_large
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Turned(408, "body_timeout", f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None


def checked(model: type[BaseModel], body: bytes) -> BaseModel:
    """The body as a payload. Raises Turned (400), naming the first field that is wrong but never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise Turned(400, "json_invalid", "The body is no JSON, or nested too deeply.") from None
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        place, message = without_tag(first["loc"]), first["msg"].removeprefix("Value error, ")
        if first["type"].startswith("union_tag"):  # pydantic's own words would repeat what was sent
            place, message = (*place, "kind"), f"One of {', '.join(KINDS)}"
        raise Turned(400, "input_invalid", f"{message}{more}.", field=_path(place)) from None


def _path(place: tuple[int | str, ...]) -> str | None:
    """("pairs", 3, "lead_id") as pairs[3].lead_id."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return text[:200] or None
