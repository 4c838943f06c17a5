"""The one ASGI edge before BentoML: what may come in, in which shape, and how every refusal looks."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import Response

from features.errors import CallsheetError
from serving import body, deadline, logs, metrics, traces
from serving.actor import NOBODY, Actor
from serving.credentials import Credentials, Open
from serving.crowd import Crowd, Quota
from serving.deadline import Deadline
from serving.ledger.idempotency import HEADER, key_of
from serving.refusal import CODES, INTERNAL, MESSAGES, Forbidden, Turned, envelope
from serving.routes import Route, route_of
from serving.turns import WRITING, Turn, Turns

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16_384
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class Passed:
    """What the edge hands on with a request: who asks, the checked body; and what it is told of the answer.

    ask       None: the route takes no body, or the request is over
    shaped    the answer has its final shape, a refusal too
    turn      its place among what this worker computes at once
    deadline  when the answer must be there; left: the caller went before it was
    route     the path as the list of routes has it; other for what is none
    rung      what ranked, none where nothing did, and under which policy; code: with what it was refused
    replayed  it is the one that an earlier request with this idempotency key got
    """

    request_id: str
    ask: BaseModel | None = None
    shaped: bool = False
    actor: Actor = NOBODY
    idempotency_key: str | None = None
    replayed: bool = False
    turn: Turn | None = None
    route: str = "other"
    rung: str = "none"
    policy: str | None = None
    code: str | None = None
    deadline: Deadline = field(default_factory=Deadline)
    left: bool = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Held while the answer is computed, in the thread that computes it. Raises Overloaded, DeadlinePassed."""
        with self.turn or nullcontext():
            deadline.check()
            yield


#: The request that is being answered, for code that BentoML does not hand it to.
PASSED: Final[ContextVar[Passed]] = ContextVar("callsheet_passed")


def refused(error: CallsheetError) -> Response:
    """The envelope of an error, as the answer to the request at hand."""
    passed = PASSED.get()
    passed.shaped, passed.code = True, error.code
    if error.outside is not None:
        log.warning("Request %s was refused: %s", passed.request_id, error)
    return envelope(error)


def broken() -> Response:
    """The answer to the request at hand when something broke that nobody meant to."""
    log.exception("Request %s broke", PASSED.get().request_id)
    return refused(Turned(500, "internal", INTERNAL))


class Edge:
    """Wraps the service's whole ASGI application: no route but the listed ones, no body but a checked one.

    Every path but the probes takes a credential, before it is said whether there is such a route, and before a body
    is read.
    """

    def __init__(self, app: App, credentials: Credentials | None = None, quota: Quota | None = None) -> None:
        self.app = app
        self.credentials = credentials or Open()
        self.quota = quota or Quota(0)
        self.crowd, self.turns, self.writes = Crowd(), Turns(), Turns(WRITING)

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
        PASSED.set(passed)
        deadline.CURRENT.set(passed.deadline)
        out = _Shaped(send, passed)
        began = time.perf_counter()
        with nullcontext() if _probe(scope) else traces.request(scope["headers"]):
            try:
                await self._guarded(scope, receive, out)
                await out.finish()
            finally:
                _tell(out, scope["method"], time.perf_counter() - began)
                # BentoML's deadline is a timer that nobody stops: it keeps this request's context until it fires.
                passed.ask = None

    async def _guarded(self, scope: Scope, receive: Receive, out: _Shaped) -> None:
        """Have the request answered; what is raised meanwhile becomes the answer."""
        try:
            headers = _headers(scope)
            given = headers.get(b"x-request-id", b"").decode("latin-1")
            if REQUEST_ID.fullmatch(given):
                out.passed.request_id = given
            await self._pass(headers, scope, receive, out)
        except CallsheetError as error:
            await self._refuse(refused(error), out, scope, receive)
        except Exception:
            answer = broken()
            if out.started:  # too late for an envelope: the connection breaks, so that nobody takes half for whole
                raise
            await self._refuse(answer, out, scope, receive)

    async def _pass(self, headers: dict[bytes, bytes], scope: Scope, receive: Receive, out: _Shaped) -> None:
        """Let in who may ask, and only as often and as much at once as they may."""
        if not _probe(scope):
            actor = out.passed.actor = self.credentials.actor(scope, _text(headers.get(b"authorization")))
            route = _route(scope)
            out.passed.route = route.path
            if route.scope not in actor.scopes:
                raise Forbidden(str(route.scope))
            self.quota.spend(actor)
            with self.crowd.inside(actor):
                await self._ask(route, headers, scope, receive, out)
        else:
            out.passed.route = _route(scope).path
            await self._hand_on(scope, receive, out)

    async def _ask(
        self, route: Route, headers: dict[bytes, bytes], scope: Scope, receive: Receive, out: _Shaped
    ) -> None:
        """Read and check the question, wait for its turn, and have it answered."""
        passed = out.passed
        if (key := headers.get(HEADER.lower().encode())) is not None:
            passed.idempotency_key = key_of(str(_text(key)))
        if route.queued and (seconds := headers.get(deadline.HEADER.lower().encode())) is not None:
            passed.deadline.told(str(_text(seconds)))
        if route.ask is not None:
            body.accepts(headers)
            content = await body.read(headers, receive, self.crowd)
            self.quota.owe(passed.actor, len(content))
            passed.ask = body.checked(route.ask, content)
        if not route.queued:
            await self._hand_on(scope, receive, out)
            return
        leaves = asyncio.create_task(_leaves(receive, out))
        try:
            waits = time.perf_counter()
            turns = self.writes if route.writes(passed.ask) else self.turns
            passed.turn = await turns.take(passed.actor.name, passed.deadline.left)
            metrics.WAITS.observe(time.perf_counter() - waits)
            await self._hand_on(scope, receive, out)
        finally:
            leaves.cancel()
            # Work that was answered for, as by BentoML's own deadline, ends without a trace.
            passed.deadline.end()
            if passed.turn is not None:
                passed.turn.give_up()

    async def _hand_on(self, scope: Scope, receive: Receive, out: _Shaped) -> None:
        scope["callsheet"] = out.passed
        await self.app(scope, receive, out)

    async def _refuse(self, answer: Response, out: _Shaped, scope: Scope, receive: Receive) -> None:
        if not out.started:
            await answer(scope, receive, out)


