"""Forgets a contact: what is personal goes, what others' records need stays under a name that leads back to nobody."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, delete, false, func, insert, literal, or_, select, update

from features.config import Config
from features.errors import Conflict, UnknownId
from serving.actor import Actor
from serving.ledger import audit
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.details import names, pack, unpack, without
from serving.ledger.events import own_id, record
from serving.ledger.holds import fill_holds
from serving.ledger.idempotency import canonical
from serving.ledger.questions import settle_all
from serving.ledger.tables import (
    AUDIT,
    AUDIT_PAYLOADS,
    DECISION_DETAILS,
    DECISIONS,
    ERASURES,
    EVENTS,
    IDEMPOTENCY,
    JOURNAL,
    SHADOWS,
    UNPLACED,
)
from serving.ledger.types import Instant
from serving.ledger.vouched import WRITTEN
from serving.ledger.vouched import hash_of as hash_of_row

#: What the name begins with that a forgotten contact's remains go by; the rest is drawn, and kept nowhere else.
NAMELESS: Final = "erased-"
#: What the form and the marketing system said of the person.
OF_THE_LEAD: Final = ("behavior_score", "grade", "fields_filled", "budget", "authority", "need", "timeline")
#: How much earlier than a lead a decision may seem to be that knew it: clocks differ.
CLOCKS: Final = timedelta(days=1)
#: By kind of event, what is in a rep's own words; a rejection's reason is one of a list.
FREE_TEXT: Final = {"rejected": ("text",)} | dict.fromkeys(
    ("won", "lost", "no_decision", "withdrawn", "reassigned"), ("reason",)
)
#: Tables whose rows are what the contact did, or was party to, and nothing else.
GONE: Final = ("activities", "touches", "meeting_contacts", "opportunity_contacts")


class ContactErased(Conflict):
    """A contact that was forgotten is not taken in again under the same id."""

    code = "contact_erased"


@dataclass(frozen=True)
class Erased:
    """What became of a contact's rows: how many went or were stripped, by table; none where it was done before."""

    contact_hash: str
    rows: Mapping[str, int]
    before: bool = False


def hash_of(contact_id: str) -> str:
    """What is kept of a contact's id, so that a restored backup or the next load forgets it again: SHA-256, hex."""
    return hashlib.sha256(contact_id.encode()).hexdigest()


def erase(change: Change, config: Config, contact_id: str, actor: Actor) -> Erased:
    """Forget a contact, in the transaction of `change`; asked again, nothing is left to do.

    Gone: the contact's row, activities, touches, places in meetings and opportunities, preferences about it, its
    history; what explains decisions on its leads; audit payloads and kept answers that name it; what reps wrote on its
    offers and opportunities, in the audit too. Its leads are closed, their open offers withdrawn, and they stay,
    stripped, as leads of a nameless contact that is never offered again: reps' records, decisions and the audit's
    chain hold on to their ids.
    `scrub` then clears the database's files.
    Raises UnknownId (contact_unknown)
    """
    contacts = CRM["contacts"]
    hashed = hash_of(contact_id)
    row = change.connection.execute(select(contacts).where(contacts.c.contact_id == contact_id)).mappings().first()
    known = change.connection.execute(select(ERASURES).where(ERASURES.c.contact_hash == hashed)).first()
    if row is None:
        if known is None:
            raise UnknownId("contact", contact_id)
        return Erased(hashed, {}, before=True)
    nameless = f"{NAMELESS}{secrets.token_hex(12)}"
    leads = CRM["leads"]
    mine = list(change.connection.execute(select(leads.c.lead_id).where(leads.c.contact_id == contact_id)).scalars())
    _withdraw(change, config, mine, actor)
    wipe = _Wipe(change)
    wipe.facts(contact_id, nameless, dict(row))
    wipe.leads(mine, nameless)
    settle_all(change, mine)
    wipe.record(mine, [contact_id, row["email"]], actor)
    if known is None:
        change.connection.execute(insert(ERASURES).values(contact_hash=hashed, at=change.at))
    audit.record(change, actor.name, "erase", nameless, {"rows": wipe.rows})
    fill_holds(change, mine)
    for table in (*GONE, "contacts", "leads", "preferences", "meetings", "opportunities", "changes"):
        change.touch(table, None)  # no row is named: its key would be kept
    return Erased(hashed, wipe.rows)


