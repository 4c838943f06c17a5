"""The OpenAPI document: every route, what it takes, and every status it answers with, from the one list of routes."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic.json_schema import models_json_schema

from serving.deadline import GIVEN, HEADER, SECONDS
from serving.routes import EVERYWHERE, IN_TURN, ROUTES, WITH_BODY, WITH_CREDENTIAL, Route
from serving.wire.base import ErrorAnswer

REFERENCE = "#/components/schemas/{model}"

ABOUT = """Which sales rep gets which marketing lead, and which leads each rep should see now, with reasons.

Bodies are JSON objects; a field that is not listed is refused. Every refusal is
`{"error": {"code", "message", "field"}}`: match on `code`, it is stable. Answers are advice: nothing is offered."""

CREDENTIAL = (
    "An API key, made by `callsheet keys create`. While the ledger has none, whoever is on the same machine needs none."
)

PATH_ID = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9._-]+$"}

#: What makes a write happen once.
KEY: dict[str, Any] = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "A new random one for each write, the same for its retry, which gets the first answer again. "
    "A commit must carry one.",
}  # fmt: skip

#: What bounds the work of an answer.
WAIT: dict[str, Any] = {
    "name": HEADER, "in": "header", "required": False,
    "schema": {"type": "string", "pattern": f"^{GIVEN.pattern}$"},
    "description": f"For how many seconds the caller waits, {SECONDS:.0f} at most. Then the work ends, and nothing is "
    "written that was not answered.",
}  # fmt: skip

MEANINGS = {
    200: "The answer.",
    400: "The body is not what the route takes.",
    401: "No credential that holds.",
    403: "The credential does not allow it.",
    404: "An id that is not in the data.",
    405: "Another method than this one.",
    408: "The headers, or the body, came too slowly.",
    409: "It contradicts what is stored; or commits need the ledger, and this service answers from a snapshot.",
    413: "The body is too large.",
    415: "Not JSON in UTF-8.",
    429: "This credential asks too much at once.",
    422: "The same key with another body.",
    431: "The headers are too large.",
    500: "It broke; the request id finds it in the log.",
    503: "Not ready, or too slow; try again.",
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    asks = [(r.ask, "validation") for r in ROUTES.values() if r.ask]
    answers = [(r.answer, "serialization") for r in ROUTES.values() if r.answer]
    wanted: Any = [*asks, *answers, (ErrorAnswer, "serialization")]
    references, schemas = models_json_schema(wanted, ref_template=REFERENCE)

    def reference(model: Any, mode: Any) -> dict[str, Any]:
        return references[model, mode]

    return {
        "openapi": "3.1.0",
        "info": {"title": "Callsheet", "version": _version(), "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "."}],
        "tags": [{"name": "Ask"}, {"name": "Write"}, {"name": "Operate"}],
        "paths": {route.path: {route.method.lower(): _operation(route, reference)} for route in ROUTES.values()},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": CREDENTIAL}},
            "responses": {
                str(status): _error(status, codes, reference(ErrorAnswer, "serialization"))
                for status, codes in _codes().items()
            },
        },
    }


def _operation(route: Route, reference: Any) -> dict[str, Any]:
    schema = reference(route.answer, "serialization") if route.answer else None
    if schema is None:
        schema = {"type": "object"} if route.media == "application/json" else {"type": "string"}
    statuses = {*EVERYWHERE, *(WITH_BODY if route.ask else ()), *(WITH_CREDENTIAL if route.scope else ())}
    statuses |= {status for status, _ in route.errors} | (set(IN_TURN) if route.queued else set())
    ok: dict[str, Any] = {
        "description": MEANINGS[200],
        "headers": {"x-request-id": {"schema": {"type": "string"}}},
        "content": {route.media: {"schema": schema}},
    }
    if links := _links(route):
        ok["links"] = links
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": _describe(route),
        "operationId": route.path.partition("/{")[0].strip("/").replace(".", "_"),
        "tags": [route.tag],
        "responses": {"200": ok} | {str(s): {"$ref": f"#/components/responses/{s}"} for s in sorted(statuses)},
    }
    if any(code.startswith("idempotency") for _, codes in route.errors for code in codes):
        operation.setdefault("parameters", []).append(KEY)
    if route.queued:
        operation.setdefault("parameters", []).append(WAIT)
    if route.scope:
        operation["security"] = [{"bearer": []}, {}]  # none while the ledger has no key, on the same machine
    if "{" in route.path:
        name = route.path.partition("{")[2].strip("}")
        operation.setdefault("parameters", []).append({"name": name, "in": "path", "required": True, "schema": PATH_ID})
    if route.query:
        operation["parameters"] = [*operation.get("parameters", ()), *_query(route)]
    if route.ask:
        content = {"application/json": {"schema": reference(route.ask, "validation")}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _links(route: Route) -> dict[str, Any]:
    """Where an answer leads: its decision to its explanation, its offers to what becomes of them."""
    if route.method != "POST" or route.answer is None or "decision_id" not in route.answer.model_fields:
        return {}
    of = {"decision_id": "$response.body#/decision_id"}
    return {
        "explain": {"operationId": "explain", "parameters": of, "description": "Why it was decided so; not of advice."},
        "record": {"operationId": "record", "description": "What became of an offer, by its offer_id."},
    }


def _query(route: Route) -> list[dict[str, Any]]:
    """The parameters behind the path; a text cannot say null, so none takes it."""
    schema = route.query.model_json_schema() if route.query else {"properties": {}}
    made = []
    for name, said in schema["properties"].items():
        kinds = [kind for kind in said.get("anyOf", [said]) if kind.get("type") != "null"]
        taken = {key: value for key, value in kinds[0].items() if key not in ("title", "default")}
        made.append({"name": name, "in": "query", "required": False, "schema": taken})
    return made


def _describe(route: Route) -> str:
    own = [f"{status}: {', '.join(f'`{c}`' for c in codes)}" for status, codes in route.errors]
    said = route.ask.__doc__ if route.ask and route.ask.__doc__ else route.summary
    if route.scope:
        said = f"{said.strip()}\n\nTakes a credential with the scope `{route.scope}`."
    return said.strip() + (f"\n\nIts own refusals: {'; '.join(own)}." if own else "")


def _codes() -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    listed = [
        *EVERYWHERE.items(),
        *IN_TURN.items(),
        *WITH_BODY.items(),
        *WITH_CREDENTIAL.items(),
        *(e for r in ROUTES.values() for e in r.errors),
    ]
    for status, codes in listed:
        found.setdefault(status, []).extend(code for code in codes if code not in found.get(status, ()))
    return {status: tuple(codes) for status, codes in sorted(found.items())}


def _error(status: int, codes: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": f"{MEANINGS[status]} Codes: {', '.join(codes)}.",
        "headers": {"x-request-id": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": schema}},
    }


def _version() -> str:
    try:
        return version("callsheet")
    except PackageNotFoundError:
        return "0"
