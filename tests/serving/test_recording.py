"""A request to /record: whole in one change, audited, and answered again as it was under the same key."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from serving import metrics
from serving.actor import LOCAL
from serving.body import checked
from serving.decided import Decided
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.idempotency import KeyRefused
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, EVENTS
from serving.recording import record_events
from serving.wire.record import RecordAnswer, RecordAsk
from tests.serving.ledger.small import CONFIG, furnish, hours, offer_of


def ask(*events: dict[str, Any]) -> RecordAsk:
    made = checked(RecordAsk, json.dumps({"events": list(events)}).encode())
    assert isinstance(made, RecordAsk)
    return made


def yes(event_id: str = "e1", offer_id: str = "F1", kind: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"event_id": event_id, "offer_id": offer_id, "kind": kind, "at": "2026-03-02T11:00:00Z"} | more


def send(ledger: Ledger, *events: dict[str, Any], key: str | None = "k1", actor: Any = LOCAL) -> Decided:
    return record_events(ledger, CONFIG, ask(*events).events, actor, key, hours(3))


@pytest.fixture
def stood(ledger: Ledger) -> Ledger:
    furnish(ledger)
    return ledger


def rows(ledger: Ledger, table: Any) -> int:
    with ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_each_event_has_its_result_in_the_order_of_the_request(stood: Ledger) -> None:
    answer = send(stood, yes("b", "F9"), yes("a"), yes("a", kind="withdrawn"), yes("a")).answer
    assert RecordAnswer.model_validate(answer).model_dump() == answer
    assert [(r["event_id"], r["result"]) for r in answer["results"]] == [
        ("b", "parked"), ("a", "applied"), ("a", "refused"), ("a", "duplicate"),
    ]  # fmt: skip


def test_an_offer_that_a_reassignment_makes_is_counted_once(stood: Ledger) -> None:
    def made() -> float:
        return float(metrics.OFFERS.labels("manual", "/record")._value.get())

    before, event = made(), yes(kind="reassigned", to_rep_id="R2")
    assert (
        send(stood, yes("x", kind="reassigned", to_rep_id="R99"), key=None).answer["results"][0]["result"] == "refused"
    )
    assert made() == before
    for key in ("k1", "k1", None):  # anew, a retry, and the same event once more
        send(stood, event, key=key)
    assert made() == before + 1


def test_a_retry_with_its_key_gets_the_same_answer_and_changes_nothing(stood: Ledger) -> None:
    first = send(stood, yes())
    again = send(stood, yes())
    assert (first.replayed, again.replayed) == (False, True)
    assert again.answer == first.answer
    assert (rows(stood, EVENTS), rows(stood, AUDIT)) == (1, 1)


def test_without_a_key_a_retry_is_told_that_it_is_one(stood: Ledger) -> None:
    assert send(stood, yes(), key=None).answer["results"][0]["result"] == "applied"
    assert send(stood, yes(), key=None).answer["results"][0]["result"] == "duplicate"


def test_a_key_stands_for_one_body_and_one_caller(stood: Ledger) -> None:
    send(stood, yes())
    with pytest.raises(KeyRefused) as refused:
        send(stood, yes("e2"))
    assert refused.value.status == 422
    assert not send(stood, yes(), actor=replace(LOCAL, name="key:2")).replayed


def test_who_said_what_is_in_the_audit(stood: Ledger) -> None:
    no = yes(kind="rejected", reason="bad_data", text="moved on")
    send(stood, no, yes("e2", "F9"), actor=replace(LOCAL, name="key:2"))
    with stood.reading() as connection:
        row = connection.execute(select(AUDIT)).one()
        said = json.loads(connection.execute(select(AUDIT_PAYLOADS.c.body)).scalar_one())
        assert verify(connection) is None
    assert (row.actor, row.action, row.subject) == ("key:2", "record", "F1 F9")
    assert said["events"][0] == no
    assert [result["result"] for result in said["results"]] == ["applied", "parked"]


@pytest.mark.owner
def test_a_request_that_cannot_be_audited_records_nothing(stood: Ledger) -> None:
    with stood.writing() as connection:
        connection.exec_driver_sql("DROP TABLE audit_payloads")
    with pytest.raises(Exception, match="audit_payloads"):
        send(stood, yes())
    assert rows(stood, EVENTS) == 0
    assert offer_of(stood, "F1")["answer"] is None


def test_the_clock_is_the_services_own_where_none_is_given(stood: Ledger) -> None:
    ahead = yes() | {"at": datetime(2099, 1, 1, tzinfo=UTC).isoformat()}
    (result,) = record_events(stood, CONFIG, ask(ahead).events, LOCAL, None).answer["results"]
    assert (result["result"], "future" in result["message"]) == ("refused", True)
