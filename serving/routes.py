"""Every route that the service answers, once: the edge lets nothing else in, the OpenAPI document names just these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from serving.wire.ask import (
    LeadsAnswer,
    LeadsAsk,
    ModelAnswer,
    RepsAnswer,
    RepsAsk,
    ScoreAnswer,
    ScoreAsk,
)
from serving.wire.due import DueAnswer, DueQuery
from serving.wire.erase import EraseAnswer, EraseAsk
from serving.wire.explain import ExplainAnswer
from serving.wire.ingest import IngestAnswer, IngestAsk
from serving.wire.plan import PlanAnswer, PlanAsk
from serving.wire.record import RecordAnswer, RecordAsk


@dataclass(frozen=True)
class Route:
    """One route.

    ask      the body that it takes; None: no body
    answer   the JSON that it gives with 200; None: text of `media`
    errors   the codes of what it may answer instead, by status; what the edge says to anyone is not repeated here
    query    the parameters that may stand behind the path
    scope    what a credential must allow; None: anyone may ask
    queued   it computes, so it waits for its turn; the rest is answered however busy the worker is
    """

    path: str
    method: Literal["GET", "POST"]
    summary: str
    ask: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    media: str = "application/json"
    errors: tuple[tuple[int, tuple[str, ...]], ...] = ()
    tag: str = "Ask"
    scope: str | None = "route"
    queued: bool = True
    query: type[BaseModel] | None = None

    def writes(self, ask: BaseModel | None) -> bool:
        """Whether this question writes more than what was decided, and so waits for the ledger like any writer."""
        return self.tag == "Write" or bool(getattr(ask, "commit", False)) or not getattr(ask, "dry_run", True)


_ADVICE: Final = (409, ("commit_unavailable",))
#: What a commit may be told besides.
_COMMITS: Final = (
    (400, ("idempotency_key_missing",)), (422, ("idempotency_mismatch",)), (503, ("busy", "ledger_unavailable")),
)  # fmt: skip

ROUTES: Final[dict[str, Route]] = {
    route.path: route
    for route in (
        Route(
            "/recommend_reps", "POST", "Who should get this lead?", RepsAsk, RepsAnswer,
            errors=(
                (404, ("lead_unknown", "contact_unknown", "account_unknown", "rep_unknown", "campaign_unknown")),
                (409, ("commit_unavailable", "lead_exists", "contact_exists", "account_exists", "contact_erased")),
                *_COMMITS,
            ),
        ),
        Route(
            "/recommend_leads", "POST", "What should this rep do now? The call sheet.", LeadsAsk, LeadsAnswer,
            errors=((404, ("rep_unknown",)), _ADVICE, *_COMMITS),
        ),
        Route(
            "/plan", "POST", "Which rep gets which open lead this week, within everybody's room?", PlanAsk, PlanAnswer,
            errors=(_ADVICE, *_COMMITS),
        ),
        Route(
            "/explain/{decision_id}", "GET", "Why a decision was made, and what came of it.", answer=ExplainAnswer,
            errors=((404, ("decision_unknown",)), _ADVICE, (503, ("ledger_unavailable",))), scope="read",
        ),
        Route(
            "/score", "POST", "Score pairs of lead and rep.", ScoreAsk, ScoreAnswer,
            errors=((404, ("lead_unknown", "rep_unknown")),),
        ),
        Route(
            "/record", "POST", "Tell what became of offers: each event counts once.", RecordAsk, RecordAnswer,
            errors=(_ADVICE, (422, ("idempotency_mismatch",)), (503, ("ledger_unavailable",))),
            tag="Write", scope="record",
        ),
        Route(
            "/due", "GET", "Which offers must be answered by when, and which were not.", answer=DueAnswer,
            errors=((400, ("input_invalid",)), _ADVICE, (503, ("ledger_unavailable",))),
            tag="Operate", scope="operate", query=DueQuery,
        ),
        Route(
            "/ingest", "POST", "Put rows of CRM tables in, by key; all of them or none.", IngestAsk, IngestAnswer,
            errors=(
                (400, ("table_invalid",)),
                (409, ("commit_unavailable", "offer_made_here", "lead_taken", "contact_erased")),
                (422, ("idempotency_mismatch",)), (503, ("ledger_unavailable",)),
            ),
            tag="Write", scope="ingest",
        ),
        Route(
            "/erase", "POST", "Forget a contact.", EraseAsk, EraseAnswer,
            errors=((404, ("contact_unknown",)), _ADVICE, (503, ("ledger_unavailable",))),
            tag="Write", scope="ingest",
        ),
        Route(
            "/model", "GET", "What serves now, and how well it did when it was judged.", answer=ModelAnswer,
            scope="read", queued=False,
        ),
        Route("/livez", "GET", "The process is alive.", media="text/plain", tag="Operate", scope=None, queued=False),
        Route("/healthz", "GET", "The process is alive.", media="text/plain", tag="Operate", scope=None, queued=False),
        Route(
            "/readyz", "GET", "Data and models are loaded; send requests.", media="text/plain", tag="Operate",
            errors=((503, ("not_ready",)),), scope=None, queued=False,
        ),
        Route(
            "/metrics", "GET", "Prometheus metrics.", media="text/plain", tag="Operate", scope="operate", queued=False
        ),
        Route("/docs.json", "GET", "This document.", tag="Operate", scope="read", queued=False),
        Route("/schema.json", "GET", "What BentoML's own clients read.", tag="Operate", scope="read", queued=False),
    )
}  # fmt: skip

#: What the edge may answer on any route, and to which kind of route: status -> codes.
EVERYWHERE: Final[dict[int, tuple[str, ...]]] = {
    405: ("method_not_allowed",),
    408: ("head_timeout",),
    431: ("headers_too_large",),
    500: ("internal",),
    503: ("deadline", "overloaded"),
}
WITH_CREDENTIAL: Final[dict[int, tuple[str, ...]]] = {
    401: ("unauthorized",),
    403: ("forbidden",),
    429: ("too_many", "quota_exceeded"),
    503: ("credentials_unavailable", "overloaded"),
}
IN_TURN: Final[dict[int, tuple[str, ...]]] = {400: ("input_invalid",)}
WITH_BODY: Final[dict[int, tuple[str, ...]]] = {
    400: ("json_invalid", "input_invalid", "body_incomplete", "idempotency_key_invalid"),
    408: ("body_timeout",),
    413: ("body_too_large",),
    415: ("content_type", "content_encoding"),
}

_BY_PREFIX: Final = {path[: path.index("{")]: route for path, route in ROUTES.items() if "{" in path}


def route_of(path: str) -> Route | None:
    """The route of a path; its last part may be an id, where a route says so."""
    prefix, slash, last = path.rpartition("/")
    if "{" not in path and path in ROUTES:
        return ROUTES[path]
    return _BY_PREFIX.get(prefix + slash) if last else None
