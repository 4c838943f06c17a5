"""Which model serves: rows that are only ever added, each by compare-and-set on the revision before it, and audited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from features.errors import Conflict, Refused
from serving.actor import CLI, Actor
from serving.ledger.audit import record
from serving.ledger.change import Change, changing
from serving.ledger.database import Ledger
from serving.ledger.tables import AUDIT, RELEASES

MODEL_NAME = "callsheet"


@dataclass(frozen=True)
class Released:
    """The model of a release, by what identifies it.

    version             of the registered model
    content_hash        sha256 over the product's files, hex
    feature_version     the features it was made for
    market_fingerprint  the served market under which the gate judged it
    """

    version: str
    content_hash: str
    feature_version: str
    market_fingerprint: str

    @staticmethod
    def columns(model: Released | None) -> dict[str, str | None]:
        """How a row names a model; all null: none."""
        if model is None:
            return dict.fromkeys(("model_version", "content_hash", "feature_version", "market_fingerprint"))
        return {
            "model_version": model.version, "content_hash": model.content_hash,
            "feature_version": model.feature_version, "market_fingerprint": model.market_fingerprint,
        }  # fmt: skip

    @classmethod
    def of(cls, row: Row[Any]) -> Released | None:
        """The model that a row names, if it does."""
        if row.model_version is None:
            return None
        return cls(row.model_version, row.content_hash, row.feature_version, row.market_fingerprint)


@dataclass(frozen=True)
class Release:
    """One row: from `promoted_at` on `model` serves, or the rules where it is None.

    revision  counts up from 1
    kind      promote or rollback
    forced    a person overruled the gate
    gate      what the gate said, as JSON values
    prior     the revision to which a rollback returns; None: to the rules
    """

    revision: int
    kind: str
    model: Released | None
    promoted_at: datetime
    reason: str
    forced: bool = False
    gate: Mapping[str, Any] = field(default_factory=dict)
    prior: int | None = None

    @property
    def called(self) -> str:
        """What serves, in words."""
        return f"model {self.model.version}" if self.model else "the rules"


class Releases:
    """The releases of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def current(self) -> Release | None:
        """What serves now; None before the first release."""
        with self.ledger.reading() as connection:
            return _current(connection)

    def history(self) -> list[Release]:
        """Every release, the newest first."""
        with self.ledger.reading() as connection:
            return [_read(row) for row in connection.execute(select(RELEASES).order_by(RELEASES.c.revision.desc()))]

    def last_good(self) -> Release | None:
        """The release before the current one with another model: what serves while the champion cannot."""
        with self.ledger.reading() as connection:
            now = _current(connection)
            found = _other(connection, now) if now is not None else None
        return found if found is not None and found.model is not None else None

    def before(self, release: Release) -> Released | None:
        """The model that served before the files of a release; None: the rules did."""
        with self.ledger.reading() as connection:
            found = _other(connection, release)
        return found.model if found else None

    def rolled_back(self, content_hash: str, actor: Actor) -> Release | None:
        """The last release by which `actor` took a model back; None: it never did.

        Cost: for a model that was ever rolled back the audit is read once
        """
        gone = RELEASES.alias()
        asked = (
            select(RELEASES)
            .join(gone, gone.c.revision == RELEASES.c.revision - 1)
            .where(RELEASES.c.kind == "rollback", gone.c.content_hash == content_hash)
            .order_by(RELEASES.c.revision.desc())
        )
        with self.ledger.reading() as connection:
            backs = {_subject(row.revision): row for row in connection.execute(asked)}
            audited = select(AUDIT.c.subject).where(
                AUDIT.c.action == "rollback", AUDIT.c.actor == actor.name, AUDIT.c.subject.in_(backs)
            )
            theirs = set(connection.execute(audited).scalars()) if backs else set()
        return next((_read(row) for subject, row in backs.items() if subject in theirs), None)

    def promote(
        self,
        model: Released,
        *,
        seen: int,
        reason: str,
        gate: Mapping[str, Any] | None = None,
        forced: bool = False,
        at: datetime | None = None,
    ) -> Release:
        """Release a model. `seen` is the revision that the decision was based on, 0 for none.

        Raises Conflict, naming what serves now, when another release came in between.
        """
        with changing(self.ledger, at) as change:
            now = _unchanged(change.connection, seen)
            prior = now.revision if now else None
            return _add(change, Release(seen + 1, "promote", model, change.at, reason, forced, gate or {}, prior))

    def rollback(
        self, *, seen: int, reason: str, at: datetime | None = None, actor: Actor = CLI, past_same: bool = False
    ) -> Release:
        """Return to what served before the current release: an earlier model, or the rules.

        actor      who does it, for the audit
        past_same  not to an earlier release of the same files, but past these
        Raises Refused when nothing was ever released or the rules already serve, Conflict as `promote`.
        """
        with changing(self.ledger, at) as change:
            now = _unchanged(change.connection, seen)
            if now is None or now.model is None:
                raise Refused("There is no release to roll back: the rules serve.")
            target = (_other if past_same else _prior)(change.connection, now)
            return _add(
                change,
                Release(
                    seen + 1, "rollback", target.model if target else None, change.at, reason,
                    target.forced if target else False, target.gate if target else {},
                    target.prior if target else None,
                ),
                actor,
            )  # fmt: skip


