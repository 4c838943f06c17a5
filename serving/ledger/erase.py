"""Forgets a contact: what is personal goes, what others' records need stays under a name that leads back to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, literal, select, update

from features.config import Config
from features.errors import Conflict, UnknownId
from serving.actor import Actor
from serving.ledger import audit
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.details import pack, unpack, without
from serving.ledger.events import emptied, own_id, record
from serving.ledger.holds import fill_holds
from serving.ledger.idempotency import canonical
from serving.ledger.late import finish_advice
from serving.ledger.mentions import Mentions, Sought
from serving.ledger.person import (
    NAMELESS,
    PLACES,
    WIPED,
    Person,
    Place,
    hash_of,
    is_known,
    is_nameless,
    named,
    nameless,
    sheets,
)
from serving.ledger.questions import settle_all
from serving.ledger.replies import forgotten
from serving.ledger.tables import AUDIT_PAYLOADS, DECISION_DETAILS, ERASURES, EVENTS, IDEMPOTENCY, UNPLACED
from serving.ledger.types import Instant
from serving.ledger.vouched import hash_of as hash_of_row

#: What the form and the marketing system said of the person.
OF_THE_LEAD: Final = ("behavior_score", "grade", "fields_filled", "budget", "authority", "need", "timeline")
#: Tables whose rows are what the contact did, or was party to, and nothing else.
GONE: Final = ("activities", "touches", "meeting_contacts", "opportunity_contacts")


class ContactErased(Conflict):
    """A contact that was forgotten is not taken in again under the same id."""

    code = "contact_erased"

    def __init__(self, field: str) -> None:
        super().__init__(
            "This contact was erased, so it is not taken in again; where the person agrees, use a new id.", field=field
        )


@dataclass(frozen=True)
class Erased:
    """What became of a contact's rows: how many went or were stripped, by table; none where it was done before."""

    contact_hash: str
    rows: Mapping[str, int]
    before: bool = False


def seek(connection: Connection, contact_id: str) -> Mentions | None:
    """Where texts name a contact that is to be forgotten: ask before `changing`, that others need not wait for it."""
    return Person.of(connection, contact_id).mentions if is_known(connection, contact_id) else None


def erase(
    change: Change, config: Config, contact_id: str, actor: Actor, sought: Mentions | None = None
) -> Erased:  # fmt: skip
    """Forget a contact, in the transaction of `change`; asked again, nothing is left to do.

    Gone: the contact's row, activities, touches, places in meetings and opportunities, preferences about it, its
    history; what explains decisions on its leads, those too that were sent along and never stored; audit payloads that
    name it, kept answers that do or are about its leads; what reps wrote on its offers and opportunities, in the audit
    too. Its leads are closed, their open offers withdrawn, and they stay, stripped, as leads of a nameless contact that
    is never offered again: reps' records, decisions and the audit's chain hold on to their ids.
    `scrub` then clears the database's files.
    sought   what `seek` found; None: everything is looked into while others wait
    Raises UnknownId (contact_unknown)
    """
    finish_advice(change)
    hashed = hash_of(contact_id)
    known = change.connection.execute(select(ERASURES).where(ERASURES.c.contact_hash == hashed)).first()
    if not is_known(change.connection, contact_id):
        if known is None:
            raise UnknownId("contact", contact_id)
        return Erased(hashed, {}, before=True)
    person = Person.of(change.connection, contact_id, sought)
    rows = _forget(change, config, person, actor)
    if known is None:
        change.connection.execute(insert(ERASURES).values(contact_hash=hashed, at=change.at))
    return Erased(hashed, rows)


