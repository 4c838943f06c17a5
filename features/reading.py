"""How each column that changes is read: as of any instant, as a constant, or not at all, with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from features.schema import OUTCOME_MOVED, TRACKED

if TYPE_CHECKING:
    from features.config import Config
    from features.snapshot import Snapshot


@dataclass(frozen=True)
class Reading:
    """One column of TRACKED that the data has. changes: how many rows of its history there are."""

    table: str
    column: str
    changes: int
    how: str

    def as_dict(self) -> dict[str, object]:
        """As one row of a listing."""
        return asdict(self)


def how_read(snapshot: Snapshot, config: Config) -> tuple[Reading, ...]:
    """How features read each column that may change; filters read one without a history at its latest value.

    Source: DESIGN, "Columns that change without a history"; the rule itself works in `features.entities.History`.
    """
    changes = snapshot.tables.get("changes")
    changed = [] if changes is None else zip(changes["table_name"], changes["column_name"], strict=True)
    counted = Counter((str(table), str(column)) for table, column in changed)
    readings = []
    for table, columns in TRACKED.items():
        for column in columns:
            if column in snapshot.columns.get(table, ()):
                n = counted[table, column]
                readings.append(Reading(table, column, n, _how(table, column, n, snapshot, config)))
    return tuple(readings)


def _how(table: str, column: str, changes: int, snapshot: Snapshot, config: Config) -> str:
    if changes:
        return "as of each instant, from its history"
    if f"{table}.{column}" in config.history.assume_constant:
        return "constant, as history.assume_constant declares"
    if column not in OUTCOME_MOVED.get(table, ()):
        return "constant: a description, taken at its latest value"
    if "known_at" in snapshot.columns[table]:
        return "from the row's known_at on, null before: outcomes move it"
    return "null in features: outcomes move it, and there is no history"
