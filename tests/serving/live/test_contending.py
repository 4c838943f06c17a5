"""A process that follows which model is the challenger; whatever is wrong with that one, what serves goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from serving.card import card_of
from serving.ledger.challengers import Challengers
from serving.ledger.releases import Releases
from serving.live import Live
from tests.serving.challengers import contrary, failing, released
from tests.serving.conftest import Crm
from tests.serving.databases import Site
from tests.serving.live.standing import fill, release
from tests.serving.live.test_follow import placed, until


@pytest.fixture(scope="module")
def live(crm: Crm, site: Site) -> Iterator[Live]:
    """With a champion, at a standing clock."""
    ledger = site.open()
    fill(ledger, crm)
    release(ledger, crm, site.home)
    instant = int(crm.snapshot.now.timestamp() * 1_000_000) + 3_600_000_000
    made = Live(ledger, crm.config, site.home, clock=lambda: instant).start()
    yield made
    made.close()
    ledger.close()


def refuse(live: Live, crm: Crm, fault: str) -> None:
    """Name a challenger with a fault; the one that fails is whole and has the right hash, so only its trial tells."""
    other = (failing if fault == "failing" else contrary)(crm.products[1])
    place = live.cache.folder(other.content_hash)
    if fault != "gone":
        other.save(place)
    if fault == "damaged":
        content = bytearray((place / "product.json").read_bytes())
        content[len(content) // 2] ^= 1
        (place / "product.json").write_bytes(content)
    named = Challengers(live.ledger).current()
    seen = named.revision if named else 0
    Challengers(live.ledger).name(released(crm, other), seen=seen, reason=fault)
    until(lambda: live.recommender.contender and live.recommender.contender.named.revision == seen + 1)
    shutil.rmtree(place, ignore_errors=True)


def test_a_challenger_that_cannot_be_used_is_refused_and_changes_nothing(
    live: Live, crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, _ = placed(live.recommender)
    before = live.recommender.reps_for_lead(lead)
    for fault in ("damaged", "gone", "failing", "slow"):
        if fault == "slow":
            monkeypatch.setattr("serving.cache.SCORING_MS", -1.0)
        refuse(live, crm, fault)
        said = card_of(live.recommender)
        assert not said["challenger"]["usable"], fault
        assert said["challenger"]["refused_because"].startswith("model 9 cannot be tried: ")
        assert (said["model_version"], said["degraded"]) == ("2", False)
        assert live.recommender.beside is None
        assert live.recommender.reps_for_lead(lead) == before


def test_a_challenger_is_followed_beside_what_serves_until_it_is_promoted(live: Live, crm: Crm) -> None:
    other = contrary(crm.products[1])
    other.save(live.cache.folder(other.content_hash))
    lead, _ = placed(live.recommender)
    before = live.recommender.reps_for_lead(lead)["items"]
    named = Challengers(live.ledger).current()
    seen = named.revision if named else 0
    Challengers(live.ledger).name(released(crm, other), seen=seen, reason="the opposite")
    until(lambda: live.recommender.beside)
    assert card_of(live.recommender)["challenger"]["usable"]
    beside = live.recommender.beside
    assert beside is not None
    theirs = beside.reps_for_lead(lead)
    assert (theirs["model_version"], theirs["rung"]) == ("9", "challenger")
    assert [item["rep_id"] for item in theirs["items"]] != [item["rep_id"] for item in before]
    assert live.recommender.reps_for_lead(lead)["items"] == before
    Releases(live.ledger).promote(released(crm, other), seen=2, reason="it serves from now on")
    until(lambda: live.recommender.standing.version == "9" and live.recommender.contender is None)
    assert card_of(live.recommender)["challenger"] is None
