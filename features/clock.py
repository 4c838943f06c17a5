"""Time as a rep lives it: working hours, public holidays and ISO weeks of a time zone, on int64 microseconds UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import InputError

Instants = npt.NDArray[np.int64]

#: No instant; the same value as `features.asof.NAT`.
NAT: Final = int(np.iinfo(np.int64).min)
HOUR: Final = 3_600_000_000
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_UNITS: Final = {"wh": HOUR, "h": HOUR, "d": 24 * HOUR, "w": 7 * 24 * HOUR}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})\s*(wh|h|d|w)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN: Final = 20  # years that one calendar holds


@dataclass(frozen=True)
class Duration:
    """A span such as 16wh (working hours), 36h, 3d or 12w; days and weeks are 24 and 168 hours of the clock.

    microseconds  its length: of working time when `working`, else of elapsed time
    """

    text: str
    microseconds: int
    working: bool

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read a duration; ValueError says what is allowed."""
        found = _DURATION.fullmatch(text.strip())
        if not found:
            raise ValueError("a duration is a whole number above 0 and a unit: 16wh (working hours), 36h, 3d or 12w")
        amount, unit = int(found[1]), found[2]
        return cls(f"{amount}{unit}", amount * _UNITS[unit], unit == "wh")

    def __str__(self) -> str:
        return self.text


class Hours(BaseModel):
    """The working day of every rep by the clock of the rep's zone; `from` and `to` are hours, such as 9 or "8:30"."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ("mon", "tue", "wed", "thu", "fri")
    from_: int | str = Field(default=9, alias="from")
    to: int | str = 17

    @model_validator(mode="after")
    def _a_day(self) -> Self:
        if not self.days:
            raise ValueError("no day is a working day; list at least one, such as days: [mon, tue, wed, thu, fri]")
        if self.start >= self.end:
            raise ValueError(f"the day ends ({self.to}) before it starts ({self.from_})")
        return self

    @property
    def weekdays(self) -> frozenset[int]:
        """Working days of the week; 0 is Monday."""
        return frozenset(DAYS.index(day) for day in self.days)

    @property
    def start(self) -> int:
        """Minutes after local midnight, inclusive."""
        return _minutes(self.from_)

    @property
    def end(self) -> int:
        """Minutes after local midnight, exclusive; 1440 is the next midnight."""
        return _minutes(self.to)


def _minutes(value: int | str) -> int:
    found = re.fullmatch(r"([0-9]{1,2})(?::([0-5][0-9]))?", str(value))
    minutes = int(found[1]) * 60 + int(found[2] or 0) if found else 24 * 60 + 1
    if minutes > 24 * 60:
        raise ValueError(f"{value!r} is not a time of day; write 9 or 8:30, from 0 to 24")
    return minutes


@dataclass(frozen=True)
class _Calendar:
    """Working spans of one place. opens, closes, done: (d working days,); done: working time before the opening."""

    opens: Instants
    closes: Instants
    done: Instants

    def worked(self, t: Instants) -> Instants:
        """Working microseconds from the calendar's beginning until t."""
        day = np.searchsorted(self.opens, t, side="right") - 1
        inside = np.minimum(t, self.closes[day]) - self.opens[day]
        return np.where(day < 0, 0, self.done[day] + inside)

    def when(self, worked: Instants) -> Instants:
        """The first instant by which so much has been worked: a day's last minute, not the next day's first."""
        day = np.searchsorted(self.done, worked, side="left") - 1
        return self.opens[day] + worked - self.done[day]

    def without(self, away: Sequence[tuple[int, int]]) -> _Calendar:
        """The calendar of someone who is away in spans [from, until)."""
        opens, closes = self.opens, self.closes
        for begins, ends in away:
            if begins < ends:
                before, after = np.minimum(closes, begins), np.maximum(opens, ends)
                opens, closes = np.concatenate([opens, after]), np.concatenate([before, closes])
                left = np.flatnonzero(opens < closes)
                left = left[np.argsort(opens[left])]
                opens, closes = opens[left], closes[left]
        return self if opens is self.opens else _Calendar(opens, closes, _summed(opens, closes))


