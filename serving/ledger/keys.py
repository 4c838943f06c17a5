"""API keys: made at random, shown once, kept as a hash; with what they allow, until when, and for which rep."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from features.errors import Refused, UnknownId, UsageError
from serving.actor import CLI, SCOPES, Actor
from serving.ledger.audit import record
from serving.ledger.change import Change
from serving.ledger.crm import CRM
from serving.ledger.tables import API_KEYS

#: cs_<key_id>_<secret>: the id names the row, the secret is 256 random bits.
FORM: Final = re.compile(r"cs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
#: So many digits of a key's id are its caller's: rotation keeps them.
CALLER: Final = 8


@dataclass(frozen=True)
class Key:
    """One key, without its secret.

    name         whose it is, for the people who list keys
    secret_hash  sha256 over the whole key, hex; a slow hash would add nothing to 256 random bits
    rep_id       a rep's own key
    """

    key_id: str
    name: str
    secret_hash: str
    scopes: tuple[str, ...]
    rep_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, at: datetime) -> str:
        """live, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "live"

    @property
    def actor(self) -> Actor:
        """Who asks with it: one caller, whichever of his keys it is."""
        return Actor(f"key:{self.key_id}", frozenset(self.scopes), self.rep_id, f"keys:{self.key_id[:CALLER]}")


def hashed(key: str) -> str:
    """What is kept of a key, or stands for another text."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    change: Change, name: str, scopes: Iterable[str], *, rep_id: str | None = None, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """A new key, and its text: nobody can read that again.

    Raises UsageError; UnknownId for a rep that is none
    """
    wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not wanted:
        raise UsageError(f"A key allows one or more of {', '.join(SCOPES)}, not {', '.join(unknown)!r}.", field="scope")
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise UsageError("A key's name is 1 to 200 printable characters.", field="name")
    if rep_id is not None and not _exists(change.connection, rep_id):
        raise UnknownId("rep", rep_id)
    return _made(change, name, wanted, rep_id, expires_at)


def _made(
    change: Change, name: str, scopes: tuple[str, ...], rep_id: str | None, expires_at: datetime | None,
    caller: str | None = None,
) -> tuple[Key, str]:  # fmt: skip
    key_id = _new_id([key.key_id for key in listed(change.connection)], caller)
    text = f"cs_{key_id}_{secrets.token_urlsafe(32)}"
    key = Key(key_id, name, hashed(text), scopes, rep_id, change.at, expires_at, None)
    _add(change, key)
    until = expires_at.isoformat() if expires_at else None
    record(change, CLI.name, "key_created", f"key:{key_id}", {"scopes": scopes, "rep_id": rep_id, "expires_at": until})
    return key, text


def _new_id(known: Sequence[str], caller: str | None) -> str:
    """An id that no key has, of a caller that no key has, or of the one that is named."""
    while True:
        key_id = (caller or secrets.token_hex(CALLER // 2)) + secrets.token_hex(2)
        if key_id not in known and (caller or key_id[:CALLER] not in {one[:CALLER] for one in known}):
            return key_id


def listed(connection: Connection) -> list[Key]:
    """Every key that ever was, the oldest first."""
    rows = connection.execute(select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id))
    return [_read(row) for row in rows]


def revoke(change: Change, key_id: str) -> bool:
    """End a key now; False when it was revoked before. Raises UnknownId."""
    if _of(change.connection, key_id).revoked_at is not None:
        return False
    _set(change, key_id, revoked_at=change.at)
    record(change, CLI.name, "key_revoked", f"key:{key_id}", {})
    return True


def rotate(change: Change, key_id: str, overlap: timedelta, *, expires_at: datetime | None = None) -> tuple[Key, str]:
    """A new key with the same name, scopes and rep; the old one ends after `overlap`, or when it would have anyway.

    Raises UnknownId; Refused for a key that is no longer live
    """
    old = _of(change.connection, key_id)
    if old.state(change.at) != "live":
        raise Refused(f"Key {key_id} is {old.state(change.at)}; create a new one.", field="key_id")
    ends = change.at + overlap
    _set(change, key_id, expires_at=min(ends, old.expires_at) if old.expires_at else ends)
    new, text = _made(change, old.name, old.scopes, old.rep_id, expires_at, old.key_id[:CALLER])
    record(change, CLI.name, "key_rotated", f"key:{key_id}", {"to": new.key_id, "ends_at": ends.isoformat()})
    return new, text


def merge(change: Change, known: Iterable[Key]) -> None:
    """Add keys of another ledger to this one's; what had ended there has ended here, and the other way round."""
    here = {key.key_id: key for key in listed(change.connection)}
    for key in known:
        mine = here.get(key.key_id)
        if mine is None:
            _add(change, key)
        else:
            ends = {
                name: min((at for at in (getattr(key, name), getattr(mine, name)) if at is not None), default=None)
                for name in ("expires_at", "revoked_at")
            }
            _set(change, key.key_id, **ends)


def _add(change: Change, key: Key) -> None:
    change.connection.execute(insert(API_KEYS).values(**key.__dict__ | {"scopes": json.dumps(key.scopes)}))


def _set(change: Change, key_id: str, **values: datetime | None) -> None:
    change.connection.execute(update(API_KEYS).where(API_KEYS.c.key_id == key_id).values(**values))


def _of(connection: Connection, key_id: str) -> Key:
    row = connection.execute(select(API_KEYS).where(API_KEYS.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UnknownId("key", key_id)
    return _read(row)


def _exists(connection: Connection, rep_id: str) -> bool:
    reps = CRM["reps"]
    return connection.execute(select(reps.c.rep_id).where(reps.c.rep_id == rep_id)).first() is not None


def _read(row: Row[Any]) -> Key:
    return Key(**row._asdict() | {"scopes": tuple(json.loads(row.scopes))})
