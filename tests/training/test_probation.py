"""How a new model's offers are compared: numbers worked out by hand, and how seldom a sound one is found worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.guard_power import Releases
from training.lift import TUNED_AT
from training.probation import ALPHA, MARGIN, OFF, Answers, Judged, Probation, before, beside


def answers(yes: int, no: int, accounts: int | None = None) -> Answers:
    """So many, acceptances and refusals in turn as long as there are both; each of an account of its own."""
    both = min(yes, no)
    accepted = np.r_[np.tile([1.0, 0.0], both), np.ones(yes - both), np.zeros(no - both)]
    return Answers(accepted, np.arange(yes + no) % (accounts or yes + no))


def half(spread: float, t: int, alpha: float) -> float:
    """Half of the band of t terms, from the paper's formula."""
    rho2 = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / TUNED_AT
    return spread * float(np.sqrt(2 * (t * rho2 + 1) / (t * t * rho2) * np.log(np.sqrt(t * rho2 + 1) / alpha)))


def test_offers_before_are_compared_with_both_errors_in_the_band() -> None:
    """20 of 80 against 600 of 1,000: 35 points less, off by the band of 80 and three errors of the thousand."""
    seen = before(answers(20, 60), answers(600, 400))
    assert seen is not None
    assert (seen.model, seen.others, seen.model_rate, seen.others_rate) == (80, 1000, 0.25, 0.6)
    wide = half(np.sqrt(80 * 0.25 * 0.75 / 79), 80, ALPHA / 2) + OFF * np.sqrt(0.6 * 0.4 / 1000)
    assert (seen.low, seen.high) == pytest.approx((-0.35 - wide, -0.35 + wide))


def test_offers_in_turn_with_held_out_ones_are_compared_one_by_one() -> None:
    """The model's 60 are all refused, the 60 held-out ones between them all accepted: terms worked out one by one."""
    accepted, held = np.tile([0.0, 1.0], 60), np.tile([False, True], 60)
    seen = beside(Answers(accepted, np.arange(120)), held)
    assert seen is not None
    assert (seen.model, seen.others, seen.difference) == (60, 60, -1)
    terms, yes = [], 0
    for place, one in enumerate(accepted):
        so_far = yes / place if place else 0.0
        terms.append((-1 if held[place] else 1) * (one - so_far) / 0.5)
        yes += int(one)
    wide = half(float(np.std(terms, ddof=1)), 120, ALPHA)
    assert (seen.low, seen.high) == pytest.approx((np.mean(terms) - wide, np.mean(terms) + wide))
    assert seen.high < 0
    words = seen.sentence("7", "held-out ones")
    assert words.startswith(
        "of 60 offers of model 7 0% were accepted, of 60 held-out ones 100% (-100 points, 99.5% band"
    )


def test_offers_of_one_account_tell_less_than_as_many_of_others() -> None:
    alike = Answers(np.repeat(answers(25, 75).accepted, 4), np.repeat(np.arange(100), 4))
    apart = replace(alike, account=np.arange(400))
    others = answers(600, 400)
    together, each = before(alike, others), before(apart, others)
    assert together is not None
    assert each is not None
    known = OFF * np.sqrt(0.24 / 1000)
    assert together.high + 0.35 - known == pytest.approx(2 * (each.high + 0.35 - known))


@pytest.mark.parametrize(
    ("model", "others"),
    [
        (answers(0, 10), answers(600, 400)),  # ten
        (answers(0, 80, accounts=19), answers(600, 400)),  # many of few accounts
        (answers(2, 80), answers(100, 900)),  # eight acceptances are expected of 82
        (answers(0, 80), answers(0, 0)),
    ],
)
def test_too_few_offers_are_no_comparison(model: Answers, others: Answers) -> None:
    assert before(model, others) is None


def judged(difference: float, high: float) -> Judged:
    return Judged(100, 100, 0.5 + difference, 0.5, difference - 0.2, high)


@pytest.mark.parametrize(
    ("beside", "before", "held", "worse"),
    [
        (judged(-0.2, -0.01), None, True, "beside"),
        (judged(-0.2, 0.01), None, True, None),
        (None, judged(-0.3, -MARGIN - 0.01), False, "before"),
        (None, judged(-0.3, -MARGIN + 0.01), False, None),  # the season may take as much
        (judged(-0.1, 0.1), judged(-0.3, -0.1), True, "before"),
        (judged(-0.02, 0.2), judged(-0.3, -0.1), True, None),  # as many refuse the held-out ones: it is the season
        (None, judged(-0.3, -0.1), True, None),  # they are not heard yet
    ],
)
def test_a_drop_since_before_counts_unless_the_season_explains_it(
    beside: Judged | None, before: Judged | None, held: bool, worse: str | None
) -> None:
    assert Probation(beside, before, held).worse == worse


@pytest.mark.parametrize(
    ("beside", "before", "held", "passed"),
    [
        (judged(-0.2, 0.01), None, True, True),
        (judged(-0.2, -0.01), None, True, False),
        (None, judged(-0.3, -MARGIN + 0.01), False, True),
        (None, judged(-0.3, -MARGIN - 0.01), False, False),
        (None, None, False, False),
        (None, judged(0.1, 0.3), True, False),  # what came before is not heard by itself, good or bad
        (judged(-0.02, 0.2), judged(-0.3, -0.1), True, True),
    ],
)
def test_it_is_passed_where_what_can_find_it_worse_was_there_and_did_not(
    beside: Judged | None, before: Judged | None, held: bool, passed: bool
) -> None:
    assert Probation(beside, before, held).passed == passed


@pytest.mark.parametrize("world", [Releases(), Releases(accounts=400), Releases(holdout=0.3), Releases(season=-0.05)])
def test_sound_releases_that_are_looked_at_all_the_time_stay(world: Releases) -> None:
    """60 of each; 1 in 100 is allowed, and the spread of as many."""
    rng = np.random.default_rng(0)
    fooled = sum(world.judged(rng, 10) is not None for _ in range(60))
    assert fooled / 60 <= 0.01 + 2 * np.sqrt(0.01 * 0.99 / 60)


@pytest.mark.parametrize("holdout", [0.0, 0.1, 0.3])
def test_a_model_whose_offers_are_accepted_twenty_points_less_is_found(holdout: float) -> None:
    rng, world = np.random.default_rng(1), Releases(model=-0.2, holdout=holdout)
    after = [world.judged(rng, 10) for _ in range(40)]
    found = [n for n in after if n is not None]
    assert len(found) >= 36
    assert np.median(found) < 450
