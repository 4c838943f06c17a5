"""Puts single rows into the CRM tables: by key, held to the tables' contracts, all of a request or none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from features.ahead import lying_ahead
from features.contracts import check, made_keys
from features.counted import counted
from features.csv_text import RawTable
from features.errors import Breach, Conflict, TableError
from features.schema import OUTCOME_MOVED, TABLES
from serving.ledger.change import Change
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.erase import ContactErased, refuse_erased
from serving.ledger.holds import fill_holds, made_here
from serving.ledger.person import is_nameless, named_in
from serving.ledger.questions import settle
from serving.ledger.rows import ASKED, Cells, Key, arrow_of, as_rows, history, key_of, stored, tell_columns
from serving.ledger.tables import HOLDS

#: How late a row may come and still count from its own time on: what a queue and a clock may be off.
LATE: Final = timedelta(hours=1)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


class RowsInvalid(TableError):
    """Rows of a request break their tables' contracts; `field` is the first place: tables.meetings[3].rep_id."""

    def __init__(self, breaches: Sequence[Breach]) -> None:
        super().__init__(breaches)
        first = self.breaches[0]
        place = f"[{first.rows[0] - 1}]" if first.rows else ""
        self.field = f"tables.{first.table}{place}.{first.column}".replace(" + ", ".")
        more = sum(max(len(b.rows), 1) for b in self.breaches) - 1
        self.args = (
            f"Expected {first.expected}."
            + (f" {counted(more, 'more is', 'more are')} wrong." if more else "")
            + " Nothing was stored.",
        )

    def __str__(self) -> str:
        return str(self.args[0])


class OfferMadeHere(Conflict):
    """An offer that the ledger made is told of by events alone."""

    code = "offer_made_here"


#: The columns by which a lead is closed.
CLOSING: Final = frozenset(("lead_id", "status", "closed_at"))


class LeadHeld(Conflict):
    """The lead has an open or accepted offer that the ledger made."""

    code = "lead_taken"


@dataclass(frozen=True)
class Ingested:
    """How many rows came, by table; of all of them, how many are new and how many are others now."""

    rows: dict[str, int]
    inserted: int
    changed: int


def ingest(change: Change, tables: Rows) -> Ingested:
    """Put rows in, in the transaction of `change`.

    tables   rows by table, as the wire has checked them: columns that were sent only. Of a stored row, the others stay
             as they are; of a new one they are empty
    A row of an event table without its key gets one made of its content, so sent again it is the same row. A new row
    is known since now where it has no known_at and its own time is more than LATE ago, where it has no time of its own,
    and where outcomes move its columns: so what comes late changes no answer about the past. A tracked column that
    changes leaves its history.
    What tells of the past and lies ahead of the clock is refused; what is stored already is not judged again.
    Raises   RowsInvalid, OfferMadeHere, LeadHeld, ContactErased
    """
    _refuse_future(change, tables)
    before, sent = {}, {}
    for name in (n for n in TABLES if n in tables):
        given = _with_keys(name, [{c: _plain(v) for c, v in row.items()} for row in tables[name]])
        keys = [tuple(row.get(c) for c in TABLES[name].key) for row in given]
        before[name] = stored(change.connection, name, {key for key in keys if None not in key})
        sent[name] = [
            _merged(name, before[name].get(key), row, change.at) for key, row in zip(keys, given, strict=True)
        ]
    after = _checked(change, sent)
    _refuse_erased(change, tables, sent, before)
    if "offers" in after:
        _refuse_ours(change, before["offers"], after["offers"])
    brought = {(str(key[0]), str(key[1]), str(key[2])) for key in after.get("changes", ())}
    inserted = changed = 0
    told: list[Mapping[str, Any]] = []
    for name, rows in after.items():
        altered = {key: row for key, row in rows.items() if key in before[name] and before[name][key] != row}
        fresh = [row for key, row in rows.items() if key not in before[name]]
        change.upsert(name, as_rows(name, [*fresh, *altered.values()]))
        told += history(change, name, before[name], altered, brought)
        settle(change, name, before[name], altered)
        inserted, changed = inserted + len(fresh), changed + len(altered)
    change.upsert("changes", told)
    _tell(change, tables, after)
    _hold(change, after)
    return Ingested({name: len(rows) for name, rows in tables.items()}, inserted, changed)


def _refuse_future(change: Change, tables: Rows) -> None:
    breaches = [breach for name in TABLES if name in tables for breach in lying_ahead(name, tables[name], change.at)]
    if breaches:
        raise RowsInvalid(breaches)


def _refuse_erased(
    change: Change,
    tables: Rows,
    sent: Mapping[str, Sequence[Mapping[str, Any]]],
    before: Mapping[str, Mapping[Key, Cells]],
) -> None:
    """Nobody who was erased is named in what was sent, and what is left of one's leads is not taken up again."""
    said: list[tuple[str, str]] = []
    for name, merged in sent.items():
        for place, (given, row) in enumerate(zip(tables[name], merged, strict=True)):
            where = f"tables.{name}[{place}]"
            said += [(who, f"{where}.{column}") for column, who in named_in(name, row).items() if column in given]
            nobodys = name == "leads" and (row["lead_id"],) in before[name] and is_nameless(str(row.get("contact_id")))
            if nobodys and not (row.get("status") == "closed" and set(given) <= CLOSING):
                raise ContactErased(f"{where}.lead_id")
    refuse_erased(change, said)


