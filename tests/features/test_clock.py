"""Working hours and weeks, worked out by hand on a calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import HOUR, NAT, Absence, Duration, Hours, due, instant, iso_week_start, known_zone
from features.errors import InputError


def at(text: str, zone: str = "UTC") -> int:
    return instant(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


BERLIN, YORK = "Europe/Berlin", "America/New_York"
ROUND = Hours(days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), from_=0, to=24)
DUE = [
    # zone, country, hours, start, duration, end (both by the local clock)
    ("UTC", None, Hours(), "2026-03-02T09:00", "8wh", "2026-03-02T17:00"),  # a whole Monday ends on Monday
    ("UTC", None, Hours(), "2026-03-02T09:00", "16wh", "2026-03-03T17:00"),
    ("UTC", None, Hours(), "2026-03-02T16:00", "2wh", "2026-03-03T10:00"),
    ("UTC", None, Hours(), "2026-03-02T06:30", "1wh", "2026-03-02T10:00"),  # before hours: as from 9:00
    ("UTC", None, Hours(), "2026-03-02T20:00", "1wh", "2026-03-03T10:00"),  # after hours
    ("UTC", None, Hours(), "2026-03-06T16:00", "2wh", "2026-03-09T10:00"),  # over the weekend
    ("UTC", None, Hours(), "2026-03-07T12:00", "8wh", "2026-03-09T17:00"),  # begun on a Saturday
    (BERLIN, "DE", Hours(), "2026-05-13T16:00", "2wh", "2026-05-15T10:00"),  # Ascension Day, 14 May
    (BERLIN, None, Hours(), "2026-05-13T16:00", "2wh", "2026-05-14T10:00"),
    (BERLIN, "DE-BY", Hours(), "2026-06-03T16:00", "2wh", "2026-06-05T10:00"),  # Corpus Christi, not kept everywhere
    (BERLIN, "DE", Hours(), "2026-06-03T16:00", "2wh", "2026-06-04T10:00"),
    (BERLIN, "DE", Hours(), "2026-12-24T16:00", "2wh", "2026-12-28T10:00"),  # Christmas Friday and Saturday, Sunday
    (YORK, "US", Hours(), "2026-07-02T16:00", "2wh", "2026-07-06T10:00"),  # the 4th is a Saturday: Friday is kept
    (BERLIN, None, Hours(), "2026-03-27T16:00", "2wh", "2026-03-30T10:00"),  # clocks go forward on the 29th
    (BERLIN, None, ROUND, "2026-03-29T00:00", "23wh", "2026-03-30T00:00"),  # a day of 23 hours
    (BERLIN, None, ROUND, "2026-10-25T00:00", "25wh", "2026-10-26T00:00"),  # and of 25
    (BERLIN, None, Hours(from_="8:30", to="16:30"), "2026-03-02T16:00", "1wh", "2026-03-03T09:00"),
    (BERLIN, None, Hours(days=("sat",)), "2026-03-02T09:00", "9wh", "2026-03-14T10:00"),
    (YORK, "US", Hours(), "2026-03-06T12:00", "36h", "2026-03-08T00:00"),  # elapsed hours run day and night
    (YORK, "US", Hours(), "2026-03-07T12:00", "1d", "2026-03-08T13:00"),  # 24 hours over the change of clocks
]


@pytest.mark.parametrize(("zone", "country", "hours", "start", "duration", "end"), DUE, ids=[str(r[3:]) for r in DUE])
def test_due(zone: str, country: str | None, hours: Hours, start: str, duration: str, end: str) -> None:
    found = due(np.array([at(start, zone)]), Duration.parse(duration), zone, country, hours)
    assert found.tolist() == [at(end, zone)]


AWAY = [
    # zone, country, start, duration, spans away, end (all by the local clock)
    ("UTC", None, "2026-03-02T09:00", "8wh", [("2026-03-02T12:00", "2026-03-02T13:00")], "2026-03-03T10:00"),
    ("UTC", None, "2026-03-02T09:00", "8wh", [("2026-03-03T09:00", "2026-03-20T17:00")], "2026-03-02T17:00"),
    ("UTC", None, "2026-03-02T09:00", "16wh", [("2026-03-03T00:00", "2026-03-05T00:00")], "2026-03-05T17:00"),
    ("UTC", None, "2026-03-03T15:00", "2wh", [("2026-03-02T00:00", "2026-03-07T00:00")], "2026-03-09T11:00"),
    ("UTC", None, "2026-03-02T16:00", "2wh", [("2026-03-02T18:00", "2026-03-03T08:00")], "2026-03-03T10:00"),
    (
        "UTC", None, "2026-03-02T16:00", "3wh",
        [("2026-03-03T09:00", "2026-03-03T10:00"), ("2026-03-03T09:30", "2026-03-03T11:00")], "2026-03-03T13:00",
    ),
    # the 13th is a Wednesday, the 14th Ascension Day, and the rep is away on Friday
    (BERLIN, "DE", "2026-05-13T16:00", "2wh", [("2026-05-15T00:00", "2026-05-16T00:00")], "2026-05-18T10:00"),
    # away over the Monday after the clocks went forward
    (BERLIN, "DE", "2026-03-27T16:00", "2wh", [("2026-03-30T00:00", "2026-03-31T00:00")], "2026-03-31T10:00"),
    ("UTC", None, "2026-03-02T16:00", "24h", [("2026-03-02T17:00", "2026-03-20T00:00")], "2026-03-03T16:00"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "country", "start", "duration", "away", "end"), AWAY, ids=[str(r[2:]) for r in AWAY])
def test_working_hours_stand_still_while_someone_is_away(
    zone: str, country: str | None, start: str, duration: str, away: list[tuple[str, str]], end: str
) -> None:
    spans = [Absence(at(begins, zone), at(ends, zone)) for begins, ends in away]
    for given_in in (spans, spans[::-1]):
        found = due(np.array([at(start, zone)]), Duration.parse(duration), zone, country, Hours(), given_in)
        assert found.tolist() == [at(end, zone)]


def test_many_starts_are_each_start_alone_and_none_stays_none() -> None:
    rng = np.random.default_rng(7)
    starts = rng.integers(at("2019-12-20T00:00"), at("2041-01-10T00:00"), 500)
    starts[3] = NAT
    span = Duration.parse("16wh")
    together = due(starts, span, YORK, "US", Hours())
    assert together[3] == NAT
    assert together.tolist() == [due(starts[i : i + 1], span, YORK, "US", Hours())[0] for i in range(500)]
    assert due(starts[:0], span, YORK, "US", Hours()).tolist() == []


def test_an_absence_counts_when_it_is_known_before_the_time_has_passed() -> None:
    start, end, moved = at("2026-03-02T16:00"), at("2026-03-03T10:00"), at("2026-03-04T10:00")
    off = Absence(at("2026-03-03T00:00"), at("2026-03-04T00:00"))
    for known, expected in ((start, moved), (end - 1, moved), (end, end), (end + 1, end)):
        found = due(np.array([start]), Duration.parse("2wh"), "UTC", None, Hours(), [off._replace(known=known)])
        assert found.tolist() == [expected]


def reference(start: datetime, minutes: int, hours: Hours, zone: str, away: list[tuple[int, int]]) -> datetime:
    """Walk minute by minute; away: minutes since the start."""
    now, left = start, minutes
    while left:
        local = now.astimezone(ZoneInfo(zone))
        of_day = local.hour * 60 + local.minute
        passed = (now - start) // timedelta(minutes=1)
        there = not any(begins <= passed < ends for begins, ends in away)
        if there and local.weekday() in hours.weekdays and hours.start <= of_day < hours.end:
            left -= 1
        now += timedelta(minutes=1)
    return now


@settings(max_examples=40)
@given(
    st.integers(0, 60 * 24 * 400),
    st.integers(1, 6),
    st.sampled_from([Hours(), Hours(from_=22, to=24), ROUND, Hours(from_="1:30", to="3:30", days=("sun", "mon"))]),
    st.sampled_from(["UTC", BERLIN, YORK, "Australia/Lord_Howe"]),
    st.lists(st.tuples(st.integers(-2000, 4000), st.integers(-100, 3000)), max_size=4),
)
def test_due_is_what_a_walk_through_the_minutes_finds(
    offset: int, n: int, hours: Hours, zone: str, absent: list[tuple[int, int]]
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=offset)
    away = [(begins, begins + length) for begins, length in absent]
    minute = HOUR // 60
    spans = [Absence(*(instant(start) + one * minute for one in span)) for span in away]
    found = due(np.array([instant(start)]), Duration.parse(f"{n}wh"), zone, None, hours, spans)[0]
    assert found == instant(reference(start, n * 60, hours, zone, away))


WEEKS = [
    ("UTC", "2026-03-04T12:00", "2026-03-02T00:00"),
    ("UTC", "2026-03-02T00:00", "2026-03-02T00:00"),
    ("UTC", "2026-03-08T23:59", "2026-03-02T00:00"),
    (YORK, "2026-03-08T23:59", "2026-03-02T00:00"),  # Sunday of the change
    ("Pacific/Auckland", "2026-03-02T00:30", "2026-03-02T00:00"),  # Sunday still in UTC
    (BERLIN, "2027-01-01T10:00", "2026-12-28T00:00"),  # the ISO week spans the year
]


@pytest.mark.parametrize(("zone", "t", "monday"), WEEKS)
def test_a_week_begins_on_the_monday_of_the_zone(zone: str, t: str, monday: str) -> None:
    assert iso_week_start(np.array([at(t, zone)]), zone).tolist() == [at(monday, zone)]


@given(
    st.integers(at("1975-01-01T00:00"), at("2070-01-01T00:00")), st.sampled_from(["UTC", BERLIN, YORK, "Asia/Kolkata"])
)
def test_a_week_is_the_one_that_datetime_names(t: int, zone: str) -> None:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t)).astimezone(ZoneInfo(zone))
    begun = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(iso_week_start(np.array([t]), zone)[0]))
    monday = begun.astimezone(ZoneInfo(zone))
    assert monday.isocalendar()[:2] == local.isocalendar()[:2]
    assert (monday.weekday(), monday.hour, monday.minute) == (0, 0, 0)


@pytest.mark.parametrize("text", ["", "0d", "3", "d", "1.5h", "-1d", "3 months", "16 wh h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="16wh"):
        Duration.parse(text)


def test_durations() -> None:
    assert Duration.parse(" 16 wh ") == Duration("16wh", 16 * HOUR, True)
    assert Duration.parse("2w").microseconds == 14 * 24 * HOUR
    assert str(Duration.parse("90d")) == "90d"


def test_zones() -> None:
    assert known_zone("Europe/Berlin")
    assert not known_zone("../etc/passwd")
    with pytest.raises(InputError, match="IANA"):
        due(np.array([0]), Duration.parse("1wh"), "Mars/X", None, Hours())


def test_an_unknown_country_has_no_holidays() -> None:
    start = np.array([at("2026-12-24T16:00")])
    assert due(start, Duration.parse("2wh"), "UTC", "XX", Hours()).tolist() == [at("2026-12-25T10:00")]
