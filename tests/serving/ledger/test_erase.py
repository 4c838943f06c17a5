"""A forgotten contact is in no table and no file; what others' records need of it stays under a name without a key."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, insert, select

from features.errors import UnknownId
from features.snapshot import read_snapshot
from serving.actor import LOCAL
from serving.doors import Doors
from serving.ledger import Ledger, LedgerError, audit
from serving.ledger.backup import backup, restore
from serving.ledger.change import changed_since, seq_of
from serving.ledger.crm import CRM
from serving.ledger.decisions import read as read_decision
from serving.ledger.erase import ContactErased
from serving.ledger.load import load
from serving.ledger.noted import FILE, note, noted
from serving.ledger.person import NAMELESS, hash_of
from serving.ledger.questions import open_questions
from serving.ledger.tables import DECISION_DETAILS, ERASURES, EVENTS, HOLDS, IDEMPOTENCY
from tests.features.crm_files import read
from tests.serving.ledger.canary import AT, CANARY, CONFIG, KEPT, TABLES, WHO, everything, planted, report


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the ledger keeps everything, when it is in SQLite."""
    return tmp_path


@pytest.fixture
def doors(ledger: Ledger, home: Path) -> Doors:
    return planted(ledger, home)


def test_the_canary_is_in_every_place_before_and_in_none_after(doors: Doors, home: Path) -> None:
    before = everything(doors.ledger)
    assert before.count(CANARY) >= 4
    assert before.count(WHO) >= 12
    done = doors.forget(WHO, LOCAL)
    assert (done["before"], done["scrubbed"]) == (False, True)
    after = everything(doors.ledger)
    assert CANARY not in after
    assert WHO not in after
    assert "canaries" not in after
    if doors.ledger.journal is None:
        return
    found = [
        p.name for p in home.rglob("*") if p.is_file() and "elsewhere" not in p.parts and b"canary" in p.read_bytes()
    ]
    assert found == []


def test_what_was_only_freed_is_still_in_the_file_until_it_is_rewritten(doors: Doors, home: Path) -> None:
    """Else the test above would say nothing of the files."""
    if doors.ledger.journal is None:
        pytest.skip("the files are the server's")
    with doors.ledger.writing() as connection:
        connection.execute(CRM["contacts"].delete())
    assert [p.name for p in home.glob("ledger.db*") if CANARY.encode() in p.read_bytes()]