def erase_again(change: Change, config: Config, actor: Actor) -> int:
    """Forget each contact that is there though it was erased: of a backup, or of a CRM that still has or names it.

    Texts are looked into once for all of them, for a CRM may have them still at every load. Returns how many they are
    """
    connection, sent = change.connection, DECISION_DETAILS.c.contact_hash
    hashes = set(connection.execute(select(ERASURES.c.contact_hash)).scalars())
    if not hashes:
        return 0
    erased = sorted(one for one in named(connection) if hash_of(one) in hashes)
    people = [Person.of(connection, one, texts=False) for one in erased]
    if people:
        together = Mentions.of(connection, Sought.any_of([person.sought for person in people]))
        finish_advice(change)
        _Wipe(change, Person("", "", None, (), together, ())).texts(actor)
    for person in people:
        _forget(change, config, person, actor)
    gone = sent.in_(select(ERASURES.c.contact_hash))
    others = connection.execute(select(func.count(sent.distinct())).where(gone)).scalar_one()
    _unexplain(change, gone)
    return len(people) + others


def _forget(change: Change, config: Config, person: Person, actor: Actor) -> Mapping[str, int]:
    """Take out what is found of a contact, and say so in the audit. Returns rows by table."""
    _withdraw(change, config, person, actor)
    name, wipe = nameless(), _Wipe(change, person)
    wipe.facts(name)
    wipe.leads(name)
    settle_all(change, person.leads)
    wipe.record()
    wipe.texts(actor)
    audit.record(change, actor.name, "erase", name, {"rows": wipe.rows})
    fill_holds(change, person.leads)
    for table in WIPED:
        if table in CRM:
            change.touch(table, None)  # no row is named: its key would be kept
    return wipe.rows


def refuse_erased(change: Change, named: Iterable[tuple[str, str]]) -> None:
    """Raises ContactErased for the first contact that was forgotten, of (its id, the field that names it)."""
    fields: dict[str, str] = {}
    for contact_id, field in named:
        fields.setdefault(hash_of(contact_id), field)
    if not fields or not change.connection.execute(select(func.count()).select_from(ERASURES)).scalar_one():
        return
    erased = set(change.connection.execute(select(ERASURES.c.contact_hash)).scalars())
    for hashed, field in fields.items():
        if hashed in erased:
            raise ContactErased(field)


def _withdraw(change: Change, config: Config, person: Person, actor: Actor) -> None:
    """Take back what waits for an answer."""
    waiting = select(OFFERS.c.offer_id, OFFERS.c.offered_at).where(
        PLACES["offers"].of(person), OFFERS.c.answer.is_(None)
    )
    events = [
        {"event_id": own_id("erased", row.offer_id), "offer_id": row.offer_id, "kind": "withdrawn",
         "at": max(change.at, row.offered_at)}
        for row in change.connection.execute(waiting).all()
    ]  # fmt: skip
    record(change, config, events, Actor(actor.name, actor.scopes))


def _unexplain(change: Change, those: ColumnElement[bool]) -> int:
    """Take out what explains decisions; of how many."""
    explained = select(DECISION_DETAILS.c.decision_id).where(those)
    for decision_id in change.connection.execute(explained).scalars().all():
        change.vouch(DECISION_DETAILS.name, decision_id, None)
    return change.connection.execute(delete(DECISION_DETAILS).where(those)).rowcount


