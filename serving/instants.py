"""Instants on the wire and inside: ISO 8601 in UTC, and microseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(micros: int) -> str:
    """An instant (microseconds since the epoch) as ISO 8601 in UTC."""
    at = EPOCH + timedelta(microseconds=micros)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if at.microsecond else "%Y-%m-%dT%H:%M:%SZ")


def micros(at: datetime) -> int:
    """An instant with a zone as microseconds since the epoch."""
    return (at - EPOCH) // timedelta(microseconds=1)
