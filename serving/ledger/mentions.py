"""Where JSON texts name a contact or what hangs on it: one look at each text, then by the field a name stands in."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, false, func, or_, select, tuple_

from features.schema import TABLES
from serving.ledger.details import text_of
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, DECISION_DETAILS, DECISIONS, IDEMPOTENCY, JOURNAL

#: Fields in which a contact is named; also those of somebody's own words, where they are its id or address alone.
NAMING: Final = ("contact_id", "contact", "contacts", "reports_to", "email", "text", "reason", "why")
#: Kinds of the audit's rows whose payload repeats a person's own words.
OWN_WORDS: Final = ("record", "settle")
#: How much earlier than a lead a decision may seem to be that knew it: clocks differ.
CLOCKS: Final = timedelta(days=1)
#: Rows that are asked for at once.
BATCH: Final = 500
#: Names that SQL looks for in a text; SQLite takes no expression that is deeper than a thousand.
FEW: Final = 100

#: By field, the ids that count where they stand in it.
Fields = Mapping[str, frozenset[str]]
#: The values of a row's primary key.
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Sought:
    """A contact's ids, and when its first lead was created.

    One CRM spells a contact and its lead alike, another a contact and a rep, so an id counts only where ids of its
    kind stand: another's call sheet is none about the contact because its rep's id is spelt like the contact's.
    """

    names: frozenset[str]
    leads: frozenset[str]
    offers: frozenset[str]
    events: frozenset[str]
    born: datetime | None

    @classmethod
    def any_of(cls, those: Sequence[Sought]) -> Sought:
        """Several contacts at once."""
        names, leads, offers, events = (
            frozenset[str]().union(*ids)
            for ids in zip(*((one.names, one.leads, one.offers, one.events) for one in those), strict=True)
        )
        return cls(names, leads, offers, events, min((one.born for one in those if one.born is not None), default=None))

    def named(self, said: Any) -> bool:
        """Whether a JSON value names the contact."""
        return _says(said, dict.fromkeys(NAMING, self.names))

    def about(self, said: Any) -> bool:
        """Whether it names the contact, one of its leads, or what was told of their offers."""
        return _says(said, dict.fromkeys(NAMING, self.names) | {"lead_id": self.leads, "event_id": self.events})

    def wrote(self, said: Any) -> bool:
        """Whether it is about one of the offers of its leads."""
        return _says(said, {"offer_id": self.offers})

    def ranks(self, detail: Mapping[str, Any]) -> bool:
        """Whether what explains a call sheet or a plan says something of its leads."""
        lines = [*detail.get("items", ()), *detail.get("unplaced", ())]
        by_lead = (detail.get(name, ()) for name in ("vectors", "facts", "candidates"))
        return any(line.get("lead_id") in self.leads for line in lines) or any(
            not self.leads.isdisjoint(those) for those in by_lead
        )

    def nameless(self, said: Any) -> Any:
        """A JSON value without the contact's names."""
        if isinstance(said, list):
            return [self.nameless(one) for one in said]
        if not isinstance(said, dict):
            return said
        return {
            key: None if self.named({key: one}) and not isinstance(one, dict | list) else self.nameless(one)
            for key, one in said.items()
        }


def _says(said: Any, fields: Fields) -> bool:
    if isinstance(said, list):
        return any(_says(one, fields) for one in said)
    if not isinstance(said, dict):
        return False
    return any(_holds(one, fields.get(key)) or _says(one, fields) for key, one in said.items())


def _holds(value: Any, ids: frozenset[str] | None) -> bool:
    """Whether a field's value is one of the ids, or a list or a mapping of such."""
    if not ids or value is None:
        return False
    those = value if isinstance(value, list | dict) else (value,)
    return any(isinstance(one, str) and one in ids for one in those)


class _Spelt:
    """Ids as JSON may spell them; whether a text may hold one costs the same however many there are."""

    def __init__(self, *ids: Collection[str]) -> None:
        spelt = {json.dumps(one, ensure_ascii=plain)[1:-1] for those in ids for one in those for plain in (True, False)}
        # A text is taken apart at its quotes; an id with a quote in it is known by what comes before that.
        self.pieces = frozenset(one.partition('"')[0] for one in spelt)

    def may_be_in(self, text: str) -> bool:
        return not self.pieces.isdisjoint(text.split('"'))


@dataclass(frozen=True)
class Mentions:
    """The rows whose texts are about a contact, by their keys.

    kept        kept answers, by scope and key
    payloads    numbers of the audit's payloads that name it, or repeat what was written on its offers and the
                questions about them
    sheets      call sheets and plans that may say something of its leads, by decision_id, the oldest first
    seen, last  the kept answers and sheets that were looked into, and the last payload
    """

    sought: Sought
    kept: Sequence[Key] = ()
    payloads: Sequence[int] = ()
    sheets: Sequence[str] = ()
    seen: tuple[frozenset[Key], frozenset[Key]] = (frozenset(), frozenset())
    last: int = 0

    @classmethod
    def of(cls, connection: Connection, sought: Sought, before: Mentions | None = None) -> Mentions:
        """Look for a contact.

        before   what was found a moment ago, so that others need not wait while each text is looked into: where its
                 ids are the same still, rows that came since are left to be, for no text is changed but by an erasure,
                 and by a restore, which is noticed
        Cost     each kept answer, payload and sheet that was not looked into before, whatever the number of ids
        """
        last = connection.execute(select(func.max(AUDIT_PAYLOADS.c.number))).scalar() or 0
        holds = before is not None and before.sought == sought and before.last <= last
        known = before if before is not None and holds else Mentions(sought)
        kept, seen_kept = _kept(connection, sought, known.seen[0])
        payloads = _payloads(connection, sought, known)
        sheets, seen_sheets = _sheets(connection, sought, known.seen[1])
        return cls(
            sought, [*known.kept, *kept], [*known.payloads, *payloads], [*known.sheets, *sheets],
            (seen_kept, seen_sheets), last,
        )  # fmt: skip


