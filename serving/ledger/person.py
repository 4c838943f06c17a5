"""Where a contact is in the ledger, place by place: the one listing by which it is forgotten, and told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, false, or_, select

from serving.ledger.crm import CRM, OFFERS
from serving.ledger.details import names as named_in
from serving.ledger.tables import (
    API_KEYS,
    AUDIT,
    AUDIT_PAYLOADS,
    DATA_QUESTIONS,
    DECISION_DETAILS,
    DECISIONS,
    ERASURES,
    EVENTS,
    HOLDS,
    IDEMPOTENCY,
    JOURNAL,
    SHADOWS,
    UNPLACED,
)

#: How much earlier than a lead a decision may seem to be that knew it: clocks differ.
CLOCKS: Final = timedelta(days=1)
#: Kinds of the audit's rows whose payload repeats a person's own words.
OWN_WORDS: Final = ("record", "settle")

_CONTACTS, _LEADS, _CHANGES = CRM["contacts"], CRM["leads"], CRM["changes"]
_WISHES, _MEETINGS, _DEALS = CRM["preferences"], CRM["meetings"], CRM["opportunities"]


@dataclass(frozen=True)
class Person:
    """A contact, and the ids of what hangs on it.

    contact_hash   what is kept of its id once it is forgotten
    leads, offers  its leads and their offers
    events, deals  what was told of these, and the opportunities that came of them
    born           when the first of its leads was created
    """

    contact_id: str
    contact_hash: str
    email: str | None
    leads: Sequence[str]
    offers: Sequence[str]
    events: Sequence[str]
    deals: Sequence[str]
    born: datetime | None

    @classmethod
    def of(cls, connection: Connection, row: Mapping[str, Any], contact_hash: str) -> Person:
        """The one that a row of contacts is about."""
        mine = select(_LEADS.c.lead_id, _LEADS.c.created_at).where(_LEADS.c.contact_id == row["contact_id"])
        leads = {lead.lead_id: lead.created_at for lead in connection.execute(mine)}
        made = select(OFFERS.c.offer_id, OFFERS.c.opportunity_id).where(OFFERS.c.lead_id.in_(leads))
        offers = {offer.offer_id: offer.opportunity_id for offer in connection.execute(made)}
        said = select(EVENTS.c.event_id, EVENTS.c.body).where(EVENTS.c.offer_id.in_(offers))
        events = {event.event_id: json.loads(event.body) for event in connection.execute(said)}
        came = {*offers.values(), *(body.get("opportunity_id") for body in events.values())}
        deals = tuple(sorted(deal for deal in came if deal))
        born = min(leads.values(), default=None)
        hangs = tuple(leads), tuple(offers), tuple(events), deals
        return cls(row["contact_id"], contact_hash, row["email"], *hangs, born)

    @property
    def names(self) -> list[str]:
        """By what a text names it."""
        return [name for name in (self.contact_id, self.email) if name]

    def named(self, text: str) -> bool:
        """Whether a JSON text names it, as `says` finds them."""
        return any(one in text for one in _spelt(self.names))

    @property
    def decided(self) -> Select[Any]:
        """The ids of the decisions on its leads."""
        return select(DECISIONS.c.decision_id).where(DECISIONS.c.lead_id.in_(self.leads))


@dataclass(frozen=True)
class Place:
    """Rows of a table that are about a contact.

    of     which they are
    told   the columns that are about it; None: all
    wiped  an erasure takes something out of them, so the table's files are rewritten
    """

    table: Table
    of: Callable[[Person], ColumnElement[bool]]
    told: Sequence[str] | None = None
    wiped: bool = True


def says(column: Any, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether a JSON text holds one of the names as a value, however it spells letters beyond ASCII."""
    return or_(false(), *(column.contains(text, autoescape=True) for text in _spelt(names)))


def _spelt(names: Sequence[str]) -> list[str]:
    return sorted({json.dumps(name, ensure_ascii=plain) for name in names for plain in (True, False)})


def _of_contact(table: Table) -> Callable[[Person], ColumnElement[bool]]:
    return lambda person: table.c.contact_id == person.contact_id


def _of_leads(table: Table) -> Callable[[Person], ColumnElement[bool]]:
    return lambda person: table.c.lead_id.in_(person.leads)


def _of_decided(table: Table) -> Callable[[Person], ColumnElement[bool]]:
    return lambda person: table.c.decision_id.in_(person.decided)


def _reporting(person: Person) -> ColumnElement[bool]:
    return _CONTACTS.c.reports_to == person.contact_id


def _history(person: Person) -> ColumnElement[bool]:
    """What changed of the contact, and that others reported to it."""
    named = and_(_CHANGES.c.column_name == "reports_to", _CHANGES.c.value == person.contact_id)
    return and_(_CHANGES.c.table_name == "contacts", or_(_CHANGES.c.row_id == person.contact_id, named))


