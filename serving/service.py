"""The one BentoML service: each route hands a checked question to the Recommender and its answer back."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import bentoml
from _bentoml_sdk import IODescriptor
from bentoml import Service
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.config import load_config
from features.errors import CallsheetError
from serving import ends, logs, metrics, starting, traces
from serving.body import checked_query
from serving.card import card_of
from serving.connections import guard
from serving.credentials import Keys
from serving.crowd import Quota
from serving.deadline import SECONDS, DeadlinePassed
from serving.decided import Decided
from serving.doors import Doors
from serving.due import lines
from serving.edge import PASSED, App, Edge, broken, refused
from serving.explain import explained
from serving.instants import micros
from serving.ledger import Ledger
from serving.ledger.again import whole
from serving.ledger.decisions import read
from serving.ledger.idempotency import Once
from serving.minute import Minute
from serving.openapi import document
from serving.plan import plan
from serving.pulse import Pulse
from serving.recording import record_events
from serving.settings import Settings, guarded, quota, workers
from serving.tokens import Tokens
from serving.turns import RUNNING, WRITING
from serving.whereabouts import whereabouts
from serving.wire import ask, base, inline
from serving.wire import plan as plan_wire
from serving.wire.due import DueQuery
from serving.wire.erase import EraseAnswer, EraseAsk
from serving.wire.ingest import IngestAnswer, IngestAsk, IngestTables
from serving.wire.record import Event, RecordAnswer, RecordAsk

if TYPE_CHECKING:
    from serving.live import Live
    from serving.recommend import Recommender

Answer = dict[str, Any]

#: Seconds after which BentoML gives a request up whose work has not ended at its own deadline.
TIMEOUT = SECONDS + 5
#: Seconds for which a thread that computes keeps others waiting, a tenth of Python's own: the loop, which refuses and
#: says that it lives, waits so long for each of them.
SWITCH = 0.0005


class CommitUnavailable(CallsheetError):
    """A commit was asked of a service that has no ledger of offers."""

    code = "commit_unavailable"
    exit_code = 1
    status = 409

    def __init__(
        self,
        message: str = "This service answers from a snapshot: it gives advice and makes no offers; leave commit out.",
        *, field: str | None = "commit",
    ) -> None:  # fmt: skip
        super().__init__(message, field=field)


class _FromEdge(IODescriptor):  # type: ignore[misc]
    """A question for BentoML's clients; here it is the one that the edge has read and checked, parsed only once."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        """The checked question."""
        return request.scope["callsheet"].ask


def _route(ask: type[base.Payload], answer: type[base.Answer]) -> Any:
    """A BentoML route that takes `ask` as the body itself and gives `answer`."""
    question = type(ask.__name__, (_FromEdge, ask), {"__doc__": ask.__doc__, "__module__": __name__})
    reply = type(answer.__name__, (IODescriptor, answer), {"__doc__": answer.__doc__, "__module__": __name__})
    return bentoml.api(input_spec=question, output_spec=reply)


def _answered(answer: Callable[[], Answer]) -> Response:
    """The answer as JSON; what goes wrong, on purpose or not, in the error envelope."""
    passed = PASSED.get()
    try:
        with passed.working():
            content = whole(answer)
            if not passed.replayed:
                passed.rung = str(content.get("rung") or "none")
                passed.policy = content.get("policy")
            return _json(content)
    except CallsheetError as error:
        return refused(error)
    except Exception:
        return broken()  # BentoML would write the error's message to the log, and with it what was asked


def _once(route: str, commit: bool = True) -> Once | None:
    """The one write that is asked for, by the caller's key; None: nothing is written.

    Raises KeyRefused; DeadlinePassed where the request is over already
    """
    passed = PASSED.get()
    if not commit:
        return None
    if passed.ask is None:
        raise DeadlinePassed
    return Once.of(passed.actor.whose, route, passed.idempotency_key, passed.ask.model_dump(mode="json"))


def _said(decided: Decided) -> Answer:
    """What was decided, marked where it is the answer of an earlier request."""
    PASSED.get().replayed = decided.replayed
    return decided.answer


def _advice(answer: Answer) -> Answer:
    """The answer of a service without a ledger, counted here, for nobody writes it down."""
    metrics.decided(answer, PASSED.get().route)
    return answer


def _json(content: Any) -> Response:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode(), media_type="application/json")


# -- What BentoML has no place for: a route that is read, and the document of them all --------------------------------