def erase_again(change: Change, config: Config, actor: Actor) -> int:
    """Forget each contact that is there though it was erased: of a backup, or of a CRM that still has it."""
    hashes = set(change.connection.execute(select(ERASURES.c.contact_hash)).scalars())
    if not hashes:
        return 0
    ids = change.connection.execute(select(CRM["contacts"].c.contact_id)).scalars().all()
    back = [contact_id for contact_id in ids if hash_of(contact_id) in hashes]
    for contact_id in back:
        erase(change, config, contact_id, actor)
    return len(back)


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


def _withdraw(change: Change, config: Config, leads: list[str], actor: Actor) -> None:
    """Take back what waits for an answer."""
    waiting = select(OFFERS.c.offer_id, OFFERS.c.offered_at).where(
        OFFERS.c.lead_id.in_(leads), OFFERS.c.answer.is_(None)
    )
    events = [
        {"event_id": own_id("erased", row.offer_id), "offer_id": row.offer_id, "kind": "withdrawn",
         "at": max(change.at, row.offered_at)}
        for row in change.connection.execute(waiting).all()
    ]  # fmt: skip
    record(change, config, events, Actor(actor.name, actor.scopes))


class _Wipe:
    """Takes out, table by table, and counts."""

    def __init__(self, change: Change) -> None:
        self.connection, self.change = change.connection, change
        self.rows: dict[str, int] = {}

    def _done(self, table: Table, rows: int) -> None:
        if rows:
            self.rows[table.name] = self.rows.get(table.name, 0) + rows

    def _delete(self, table: Table, where: ColumnElement[bool]) -> None:
        self._done(table, self.connection.execute(delete(table).where(where)).rowcount)

    def _update(self, table: Table, where: ColumnElement[bool], **values: Any) -> None:
        self._done(table, self.connection.execute(update(table).where(where).values(**values)).rowcount)

    def facts(self, contact_id: str, nameless: str, row: dict[str, Any]) -> None:
        """The contact and what it did; a nameless one takes its place."""
        contacts, changes, wishes = CRM["contacts"], CRM["changes"], CRM["preferences"]
        for name in GONE:
            self._delete(CRM[name], CRM[name].c.contact_id == contact_id)
        self._delete(wishes, and_(wishes.c.subject == "contact", wishes.c.subject_id == contact_id))
        meetings, deals = CRM["meetings"], CRM["opportunities"]
        self._update(meetings, meetings.c.contact_id == contact_id, contact_id=None)
        self._update(deals, deals.c.contact_id == contact_id, contact_id=None, reason=None)
        self._update(contacts, contacts.c.reports_to == contact_id, reports_to=None)
        its = and_(changes.c.table_name == "contacts", changes.c.row_id == contact_id)
        named = and_(changes.c.column_name == "reports_to", changes.c.value == contact_id)
        self._delete(changes, or_(its, and_(changes.c.table_name == "contacts", named)))
        self._delete(contacts, contacts.c.contact_id == contact_id)
        unused = contacts.c.contact_id.startswith(NAMELESS, autoescape=True)
        leads = select(CRM["leads"].c.contact_id)
        self.connection.execute(delete(contacts).where(unused, contacts.c.contact_id.not_in(leads)))
        kept = {name: row[name] for name in ("account_id", "created_at", "known_at")}
        self.connection.execute(insert(contacts).values(contact_id=nameless, objects_to_profiling=True, **kept))

    def leads(self, leads: list[str], nameless: str) -> None:
        """What its leads say of it."""
        table, changes = CRM["leads"], CRM["changes"]
        mine, now = table.c.lead_id.in_(leads), literal(self.change.at, Instant())
        self._update(
            table, mine, contact_id=nameless, status="closed", closed_at=func.coalesce(table.c.closed_at, now),
            **dict.fromkeys(OF_THE_LEAD),
        )  # fmt: skip
        said = and_(changes.c.table_name == "leads", changes.c.column_name.in_((*OF_THE_LEAD, "status")))
        self._delete(changes, and_(said, changes.c.row_id.in_(leads)))
        self.connection.execute(delete(UNPLACED).where(UNPLACED.c.lead_id.in_(leads)))

    def record(self, leads: list[str], names: list[str | None], actor: Actor) -> None:
        """What the ledger's own record says of it."""
        decided = select(DECISIONS.c.decision_id).where(DECISIONS.c.lead_id.in_(leads))
        explained = select(DECISION_DETAILS.c.decision_id).where(DECISION_DETAILS.c.decision_id.in_(decided))
        for decision_id in self.connection.execute(explained).scalars().all():
            self.change.vouch("decision_details", decision_id, None)
        self._delete(DECISION_DETAILS, DECISION_DETAILS.c.decision_id.in_(decided))
        said = dict.fromkeys(("p_accept", "p_accept_serving", "scores"))
        self._update(SHADOWS, SHADOWS.c.decision_id.in_(decided), **said)
        self._sheets(leads)
        self._delete(IDEMPOTENCY, _says(IDEMPOTENCY.c.body, names))
        self._delete(JOURNAL, and_(JOURNAL.c.row_id.is_not(None), _says(JOURNAL.c.row_id, names)))
        offers = select(OFFERS.c.offer_id, OFFERS.c.opportunity_id).where(OFFERS.c.lead_id.in_(leads))
        made = {row.offer_id: row.opportunity_id for row in self.connection.execute(offers)}
        self._free_text(made)
        self._payloads(names, list(made), actor)

    def _sheets(self, leads: list[str]) -> None:
        """What call sheets and plans say of its leads. Cost: each of them since the leads were there is looked into."""
        born = select(func.min(CRM["leads"].c.created_at)).where(CRM["leads"].c.lead_id.in_(leads))
        since = self.connection.execute(born).scalar()
        if since is None:
            return
        sheets = (
            select(DECISION_DETAILS)
            .join(DECISIONS, DECISIONS.c.decision_id == DECISION_DETAILS.c.decision_id)
            .where(DECISIONS.c.lead_id.is_(None), DECISIONS.c.at >= since - CLOCKS)
            .execution_options(yield_per=500)
        )
        found = [row for row in self.connection.execute(sheets) if names(row.body, leads)]
        for row in found:
            body = pack(without(unpack(row.body), leads))
            self._update(DECISION_DETAILS, DECISION_DETAILS.c.decision_id == row.decision_id, body=body)
            detail = {"decision_id": row.decision_id, "body": body}
            self.change.vouch(DECISION_DETAILS.name, row.decision_id, hash_of_row(DECISION_DETAILS.name, detail))

    def _payloads(self, names: list[str | None], offers: list[str], actor: Actor) -> None:
        """Audit payloads that name the contact, or repeat what was written on its offers and the questions of them."""
        own_words = AUDIT.c.action.in_(("record", "settle"))
        wrote = and_(own_words, _says(AUDIT_PAYLOADS.c.body, offers)) if offers else false()
        payloads = (
            select(AUDIT.c.number, AUDIT_PAYLOADS.c.body)
            .join(AUDIT_PAYLOADS, AUDIT_PAYLOADS.c.number == AUDIT.c.number)
            .where(or_(_says(AUDIT_PAYLOADS.c.body, names), wrote))
        )
        bodies = {row.number: row.body for row in self.connection.execute(payloads)}
        for body in bodies.values():  # of others' rows it goes on to say what they are
            for table, hashes in json.loads(body).get(WRITTEN, {}).items():
                self.change.written[table] = {**hashes, **self.change.written.get(table, {})}
        numbers = list(bodies)
        audit.forget(self.change, actor.name, numbers)
        self._done(AUDIT_PAYLOADS, len(numbers))

    def _free_text(self, made: Mapping[str, str | None]) -> None:
        """What reps wrote in their own words on offers, and on the opportunities that came of them."""
        deals, came = CRM["opportunities"], {deal for deal in made.values() if deal is not None}
        for row in self.connection.execute(select(EVENTS).where(EVENTS.c.offer_id.in_(made))).all():
            body = json.loads(row.body)
            came |= {body["opportunity_id"]} if body.get("opportunity_id") else set()
            free = {name: None for name in FREE_TEXT.get(row.kind, ()) if body.get(name) is not None}
            kept = canonical(body | free) if free else row.body
            if free:
                self._update(EVENTS, EVENTS.c.event_id == row.event_id, body=kept)
            self.change.vouch("events", row.event_id, hash_of_row("events", {**row._mapping, "body": kept}))
        self._update(deals, and_(deals.c.opportunity_id.in_(came), deals.c.reason.is_not(None)), reason=None)


def _says(column: Any, names: Sequence[str | None]) -> ColumnElement[bool]:
    """Whether a JSON text holds one of the names as a value, however it spells letters beyond ASCII."""
    spelt = {json.dumps(name, ensure_ascii=plain) for name in names if name for plain in (True, False)}
    return or_(*(column.contains(text, autoescape=True) for text in sorted(spelt)))
