"""What the challenger would have done, decision by decision: written after the answer, and summed up for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, insert, select

from serving.ledger.crm import OFFERS
from serving.ledger.database import Ledger
from serving.ledger.tables import DECISION_DETAILS, SHADOWS

#: How long to wait for another writer; what cannot be written now is written with the next.
SECONDS = 1.0


def write(ledger: Ledger, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of SHADOWS, but not of decisions whose particulars were erased meanwhile. Raises LedgerError."""
    ids = [row["decision_id"] for row in rows]
    with ledger.writing(seconds=SECONDS) as connection:
        kept = select(DECISION_DETAILS.c.decision_id).where(DECISION_DETAILS.c.decision_id.in_(ids))
        kept = kept.with_for_update(read=True, key_share=True)  # an erasure that begins now waits, and finds the rows
        there = set(connection.execute(kept).scalars())
        # A commit whose answer was lost is tried again.
        there -= set(connection.execute(select(SHADOWS.c.decision_id).where(SHADOWS.c.decision_id.in_(ids))).scalars())
        fresh = [dict(row) for row in rows if row["decision_id"] in there]
        if fresh:
            connection.execute(insert(SHADOWS), fresh)


def shadow_of(connection: Connection, decision_id: str) -> dict[str, Any] | None:
    """What the challenger would have done of one decision; None: none looked on."""
    row = connection.execute(select(SHADOWS).where(SHADOWS.c.decision_id == decision_id)).mappings().first()
    if row is None:
        return None
    kept = ("model_version", "content_hash", "rep_id", "agrees", "error")
    scores = json.loads(row["scores"]) if row["scores"] is not None else {}
    return {name: row[name] for name in kept} | {"scores": scores}


@dataclass(frozen=True)
class Part:
    """Decisions in which both models rank the same rep first, or another one each.

    answered            of their offers; accepted: how many of these
    p_accept, serving   mean of what the challenger and the model that served say of those offers; None: no such model
    """

    agrees: bool
    decisions: int
    answered: int
    accepted: int
    p_accept: float | None
    serving: float | None


@dataclass(frozen=True)
class Watched:
    """All that a challenger has looked on at. decisions: those in which it failed, `errors`, included."""

    decisions: int
    errors: int
    parts: tuple[Part, ...]

    @property
    def agreed(self) -> int:
        """In how many decisions it ranks the same rep first."""
        return sum(part.decisions for part in self.parts if part.agrees)

    def sentence(self, version: str) -> str:
        """It in words."""
        if not self.decisions:
            return f"Model {version} is the challenger and has looked on at no decision yet (policy.shadow)."
        judged = self.decisions - self.errors
        share = f", {self.agreed / judged:.0%}" if judged else ""
        return (
            f"Model {version} looked on at {self.decisions:,} committed decisions: it ranked the same rep first in "
            f"{self.agreed:,}{share}, and failed in {self.errors:,}."
        )


def watched(connection: Connection, content_hash: str) -> Watched:
    """All that a model has looked on at, and what came of it; errors that it made while it was the challenger before,
    too. Cost: a row for each."""
    answered = OFFERS.c.answer.in_(("accepted", "rejected", "expired"))
    found = (
        select(
            SHADOWS.c.agrees, func.count().label("decisions"),
            func.sum(case((answered, 1), else_=0)).label("answered"),
            func.sum(case((OFFERS.c.answer == "accepted", 1), else_=0)).label("accepted"),
            func.avg(case((answered, SHADOWS.c.p_accept))).label("p_accept"),
            func.avg(case((answered, SHADOWS.c.p_accept_serving))).label("serving"),
        )
        .select_from(SHADOWS.outerjoin(OFFERS, OFFERS.c.decision_id == SHADOWS.c.decision_id))
        .where(SHADOWS.c.content_hash == content_hash)
        .group_by(SHADOWS.c.agrees)
    )  # fmt: skip
    by = {row.agrees: row for row in connection.execute(found)}
    parts = tuple(
        Part(agrees, int(by[agrees].decisions), int(by[agrees].answered), int(by[agrees].accepted), by[agrees].p_accept,
             by[agrees].serving)
        for agrees in (True, False)
        if agrees in by
    )  # fmt: skip
    errors = int(by[None].decisions) if None in by else 0
    return Watched(sum(part.decisions for part in parts) + errors, errors, parts)
