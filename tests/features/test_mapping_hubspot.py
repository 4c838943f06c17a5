"""The HubSpot mapping over small hand-made files in the replication layout."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from features.config import Config
from features.errors import TableError
from features.snapshot import Snapshot, read_snapshot

UTC = cast(Config, SimpleNamespace(timezone="UTC"))
MQL = "property_hs_lifecyclestage_marketingqualifiedlead_date"

EXPORT = {
    "company_data": """id,is_deleted,property_name,property_createdate,property_country,property_annualrevenue,\
property_lifecyclestage,property_hubspot_owner_id
11,false,Acme,2025-01-02 3:15:52,United States,5000000,customer,91
12,false,Bolt,2025-01-03 13:00:00.123,DE,,lead,
13,true,Gone,2025-01-03 13:00:00,,,,
""",
    "contact_data": f"""_fivetran_deleted,id,property_email,property_company,property_jobtitle,property_createdate,\
property_hubspot_owner_id,property_hubspot_owner_assigneddate,property_hs_lead_status,{MQL}
FALSE,21,a@x.com,,CFO,2025-01-04 8:00:00,91,2025-02-03 9:00:00,IN_PROGRESS,2025-02-01 9:00:00
FALSE,22,b@x.com,bolt,Head of IT,2025-01-05 08:00:00,,,,2025-02-02 9:00:00
FALSE,23,c@x.com,Nowhere Inc,,2025-01-05 08:00:00,,,,
TRUE,24,d@x.com,Acme,,2025-01-05 08:00:00,,,,
FALSE,25,e@x.com,Acme,,2025-01-05 08:00:00,,,,
""",
    "contact_company_data": "contact_id,company_id\n21,11\n21,12\n25,13\n",
    "contact_form_submission_data": "timestamp,form_id,contact_id\n2025-02-01 7:00:00,1,21\n2025-02-01 7:00:00,1,99\n",
    "deal_data": """deal_id,is_deleted,deal_pipeline_stage_id,owner_id,property_amount,property_closedate,\
property_createdate
31,false,s1,91,100,2025-06-01 0:00:00,2025-02-10 10:00:00
32,false,s2,92,200,2025-03-01 0:00:00,2025-02-11 10:00:00
33,false,s1,,100,,2025-02-10 10:00:00
34,false,s1,91,100,,2025-02-10 10:00:00
35,true,s1,91,100,,2025-02-10 10:00:00
""",
    "deal_company_data": "company_id,deal_id\n11,31\n12,32\n11,33\n13,34\n11,35\n",
    "deal_contact_data": "contact_id,deal_id\n21,31\n21,31\n23,31\n21,33\n",
    "deal_stage_data": """deal_id,value,date_entered
31,s0,2025-02-10 10:00:00
31,s1,2025-02-12 1:00:00
33,s1,2025-02-12 1:00:00
""",
    "deal_pipeline_stage_data": """stage_id,label,probability,is_closed,closed_won
s1,Proposal,0.4,FALSE,FALSE
s2,Won,1.0,TRUE,TRUE
""",
    "owner_data": "owner_id,email,first_name,last_name\n91,ada@x.com,Ada,Byron\n",
    "engagement_data": """id,type,owner_id,created_at,timestamp
41,MEETING,91,2025-02-05 8:00:00,2025-03-05 8:00:00
42,CALL,91,2025-02-06 8:00:00,2025-02-06 8:30:00
43,EMAIL,,2025-02-06 8:00:00,
44,NOTE,91,2025-02-06 8:00:00,
""",
    "engagement_meeting_data": """engagement_id,start_time,meeting_outcome
