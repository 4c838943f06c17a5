"""Models are loaded to explain while others commit: on a rollback journal nobody commits while somebody reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from models.product import Product
from serving.access import access
from serving.actor import LOCAL
from serving.explain import Load
from serving.ledger import Ledger, database
from serving.ledger.change import changing
from serving.ledger.load import load
from serving.week import rep_week
from tests.serving.conftest import Crm
from tests.serving.ledger.small import table
from tests.serving.standing_ledger import Stand

Ask = Callable[[Stand, str, str, Load], object]


def accessing(stand: Stand, lead_id: str, _: str, model_of: Load) -> object:
    contacts = {row["lead_id"]: row["contact_id"] for row in table(stand.ledger, "leads")}
    return access(stand.ledger, contacts[lead_id], model_of)


def explaining(stand: Stand, _: str, rep_id: str, model_of: Load) -> object:
    return rep_week(stand.ledger, rep_id, None, stand.crm.config, stand.now, model_of)


@pytest.mark.parametrize("ask", [accessing, explaining])
def test_others_commit_while_a_model_is_loaded(
    crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    monkeypatch.setattr(database, "WAL_SAFE", (99,))
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    loading, committed = Event(), Event()

    def slow(content_hash: str) -> Product:
        loading.set()
        assert committed.wait(60)
        return crm.products[1]

    with closing(Ledger.open(None, tmp_path)) as ledger:
        assert ledger.journal == "delete"
        load(ledger, crm.snapshot)
        stand = Stand(ledger, crm)
        lead_id = stand.free_lead()
        made = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer
        asking = Thread(target=ask, args=(stand, lead_id, made["items"][0]["rep_id"], slow))
        asking.start()
        try:
            assert loading.wait(60)
            with changing(ledger) as change:
                change.touch("leads", [lead_id])
        finally:
            committed.set()
            asking.join()