class _Wipe:
    """Takes out, place by place, and counts."""

    def __init__(self, change: Change, person: Person) -> None:
        self.connection, self.change, self.person = change.connection, change, person
        self.rows: dict[str, int] = {}

    def _done(self, table: Table, rows: int) -> None:
        if rows:
            self.rows[table.name] = self.rows.get(table.name, 0) + rows

    def _delete(self, *places: str) -> None:
        for place in (PLACES[name] for name in places):
            gone = self.connection.execute(delete(place.table).where(place.of(self.person)))
            self._done(place.table, gone.rowcount)

    def _empty(self, name: str, *those: ColumnElement[bool], **values: Any) -> None:
        place: Place = PLACES[name]
        emptied = update(place.table).where(place.of(self.person), *those).values(**values)
        self._done(place.table, self.connection.execute(emptied).rowcount)

    def facts(self, nameless: str) -> None:
        """The contact and what it did; a nameless one takes its place, where it had one."""
        self._delete(*GONE, "preferences")
        self._empty("meetings", contact_id=None)
        self._empty("opportunities", contact_id=None, reason=None)
        self._empty("reports", reports_to=None)
        self._delete("history", "contacts")
        contacts = CRM["contacts"]
        leads = select(CRM["leads"].c.contact_id)
        idle = contacts.c.contact_id.startswith(NAMELESS, autoescape=True), contacts.c.contact_id.not_in(leads)
        unused = filter(
            is_nameless, self.connection.execute(select(contacts.c.contact_id).where(*idle)).scalars().all()
        )
        self.connection.execute(delete(contacts).where(contacts.c.contact_id.in_(list(unused))))
        if (row := self.person.row) is None:
            return
        kept = {name: row[name] for name in ("account_id", "created_at", "known_at")}
        self.connection.execute(insert(contacts).values(contact_id=nameless, objects_to_profiling=True, **kept))

    def leads(self, nameless: str) -> None:
        """What its leads say of it."""
        closed = func.coalesce(CRM["leads"].c.closed_at, literal(self.change.at, Instant()))
        self._empty(
            "leads", contact_id=nameless, status="closed", closed_at=closed, **dict.fromkeys(OF_THE_LEAD)
        )  # fmt: skip
        self._delete("leads_history")
        self.connection.execute(delete(UNPLACED).where(PLACES["unplaced"].of(self.person)))

    def record(self) -> None:
        """What the ledger's own record says of it, row by row."""
        # First, for a challenger that writes just now holds these rows; what it writes is there then, and is emptied.
        self._done(DECISION_DETAILS, _unexplain(self.change, PLACES["decision_details"].of(self.person)))
        self._empty("shadows", **dict.fromkeys(("p_accept", "p_accept_serving", "scores")))
        self._delete("journal")
        self._free_text()

    def texts(self, actor: Actor) -> None:
        """What texts say of it among others."""
        self._sheets()
        self._replies()
        self._payloads(actor)

    def _sheets(self) -> None:
        """What call sheets and plans say of its leads."""
        for row in sheets(self.connection, self.person):
            said = unpack(row.body)
            if (stays := without(said, self.person.sought.leads)) == said:
                continue  # it was taken out before
            body = pack(stays)
            wanted = DECISION_DETAILS.c.decision_id == row.decision_id
            self.connection.execute(update(DECISION_DETAILS).where(wanted).values(body=body))
            self._done(DECISION_DETAILS, 1)
            detail = {"decision_id": row.decision_id, "body": body}
            self.change.vouch(DECISION_DETAILS.name, row.decision_id, hash_of_row(DECISION_DETAILS.name, detail))

    def _replies(self) -> None:
        """What kept answers say of it; no role may change one, so what stays of it is put in its place."""
        for row in self.connection.execute(select(IDEMPOTENCY).where(PLACES["idempotency"].of(self.person))).all():
            stays = forgotten(row.body, self.person.sought)
            if stays == row.body:
                continue
            mine = and_(IDEMPOTENCY.c.scope == row.scope, IDEMPOTENCY.c.key == row.key)
            self._done(IDEMPOTENCY, self.connection.execute(delete(IDEMPOTENCY).where(mine)).rowcount)
            if stays is not None:
                self.connection.execute(insert(IDEMPOTENCY).values({**row._mapping, "body": stays}))

    def _payloads(self, actor: Actor) -> None:
        """Audit payloads that name the contact, or repeat what was written on its offers and the questions of them."""
        mine = select(AUDIT_PAYLOADS.c.number).where(PLACES["audit_payloads"].of(self.person))
        numbers = self.connection.execute(mine).scalars().all()
        audit.forget(self.change, actor.name, numbers)
        self._done(AUDIT_PAYLOADS, len(numbers))

    def _free_text(self) -> None:
        """What reps wrote in their own words on offers, and on the opportunities that came of them."""
        for row in self.connection.execute(select(EVENTS).where(PLACES["events"].of(self.person))).all():
            body = json.loads(row.body)
            free = emptied({"kind": row.kind, **body})
            kept = canonical(body | free) if free else row.body
            if free:
                self._empty("events", EVENTS.c.event_id == row.event_id, body=kept)
            self.change.vouch("events", row.event_id, hash_of_row("events", {**row._mapping, "body": kept}))
        self._empty("deals", CRM["opportunities"].c.reason.is_not(None), reason=None)
