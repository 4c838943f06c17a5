"""A lead that is sent along and never stored: whose it is stays known, so that it is told of and forgotten, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.errors import UnknownId
from models.product import Product
from serving.access import access
from serving.actor import LOCAL
from serving.doors import Doors
from serving.ledger import Ledger, audit
from serving.ledger.backup import backup, restore
from serving.ledger.erase import ContactErased
from serving.ledger.idempotency import Once
from tests.serving.conftest import Crm
from tests.serving.ledger.small import last_audited, table
from tests.serving.standing_ledger import Stand
from tests.serving.test_erased_meanwhile import contact_of, crm_solution, detail_of

NEW = "C-new"


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


@pytest.fixture
def doors(stand: Stand, tmp_path: Path) -> Doors:
    return Doors(stand.ledger, stand.crm.config, tmp_path, lambda: None)


def of_a_stored_contact(stand: Stand) -> tuple[str, dict[str, Any]]:
    """A contact, and a further lead of its."""
    lead_id = stand.free_lead()
    contact_id = contact_of(stand.ledger, lead_id)
    return contact_id, {"contact_id": contact_id, "solution": crm_solution(stand, lead_id)}


def of_a_new_contact(stand: Stand) -> tuple[str, dict[str, Any]]:
    """A colleague of that one, who is sent along as well."""
    contact_id, lead = of_a_stored_contact(stand)
    (like,) = [row for row in table(stand.ledger, "contacts") if row["contact_id"] == contact_id]
    kept = {name: like[name] for name in ("account_id", "function", "seniority")}
    return NEW, {
        "solution": lead["solution"],
        "contact": kept | {"contact_id": NEW, "title": f"{like['title']} Canary"},
    }


def model(crm: Crm) -> Product:
    return crm.products[1]


@pytest.mark.parametrize("sent", [of_a_stored_contact, of_a_new_contact])
def test_advice_on_it_is_told_of_and_forgotten_with_its_contact(stand: Stand, doors: Doors, sent: Any) -> None:
    contact_id, lead = sent(stand)
    ledger = stand.ledger
    decision_id = stand.decider.reps(None, lead, 2, actor=LOCAL, reasons=True).answer["decision_id"]
    neighbour = stand.decider.leads(stand.known.rank_reps(stand.free_lead()).best_ids[0], 1, actor=LOCAL).answer
    before = detail_of(ledger, decision_id)
    assert before is not None
    assert before["facts"]
    told = access(ledger, contact_id, lambda _: model(stand.crm))
    assert [(one["decision_id"], bool(one["items"])) for one in told["decisions"]] == [(decision_id, True)]

    done = doors.forget(contact_id, LOCAL)
    assert done["rows"]["decision_details"] >= 1
    assert detail_of(ledger, decision_id) is None
    assert detail_of(ledger, neighbour["decision_id"]) is not None
    assert access(ledger, contact_id, lambda _: model(stand.crm))["erased_at"] is not None
    with ledger.reading() as connection:
        assert audit.verify(connection) is None
    # Asked about once more, nothing of it is kept in the first place.
    again = stand.decider.reps(None, lead, 2, actor=LOCAL, reasons=True).answer
    assert (again["advice_only"], detail_of(ledger, again["decision_id"])) == (False, None)
    assert doors.forget(contact_id, LOCAL)["before"]


def test_whoever_has_followed_the_erasure_keeps_nothing_of_it_either(stand: Stand, doors: Doors) -> None:
    contact_id, lead = of_a_new_contact(stand)
    stand.decider.reps(None, lead, 2, actor=LOCAL)
    doors.forget(contact_id, LOCAL)
    stand.follow()
    again = stand.decider.reps(None, lead, 2, actor=LOCAL, reasons=True).answer
    assert again["items"]
    assert detail_of(stand.ledger, again["decision_id"]) is None


def test_what_else_names_one_who_was_never_stored_goes_as_well(stand: Stand, doors: Doors) -> None:
    contact_id, lead = of_a_new_contact(stand)
    colleague, _ = of_a_stored_contact(stand)
    doors.take_in({"contacts": [{"contact_id": colleague, "reports_to": contact_id}]}, LOCAL)
    stand.decider.reps(None, lead, 2, actor=LOCAL)
    assert access(stand.ledger, contact_id, lambda _: model(stand.crm))["rows"]["reports"]
    assert doors.forget(contact_id, LOCAL)["rows"]["contacts"] == 1
    assert contact_id not in {row["reports_to"] for row in table(stand.ledger, "contacts")}
    doors.take_in({"contacts": [{"contact_id": colleague, "title": "Chair"}]}, LOCAL)


def test_of_whom_nothing_is_held_nothing_is_told(stand: Stand, doors: Doors) -> None:
    stand.decider.reps(None, of_a_new_contact(stand)[1], 2, actor=LOCAL)
    for ask in (
        lambda: access(stand.ledger, "C-other", lambda _: model(stand.crm)),
        lambda: doors.forget("C-other", LOCAL),
    ):
        with pytest.raises(UnknownId):
            ask()


def test_a_commit_by_a_worker_that_knows_of_no_erasure_stores_nobody_who_names_the_erased(
    stand: Stand, doors: Doors
) -> None:
    erased, _ = of_a_stored_contact(stand)
    _, lead = of_a_new_contact(stand)
    lead["contact"]["reports_to"] = erased
    doors.forget(erased, LOCAL)
    with pytest.raises(ContactErased) as refused:
        stand.decider.reps(None, lead, 2, actor=LOCAL, once=Once.of("local", "recommend_reps", "k", {}))
    assert refused.value.field == "lead.contact.reports_to"
    assert NEW not in {row["contact_id"] for row in table(stand.ledger, "contacts")}


@pytest.mark.owner
def test_a_restored_backup_forgets_it_again_though_its_contact_was_never_stored(
    stand: Stand, doors: Doors, tmp_path: Path
) -> None:
    contact_id, lead = of_a_new_contact(stand)
    decision_id = stand.decider.reps(None, lead, 2, actor=LOCAL, reasons=True).answer["decision_id"]
    backup(stand.ledger, tmp_path / "backup.db")
    doors.forget(contact_id, LOCAL)
    restore(stand.ledger, tmp_path / "backup.db", tmp_path, stand.crm.config, replace=True)
    assert json.loads(last_audited(stand.ledger)[1])["forgotten"] == 1  # so the files are rewritten
    assert detail_of(stand.ledger, decision_id) is None
    with stand.ledger.reading() as connection:
        assert audit.verify(connection) is None