async def _model(request: Request) -> Response:
    return _answered(lambda: card_of(request.app.state.service.recommender))


async def _metrics(_: Request) -> Response:
    content, media = await run_in_threadpool(metrics.exposition)
    return Response(content, media_type=media)


def _explain(request: Request) -> Response:
    service: Callsheet = request.app.state.service

    def answer() -> Answer:
        if service.live is None or service.model_of is None:
            raise CommitUnavailable("Decisions are kept by a service on the ledger; this one answers from a snapshot.")
        with service.live.ledger.reading() as connection:
            told = read(connection, request.path_params["decision_id"])
            lead = told.row["lead_id"]
            now = whereabouts(connection, service.live.config, lead, datetime.now(UTC)) if lead else None
        return explained(told, service.model_of, now)

    return _answered(answer)


def _due(request: Request) -> Response:
    service: Callsheet = request.app.state.service

    def answer() -> Answer:
        asked = checked_query(DueQuery, request.query_params.multi_items())
        if service.live is None:
            raise CommitUnavailable(
                "What is due is known to a service on the ledger; this one answers from a snapshot.", field=None
            )
        with service.live.ledger.reading() as connection:
            return lines(connection, service.live.config, datetime.now(UTC), **dict(asked))

    return _answered(answer)


async def _document(_: Request) -> Response:
    return _json(document())


PAGES = Starlette(
    routes=[
        Route("/model", _model),
        Route("/explain/{decision_id}", _explain),
        Route("/due", _due),
        Route("/metrics", _metrics),
        Route("/docs.json", _document),
    ]
)


@bentoml.asgi_app(PAGES, path="/")
class Callsheet:
    """Which sales rep gets which marketing lead, and which leads each rep should see now, with reasons."""

    @starting.told()
    def __init__(self) -> None:
        from serving.start import (  # models and data are a worker's; the supervisor does without them
            decider,
            follow,
            shelf,
            start,
        )

        settings = Settings.of()
        self.live: Live | None = follow(settings) if settings.data is None else None
        self._still = start(settings) if self.live is None else None
        self.decider = decider(self.live) if self.live is not None else None
        self.model_of = shelf(self.live) if self.live is not None else None
        self.home = settings.home
        self.minute = Minute(self.live, self.decider).start() if self.live and self.decider else None
        PAGES.state.service = self
        for route in ("recommend_reps", "recommend_leads", "score", "plan", "record", "ingest", "erase"):
            # BentoML inspects a method's signature each time it is looked up; once is enough.
            setattr(self, route, getattr(self, route))
        # What is loaded by now stays; looked through for garbage, it would hold every answer up for half a second.
        gc.collect()
        gc.freeze()
        starting.ready()

    @property
    def recommender(self) -> Recommender:
        """What answers now; take it once for an answer."""
        if self.live is not None:
            return self.live.recommender
        assert self._still is not None
        return self._still

    @property
    def doors(self) -> Doors:
        """The ways into the ledger's CRM tables. Raises CommitUnavailable on a snapshot."""
        if self.live is None:
            raise CommitUnavailable("A snapshot takes nothing in; this is for a service on the ledger.", field=None)
        return Doors(self.live.ledger, self.live.config, self.home, self.live.catch_up)

    def __is_ready__(self) -> bool:
        """Whether requests are welcome: the data is loaded, or this object would not be there."""
        return True

    @_route(ask.RepsAsk, ask.RepsAnswer)  # type: ignore[untyped-decorator]
    def recommend_reps(
        self, lead_id: str | None, lead: inline.InlineLead | None, k: int, commit: bool, reasons: bool
    ) -> Response:
        """Who should get this lead?"""

        def answer() -> Answer:
            sent = lead.model_dump() if lead is not None else None
            if self.decider is not None:
                once, actor = _once("recommend_reps", commit), PASSED.get().actor
                return _said(self.decider.reps(lead_id, sent, k, actor=actor, reasons=reasons, once=once))
            if commit:
                raise CommitUnavailable
            if sent is not None:
                return _advice(self.recommender.reps_for_inline(sent, k, reasons=reasons))
            return _advice(self.recommender.reps_for_lead(str(lead_id), k, reasons=reasons))

        return _answered(answer)

    @_route(ask.LeadsAsk, ask.LeadsAnswer)  # type: ignore[untyped-decorator]
    def recommend_leads(self, rep_id: str, k: int, commit: bool, reasons: bool) -> Response:
        """What should this rep do now?"""

        def answer() -> Answer:
            if self.decider is not None:
                once, actor = _once("recommend_leads", commit), PASSED.get().actor
                return _said(self.decider.leads(rep_id, k, actor=actor, reasons=reasons, once=once))
            if commit:
                raise CommitUnavailable
            return _advice(self.recommender.leads_for_rep(rep_id, k, reasons=reasons))

        return _answered(answer)

    @_route(ask.ScoreAsk, ask.ScoreAnswer)  # type: ignore[untyped-decorator]
    def score(self, pairs: list[ask.Pair]) -> Response:
        """Score pairs of lead and rep."""
        as_of = [micros(pair.as_of) if pair.as_of else None for pair in pairs]
        leads, reps = [pair.lead_id for pair in pairs], [pair.rep_id for pair in pairs]
        return _answered(lambda: self.recommender.score_pairs(leads, reps, as_of))

    @_route(plan_wire.PlanAsk, plan_wire.PlanAnswer)  # type: ignore[untyped-decorator]
    def plan(self, week: str, dry_run: bool) -> Response:
        """Which rep gets which open lead this week, within everybody's room?"""

        def answer() -> Answer:
            if self.decider is None:
                raise CommitUnavailable("A plan counts the ledger's offers; this service answers from a snapshot.")
            return _said(plan(self.decider, week, actor=PASSED.get().actor, once=_once("plan", not dry_run)))

        return _answered(answer)

    @_route(RecordAsk, RecordAnswer)  # type: ignore[untyped-decorator]
    def record(self, events: list[Event]) -> Response:
        """Tell what became of offers."""

        def answer() -> Answer:
            if self.live is None:
                raise CommitUnavailable(
                    "Events are kept by a service on the ledger; this one answers from a snapshot.", field=None
                )
            passed = PASSED.get()
            done = record_events(self.live.ledger, self.live.config, events, passed.actor, passed.idempotency_key)
            passed.replayed = done.replayed
            return dict(done.answer)

        return _answered(answer)

    @_route(IngestAsk, IngestAnswer)  # type: ignore[untyped-decorator]
    def ingest(self, tables: IngestTables) -> Response:
        """Put rows of CRM tables in."""

        def answer() -> Answer:
            actor, key = PASSED.get().actor, PASSED.get().idempotency_key
            # What is left out stays as it is and null empties, so they are not the same request.
            said = tables.model_dump(mode="json", exclude_unset=True)
            once = Once.of(actor.whose, "ingest", key, said) if key is not None else None
            return _said(self.doors.take_in(tables.rows(), actor, once))

        return _answered(answer)

    @_route(EraseAsk, EraseAnswer)  # type: ignore[untyped-decorator]
    def erase(self, contact_id: str) -> Response:
        """Forget a contact."""
        return _answered(lambda: self.doors.forget(contact_id, PASSED.get().actor))


