"""What an explanation makes anew: the model of then asked again, or in truth why not; reasons of every line."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import callsheet
from serving.actor import LOCAL
from serving.cache import ModelCache
from serving.crashes import Crashes
from serving.explain import Answer, explained
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.decisions import read
from tests.serving.conftest import Crm, make_home
from tests.serving.ledger.small import rows
from tests.serving.standing_ledger import Stand


@pytest.fixture
def stand(stocked: Ledger, crm: Crm) -> Stand:
    return Stand(stocked, crm)


def told(stand: Stand, decision_id: str, home: Path) -> Answer:
    with stand.ledger.reading() as connection:
        return explained(read(connection, decision_id), ModelCache(home).load)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_why_the_model_of_then_is_not_asked_is_told_as_it_is(stand: Stand, crm: Crm, tmp_path: Path) -> None:
    decided = stand.decider.reps(stand.free_lead(), None, 3, actor=LOCAL).answer["decision_id"]
    home, digest = make_home(crm, tmp_path / "home"), crm.products[1].content_hash
    folder = ModelCache(home).folder(digest)
    command = ["explain", decided, "--db", stand.ledger.url, "--config", str(crm.config_path), "--home", str(home)]

    def said(state: str, because: str, words: str) -> None:
        seen = told(stand, decided, home)
        assert (seen["replay"]["model"], seen["replay"]["agrees"]) == (state, None)
        assert because in seen["replay"]["because"]
        assert [item["reasons"] for item in seen["items"]] == [[], [], []]
        ran = CliRunner().invoke(callsheet.app, command)
        assert ran.exit_code == 0, ran.output
        assert f"by model 2, which {words};" in ran.stderr
        assert because in ran.stderr

    assert told(stand, decided, home)["replay"] == {"model": "here", "agrees": True, "because": None}
    for _ in range(3):
        Crashes(home).note(digest, signal.SIGSEGV)
    said("held_back", "3 workers crashed within 10 minutes", "is held back because workers crashed by it")
    (Crashes(home).root / digest).unlink()
    trees = folder / "accept.txt"
    trees.write_bytes(trees.read_bytes()[:-1])
    said("unusable", "accept.txt is not the", "cannot be asked")
    folder.rename(tmp_path / "elsewhere")
    said("gone", "There is no model in", "is not kept any more")


@pytest.mark.parametrize("also", ["a free lead", "nothing else"])
def test_open_offers_on_a_call_sheet_have_their_reasons_though_nobody_asked_for_them_then(
    stand: Stand, crm: Crm, tmp_path: Path, also: str
) -> None:
    lead_id = stand.free_lead()
    rep_id = stand.decider.reps(lead_id, None, 1, actor=LOCAL, once=stand.once()).answer["items"][0]["rep_id"]
    if also == "nothing else":  # a rep who is away may be offered none
        away = {"starts_at": stand.now, "ends_at": stand.now + timedelta(days=3)}
        with changing(stand.ledger, stand.now) as change:
            change.upsert("time_off", rows("time_off", {"time_off_id": "T", "rep_id": rep_id} | away))
    stand.minutes += 1
    stand.follow()
    asked = stand.decider.leads(rep_id, 9, actor=LOCAL, reasons=True).answer
    answer = stand.decider.leads(rep_id, 9, actor=LOCAL).answer
    assert all(item["offer_id"] for item in answer["items"]) is (also == "nothing else")
    assert answer["items"][0]["lead_id"] == lead_id
    assert answer["items"][0]["offer_id"]
    assert [item["reasons"] for item in answer["items"]] == [[]] * len(answer["items"])
    said = told(stand, answer["decision_id"], make_home(crm, tmp_path / "home"))
    assert said["replay"] == {"model": "here", "agrees": True, "because": None}
    assert [item["reasons"] for item in said["items"]] == [item["reasons"] for item in asked["items"]]
    assert all(item["reasons"] for item in said["items"])
    assert set(said["features"]) == {item["lead_id"] for item in said["items"]}
