"""A recent past that is as it was leads to keep; one that is changed in one way leads to what that way asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.asof import DAY
from features.catalogue import BY_NAME
from features.matrix import Vocabulary
from features.outcomes import ACCEPTED, REJECTED
from tests.training.monitor.conftest import World, found
from training.monitor.drift import FLOOR, limit, psi, usual
from training.monitor.judgement import OLD, UNSEEN, WEIGHT, Judgement
from training.monitor.recent import Recent, scored


def alarms(judged: Judgement) -> set[str]:
    return {finding.check for finding in judged.findings if finding.state == "alarm"}


def heaviest(world: World, least: float) -> list[str]:
    """The heaviest numbers that are told of every offer, until they carry so much of the model."""
    chosen: list[str] = []
    for name in sorted(world.reference.weights, key=lambda n: -world.reference.weights[n]):
        told = not np.isnan(world.window_of(name)).any()
        if BY_NAME[name].kind == "number" and told:
            chosen.append(name)
        if sum(world.reference.weights[n] for n in chosen) >= least:
            return chosen
    raise AssertionError("the model hangs on nothing")


def with_answers(world: World, accepted: np.ndarray, rows: np.ndarray) -> Recent:
    """The recent past with other answers to some of its offers."""
    answer = world.recent.examples.answer.copy()
    answer[rows] = np.where(accepted, ACCEPTED, REJECTED)
    return replace(world.recent, examples=replace(world.recent.examples, answer=answer))


def since_cut(world: World) -> np.ndarray:
    return np.flatnonzero(world.recent.examples.offered >= world.reference.cut)


# -- Nothing has changed --------------------------------------------------------------------------------------------


def test_a_past_that_is_as_it_was_keeps_the_model(world: World) -> None:
    judged = world.judged()
    assert len(world.recent.window) >= FLOOR
    assert (judged.advice, alarms(judged), judged.reasons) == ("keep", set(), ())
    assert (judged.silent, judged.healthy, judged.remedy) == (False, True, "Nothing.")
    for check in ("features", "unseen categories", "accept rate", "convert rate", "accept calibration"):
        assert found(judged, check).state == "ok", found(judged, check).text


@pytest.mark.parametrize("rows", [500, 2000])
def test_real_features_do_not_alarm_without_drift(world: World, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws of training's own rows, all features together, held to chance and habit without the practical least."""
    monkeypatch.setattr("training.monitor.drift.LEAST", 0.0)
    draws, tests = 100, len(world.reference.features)
    rng = np.random.default_rng(rows)
    cried = np.zeros(draws, bool)
    for counted in world.reference.features.values():
        then = counted.weeks.sum(0).astype(float)
        seen = psi(then, rng.multinomial(rows, then / then.sum(), size=draws))
        cried |= seen > limit(counted.total, rows, usual(counted.weeks, 4).spread, tests)
    # One run of 1,000 is meant to cry; of 10 seeds' 100 runs at either size none did.
    assert int(cried.sum()) <= 1


# -- Features -------------------------------------------------------------------------------------------------------


def test_drift_in_what_the_model_hangs_on_asks_for_a_training_and_is_named(world: World) -> None:
    names = heaviest(world, 2 * WEIGHT)
    recent = world.recent
    for name in names:
        recent = replace(world, recent=recent).with_feature(name, world.window_of(name).max() + 1)
    judged = world.judged(recent)
    seen = found(judged, "features")
    assert (judged.advice, seen.state, seen.asks) == ("retrain", "alarm", "retrain")
    assert seen.numbers["weight"] == pytest.approx(sum(world.reference.weights[n] for n in names))
    assert names[0] in seen.text
    assert seen in judged.reasons


def test_drift_in_what_the_model_makes_little_of_is_told_and_no_more(world: World) -> None:
    light = min(
        (n for n in world.reference.weights if BY_NAME[n].kind == "number" and not np.isnan(world.window_of(n)).any()),
        key=lambda n: world.reference.weights[n],
    )
    judged = world.judged(world.with_feature(light, world.window_of(light).max() + 1))
    seen = found(judged, "features")
    assert (judged.advice, seen.state) == ("keep", "watch")
    assert light in seen.text


def test_a_column_that_vanished_is_named(world: World) -> None:
    (name,) = heaviest(world, 0.0001)
    judged = world.judged(world.with_feature(name, np.nan))
    seen = found(judged, "features")
    assert seen.numbers["gone"] == 1
    assert f"told in training and by no offer now: {name} (" in seen.text.lower()
    moved = next(m for m in world.compared(world.with_feature(name, np.nan)).features if m.name == name)
    assert (moved.state, moved.missing) == ("gone", (0.0, 1.0))


def test_a_column_that_vanished_needs_mending_however_little_hangs_on_it(world: World) -> None:
    numbers = (n for n in world.reference.weights if not np.isnan(world.window_of(n)).any())
    name = min(numbers, key=lambda n: world.reference.weights[n])
    judged = world.judged(world.with_feature(name, np.nan))
    seen = found(judged, "features gone")
    assert (judged.advice, judged.healthy, seen.state, seen.asks) == ("keep", False, "alarm", "mend")
    assert name in seen.text
    assert "A source broke" in seen.text
    assert judged.reasons == (seen,)


