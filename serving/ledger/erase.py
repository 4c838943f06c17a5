"""Forgets a contact: what is personal goes, what others' records need stays under a name that leads back to nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, literal, select, union, update

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
    hanging_on,
    hash_of,
    is_known,
    is_nameless,
    nameless,
    sheets,
    stored,
)
from serving.ledger.questions import settle_all
from serving.ledger.replies import forgotten
from serving.ledger.tables import AUDIT_PAYLOADS, DECISION_DETAILS, ERASURES, EVENTS, IDEMPOTENCY, UNPLACED
from serving.ledger.types import Instant
from serving.ledger.vouched import WRITTEN
from serving.ledger.vouched import hash_of as hash_of_row

#: What the form and the marketing system said of the person.
OF_THE_LEAD: Final = ("behavior_score", "grade", "fields_filled", "budget", "authority", "need", "timeline")
#: Tables whose rows are what the contact did, or was party to, and nothing else.
GONE: Final = ("activities", "touches", "meeting_contacts", "opportunity_contacts")


_REPORTED: Final = and_(CRM["changes"].c.table_name == "contacts", CRM["changes"].c.column_name == "reports_to")
#: Whom the tables name that may name one who is not there.
_NAMED: Final = union(
    select(CRM["contacts"].c.contact_id), select(CRM["contacts"].c.reports_to),
    select(CRM["changes"].c.value).where(_REPORTED),
)  # fmt: skip


class ContactErased(Conflict):
    """A contact that was forgotten is not taken in again under the same id."""

    code = "contact_erased"


@dataclass(frozen=True)
class Erased:
    """What became of a contact's rows: how many went or were stripped, by table; none where it was done before."""

    contact_hash: str
    rows: Mapping[str, int]
    before: bool = False


def seek(connection: Connection, contact_id: str) -> Mentions | None:
    """Where texts name a contact that is to be forgotten: ask before `changing`, that others need not wait for it."""
    if not is_known(connection, contact_id):
        return None
    sought, _ = hanging_on(connection, contact_id)
    return Mentions.of(connection, sought)


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
    _withdraw(change, config, person, actor)
    name, wipe = nameless(), _Wipe(change, person)
    if person.row is not None:
        wipe.facts(name, person.row)
        wipe.leads(name)
        settle_all(change, person.leads)
    wipe.record(actor)
    if known is None:
        change.connection.execute(insert(ERASURES).values(contact_hash=hashed, at=change.at))
    audit.record(change, actor.name, "erase", name, {"rows": wipe.rows})
    fill_holds(change, person.leads)
    for table in WIPED:
        if table in CRM:
            change.touch(table, None)  # no row is named: its key would be kept
    return Erased(hashed, wipe.rows)


def erase_again(change: Change, config: Config, actor: Actor) -> int:
    """Forget each contact that is there though it was erased: of a backup, or of a CRM that still has it.

    Texts are looked into once for all of them, for a CRM may have them still at every load.
    """
    connection = change.connection
    hashes = set(connection.execute(select(ERASURES.c.contact_hash)).scalars())
    if not hashes:
        return 0
    erased = [one for one in connection.execute(_NAMED).scalars() if one is not None and hash_of(one) in hashes]
    back = {one: hanging_on(connection, one)[0] for one in erased if stored(connection, one) is not None}
    if back:
        found = Mentions.of(connection, Sought.any_of(list(back.values())))
        for contact_id, sought in back.items():
            erase(change, config, contact_id, actor, found.narrowed(sought))
    _unexplain(change, DECISION_DETAILS.c.contact_hash.in_(select(ERASURES.c.contact_hash)))
    _forget_superiors(change, [one for one in erased if one not in back])
    return len(back)


def _forget_superiors(change: Change, erased: Sequence[str]) -> None:
    """Take out whom nothing names but a colleague, who is said to report to it, or to have done so."""
    contacts, changes = CRM["contacts"], CRM["changes"]
    reporting = update(contacts).where(contacts.c.reports_to.in_(erased)).values(reports_to=None)
    reported = delete(changes).where(_REPORTED, changes.c.value.in_(erased))
    for table, those in (("contacts", reporting), ("changes", reported)):
        if change.connection.execute(those).rowcount:
            change.touch(table, None)


def refuse_erased(change: Change, contact_ids: Collection[str], field: Callable[[int], str]) -> None:
    """Raises ContactErased for the first that was forgotten; `field` names its place."""
    hashes = {hash_of(contact_id): place for place, contact_id in reversed(list(enumerate(contact_ids)))}
    if not hashes or not change.connection.execute(select(func.count()).select_from(ERASURES)).scalar_one():
        return
    found = [h for h in change.connection.execute(select(ERASURES.c.contact_hash)).scalars() if h in hashes]
    if found:
        raise ContactErased(
            "This contact was erased, so it is not taken in again; where the person agrees, use a new id.",
            field=field(min(hashes[h] for h in found)),
        )


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

    def facts(self, nameless: str, row: Mapping[str, Any]) -> None:
        """The contact and what it did; a nameless one takes its place."""
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

    def record(self, actor: Actor) -> None:
        """What the ledger's own record says of it."""
        # First, for a challenger that writes just now holds these rows; what it writes is there then, and is emptied.
        self._done(DECISION_DETAILS, _unexplain(self.change, PLACES["decision_details"].of(self.person)))
        self._empty("shadows", **dict.fromkeys(("p_accept", "p_accept_serving", "scores")))
        self._sheets()
        self._replies()
        self._delete("journal")
        self._free_text()
        self._payloads(actor)

    def _sheets(self) -> None:
        """What call sheets and plans say of its leads."""
        for row in sheets(self.connection, self.person):
            body = pack(without(unpack(row.body), self.person.sought.leads))
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
        bodies = {
            row.number: row.body
            for row in self.connection.execute(select(AUDIT_PAYLOADS).where(PLACES["audit_payloads"].of(self.person)))
        }
        for body in bodies.values():  # of others' rows it goes on to say what they are
            for table, hashes in json.loads(body).get(WRITTEN, {}).items():
                self.change.written[table] = {**hashes, **self.change.written.get(table, {})}
        numbers = list(bodies)
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
