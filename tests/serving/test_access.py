"""What is held about a contact is told whole: whatever an erasure takes out was in it, and only who may knows that."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

import callsheet
from features.errors import ModelError, UnknownId
from models.product import Product
from serving.access import access
from serving.actor import CLI, LOCAL
from serving.doors import Doors
from serving.instants import iso, micros
from serving.ledger import Ledger, audit, database
from serving.ledger.change import changing
from serving.ledger.details import unpack
from serving.ledger.person import OTHERS, PLACES, hash_of
from serving.ledger.tables import METADATA
from serving.ledger.taken import NotNoted
from serving.ledger.unplaced import listed
from serving.ledger.vouched import WRITTEN
from tests.serving.conftest import Crm
from tests.serving.ledger.canary import CANARY, KEPT, WHO, planted
from tests.serving.ledger.small import last_audited, table
from tests.serving.standing_ledger import Stand


@pytest.fixture
def doors(ledger: Ledger, tmp_path: Path) -> Doors:
    return planted(ledger, tmp_path)


def none(content_hash: str) -> Product:
    raise ModelError(f"There is no model {content_hash[:12]}.")


def leaves(value: Any) -> Iterator[str]:
    """Every value and name in a JSON value, but the hashes by which the audit vouches for rows."""
    if isinstance(value, dict):
        for key, said in value.items():
            if key != WRITTEN:
                yield from (key, *leaves(said))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif value is not None:
        yield iso(micros(value)) if isinstance(value, datetime) else str(value)


def held(ledger: Ledger) -> set[tuple[str, str, str]]:
    """Table, column and value of all that the tables hold which can be about a contact."""
    found = set()
    with ledger.reading() as connection:
        for name, one in METADATA.tables.items():
            for row in connection.execute(select(one)).mappings() if name not in OTHERS else ():
                for column, cell in row.items():
                    said = unpack(cell) if isinstance(cell, bytes) else cell
                    if column in ("body", "because", "scores") and isinstance(said, str):
                        said = json.loads(said)
                    found |= {(name, column, leaf) for leaf in leaves(said)}
    return found


def test_every_table_is_a_place_or_is_known_to_be_about_no_contact() -> None:
    places = {place.table.name for place in PLACES.values()}
    assert places | set(OTHERS) == set(METADATA.tables)
    assert not places & set(OTHERS)


def test_every_place_that_holds_something_of_the_contact_is_told(doors: Doors) -> None:
    told = access(doors.ledger, WHO, none)
    assert set(told["rows"]) == set(PLACES) - {"decision_details", "erasures"}
    for name, place in PLACES.items():
        if place.wiped and name not in ("decision_details", "shadows"):  # what a challenger said is numbers alone
            assert "canar" in json.dumps(told["rows"][name], default=str), name
    assert [one["contact_id"] for one in told["rows"]["contacts"]] == [WHO]
    assert told["rows"]["reports"] == [{"contact_id": "C2", "reports_to": WHO}]  # and nothing else of a colleague
    (decision,), (sheet,) = told["decisions"], told["sheets"]
    assert decision["items"][0]["reasons"][0]["text"] == f"{CANARY} likes it"
    assert [(line["lead_id"], line["facts"]) for line in sheet["items"]] == [
        ("L1", {"contact": "the CFO of the canaries"})
    ]


def test_of_kept_answers_those_are_told_that_are_about_its_leads_and_of_sheets_its_lines(doors: Doors) -> None:
    rows = {row["key"]: row["body"] for row in access(doors.ledger, WHO, none)["rows"]["idempotency"]}
    (line, _), (mine, _) = KEPT["sheet"]["items"], KEPT["plan"]["assignments"]
    assert rows == {
        "k0": {"contact_id": WHO}, "lead": KEPT["lead"], "sheet": KEPT["sheet"] | {"items": [line]},
        "plan": KEPT["plan"] | {"assignments": [mine]}, "report": {"results": KEPT["report"]["results"][:1]},
    }  # fmt: skip


def test_a_retry_after_the_erasure_gets_no_reasons_about_the_contact(
    stocked: Ledger, crm: Crm, tmp_path: Path
) -> None:  # fmt: skip
    stand = Stand(stocked, crm)
    lead_id, lead, sheet = stand.free_lead(), stand.once(), stand.once()
    first = stand.decider.reps(lead_id, None, 2, actor=LOCAL, reasons=True, once=lead).answer
    rep_id = first["items"][0]["rep_id"]
    stand.follow()
    told = stand.decider.leads(rep_id, 3, actor=LOCAL, reasons=True, once=sheet).answer
    assert lead_id in [item["lead_id"] for item in told["items"]]
    leads = table(stocked, "leads")
    (row,) = [row for row in leads if row["lead_id"] == lead_id]
    gone = {one["lead_id"] for one in leads if one["contact_id"] == row["contact_id"]}
    kept = {one["key"]: one["body"] for one in access(stocked, row["contact_id"], none)["rows"]["idempotency"]}
    assert kept[lead.key] == first
    assert [item["reasons"] for item in kept[sheet.key]["items"]] == [
        item["reasons"] for item in told["items"] if item["lead_id"] in gone
    ]
    stand.minutes += int((datetime.now(UTC) - stand.now).total_seconds() / 60) + 1  # it closes its leads by the clock
    Doors(stocked, crm.config, tmp_path, stand.follow).forget(row["contact_id"], LOCAL)
    anew = stand.decider.reps(lead_id, None, 2, actor=LOCAL, reasons=True, once=lead)
    assert (anew.replayed, anew.answer["items"]) == (False, [])  # a request of its own, for whom there is nobody now
    with stocked.reading() as connection:
        assert not [one for one in listed(connection, stand.now) if one.lead_id == lead_id]
    again = stand.decider.leads(rep_id, 3, actor=LOCAL, reasons=True, once=sheet)
    lines = [item | {"reasons": []} if item["lead_id"] in gone else item for item in told["items"]]
    assert (again.replayed, again.answer) == (True, told | {"items": lines})


def test_whatever_an_erasure_takes_out_was_told(doors: Doors) -> None:
    told, before = set(leaves(access(doors.ledger, WHO, none))), held(doors.ledger)
    doors.forget(WHO, LOCAL)
    taken = before - held(doors.ledger)
    assert {name for name, _, _ in taken} >= {"contacts", "touches", "events", "decision_details", "shadows", "journal"}
    salts = {("audit_payloads", "salt")}  # they tell nothing
    assert [one for one in sorted(taken) if one[2] not in told and one[:2] not in salts] == []


def test_of_one_who_was_erased_the_hash_alone_is_left(doors: Doors) -> None:
    doors.forget(WHO, LOCAL)
    told = access(doors.ledger, WHO, none)
    assert (told["rows"].keys(), told["decisions"], told["sheets"]) == ({"erasures"}, [], [])
    assert told["rows"]["erasures"] == [{"contact_hash": hash_of(WHO), "at": told["erased_at"]}]
    with pytest.raises(UnknownId) as unknown:
        access(doors.ledger, "C-nobody", none)
    assert (unknown.value.code, unknown.value.exit_code) == ("contact_unknown", 1)


def test_that_it_was_told_is_written_down_without_a_name_or_it_is_not_told(
    doors: Doors, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = access(doors.ledger, WHO, none)
    assert "canar" not in caplog.text
    row, body = last_audited(doors.ledger)
    noted = json.loads(body)
    assert (row.actor, row.action, noted["contact_hash"]) == (CLI.name, "access", hash_of(WHO))
    assert (noted["rows"]["leads"], noted["rows"]["sheets"]) == (2, 1)
    assert "canar" not in f"{row}{body}"
    again = access(doors.ledger, WHO, none)
    assert again["rows"] == told["rows"]
    with doors.ledger.reading() as connection:
        assert audit.verify(connection) is None
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    hurried = Ledger(url)
    with changing(doors.ledger), pytest.raises(NotNoted, match="Nothing was taken out"):
        access(hurried, WHO, none)
    hurried.close()


def test_the_command_gives_reasons_that_nobody_asked_for_then(stocked: Ledger, crm: Crm, tmp_path: Path) -> None:
    stand = Stand(stocked, crm)
    lead_id = stand.free_lead()
    asked = stand.decider.reps(lead_id, None, 2, actor=LOCAL, reasons=True).answer
    stand.decider.reps(lead_id, None, 2, actor=LOCAL, once=stand.once())
    (lead,) = [row for row in table(stocked, "leads") if row["lead_id"] == lead_id]
    crm.products[1].save(tmp_path / "models" / crm.products[1].content_hash)
    command = ["access", "--contact", lead["contact_id"], "--db", stocked.url, "--home", str(tmp_path)]
    ran = CliRunner().invoke(callsheet.app, command)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    mine = [one for one in told["decisions"] if one["lead_id"] == lead_id]
    assert [[item["reasons"] for item in one["items"]] for one in mine] == [
        [item["reasons"] for item in asked["items"]]
    ] * 2
    assert lead_id in [one["lead_id"] for one in told["rows"]["offers"]]
