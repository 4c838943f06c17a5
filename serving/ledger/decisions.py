"""Writes decisions down and reads them back: the row that stays, and beside it what explains it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select

from features.catalogue import FEATURE_VERSION
from features.errors import UnknownId
from features.matrix import Matrix
from serving.instants import EPOCH
from serving.ledger.change import Change
from serving.ledger.crm import OFFERS
from serving.ledger.details import numbers, pack, unpack, without
from serving.ledger.person import hash_of as hash_of_contact
from serving.ledger.prepared import Prepared
from serving.ledger.shadows import shadow_of
from serving.ledger.tables import DECISION_DETAILS, DECISIONS, EVENTS
from serving.ledger.vouched import hash_of
from serving.ranking import Ranking
from serving.reasons import Facts

#: Of so many scored candidates, the best first, the ids and scores are kept; how many there were is kept as well.
KEPT = 500
_ROW, _DETAIL = Prepared(insert(DECISIONS)), Prepared(insert(DECISION_DETAILS))


@dataclass(frozen=True)
class Decision:
    """One answered question, ready to be written: `row` of DECISIONS, `detail` of DECISION_DETAILS.

    contact_hash   of the contact of a lead that was sent along: nothing else says whose it is where it is not stored
    """

    row: Mapping[str, Any]
    detail: Mapping[str, Any]
    contact_hash: str | None = None

    @property
    def decision_id(self) -> str:
        """Its id."""
        return str(self.row["decision_id"])

    def saying(self, answer: Mapping[str, Any]) -> Decision:
        """The same decision with the answer as it was given in the end: with its offers, and who was left without."""
        told = {name: answer[name] for name in ("items", "unplaced") if name in answer}
        return replace(self, detail={**self.detail, **told})

    def without(self, leads: Collection[str]) -> Decision:
        """The same decision with nothing of these leads but their ids and scores."""
        return replace(self, detail=without(self.detail, leads)) if leads else self

    def write(self, connection: Connection) -> None:
        """Write it by itself: it commits nothing."""
        _ROW.run(connection, dict(self.row))
        row = {"decision_id": self.decision_id, "body": self.body, "contact_hash": self.contact_hash}
        _DETAIL.run(connection, row)

    def commit(self, change: Change) -> None:
        """Write it in the change that makes its offers, for the audit to vouch for."""
        self.write(change.connection)
        for table, hashed in self.hashes.items():
            change.vouch(table, self.decision_id, hashed)

    @cached_property
    def body(self) -> bytes:
        """The detail as it is kept."""
        return pack(self.detail)

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """Of its row and of its detail, by table."""
        detail = {"decision_id": self.decision_id, "body": self.body}
        return {"decisions": hash_of("decisions", self.row), "decision_details": hash_of("decision_details", detail)}

    def ready(self) -> Decision:
        """Make what will be written, so that others need not wait for it in a transaction. Returns itself."""
        _ = self.hashes
        return self


def new_id() -> str:
    """A decision's id, which nobody chooses."""
    return f"D-{uuid.uuid4().hex}"


def decision(
    ranking: Ranking, answer: Mapping[str, Any], *, route: str, actor: str, at: datetime, seq: int, config: str,
    propensity: np.ndarray, facts: Mapping[str, Facts], decision_id: str | None = None, contact_id: str | None = None,
) -> Decision:  # fmt: skip
    """What is written of an answer.

    answer      as the caller gets it
    config      fingerprint of the configuration; seq: the last change that the book knew
    facts       of whom each line names, from which the sentences of its reasons are made again
    propensity  (n,) of each ranked candidate, the best first: the chance with which the policy commits it; NaN: nobody
                knows
    contact_id  of a lead that was sent along
    """
    order, rows = ranking.order, ranking.rows
    best = ranking.best[:KEPT]
    shown = ranking.lines(len(answer["items"]))
    content_hash = ranking.product.content_hash if ranking.product is not None else None
    row = row_of(
        answer, route=route, actor=actor, at=at, seq=seq, config=config, now=ranking.now, content_hash=content_hash,
        inputs_hash=inputs_hash(ranking.now, ranking.ids[rows], order.matrix),
    )  # fmt: skip
    row["decision_id"] = decision_id or row["decision_id"]
    refused = ranking.refused_ids if ranking.ranked == "rep_id" else {}
    detail = {
        "ranked": ranking.ranked, "scored": len(rows), "candidates": [str(i) for i in ranking.ids[rows[best]]],
        "score": numbers(order.score[best]), "p_accept": numbers(order.p_accept[best]),
        "p_convert": numbers(order.p_convert[best]), "expected_value": numbers(order.value[best]),
        "propensity": numbers(propensity[: len(best)]), "refused": refused, "items": answer["items"],
        "columns": list(ranking.columns),
        "vectors": {line.one: line.vector for line in shown if line.vector is not None}, "facts": dict(facts),
    }  # fmt: skip
    return Decision(row, detail, hash_of_contact(contact_id) if contact_id is not None else None)


def inputs_hash(now: int, ids: np.ndarray, matrix: Matrix | None) -> str:
    """SHA-256 over what scores were made from: the candidates, in their order, and their features."""
    told = hashlib.sha256(str(now).encode())
    told.update("\x00".join(ids.astype(str)).encode())
    if matrix is not None:
        told.update(np.ascontiguousarray(matrix.values).tobytes())
    return told.hexdigest()


def row_of(
    answer: Mapping[str, Any], *, route: str, actor: str, at: datetime, seq: int, config: str, now: int,
    content_hash: str | None, inputs_hash: str,
) -> dict[str, Any]:  # fmt: skip
    """The row of a decision that answers so; `now` is the instant of its features."""
    return {
        "decision_id": new_id(), "at": at, "actor": actor, "route": route,
        "lead_id": answer.get("lead_id"), "rep_id": answer.get("rep_id"),
        "as_of": EPOCH + timedelta(microseconds=now), "policy": answer["policy"], "rung": answer["rung"],
        "degraded_reason": answer["degraded_reason"], "model_version": answer["model_version"],
        "content_hash": content_hash, "feature_version": FEATURE_VERSION, "config_fingerprint": config,
        "inputs_hash": inputs_hash, "book_seq": seq, "candidates": answer["candidates"],
        "refused": json.dumps(answer.get("refused", {}), sort_keys=True),
    }  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A decision read back. detail is None when it was erased with the contact that it was about.

    shadow   what the challenger would have done; None: none looked on
    """

    row: Mapping[str, Any]
    detail: Mapping[str, Any] | None
    offers: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    shadow: Mapping[str, Any] | None = None


def read(connection: Connection, decision_id: str) -> Told:
    """A decision with the offers that it made and what became of them. Raises UnknownId (decision_unknown)."""
    row = connection.execute(select(DECISIONS).where(DECISIONS.c.decision_id == decision_id)).mappings().first()
    if row is None:
        raise UnknownId("decision", decision_id)
    body = connection.execute(
        select(DECISION_DETAILS.c.body).where(DECISION_DETAILS.c.decision_id == decision_id)
    ).scalar()
    made = connection.execute(select(OFFERS).where(OFFERS.c.decision_id == decision_id).order_by(OFFERS.c.offer_id))
    offers = [dict(offer) for offer in made.mappings()]
    told = select(EVENTS).where(EVENTS.c.offer_id.in_([o["offer_id"] for o in offers]))
    events = connection.execute(told.order_by(EVENTS.c.at, EVENTS.c.event_id)).mappings()
    detail = unpack(body) if body is not None else None
    shadow = shadow_of(connection, decision_id)
    return Told(dict(row), detail, offers, [dict(event) for event in events], shadow)
