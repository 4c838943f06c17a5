"""Propensities that were not logged are fitted, calibrated and never those of the round's own outcome."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.coverage import Bandit
from training.offpolicy.design import Design
from training.offpolicy.folds import folds, splits
from training.offpolicy.log import BanditLog
from training.offpolicy.progress import silent
from training.offpolicy.propensity import Propensities, propensities


def _filled(log: BanditLog, seed: int = 0) -> Propensities:
    return propensities(log, Design.of(log.context), folds(log.cluster, seed), seed, silent)


def test_what_was_logged_stays_as_it_was() -> None:
    log, _, _ = Bandit("half", rounds=800, known=0.5).draw(1)
    made = _filled(log)
    np.testing.assert_array_equal(made.fitted, log.unlogged)
    np.testing.assert_array_equal(made.value[~made.fitted], log.propensity[~log.unlogged])
    assert ((made.value > 0) & (made.value <= 1)).all()
    assert _filled(replace(log, propensity=np.full(800, 0.5))).model is None


def test_a_fitted_propensity_is_close_to_the_true_one() -> None:
    bandit = Bandit("none", rounds=3000, known=0.0, sharp=1.0)
    true = replace(bandit, known=1.0).draw(2)[0].propensity
    made = _filled(bandit.draw(2)[0])
    assert made.model in ("logit", "shrunk_logit")
    assert np.mean(np.abs(made.value - true)) < 0.03
    assert made.error is not None
    assert made.by_chance is not None
    assert made.error < 0.01
    assert made.error < made.by_chance < 0.02
    assert made.hopeless is None
    assert np.mean(1 / made.value) == pytest.approx(np.mean(1 / true), rel=0.1)


def test_without_context_it_is_how_often_the_action_was_taken() -> None:
    log, _, _ = Bandit("blind", rounds=1000, known=0.0, sharp=0.0, context=False).draw(3)
    made = _filled(log)
    assert made.model == "frequencies"
    share = np.bincount(log.action) / 1000
    np.testing.assert_allclose(made.value, share[log.action], rtol=0.15)


def test_no_cluster_is_on_both_sides_of_a_fold_and_folds_are_even() -> None:
    cluster = np.repeat(np.arange(40), np.arange(1, 41))
    fold = folds(cluster, seed=4)
    assert all(len(np.unique(fold[cluster == one])) == 1 for one in range(40))
    size = np.bincount(fold)
    assert len(size) == 5
    assert size.max() - size.min() <= 20
    for learn, held in splits(fold):
        assert not set(cluster[learn]) & set(cluster[held])
        assert len(learn) + len(held) == len(cluster)
    singles = np.bincount(folds(np.arange(103)))
    assert singles.max() - singles.min() <= 1


def test_a_round_teaches_only_the_rounds_of_other_folds() -> None:
    log, _, _ = Bandit("blind", rounds=600, known=0.0, sharp=0.0, context=False).draw(6)
    fold = folds(log.cluster, 0)
    first = int(np.flatnonzero(fold == 0)[0])
    action = log.action.copy()
    action[first] = (action[first] + 1) % 5
    before, after = _filled(log).value, _filled(replace(log, action=action)).value
    touched = np.isin(log.action, (log.action[first], action[first]))
    others = np.flatnonzero(np.arange(600) != first)
    same = np.isclose(before, after, rtol=1e-9)
    np.testing.assert_array_equal(same[others], ((fold == 0) | ~touched)[others])


def test_the_chance_of_a_round_is_not_learned_from_its_cluster() -> None:
    """Each cluster takes an action of its own; seen from outside the cluster, all are equally likely."""
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(100), 10)
    action = rng.integers(0, 4, 100)[cluster]
    shown = pd.DataFrame({"cluster": [f"c{c}" for c in cluster]})
    log = BanditLog(tuple("abcd"), action, np.zeros(1000), np.full(1000, np.nan), cluster, True, shown)
    assert _filled(log).value.max() < 0.5


def test_a_context_of_all_kinds_becomes_a_design() -> None:
    n = 60
    context = pd.DataFrame({
        "number": np.append(np.arange(n - 1) / 7, np.nan), "code": np.arange(n) % 3, "same": np.ones(n),
        "word": np.array(["a", "b", None] * 20, dtype=object), "name": [f"n{i}" for i in range(n)],
    })  # fmt: skip
    design = Design.of(context)
    assert design.numbers.shape == (n, 1)
    assert design.sizes.tolist() == [3, 2]
    dense = design.dense(np.arange(n))
    assert dense.shape == (n, design.width) == (n, 1 + 1 + 3 + 2)
    assert np.isfinite(dense).all()
    assert dense[-1, 1] == 1.0, "what is not known is told"
    assert Design.of(pd.DataFrame(index=range(n))).width == 0
