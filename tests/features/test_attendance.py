"""What a week is worth: a rep who misses a part of one has room for his part of it, and no debt from it later."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.book import Book
from features.clock import _calendar, _weeks
from features.config import read_config
from tests.features.small_crm import MARKET, T, base, micros, typed

CONFIG = read_config(MARKET)


def room(
    capacity: float | None, *away: tuple[str, ...], at: str = "2026-03-06T09:00Z", of: str = MARKET, **rep: Any
) -> float:  # fmt: skip
    """Places that are left to R1, who works in London, from Monday to Friday, 9 to 17; T's week is 2-8 March."""
    rows = base()
    rows["reps"][0] |= {"weekly_capacity": capacity} | rep
    rows["time_off"] = [
        {"time_off_id": str(n), "rep_id": "R1"}
        | {name: pd.Timestamp(text) for name, text in zip(("starts_at", "ends_at", "known_at"), span, strict=False)}
        for n, span in enumerate(away)
    ]
    config = read_config(of)
    book = Book({name: typed(name, table) for name, table in rows.items()}, config, micros(T))
    return float(book.room(np.zeros(1, np.int64), np.array([micros(pd.Timestamp(at))]))[0])


def test_who_is_back_on_friday_has_a_fifth_of_a_week_s_room() -> None:
    assert room(10.0) == 10
    assert room(10.0, ("2026-02-09T00:00Z", "2026-03-06T00:00Z")) == 2
    assert room(10.0, ("2026-02-09T00:00Z", "2026-03-06T00:00Z"), at="2026-03-09T09:00Z") == 10  # no debt is kept
    assert np.isnan(room(None, ("2026-02-09T00:00Z", "2026-03-06T00:00Z")))


def test_a_part_of_a_place_is_one_and_rounding_makes_none() -> None:
    off = ("2026-02-09T00:00Z", "2026-03-06T00:00Z")
    assert room(3.0, off) == 1  # 0.6
    assert room(35.0, off) == 7  # 35 times 0.2 is more than 7 in floating point
    assert room(0.0, off) == 0


def test_who_comes_or_leaves_in_a_week_has_his_part_of_it() -> None:
    assert room(10.0, hired_at=pd.Timestamp("2026-03-04T00:00Z")) == 6
    assert room(10.0, active_until=pd.Timestamp("2026-03-04T13:00Z"), at="2026-03-02T09:00Z") == 5
    both = {"hired_at": pd.Timestamp("2026-03-03T00:00Z"), "active_until": pd.Timestamp("2026-03-05T00:00Z")}
    assert room(10.0, at="2026-03-03T09:00Z", **both) == 4
    assert room(10.0, hired_at=pd.Timestamp("2026-03-02T00:00Z")) == 10


NOW, MARCH = "2026-03-06T09:00Z", "2026-03-04T00:00Z"
#: What a CRM says that has no null, R1's absence or his row: with a day far ahead, or long ago; then an absence that
#: asks for as many calendars as it may, and what is left of ten places.
AHEAD: dict[str, Callable[[str], tuple[Any, dict[str, str], Any, float]]] = {
    "away for good": lambda day: ([(MARCH, day)], {}, [(MARCH, "2026-12-31T00:00Z")], 4),
    "away from far on": lambda day: ([("2098-01-01T00:00Z", day)], {}, [], 10),
    "never leaves": lambda day: ([], {"active_until": day}, [], 10),
}
AGO: dict[str, Callable[[str], tuple[Any, dict[str, str], Any, float]]] = {
    "away long ago": lambda day: ([(day, "1901-01-01T00:00Z")], {}, [], 10),
    "away ever since": lambda day: ([(day, MARCH)], {}, [("1990-01-01T00:00Z", MARCH)], 6),
    "here ever since": lambda day: ([], {"hired_at": day}, [], 10),
}


def calendars() -> list[int]:
    """How many were made: of working days, and of weeks."""
    return [made.cache_info().misses for made in (_calendar, _weeks)]


