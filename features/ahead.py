"""What cannot have happened yet: instants of past facts that lie ahead of the clock, by the columns that may not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from features.errors import Breach
from features.schema import TABLES, Kind

#: Clocks differ; what lies further ahead of ours than this is refused, for nobody knows yet what will happen.
AHEAD: Final = timedelta(minutes=5)


def past_columns(name: str) -> tuple[str, ...]:
    """The instants of a table that tell of the past."""
    return tuple(c.name for c in TABLES[name].columns if c.kind is Kind.TIME and not c.ahead)


def lying_ahead(name: str, rows: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Breach]:
    """Each column of a table's rows (instants with a zone) that tells of a past which lies ahead of `now`."""
    asked = list(rows)
    for column in past_columns(name):
        wrong = [
            (place, value)
            for place, row in enumerate(asked, start=1)
            if isinstance(value := row.get(column), datetime) and value - now > AHEAD
        ]
        if wrong:
            yield Breach(
                name, column, tuple(place for place, _ in wrong), wrong[0][1].isoformat(),
                f"an instant at most {AHEAD.seconds // 60} minutes ahead of our clock ({now.isoformat()}), for it "
                "tells what has happened; check the sender's clock",
            )  # fmt: skip