41,2025-03-05 8:00:00,
49,2025-03-05 8:00:00,
""",
    "engagement_contact_data": "engagement_id,contact_id\n41,21\n42,22\n43,21\n41,99\n",
    "engagement_company_data": "engagement_id,company_id\n41,11\n",
}


def of(folder: Path, **changed: str) -> Snapshot:
    for name, text in {**EXPORT, **changed}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return read_snapshot(str(folder), mapping=Path("hubspot"), config=UTC)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return of(tmp_path_factory.mktemp("hubspot"))


def rows(snapshot: Snapshot, table: str, *columns: str) -> list[tuple[object, ...]]:
    frame = snapshot.tables[table][list(columns)].astype(object)
    return sorted(frame.where(frame.notna(), None).itertuples(index=False, name=None), key=str)


def said(snapshot: Snapshot, table: str) -> list[str]:
    return [w.expected for w in snapshot.warnings if w.table == table and not w.rows]


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2025-{text}Z")


def test_companies_are_accounts(snapshot: Snapshot) -> None:
    assert rows(snapshot, "accounts", "account_id", "name", "country", "status", "owner_rep_id", "created_at") == [
        ("11", "Acme", "US", "customer", "91", instant("01-02T03:15:52")),
        ("12", "Bolt", "DE", "prospect", None, instant("01-03T13:00:00.123")),
    ]


def test_a_contact_belongs_to_its_linked_company_or_to_the_one_it_names(snapshot: Snapshot) -> None:
    assert rows(snapshot, "contacts", "contact_id", "account_id") == [("21", "11"), ("22", "12"), ("25", "11")]
    assert said(snapshot, "people") == ["1 row left out: deleted", "1 row left out: without a company that is kept"]


def test_a_qualified_contact_is_a_lead_offered_to_its_owner(snapshot: Snapshot) -> None:
    assert rows(snapshot, "leads", "lead_id", "contact_id", "created_at") == [
        ("mql-21", "21", instant("02-01T09:00:00")),
        ("mql-22", "22", instant("02-02T09:00:00")),
    ]
    assert rows(snapshot, "offers", "lead_id", "rep_id", "offered_at", "answer", "answered_at") == [
        ("mql-21", "91", instant("02-03T09:00:00"), "accepted", None)
    ]
    assert said(snapshot, "offers") == ["1 row left out: without an owner"]


def test_owners_who_are_not_exported_are_reps_under_their_id(snapshot: Snapshot) -> None:
    assert rows(snapshot, "reps", "rep_id", "name", "role") == [("91", "Ada Byron", "inside"), ("92", "92", "inside")]
    assert "1 row made: owners of deals" in said(snapshot, "sellers")[0]


def test_deals_are_opportunities_with_their_stages_as_changes(snapshot: Snapshot) -> None:
    assert rows(
        snapshot, "opportunities", "opportunity_id", "account_id", "stage", "forecast_weight", "outcome", "closed_at"
    ) == [
        ("31", "11", "Proposal", 0.4, None, None),
        ("32", "12", "Won", 1.0, "won", instant("03-01T00:00:00")),
    ]
    assert rows(snapshot, "opportunity_contacts", "opportunity_id", "contact_id") == [("31", "21")]
    assert rows(snapshot, "changes", "row_id", "column_name", "value", "valid_from") == [
        ("31", "forecast_weight", "0.4", instant("02-12T01:00:00")),
        ("31", "stage", "Proposal", instant("02-12T01:00:00")),
        ("31", "stage", "s0", instant("02-10T10:00:00")),
    ]


def test_engagements_are_meetings_and_touches(snapshot: Snapshot) -> None:
    assert rows(
        snapshot, "meetings", "meeting_id", "rep_id", "account_id", "contact_id", "starts_at", "created_at"
    ) == [("41", "91", "11", "21", instant("03-05T08:00:00"), instant("02-05T08:00:00"))]
    assert rows(snapshot, "meeting_contacts", "meeting_id", "contact_id") == [("41", "21")]
    assert rows(snapshot, "touches", "touch_id", "contact_id", "kind", "occurred_at") == [
        ("42", "22", "call", instant("02-06T08:30:00"))
    ]
    assert rows(snapshot, "activities", "contact_id", "kind", "occurred_at") == [
        ("21", "form", instant("02-01T07:00:00"))
    ]
    assert said(snapshot, "touches") == ["3 rows left out: not a call or an email to a kept contact by an owner"]


def test_nothing_is_lost_or_added_without_a_reason(snapshot: Snapshot) -> None:
    assert not [w for w in snapshot.warnings if "without a reason" in w.expected]


def test_an_instant_that_cannot_be_read_is_a_breach_and_not_a_null(tmp_path: Path) -> None:
    with pytest.raises(TableError) as refused:
        of(tmp_path, company_data=EXPORT["company_data"].replace("2025-01-02 3:15:52", "02/01/2025"))
    assert [(b.table, b.column, b.value) for b in refused.value.breaches] == [("accounts", "created_at", "02/01/2025")]
