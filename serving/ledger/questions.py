"""Questions about the data that a rep's no opens: what each asks, and which change of the CRM, or who, settles it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from features.errors import Conflict, UnknownId
from features.schema import TABLES
from serving.actor import Actor
from serving.ledger.audit import record
from serving.ledger.change import Change
from serving.ledger.crm import CRM
from serving.ledger.rows import Cells, Key
from serving.ledger.tables import DATA_QUESTIONS, UNPLACED
from serving.ledger.unplaced import DATA, PERSON

#: By the reason of a rejection: a change of which columns answers the question that it opens.
SETTLES: Final[Mapping[str, Mapping[str, Collection[str]]]] = {
    "not_my_territory": {
        "accounts": ("region", "country", "segment", "parent_account_id"), "contacts": ("account_id",),
        "leads": ("account_id", "contact_id"), "reps": ("regions", "segment"),
    },
    "not_my_product": {"leads": ("solution",), "reps": ("product_lines",)},
    "bad_data": {
        "accounts": ("name", "domain", "region", "country", "segment", "naics", "sic", "annual_revenue", "employees"),
        "contacts": ("account_id", "title", "function", "seniority", "email", "reports_to"),
        "leads": ("account_id", "contact_id", "solution", "budget", "authority", "need", "timeline"),
    },
    "known_dead": {},
}  # fmt: skip
#: What settles any question of a lead: there is nothing to ask any more.
CLOSING: Final = ("status", "closed_at")
#: What a rep says of a lead for which a person is asked, not the data.
DEAD: Final = "known_dead"


class QuestionSettled(Conflict):
    """A question was settled before; nothing was changed."""

    code = "question_settled"


_Q = DATA_QUESTIONS.c
_LEADS, _CONTACTS = CRM["leads"], CRM["contacts"]


def ask(change: Change, event_id: str, offer: Mapping[str, Any], reason: str) -> None:
    """Open the question that a rejection with this reason asks; none for any other reason."""
    if reason not in SETTLES:
        return
    named = {name: offer[name] for name in ("offer_id", "lead_id", "rep_id")}
    change.connection.execute(
        insert(DATA_QUESTIONS).values(event_id=event_id, reason=reason, asked_at=change.at, **named)
    )


def open_questions(connection: Connection, limit: int | None = None) -> list[Mapping[str, Any]]:
    """Those that nothing has settled, the oldest first."""
    wanted = select(DATA_QUESTIONS).where(_Q.settled_at.is_(None)).order_by(_Q.asked_at, _Q.event_id).limit(limit)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def asked_of(connection: Connection, leads: Collection[str]) -> dict[str, dict[str, int]]:
    """Of each lead with an open question: reason -> how many reps gave it."""
    wanted = (
        select(_Q.lead_id, _Q.reason, func.count(_Q.rep_id.distinct()).label("reps"))
        .where(_Q.settled_at.is_(None), _Q.lead_id.in_(leads))
        .group_by(_Q.lead_id, _Q.reason)
    )
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(wanted):
        found.setdefault(row.lead_id, {})[row.reason] = row.reps
    return found


def settle(change: Change, name: str, before: Mapping[Key, Cells], after: Mapping[Key, Cells]) -> None:
    """Settle the questions that this change of a table's rows answers, and let their leads go on.

    before, after   rows as stored and as they will be; what is new or the same answers nothing
    """
    asking = {reason: columns[name] for reason, columns in SETTLES.items() if name in columns}
    if name != "leads" and not asking:
        return
    places = TABLES[name].names.index
    moved = {
        str(key[0]): {column for column in TABLES[name].names if row[places(column)] != before[key][places(column)]}
        for key, row in after.items()
        if key in before and before[key] != row
    }
    if not moved:
        return
    done = []
    for row in _about(change.connection):
        changed = moved.get(row["key_of"][name], set())
        answers = set(asking.get(row["reason"], ())) | (set(CLOSING) if name == "leads" else set())
        if changed & answers:
            done.append(row)
    _close(change, done)


def settle_by_hand(change: Change, question_id: str, why: str, actor: Actor) -> str:
    """Settle a question that no change of the data does, or that was none; the audit says who did and why.

    Its lead goes on: where it waited for the data, or for a person because a rep called it dead, the next run of the
    SLA's work offers it to the next best, unless another open question of it says no.
    why      in the person's own words; forgotten with the lead's contact
    Returns  the lead's id
    Raises   UnknownId (question_unknown), QuestionSettled
    """
    found = change.connection.execute(select(DATA_QUESTIONS).where(_Q.event_id == question_id)).mappings().first()
    if found is None:
        raise UnknownId("question", question_id)
    if found["settled_at"] is not None:
        raise QuestionSettled(f"Question {question_id} about lead {found['lead_id']} was settled before.")
    _close(change, [dict(found)])
    if found["reason"] == DEAD:
        dead = and_(UNPLACED.c.waits_for == PERSON, UNPLACED.c.because.contains(f'"{DEAD}"', autoescape=True))
        change.connection.execute(delete(UNPLACED).where(UNPLACED.c.lead_id == found["lead_id"], dead))
    asked = {name: found[name] for name in ("offer_id", "rep_id", "reason")}
    record(change, actor.name, "settle", found["lead_id"], {"question_id": question_id, "asked": asked, "why": why})
    return str(found["lead_id"])


def settle_all(change: Change, leads: Collection[str]) -> None:
    """Settle every open question of leads that are closed: there is nothing to ask of them any more."""
    wanted = select(DATA_QUESTIONS).where(_Q.settled_at.is_(None), _Q.lead_id.in_(leads))
    _close(change, [dict(row) for row in change.connection.execute(wanted).mappings()])


def _about(connection: Connection) -> list[dict[str, Any]]:
    """The open questions, each with the rows that it is about, by table."""
    wanted = (
        select(
            _Q.event_id, _Q.lead_id, _Q.rep_id, _Q.reason, _LEADS.c.contact_id,
            func.coalesce(_LEADS.c.account_id, _CONTACTS.c.account_id).label("account_id"),
        )
        .join(_LEADS, _LEADS.c.lead_id == _Q.lead_id)
        .outerjoin(_CONTACTS, _CONTACTS.c.contact_id == _LEADS.c.contact_id)
        .where(_Q.settled_at.is_(None))
    )  # fmt: skip
    return [
        {
            "event_id": row.event_id, "lead_id": row.lead_id, "reason": row.reason,
            "key_of": {
                "leads": row.lead_id, "contacts": row.contact_id, "accounts": row.account_id, "reps": row.rep_id
            },
        }
        for row in connection.execute(wanted)
    ]  # fmt: skip


def _close(change: Change, questions: Collection[Mapping[str, Any]]) -> None:
    if not questions:
        return
    ids = [row["event_id"] for row in questions]
    change.connection.execute(update(DATA_QUESTIONS).where(_Q.event_id.in_(ids)).values(settled_at=change.at))
    # Who waited for the data is asked about again by the next run, which knows what is still open.
    leads = {row["lead_id"] for row in questions}
    change.connection.execute(delete(UNPLACED).where(UNPLACED.c.lead_id.in_(leads), UNPLACED.c.waits_for == DATA))
