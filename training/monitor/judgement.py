"""What the comparison comes to: keep, recalibrate or retrain. Every rule stands here; a reason has its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.asof import DAY
from features.config import Config
from features.counted import counted
from training.blocks import day_of
from training.monitor.compare import Compared, Moved
from training.monitor.drift import FLOOR
from training.monitor.recent import Recent
from training.monitor.reference import HEADS, WEEK, Head, Reference, ripened

Advice = Literal["keep", "recalibrate", "retrain"]
#: What one check asks for; mend: a source of the data, for which no training is the cure.
Asks = Literal["keep", "recalibrate", "retrain", "mend"]
State = Literal["ok", "alarm", "watch", "not judged"]
Number = float | int | None

#: Features that drifted lead to a retraining when together they make so much of what the features do to a score.
WEIGHT = 0.05
#: Share of the window's offers with a category that training never saw, from which on it is time to learn them.
UNSEEN = 0.10
#: A model is old after so many conversion horizons: what it knows of conversions was then learned one more ago.
OLD = 2
#: Days without any new fact after which the data, and not the model, are what to look at.
STALE = 14
#: Share of the window's offers outside the served market that is worth a look.
OUTSIDE = 0.10

WORDS = {"accept": "accepted", "convert": "converted"}


@dataclass(frozen=True)
class Finding:
    """One check: what it saw, in numbers and in words, and what it asks for, if anything."""

    check: str
    state: State
    text: str
    numbers: Mapping[str, Number]
    asks: Asks = "keep"


@dataclass(frozen=True)
class Case:
    """All that the checks look at; clock: the instant at which one asks, microseconds."""

    compared: Compared
    recent: Recent
    reference: Reference
    config: Config
    clock: int
    same_market: bool


@dataclass(frozen=True)
class Judgement:
    """The recommendation, and every finding behind it."""

    advice: Advice
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that ask for something, broken data first, for they put all the rest in doubt."""
        asking = [f for f in self.findings if f.asks != "keep"]
        return tuple(sorted(asking, key=lambda f: ("mend", "retrain", "recalibrate").index(f.asks)))

    @property
    def silent(self) -> bool:
        """Whether there was too little to judge anything by."""
        judged = ("features", "accept rate", "convert rate", "accept calibration", "convert calibration")
        return all(f.state == "not judged" for f in self.findings if f.check in judged)

    @property
    def healthy(self) -> bool:
        """Whether nobody needs to look: nothing is asked for, and something could be judged."""
        return not self.reasons and not self.silent

    @property
    def remedy(self) -> str:
        """What to do, the data first."""
        said = [MEND] if any(f.asks == "mend" for f in self.findings) else []
        said += [SILENT] if self.silent else []
        return " ".join([*said, REMEDY[self.advice]] if self.advice != "keep" or not said else said)


def judge(case: Case) -> Judgement:
    """Every check in order. Retrain when any asks for it; else recalibrate when any does; else keep."""
    findings = tuple(finding for check in CHECKS for finding in check(case))
    asked = {finding.asks for finding in findings}
    advice: Advice = "retrain" if "retrain" in asked else "recalibrate" if "recalibrate" in asked else "keep"
    return Judgement(advice, findings)


# -- The checks -----------------------------------------------------------------------------------------------------


