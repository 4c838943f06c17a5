"""The audit is only added to, and a row that was changed, taken out, slipped in or cut off is named."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from sqlalchemy import Connection, delete, func, insert, select, text, update

from features.clock import Hours
from serving.actor import LOCAL
from serving.ledger import Ledger, LedgerError, audit
from serving.ledger.audit import Head, forget, head, record, verify
from serving.ledger.change import changing
from serving.ledger.decisions import Decision
from serving.ledger.events import record as tell
from serving.ledger.offers import Desk
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, LEDGER_CLOCK
from serving.ledger.vouched import COLUMNS
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, hours

# The guards are the tables' own: the role that serves is stopped before it meets them (test_grants.py).
pytestmark = pytest.mark.owner

N = 7


def written(ledger: Ledger, n: int = N) -> None:
    """n rows, in transactions of one and of several."""
    with changing(ledger) as change:
        record(change, "key:k1", "offer", "offer:O0", {"rep_id": "R1", "score": 0.5, "note": "Zürich, ≥ 3"})
    with changing(ledger) as change:
        for i in range(1, n):
            record(change, f"key:k{i}", "event", f"offer:O{i}", {"n": i})


def found(ledger: Ledger, noted: Head | None = None) -> int | None:
    with ledger.reading() as connection:
        tampered = verify(connection, noted)
        return tampered.number if tampered else None


def unguard(connection: Connection) -> None:
    """What an administrator of the database can do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        return
    for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')


def test_an_audit_that_nobody_touched_is_whole(ledger: Ledger) -> None:
    assert found(ledger) is None
    written(ledger)
    assert found(ledger) is None
    with ledger.reading() as connection:
        last = head(connection)
        assert last.number == N
        assert connection.execute(select(func.count()).select_from(AUDIT)).scalar_one() == N
    assert found(ledger, last) is None


def decided(ledger: Ledger) -> None:
    """A committed decision with its offer and what was reported of it; rows 1 and 2 of the audit."""
    furnish(ledger)
    row = {
        "decision_id": "D1", "at": OFFERED, "actor": "local", "route": "recommend_reps", "lead_id": "L2",
        "rep_id": None, "as_of": OFFERED, "policy": "champion", "rung": "champion", "degraded_reason": None,
        "model_version": "2", "content_hash": None, "feature_version": "f", "config_fingerprint": "c",
        "inputs_hash": "i", "book_seq": 1, "candidates": 3, "refused": "{}",
    }  # fmt: skip
    with changing(ledger, hours(1)) as change:
        made = Desk(change, "UTC", Hours()).offer("L2", "R2", decision_id="D1", policy="champion", propensity=0.1 + 0.2)
        Decision(row, {"items": [], "vectors": {}}).commit(change)
        record(change, "local", "offer", "D1", {})
    with changing(ledger, hours(2)) as change:
        happened = {"event_id": "e1", "offer_id": made, "kind": "rejected", "at": hours(2), "reason": "other"}
        tell(change, CONFIG, [happened], LOCAL)
        record(change, "local", "record", made, {})


def test_a_row_that_the_audit_vouches_for_is_held_to_it(ledger: Ledger) -> None:
    decided(ledger)
    with ledger.reading() as connection:
        counted: Counter[str] = Counter()
        assert verify(connection, counted=counted) is None
    assert {name: n for name, n in counted.items() if n} == dict.fromkeys(COLUMNS, 1)
    for number, table, statement in (
        (1, "offers", "UPDATE offers SET rep_id = 'R3' WHERE decision_id = 'D1'"),
        (1, "offers", "DELETE FROM offers WHERE decision_id = 'D1'"),
        (1, "decisions", "UPDATE decisions SET policy = 'explore'"),
        (1, "decisions", "UPDATE decisions SET model_version = '3'"),
        (1, "decision_details", "DELETE FROM decision_details"),
        (2, "events", "UPDATE events SET kind = 'accepted'"),
        (2, "events", "UPDATE events SET body = '{}'"),
    ):
        with suppress(InterruptedError), ledger.writing() as connection:
            connection.execute(text(statement))
            tampered = verify(connection)
            assert tampered is not None, statement
            assert tampered.number == number
            assert f" of {table}, for which it vouches, " in tampered.why
            raise InterruptedError  # and takes it back
    assert found(ledger) is None
    with changing(ledger) as change:  # what retention lets go of is not missed
        change.connection.execute(text("DELETE FROM decision_details"))
        record(change, "retention", "prune", hours(1.5).isoformat(), {})
    assert found(ledger) is None


