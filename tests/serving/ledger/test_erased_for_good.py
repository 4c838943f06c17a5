"""What comes after an erasure brings nothing of the contact back: rows, loads, reports; others are none the worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.doors import Doors
from serving.ledger import Ledger, audit
from serving.ledger.change import changed_since, seq_of
from serving.ledger.erase import ContactErased
from serving.ledger.load import load
from serving.ledger.questions import open_questions
from serving.ledger.tables import DECISION_DETAILS
from tests.features.crm_files import read
from tests.serving.ledger.canary import AT, CANARY, CONFIG, TABLES, WHEN, WHO, everything, planted, report

#: A row of each table that may name a contact who is not there.
NAMING: dict[str, dict[str, Any]] = {
    "tables.contacts[0].reports_to": {"contact_id": "C2", "reports_to": WHO},
    "tables.meetings[0].contact_id": {
        "meeting_id": "M9", "rep_id": "R1", "account_id": "A1", "contact_id": WHO, "starts_at": AT, "created_at": AT
    },
    "tables.opportunities[0].contact_id": {
        "opportunity_id": "O9", "account_id": "A1", "rep_id": "R1", "contact_id": WHO, "opened_at": AT
    },
    "tables.preferences[0].subject_id": {
        "preference_id": "P9", "rep_id": "R1", "subject": "contact", "subject_id": WHO, "rule": "exclude", "since": AT
    },
    "tables.changes[0].row_id": {
        "table_name": "contacts", "row_id": WHO, "column_name": "title", "value": "Clerk", "valid_from": AT
    },
    "tables.changes[0].value": {
        "table_name": "contacts", "row_id": "C2", "column_name": "reports_to", "value": WHO, "valid_from": AT
    },
}  # fmt: skip


@pytest.fixture
def doors(ledger: Ledger, tmp_path: Path) -> Doors:
    return planted(ledger, tmp_path)


def untampered(ledger: Ledger) -> bool:
    with ledger.reading() as connection:
        return audit.verify(connection) is None


@pytest.mark.parametrize("field", NAMING)
def test_no_row_that_names_the_contact_is_taken_in(doors: Doors, field: str) -> None:
    table = field.split(".")[1].removesuffix("[0]")
    doors.take_in({table: [NAMING[field]]}, LOCAL)
    doors.forget(WHO, LOCAL)
    assert WHO not in everything(doors.ledger)
    with pytest.raises(ContactErased) as refused:
        doors.take_in({table: [NAMING[field]]}, LOCAL)
    assert refused.value.field == field


@pytest.mark.parametrize("table", ["meetings", "opportunities", "preferences", "changes", "contacts"])
def test_a_load_that_names_the_contact_though_it_has_none_such_loses_the_name(
    doors: Doors, tmp_path: Path, table: str
) -> None:
    doors.forget(WHO, LOCAL)
    with doors.ledger.reading() as connection:
        seq = seq_of(connection)
    others = {
        "contacts": "contact_id,account_id,reports_to,created_at\nC2,A1,,2025-01-03T00:00:00Z\n",
        "leads": f"lead_id,contact_id,solution,created_at\nL3,C2,payments,{WHEN}\n",
    }
    naming = {table: others[table].replace(",A1,,", f",A1,{WHO},") if table in others else TABLES[table]}
    done = load(doors.ledger, read(tmp_path / "stale", **others | naming), config=CONFIG)
    assert done.forgotten == 1
    assert WHO not in everything(doors.ledger)
    assert CANARY not in everything(doors.ledger)
    assert untampered(doors.ledger)
    with doors.ledger.reading() as connection:
        assert {"contacts", table} <= changed_since(connection, seq).whole


def test_whom_another_system_calls_erased_or_none_is_no_remains_of_an_erasure(doors: Doors) -> None:
    theirs = ["ERASED-77", "erased-2024-A", "None"]
    doors.take_in({"contacts": [{"contact_id": one, "account_id": "A1", "created_at": AT} for one in theirs]}, LOCAL)
    doors.forget(WHO, LOCAL)
    doors.forget("None", LOCAL)
    assert set(theirs[:2]) <= set(read_snapshot(doors.ledger.url).tables["contacts"]["contact_id"])
    doors.take_in({"contacts": [{"contact_id": "C3", "account_id": "A1", "created_at": AT}]}, LOCAL)  # no superior


def test_what_is_written_on_its_offers_afterwards_is_not_kept(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    late: dict[str, Any] = {
        "event_id": "e9",
        "offer_id": "F1",
        "kind": "rejected",
        "reason": "bad_data",
        "text": CANARY,
    }
    lost = {"event_id": "e10", "offer_id": "F2", "kind": "no_decision", "reason": f"{CANARY} is gone"}
    others = {"event_id": "e11", "offer_id": "FX", "kind": "won", "reason": "of somebody else, too"}
    told = report(doors.ledger, late, lost, others).answer["results"]
    assert [one["result"] for one in told] == ["applied", "applied", "parked"]
    assert CANARY not in everything(doors.ledger)
    assert "somebody else, too" in everything(doors.ledger)
    assert [one["result"] for one in report(doors.ledger, late).answer["results"]] == ["duplicate"]
    assert untampered(doors.ledger)
    with doors.ledger.reading() as connection:
        assert open_questions(connection) == []  # whoever answered one would write of the contact


def test_what_was_reported_before_its_offer_was_known_goes_once_that_is_the_contact_s(doors: Doors) -> None:
    early = {"event_id": "p1", "offer_id": "F77", "kind": "rejected", "reason": "other", "text": f"{CANARY} said no"}
    others = {"event_id": "p2", "offer_id": "F78", "kind": "rejected", "reason": "other", "text": "not of the canary"}
    assert [one["result"] for one in report(doors.ledger, early, others).answer["results"]] == ["parked", "parked"]
    doors.forget(WHO, LOCAL)
    made = {"rep_id": "R2", "offered_at": AT, "answer": "expired"}
    doors.take_in({"offers": [{"offer_id": "F77", "lead_id": "L2"} | made]}, LOCAL)
    assert CANARY not in everything(doors.ledger)
    doors.take_in({"offers": [{"offer_id": "F78", "lead_id": "L3"} | made]}, LOCAL)
    assert "not of the canary" in everything(doors.ledger)
    assert [one["result"] for one in report(doors.ledger, early, others).answer["results"]] == [
        "duplicate",
        "duplicate",
    ]
    assert untampered(doors.ledger)


def test_its_leads_are_not_taken_up_again(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    with pytest.raises(ContactErased) as refused:
        doors.take_in({"leads": [{"lead_id": "L3", "status": "open"}, {"lead_id": "L1", "status": "open"}]}, LOCAL)
    assert refused.value.field == "tables.leads[1].lead_id"
    doors.take_in({"leads": [{"lead_id": "L3", "status": "open"}]}, LOCAL)
    with pytest.raises(ContactErased):
        doors.take_in({"leads": [{"lead_id": "L1", "status": "closed", "budget": "big"}]}, LOCAL)
    doors.take_in({"leads": [{"lead_id": "L1", "status": "closed", "closed_at": AT}]}, LOCAL)  # as it is already


def test_a_call_sheet_is_not_written_anew_at_each_load(doors: Doors, tmp_path: Path) -> None:
    doors.forget(WHO, LOCAL)
    kept = select(DECISION_DETAILS.c.body).where(DECISION_DETAILS.c.decision_id == "D-S")
    with doors.ledger.reading() as connection:
        before = connection.execute(kept).scalar_one()
        last = audit.head(connection).number
    assert load(doors.ledger, read(tmp_path / "stale", **TABLES), config=CONFIG).forgotten == 1
    with doors.ledger.reading() as connection:
        assert connection.execute(kept).scalar_one() == before
        said = connection.execute(select(audit.AUDIT_PAYLOADS.c.body).where(audit.AUDIT_PAYLOADS.c.number > last))
        assert not any("D-S" in body for body in said.scalars())
