"""Time as a rep lives it: working hours, public holidays and ISO weeks of a time zone, on int64 microseconds UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Annotated, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from features.errors import InputError
from features.public_holidays import days_off, holiday_place

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
    holidays: dict[str, Annotated[str, AfterValidator(holiday_place)]] = {}

    @model_validator(mode="after")
    def _a_day(self) -> Self:
        if not self.days:
            raise ValueError("no day is a working day; list at least one, such as days: [mon, tue, wed, thu, fri]")
        if self.start >= self.end:
            raise ValueError(f"the day ends ({self.to}) before it starts ({self.from_})")
        spelt = [region.strip().casefold() for region in self.holidays]
        twice = [region for region in self.holidays if spelt.count(region.strip().casefold()) > 1]
        if twice:
            raise ValueError(f"holidays names a region twice: {', '.join(twice)}; keep one")
        return self

    def __hash__(self) -> int:
        return hash((self.day, tuple(sorted(self.holidays.items()))))

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

    @property
    def day(self) -> _Day:
        """What a calendar is made from."""
        return _Day(self.weekdays, self.start, self.end)


class _Day(NamedTuple):
    weekdays: frozenset[int]
    start: int
    end: int


class Absence(NamedTuple):
    """When someone is away, from `begins` until `ends`, and since when that is known: microseconds UTC; NAT: always."""

    begins: int
    ends: int
    known: int = NAT


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

    def after(self, start: Instants, length: int, away: Sequence[Absence] = ()) -> Instants | None:
        """When so much has been worked from each start, without absences; None: not while this calendar lasts."""
        begun = self.worked(start)
        if not away:
            target = begun + length
        else:
            # In working time an absence is a span, and what lies behind it is put off by its length.
            begins, lengths = _merged(self.worked(np.array([(a.begins, a.ends) for a in away], np.int64)))
            passed = np.concatenate([[0], np.cumsum(lengths)])
            free = begins - passed[:-1]
            place = np.searchsorted(begins, begun, side="right")
            last = np.maximum(place - 1, 0)
            gone = passed[last] + np.minimum(begun - begins[last], lengths[last])
            worked = begun - np.where(place > 0, gone, 0) + length
            target = worked + passed[np.searchsorted(free, worked, side="left")]
        return self.when(target) if target.max() <= self.done[-1] else None


def _merged(spans: Instants) -> tuple[Instants, Instants]:
    """Begins and lengths of (k, 2) spans [begin, end), in order, those that overlap as one."""
    spans = spans[np.lexsort((spans[:, 1], spans[:, 0]))]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.flatnonzero(np.append(True, spans[1:, 0] > reach[:-1]))
    begins = spans[first, 0]
    ends = reach[np.append(first[1:], len(spans)) - 1]
    return begins, np.maximum(ends - begins, 0)


def due(
    start: Instants, duration: Duration, zone: str, place: str | None, hours: Hours, away: Sequence[Absence] = (),
) -> Instants:  # fmt: skip
    """When a duration that begins at each start has passed.

    start    (n,) int64 microseconds UTC, any order; NAT stays NAT
    zone     IANA name; place: ISO code of a country (DE) or a part of one (DE-BY) whose public holidays are not worked,
             None or an unknown one: no holidays
    away     when nobody works; elapsed time runs on. One that becomes known when the duration has passed changes
             nothing any more
    Returns  (n,) int64 microseconds UTC. Working hours run only inside `hours` on working days, by the local clock:
             a working day on which the clocks change lasts as long as it really does.
    Raises   InputError when the zone is unknown.
    Cost     a binary search; the calendar of a (zone, place, hours) is made once for twenty years.
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
        calendar = _calendar(zone, place, hours.day, first // _SPAN, last // _SPAN)
        ends = _ends(calendar, begun, duration.microseconds, away)
        if ends is not None:
            return np.where(known, ends, NAT)
        last += _SPAN


def _ends(calendar: _Calendar, start: Instants, length: int, away: Sequence[Absence]) -> Instants | None:
    """When so much has been worked, by the absences that were known by then; None: the calendar is too short."""
    ends = calendar.after(start, length)
    told: list[Absence] = []
    for known, those in groupby(sorted(away, key=lambda one: one.known), key=lambda one: one.known):
        if ends is None:
            return None
        told += (one for one in those if one.begins < one.ends)
        meets = [(ends > a.begins) & (start < a.ends) for a in told]
        late = (ends > known) & np.any(meets, axis=0) if meets else np.zeros(len(start), bool)
        if late.any():
            moved = calendar.after(start, length, told)
            ends = np.where(late, moved, ends) if moved is not None else None
    return ends


def worked(t: Instants, zone: str, place: str | None, hours: Hours) -> Instants:
    """The working time that has passed by each instant, since one that is the same for all of them.

    t (n,) int64 microseconds UTC, no NAT. Returns (n,) int64 microseconds. zone, place, hours, Raises: as `due`.
    """
    t = np.asarray(t, np.int64)
    if not t.size:
        return t.copy()
    first, last = _year(int(t.min())) - 1, _year(int(t.max())) + 1
    return _calendar(zone, place, hours.day, first // _SPAN, last // _SPAN).worked(t)


def covered(spans: Instants) -> int:
    """How much (k, 2) spans [begin, end) cover together; what several of them cover counts once."""
    return int(_merged(spans)[1].sum()) if len(spans) else 0


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
def _calendar(zone: str, place: str | None, hours: _Day, first: int, last: int) -> _Calendar:
    if last > 9999 // _SPAN:
        raise InputError("The duration does not end before the year 9999.")
    clock, closed = _zone(zone), days_off(place, first * _SPAN, (last + 1) * _SPAN - 1)
    days = [day for day in _dates(first, last) if day.weekday() in hours.weekdays and day not in closed]
    opens = np.array([_local(day, hours.start, clock) for day in days], np.int64)
    closes = np.array([_local(day, hours.end, clock) for day in days], np.int64)
    return _Calendar(opens, closes, np.concatenate([[0], np.cumsum(closes - opens)[:-1]]).astype(np.int64))
