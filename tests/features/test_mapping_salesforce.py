"""The Salesforce mapping over small hand-made files under their API names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from features.config import Config
from features.snapshot import Snapshot, read_snapshot

UTC = cast(Config, SimpleNamespace(timezone="UTC"))


def at(day: str) -> str:
    """An instant as Salesforce writes it: 1-15 is 15 January 2025, 08:00 UTC."""
    month, number = day.split("-")
    return f"2025-{int(month):02}-{int(number):02}T08:00:00.000+0000"


def instant(day: str) -> pd.Timestamp:
    return pd.Timestamp(at(day))


EXPORT = {
    "Account": f"""Id,IsDeleted,Name,Website,ParentId,NaicsCode,AnnualRevenue,NumberOfEmployees,Type,BillingCountry,\
OwnerId,CreatedDate
A1,,Acme,https://www.acme.com/x,A2,0110,5000000,70,Customer - Direct,United States,U1,{at("1-2")}
A2,false,Bolt,,A9,,,,Prospect,DE,U2,{at("1-3")}
A3,1,Gone,,,,,,,,U1,{at("1-4")}
""",
    "Contact": f"""Id,IsDeleted,AccountId,Title,ReportsToId,Email,IndividualId,CreatedDate
C1,,A1,CFO,C9,c1@acme.com,I1,{at("1-5")}
C2,,A1,Treasurer,C1,,,{at("2-20")}
C3,,,Nobody,,,,{at("1-5")}
C4,1,A1,Deleted,,,,{at("1-5")}
C5,,A3,Of a deleted account,,,,{at("1-5")}
""",
    "Individual": "Id,HasOptedOutProfiling\nI1,true\n",
    "User": f"""Id,Name,Title,UserType,UserRoleId,Country,TimeZoneSidKey,IsActive,LastLoginDate
U1,Ada,Account Executive,Standard,O1,Germany,Europe/Berlin,true,
U2,Ben,SDR,Standard,,,,0,{at("2-1")}
U3,Robot,,AutomatedProcess,,,,true,
""",
    "UserRole": "Id,Name\nO1,Enterprise Sales EMEA\n",
    "Lead": f"""Id,IsDeleted,Title,Company,LeadSource,Status,OwnerId,IsConverted,ConvertedDate,ConvertedAccountId,\
ConvertedContactId,ConvertedOpportunityId,ProductInterest__c,CreatedDate,LastModifiedDate
L1,,Treasurer,Acme,Web,Qualified,U1,true,2025-02-20,A1,C2,P1,payments,{at("2-1")},{at("2-20")}
L2,,VP Finance,ACME ,Web,Unqualified,U1,,,,,,analytics,{at("2-2")},{at("2-9")}
L3,,Head of IT,Corner Shop,Event,Open,00G1,,,,,,,{at("2-3")},{at("2-3")}
L4,true,Deleted,Acme,Web,Open,U1,,,,,,,{at("2-4")},{at("2-4")}
""",
    "LeadHistory": f"""Id,IsDeleted,LeadId,Field,OldValue,NewValue,CreatedDate
H1,,L1,Owner,Ben,Ada,{at("2-5")}
H2,,L1,Owner,U2,U1,{at("2-5")}
H3,,L1,Status,Open,Working,{at("2-6")}
H4,,L2,Status,Open,Unqualified,{at("2-8")}
H5,,L9,Status,Open,Working,{at("2-8")}
""",
    "Opportunity": f"""Id,IsDeleted,AccountId,OwnerId,StageName,Probability,Amount,CloseDate,IsClosed,IsWon,CreatedDate
P1,,A1,U1,Proposal,60,1000,2025-06-30,,,{at("2-20")}
P2,,A2,U2,Closed Won,100,500,2025-02-28,1,1,{at("1-20")}
P3,,A2,U7,Closed Lost,0,500,2025-02-27,1,,{at("1-20")}
P4,,A9,U1,Proposal,60,1000,2025-06-30,,,{at("2-20")}
P5,1,A1,U1,Proposal,60,1000,2025-06-30,,,{at("2-20")}
""",
    "OpportunityContactRole": """Id,OpportunityId,ContactId,Role,IsPrimary
K1,P1,C2,Buyer,1
K2,P1,C1,User,
K3,P1,C9,User,
K4,P1,C2,Also,
""",
    "OpportunityFieldHistory": f"""Id,OpportunityId,Field,OldValue,NewValue,CreatedDate
F0,P2,StageName,Proposal,Closed Won,{at("2-1")}
F1,P1,StageName,Discovery,Proposal,{at("2-25")}
F2,P1,Probability,10,60,{at("2-25")}
""",
    "AccountHistory": f"""Id,AccountId,Field,OldValue,NewValue,CreatedDate
