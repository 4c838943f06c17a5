"""What families and features are worth, in a drawn world whose truth says which of them tell anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.catalogue import families
from tests.models.drawn import world
from tests.training.tried import QUICK, Tried, tried
from training.evaluate import evaluate
from training.gate import PRIMARY
from training.worth import Trial, agreement, mixed_up, pushes, without

#: In the drawn world a meeting within 14 days and the account's region count; these do not.
USELESS = ["wins", "losses", "open_opportunities", "pipeline_quarter"]


@pytest.fixture(scope="module")
def cut() -> Tried:
    return tried(world(0, 5000), test=1000)


@pytest.fixture(scope="module")
def trial(cut: Tried) -> Trial:
    return cut.trial()


def test_what_tells_is_missed_and_what_does_not_is_not(trial: Trial) -> None:
    """Accepting leans on the meeting by 0.7 logits, and not at all on the account's past."""
    met, past = mixed_up(trial, families()["timing"], 0), mixed_up(trial, USELESS, 0)
    assert met.lost["log_loss_accept"].above_zero
    assert not past.lost["log_loss_accept"].above_zero
    assert not past.sure
    assert met.lost["log_loss_accept"].value > 5 * abs(past.lost["log_loss_accept"].value)


def test_nothing_mixed_up_is_nothing_lost(trial: Trial) -> None:
    same = mixed_up(trial, [], 0)
    for seen in same.lost.values():
        assert (seen.value, seen.low, seen.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert same.by_cut == pytest.approx((0, 0), abs=1e-12)


def test_the_loss_is_that_of_the_metrics_themselves(trial: Trial) -> None:
    board, said = trial.pool.board, trial.said
    worse = replace(said, score=said.score[::-1], p_accept=np.full(len(said.score), 0.3))
    lost = without(trial.pool, trial.draw, said, worse)
    ours, theirs = evaluate(board, said, trial.draw), evaluate(board, worse, trial.draw)
    for name, sign in ((PRIMARY, 1), ("log_loss_accept", -1)):
        paired = ours.less(theirs, name)
        seen = lost.lost[name]
        assert seen.value == pytest.approx(sign * paired.value)
        assert sorted([seen.low, seen.high]) == pytest.approx(sorted([sign * paired.low, sign * paired.high]))
    assert lost.lost[PRIMARY].value == pytest.approx(np.mean(lost.by_cut), abs=0.02)  # the cuts have groups alike


def test_a_recipe_without_what_tells_does_worse(cut: Tried, trial: Trial) -> None:
    less = cut.trial(recipe=QUICK.but(drop=("fit",)))
    lost = without(trial.pool, trial.draw, trial.said, less.said)
    assert lost.lost["log_loss_accept"].above_zero
    assert lost.lost[PRIMARY].value > 0


def test_pushes_are_shares_that_both_cuts_rank_alike(trial: Trial) -> None:
    shares = pushes(trial)
    assert shares.shape == (2, len(trial.tests[0].columns))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    strongest = [trial.tests[0].columns[i] for i in np.argsort(-shares.mean(axis=0))[:8]]
    assert {"region_match", "meeting_14d"} & set(strongest)
    assert agreement(shares) > 0.3
    assert np.isnan(agreement(shares[:1]))
    assert agreement(np.array([[0.5, 0.3, 0.2, 0.0], [0.2, 0.3, 0.5, 0.0]])) == pytest.approx(-1)