def features(case: Case) -> list[Finding]:
    """Drift of features that carry weight; one that nobody's score hangs on is told and no more.

    One that is gone is another matter, whatever its weight: columns do not drift to nothing, sources break.
    """
    compared = case.compared
    judged = [m for m in compared.features if m.state != "not judged"]
    if not judged:
        text = _unjudged(compared.rows, "offers in the window") + _wider(case)
        return [Finding("features", "not judged", text, {"rows": compared.rows})]
    gone = [m for m in judged if m.state == "gone"]
    moved = sorted((m for m in judged if m.state == "moved"), key=lambda m: -m.weight)
    weight = sum(m.weight for m in (*gone, *moved))
    numbers: dict[str, Number] = {
        "rows": compared.rows, "judged": len(judged), "moved": len(moved), "gone": len(gone), "weight": weight,
        "weight_limit": WEIGHT,
    }  # fmt: skip
    if not gone and not moved:
        text = f"None of {counted(len(judged), 'feature')} moved further than it does by itself."
        return [Finding("features", "ok", text, numbers)]
    parts = []
    if gone:
        parts.append(f"told in training and by no offer now: {_named(gone)}")
    if moved:
        parts.append(f"moved beyond their limit: {', '.join(_far(m) for m in moved[:3])}{_more(moved, 3)}")
    said = "; ".join(parts)
    text = f"{said[0].upper()}{said[1:]}. Together they carry {weight:.0%} of the model (limit {WEIGHT:.0%})."
    heavy = weight >= WEIGHT
    found = [Finding("features", "alarm" if heavy else "watch", text, numbers, "retrain" if heavy else "keep")]
    if gone:
        text = f"Told in training and by no offer of the window: {_named(gone)}. A source broke, or is read no more."
        lost = {"gone": len(gone), "weight": sum(m.weight for m in gone)}
        found.append(Finding("features gone", "alarm", text, lost, "mend"))
    return found


def unseen(case: Case) -> list[Finding]:
    """Categories that the model has no effect for: a new solution, new reps, a new region."""
    compared = case.compared
    numbers: dict[str, Number] = {"rows": compared.rows, "share": compared.unseen, "limit": UNSEEN}
    if compared.rows < FLOOR:
        return [Finding("unseen categories", "not judged", _too_few(compared.rows, "offers in the window"), numbers)]
    values = [(n, f"{name} {value} ({n:,})") for name, by in compared.unseen_values.items() for value, n in by.items()]
    named = [words for _, words in sorted(values, key=lambda v: -v[0])]
    what = f": {', '.join(named[:5])}{_more(named, 5)}" if named else ""
    text = f"{compared.unseen:.1%} of the offers hold a category that training never saw (limit {UNSEEN:.0%}){what}."
    over = compared.unseen >= UNSEEN
    return [Finding("unseen categories", "alarm" if over else "ok", text, numbers, "retrain" if over else "keep")]


def rates(case: Case) -> list[Finding]:
    """Label shift: how often offers are accepted and convert, once ripe."""
    found = []
    for head in HEADS:
        rate = case.compared.rates[head]
        name, word = f"{head} rate", WORDS[head]
        numbers: dict[str, Number] = {
            "rows": rate.rows, "then": rate.then, "now": rate.now, "low": rate.low, "high": rate.high
        }  # fmt: skip
        if rate.low is None or rate.high is None or rate.now is None:
            found.append(
                Finding(name, "not judged", _unjudged(rate.rows, "offers that ripened in the window"), numbers)
            )
            continue
        seen = f"{rate.now:.1%} of {rate.rows:,} {word}, in training {rate.then:.1%}"
        room = f"between {rate.low:.1%} and {rate.high:.1%}"
        moved = rate.state == "moved"
        text = f"{seen}; without a shift it would lie {room}."
        found.append(Finding(name, "alarm" if moved else "ok", text, numbers, "retrain" if moved else "keep"))
    return found


def calibration(case: Case) -> list[Finding]:
    """Whether probabilities still mean what they say, on ripe offers that the model cannot have learned from."""
    found = []
    for head in HEADS:
        seen = case.compared.calibration[head]
        name = f"{head} calibration"
        numbers: dict[str, Number] = {
            "rows": seen.rows, "error": seen.error, "by_chance": seen.chance, "allowed": seen.allowed,
            "forecast": seen.forecast, "happened": seen.happened,
        }  # fmt: skip
        if seen.error is None or seen.chance is None or seen.forecast is None or seen.happened is None:
            text = _unripe(case, head)
            found.append(Finding(name, "not judged", text, numbers))
            continue
        off = seen.state == "moved"
        text = (
            f"Off by {seen.error:.3f} on average over {counted(seen.rows, 'offer')} since the cut (chance explains "
            f"up to {seen.chance:.3f}, {seen.allowed:.3f} more is allowed): forecast {seen.forecast:.1%}, "
            f"{WORDS[head]} {seen.happened:.1%}."
        )
        found.append(Finding(name, "alarm" if off else "ok", text, numbers, "recalibrate" if off else "keep"))
    return found


