"""The weeks of reps: what the ledger makes of a rep's absences is what the book makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.book import Book
from features.clock import instant
from features.snapshot import read_snapshot
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.crm import CRM
from serving.ledger.offers import Desk
from serving.ledger.weeks import week_of
from tests.serving.conftest import Crm
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def test_the_desk_knows_of_every_absence_what_the_book_knows(stand: Stand) -> None:
    """One reckoning of a rep's room: by it a worker ranks, and in the transaction the offer is held to it."""
    rng = np.random.default_rng(11)
    reps = [str(rep) for rep in stand.known.book.rep_ids]
    monday, _ = week_of(stand.now + timedelta(hours=30), "UTC")

    def instant_in(first: int, last: int) -> datetime:
        return monday + timedelta(hours=int(rng.integers(first, last)))

    away = []
    for n in range(2 * len(reps)):
        begin, known = instant_in(-40, 140), instant_in(0, 120)
        span = {"starts_at": begin, "ends_at": begin + timedelta(hours=int(rng.integers(1, 60)))}
        away.append(
            {"time_off_id": f"away-{n}", "rep_id": reps[n % len(reps)], "known_at": None if n % 3 else known} | span
        )
    zones = ("UTC", "Asia/Tokyo", "America/New_York", None)
    with changing(stand.ledger) as change:
        change.upsert("time_off", away)
        for n, rep_id in enumerate(reps):
            terms = {"weekly_capacity": float(rng.integers(4, 60)), "timezone": zones[n % 4], "country": "US"}
            came, left = instant_in(20, 70), instant_in(70, 140)  # of this very week, in each of the zones
            terms |= {"hired_at": came if n % 4 == 1 else None, "active_until": left if n % 4 == 2 else None}
            change.connection.execute(CRM["reps"].update().where(CRM["reps"].c.rep_id == rep_id).values(**terms))
        change.connection.execute(CRM["changes"].delete().where(CRM["changes"].c.table_name == "reps"))
        change.touch("reps", reps)
    seen = set()
    for hours in (30, 50, 45):
        stand.minutes += hours * 60
        url = stand.ledger.engine.url.render_as_string(hide_password=False)
        book = Book.of(read_snapshot(url, config=stand.crm.config, as_of=pd.Timestamp(stand.now)), stand.crm.config)
        now = np.full(len(reps), instant(stand.now))
        room = dict(zip(reps, book.room(np.arange(len(reps)), now).tolist(), strict=True))
        with changing(stand.ledger, stand.now) as change:
            desk = Desk(change, "UTC", stand.crm.config.hours)
            told = {rep_id: desk.room(rep_id) for rep_id in reps}
        assert {rep_id: max(left, 0) for rep_id, left in told.items() if left is not None} == room
        seen |= set(room.values())
    assert len(seen) > 10