def _payloads(person: Person) -> ColumnElement[bool]:
    """What names it, or repeats what was written on its offers and on the questions about them."""
    wrote = select(AUDIT.c.number).where(AUDIT.c.action.in_(OWN_WORDS))
    body = AUDIT_PAYLOADS.c.body
    return or_(says(body, person.names), and_(AUDIT_PAYLOADS.c.number.in_(wrote), says(body, person.offers)))


def _kept(person: Person) -> ColumnElement[bool]:
    """Kept answers that may be about it, its leads, or what was told of their offers: a rep's id may be a lead's, too,
    and SQLite takes small letters for capitals, so `replies` looks closely."""
    return says(IDEMPOTENCY.c.body, [*person.names, *person.leads, *person.events])


def _audited(person: Person) -> ColumnElement[bool]:
    """What was done to its leads, to decisions on them, and wherever a payload tells of it."""
    subject = AUDIT.c.subject
    payloads = select(AUDIT_PAYLOADS.c.number).where(_payloads(person))
    return or_(subject.in_(person.leads), subject.in_(person.decided), AUDIT.c.number.in_(payloads))


#: By name, every place. What is not a table of its own, call sheets and plans, `sheets` finds.
PLACES: Final[Mapping[str, Place]] = {
    "contacts": Place(_CONTACTS, _of_contact(_CONTACTS)),
    "reports": Place(_CONTACTS, _reporting, ("contact_id", "reports_to")),
    "history": Place(_CHANGES, _history),
    "preferences": Place(
        _WISHES, lambda person: and_(_WISHES.c.subject == "contact", _WISHES.c.subject_id == person.contact_id)
    ),
    **{
        name: Place(CRM[name], _of_contact(CRM[name]))
        for name in ("activities", "touches", "meetings", "meeting_contacts", "opportunities", "opportunity_contacts")
    },
    "deals": Place(_DEALS, lambda person: _DEALS.c.opportunity_id.in_(person.deals)),
    "leads": Place(_LEADS, _of_leads(_LEADS)),
    "leads_history": Place(
        _CHANGES, lambda person: and_(_CHANGES.c.table_name == "leads", _CHANGES.c.row_id.in_(person.leads))
    ),
    "offers": Place(OFFERS, _of_leads(OFFERS), wiped=False),
    "events": Place(EVENTS, lambda person: EVENTS.c.offer_id.in_(person.offers)),
    "holds": Place(HOLDS, _of_leads(HOLDS), wiped=False),
    "unplaced": Place(UNPLACED, _of_leads(UNPLACED), wiped=False),
    "data_questions": Place(DATA_QUESTIONS, _of_leads(DATA_QUESTIONS), wiped=False),
    "decisions": Place(DECISIONS, _of_leads(DECISIONS), wiped=False),
    "decision_details": Place(DECISION_DETAILS, _of_decided(DECISION_DETAILS)),
    "shadows": Place(SHADOWS, _of_decided(SHADOWS)),
    "idempotency": Place(IDEMPOTENCY, _kept),
    "journal": Place(
        JOURNAL, lambda person: and_(JOURNAL.c.row_id.is_not(None), says(JOURNAL.c.row_id, person.names))
    ),
    "audit": Place(AUDIT, _audited, ("number", "at", "actor", "action", "subject"), wiped=False),
    "audit_payloads": Place(AUDIT_PAYLOADS, _payloads, ("number", "body")),
    "erasures": Place(ERASURES, lambda person: ERASURES.c.contact_hash == person.contact_hash, wiped=False),
}  # fmt: skip
#: Tables that are about no contact, and what they are about.
OTHERS: Final[Mapping[str, str]] = {
    "accounts": "companies", "reps": "our own people", "time_off": "our own people", "campaigns": "campaigns",
    "assets": "what reps may show", "asset_uses": "what our own people used, for which opportunity",
    "releases": "models", "challengers": "models", "configurations": "the configuration", API_KEYS.name: "callers",
    "crm_columns": "the tables themselves", "ledger_clock": "the ledger itself", "leases": "the service's processes",
}  # fmt: skip
#: Tables that an erasure takes something out of.
WIPED: Final = tuple(dict.fromkeys(place.table.name for place in PLACES.values() if place.wiped))


def sheets(connection: Connection, person: Person) -> Iterator[Row[Any]]:
    """Call sheets and plans that may say something of its leads, with `body`, their particulars.

    Cost: each of them since the leads were there is looked into
    """
    if person.born is None:
        return
    made = (
        select(DECISIONS, DECISION_DETAILS.c.body)
        .join(DECISION_DETAILS, DECISION_DETAILS.c.decision_id == DECISIONS.c.decision_id)
        .where(DECISIONS.c.lead_id.is_(None), DECISIONS.c.at >= person.born - CLOCKS)
        .order_by(DECISIONS.c.at, DECISIONS.c.decision_id)
        .execution_options(yield_per=500)
    )
    yield from (row for row in connection.execute(made) if named_in(row.body, person.leads))
