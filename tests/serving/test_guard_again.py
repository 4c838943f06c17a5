"""What is released again: by which offers files that the guard took back came through probation, and by which not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from features.config import read_config
from serving.actor import GUARD
from serving.guard import ENDS, came_through, standing, watch
from serving.ledger import Ledger
from serving.ledger.releases import Released, Releases
from serving.promote import _harm
from tests.serving.test_guard import (
    BAD,
    EVEN,
    GOOD,
    HELD,
    MARKET,
    MINUTE,
    NEW,
    NOW,
    OLD,
    RELEASED,
    Offered,
    give,
    held,
    old,
)
from training.gate import Harm
from training.probation import OFFERS

#: When it was released again, and when all that it was offered since is settled.
LATE = RELEASED + timedelta(days=10)
END = LATE + 3 * OFFERS * MINUTE
#: The files of model 2, registered once more.
SAME = replace(NEW, version="3")


@pytest.fixture
def again(ledger: Ledger) -> Ledger:
    """A ledger on which the guard took model 2 back, as revision 3, and which a person released once more by force."""
    releases = Releases(ledger)
    releases.promote(OLD, seen=0, reason="first", at=RELEASED - timedelta(days=30))
    releases.promote(NEW, seen=1, reason="I know better", forced=True, at=RELEASED)
    give(ledger, Offered(answers=BAD), held(GOOD))
    assert watch(ledger, read_config(HELD), NOW) is not None
    releases.promote(NEW, seen=3, reason="it was the season", forced=True, at=LATE)
    return ledger


def ours(n: int = OFFERS, answers: Sequence[object] = EVEN, at: timedelta = MINUTE) -> Offered:
    """Offers of the model since it serves again."""
    return Offered(n=n, answers=answers, at=LATE + at)


def beside(answers: Sequence[object] = EVEN) -> Offered:
    """Held-out ones among them."""
    return replace(held(answers, n=300), at=LATE + 1.5 * MINUTE)


def earlier(answers: Sequence[object] = EVEN) -> Offered:
    """Those of what served before it came again."""
    return replace(old(answers), at=LATE - 401 * MINUTE)


def passed(ledger: Ledger, config: str = HELD) -> bool:
    return came_through(ledger, read_config(config), NEW.content_hash, 3, END)


def told(ledger: Ledger, config: str) -> str:
    seen = standing(ledger, read_config(config), END)
    assert seen is not None
    return seen.sentence


def test_what_was_rolled_back_counts_no_more_once_a_later_release_of_it_came_through_probation(again: Ledger) -> None:
    """By force it was brought back; the same files, trained anew each night, are not refused for ever."""
    releases, config = Releases(again), read_config(HELD)
    back = releases.rolled_back(NEW.content_hash, GUARD)
    assert back is not None
    assert _harm(releases, config, NEW.content_hash) == Harm(back.promoted_at, back.revision, back.reason)
    give(again, ours(OFFERS - 1), beside())
    assert not passed(again)
    give(again, ours(1, at=OFFERS * MINUTE))
    assert passed(again)
    releases.promote(OLD, seen=4, reason="another", at=END)  # whatever serves since
    assert _harm(releases, config, NEW.content_hash) is None


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("config", "others"), [(HELD, beside), (MARKET, earlier)], ids=["than held-out ones", "than those of before"]
)
def test_one_that_was_worse_again_did_not_come_through(
    again: Ledger, config: str, others: Callable[[Sequence[object]], Offered]
) -> None:
    give(again, ours(answers=BAD), others(GOOD))
    assert not passed(again, config)
    assert told(again, config).startswith(
        "Model 2 has not passed its probation, which is over: of 1,000 offers of model 2 25% were accepted, of "
    )


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_one_that_was_held_to_nothing_did_not_come_through_either(again: Ledger) -> None:
    """Nobody is held out, and what served before made no offers; so nothing could have said that it does harm."""
    give(again, ours(answers=BAD))
    over = "Model 2 has not passed its probation, which is over: too few to say how it does."
    for config in (MARKET, HELD):
        assert not passed(again, config)
        assert told(again, config) == over
    give(again, earlier(BAD))
    assert passed(again, MARKET)
    # Where accounts are held out, only these can say that a drop is no season; there are none.
    assert not passed(again, HELD)
    assert told(again, HELD).endswith("; too few held-out ones to say more.")


def test_each_release_is_judged_by_the_offers_of_its_own_time(again: Ledger) -> None:
    """What a model was offered in two releases that were too short for probation makes up none."""
    releases, second = Releases(again), LATE + timedelta(days=1)
    give(again, ours(100), beside())
    releases.rollback(seen=4, reason="a person did not like it", at=LATE + timedelta(hours=3))
    releases.promote(NEW, seen=5, reason="again", forced=True, at=second)
    give(again, ours(OFFERS - 100, at=timedelta(days=1, minutes=1)))
    assert not passed(again)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("last", "in_time"), [(ENDS - MINUTE, True), (ENDS, False)], ids=["last", "late"])
def test_what_was_offered_after_probation_is_no_part_of_it(again: Ledger, last: timedelta, in_time: bool) -> None:
    give(again, ours(OFFERS - 1), beside(), ours(1, at=last))
    assert came_through(again, read_config(HELD), NEW.content_hash, 3, LATE + 2 * ENDS) == in_time


def same_again(ledger: Ledger, *first: Released) -> None:
    """Whatever came first, then model 2, and a day later its same files as model 3, which is as bad."""
    releases = Releases(ledger)
    for revision, one in enumerate((*first, NEW)):
        at = RELEASED - (len(first) - revision) * timedelta(days=10)
        releases.promote(one, seen=revision, reason="trained", at=at)
    give(ledger, Offered(n=60, answers=BAD))
    releases.promote(SAME, seen=len(first) + 1, reason="trained again", at=RELEASED + timedelta(days=1))
    give(ledger, Offered(n=OFFERS, answers=BAD, at=RELEASED + timedelta(days=1, minutes=1)))


def test_the_same_files_as_another_version_are_held_to_the_last_other_model_and_go_back_to_it(ledger: Ledger) -> None:
    """Held to themselves they would never be worse; and rolled back to themselves they would be on no probation."""
    same_again(ledger, OLD)
    give(ledger, old(GOOD))
    back = watch(ledger, read_config(MARKET), NOW)
    assert back is not None
    assert "of 1,000 offers of model 3 25% were accepted, of 400 made before it 75%" in back.reason
    assert (back.model, back.prior, back.revision) == (OLD, None, 4)


def test_the_first_files_that_were_released_twice_go_back_to_the_rules(ledger: Ledger) -> None:
    same_again(ledger)
    give(ledger, Offered("fallback", None, "owner_territory", 400, GOOD, RELEASED - timedelta(days=1)))
    back = watch(ledger, read_config(MARKET), NOW)
    assert back is not None
    assert back.model is None


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_who_is_worse_than_held_out_ones_does_not_go_back_to_itself_either(ledger: Ledger) -> None:
    same_again(ledger, OLD)
    give(ledger, replace(held(GOOD, n=300), at=RELEASED + timedelta(days=1, minutes=1.5)))
    back = watch(ledger, read_config(HELD), NOW)
    assert back is not None
    assert "held-out ones" in back.reason
    assert back.model == OLD


def test_files_that_were_only_held_to_themselves_did_not_come_through(again: Ledger) -> None:
    """It is released by force twice in a row, as bad in both; nobody is held out, and nothing else made offers."""
    give(again, ours(400, answers=BAD))
    second = timedelta(days=2)
    Releases(again).promote(SAME, seen=4, reason="once more", forced=True, at=LATE + second)
    give(again, ours(answers=BAD, at=second + MINUTE))
    assert not came_through(again, read_config(MARKET), NEW.content_hash, 3, END + second)
    seen = standing(again, read_config(MARKET), END + second)
    assert seen is not None
    assert seen.sentence == "Model 3 has not passed its probation, which is over: too few to say how it does."
