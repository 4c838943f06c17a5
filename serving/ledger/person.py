"""Where a contact is in the ledger, place by place: the one listing by which it is forgotten, and told of."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, exists, or_, select, tuple_, union

from features.schema import TABLES
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.mentions import BATCH, Mentions, Sought, journalled
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

#: What the name begins with that a forgotten contact's remains go by.
NAMELESS: Final = "erased-"
#: Bytes that are drawn for the rest of it, and kept nowhere else.
_DRAWN: Final = 12
_NAMELESS: Final = re.compile(f"{NAMELESS}[0-9a-f]{{{2 * _DRAWN}}}")

_CONTACTS, _LEADS, _CHANGES = CRM["contacts"], CRM["leads"], CRM["changes"]
_WISHES, _MEETINGS, _DEALS = CRM["preferences"], CRM["meetings"], CRM["opportunities"]
#: Where the tables name a contact: table, column, and what others of the row's columns say then.
_NAMING: Final[Sequence[tuple[str, str, Mapping[str, str]]]] = (
    ("contacts", "contact_id", {}),
    *(
        (table.name, column.name, {})
        for table in TABLES.values()
        for column in table.columns
        if column.references == "contacts"
    ),
    ("preferences", "subject_id", {"subject": "contact"}),
    ("changes", "row_id", {"table_name": "contacts"}),
    ("changes", "value", {"table_name": "contacts", "column_name": "reports_to"}),
)
#: Of these, where one may stand who is not stored, with the conditions in SQL.
_NAMED: Final = [
    (CRM[table].c[column], [CRM[table].c[name] == value for name, value in says.items()])
    for table, column, says in _NAMING
    if table == "contacts" or not TABLES[table][column].required or says
]


def hash_of(contact_id: str) -> str:
    """What is kept of a contact's id, so that a restored backup or the next load forgets it again: SHA-256, hex."""
    return hashlib.sha256(contact_id.encode()).hexdigest()


def nameless() -> str:
    """A name that leads back to nobody."""
    return f"{NAMELESS}{secrets.token_hex(_DRAWN)}"


def is_nameless(contact_id: str) -> bool:
    """Whether it is such a name; other systems may well call somebody `erased-…`, too."""
    return _NAMELESS.fullmatch(contact_id) is not None


@dataclass(frozen=True)
class Person:
    """A contact, and the ids of what hangs on it.

    contact_hash  what is kept of its id once it is forgotten
    row           its own of the contacts; None: it is not stored, or not any more
    deals         the opportunities that came of its leads' offers
    mentions      the rows whose texts are about it
    journal       the journal's rows that name it, by seq and place
    """

    contact_id: str
    contact_hash: str
    row: Mapping[str, Any] | None
    deals: Sequence[str]
    mentions: Mentions
    journal: Sequence[tuple[int, int]]

    @classmethod
    def of(
        cls, connection: Connection, contact_id: str, before: Mentions | None = None, *, texts: bool = True
    ) -> Person:
        """The one of an id, stored or not; `before` as in `Mentions.of`. texts: else nobody looks for its mentions."""
        found = connection.execute(select(_CONTACTS).where(_CONTACTS.c.contact_id == contact_id)).mappings().first()
        row = dict(found) if found is not None else None
        mine = select(_LEADS.c.lead_id, _LEADS.c.created_at).where(_LEADS.c.contact_id == contact_id)
        leads = {lead.lead_id: lead.created_at for lead in connection.execute(mine)}
        made = select(OFFERS.c.offer_id, OFFERS.c.opportunity_id).where(OFFERS.c.lead_id.in_(leads))
        offers = {offer.offer_id: offer.opportunity_id for offer in connection.execute(made)}
        said = select(EVENTS.c.event_id, EVENTS.c.body).where(EVENTS.c.offer_id.in_(offers))
        events = {event.event_id: json.loads(event.body) for event in connection.execute(said)}
        came = {*offers.values(), *(body.get("opportunity_id") for body in events.values())}
        deals = tuple(sorted(deal for deal in came if deal))
        names = frozenset(name for name in (contact_id, row["email"] if row is not None else None) if name)
        born = min(leads.values(), default=None)
        sought = Sought(names, frozenset(leads), frozenset(offers), frozenset(events), born)
        mentions = Mentions.of(connection, sought, before) if texts else Mentions(sought)
        return cls(contact_id, hash_of(contact_id), row, deals, mentions, journalled(connection, sought))

    @property
    def sought(self) -> Sought:
        """By what texts name it."""
        return self.mentions.sought

    @property
    def leads(self) -> Collection[str]:
        """Its leads."""
        return self.sought.leads

    @property
    def offers(self) -> Collection[str]:
        """The offers of its leads."""
        return self.sought.offers

    @property
    def decided(self) -> Select[Any]:
        """The ids of the decisions on its leads, those too that were sent along."""
        sent = select(DECISION_DETAILS.c.decision_id).where(DECISION_DETAILS.c.contact_hash == self.contact_hash)
        mine = or_(DECISIONS.c.lead_id.in_(self.leads), DECISIONS.c.decision_id.in_(sent))
        return select(DECISIONS.c.decision_id).where(mine)


