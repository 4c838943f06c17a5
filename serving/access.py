"""Everything that is held about one contact, for who may ask: its rows, and its decisions and call sheets explained."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from features.errors import UnknownId
from serving.explain import Answer, Load, explained, replayed
from serving.instants import iso, micros
from serving.ledger import Ledger, replies
from serving.ledger.decisions import Told, read
from serving.ledger.details import unpack
from serving.ledger.person import PLACES, Person, hash_of, is_known, sheets
from serving.ledger.tables import ERASURES, IDEMPOTENCY
from serving.ledger.taken import note_taken
from serving.ledger.vouched import WRITTEN

#: Columns whose text is JSON.
_JSON: Final = frozenset(("body", "because", "refused", "scores"))
#: What is told explained, in place of packed.
_EXPLAINED: Final = "decision_details"


def access(ledger: Ledger, contact_id: str, load: Load) -> Answer:
    """All that the ledger holds about a contact, as of one instant; the audit says that it was taken, by its hash.

    rows       by place (`ledger.person.PLACES`) the rows that are about it
    decisions  on its leads, those too that were sent along and never stored, explained: reasons, scores and features of
               whom was shown, and the facts of the reasons
    sheets     lines of call sheets and plans that are about its leads, likewise
    erased_at  when it was forgotten; then nothing but the hash of its id is left
    load       brings the models of then, for reasons that nobody asked for
    Raises     UnknownId (contact_unknown); NotNoted where the audit cannot be written: then nothing is told
    """
    load = functools.cache(load)
    with ledger.reading() as connection:
        at = datetime.now(UTC)
        gone = connection.execute(select(ERASURES.c.at).where(ERASURES.c.contact_hash == hash_of(contact_id))).scalar()
        if gone is None and not is_known(connection, contact_id):
            raise UnknownId("contact", contact_id)
        person = Person.of(connection, contact_id)
        found = {name: _rows(connection, name, person) for name in PLACES if name != _EXPLAINED}
        rows = {name: those for name, those in found.items() if those}
        decided = [read(connection, one) for one in connection.execute(person.decided).scalars().all()]
        named = list(sheets(connection, person))
    # Models take long to load, and on SQLite's rollback journal nobody commits while somebody reads.
    told: Answer = {
        "contact_id": contact_id, "at": iso(micros(at)),
        "erased_at": iso(micros(gone)) if person.row is None and gone is not None else None, "rows": rows,
        "decisions": [_decision(one, load) for one in decided],
        "sheets": [_sheet(one, person, load) for one in named],
    }  # fmt: skip
    counts = {name: len(those) for name, those in rows.items()} | {"sheets": len(told["sheets"])}
    note_taken(ledger, "access", {"contact_hash": person.contact_hash, "rows": counts})
    return told


def _rows(connection: Connection, name: str, person: Person) -> list[Answer]:
    place = PLACES[name]
    columns = [place.table.c[column] for column in place.told] if place.told is not None else [place.table]
    wanted = select(*columns).where(place.of(person)).order_by(*place.table.primary_key.columns)
    found = [dict(row) for row in connection.execute(wanted).mappings()]
    if place.table is IDEMPOTENCY:
        mine = [(row, replies.told(row["body"], person.sought)) for row in found]
        found = [row | {"body": json.dumps(said)} for row, said in mine if said is not None]
    return [{key: _plain(key, value) for key, value in row.items()} for row in found]


def _plain(column: str, value: Any) -> Any:
    """A cell as JSON has it."""
    if isinstance(value, datetime):
        return iso(micros(value))
    if column not in _JSON or value is None:
        return value
    found = json.loads(value)
    return {key: said for key, said in found.items() if key != WRITTEN} if isinstance(found, dict) else found


def _decision(told: Told, load: Load) -> Answer:
    """A decision on a lead, explained."""
    return explained(told, load) | {"facts": told.detail.get("facts", {}) if told.detail is not None else {}}


def _sheet(row: Row[Any], person: Person, load: Load) -> Answer:
    """What a call sheet or a plan says of the contact's leads."""
    detail: Mapping[str, Any] = unpack(row.body)
    mine = [item for item in detail["items"] if item.get("lead_id") in person.sought.leads]
    lines = []
    for item in mine:
        lead_id = item["lead_id"]
        reasons = item.get("reasons") or replayed(dict(row._mapping), detail, load, lead_id)[1].get(lead_id, [])
        vector = detail["vectors"].get(lead_id, [])
        features = dict(zip(detail.get("columns", []), vector, strict=False))
        lines.append(item | {"reasons": reasons, "features": features, "facts": detail.get("facts", {}).get(lead_id)})
    unplaced = [one for one in detail.get("unplaced", []) if one["lead_id"] in person.sought.leads]
    named = {name: row._mapping[name] for name in ("decision_id", "route", "rep_id", "model_version")}
    return named | {"at": iso(micros(row.at)), "items": lines, "unplaced": unplaced}
