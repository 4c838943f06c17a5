"""The rule by which one recipe is better than another: ahead by more than chance on ranking or on value, worse on none.

Two ways lead through, so each has its share of the false alarms that are allowed. Ranking has the larger one: the same
advance is two to three times as many standard errors of it as of value (docs/gate.md). Where the log cannot tell value,
ranking has it all. So small a share of a heavy-tailed value is not read off the percentiles of replicates, which at 700
offers passed 1.3 % of equals where 0.5 % was allowed, but off a normal interval, which passed 0.1 to 0.7 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.bootstrap import Interval, interval, normal_interval
from training.contestants import RANKER
from training.gate.case import PRIMARY, PRIMARY_WORDS, Case, Number

#: How often chance may pass a model that is no better: one-sided, so that the interval that says so is a 95 % one.
ALARM = 0.025
#: The part of it for a lead on ranking, and for one on value, where both can be told.
RANKING_ALARM, VALUE_ALARM = 0.020, 0.005
#: How much of the rival's value may be lost: a model that is ahead on ranking may not be surely behind by more.
VALUE_MARGIN = 0.02
#: How far a model that is ahead on value may be behind on ranking.
RANKING_MARGIN = 0.02


@dataclass(frozen=True)
class Compared:
    """Whether the model is better than its rival, the numbers, and both in words."""

    passed: bool
    numbers: dict[str, Number]
    text: str


@dataclass(frozen=True)
class _Lead:
    """A lead and its replicates; `of_rival` is what it is a lead over."""

    value: float
    samples: np.ndarray
    of_rival: float

    def within(self, alarm: float) -> Interval:
        """The interval whose low end chance passes in `alarm` of the cases."""
        return interval(self.value, self.samples, 1 - 2 * alarm)


def better(case: Case, rival: str, title: str) -> Compared:
    """Whether the model is better than a rival of the same test rows.

    It is when it is ahead on ranking by more than chance (RANKING_ALARM) and not surely behind on value by more than
    VALUE_MARGIN; or when it is ahead on value by more than chance (VALUE_ALARM) and surely not behind on ranking by
    more than RANKING_MARGIN. Where the log cannot tell value, the first alone counts, at ALARM.
    """
    ranking, value = _ranking(case, rival), _value(case, rival)
    if ranking is None:
        return Compared(False, {}, "No test group has an offer that was accepted, so no order can be judged.")
    told = isinstance(value, _Lead)
    alarm = RANKING_ALARM if told else ALARM
    seen = ranking.within(alarm)
    numbers: dict[str, Number] = {
        "ranker": ranking.of_rival + ranking.value, "rival": ranking.of_rival,
        "difference": ranking.value, "low": seen.low, "high": seen.high, "false alarms": alarm,
    }  # fmt: skip
    text = (
        f"{'Ahead of' if ranking.value >= 0 else 'Behind'} {title} by {abs(ranking.value):.3f} {PRIMARY_WORDS} "
        f"({_level(alarm)} % interval {seen.low:+.3f} to {seen.high:+.3f}): "
        f"{'' if seen.above_zero else 'not '}better by more than chance."
    )
    if isinstance(value, str):
        return Compared(seen.above_zero, numbers, f"{text} Of its value the log cannot tell: {value}")
    sure, fine = value.within(ALARM), normal_interval(value.value, value.samples, 1 - 2 * VALUE_ALARM)
    lost = sure.high < -VALUE_MARGIN * abs(value.of_rival)
    level = ranking.within(ALARM).low > -RANKING_MARGIN
    numbers |= {
        "value": value.of_rival + value.value, "value of rival": value.of_rival,
        "value difference": value.value, "value low": fine.low, "value high": fine.high,
    }  # fmt: skip
    text += (
        f" In value {value.value:+.3f} conversions an offer ({_level(VALUE_ALARM)} % interval {fine.low:+.3f} to "
        f"{fine.high:+.3f})"
    )
    if fine.above_zero:
        text += ": better by more than chance" + (
            "." if level else f", but ranking is not surely within {RANKING_MARGIN}."
        )
    else:
        text += f": surely less by more than {VALUE_MARGIN:.0%}." if lost else ", which is no objection."
    passed = (seen.above_zero and not lost) or (fine.above_zero and level)
    return Compared(passed, numbers, text)


def _level(alarm: float) -> str:
    return f"{100 * (1 - 2 * alarm):g}"


def _ranking(case: Case, rival: str) -> _Lead | None:
    ours, theirs = case.measured[RANKER], case.measured[rival]
    if PRIMARY not in ours.value or PRIMARY not in theirs.value:
        return None
    samples = ours.samples[PRIMARY] - theirs.samples[PRIMARY]
    return _Lead(ours.value[PRIMARY] - theirs.value[PRIMARY], samples, theirs.value[PRIMARY])


def _value(case: Case, rival: str) -> _Lead | str:
    """The lead in doubly robust value, or why the log cannot tell it."""
    worth = case.pool.worth
    if RANKER not in worth or rival not in worth:
        return "the run did not estimate it."
    ours, theirs = worth[RANKER], worth[rival]
    known = np.isfinite(ours) & np.isfinite(theirs)
    if not known.any():
        refused = case.evidence.no_value
        return refused.get(RANKER) or refused.get(rival) or "the two were valued on different offers."
    lead = np.where(known, ours - theirs, 0.0)
    sums, rows = case.draw.sums(np.column_stack([lead, known])).T
    samples = np.where(rows > 0, sums / np.maximum(rows, 1.0), np.nan)
    return _Lead(float(lead[known].mean()), samples, float(theirs[known].mean()))