def journalled(connection: Connection, sought: Sought) -> list[tuple[int, int]]:
    """The journal's rows that name a contact, by seq and place."""
    found = select(JOURNAL).where(JOURNAL.c.table_name.in_(_KEYED), spells(JOURNAL.c.row_id, sought.names))
    return [(row.seq, row.place) for row in connection.execute(found) if _keyed(row, sought.names)]


#: Tables whose keys name contacts.
_KEYED: Final = ("changes", *(table.name for table in TABLES.values() if "contact_id" in table.key))


def _keyed(row: Row[Any], names: Collection[str]) -> bool:
    key = dict(zip(TABLES[row.table_name].key, json.loads(row.row_id), strict=True))
    mine = key["row_id"] if key.get("table_name") == "contacts" else key.get("contact_id")
    return mine in names


def spells(column: Any, names: Collection[str]) -> ColumnElement[bool]:
    """Whether a JSON text may hold one of a few names, in SQL: SQLite takes small letters for capitals, too."""
    spelt = sorted({json.dumps(name, ensure_ascii=plain) for name in names for plain in (True, False)})
    return or_(false(), *(column.contains(text, autoescape=True) for text in spelt))


def _kept(connection: Connection, sought: Sought, seen: frozenset[Key]) -> tuple[list[Key], frozenset[Key]]:
    spelt = _Spelt(sought.names, sought.leads, sought.events)
    found, looked = [], set(seen)
    for *key, body in _fresh(connection, (IDEMPOTENCY.c.scope, IDEMPOTENCY.c.key), select(IDEMPOTENCY.c.body), seen):
        looked.add(tuple(key))
        if spelt.may_be_in(body) and sought.about(json.loads(body)):
            found.append(tuple(key))
    return found, frozenset(looked)


def _payloads(connection: Connection, sought: Sought, known: Mentions) -> list[int]:
    """Of most payloads SQL says that they name nobody; those that repeat somebody's words are looked into here."""
    number, body = AUDIT_PAYLOADS.c.number, AUDIT_PAYLOADS.c.body
    wrote = select(AUDIT.c.number).where(AUDIT.c.action.in_(OWN_WORDS), AUDIT.c.number > known.last)
    wanted = select(number, body).where(number > known.last)
    if len(sought.names) <= FEW:
        wanted = wanted.where(or_(spells(body, sought.names), number.in_(wrote)))
    spelt = _Spelt(sought.names, sought.offers)
    texts = connection.execute(wanted.order_by(number).execution_options(yield_per=BATCH))
    told = ((one, json.loads(text)) for one, text in texts if spelt.may_be_in(text))
    return [one for one, said in told if sought.named(said) or sought.wrote(said)]


def _sheets(connection: Connection, sought: Sought, seen: frozenset[Key]) -> tuple[list[str], frozenset[Key]]:
    if sought.born is None:
        return [], seen
    made = (
        select(DECISION_DETAILS.c.body)
        .join(DECISIONS, DECISION_DETAILS.c.decision_id == DECISIONS.c.decision_id)
        .where(DECISIONS.c.lead_id.is_(None), DECISIONS.c.at >= sought.born - CLOCKS)
        .order_by(DECISIONS.c.at, DECISIONS.c.decision_id)
    )
    spelt = _Spelt(sought.leads)
    found, looked = [], set(seen)
    for key, body in _fresh(connection, (DECISION_DETAILS.c.decision_id,), made, seen):
        looked.add((key,))
        text = text_of(body)
        if spelt.may_be_in(text) and sought.ranks(json.loads(text)):
            found.append(key)
    return found, frozenset(looked)


def _fresh(
    connection: Connection, keys: Sequence[ColumnElement[Any]], bodies: Select[Any], seen: Collection[Key]
) -> Iterator[Sequence[Any]]:
    """Keys and body of each row whose key was not seen."""
    whole = bodies.with_only_columns(*keys, *bodies.selected_columns, maintain_column_froms=True)
    if not seen:
        yield from connection.execute(whole.execution_options(yield_per=BATCH))
        return
    known = connection.execute(bodies.with_only_columns(*keys, maintain_column_froms=True))
    fresh = [key for key in map(tuple, known) if key not in seen]
    for start in range(0, len(fresh), BATCH):
        yield from connection.execute(whole.where(tuple_(*keys).in_(fresh[start : start + BATCH]))).all()
