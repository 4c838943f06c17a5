"""A contact's id may be another's, too, a lead's or a rep's: what is about those is neither told of it nor erased."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from features.errors import ModelError
from models.product import Product
from serving.access import access
from serving.actor import LOCAL
from serving.doors import Doors
from serving.ledger import Ledger, audit
from serving.ledger.change import changed_since, changing, seq_of
from serving.ledger.erase import erase, erase_again, seek
from serving.ledger.idempotency import Once, keep
from serving.ledger.mentions import Mentions, Sought
from serving.ledger.person import hash_of
from serving.ledger.replies import forgotten, told
from serving.ledger.tables import AUDIT, AUDIT_PAYLOADS, ERASURES, EVENTS, IDEMPOTENCY, JOURNAL
from serving.plan import plan
from tests.serving.conftest import Crm
from tests.serving.ledger.small import CONFIG, OFFERED, furnish, give, hours, offer, rows, table
from tests.serving.standing_ledger import Stand

#: An unconverted Lead of Salesforce, which is a contact and a lead under one id.
ONE = "00Q5e00000AbCdE"
BORN = OFFERED - timedelta(days=30)


def none(content_hash: str) -> Product:
    raise ModelError(f"There is no model {content_hash[:12]}.")


def doors_of(stand: Stand, home: Path) -> Doors:
    """Its doors; what they write is of this minute by the clock, so the stand is put where that is past."""
    stand.minutes += int((datetime.now(UTC) - stand.now).total_seconds() / 60) + 30
    return Doors(stand.ledger, stand.crm.config, home, stand.follow)


def payloads(ledger: Ledger, *actions: str) -> dict[int, str]:
    wanted = select(AUDIT_PAYLOADS).join(AUDIT, AUDIT.c.number == AUDIT_PAYLOADS.c.number)
    with ledger.reading() as connection:
        found = connection.execute(wanted.where(AUDIT.c.action.in_(actions)))
        return {row.number: row.body for row in found}


def untampered(ledger: Ledger) -> bool:
    with ledger.reading() as connection:
        return audit.verify(connection) is None


def answers_told(ledger: Ledger, contact_id: str) -> dict[str, Any]:
    told_of = access(ledger, contact_id, none)["rows"].get("idempotency", [])
    return {row["key"]: row["body"] for row in told_of}


def test_a_call_sheet_with_a_lead_that_is_spelt_like_its_contact_is_replayed_with_all_lines(
    stocked: Ledger, crm: Crm, tmp_path: Path
) -> None:
    stand = Stand(stocked, crm)
    doors = doors_of(stand, tmp_path)
    like = next(row for row in table(stocked, "leads") if row["lead_id"] == stand.free_lead())
    contact = next(row for row in table(stocked, "contacts") if row["contact_id"] == like["contact_id"])
    kept = {name: contact[name] for name in ("account_id", "title", "function", "seniority", "created_at")}
    lead = {name: like[name] for name in ("account_id", "solution", "created_at")}
    doors.take_in(
        {"contacts": [{"contact_id": ONE, **kept}], "leads": [{"lead_id": ONE, "contact_id": ONE, **lead}]}, LOCAL
    )
    rep_id = stand.decider.reps(ONE, None, 1, actor=LOCAL).answer["items"][0]["rep_id"]
    sheet = stand.decider.leads(rep_id, 200, actor=LOCAL).answer["items"]
    others = [item["lead_id"] for item in sheet if item["lead_id"] != ONE]
    away = [row["lead_id"] for row in table(stocked, "leads") if row["lead_id"] not in (ONE, *others[:2])]
    doors.take_in({"leads": [{"lead_id": one, "status": "closed"} for one in away]}, LOCAL)
    stand.minutes += 1
    stand.follow()
    once = stand.once()
    first = stand.decider.leads(rep_id, 3, actor=LOCAL, reasons=True, once=once).answer
    assert {item["lead_id"] for item in first["items"] if item["offer_id"]} == {ONE, *others[:2]}
    doors.take_in({"leads": [{"lead_id": one, "status": "open"} for one in others[2:]]}, LOCAL)
    stand.minutes += 1
    stand.follow()
    mine = [item for item in first["items"] if item["lead_id"] == ONE]
    assert answers_told(stocked, ONE) == {once.key: first | {"items": mine}}
    stand.minutes += 1
    before = payloads(stocked, "offer", "no_offer")
    doors.forget(ONE, LOCAL)
    again = stand.decider.leads(rep_id, 3, actor=LOCAL, reasons=True, once=once)
    lines = [item | {"reasons": []} if item["lead_id"] == ONE else item for item in first["items"]]
    assert (again.replayed, again.answer) == (True, first | {"items": lines})
    assert payloads(stocked, "offer", "no_offer") == before
    assert untampered(stocked)


def test_answers_and_plans_for_a_rep_who_is_spelt_like_a_contact_are_nobody_else_s(
    stocked: Ledger, crm: Crm, tmp_path: Path
) -> None:
    stand = Stand(stocked, crm)
    doors = doors_of(stand, tmp_path)
    of_lead, of_week, lead_id = stand.once(), stand.once(), stand.free_lead()
    answer = stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True, once=of_lead).answer
    rep_id = answer["items"][0]["rep_id"]
    stand.follow()
    week = stand.now.strftime("%G-W%V")
    planned = plan(stand.decider, week, actor=LOCAL, once=of_week).answer
    account = table(stocked, "accounts")[0]["account_id"]
    doors.take_in({"contacts": [{"contact_id": rep_id, "account_id": account, "created_at": BORN}]}, LOCAL)
    before = payloads(stocked, "offer", "plan")
    assert len(before) == 2
    assert access(stocked, rep_id, none)["rows"].keys() == {"contacts", "journal"}
    done = doors.forget(rep_id, LOCAL)
    assert done["rows"] == {"contacts": 1, "journal": 1}
    again = stand.decider.reps(lead_id, None, 3, actor=LOCAL, reasons=True, once=of_lead)
    assert (again.replayed, again.answer) == (True, answer)
    replanned = plan(stand.decider, week, actor=LOCAL, once=of_week)
    assert (replanned.replayed, replanned.answer) == (True, planned)
    assert payloads(stocked, "offer", "plan") == before
    assert untampered(stocked)


def test_who_follows_still_learns_of_a_lead_and_of_a_contact_that_are_spelt_alike(
    ledger: Ledger, tmp_path: Path
) -> None:
    furnish(ledger)
    doors = Doors(ledger, CONFIG, tmp_path, lambda: None)
    with ledger.reading() as connection:
        seq = seq_of(connection)
    people = [{"contact_id": one, "account_id": "A1", "created_at": BORN} for one in ("L2", "l2")]
    doors.take_in({"contacts": people, "leads": [{"lead_id": "L2", "budget": "big"}]}, LOCAL)
    before = _journal(ledger, seq)
    assert before == {("contacts", '["L2"]'), ("contacts", '["l2"]'), ("leads", '["L2"]')}
    doors.forget("L2", LOCAL)  # SQLite's LIKE takes a small letter for a capital
    assert _journal(ledger, seq) == before - {("contacts", '["L2"]')}
    with ledger.reading() as connection:
        assert "contacts" in changed_since(connection, seq).whole


def _journal(ledger: Ledger, seq: int) -> set[tuple[str, str]]:
    wanted = select(JOURNAL).where(JOURNAL.c.seq > seq, JOURNAL.c.table_name.in_(("contacts", "leads")))
    with ledger.reading() as connection:
        return {(row.table_name, row.row_id) for row in connection.execute(wanted) if row.row_id is not None}


def test_a_contact_with_thousands_of_leads_offers_and_events_is_told_of_and_forgotten(
    ledger: Ledger, tmp_path: Path
) -> None:
    many = 1_050
    furnish(ledger, leads=many)
    give(ledger, *(offer(f"F{n}", f"L{n}", "R1") for n in range(2, many + 1)))
    with changing(ledger, hours(1)) as change:
        told_of = {"kind": "stage", "body": "{}", "actor": "test", "seq": change.seq, "parked": False}
        times = {"at": hours(1), "received_at": hours(1)}
        change.connection.execute(
            insert(EVENTS),
            [{"event_id": f"e{n}", "offer_id": f"F{n}"} | told_of | times for n in range(1, many + 1)],
        )
        said = [{"event_id": f"e{n}", "offer_id": f"F{n}", "text": "a word"} for n in range(1, many + 1)]
        audit.record(change, "test", "record", "F1", {"events": said})
        results = [{"event_id": "e7", "result": "applied"}, {"event_id": "x", "result": "applied"}]
        keep(change, Once("test", "k", "0" * 64), 200, json.dumps({"results": results}))
    found = access(ledger, "C1", none)["rows"]
    assert [len(found[name]) for name in ("leads", "offers", "events")] == [many] * 3
    assert [row["body"] for row in found["idempotency"]] == [{"results": results[:1]}]
    Doors(ledger, CONFIG, tmp_path, lambda: None).forget("C1", LOCAL)
    assert payloads(ledger, "record") == {}
    assert untampered(ledger)


def test_what_came_after_a_contact_was_looked_for_is_erased_with_the_rest(ledger: Ledger) -> None:
    furnish(ledger)
    once, lines = Once("test", "k1", "0" * 64), [{"lead_id": "L1", "reasons": ["x"]}, {"lead_id": "X", "reasons": []}]
    with changing(ledger, hours(1)) as change:
        audit.record(change, "test", "note", "a note", {"contact_id": "C1"})
        keep(change, Once("test", "k0", "0" * 64), 200, json.dumps({"lead_id": "L1", "items": []}))
    with ledger.reading() as connection:
        sought = seek(connection, "C1")
    assert sought is not None
    with changing(ledger, hours(2)) as change:
        audit.record(change, "test", "note", "another note", {"contact_id": "C1"})
        audit.record(change, "test", "note", "of another", {"contact_id": "c1", "rep_id": "C1"})
        keep(change, once, 200, json.dumps({"rep_id": "R1", "items": lines}))
        keep(change, Once("test", "k2", "0" * 64), 200, json.dumps({"rep_id": "C1", "items": [{"lead_id": "X"}]}))
    with changing(ledger, hours(3)) as change:
        erase(change, CONFIG, "C1", LOCAL, sought)
    assert [json.loads(body) for body in payloads(ledger, "note").values()] == [{"contact_id": "c1", "rep_id": "C1"}]
    with ledger.reading() as connection:
        kept = {row.key: json.loads(row.body) for row in connection.execute(select(IDEMPOTENCY))}
    assert kept == {
        "k1": {"rep_id": "R1", "items": [lines[0] | {"reasons": []}, lines[1]]},
        "k2": {"rep_id": "C1", "items": [{"lead_id": "X"}]},
    }
    # A lead that was another's when the contact was looked for: everything is looked into again.
    with changing(ledger, hours(4)) as change:
        change.upsert("contacts", rows("contacts", {"contact_id": "C2", "account_id": "A1", "created_at": BORN}))
    with ledger.reading() as connection:
        sought = seek(connection, "C2")
    with changing(ledger, hours(4)) as change:
        made = {"lead_id": "X", "contact_id": "C2", "solution": "payments", "created_at": BORN}
        change.upsert("leads", rows("leads", made))
        keep(change, Once("test", "k3", "0" * 64), 200, json.dumps({"lead_id": "X", "items": []}))
    with changing(ledger, hours(5)) as change:
        assert erase(change, CONFIG, "C2", LOCAL, sought).rows["idempotency"] == 1
    assert untampered(ledger)


def test_several_that_are_back_are_forgotten_by_one_look_at_the_texts(ledger: Ledger) -> None:
    furnish(ledger)
    with changing(ledger, hours(1)) as change:
        there = ({"contact_id": one, "account_id": "A1", "created_at": BORN} for one in ("C2", "C3"))
        change.upsert("contacts", rows("contacts", *there))
        made = {"lead_id": "X", "contact_id": "C2", "solution": "payments", "created_at": BORN}
        change.upsert("leads", rows("leads", made))
        for n, about in enumerate((["C1"], ["C2"], ["C1", "C2", "C3"], ["C3"])):
            audit.record(change, "test", "note", "a note", {"contacts": about})
            lines = [{"lead_id": {"C1": "L1", "C2": "X"}.get(one, "Y"), "reasons": ["why"]} for one in about]
            keep(change, Once("test", f"k{n}", "0" * 64), 200, json.dumps({"items": lines}))
        erased = [{"contact_hash": hash_of(one), "at": change.at} for one in ("C1", "C2", "C9")]
        change.connection.execute(insert(ERASURES), erased)
    with changing(ledger, hours(2)) as change:
        assert erase_again(change, CONFIG, LOCAL) == 2
    assert [json.loads(body) for body in payloads(ledger, "note").values()] == [{"contacts": ["C3"]}]
    with ledger.reading() as connection:
        kept = {row.key: json.loads(row.body)["items"] for row in connection.execute(select(IDEMPOTENCY))}
    assert {key: [bool(line["reasons"]) for line in lines] for key, lines in kept.items()} == {
        "k0": [False], "k1": [False], "k2": [False, False, True], "k3": [True]
    }  # fmt: skip
    assert untampered(ledger)


def test_so_many_are_looked_for_at_once_that_no_query_could_name_them_all(ledger: Ledger) -> None:
    furnish(ledger)
    with changing(ledger, hours(1)) as change:
        for who in ("P7", "Q7"):
            audit.record(change, "test", "note", "a note", {"contact_id": who})
    many = Sought(frozenset(f"P{n}" for n in range(1_200)), frozenset(), frozenset(), frozenset(), None)
    with ledger.reading() as connection:
        assert len(Mentions.of(connection, many).payloads) == 1


def test_an_answer_with_lines_that_names_the_contact_loses_the_name_and_stays() -> None:
    sought = Sought(frozenset({"17", "a@b.test"}), frozenset({"17"}), frozenset(), frozenset(), None)
    mine: Mapping[str, Any] = {"lead_id": "17", "contact_id": "17", "reasons": [{"text": "x"}]}
    other: Mapping[str, Any] = {"lead_id": "18", "rep_id": "17", "reasons": [{"text": "y"}]}
    items: Sequence[Mapping[str, Any]] = [mine, other]
    body = json.dumps({"rep_id": "17", "email": "a@b.test", "items": items})
    assert told(body, sought) == {"rep_id": "17", "email": "a@b.test", "items": [mine]}
    kept = forgotten(body, sought)
    assert kept is not None
    emptied = {"lead_id": "17", "contact_id": None, "reasons": []}
    assert json.loads(kept) == {"rep_id": "17", "email": None, "items": [emptied, other]}
    assert forgotten(json.dumps({"seq": 3, "rep_id": "17"}), sought) == json.dumps({"seq": 3, "rep_id": "17"})
