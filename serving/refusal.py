"""How every refusal looks: one envelope with a stable code, whoever said no."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from features.errors import CallsheetError

#: What a status means when BentoML, not we, said no.
CODES: Final = {
    400: "input_invalid", 404: "route_unknown", 405: "method_not_allowed", 415: "content_type", 429: "too_many",
    503: "not_ready", 504: "deadline",
}  # fmt: skip
MESSAGES: Final = {
    400: "The request could not be read.",
    404: "There is no such route; /docs.json lists them.",
    429: "Too many requests at once; try again in a moment.",
    503: "The service is not ready.",
    504: "The answer took too long; a retry with the same Idempotency-Key tells whether anything was written.",
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


class Unauthorized(CallsheetError):
    """No credential, or none that holds; one message for all, so that nobody learns which part was wrong."""

    code = "unauthorized"
    exit_code = 2
    status = 401
    headers: Mapping[str, str] = {"www-authenticate": 'Bearer realm="callsheet"', "connection": "close"}

    def __init__(self) -> None:
        super().__init__("Send a valid credential: Authorization: Bearer …", field="Authorization")


class Forbidden(CallsheetError):
    """The credential holds, and does not allow this."""

    code = "forbidden"
    exit_code = 2
    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"This credential does not allow it; it takes one with the scope {scope}.")
        self.headers = {"www-authenticate": f'Bearer realm="callsheet", error="insufficient_scope", scope="{scope}"'}


class CredentialsUnavailable(CallsheetError):
    """Whether the credential holds can't be told: the ledger's keys can't be read."""

    code = "credentials_unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("The ledger's keys cannot be read, so credentials cannot be checked; try again in a moment.")


def envelope(error: CallsheetError, request_id: str | None = None) -> Response:
    """An error as every client sees it: {"error": {code, message, field}}."""
    body = {"error": {"code": error.code, "message": error.outside or str(error), "field": error.field}}
    headers = {"x-request-id": request_id} if request_id else {}
    headers |= getattr(error, "headers", {})
    if error.status in (429, 503):
        # Not the same moment for all, or they all come back at once.
        headers.setdefault("retry-after", str(random.randint(1, 3)))
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, error.status, headers, media_type="application/json")