class _Shaped:
    """Passes an answer on with its request id; one that says no in another shape is replaced by the envelope."""

    def __init__(self, send: Send, passed: Passed) -> None:
        self.send, self.passed = send, passed
        self.started = False
        self.status = 0
        self._withheld: Message | None = None

    async def __call__(self, message: Message) -> None:
        """One event of the answer."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not self.passed.shaped:
                self._withheld = message
                return
            self.started, self.status = True, message["status"]
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
        # BentoML says 504 of its own deadline; to a caller it is as ours.
        shown = 503 if status == 504 else status
        code = CODES.get(status, "internal" if status >= 500 else "refused")
        error = Turned(shown, code, MESSAGES.get(status, INTERNAL if status >= 500 else "The request was refused."))
        self._withheld = None
        response = refused(error)
        await self({"type": "http.response.start", "status": shown, "headers": response.raw_headers})
        await self({"type": "http.response.body", "body": response.body})


async def _leaves(receive: Receive, out: _Shaped) -> None:
    """Watch a request whose body is read: when its caller leaves before the answer, its work ends."""
    if (await receive())["type"] == "http.disconnect" and not out.started:
        out.passed.left = True
        out.passed.deadline.end()


def _tell(out: _Shaped, method: str, seconds: float) -> None:
    """Count the request, write its line and end its span; a probe that is well is not worth a line, and has no span."""
    passed = out.passed
    status = 499 if passed.left else out.status or 499  # as nginx has it: the caller left before the answer
    metrics.REQUESTS.labels(passed.route, passed.rung, str(status)).observe(seconds)
    if passed.code is not None:
        metrics.TURNED_AWAY.labels(passed.code).inc()
    route = route_of(passed.route)
    probe = route is not None and route.scope is None
    if not probe:
        about = {"request_id": passed.request_id, "rung": passed.rung, "policy": passed.policy, "code": passed.code}
        traces.told(method if route and method == route.method else "HTTP", passed.route, status, **about)
    if not probe or status >= 400:
        logs.request(
            request_id=passed.request_id, route=passed.route, status=status, ms=round(1000 * seconds, 2),
            actor=logs.who(passed.actor.name), rung=passed.rung, code=passed.code,
        )  # fmt: skip


def _headers(scope: Scope) -> dict[bytes, bytes]:
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum(len(k) + len(v) for k, v in headers) > MAX_HEADER_BYTES:
        raise Turned(431, "headers_too_large", f"At most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all.")
    return dict(headers)


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _probe(scope: Scope) -> bool:
    """Whether anyone may ask it; a path that is no route is not one."""
    route = route_of(scope["path"])
    return route is not None and route.scope is None


def _route(scope: Scope) -> Route:
    route = route_of(scope["path"])
    if route is None:
        raise Turned(404, "route_unknown", "There is no such route; /docs.json lists them.")
    if scope["method"] != route.method:
        raise Turned(405, "method_not_allowed", f"{route.path} takes {route.method}.", headers={"allow": route.method})
    return route
