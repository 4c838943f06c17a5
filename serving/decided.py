"""An answer that was decided, and whether it is the one that an earlier request with the same key got."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from serving.ledger.idempotency import Once, stored


@dataclass(frozen=True)
class Decided:
    """An answer; replayed: it was committed before, under the same key."""

    answer: dict[str, Any]
    replayed: bool = False


def replayed(connection: Connection, once: Once | None) -> Decided | None:
    """The answer that this write already got; None: it has not happened, or has no key. Raises KeyRefused."""
    before = stored(connection, once) if once is not None else None
    return Decided(json.loads(before.body), replayed=True) if before is not None else None
