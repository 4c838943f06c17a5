"""Which model is the challenger: one row of many counts, by compare-and-set, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from features.errors import Conflict, Refused
from serving.ledger import Ledger
from serving.ledger.challengers import Challengers
from serving.ledger.releases import Released, Releases


def model(version: str) -> Released:
    return Released(version, version.zfill(64), "f1", "m1")


def test_one_is_named_another_takes_its_place_and_the_trial_ends(ledger: Ledger) -> None:
    challengers = Challengers(ledger)
    assert challengers.current() is None
    with pytest.raises(Refused):
        challengers.end(seen=0, reason="of nobody")
    first = challengers.name(model("1"), seen=0, reason="promising")
    assert challengers.current() == first
    second = challengers.name(model("2"), seen=1, reason="more so")
    with pytest.raises(Conflict, match="model 2 is the challenger now"):
        challengers.name(model("3"), seen=1, reason="late")
    with pytest.raises(Conflict):
        challengers.end(seen=1, reason="late")
    assert challengers.current() == second
    ended = challengers.end(seen=2, reason="enough seen")
    assert challengers.current() == ended
    assert ended.model is None
    # What serves is another matter.
    assert Releases(ledger).current() is None