def test_a_change_that_is_taken_back_leaves_no_row(ledger: Ledger) -> None:
    written(ledger)

    def broken() -> None:
        with changing(ledger) as change:
            record(change, "cli", "offer", "offer:O9", {})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        broken()
    written(ledger)
    assert found(ledger) is None
    with ledger.reading() as connection:
        assert head(connection).number == 2 * N


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x' WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit",
        pytest.param("TRUNCATE audit", id="truncate"),  # no statement of SQLite, as the next is none of PostgreSQL
        pytest.param("REPLACE INTO audit SELECT number, at, 'x', action, subject, payload_hash, prior_hash, hash "
                     "FROM audit WHERE number = 3", id="replace"),
    ],
)  # fmt: skip
def test_the_database_itself_refuses_to_change_a_row(ledger: Ledger, statement: str) -> None:
    written(ledger)
    with pytest.raises(LedgerError), ledger.writing() as connection:
        connection.execute(text(statement))
    assert found(ledger) is None
    written(ledger)  # and goes on


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "payload_hash", "prior_hash", "hash"])
@pytest.mark.parametrize("number", [1, 4, N])
def test_a_row_that_was_changed_is_named(ledger: Ledger, column: str, number: int) -> None:
    written(ledger)
    with ledger.writing() as connection:
        unguard(connection)
        other = func.coalesce(select(LEDGER_CLOCK.c.audit_hash).scalar_subquery(), "") if "hash" in column else "x"
        if number == N and column == "hash":
            other = "0" * 64
        value = text("'2020-01-01T00:00:00.000000Z'") if column == "at" else other
        connection.execute(update(AUDIT).where(AUDIT.c.number == number).values({column: value}))
    assert found(ledger) == number


@pytest.mark.parametrize(("number", "named"), [(4, 5), (N, N)], ids=["the next", "the clock"])
def test_a_row_that_was_forged_with_its_own_hash_is_told_by(ledger: Ledger, number: int, named: int) -> None:
    written(ledger)
    with ledger.writing() as connection:
        unguard(connection)
        row = connection.execute(select(AUDIT).where(AUDIT.c.number == number)).one()
        said = audit._said(row.number, row.at, "x", row.action, row.subject, row.payload_hash, row.prior_hash)
        forged = {"actor": "x", "hash": audit._hash(said)}
        connection.execute(update(AUDIT).where(AUDIT.c.number == number).values(forged))
    assert found(ledger) == named


@pytest.mark.parametrize("number", [1, 4, N])
def test_a_row_that_was_taken_out_is_named(ledger: Ledger, number: int) -> None:
    """The last one too: its number stands in the clock's row."""
    written(ledger)
    with ledger.writing() as connection:
        unguard(connection)
        connection.execute(delete(AUDIT).where(AUDIT.c.number == number))
        connection.execute(delete(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number == number))
    assert found(ledger) == number


def test_a_tail_cut_off_with_its_payloads_and_the_clock_is_told_by_a_noted_head(ledger: Ledger) -> None:
    written(ledger)
    with ledger.writing() as connection:
        noted = head(connection)
        unguard(connection)
        connection.execute(delete(AUDIT).where(AUDIT.c.number > 5))
        last = connection.execute(select(AUDIT.c.hash).where(AUDIT.c.number == 5)).scalar_one()
        connection.execute(update(LEDGER_CLOCK).values(audit_number=5, audit_hash=last))
    assert found(ledger) == 6  # by the payloads that are left
    with ledger.writing() as connection:
        connection.execute(delete(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number > 5))
    assert found(ledger) is None  # a forger of everything: nothing inside the database can tell
    assert found(ledger, noted) == 6
    written(ledger)
    assert found(ledger, noted) == N  # the forged history has a seventh row again, with another hash


def test_a_payload_that_was_changed_or_taken_is_named(ledger: Ledger) -> None:
    written(ledger)
    with ledger.writing() as connection:
        connection.execute(update(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number == 5).values(body='{"n":50}'))
    assert found(ledger) == 5
    with ledger.writing() as connection:
        connection.execute(delete(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number == 5))
    assert found(ledger) == 5


def test_a_payload_that_was_forgotten_leaves_the_chain_whole(ledger: Ledger) -> None:
    written(ledger)
    with changing(ledger) as change:
        forget(change, "cli", [3, 5])
    assert found(ledger) is None
    with ledger.writing() as connection:
        assert connection.execute(select(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number.in_([3, 5]))).all() == []
        connection.execute(delete(AUDIT_PAYLOADS).where(AUDIT_PAYLOADS.c.number == 4))
    assert found(ledger) == 4


def test_a_row_slipped_in_at_the_end_is_named(ledger: Ledger) -> None:
    written(ledger)
    with ledger.writing() as connection:
        last = connection.execute(select(AUDIT).where(AUDIT.c.number == N)).one()
        connection.execute(insert(AUDIT).values(**last._asdict() | {"number": N + 1, "prior_hash": last.hash}))
    assert found(ledger) == N + 1
