"""Instants on the wire and inside: ISO 8601 in UTC, and microseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from features.asof import NEVER
from features.errors import InputError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(micros: int) -> str:
    """An instant (microseconds since the epoch) as ISO 8601 in UTC."""
    at = EPOCH + timedelta(microseconds=micros)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if at.microsecond else "%Y-%m-%dT%H:%M:%SZ")


def micros(at: datetime) -> int:
    """An instant with a zone as microseconds since the epoch."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime | None:
    """Microseconds since the epoch as an instant; None where it never comes."""
    return None if micros == NEVER else EPOCH + timedelta(microseconds=micros)


def monday_of(week: str, field: str) -> date:
    """The first day of an ISO week such as 2026-W10. Raises InputError about `field` for what is none."""
    found = re.fullmatch(r"(\d{4})-W(\d{2})", week)
    try:
        if found:
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        pass
    raise InputError(f"{week!r} is no ISO week; write it as 2026-W10.", field=field)
