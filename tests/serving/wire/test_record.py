"""What /record takes: each kind its own fields, instants with a zone, errors at the field as the caller wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.body import checked
from serving.ledger import answers
from serving.refusal import Turned
from serving.wire.record import KINDS, MAX_EVENTS, OWN, RecordAsk, told

AT = "2026-03-02T10:00:00+01:00"
LEAST: dict[str, dict[str, Any]] = {
    "rejected": {"reason": "bad_fit"}, "opportunity": {"opportunity_id": "O1"}, "stage": {"stage": "demo"},
    "reassigned": {"to_rep_id": "R2"},
}  # fmt: skip


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"event_id": "e1", "offer_id": "F1", "kind": kind, "at": AT} | LEAST.get(kind, {}) | fields


def read(*events: dict[str, Any]) -> RecordAsk:
    asked = checked(RecordAsk, json.dumps({"events": list(events)}).encode())
    assert isinstance(asked, RecordAsk)
    return asked


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_and_kept_without_what_it_leaves_out(kind: str) -> None:
    (found,) = read(event(kind) | {"amount": None, "solution": None}).events
    kept = told(found)
    assert kept.pop("at").isoformat() == AT
    assert kept == {"event_id": "e1", "offer_id": "F1", "kind": kind} | LEAST.get(kind, {})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (event("accepted", reason="bad_fit"), "events[0].reason"),
        (event("accepted", amount=3), "events[0].amount"),
        (event("expired", text="too late"), "events[0].text"),
        (event("won", to_rep_id="R2"), "events[0].to_rep_id"),
        (event("withdrawn", stage="demo"), "events[0].stage"),
        (event("accepted", accepted=True), "events[0].accepted"),
        (event("rejected", reason="did not like it"), "events[0].reason"),
        (event("rejected", reason=None), "events[0].reason"),
        (event("opportunity", forecast_weight=1.5), "events[0].forecast_weight"),
        (event("opportunity", opportunity_id=None), "events[0].opportunity_id"),
        (event("won", amount=-1), "events[0].amount"),
        (event("stage", stage=None), "events[0].stage"),
        (event("reassigned", to_rep_id=None), "events[0].to_rep_id"),
        (event("accepted", at="2026-03-02T10:00:00"), "events[0].at"),
        (event("accepted", at=None), "events[0].at"),
        (event("accepted", event_id=f"{OWN}expired:1"), "events[0].event_id"),
        (event("accepted", event_id="a\0b"), "events[0].event_id"),
        (event("sold"), "events[0].kind"),
        ({"event_id": "e1"}, "events[0].kind"),
    ],
)
def test_what_is_wrong_is_refused_at_its_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Turned) as refused:
        read(wrong)
    assert (refused.value.status, refused.value.field) == (400, field)


def test_every_kind_has_its_place_among_events_of_one_instant() -> None:
    assert sorted(KINDS) == sorted(answers.KINDS)


def test_a_kind_that_is_none_is_not_repeated_to_whoever_reads_the_log() -> None:
    with pytest.raises(Turned) as refused:
        read(event("canary@example.test"))
    assert "canary" not in str(refused.value)


def test_a_request_holds_from_one_event_to_the_stated_number() -> None:
    read(*[event("accepted")] * MAX_EVENTS)
    for events in ([], [event("accepted")] * (MAX_EVENTS + 1)):
        with pytest.raises(Turned) as refused:
            read(*events)
        assert refused.value.field == "events"