def test_below_the_floor_nothing_alarms_whatever_happens(world: World) -> None:
    rows = world.recent.window[-(FLOOR - 1) :]
    broken = replace(world, recent=with_answers(world, np.ones(len(since_cut(world)), bool), since_cut(world)))
    broken = replace(broken, recent=broken.with_feature(heaviest(world, 0.0001)[0], np.nan))
    short = replace(
        broken.recent, window=rows, start=broken.recent.end - 35 * DAY, log_end=world.reference.cut + 35 * DAY
    )
    judged = world.judged(short)
    assert (judged.advice, alarms(judged)) == ("keep", set())
    assert judged.silent
    assert not judged.healthy
    assert judged.remedy.startswith("Nothing could be judged")
    assert "--window 63d would hold enough" not in found(judged, "accept rate").text
    assert "--window 42d would hold enough" in found(judged, "features").text


# -- Categories -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [UNSEEN / 2, 2 * UNSEEN])
def test_a_solution_that_training_never_saw_is_counted_and_named(world: World, share: float) -> None:
    examples = world.recent.examples
    words = examples.matrix.vocabulary.values
    place = len(words["solution"])
    own = world.window_of("solution").copy()
    new = np.arange(len(own)) < share * len(own)
    own[new] = place
    recent = world.with_feature("solution", own)
    spoken = Vocabulary({**words, "solution": (*words["solution"], "quantum")})
    matrix = replace(recent.examples.matrix, vocabulary=spoken)
    judged = world.judged(replace(recent, examples=replace(recent.examples, matrix=matrix)))
    seen = found(judged, "unseen categories")
    assert f"solution quantum ({int(new.sum())})" in seen.text
    assert seen.numbers["share"] == pytest.approx(new.mean())
    over = share > UNSEEN
    assert seen.asks == ("retrain" if over else "keep")
    if over:
        assert judged.advice == "retrain"


# -- Outcomes -------------------------------------------------------------------------------------------------------


def test_a_rate_beyond_its_interval_asks_for_a_training(world: World) -> None:
    rows = since_cut(world)
    twice = np.random.default_rng(0).random(len(rows)) < 2 * world.reference.heads["accept"].rate
    judged = world.judged(with_answers(world, twice, rows))
    seen = found(judged, "accept rate")
    assert (judged.advice, seen.asks) == ("retrain", "retrain")
    now, high = seen.numbers["now"], seen.numbers["high"]
    assert now is not None
    assert high is not None
    assert now > high
    assert found(judged, "convert rate").state == "ok"


def test_probabilities_that_are_off_while_the_rest_holds_ask_for_calibration_only(world: World) -> None:
    """As many are accepted as before, and the right ones: what the model calls likely is now certain."""
    rows = since_cut(world)
    p = scored(world.product, world.recent.examples, rows).p_accept
    sure = p >= np.quantile(p, 1 - world.reference.heads["accept"].rate)
    judged = world.judged(with_answers(world, sure, rows))
    seen = found(judged, "accept calibration")
    assert judged.advice == "recalibrate"
    assert judged.reasons == (seen,)
    error, chance, allowed = (seen.numbers[name] for name in ("error", "by_chance", "allowed"))
    assert error is not None
    assert chance is not None
    assert allowed is not None
    assert error > chance + allowed


def test_an_order_that_is_lost_is_no_matter_of_calibration(world: World) -> None:
    rows = since_cut(world)
    p = scored(world.product, world.recent.examples, rows).p_accept
    worst = p <= np.quantile(p, world.reference.heads["accept"].rate)
    judged = world.judged(with_answers(world, worst, rows))
    assert {"accept order", "accept calibration"} <= alarms(judged)
    assert judged.advice == "retrain"
    assert judged.reasons[0].check == "accept order"


# -- Ages and the market --------------------------------------------------------------------------------------------


def test_an_old_model_is_trained_anew_only_when_there_is_something_new(world: World) -> None:
    horizon = world.config.labels.converted.within.microseconds
    old = world.reference.cut + OLD * horizon + DAY
    judged = world.judged(clock=old)
    assert (judged.advice, found(judged, "model age").state) == ("retrain", "alarm")
    idle = world.judged(replace(world.recent, log_end=world.reference.cut + 7 * DAY), clock=old)
    assert (idle.advice, found(idle, "model age").state) == ("keep", "watch")
    assert "it takes 500 to learn anew" in found(idle, "model age").text


def test_data_that_stopped_coming_are_said_to_be_old(world: World) -> None:
    judged = world.judged(clock=world.recent.now + 30 * DAY)
    seen = found(judged, "data age")
    assert (judged.advice, seen.state, seen.asks) == ("keep", "alarm", "mend")
    assert (judged.healthy, judged.reasons) == (False, (seen,))
    assert "30 days ago" in seen.text
    assert "the feed has stopped" in seen.text
    assert "at their source" in judged.remedy
    fresh = world.judged(clock=world.recent.now + 13 * DAY)
    assert (fresh.healthy, found(fresh, "data age").state) == (True, "ok")


def test_another_served_market_asks_for_a_training(world: World) -> None:
    judged = world.judged(same_market=False)
    assert (judged.advice, alarms(judged)) == ("retrain", {"served market"})


def test_offers_outside_the_market_are_counted_by_rule(world: World) -> None:
    n = world.recent.offers
    outside = replace(world.recent, outside={"industry": n // 5, "buyer": 3})
    seen = found(world.judged(outside), "outside the market")
    assert (seen.state, seen.asks) == ("watch", "keep")
    assert f"industry {n // 5}, buyer 3" in seen.text
