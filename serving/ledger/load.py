"""Brings a CRM snapshot into the ledger's tables: in one change, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select

from features.config import Config
from features.errors import Refused
from features.schema import TABLES
from features.snapshot import Snapshot
from serving.actor import CLI
from serving.ledger import audit
from serving.ledger.change import Change, changing
from serving.ledger.crm import CRM, OFFERS
from serving.ledger.database import Ledger
from serving.ledger.erase import erase_again
from serving.ledger.events import join_parked
from serving.ledger.holds import fill_holds, made_here
from serving.ledger.questions import settle
from serving.ledger.rows import Cells, Key, as_rows, cells_of, history, key_of, stored, tell_columns
from serving.ledger.scrub import TRACES, scrub
from serving.ledger.tables import CRM_COLUMNS

log = logging.getLogger(__name__)

#: Takes the table that is being written and how many rows of it are done since the last call.
Tick = Callable[[str, int], None]
#: Rows between two calls of it.
STEP = 20_000


class OffersWouldBeLost(Refused):
    """The new data does not know what offers of this ledger refer to."""

    code = "offers_would_be_lost"


@dataclass(frozen=True)
class TableLoaded:
    """What became of one table.

    rows     that the source has; of them inserted, changed, unchanged, and ours: offers that were made here, left as
             they are
    removed  rows that the ledger had and the source has not (only where the content is replaced)
    """

    table: str
    rows: int
    inserted: int
    changed: int
    unchanged: int
    removed: int = 0
    ours: int = 0


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    held       leads held by an offer; doubled: of how many of them more than one offer said so
    forgotten  contacts that had been erased here and were in the data again
    """

    seq: int
    tables: tuple[TableLoaded, ...]
    held: int
    doubled: int
    forgotten: int


def load(
    ledger: Ledger, snapshot: Snapshot, *, config: Config | None = None, replace: bool = False,
    tick: Tick = lambda _table, _rows: None,
) -> Loaded:  # fmt: skip
    """Load a snapshot: rows are put in by key; one with a known key takes the place of the old one.

    A tracked column that changes leaves its history in `changes`, unless the snapshot tells that history itself.
    config   by which events that waited for these offers take effect, and contacts that were erased and are in the
             data again are erased again, in the database's files too; None: nothing was recorded or erased here yet
    replace  what the ledger's CRM tables hold and the snapshot does not, goes: all but the offers that were made here
    Raises   OffersWouldBeLost, LedgerError
    """
    with changing(ledger) as change:
        mine = _mine(change)
        before: dict[str, dict[Key, Cells]] = {
            name: stored(change.connection, name) for name in (TABLES if replace else snapshot.tables)
        }
        if replace:
            _clear(change, snapshot, before, mine)
        done = []
        rows = {name: cells_of(name, frame) for name, frame in snapshot.tables.items()}
        brought = {(row[0], row[1], row[2]) for row in rows.get("changes", ())}
        for name, cells in rows.items():
            done.append(_put(change, name, cells, before[name], brought, mine, replace, tick))
        removed = {name: len(old) - len(_kept(name, old, mine)) for name, old in before.items() if name not in rows}
        done += [TableLoaded(name, 0, 0, 0, 0, count) for name, count in removed.items() if count and replace]
        fresh = tell_columns(change, snapshot.columns)
        for table in done:
            if table.inserted or table.changed or table.removed or replace or table.table in fresh:
                change.touch(table.table, None)
        held, doubled = fill_holds(change)
        told = {"tables": [asdict(table) for table in done], "replace": replace, "fingerprint": snapshot.fingerprint}
        if config is not None:
            join_parked(change, config)
        forgotten = erase_again(change, config, CLI) if config is not None else 0
        audit.record(change, CLI.name, "load", f"change {change.seq}", told)
    if forgotten and not scrub(ledger):
        log.warning(TRACES)
    order = list(TABLES)
    return Loaded(change.seq, tuple(sorted(done, key=lambda t: order.index(t.table))), held, doubled, forgotten)