G1,A1,Type,Prospect,Customer - Direct,{at("2-10")}
""",
    "Event": f"""Id,IsDeleted,IsChild,OwnerId,AccountId,WhoId,StartDateTime,CreatedDate
E1,,,U1,A1,C1,{at("3-1")},{at("2-11")}
E2,,1,U2,A1,C1,{at("3-1")},{at("2-11")}
E3,,,U1,,L3,{at("3-2")},{at("2-12")}
E4,,,U1,,,{at("3-3")},{at("2-12")}
""",
    "EventRelation": "EventId,RelationId,IsDeleted\nE1,C1,\nE1,L1,\nE1,C9,\n",
    "Task": f"""Id,IsDeleted,OwnerId,WhoId,Status,IsClosed,TaskSubtype,CompletedDateTime,CreatedDate
T1,,U1,C1,Completed,1,Call,{at("2-13")},{at("2-12")}
T2,,U1,L2,Completed,,Email,,{at("2-14")}
T3,,U1,C1,Not Started,,Call,,{at("2-14")}
T4,,U1,C9,Completed,1,Call,,{at("2-14")}
""",
    "Campaign": "Id,Name,Type,StartDate,EndDate,ActualCost\nM1,Spring,Webinar,2025-01-01,2025-05-01,900\n",
    "CampaignMember": """Id,CampaignId,ContactId,LeadId,HasResponded,FirstRespondedDate
N1,M1,C1,,1,2025-02-01
N2,M1,,L2,1,2025-02-02
N3,M1,C1,,,
""",
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return of(tmp_path_factory.mktemp("salesforce"))


def of(folder: Path, *left_out: str) -> Snapshot:
    for name, text in EXPORT.items():
        if name not in left_out:
            (folder / f"{name}.csv").write_text("\ufeff" + text, encoding="utf-8")
    return read_snapshot(str(folder), mapping=Path("salesforce"), config=UTC)


def rows(snapshot: Snapshot, table: str, *columns: str) -> list[tuple[object, ...]]:
    """The table's rows in these columns, sorted, null as None."""
    frame = snapshot.tables[table][list(columns)].astype(object)
    return sorted(frame.where(frame.notna(), None).itertuples(index=False, name=None), key=str)


def said(snapshot: Snapshot, table: str) -> list[str]:
    return [w.expected for w in snapshot.warnings if w.table == table and not w.rows]


def test_accounts_and_what_leads_name_as_companies(snapshot: Snapshot) -> None:
    assert rows(
        snapshot, "accounts", "account_id", "parent_account_id", "naics", "country", "status", "domain", "owner_rep_id"
    ) == [
        ("A1", "A2", "0110", "US", "customer", "acme.com", "U1"),
        ("A2", None, None, "DE", "prospect", None, "U2"),
        ("company: corner shop", None, None, None, None, None, None),
    ]
    assert said(snapshot, "accounts") == [
        "1 row left out: deleted",
        "1 row made: companies that leads name and that are no account yet",
    ]


def test_a_lead_is_its_contact_before_and_after_conversion(snapshot: Snapshot) -> None:
    assert rows(snapshot, "leads", "lead_id", "contact_id", "account_id", "solution", "closed_at") == [
        ("L1", "C2", "A1", "payments", pd.Timestamp("2025-02-20T00:00:00Z")),
        ("L2", "L2", "A1", "analytics", instant("2-8")),
        ("L3", "L3", "company: corner shop", "unspecified", None),
    ]
    contacts = rows(snapshot, "contacts", "contact_id", "title", "reports_to", "objects_to_profiling", "created_at")
    assert contacts == [
        ("C1", "CFO", None, True, instant("1-5")),
        ("C2", "Treasurer", "C1", None, instant("2-1")),  # known since the lead, not since its conversion
        ("L2", "VP Finance", None, None, instant("2-2")),
        ("L3", "Head of IT", None, None, instant("2-3")),
    ]
    assert "2 rows left out: without an account, or of one that is not in the export" in said(snapshot, "contacts")


def test_reps_are_users_and_owners_who_are_not_among_them(snapshot: Snapshot) -> None:
    assert rows(snapshot, "reps", "rep_id", "name", "role", "country", "active_until") == [
        ("U1", "Ada", "enterprise", "DE", None),
        ("U2", "Ben", "bdr", None, instant("2-1")),
        ("U7", "U7", "inside", None, None),
    ]
    assert said(snapshot, "sellers") == [
        "1 row left out: users who are not people of the company (UserType is not Standard) and own nothing",
        "1 row made: owners who are not in User; their name is their id",
    ]