def _plain(value: Any) -> Any:
    """A value as the tables have it: empty text is null, an instant is in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return None if value == "" else value


def _with_keys(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with a key each, where it can be made."""
    table = TABLES[name]
    bare = [row for row in rows if table.made_key and row.get(table.key[0]) is None]
    if bare:
        for row, key in zip(bare, made_keys(name, arrow_of(name, bare)), strict=True):
            row[table.key[0]] = key
    return rows


def _merged(name: str, old: Cells | None, row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The whole row as it will be."""
    table = TABLES[name]
    if old is not None:
        return dict(zip(table.names, old, strict=True)) | dict(row)
    whole: dict[str, Any] = dict.fromkeys(table.names) | dict(row)
    own = whole[table.event] if table.event else None
    if whole["known_at"] is None and (own is None or own < at - LATE or name in OUTCOME_MOVED):
        whole["known_at"] = at
    return whole


def _checked(change: Change, sent: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[Key, Cells]]:
    """The rows typed, by key. Raises RowsInvalid."""
    raw = {name: RawTable(name, arrow_of(name, rows), name) for name, rows in sent.items()}
    checked = check(raw, stored=_referred(change, sent))
    if checked.breaches:
        raise RowsInvalid(checked.breaches)
    found: dict[str, dict[Key, Cells]] = {}
    for name, table in checked.tables.items():
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        found[name] = {key_of(name, row): row for row in rows}
    return found


def _referred(change: Change, sent: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """The stored keys that the rows refer to, by table."""
    wanted: dict[str, set[str]] = {}
    for name, rows in sent.items():
        for column in TABLES[name].columns:
            if column.references:
                said = {row[column.name] for row in rows}
                wanted.setdefault(column.references, set()).update(v for v in said if v is not None)
    found = {}
    for name, ids in wanted.items():
        key, asked = CRM[name].c[TABLES[name].key[0]], sorted(ids)
        found[name] = [
            value
            for start in range(0, len(asked), ASKED)
            for value in change.connection.execute(select(key).where(key.in_(asked[start : start + ASKED]))).scalars()
        ]
    return found


def _refuse_ours(change: Change, before: Mapping[Key, Cells], after: Mapping[Key, Cells]) -> None:
    """Raises OfferMadeHere or LeadHeld where rows would say otherwise than the ledger of what it decided itself."""
    names = TABLES["offers"].names
    of_decisions = select(OFFERS.c.offer_id).where(made_here(), OFFERS.c.offer_id.in_([key[0] for key in after]))
    ours = set(change.connection.execute(of_decisions).scalars())
    held_by_ours = select(HOLDS.c.lead_id, HOLDS.c.offer_id).join(OFFERS, OFFERS.c.offer_id == HOLDS.c.offer_id)
    leads = {row[names.index("lead_id")] for row in after.values()}
    asked = held_by_ours.where(made_here(), HOLDS.c.lead_id.in_(leads))
    held = {row.lead_id: row.offer_id for row in change.connection.execute(asked)}
    for place, (key, row) in enumerate(after.items()):
        if key[0] in ours and before.get(key) != row:
            raise OfferMadeHere(
                "This offer was made here; tell what became of it by POST /record.",
                field=f"tables.offers[{place}].offer_id",
            )
        holds = row[names.index("answer")] in (None, "accepted")
        if holds and held.get(row[names.index("lead_id")], key[0]) != key[0]:
            raise LeadHeld(
                "An offer that was made here holds this lead; withdraw or reassign it by POST /record first.",
                field=f"tables.offers[{place}].lead_id",
            )


def _tell(change: Change, tables: Rows, after: Mapping[str, Mapping[Key, Cells]]) -> None:
    """Remember which columns the source has; who follows reads a table anew where nothing in it tells of one."""
    for name, rows in tables.items():
        columns = {column for row in rows for column in row} | ({c.name for c in TABLES[name].columns if c.required})
        filled = {
            c for i, c in enumerate(TABLES[name].names) if any(row[i] is not None for row in after[name].values())
        }
        new = tell_columns(change, {name: columns})
        if new and not columns <= filled:
            change.touch(name, None)


def _hold(change: Change, after: Mapping[str, Mapping[Key, Cells]]) -> None:
    """Let the leads that these rows bear on be held by whom their offers say."""
    place = TABLES["offers"].names.index("lead_id")
    leads = {row[place] for row in after.get("offers", {}).values()} | {str(key[0]) for key in after.get("leads", ())}
    if leads:
        fill_holds(change, leads)


__all__ = ["LATE", "Ingested", "LeadHeld", "OfferMadeHere", "RowsInvalid", "ingest"]
