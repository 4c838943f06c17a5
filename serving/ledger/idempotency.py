"""Idempotent writes: an answer is kept in the transaction that it tells of, and the same key gets the same answer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from sqlalchemy import Connection, bindparam, delete, insert, select

from features.errors import CallsheetError
from serving.ledger.change import Change
from serving.ledger.prepared import Prepared
from serving.ledger.tables import IDEMPOTENCY

#: How long an answer is kept at least.
KEPT: Final = timedelta(hours=24)
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
HEADER: Final = "Idempotency-Key"

_MINE = select(IDEMPOTENCY).where(IDEMPOTENCY.c.scope == bindparam("whose"), IDEMPOTENCY.c.key == bindparam("which"))
_KEPT = Prepared(insert(IDEMPOTENCY))


class KeyRefused(CallsheetError):
    """The header is missing where it must be, is none, or belongs to another request."""

    exit_code = 2

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message, field=HEADER)
        self.code, self.status = code, status


@dataclass(frozen=True)
class Once:
    """One write that happens once, however often it is asked for.

    scope      whose key it is, and for what: the caller (`Actor.whose`) and the route
    key        the caller's own
    body_hash  sha256 over the canonical JSON of the checked body, hex
    """

    scope: str
    key: str
    body_hash: str

    @classmethod
    def of(cls, whose: str, route: str, key: str | None, body: Mapping[str, Any]) -> Self:
        """The write that `body`, as JSON values, asks of `route`.

        Raises KeyRefused: idempotency_key_missing (400) where there is no key, idempotency_key_invalid (400)
        """
        if key is None:
            raise KeyRefused(
                "idempotency_key_missing", 400,
                f"What is written takes an {HEADER} header: a new random one for each request, the same for its retry.",
            )  # fmt: skip
        return cls(f"{whose} {route}", key_of(key), hashlib.sha256(canonical(body).encode()).hexdigest())


def key_of(given: str) -> str:
    """The key that a header gives. Raises KeyRefused: idempotency_key_invalid (400)."""
    if not KEY.fullmatch(given):
        raise KeyRefused("idempotency_key_invalid", 400, f"An {HEADER} is 1 to 255 visible ASCII characters.")
    return given


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces. ValueError for a number that is none."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Stored:
    """The answer that was committed with its change."""

    status: int
    body: str


def stored(connection: Connection, once: Once) -> Stored | None:
    """The answer that this write already got; None: it has not happened.

    Ask inside `changing`: writers wait for each other there, so a second request with the same key waits until the
    first has committed (and then finds its answer here) or is rolled back (and then does the work itself). There is
    no "in flight" to refuse.
    Raises KeyRefused: idempotency_mismatch (422) for the same key with another body
    """
    row = connection.execute(_MINE, {"whose": once.scope, "which": once.key}).one_or_none()
    if row is None:
        return None
    if row.body_hash != once.body_hash:
        raise KeyRefused(
            "idempotency_mismatch", 422,
            f"This {HEADER} was used for another body; a retry repeats the body, another request takes another key.",
        )  # fmt: skip
    return Stored(row.status, row.body)


def keep(change: Change, once: Once, status: int, body: str) -> None:
    """Keep the answer with the change that it tells of: both are committed, or neither is."""
    row = {
        "scope": once.scope, "key": once.key, "body_hash": once.body_hash, "status": status, "body": body,
        "at": change.at,
    }  # fmt: skip
    _KEPT.run(change.connection, row)


def any_expired(connection: Connection, now: datetime) -> bool:
    """Whether an answer was kept long enough."""
    return connection.execute(select(IDEMPOTENCY.c.key).where(IDEMPOTENCY.c.at < now - KEPT)).first() is not None


def expire(change: Change) -> int:
    """Forget the answers that were kept long enough; how many."""
    old = delete(IDEMPOTENCY).where(IDEMPOTENCY.c.at < change.at - KEPT)
    return change.connection.execute(old).rowcount