def test_an_owner_of_a_lead_is_offered_it_and_answers_by_its_status(snapshot: Snapshot) -> None:
    columns = ("lead_id", "rep_id", "offered_at", "answer", "answered_at", "opportunity_id", "converted_at")
    assert rows(snapshot, "offers", *columns) == [
        ("L1", "U1", instant("2-5"), "accepted", instant("2-6"), "P1", instant("2-20")),
        ("L1", "U2", instant("2-1"), "reassigned", instant("2-5"), None, None),
        ("L2", "U1", instant("2-2"), "rejected", instant("2-8"), None, None),
    ]
    assert said(snapshot, "offers") == ["1 row left out: nobody or a queue owned the lead"]


def test_opportunities_have_their_outcome_only_when_closed(snapshot: Snapshot) -> None:
    columns = ("opportunity_id", "rep_id", "contact_id", "forecast_weight", "closed_at", "outcome")
    assert rows(snapshot, "opportunities", *columns) == [
        ("P1", "U1", "C2", 0.6, None, None),
        ("P2", "U2", None, 1.0, pd.Timestamp("2025-02-28T00:00:00Z"), "won"),
        ("P3", "U7", None, 0.0, pd.Timestamp("2025-02-27T00:00:00Z"), "lost"),
    ]
    assert rows(snapshot, "opportunity_contacts", "opportunity_id", "contact_id") == [("P1", "C1"), ("P1", "C2")]
    assert said(snapshot, "deals") == [
        "1 row left out: deleted",
        "1 row left out: without an account, or of one that is not in the export",
    ]


def test_meetings_touches_and_activities(snapshot: Snapshot) -> None:
    assert rows(snapshot, "meetings", "meeting_id", "rep_id", "account_id", "contact_id", "created_at") == [
        ("E1", "U1", "A1", "C1", instant("2-11")),
        ("E3", "U1", "company: corner shop", "L3", instant("2-12")),
    ]
    assert rows(snapshot, "meeting_contacts", "meeting_id", "contact_id") == [("E1", "C1"), ("E1", "C2")]
    assert rows(snapshot, "touches", "touch_id", "contact_id", "kind", "occurred_at") == [
        ("T1", "C1", "call", instant("2-13")),
        ("T2", "L2", "email", instant("2-14")),
    ]
    assert rows(snapshot, "activities", "activity_id", "contact_id", "kind", "campaign_id") == [
        ("N1", "C1", "webinar", "M1"),
        ("N2", "L2", "webinar", "M1"),
    ]


def test_histories_tell_what_held_since_they_are_kept(snapshot: Snapshot) -> None:
    assert rows(snapshot, "changes", "table_name", "row_id", "column_name", "value", "valid_from") == [
        ("accounts", "A1", "status", "customer", instant("2-10")),
        ("accounts", "A2", "status", "prospect", instant("2-10")),
        ("opportunities", "P1", "forecast_weight", "0.6", instant("2-25")),  # what it was before, nobody recorded
        ("opportunities", "P1", "stage", "Discovery", instant("2-20")),
        ("opportunities", "P1", "stage", "Proposal", instant("2-25")),
        ("opportunities", "P2", "forecast_weight", "1.0", instant("2-25")),
        ("opportunities", "P2", "stage", "Closed Won", instant("2-1")),
        ("opportunities", "P3", "forecast_weight", "0.0", instant("2-25")),
        ("opportunities", "P3", "stage", "Closed Lost", instant("2-1")),
    ]


def test_nothing_is_lost_or_added_without_a_reason(snapshot: Snapshot) -> None:
    assert not [w for w in snapshot.warnings if "without a reason" in w.expected]


def test_absent_objects_are_said_and_the_rest_still_stands(tmp_path: Path) -> None:
    absent = (
        "User",
        "UserRole",
        "Event",
        "EventRelation",
        "LeadHistory",
        "OpportunityFieldHistory",
        "AccountHistory",
        "Campaign",
        "CampaignMember",
    )
    snapshot = of(tmp_path, *absent)
    assert {"meetings", "meeting_contacts", "changes", "activities", "campaigns"} <= set(snapshot.missing)
    assert set(absent) <= set(snapshot.missing)
    assert "meetings" in snapshot.missing["Event"]
    assert rows(snapshot, "reps", "rep_id", "name", "role") == [
        ("U1", "U1", "inside"),
        ("U2", "U2", "inside"),
        ("U7", "U7", "inside"),
    ]
    # Without LeadHistory the present owner has had the lead since it was created, and that is said.
    assert [row[:3] for row in rows(snapshot, "offers", "lead_id", "rep_id", "offered_at")] == [
        ("L1", "U1", instant("2-1")),
        ("L2", "U1", instant("2-2")),
    ]
    assert any("the present owner since the lead was created" in text for text in said(snapshot, "terms"))
    assert not [w for w in snapshot.warnings if "without a reason" in w.expected]
