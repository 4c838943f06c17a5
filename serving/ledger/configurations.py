"""Which configurations decided here: each that differs from the one before, whole, with the keys that changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, desc, insert, select

from features.config import Config
from serving.ledger import audit
from serving.ledger.change import changing
from serving.ledger.database import Ledger, LedgerError
from serving.ledger.tables import CONFIGURATIONS

log = logging.getLogger(__name__)

#: What does not decide on leads: who may call, and how long the record is kept.
NOT_OF_ROUTING: Final = {"oidc", "retention"}


def note(ledger: Ledger, config: Config, actor: str, at: datetime | None = None) -> bool:
    """Write down that this configuration decides from now on; False: the last one was the same, or it cannot be done.

    A ledger that cannot be written keeps nobody from answering: decisions keep the fingerprint anyway.
    """
    try:
        with ledger.reading() as connection:
            if _last(connection).get("fingerprint") == config.fingerprint:
                return False
        with changing(ledger, at) as change:
            before = _last(change.connection)
            if before.get("fingerprint") == config.fingerprint:
                return False
            body = config.model_dump(mode="json", by_alias=True, exclude=NOT_OF_ROUTING)
            row = {"seq": change.seq, "at": change.at, "fingerprint": config.fingerprint, "body": json.dumps(body)}
            change.connection.execute(insert(CONFIGURATIONS).values(row))
            keys = list(changed(before.get("body", {}), body))
            audit.record(change, actor, "configure", config.fingerprint, {"keys": keys})
            return True
    except LedgerError as error:
        log.warning("Which configuration decides could not be written down: %s", error)
        return False


def noted(connection: Connection) -> list[dict[str, Any]]:
    """All of them, the latest first: at, fingerprint, body, and the keys in which each differs from the one before."""
    rows = [
        _told(dict(row)) for row in connection.execute(select(CONFIGURATIONS).order_by(CONFIGURATIONS.c.seq)).mappings()
    ]
    for before, row in zip([{"body": {}}, *rows], rows, strict=False):
        row["keys"] = list(changed(before["body"], row["body"]))
    return rows[::-1]


def changed(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths of the keys in which two configurations differ, such as sla.by_role.enterprise."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from changed(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        if before.keys() == after.keys() and list(before) != list(after):
            yield f"{path} (order)"
    elif before != after:
        yield path


def _last(connection: Connection) -> dict[str, Any]:
    row = connection.execute(select(CONFIGURATIONS).order_by(desc(CONFIGURATIONS.c.seq)).limit(1)).mappings().first()
    return _told(dict(row)) if row is not None else {}


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"body": json.loads(row["body"])}