def sorting(case: Case) -> list[Finding]:
    """Whether the model still tells good offers from bad: what no new calibration could mend."""
    found = []
    for head in HEADS:
        seen = case.compared.sorting[head]
        name = f"{head} order"
        then, now = (one.value if one else None for one in (seen.then, seen.now))
        numbers: dict[str, Number] = {"then": then, "now": now, "limit": seen.least}
        if seen.then is None or seen.now is None or seen.least is None:
            rare = len(case.compared.calibration[head].p) >= FLOOR
            text = f"Too few were {WORDS[head]}, now or then, to tell their order." if rare else _unripe(case, head)
            found.append(Finding(name, "not judged", text, numbers))
            continue
        fell = seen.state == "moved"
        text = (
            f"Of two offers, one {WORDS[head]} and one not, the model puts the right one first in {seen.now.value:.0%} "
            f"of the cases; on training's test offers in {seen.then.value:.0%} (limit {seen.least:.0%})."
        )
        found.append(Finding(name, "alarm" if fell else "ok", text, numbers, "retrain" if fell else "keep"))
    return found


def scores(case: Case) -> list[Finding]:
    """What the model says of the window's offers; it only follows from the features, so it asks for nothing itself."""
    found = []
    for head in HEADS:
        moved = case.compared.scores.get(head)
        if moved is None:
            found.append(Finding(f"p_{head}", "not judged", f"The model tells no p_{head}, now or then.", {}))
            continue
        numbers: dict[str, Number] = {"psi": moved.psi, "limit": moved.limit}
        if moved.limit is None:
            text = "Too few offers in the window, or too few weeks of test offers in training, to compare."
            found.append(Finding(f"p_{head}", "not judged", text, numbers))
            continue
        text = f"Its distribution moved by PSI {moved.psi:.2f} from training's test offers (limit {moved.limit:.2f})."
        found.append(Finding(f"p_{head}", "watch" if moved.state == "moved" else "ok", text, numbers))
    return found


def market(case: Case) -> list[Finding]:
    """The wall: a model is judged for one served market; and how much of what is offered lies outside it."""
    n, recent = sum(case.recent.outside.values()), case.recent
    share = n / recent.offers if recent.offers else 0.0
    rules = ", ".join(f"{rule} {count:,}" for rule, count in sorted(recent.outside.items(), key=lambda r: -r[1]))
    text = (
        f"{n:,} of {counted(recent.offers, 'offer')} of the window {'lies' if n == 1 else 'lie'} outside ({share:.1%}; "
        f"in training {case.reference.outside:.1%}){f': {rules}' if rules else ''}."
    )
    numbers: dict[str, Number] = {"offers": recent.offers, "outside": n, "share": share, "then": case.reference.outside}
    odd = share >= OUTSIDE and share > 2 * case.reference.outside and recent.offers >= FLOOR
    found = [Finding("outside the market", "watch" if odd else "ok", text, numbers)]
    if not case.same_market:
        text = "The served market is not the one that the model was trained for, so it may not serve."
        found.append(Finding("served market", "alarm", text, {}, "retrain"))
    return found


def model_age(case: Case) -> list[Finding]:
    """An old model is trained anew when there is something new to learn from."""
    age = (case.clock - case.reference.cut) / DAY
    most = OLD * case.config.labels.converted.within.microseconds / DAY
    _, _, ripe = ripened("convert", case.recent.examples, case.reference.cut, case.recent.log_end)
    new = len(ripe)
    numbers: dict[str, Number] = {"days": age, "limit": most, "new_outcomes": new, "new_outcomes_needed": FLOOR}
    text = f"Learned up to {day_of(case.reference.cut)}, {counted(round(age), 'day')} ago (limit {most:.0f})"
    learned = f"{counted(new, 'offer has', 'offers have')} ripened for conversion since"
    if age <= most:
        return [Finding("model age", "ok", f"{text}; {learned}.", numbers)]
    if new < FLOOR:
        return [Finding("model age", "watch", f"{text}, but only {learned}; it takes {FLOOR} to learn anew.", numbers)]
    return [Finding("model age", "alarm", f"{text}; {learned}.", numbers, "retrain")]


