"""Changes of the ledger: what one wrote, another reads by number, in one order, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from features.schema import TABLES
from serving.ledger import Ledger, LedgerError, again, database
from serving.ledger.again import AGAIN
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.crm import CRM
from serving.ledger.database import Crossed
from serving.ledger.tables import LEDGER_CLOCK

AT = datetime(2026, 3, 2, 9, 0, 0, 123, tzinfo=UTC)


def whole(table: str, **told: object) -> dict[str, object]:
    return dict.fromkeys(TABLES[table].names) | told


def change_row(value: str) -> dict[str, object]:
    return whole(
        "changes", table_name="accounts", row_id="A1", column_name="status", value=value, valid_from=AT, known_at=AT
    )


def test_a_key_that_holds_an_instant_comes_back_as_it_was(ledger: Ledger) -> None:
    with changing(ledger) as change:
        change.upsert("changes", [change_row("prospect")])
    with changing(ledger) as change:
        change.upsert("changes", [change_row("customer")])
    with ledger.reading() as connection:
        found = changed_since(connection, 0)
        stored = connection.execute(select(CRM["changes"])).one()
    assert found.rows == {"changes": [("accounts", "A1", "status", AT)]}
    assert (stored.value, stored.valid_from) == ("customer", AT)
    assert found.seq == 2


def test_what_was_touched_last_counts_and_nothing_before_the_number(ledger: Ledger) -> None:
    with changing(ledger) as change:
        change.touch("touches", ["T1"])
        change.touch("touches", ["T2"])
    with changing(ledger) as change:
        change.touch("touches", ["T1"], gone=True)
        change.touch("meetings", None)
    with ledger.reading() as connection:
        every, last = changed_since(connection, 0), changed_since(connection, 1)
    assert every.rows == {"touches": [("T2",)]}
    assert every.gone == last.gone == {"touches": [("T1",)]}
    assert every.whole == last.whole == {"meetings"}
    assert not last.rows


def test_a_change_that_breaks_off_leaves_no_number(ledger: Ledger) -> None:
    def half() -> None:
        with changing(ledger) as change:
            change.touch("touches", ["T1"])
            raise RuntimeError("half of it")

    with pytest.raises(RuntimeError, match="half of it"):
        half()
    with ledger.reading() as connection:
        assert seq_of(connection) == 0
        assert not changed_since(connection, 0).rows


def test_a_writer_waits_for_another_so_long_and_no_longer(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    other = Ledger(url)

    def write() -> None:
        with changing(other) as change:
            change.touch("touches", ["T1"])

    with changing(ledger) as first:
        first.touch("touches", ["T2"])
        with pytest.raises(LedgerError):
            write()
    write()
    with ledger.reading() as connection:
        assert changed_since(connection, 0).rows == {"touches": [("T2",), ("T1",)]}
    other.close()


def test_who_cannot_wait_gives_up_and_leaves_the_others_their_patience(ledger: Ledger, url: str) -> None:
    other = Ledger(url)

    def hasty() -> None:
        with other.writing(seconds=0.1) as connection:
            connection.execute(update(LEDGER_CLOCK).values(seq=7))

    with changing(ledger) as first:
        first.touch("touches", ["T1"])
        with pytest.raises(LedgerError):
            hasty()
    with other.reading() as connection:
        asked = "PRAGMA busy_timeout" if other.journal else "SHOW lock_timeout"
        assert connection.exec_driver_sql(asked).scalar() in (database.BUSY_SECONDS * 1000, f"{database.BUSY_SECONDS}s")
    hasty()
    with ledger.reading() as connection:
        assert seq_of(connection) == 7
    other.close()


def test_a_reader_sees_one_state_throughout(ledger: Ledger) -> None:
    """What commits between two statements of one reading is in neither, so tables that refer to each other agree."""
    with ledger.reading() as connection:
        before = seq_of(connection)
        if ledger.journal != "delete":  # under the rollback journal the writer would wait for the reader
            with changing(ledger) as change:
                change.upsert("changes", [change_row("prospect")])
        assert seq_of(connection) == before
        assert connection.execute(select(func.count()).select_from(CRM["changes"])).scalar_one() == 0


@pytest.mark.parametrize("crossings", [AGAIN, AGAIN + 1])
def test_what_crossed_another_is_done_again_a_few_times_and_then_refused(
    crossings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.ledger.again.PAUSE", 0.0)
    left = [Crossed("a deadlock")] * crossings

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    if crossings > AGAIN:
        with pytest.raises(Crossed):
            again.whole(work)
    else:
        assert again.whole(work) == "done"
    assert not left