@pytest.mark.parametrize(
    ("kind", "day"),
    [*product(AHEAD, ["2099-12-31", "2999-12-31", "9999-12-31"]), *product(AGO, ["1900-01-01", "1700-01-01"])],
)
def test_what_never_ends_in_a_crm_needs_no_calendar_of_its_millennia(kind: str, day: str) -> None:
    away, row, near, left = (AHEAD | AGO)[kind](f"{day}T00:00Z")
    at = "2026-03-03T09:00Z" if kind == "away for good" else NOW
    for made in (_calendar, _weeks):
        made.cache_clear()
    room(10.0, *near, at=at)
    before = calendars()
    assert room(10.0, *away, at=at, **{name: pd.Timestamp(text).as_unit("us") for name, text in row.items()}) == left
    assert calendars() == before


@pytest.mark.parametrize(
    ("away", "left"),
    [
        ([("2026-03-03T13:00Z", "2026-03-03T17:00Z")], 9),  # four hours of forty
        ([("2026-03-03T17:00Z", "2026-03-04T09:00Z")], 10),  # a night
        ([("2026-02-28T00:00Z", "2026-03-02T00:00Z")], 10),  # the weekend before
        ([("2026-03-02T00:00Z", "2026-03-05T00:00Z"), ("2026-03-03T00:00Z", "2026-03-06T00:00Z")], 2),
        ([("2026-03-02T00:00Z", "2026-03-03T00:00Z")] * 2, 8),  # what is told twice counts once
        ([("2026-03-02T00:00Z", "2026-03-03T00:00Z"), ("2026-03-05T00:00Z", "2026-03-06T00:00Z")], 6),
        ([("2026-03-06T12:00Z", "2026-09-30T00:00Z")], 9),  # until further notice: of Friday he works the morning
    ],
)
def test_of_an_absence_its_working_hours_count_once(away: list[tuple[str, str]], left: float) -> None:
    assert room(10.0, *away) == left


def test_an_absence_counts_from_when_it_is_known() -> None:
    told = ("2026-03-02T00:00Z", "2026-03-04T00:00Z", "2026-03-05T12:00Z")
    assert room(10.0, told, at="2026-03-05T11:00Z") == 10
    assert room(10.0, told, at="2026-03-05T12:00Z") == 6
    before = ("2026-03-02T00:00Z", "2026-03-03T00:00Z", "2026-02-01T00:00Z")
    assert room(10.0, told, before, at="2026-03-05T11:00Z") == 8
    assert room(10.0, told, before, at="2026-03-05T12:00Z") == 6
    assert (
        room(10.0, ("2026-03-05T00:00Z", "2026-03-07T00:00Z"), at="2026-03-02T09:00Z") == 6
    )  # planned: on Monday, too


def test_a_public_holiday_is_no_absence() -> None:
    good_friday_week = "2026-04-02T09:00Z"
    assert room(4.0, at=good_friday_week) == 4
    assert room(4.0, ("2026-03-30T00:00Z", "2026-04-02T00:00Z"), at=good_friday_week) == 1  # one day of four
    assert room(4.0, ("2026-03-30T00:00Z", "2026-04-02T00:00Z"), at=good_friday_week, country="US") == 2  # two of five
    saturdays = MARKET + "hours: {days: [sat], from: 9, to: 17, holidays: {uk: GB-ENG}}\n"
    boxing_day = "2026-12-26T09:00Z"  # the only working day of the week is a holiday, so nothing of it can be missed
    assert room(4.0, ("2026-12-21T00:00Z", "2026-12-23T00:00Z"), at=boxing_day, of=saturdays) == 4


def test_the_week_and_its_hours_are_those_of_the_rep_s_zone() -> None:
    """He is away until Monday's midnight in Auckland, where the week begins half a day before London's."""
    off = ("2026-02-23T00:00Z", "2026-03-01T11:00Z")
    assert room(10.0, off, at="2026-03-01T12:00Z", timezone="Pacific/Auckland", country="NZ") == 10
    assert room(10.0, off, at="2026-03-01T12:00Z") == 0  # Sunday noon in London, after a week without him
