"""By when an offer must be answered, worked out by hand on a calendar, and how fast leads are reached."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from features.book import Book
from features.config import Config, read_config
from features.snapshot import read_snapshot
from serving.due import Due, due, speed
from serving.instants import micros
from serving.ledger import Ledger
from serving.ledger.change import changing
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, give, hours, offer, rows, table


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def config(sla: str) -> Config:
    return read_config(f"markets: {{all: {{countries: [DE]}}}}\ntimezone: UTC\nsla: {sla}\n")


def change(ledger: Ledger, name: str, row_id: str, **new: Any) -> None:
    key = f"{name[:-1]}_id"
    with changing(ledger, OFFERED) as made:
        row = next(row for row in table(ledger, name) if row[key] == row_id)
        made.upsert(name, [row | new])


def listed(ledger: Ledger, sla: Config = CONFIG, now: datetime = OFFERED) -> dict[str, Due]:
    with ledger.reading() as connection:
        return {one.offer_id: one for one in due(connection, sla, now)}


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


BERLIN, YORK = "Europe/Berlin", "America/New_York"
CASES = [
    # sla, role, grade, zone, country, offered, days off, due (all by the rep's clock), limit
    ("{accept: 16wh}", "segment", None, "UTC", None, "2026-03-02T09:00", [], "2026-03-03T17:00", "16wh"),
    ("{accept: 4wh}", "segment", None, "UTC", None, "2026-03-06T16:00", [], "2026-03-09T12:00", "4wh"),
    ("{accept: 8wh}", "segment", None, BERLIN, "DE", "2026-05-13T13:00", [], "2026-05-15T13:00", "8wh"),
    ("{accept: 8wh}", "segment", None, BERLIN, "DE", "2026-05-13T13:00", ["15"], "2026-05-18T13:00", "8wh"),
    ("{accept: 2wh}", "segment", None, YORK, "US", "2026-03-06T16:00", [], "2026-03-09T10:00", "2wh"),
    ("{accept: 16wh, by_role: {enterprise: 3d}}", "enterprise", None, "UTC", None, "2026-03-02T09:00", [],
     "2026-03-05T09:00", "3d"),
    ("{accept: 16wh, by_grade: {A: 4wh}}", "segment", "A", "UTC", None, "2026-03-02T09:00", [],
     "2026-03-02T13:00", "4wh"),
    ("{accept: 16wh, by_grade: {A: 4wh}}", "segment", "B", "UTC", None, "2026-03-02T09:00", [],
     "2026-03-03T17:00", "16wh"),
    ("{accept: 2wh, by_grade: {C: 3d}}", "segment", "C", "UTC", None, "2026-03-02T09:00", [],
     "2026-03-02T11:00", "2wh"),
    ("{by_role: {inside: 1h}, by_grade: {A: 4wh}}", "inside", "A", "UTC", None, "2026-03-06T20:00", [],
     "2026-03-06T21:00", "1h"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sla", "role", "grade", "zone", "country", "offered", "off", "end", "limit"),
    CASES,
    ids=[str(c[5:]) for c in CASES],
)
def test_an_offer_is_due_when_the_first_of_its_limits_ends(
    ledger: Ledger, sla: str, role: str, grade: str | None, zone: str, country: str | None, offered: str,
    off: list[str], end: str, limit: str,
) -> None:  # fmt: skip
    furnish(ledger)
    change(ledger, "reps", "R2", role=role, timezone=zone, country=country)
    change(ledger, "leads", "L2", grade=grade)
    give(ledger, offer("F2", "L2", "R2", at(offered, zone)))
    month = offered[:8]
    spans = [
        {"time_off_id": day, "rep_id": "R2", "starts_at": at(f"{month}{day}T00:00", zone),
         "ends_at": at(f"{month}{day}T23:59", zone)}
        for day in off
    ]  # fmt: skip
    with changing(ledger, OFFERED) as made:
        made.upsert("time_off", rows("time_off", *spans))
    wanted = at(end, zone)
    found = listed(ledger, config(sla), wanted - timedelta(seconds=1))["F2"]
    assert (found.due_at, found.limit, found.breached) == (wanted, limit, False)
    assert listed(ledger, config(sla), wanted)["F2"].breached


@pytest.mark.parametrize(
    ("regions", "country", "end"),
    [
        ("us-east;DACH", "DE", "2026-06-05T13:00"),  # New York is not where he lives; Bavaria keeps Corpus Christi
        ("us-east;dach", None, "2026-06-04T13:00"),  # of a rep without a country, the first
        ("uk", "DE", "2026-06-04T13:00"),
    ],
)
def test_a_rep_keeps_the_public_holidays_of_his_region(
    stood: Ledger, regions: str, country: str | None, end: str
) -> None:
    change(stood, "reps", "R2", timezone=BERLIN, country=country, regions=regions)
    give(stood, offer("F2", "L2", "R2", at("2026-06-03T13:00", BERLIN)))
    kept = "sla: {accept: 8wh}\nhours: {holidays: {us-east: US-NY, dach: DE-BY}}\n"
    found = listed(stood, read_config(f"markets: {{all: {{countries: [DE]}}}}\ntimezone: UTC\n{kept}"))
    assert found["F2"].due_at == at(end, BERLIN)


def test_what_training_calls_expired_is_what_the_service_lets_expire(stood: Ledger) -> None:
    """Role and grade are those of the offer, absences those known in time: in the book and the list of what is due."""
    give(stood, offer("F2", "L2", "R2"), offer("F3", "L3", "R3"))
    with changing(stood, hours(1)) as made:
        was = [
            {"table_name": "leads", "row_id": "L2", "column_name": "grade", "value": "A", "valid_from": hours(-1)},
            {"table_name": "leads", "row_id": "L2", "column_name": "grade", "value": "B", "valid_from": hours(1)},
            {"table_name": "reps", "row_id": "R3", "column_name": "role", "value": "inside", "valid_from": hours(-9)},
            {"table_name": "reps", "row_id": "R3", "column_name": "role", "value": "segment", "valid_from": hours(1)},
        ]
        made.upsert("changes", rows("changes", *was))
        off = {"rep_id": "R1", "starts_at": hours(8), "ends_at": hours(32)}
        made.upsert("time_off", rows("time_off", off | {"time_off_id": "T"}))
        late = off | {"time_off_id": "late", "starts_at": hours(40), "ends_at": hours(90), "known_at": hours(60)}
        made.upsert("time_off", rows("time_off", late))
    change(stood, "leads", "L2", grade="B")
    sla = config("{by_role: {inside: 4wh}, by_grade: {A: 2wh}}")
    told = listed(stood, sla, hours(100))
    assert {one: told[one].due_at for one in told} == {
        "F1": at("2026-03-04T17:00"), "F2": at("2026-03-02T11:00"), "F3": at("2026-03-02T13:00")
    }  # fmt: skip
    url = stood.engine.url.render_as_string(hide_password=False)
    book = Book.of(read_snapshot(url, config=sla, as_of=pd.Timestamp(hours(100))), sla)
    assert dict(zip(book.outcomes.offer_id, book.outcomes.due.tolist(), strict=True)) == {
        one: micros(told[one].due_at) for one in told
    }


def test_the_first_that_is_due_comes_first_and_what_is_answered_is_not_listed(stood: Ledger) -> None:
    give(
        stood, offer("F2", "L2", "R2", hours(-96)), offer("F3", "L3", "R3", answer="accepted", answered_at=hours(1)),
    )  # fmt: skip
    assert list(listed(stood)) == ["F2", "F1"]


def test_what_ran_out_lately_stays_on_the_list(stood: Ledger) -> None:
    give(
        stood,
        offer("F2", "L2", "R2", hours(-30), answer="expired", answered_at=hours(-1)),
        offer("F3", "L3", "R3", hours(-900), answer="expired", answered_at=hours(-800)),
    )
    found = listed(stood)
    assert set(found) == {"F1", "F2"}
    assert (found["F2"].breached, found["F2"].expired) == (True, True)


def test_an_absence_that_is_not_known_yet_stops_no_clock(stood: Ledger) -> None:
    off = {"time_off_id": "T", "rep_id": "R1", "starts_at": hours(0), "ends_at": hours(5 * 24), "known_at": hours(2)}
    with changing(stood, OFFERED) as made:
        made.upsert("time_off", rows("time_off", off))
    assert listed(stood, now=hours(1))["F1"].due_at == at("2026-03-03T17:00")
    assert listed(stood, now=hours(2))["F1"].due_at == at("2026-03-10T17:00")


def test_nobody_waits_for_a_rep_who_left(stood: Ledger) -> None:
    change(stood, "reps", "R1", active_until=hours(3))
    found = listed(stood, now=hours(3))["F1"]
    assert (found.due_at, found.limit, found.breached) == (hours(3), "left", True)


def test_speed_runs_from_creation_to_offer_to_the_first_touch_of_rep_and_contact(stood: Ledger) -> None:
    touches = [
        {"touch_id": "t0", "rep_id": "R1", "occurred_at": hours(-0.5)},  # before the offer
        {"touch_id": "t1", "rep_id": "R2", "occurred_at": hours(1)},  # by another
        {"touch_id": "t2", "rep_id": "R1", "occurred_at": hours(2)},
        {"touch_id": "t3", "rep_id": "R1", "occurred_at": hours(3)},
    ]
    with changing(stood, OFFERED) as made:
        made.upsert("touches", rows("touches", *({"contact_id": "C1", "kind": "call"} | touch for touch in touches)))
    give(stood, offer("F3", "L3", "R3", hours(1)))
    found = listed(stood, now=hours(4))
    assert (found["F1"].lead_to_offer, found["F1"].offer_to_touch) == (3600, 7200)
    assert (found["F3"].lead_to_offer, found["F3"].offer_to_touch) == (7200, None)
    with stood.reading() as connection:
        told = speed(connection, hours(4))
    assert (told.offers, told.untouched) == (2, 1)
    assert (told.lead_to_offer, told.offer_to_touch, told.lead_to_touch) == (5400, 7200, 10_800)


def test_a_ledger_without_offers_has_no_speed(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        told = speed(connection, OFFERED)
    assert (told.offers, told.lead_to_offer) == (0, None)
