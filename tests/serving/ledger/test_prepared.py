"""A prepared statement does what SQLAlchemy's own execution of it does, on either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, insert, select

from features.clock import Hours
from serving.ledger import Ledger, LedgerError
from serving.ledger.change import changing
from serving.ledger.offers import Desk
from serving.ledger.prepared import Prepared
from serving.ledger.tables import DECISION_DETAILS, JOURNAL
from serving.ledger.weeks import week_of
from tests.serving.ledger.small import furnish, rows

PUT = Prepared(insert(JOURNAL))
FIND = select(JOURNAL).where(JOURNAL.c.seq == bindparam("number"), JOURNAL.c.table_name != "leads")
#: An instant of another zone, a text that is no ASCII, and every kind of value that is null.
ROW = {
    "seq": 7, "place": 0, "at": datetime(2026, 3, 1, 12, 30, 0, 123, timezone(timedelta(hours=2))),
    "table_name": "Zürich's %s ?", "row_id": None, "gone": True,
}  # fmt: skip


def test_values_go_in_and_come_out_as_by_any_other_way(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        PUT.run(connection, ROW)
        PUT.run_each(connection, [ROW | {"place": place, "gone": False, "table_name": "leads"} for place in (1, 2)])
        blob = {"decision_id": "D-1", "body": b"\x00\xff", "contact_hash": None}
        Prepared(insert(DECISION_DETAILS)).run(connection, blob)
    with ledger.reading() as connection:
        read = connection.execute(select(JOURNAL).order_by(JOURNAL.c.place)).all()
        one = Prepared(FIND).one(connection, {"number": 7})
        assert connection.execute(select(DECISION_DETAILS)).one()._asdict() == blob
    assert read[0]._asdict() == one._asdict() == ROW
    assert (one.at.utcoffset(), one.gone) == (timedelta(0), True)
    assert [row.place for row in read] == [0, 1, 2]


def test_what_the_driver_refuses_is_told_as_any_failure_and_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerError), ledger.writing() as connection:
        PUT.run_each(connection, [ROW, ROW])
    with pytest.raises(KeyError, match="gone"), ledger.writing() as connection:
        PUT.run(connection, {name: value for name, value in ROW.items() if name != "gone"})
    with ledger.writing() as connection:
        assert connection.execute(select(JOURNAL)).all() == []
        PUT.run(connection, ROW)  # and the connection goes on


def test_a_reps_room_is_that_of_the_zone_in_which_he_is_now(ledger: Ledger) -> None:
    """Sunday night in New York: a new week in Auckland already, where the offer before it does not count any more."""
    furnish(ledger)
    night = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
    assert week_of(night, "America/New_York")[0] < night - timedelta(days=6)
    one = {"offer_id": "before", "lead_id": "L1", "rep_id": "R9", "offered_at": night - timedelta(days=2)}
    for zone, room in (("America/New_York", 1), ("Pacific/Auckland", 2), ("America/New_York", 1), (None, 2)):
        rep = {"rep_id": "R9", "name": "Nine", "role": "segment", "timezone": zone, "weekly_capacity": 2.0}
        with changing(ledger, night) as change:
            change.upsert("reps", rows("reps", rep))
            change.upsert("offers", rows("offers", one))
            assert Desk(change, "UTC", Hours()).room("R9") == room