def _put(
    change: Change, name: str, cells: list[Cells], before: Mapping[Key, Cells], brought: set[Key],
    mine: Mapping[str, Mapping[Key, Cells]], replace: bool, tick: Tick,
) -> TableLoaded:  # fmt: skip
    """Write the rows of one table that are new or other ones."""
    ours = mine.get(name, {}) if name == "offers" else {}
    after = {key: row for row in cells if (key := key_of(name, row)) not in ours}
    altered = {key: row for key, row in after.items() if key in before and before[key] != row}
    inserted = sum(key not in before for key in after)
    wanted = list(after.values()) if replace else [r for k, r in after.items() if k in altered or k not in before]
    for start in range(0, len(wanted), STEP):
        batch = wanted[start : start + STEP]
        change.put(name, as_rows(name, batch))
        tick(name, len(batch))
    tick(name, len(cells) - len(wanted))
    settle(change, name, before, altered)
    if not replace and altered:
        told = history(change, name, before, altered, brought)
        if told:
            change.put("changes", told)
            change.touch("changes", None)
    removed = len(before) - len(_kept(name, before, mine)) - sum(k in before for k in after) if replace else 0
    unchanged = len(after) - inserted - len(altered)
    return TableLoaded(name, len(cells), inserted, len(altered), unchanged, max(removed, 0), len(cells) - len(after))


def _kept(name: str, before: Mapping[Key, Cells], mine: Mapping[str, Mapping[Key, Cells]]) -> list[Key]:
    return [key for key in before if key in mine.get(name, {})]


def _mine(change: Change) -> dict[str, dict[Key, Cells]]:
    """The offers that were made here, and the opportunities that came of them, with their history."""
    offers = select(*(OFFERS.c[c] for c in TABLES["offers"].names)).where(made_here())
    kept = {"offers": {key_of("offers", row): row for row in map(tuple, change.connection.execute(offers))}}
    place = TABLES["offers"].names.index("opportunity_id")
    won = {(row[place],) for row in kept["offers"].values() if row[place] is not None}
    kept["opportunities"] = stored(change.connection, "opportunities", won)
    changes = CRM["changes"]
    for (opportunity,) in won:
        its = select(*(changes.c[c] for c in TABLES["changes"].names)).where(
            changes.c.table_name == "opportunities", changes.c.row_id == opportunity
        )
        kept.setdefault("changes", {}).update(
            {key_of("changes", row): row for row in map(tuple, change.connection.execute(its))}
        )
    return kept


def _clear(
    change: Change,
    snapshot: Snapshot,
    before: Mapping[str, Mapping[Key, Cells]],
    mine: Mapping[str, Mapping[Key, Cells]],
) -> None:
    """Take out all that was loaded, and leave what was made here. Raises OffersWouldBeLost."""
    _refuse_to_lose(snapshot, mine)
    for name in TABLES:
        change.connection.execute(delete(CRM[name]))
        kept = [before[name][key] for key in _kept(name, before[name], mine)]
        change.put(name, as_rows(name, kept))
    change.connection.execute(delete(CRM_COLUMNS))
    for name in TABLES:
        change.touch(name, None)


def _refuse_to_lose(snapshot: Snapshot, mine: Mapping[str, Mapping[Key, Cells]]) -> None:
    for name, kept in mine.items():
        for column in TABLES[name].columns:
            target = column.references
            if target is None or not column.required:
                continue
            place, key = TABLES[name].names.index(column.name), TABLES[target].key[0]
            there = set(snapshot.tables[target][key]) if target in snapshot.tables else set()
            lost = sorted({row[place] for row in kept.values() if row[place] not in there})
            if lost:
                raise OffersWouldBeLost(
                    f"{len(lost):,} {target} of offers that were made here are not in this data: "
                    f"{', '.join(lost[:5])}{', …' if len(lost) > 5 else ''}. Load it without --replace to keep them, "
                    "or add them to it (`callsheet export` writes them out). Nothing was loaded.",
                    field=target,
                )