def due(
    start: Instants, duration: Duration, zone: str, country: str | None, hours: Hours,
    away: Sequence[tuple[int, int]] = (),
) -> Instants:  # fmt: skip
    """When a duration that begins at each start has passed.

    start    (n,) int64 microseconds UTC, any order; NAT stays NAT
    zone     IANA name; country: ISO code whose public holidays are not worked, None or an unknown one: no holidays
    away     spans [from, until), microseconds UTC, in which nobody works; elapsed time runs on through them
    Returns  (n,) int64 microseconds UTC. Working hours run only inside `hours` on working days, by the local clock:
             a working day on which the clocks change lasts as long as it really does.
    Raises   InputError when the zone is unknown.
    Cost     a binary search; the calendar of a (zone, country, hours) is made once for twenty years.
    """
    start = np.asarray(start, np.int64)
    known = start != NAT
    if not duration.working:
        return np.where(known, start + np.where(known, duration.microseconds, 0), NAT)
    if not known.any():
        return start.copy()
    begun = np.where(known, start, start[known][0])
    first, last = _year(int(begun.min())) - 1, _year(int(begun.max())) + 1
    while True:
        calendar = _calendar(zone, country, hours, first // _SPAN, last // _SPAN).without(away)
        target = calendar.worked(begun) + duration.microseconds
        if target.max() <= calendar.done[-1]:
            return np.where(known, calendar.when(target), NAT)
        last += _SPAN


def iso_week_start(t: Instants, zone: str) -> Instants:
    """The instant at which each t's ISO week began, Monday 00:00 of the zone's clock.

    t (n,) int64 microseconds UTC, no NAT. Returns (n,) int64 microseconds UTC. Raises InputError: unknown zone.
    """
    t = np.asarray(t, np.int64)
    if not t.size:
        return t.copy()
    weeks = _weeks(zone, (_year(int(t.min())) - 1) // _SPAN, (_year(int(t.max())) + 1) // _SPAN)
    return weeks[np.searchsorted(weeks, t, side="right") - 1]


def known_zone(zone: str) -> bool:
    """Whether this is the name of a time zone."""
    try:
        _zone(zone)
    except InputError:
        return False
    return True


def instant(at: datetime) -> int:
    """A datetime with a zone as microseconds since the epoch, exact."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _year(t: int) -> int:
    return (_EPOCH + timedelta(microseconds=t)).year


@lru_cache(maxsize=1024)
def _zone(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"There is no time zone {zone!r}; use an IANA name such as Europe/Berlin.") from error


def _local(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The instant of a local time. One that the clocks skip is read by the offset before, which is when they jump."""
    midnight = datetime(day.year, day.month, day.day)
    return instant((midnight + timedelta(minutes=minutes)).replace(tzinfo=zone))


def _dates(first: int, last: int) -> Iterator[date]:
    """Every date of the spans first..last, such as 101 for the years 2020-2039."""
    day, end = date(max(first * _SPAN, 1), 1, 1), date(min((last + 1) * _SPAN, 9999), 1, 1)
    while day < end:
        yield day
        day += timedelta(days=1)


@lru_cache(maxsize=512)
def _weeks(zone: str, first: int, last: int) -> Instants:
    place = _zone(zone)
    return np.array([_local(day, 0, place) for day in _dates(first, last) if day.weekday() == 0], np.int64)


@lru_cache(maxsize=512)
def _calendar(zone: str, country: str | None, hours: Hours, first: int, last: int) -> _Calendar:
    if last > 9999 // _SPAN:
        raise InputError("The duration does not end before the year 9999.")
    place, closed = _zone(zone), _holidays(country, first, last)
    weekdays, start, end = hours.weekdays, hours.start, hours.end
    days = [day for day in _dates(first, last) if day.weekday() in weekdays and day not in closed]
    opens = np.array([_local(day, start, place) for day in days], np.int64)
    closes = np.array([_local(day, end, place) for day in days], np.int64)
    return _Calendar(opens, closes, _summed(opens, closes))


def _summed(opens: Instants, closes: Instants) -> Instants:
    return np.concatenate([[0], np.cumsum(closes - opens)[:-1]]).astype(np.int64)


@lru_cache(maxsize=256)
def _holidays(country: str | None, first: int, last: int) -> frozenset[date]:
    if not country:
        return frozenset()
    try:
        return frozenset(holidays.country_holidays(country, years=range(first * _SPAN, (last + 1) * _SPAN)))
    except NotImplementedError:  # the library does not know the country: its working days are the week's
        return frozenset()
