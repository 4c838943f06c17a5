"""The offers by which a new release is judged: its own, held-out ones among them, and those of what served before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, or_, select

from serving.ledger.crm import CRM, OFFERS
from serving.ledger.releases import Release, Released
from serving.ledger.tables import DECISIONS

#: Offers of any kind that are looked at after a release, and before it.
READ: Final = 4_000
#: What was offered longer before a release belongs to another season.
LATELY: Final = timedelta(days=28)
#: Whoever has not taken an offer by then (its rep may be away until further notice) has not; the others are judged on.
LONGEST: Final = timedelta(days=14)
_ACCEPTED: Final = {"accepted": True, "rejected": False, "expired": False}

_LEADS, _CONTACTS, _ACCOUNTS, _REPS = CRM["leads"], CRM["contacts"], CRM["accounts"], CRM["reps"]


@dataclass(frozen=True)
class Made:
    """A lead's first offer that was answered. held: a held-out one; account: the lead's, or the lead where none is."""

    accepted: bool
    account: str
    held: bool


def since(connection: Connection, release: Release, until: datetime, now: datetime, *, pilot: bool) -> list[Made]:
    """Offers of a release's model and held-out ones, as they were made, up to the first that waits for its answer.

    From the model's first to its last: both sides cover the same time.
    until  when its probation ends: the same model may serve again later, and be judged by that anew
    pilot  the challenger decides in pilot reps' accounts, so that held-out ones of these have no counterpart
    """
    its = OFFERS.c.offered_at >= release.promoted_at, OFFERS.c.offered_at < until
    rows = connection.execute(_rows(*its, newest=False)).all()
    ours = [row for row in rows if _by(row, release.model) or (row.policy == "holdout" and not (pilot and row.pilot))]
    made = _settled(ours, now)
    places = [i for i, one in enumerate(made) if not one.held]
    return made[places[0] : places[-1] + 1] if places else []


def before(connection: Connection, release: Release, served: Released | None, now: datetime, most: int) -> list[Made]:
    """The last offers, at most so many, of what served before a release (None: the rules), as `since`."""
    lately = OFFERS.c.offered_at < release.promoted_at, OFFERS.c.offered_at >= release.promoted_at - LATELY
    rows = connection.execute(_rows(*lately, newest=True)).all()
    return _settled([row for row in rows if _by(row, served)][-most:], now)


def _rows(*when: Any, newest: bool) -> Any:
    """First offers of leads that were decided here, in order; of those in a time the first READ, or the newest."""
    order = (OFFERS.c.offered_at, OFFERS.c.offer_id)
    told = (OFFERS.c.offer_id, OFFERS.c.lead_id, OFFERS.c.decision_id, OFFERS.c.attempt, OFFERS.c.policy)
    part = (
        select(*told, OFFERS.c.offered_at, OFFERS.c.answer)
        .where(*when)
        .order_by(*(column.desc() if newest else column for column in order))
        .limit(READ)
        .subquery()
    )
    account = func.coalesce(_LEADS.c.account_id, _CONTACTS.c.account_id)
    return (
        select(
            part.c.policy, part.c.offered_at, part.c.answer, DECISIONS.c.rung, DECISIONS.c.content_hash,
            func.coalesce(account, part.c.lead_id).label("account"), _REPS.c.pilot,
        )
        .select_from(
            part.join(DECISIONS, DECISIONS.c.decision_id == part.c.decision_id)
            .outerjoin(_LEADS, _LEADS.c.lead_id == part.c.lead_id)
            .outerjoin(_CONTACTS, _CONTACTS.c.contact_id == _LEADS.c.contact_id)
            .outerjoin(_ACCOUNTS, _ACCOUNTS.c.account_id == account)
            .outerjoin(_REPS, _REPS.c.rep_id == _ACCOUNTS.c.owner_rep_id)
        )
        .where(or_(part.c.attempt == 1, part.c.attempt.is_(None)))
        .order_by(part.c.offered_at, part.c.offer_id)
    )  # fmt: skip


def _by(row: Row[Any], model: Released | None) -> bool:
    """Whether an offer is a model's own choice, or where there is none the rules'; neither chance's nor a person's."""
    if model is None:
        return row.policy == "fallback" and row.content_hash is None
    return row.policy == "champion" and row.rung == "champion" and row.content_hash == model.content_hash


def _settled(rows: Iterable[Row[Any]], now: datetime) -> list[Made]:
    """Those that were answered, up to the first that waits: the quick answers of the newest do not come alone.

    One that was taken back says nothing of its rep, as in training.
    """
    made = []
    for row in rows:
        if row.answer is None and now - row.offered_at < LONGEST:
            break
        accepted = False if row.answer is None else _ACCEPTED.get(row.answer)
        if accepted is not None:
            made.append(Made(accepted, row.account, row.policy == "holdout"))
    return made