def test_what_others_need_stays_under_a_name_that_leads_to_nobody(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    tables = read_snapshot(doors.ledger.url).tables  # it keeps its contracts
    contacts, leads = tables["contacts"].set_index("contact_id"), tables["leads"].set_index("lead_id")
    nameless = next(i for i in contacts.index if i.startswith(NAMELESS))
    assert leads["contact_id"].to_dict() == {"L1": nameless, "L2": nameless, "L3": "C2"}
    assert leads["status"].fillna("").to_dict() == {"L1": "closed", "L2": "closed", "L3": ""}
    assert leads.loc["L1", ["budget", "need", "grade"]].isna().all()
    assert contacts.loc[nameless, ["title", "email", "reports_to"]].isna().all()
    assert contacts.loc[nameless, "objects_to_profiling"]
    assert contacts["reports_to"].isna().all()
    with doors.ledger.reading() as connection:
        assert open_questions(connection) == []  # nobody is left to ask about
    assert tables["activities"]["activity_id"].tolist() == ["V2"]
    assert tables["meetings"]["meeting_id"].tolist() == ["M1"]
    assert tables["opportunities"].set_index("opportunity_id")["outcome"].fillna("").to_dict() == {
        "O1": "",
        "O2": "lost",
    }
    assert tables["changes"]["table_name"].tolist() == ["reps"]
    answers = tables["offers"].set_index("offer_id")["answer"].to_dict()
    assert answers == {"F0": "rejected", "F1": "withdrawn", "F2": "withdrawn"}  # nobody is left to ask
    with doors.ledger.reading() as connection:
        assert connection.execute(select(HOLDS)).all() == []
        told = read_decision(connection, "D-F1")
        assert told.detail is None
        assert told.row["lead_id"] == "L1"
        assert {e["kind"] for e in told.events} == {"withdrawn"}
        sheet = read_decision(connection, "D-S").detail
        assert sheet is not None
        assert [(item["lead_id"], item["reasons"]) for item in sheet["items"]] == [
            ("L1", []), ("L3", [{"text": "the CEO"}])
        ]  # fmt: skip
        assert (sheet["facts"], sheet["vectors"]) == ({"L3": {"contact": "the CEO"}}, {"L3": [2.0]})
        kept = {row.event_id: json.loads(row.body) for row in connection.execute(select(EVENTS))}
    assert kept["e1"] == {"reason": "bad_data", "text": None}
    assert kept["e3"] == kept["e4"] == {"reason": None}
    assert kept["e5"] == {"reason": "of somebody else"}


def test_of_kept_answers_go_those_about_its_leads_and_its_lines_in_sheets_are_emptied(doors: Doors) -> None:
    before = {row.key: row for row in kept_answers(doors.ledger)}
    doors.forget(WHO, LOCAL)
    after = {row.key: row for row in kept_answers(doors.ledger)}
    assert set(before) - set(after) == {"k0", "lead"}
    emptied = json.loads(json.dumps(KEPT["sheet"]))
    emptied["items"][0]["reasons"] = []
    assert json.loads(after["sheet"].body) == emptied
    stayed = [(row.scope, row.body_hash, row.status, row.at) for row in (before["sheet"], after["sheet"])]
    assert stayed[0] == stayed[1]  # so a retry is still the same request
    for key in ("plan", "report", "other", "k1"):  # ids and scores alone, or of others
        assert after[key] == before[key]


def kept_answers(ledger: Ledger) -> Sequence[Row[Any]]:
    with ledger.reading() as connection:
        return connection.execute(select(IDEMPOTENCY)).all()


def test_an_event_that_is_told_again_after_its_words_were_emptied_is_a_duplicate(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    said = (
        {"event_id": "e1", "offer_id": "F0", "kind": "rejected", "reason": "bad_data",
         "text": f"Wrote to {CANARY}, no answer"},
        {"event_id": "e3", "offer_id": "F2", "kind": "lost", "reason": f"{CANARY} bought elsewhere"},
    )  # fmt: skip
    other = {"event_id": "e1", "offer_id": "F0", "kind": "rejected", "reason": "bad_fit", "text": "why"}
    results = report(doors.ledger, *said, other).answer["results"]
    assert [one["result"] for one in results] == ["duplicate", "duplicate", "refused"]


def test_the_audit_s_chain_stays_whole_and_names_a_pseudonym(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    with doors.ledger.reading() as connection:
        counted: Counter[str] = Counter()
        assert audit.verify(connection, counted=counted) is None
        assert counted["erased"] == 1  # what explained the decision on its lead
        assert {one: counted[one] for one in ("decision_details", "events")} == {"decision_details": 2, "events": 6}
        subjects = [r.subject for r in connection.execute(select(audit.AUDIT)) if r.action == "erase"]
    assert len(subjects) == 1
    assert subjects[0].startswith(NAMELESS)


def test_what_was_erased_and_comes_back_is_told(doors: Doors) -> None:
    with doors.ledger.reading() as connection:
        kept = connection.execute(select(DECISION_DETAILS)).mappings().all()
    doors.forget(WHO, LOCAL)
    with doors.ledger.writing() as connection:
        connection.execute(DECISION_DETAILS.delete())
        connection.execute(insert(DECISION_DETAILS), [dict(row) for row in kept])
        tampered = audit.verify(connection)
    assert tampered is not None
    assert "D-F1 of decision_details, for which it vouches, is there, and was erased" in tampered.why


def test_a_contact_is_forgotten_once_however_often_it_is_asked(doors: Doors) -> None:
    first = doors.forget(WHO, LOCAL)
    contacts = read_snapshot(doors.ledger.url).tables["contacts"]
    again = doors.forget(WHO, LOCAL)
    assert first["rows"]["activities"] == 1
    assert (again["rows"], again["before"]) == ({}, True)
    assert read_snapshot(doors.ledger.url).tables["contacts"].equals(contacts)
    with pytest.raises(UnknownId) as unknown:
        doors.forget("C-nobody", LOCAL)
    assert (unknown.value.code, unknown.value.status) == ("contact_unknown", 404)


def test_who_follows_reads_the_tables_anew_and_is_told_no_name(doors: Doors) -> None:
    with doors.ledger.reading() as connection:
        seq = seq_of(connection)
    doors.forget(WHO, LOCAL)
    with doors.ledger.reading() as connection:
        changed = changed_since(connection, seq)
    assert {"contacts", "leads", "activities", "meetings", "changes"} <= changed.whole
    assert set(changed.rows) <= {"offers"}


def test_a_forgotten_contact_is_not_taken_in_again(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    row: dict[str, Any] = {"contact_id": WHO, "account_id": "A1", "created_at": AT}
    with pytest.raises(ContactErased) as refused:
        doors.take_in({"contacts": [{"contact_id": "C2"}, row]}, LOCAL)
    assert refused.value.field == "tables.contacts[1].contact_id"


def test_a_load_that_still_has_the_contact_forgets_it_again(doors: Doors, home: Path, tmp_path: Path) -> None:
    doors.forget(WHO, LOCAL)
    stale = read(tmp_path / "stale", **TABLES)
    for _ in range(2):
        assert load(doors.ledger, stale, config=CONFIG).forgotten == 1
        assert WHO not in everything(doors.ledger)
        if doors.ledger.journal is not None:  # nor in what was freed
            assert not [p.name for p in home.glob("ledger.db*") if b"canary" in p.read_bytes()]
    contacts = read_snapshot(doors.ledger.url).tables["contacts"]["contact_id"]
    assert contacts.str.startswith(NAMELESS).sum() == 1


@pytest.mark.owner
@pytest.mark.parametrize("lost", [False, True], ids=["over the ledger", "into a new one"])
def test_a_restored_backup_forgets_again_what_was_erased_since(doors: Doors, home: Path, lost: bool) -> None:
    backup(doors.ledger, home / "elsewhere" / "backup.db")
    doors.forget(WHO, LOCAL)
    ledger = doors.ledger
    if lost:  # the note beside the ledger outlives it
        assert hash_of(WHO) in (home / FILE).read_text()
        ledger = Ledger.open(f"sqlite:///{home / 'new.db'}", home)
    restore(ledger, home / "elsewhere" / "backup.db", home, CONFIG, replace=True)
    assert WHO not in everything(ledger)
    assert CANARY not in everything(ledger)
    with ledger.reading() as connection:
        assert connection.execute(select(ERASURES.c.contact_hash)).scalars().all() == [hash_of(WHO)]
        assert audit.verify(connection) is None
    if ledger.journal is not None:
        assert not [p for p in home.glob("*.db*") if b"canary" in p.read_bytes()]
    if lost:
        ledger.close()


def test_the_canary_s_neighbours_are_untouched(doors: Doors) -> None:
    before = read_snapshot(doors.ledger.url).tables
    doors.forget(WHO, LOCAL)
    after = read_snapshot(doors.ledger.url).tables
    for name in ("accounts", "reps"):
        assert before[name].equals(after[name])


def test_no_erasure_is_lost_to_a_line_that_a_crash_tore(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    note(tmp_path, hash_of("C1"))
    whole = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(f"{whole}{whole[:30]}")
    note(tmp_path, hash_of("C2"))
    (tmp_path / FILE).write_text(
        (tmp_path / FILE).read_text() + whole[:9] + whole.replace(hash_of("C1"), hash_of("C3"))
    )
    assert noted(tmp_path) == {hash_of("C1"), hash_of("C2"), hash_of("C3")}
    assert [f"Line {n} of" in line for n, line in zip((2, 4), caplog.messages, strict=True)] == [True, True]


def test_an_erasure_that_cannot_be_noted_is_not_made(doors: Doors, home: Path) -> None:
    (home / FILE).mkdir()
    with pytest.raises(LedgerError, match="Nothing was erased"):
        doors.forget(WHO, LOCAL)
    assert WHO in read_snapshot(doors.ledger.url).tables["contacts"]["contact_id"].tolist()