def named(connection: Connection) -> set[str]:
    """Whom the tables name as a contact, stored or not."""
    names = union(*(select(column).where(column.is_not(None), *those) for column, those in _NAMED))
    return set(connection.execute(names).scalars())


def named_in(table: str, row: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a row in which a contact is named, and whom."""
    return {
        column: row[column]
        for of, column, says in _NAMING
        if of == table and row.get(column) is not None and all(row.get(name) == said for name, said in says.items())
    }


def is_known(connection: Connection, contact_id: str) -> bool:
    """Whether anything but the hash of an erasure may be held about a contact."""
    places = [exists().where(column == contact_id, *those) for column, those in _NAMED]
    sent = exists().where(DECISION_DETAILS.c.contact_hash == hash_of(contact_id))
    return bool(connection.execute(select(or_(*places, sent))).scalar())


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
    return AUDIT_PAYLOADS.c.number.in_(person.mentions.payloads)


def _kept(person: Person) -> ColumnElement[bool]:
    return tuple_(IDEMPOTENCY.c.scope, IDEMPOTENCY.c.key).in_(person.mentions.kept)


def _journalled(person: Person) -> ColumnElement[bool]:
    return tuple_(JOURNAL.c.seq, JOURNAL.c.place).in_(person.journal)


def _audited(person: Person) -> ColumnElement[bool]:
    """What was done to its leads, to decisions on them, and wherever a payload tells of it."""
    settled = and_(AUDIT.c.action == "settle", AUDIT.c.subject.in_(person.leads))  # others' subjects are no leads
    return or_(
        settled, AUDIT.c.subject.in_(person.decided), AUDIT.c.number.in_(person.mentions.payloads)
    )  # fmt: skip


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
    "decisions": Place(DECISIONS, _of_decided(DECISIONS), wiped=False),
    "decision_details": Place(DECISION_DETAILS, _of_decided(DECISION_DETAILS)),
    "shadows": Place(SHADOWS, _of_decided(SHADOWS)),
    "idempotency": Place(IDEMPOTENCY, _kept),
    "journal": Place(JOURNAL, _journalled),
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
    """Call sheets and plans that say something of its leads, with `body`, their particulars."""
    those = person.mentions.sheets
    made = (
        select(DECISIONS, DECISION_DETAILS.c.body)
        .join(DECISION_DETAILS, DECISION_DETAILS.c.decision_id == DECISIONS.c.decision_id)
        .order_by(DECISIONS.c.at, DECISIONS.c.decision_id)
    )
    for start in range(0, len(those), BATCH):
        yield from connection.execute(made.where(DECISIONS.c.decision_id.in_(those[start : start + BATCH]))).all()
