"""How a feature's value reads in a sentence: counts, shares, durations, dates, and one of a thing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.behaviour import STALE
from features.counted import counted
from features.declare import Feature

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def value_text(feature: Feature, value: float) -> str | None:
    """A known value by the feature's unit: "3", "41 %", "12 days"; None for a unit that no sentence can tell."""
    if feature.unit == "steps":
        return str(round(value)) if round(value) else None
    if feature.unit in ("count", "digits"):
        return "no" if round(value) == 0 else str(round(value))
    if feature.unit == "share":
        return "less than 1 %" if 0 < value < 0.01 else f"{round(100 * value)} %"
    if feature.unit == "days":
        return duration_text(value)
    if feature.unit == "hours":
        return counted(max(round(value), 1), "hour")
    if feature.unit in ("points", "grade"):
        return f"{value:.1f}".removesuffix(".0")
    return None


def duration_text(days: float) -> str:
    """A length of time as a person would say it: days up to two months, then months, from two years on years."""
    if days < 1:
        return "less than a day"
    if days < 60:
        return counted(int(days), "day")
    if days < 730:
        return counted(int(days / 30.44), "month")
    return counted(int(days / 365.25), "year")


def when_text(feature: Feature, value: float, as_of: int, zone: str | None) -> str | None:
    """The date that a feature in days points to, in a zone: "tomorrow", "on 5 March", "on 5 March 2027".

    value   days ahead for `days_to_…`, days back for `days_since_…`, or freshness (STALE less the days back)
    as_of   microseconds since the epoch, UTC
    Returns None for a feature that points to no date
    """
    if feature.name.startswith("days_to_"):
        ahead = value
    elif feature.name.startswith("days_since_"):
        ahead = -value
    elif feature.unit == "days_fresh":
        if value <= 0:
            return None  # stale: longer ago than can be told
        ahead = value - STALE
    else:
        return None
    now = datetime.fromtimestamp(as_of / 1e6, tz=UTC)
    local = _zone(zone)
    return date_text((now + timedelta(days=float(ahead))).astimezone(local).date(), now.astimezone(local).date())


def date_text(day: date, today: date) -> str:
    """A day seen from today; the year is said where it is another one."""
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get((day - today).days)
    if near:
        return near
    text = f"on {day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == today.year else f"{text} {day.year}"


def singular(sentence: str) -> str:
    """A sentence written for many, where the count turned out to be one: "1 open opportunities" becomes one."""
    sentence = re.sub(r"\b1 times\b", "once", sentence)
    sentence = re.sub(r"\b1 ((?:open )?)opportunities\b", r"1 \1opportunity", sentence)
    sentence = re.sub(r"\b1 (lead|contact|colleague|step|offer)s\b", r"1 \1", sentence)
    # The verb follows its subject, at the head of the sentence: "1 opportunity at Acme were lost before".
    return re.sub(r"^(1 \w+ .*?)\bwere\b", r"\1was", sentence)


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
