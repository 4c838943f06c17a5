"""What the guard took back and a person released again: by which offers it came through probation, and by which not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from features.config import read_config
from serving.actor import GUARD
from serving.guard import ENDS, came_through, standing, watch
from serving.ledger import Ledger
from serving.ledger.releases import Releases
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