class EdgedService(Service):  # type: ignore[misc]
    """A BentoML service whose edge stands before everything, BentoML's own middleware included.

    As one of BentoML's middlewares it would stand behind the one that makes a metric of every path ever asked for,
    and behind the deadline, whose refusal has a shape of its own.
    """

    @starting.told()
    def to_asgi(self, is_main: bool = True) -> App:
        """The application that a worker runs."""
        logs.configure()
        ends.watched()
        sys.setswitchinterval(SWITCH)
        traces.start()
        settings = Settings.of()
        oidc = load_config(settings.config).oidc
        tokens = Tokens(oidc) if oidc else None
        ledger = Ledger.open(settings.db, settings.home, limit=SECONDS)
        credentials = Keys(ledger, guarded=guarded(), tokens=tokens)
        credentials.start()
        guard()
        edge = Edge(super().to_asgi(is_main=is_main), credentials, Quota(quota()))
        Pulse(edge, lambda: getattr(PAGES.state, "service", None)).start()
        return edge


callsheet = EdgedService(
    name="callsheet",
    config={
        "workers": workers(),
        "threads": RUNNING + WRITING,
        "traffic": {"timeout": TIMEOUT},
        "http": {"host": "127.0.0.1", "port": 3000},
        "logging": {"access": {"enabled": False}},
        # BentoML labels its own by the path, and so by every id that a path holds; /metrics is ours, see metrics.py.
        "metrics": {"enabled": False},
        # Its spans are named by the path too; ours are in traces.py.
        "tracing": {"excluded_urls": ".*"},
    },
    inner=Callsheet,
)
