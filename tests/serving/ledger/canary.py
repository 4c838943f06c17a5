"""A contact that sits in every place of a ledger that could hold one, under names that nothing else has."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from features.config import read_config
from serving.actor import LOCAL
from serving.body import checked
from serving.decided import Decided
from serving.doors import Doors
from serving.ledger import Ledger, audit
from serving.ledger.change import changing
from serving.ledger.details import pack
from serving.ledger.idempotency import Once
from serving.ledger.load import load
from serving.ledger.questions import ask, settle_by_hand
from serving.ledger.tables import DECISION_DETAILS, DECISIONS, IDEMPOTENCY, SHADOWS
from serving.recording import record_events
from serving.wire.record import RecordAsk
from tests.features.crm_files import read
from tests.features.small_crm import MARKET
from tests.serving.ledger.test_load import decide

CONFIG = read_config(MARKET)
CANARY = "zz-canary-7f3@example.test"
WHO = "C-zz-canary-7f3"
WHEN = "2025-02-01T00:00:00Z"
AT = datetime(2025, 3, 2, tzinfo=UTC)

#: What a call sheet says of its leads.
SAID = {"L1": "the CFO of the canaries", "L3": "the CEO"}
#: By key, kept answers that name its leads alone: on one, a call sheet, a plan, and a report on its offers.
KEPT: dict[str, dict[str, Any]] = {
    "lead": {
        "lead_id": "L1", "decision_id": "D-F1",
        "items": [{"rep_id": "R1", "offer_id": "F1", "reasons": [{"text": "canaries sing to R1"}]}],
    },
    "sheet": {
        "rep_id": "R1", "decision_id": "D-S",
        "items": [
            {"lead_id": "L1", "offer_id": "F1", "score": 1.5, "reasons": [{"text": "canaries sing on sheets"}]},
            {"lead_id": "L3", "offer_id": None, "score": 0.5, "reasons": [{"text": "the CEO is another's"}]},
        ],
    },
    "plan": {
        "week": "2025-W10", "assignments": [{"lead_id": "L1", "rep_id": "R1"}, {"lead_id": "L3", "rep_id": "R2"}],
        "unplaced": [{"lead_id": "L2", "because": {"offline": 2}}],
    },
    "report": {"results": [{"event_id": "e1", "result": "applied"}, {"event_id": "e5", "result": "parked"}]},
    "other": {"lead_id": "L3", "rep_id": "L1", "items": [{"rep_id": "L2", "reasons": [{"text": "the CEO"}]}]},
}  # fmt: skip
TABLES = {
    "contacts": "contact_id,account_id,title,email,reports_to,created_at\n"
    f"{WHO},A1,CFO of the canaries,{CANARY},,2025-01-03T00:00:00Z\nC2,A1,CEO,,{WHO},2025-01-03T00:00:00Z\n",
    "leads": f"lead_id,contact_id,solution,created_at,budget,need\nL1,{WHO},payments,{WHEN},big,soon\n"
    f"L2,{WHO},payments,{WHEN},,\nL3,C2,payments,{WHEN},,\n",
    "activities": f"activity_id,contact_id,kind,occurred_at\nV1,{WHO},visit,{WHEN}\nV2,C2,visit,{WHEN}\n",
    "touches": f"touch_id,rep_id,contact_id,kind,occurred_at\nT1,R1,{WHO},call,{WHEN}\n",
    "meetings": f"meeting_id,rep_id,account_id,contact_id,starts_at,created_at\nM1,R1,A1,{WHO},{WHEN},{WHEN}\n",
    "meeting_contacts": f"meeting_id,contact_id\nM1,{WHO}\nM1,C2\n",
    "opportunities": "opportunity_id,account_id,rep_id,contact_id,opened_at,reason\n"
    f"O1,A1,R1,{WHO},{WHEN},{CANARY} liked us\n",
    "opportunity_contacts": f"opportunity_id,contact_id\nO1,{WHO}\n",
    "preferences": f"preference_id,rep_id,subject,subject_id,rule,since\nP1,R1,contact,{WHO},exclude,{WHEN}\n",
    "changes": "table_name,row_id,column_name,value,valid_from\n"
    f"contacts,{WHO},title,Clerk of the canaries,{WHEN}\ncontacts,C2,reports_to,{WHO},{WHEN}\n"
    f"leads,L1,budget,small for canaries,{WHEN}\nreps,R1,segment,large,{WHEN}\n",
}


def planted(ledger: Ledger, home: Path) -> Doors:
    """The doors of a ledger in which a canary sits in every place that could hold one."""
    load(ledger, read(home / "elsewhere", **TABLES))
    doors = Doors(ledger, CONFIG, home, lambda: None)
    decide(ledger, "F1", "L1")
    with changing(ledger, AT) as change:
        worth = {"score": 0.25, "p_accept": 0.5, "p_convert": 0.125, "expected_value": 0.0625}
        said = {"rep_id": "R1", "reasons": [{"feature": "draw", "effect": 0.25, "text": f"{CANARY} likes it"}]} | worth
        candidates = {name: [value] for name, value in (worth | {"propensity": 1.0}).items()}
        detail = candidates | {
            "ranked": "rep_id", "candidates": ["R1"], "refused": {"territory": ["R2"]}, "items": [said],
            "columns": ["seniority"], "vectors": {"R1": [3.0]}, "facts": {"R1": {"contact": SAID["L1"]}},
        }  # fmt: skip
        change.connection.execute(insert(DECISION_DETAILS).values(decision_id="D-F1", body=pack(detail)))
        looked = {"model_version": "7", "content_hash": "7" * 64, "rep_id": "R1", "agrees": True, "p_accept": 0.75}
        scores = json.dumps({"R1": {"score": 0.875}})
        change.connection.execute(
            insert(SHADOWS).values(decision_id="D-F1", at=AT, p_accept_serving=0.375, scores=scores, **looked)
        )
        sheet = {
            "items": [
                {"lead_id": one, "reasons": [{"text": says}], "score": 1.0, "expected_value": 1.0}
                for one, says in SAID.items()
            ],
            "facts": {one: {"contact": says} for one, says in SAID.items()}, "vectors": {"L1": [1.5], "L3": [2.0]},
            "ranked": "lead_id", "candidates": list(SAID), "columns": ["seniority"],
        }  # fmt: skip
        row = change.connection.execute(select(DECISIONS)).mappings().one()
        change.connection.execute(
            insert(DECISIONS).values(**dict(row) | {"decision_id": "D-S", "lead_id": None, "route": "recommend_leads"})
        )
        change.connection.execute(insert(DECISION_DETAILS).values(decision_id="D-S", body=pack(sheet)))
        kept = {"scope": "local test", "key": "k0", "body_hash": "0" * 64, "status": 200, "at": AT}
        change.connection.execute(insert(IDEMPOTENCY).values(body=json.dumps({"contact_id": WHO}), **kept))
        for key, answer in KEPT.items():
            body = json.dumps(answer, ensure_ascii=False)  # as `Draft` keeps it
            change.connection.execute(insert(IDEMPOTENCY).values(body=body, **kept | {"key": key}))
        audit.record(change, "cli", "note", "a note", {"contact": WHO, "email": CANARY})
        audit.record(change, "cli", "note", "another note", {"rows": 3})
    offer = {"offer_id": "F0", "lead_id": "L2", "rep_id": "R1", "offered_at": AT}
    email = {"contact_id": WHO, "email": f"old-{CANARY}"}
    once = Once.of("local", "test", "k1", {})
    doors.take_in({"offers": [offer], "contacts": [email]}, LOCAL, once)
    doors.take_in({"contacts": [{"contact_id": WHO, "email": CANARY}]}, LOCAL)
    said = {"event_id": "e1", "offer_id": "F0", "kind": "rejected", "reason": "bad_data"}
    report(ledger, said | {"text": f"Wrote to {CANARY}, no answer"})
    with changing(ledger, AT) as change:
        settle_by_hand(change, "e1", f"{CANARY} answers now", LOCAL)
        ask(change, "q2", offer, "known_dead")
    doors.take_in({"offers": [offer | {"offer_id": "F2", "rep_id": "R2"}]}, LOCAL)
    report(
        ledger,
        {"event_id": "e2", "offer_id": "F2", "kind": "opportunity", "opportunity_id": "O2"},
        {"event_id": "e3", "offer_id": "F2", "kind": "lost", "reason": f"{CANARY} bought elsewhere"},
        {"event_id": "e4", "offer_id": "F2", "kind": "withdrawn", "reason": f"{CANARY} moved"},
        {"event_id": "e5", "offer_id": "FX", "kind": "lost", "reason": "of somebody else"},
    )
    return doors


def report(ledger: Ledger, *events: dict[str, Any]) -> Decided:
    """Record events as a request to /record does."""
    body = {"events": [{"at": "2025-03-02T12:00:00Z"} | event for event in events]}
    asked = checked(RecordAsk, json.dumps(body).encode())
    assert isinstance(asked, RecordAsk)
    return record_events(ledger, CONFIG, asked.events, LOCAL, None, AT + timedelta(days=1))


def everything(ledger: Ledger) -> str:
    """All that the tables hold, as text."""
    from serving.ledger.tables import METADATA

    with ledger.reading() as connection:
        rows = [str(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table))]
        bodies = connection.execute(select(DECISION_DETAILS.c.body)).scalars()
        return "\n".join([*rows, *(zlib.decompress(body).decode() for body in bodies)])