def _unchanged(connection: Connection, seen: int) -> Release | None:
    """What serves, where that is still what the decision was based on. Raises Conflict."""
    now = _current(connection)
    if (now.revision if now else 0) != seen:
        raise _beaten(now, seen)
    return now


def _beaten(now: Release | None, seen: int) -> Conflict:
    if now is None:
        return Conflict(f"There is no revision {seen}; nothing was released yet. Look again with `callsheet models`.")
    return Conflict(
        f"Another release came first: revision {now.revision} with {now.called} serves now, not revision {seen}. "
        "Look at it with `callsheet models`, then decide again.",
        field="revision",
    )


def _current(connection: Connection) -> Release | None:
    row = connection.execute(select(RELEASES).order_by(RELEASES.c.revision.desc()).limit(1)).first()
    return _read(row) if row else None


def _at(connection: Connection, revision: int) -> Release | None:
    row = connection.execute(select(RELEASES).where(RELEASES.c.revision == revision)).first()
    return _read(row) if row else None


def _prior(connection: Connection, release: Release) -> Release | None:
    """To what a rollback of a release returns; None: to the rules."""
    return _at(connection, release.prior) if release.prior is not None else None


def _other(connection: Connection, release: Release) -> Release | None:
    """As `_prior`, past all releases of the same files: whatever version they have, they are the same model."""
    found = _prior(connection, release)
    while found and found.model and release.model and found.model.content_hash == release.model.content_hash:
        found = _prior(connection, found)
    return found


def _add(change: Change, release: Release, actor: Actor = CLI) -> Release:
    """Insert a row, and one into the audit: what, by its hash, in place of what, and why."""
    told = {"reason": release.reason, "forced": release.forced, "prior": release.prior}
    about = Released.columns(release.model) | told
    kept = {
        "revision": release.revision, "kind": release.kind, "model_name": MODEL_NAME,
        "promoted_at": release.promoted_at, "gate": json.dumps(release.gate, sort_keys=True, allow_nan=False),
    }  # fmt: skip
    change.connection.execute(insert(RELEASES).values(**kept, **about))
    record(change, actor.name, release.kind, _subject(release.revision), about)
    return release


def _subject(revision: int) -> str:
    """How the audit names a release."""
    return f"release {revision}"


def _read(row: Row[Any]) -> Release:
    at: datetime = row.promoted_at
    return Release(
        revision=row.revision, kind=row.kind, model=Released.of(row),
        promoted_at=at if at.tzinfo else at.replace(tzinfo=UTC),  # SQLite keeps no zone
        reason=row.reason, forced=bool(row.forced), gate=json.loads(row.gate), prior=row.prior,
    )  # fmt: skip
