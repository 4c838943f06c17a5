"""What the audit vouches for: hashes of the rows that a change wrote, which tell one that is another now."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from serving.ledger.crm import OFFERS
from serving.ledger.tables import DECISION_DETAILS, DECISIONS, EVENTS
from serving.ledger.types import write_instant

#: Of each table the columns that stay as they were written, the key first; what becomes of an offer, its events tell.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "decisions": tuple(column.name for column in DECISIONS.columns),
    "offers": ("offer_id", "lead_id", "rep_id", "offered_at", "decision_id", "policy", "propensity"),
    "events": ("event_id", "offer_id", "kind", "at", "body", "actor", "received_at"),
    "decision_details": ("decision_id", "body"),
}
_TABLES: Final[Mapping[str, Table]] = {t.name: t for t in (DECISIONS, OFFERS, EVENTS, DECISION_DETAILS)}
#: Under which name a payload of the audit keeps them: table -> key -> hash, null for what an erasure took out.
WRITTEN: Final = "written"
#: Tables out of which rows go that are older than the retention says; a row `prune` of the audit names the instant.
PRUNED: Final = ("decisions", "decision_details")
GONE: Final = "is gone"
#: Rows that are asked for at once.
BATCH: Final = 500

Hashes = Mapping[str, Mapping[str, str | None]]


def hash_of(table: str, row: Mapping[str, Any]) -> str:
    """SHA-256 of what stays of a row, hex."""
    values = [row[name] for name in COLUMNS[table]]
    bodies = b"".join(value for value in values if isinstance(value, bytes))
    told = [write_instant(v) if isinstance(v, datetime) else v for v in values if not isinstance(v, bytes)]
    return hashlib.sha256(json.dumps(told).encode() + bodies).hexdigest()


@dataclass(frozen=True)
class Said:
    """A row of the audit with its payload."""

    number: int
    at: datetime
    action: str
    subject: str
    body: str


def recheck(connection: Connection, audit: Iterable[Said], counted: Counter[str]) -> tuple[int, str] | None:
    """The first row that is not what the audit last said of it: the number of the audit's row, and what is wrong.

    audit    its rows that have their payload still, in their order
    counted  gets how many rows were looked at, by table, and how many of them were erased
    """
    wrong: dict[tuple[str, str], tuple[Said, str]] = {}
    seen: set[int] = set()  # of hashes, for there may be millions
    kept_from = datetime.min.replace(tzinfo=UTC)
    for told, kept in _batches(audit):
        kept_from = max(kept_from, kept)
        there = {table: _there(connection, table, [key for of, key in told if of == table]) for table in COLUMNS}
        for (table, key), (row, wanted) in told.items():
            if (one := hash((table, key))) not in seen:
                seen.add(one)
                counted[table] += 1
            counted["erased"] += wanted is None
            found = there[table].get(key)
            wrong.pop((table, key), None)
            if found != wanted:
                why = "was changed" if found and wanted else GONE if wanted else "is there, and was erased"
                wrong[table, key] = row, f"the row {key} of {table}, for which it vouches, {why}"
    found_wrong = [
        (row.number, why)
        for (table, _), (row, why) in wrong.items()
        if not (table in PRUNED and why.endswith(GONE) and row.at < kept_from)
    ]
    return min(found_wrong, default=None)


def _batches(audit: Iterable[Said]) -> Iterator[tuple[dict[tuple[str, str], tuple[Said, str | None]], datetime]]:
    """What is vouched for, by table and key, some rows at a time, of a key that comes again the last word; and since
    when decisions are kept."""
    told: dict[tuple[str, str], tuple[Said, str | None]] = {}
    kept_from = datetime.min.replace(tzinfo=UTC)
    for row in audit:
        if row.action == "prune":
            kept_from = max(kept_from, datetime.fromisoformat(row.subject))
        written = json.loads(row.body).get(WRITTEN)
        if not isinstance(written, dict):
            continue
        for table, hashes in written.items():
            told.update({(table, key): (row, wanted) for key, wanted in hashes.items()})
        if len(told) >= BATCH:
            yield told, kept_from
            told = {}
    yield told, kept_from


def _there(connection: Connection, table: str, keys: list[str]) -> dict[str, str]:
    """The hashes of the rows that are there."""
    columns = [_TABLES[table].c[name] for name in COLUMNS[table]]
    found: dict[str, str] = {}
    for start in range(0, len(keys), BATCH):
        asked = select(*columns).where(columns[0].in_(keys[start : start + BATCH]))
        for row in connection.execute(asked).mappings():
            found[row[columns[0].name]] = hash_of(table, dict(row))
    return found