def data_age(case: Case) -> list[Finding]:
    """A feed that has stopped makes every other check look at the past; no training mends that."""
    fact, offer = case.recent.latest["fact"], case.recent.latest["offer"]
    old = None if fact is None else (case.clock - fact) / DAY
    since = None if offer is None else (case.clock - offer) / DAY
    numbers: dict[str, Number] = {"latest_fact_days": old, "latest_offer_days": since, "limit": STALE}
    parts = [
        f"the latest {name} is of {day_of(at)}, {counted(round(max((case.clock - at) / DAY, 0)), 'day')} ago"
        for name, at in case.recent.latest.items() if at is not None
    ]  # fmt: skip
    said = "; ".join(parts) or "there is no fact at all"
    stale = old is None or old > STALE or since is None or since > STALE
    more = f" More than {STALE} days: the feed has stopped, and all that is said here is of then." if stale else ""
    text = f"{said[0].upper()}{said[1:]}.{more}"
    return [Finding("data age", "alarm" if stale else "ok", text, numbers, "mend" if stale else "keep")]


CHECKS: tuple[Callable[[Case], list[Finding]], ...] = (
    features, unseen, rates, sorting, calibration, scores, market, model_age, data_age,
)  # fmt: skip

#: What to do where data are missing or old, and where nothing could be judged.
MEND = "Mend the data at their source first: no training brings back what is not told."
SILENT = "Nothing could be judged: too few offers. That is no clean bill of health; widen --window."

#: What to do, by recommendation.
REMEDY: dict[Advice, str] = {
    "keep": "Nothing.",
    "recalibrate": "The order of the list still holds, its probabilities do not: do not read them as shares until they "
    "are fitted anew. `callsheet train --promote` does that, with the rest.",
    "retrain": "Look first whether a source changed or broke; what is mended there needs no training. Then "
    "`callsheet train --promote`: the gate decides whether the new model is better.",
}


# -- Words ----------------------------------------------------------------------------------------------------------


def _unjudged(rows: int, what: str) -> str:
    return _too_few(rows, what) if rows < FLOOR else "Training was too short to tell how far this moves by itself."


def _too_few(rows: int, what: str) -> str:
    return f"{rows:,} {what}; below {FLOOR} chance looks like drift."


def _unripe(case: Case, head: Head) -> str:
    """Why a head cannot be judged yet."""
    seen = case.compared.calibration[head]
    if not seen.told:
        return f"The model tells no p_{head}."
    text = _too_few(seen.rows, "ripe offers made since the cut")
    first = case.reference.cut + case.config.labels.converted.within.microseconds
    return f"{text} The first ripen on {day_of(first)}." if head == "convert" and first > case.recent.log_end else text


def _wider(case: Case) -> str:
    """The window, in whole weeks, that would hold enough offers at the rate of this one."""
    rows, span = case.compared.rows, case.recent.end - case.recent.start
    if not 0 < rows < FLOOR:
        return ""
    return f" At this rate --window {int(np.ceil(span / WEEK * FLOOR / rows * 1.05)) * 7}d would hold enough."


def _named(moved: list[Moved]) -> str:
    return ", ".join(f"{m.name} ({m.weight:.1%} of the model)" for m in moved)


def _far(moved: Moved) -> str:
    return f"{moved.name} (PSI {moved.psi:.2f}, limit {moved.limit:.2f}, {moved.weight:.1%} of the model)"


def _more(items: object, shown: int) -> str:
    size = len(items) if isinstance(items, list) else 0
    return f" and {size - shown} more" if size > shown else ""


def finite(value: Number) -> float | None:
    """A number as JSON and MLflow hold it: none where there is none."""
    return float(value) if value is not None and np.isfinite(value) else None
