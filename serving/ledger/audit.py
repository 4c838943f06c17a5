"""The audit: who did what, in rows that are only added, each chained by hash to the one before."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from serving.ledger.change import Change
from serving.ledger.idempotency import canonical
from serving.ledger.prepared import Prepared
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, LEDGER_CLOCK
from serving.ledger.vouched import WRITTEN, Said, recheck

#: What the first row is chained to.
START: Final = "0" * 64
FORGOTTEN: Final = "payload_forgotten"

_SAID, _SEALED = Prepared(insert(AUDIT)), Prepared(insert(AUDIT_PAYLOADS))
_LAST = Prepared(update(LEDGER_CLOCK).values(audit_number=bindparam("number"), audit_hash=bindparam("last")))


def record(change: Change, actor: str, action: str, subject: str, payload: Mapping[str, Any]) -> int:
    """Add a row about what this change does; committed with it, or not at all. Returns the row's number.

    actor    Actor.name
    subject  what it was done to, by ids: it stays when a payload is forgotten, so nothing personal goes in
    payload  JSON values, hashed with a salt and kept apart, so that it can be forgotten and the chain stays whole; the
             hashes of what the change wrote so far go with it
    """
    if change.written:
        payload, change.written = {**payload, WRITTEN: change.written}, {}
    last, prior = change.audited
    number, salt, body = last + 1, secrets.token_hex(32), canonical(payload)
    said = _said(number, change.at, actor, action, subject, _sealed(salt, body), prior)
    hashed = _hash(said)
    _SAID.run(change.connection, said | {"at": change.at, "hash": hashed})
    _SEALED.run(change.connection, {"number": number, "salt": salt, "body": body})
    _LAST.run(change.connection, {"number": number, "last": hashed})
    change.audited = number, hashed
    return number


def forget(change: Change, actor: str, numbers: Sequence[int]) -> None:
    """Destroy the payloads of rows, and say so in the audit; the rows and their chain stay.

    What they vouch for is vouched for on, as the change has it now.
    """
    if not numbers:
        return
    those = AUDIT_PAYLOADS.c.number.in_(numbers)
    for body in change.connection.execute(select(AUDIT_PAYLOADS.c.body).where(those)).scalars().all():
        for table, hashes in json.loads(body).get(WRITTEN, {}).items():
            change.written[table] = {**hashes, **change.written.get(table, {})}
    record(change, actor, FORGOTTEN, " ".join(str(n) for n in sorted(numbers)), {})
    change.connection.execute(delete(AUDIT_PAYLOADS).where(those))


@dataclass(frozen=True)
class Head:
    """The last row: whoever notes it elsewhere can prove later that nothing up to it was rewritten or cut off."""

    number: int
    hash: str


@dataclass(frozen=True)
class Tampered:
    """The first row that is not what was written, and why."""

    number: int
    why: str


def head(connection: Connection) -> Head:
    """The last row that was written; number 0 before the first."""
    row = connection.execute(select(LEDGER_CLOCK.c.audit_number, LEDGER_CLOCK.c.audit_hash)).one()
    return Head(row.audit_number, row.audit_hash)


def verify(connection: Connection, noted: Head | None = None, counted: Counter[str] | None = None) -> Tampered | None:
    """Recompute the whole chain, and hold decisions, offers and events to it; None: all is what was written.

    A row that was changed, taken out or slipped in breaks the chain at its number. A tail that was cut off breaks no
    chain, so the last number and hash stand in the ledger's clock row too. Who can write all of these tables can
    still forge a whole new history: a `noted` head, kept outside the database, tells that one as well.
    counted   gets how many rows of which table were held to it, and how many were erased; what is not in it, no row
              vouches for: advice, what the CRM brought, what an earlier version wrote
    """
    last = Head(0, START)
    forgotten: set[int] = set()
    bare: list[int] = []
    for row in connection.execute(_ROWS).yield_per(1_000):
        why = _wrong(row, last, noted)
        if why:
            return Tampered(min(row.number, last.number + 1), why)
        if row.salt is None:
            bare.append(row.number)
        if row.action == FORGOTTEN:
            forgotten.update(int(n) for n in row.subject.split())
        last = Head(row.number, row.hash)
    lost = next((n for n in bare if n not in forgotten), None)
    if lost is not None:
        return Tampered(lost, "its payload is gone, and no row says that it was forgotten")
    if cut := _cut(connection, last, noted):
        return cut
    told = (
        Said(row.number, row.at, row.action, row.subject, row.body)
        for row in connection.execute(_ROWS.where(AUDIT_PAYLOADS.c.body.is_not(None))).yield_per(1_000)
    )
    wrong = recheck(connection, told, Counter() if counted is None else counted)
    return Tampered(*wrong) if wrong else None


_ROWS = (
    select(AUDIT, AUDIT_PAYLOADS.c.salt, AUDIT_PAYLOADS.c.body)
    .outerjoin(AUDIT_PAYLOADS, AUDIT.c.number == AUDIT_PAYLOADS.c.number)
    .order_by(AUDIT.c.number)
)


def _wrong(row: Row[Any], last: Head, noted: Head | None) -> str | None:
    if row.number != last.number + 1:
        return "it is missing"
    if row.prior_hash != last.hash:
        return "it is not chained to the row before it"
    said = _said(row.number, row.at, row.actor, row.action, row.subject, row.payload_hash, row.prior_hash)
    if row.hash != _hash(said):
        return "it was changed"
    if row.salt is not None and _sealed(row.salt, row.body) != row.payload_hash:
        return "its payload was changed"
    if noted is not None and row.number == noted.number and row.hash != noted.hash:
        return "its hash is not the one that was noted"
    return None


def _cut(connection: Connection, last: Head, noted: Head | None) -> Tampered | None:
    """Whether something knows of rows after the last one, or does not know the last one."""
    kept = head(connection)
    payloads = connection.execute(select(func.max(AUDIT_PAYLOADS.c.number))).scalar() or 0
    if max(kept.number, payloads, noted.number if noted else 0) > last.number:
        return Tampered(last.number + 1, "it is missing, with all that followed")
    return None if kept == last else Tampered(last.number, "the ledger's clock knows another last row")


def _said(
    number: int, at: datetime, actor: str, action: str, subject: str, payload_hash: str, prior_hash: str
) -> dict[str, Any]:
    return {
        "number": number, "at": at.astimezone(UTC).isoformat(timespec="microseconds"), "actor": actor,
        "action": action, "subject": subject, "payload_hash": payload_hash, "prior_hash": prior_hash,
    }  # fmt: skip


def _hash(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(said).encode()).hexdigest()


def _sealed(salt: str, body: str) -> str:
    return hashlib.sha256(f"{salt}{body}".encode()).hexdigest()
