"""API keys: made at random, shown once, kept as a hash; with what they allow, until when, and for which rep."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from features.errors import Refused, UnknownId, UsageError
from serving.actor import CLI, SCOPES, Actor
from serving.ledger.audit import record
from serving.ledger.change import Change
from serving.ledger.crm import CRM
from serving.ledger.idempotency import KEPT, any_of
from serving.ledger.tables import API_KEYS

#: cs_<key_id>_<secret>: the id names the row, the secret is 256 random bits.
FORM: Final = re.compile(r"cs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


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

    @property
    def ends(self) -> datetime | None:
        """When it ends or has ended; None: nobody knows."""
        return min((at for at in (self.expires_at, self.revoked_at) if at is not None), default=None)

    def state(self, at: datetime) -> str:
        """live, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "live"

    @property
    def actor(self) -> Actor:
        """Who asks with it. Rotation keeps name and rep, so keys that share both are one caller's."""
        whose = hashed(json.dumps([self.name, self.rep_id]))  # a rep's id may be of any length
        return Actor(f"key:{self.key_id}", frozenset(self.scopes), self.rep_id, f"keys:{whose}")


class NameTaken(UsageError):
    """The name of a key is another caller's, and Idempotency-Keys go by it."""

    code = "key_name_taken"


def hashed(key: str) -> str:
    """What is kept of a key, or stands for another text."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    change: Change, name: str, scopes: Iterable[str], *, rep_id: str | None = None, expires_at: datetime | None = None
) -> tuple[Key, str]:
    """A new key, and its text: nobody can read that again.

    Raises UsageError; UnknownId for a rep that is none; NameTaken while answers may be kept for a key of the same name
    and rep: who takes another's place does it by `rotate`
    """
    wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not wanted:
        raise UsageError(f"A key allows one or more of {', '.join(SCOPES)}, not {', '.join(unknown)!r}.", field="scope")
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise UsageError("A key's name is 1 to 200 printable characters.", field="name")
    if rep_id is not None and not _exists(change.connection, rep_id):
        raise UnknownId("rep", rep_id)
    _refuse_taken(change, name, rep_id)
    return _made(change, name, wanted, rep_id, expires_at)


def _refuse_taken(change: Change, name: str, rep_id: str | None) -> None:
    """Raises NameTaken where a new key would get the answers that are kept for another's Idempotency-Keys."""
    named = [key for key in listed(change.connection) if (key.name, key.rep_id) == (name, rep_id)]
    if not named:
        return
    last = max(named, key=lambda key: (key.ends is None, key.ends or change.at))
    if last.ends is None or last.ends > change.at:
        raise NameTaken(
            f"Key {last.key_id} has the name {name!r}, and Idempotency-Keys go by it: `callsheet keys rotate "
            f"{last.key_id}` makes the key that takes its place; another caller's takes another name.",
            field="name",
        )
    if last.ends >= change.at - KEPT or any_of(change.connection, last.actor.whose):
        raise NameTaken(
            f"Key {last.key_id} had the name {name!r}, and answers are kept for its Idempotency-Keys until "
            f"{KEPT // timedelta(hours=1)} hours after its end: take another name.",
            field="name",
        )


def _made(
    change: Change, name: str, scopes: tuple[str, ...], rep_id: str | None, expires_at: datetime | None
) -> tuple[Key, str]:
    key_id = secrets.token_hex(6)
    text = f"cs_{key_id}_{secrets.token_urlsafe(32)}"
    key = Key(key_id, name, hashed(text), scopes, rep_id, change.at, expires_at, None)
    _add(change, key)
    until = expires_at.isoformat() if expires_at else None
    record(change, CLI.name, "key_created", f"key:{key_id}", {"scopes": scopes, "rep_id": rep_id, "expires_at": until})
    return key, text


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
        raise Refused(f"Key {key_id} is {old.state(change.at)}; create a new one, with another name.", field="key_id")
    ends = change.at + overlap
    _set(change, key_id, expires_at=min(ends, old.expires_at) if old.expires_at else ends)
    new, text = _made(change, old.name, old.scopes, old.rep_id, expires_at)
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
