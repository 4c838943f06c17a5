"""The gate: whether what a run trained has earned its place, check by check, with the numbers of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from features.catalogue import FEATURE_VERSION
from features.config import Config
from features.errors import CallsheetError
from models.product import Product
from training.contestants import RANKER, RULES, TITLES
from training.evaluate import Measured, evaluate, perfect_calibration
from training.pool import ARTIFACT, Pool
from training.tracking import Run, Store, Version

#: What decides. NDCG at 5 on the grades uses the accepts and conversions of every group, so fewer offers than with
#: a share of the first few tell a better model from the rules: on five samples of 2,500 test offers the lead was 2.5
#: to 4.5 standard errors of it, 1.7 to 3.8 of NDCG at 3, 0.5 to 4.7 of convert at 1. Routing looks nearly as deep.
PRIMARY = "ndcg_at_5"
#: How much a simpler baseline may be ahead on it before the product is refused.
MARGIN = 0.02
MIN_OFFERS, MIN_ACCOUNTS, MIN_GROUPS, MIN_OF_EACH = 500, 50, 20, 20
#: Two heads are held to what perfect calibration shows; together they stay below in 95 of 100.
CALIBRATION_QUANTILE = 0.975
#: How far a probability may be off beyond chance. No fitted head is perfect, so a test without an allowance refuses
#: every model once the log is long enough; these are half the distance to the truth that a sample's truth may show.
CALIBRATION_MARGIN = {"accept": 0.010, "convert": 0.005}
NOT_ENOUGH = "Not enough data"

Number = float | int | None


@dataclass(frozen=True)
class Check:
    """One demand: whether it is met, the numbers it was judged by, and both in words."""

    name: str
    passed: bool
    numbers: Mapping[str, Number]
    text: str


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a run's model; `reason` is one sentence, the first failed check's or that all passed."""

    passed: bool
    run_id: str
    version: str
    content_hash: str
    reason: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, object]:
        """The verdict as JSON has it."""
        return asdict(self) | {"checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True)
class Case:
    """All that the checks look at: the run's stored test predictions, its numbers, its artefact, today's agreement."""

    pool: Pool
    metrics: Mapping[str, float]
    version: Version
    folder: Path
    config: Config
    seed: int = 0

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """Every recipe on the same resamples of the accounts."""
        draw = self.pool.draw(self.seed)
        return {name: evaluate(self.pool.board, said, draw) for name, said in self.pool.said.items()}


def judge(home: Path, run_id: str, config: Config) -> Verdict:
    """Judge the model that a run registered, write the verdict to the run and the version, and return it.

    Raises   UsageError when there is no such run or it registered nothing
    Source   a model must earn its place, the first one too (README, what it promises)
    """
    store = Store(home)
    run = store.open(run_id)
    version = store.version_of(run_id)
    case = Case(
        pool=Pool.of_frame(pd.read_parquet(run.read(ARTIFACT))),
        metrics=store.client.get_run(run_id).data.metrics,
        version=version, folder=store.product_folder(version.version), config=config,
    )  # fmt: skip
    verdict = weigh(case)
    _write_down(store, run, verdict)
    return verdict


def weigh(case: Case) -> Verdict:
    """Every check, in order; none is skipped, so that a refusal names all that is wrong."""
    checks = tuple(check(case) for check in CHECKS)
    failed = [check for check in checks if not check.passed]
    reason = (
        failed[0].text if failed else "Passed: better than the rules by more than chance, and every other check met."
    )
    if failed and failed[0].name == "enough_data":
        reason = f"{NOT_ENOUGH}: {reason}"
    return Verdict(not failed, case.version.run_id, case.version.version, case.version.content_hash, reason, checks)


def enough_data(case: Case) -> Check:
    """Below these numbers a verdict would be a coin's."""
    board = case.pool.board
    held = {
        "offers": (len(case.pool), MIN_OFFERS),
        "accounts": (len(np.unique(case.pool.account)), MIN_ACCOUNTS),
        "groups": (len(board.size), MIN_GROUPS),
        "conversions": (int(board.converted.sum()), MIN_OF_EACH),
        "offers without conversion": (int((1 - board.converted).sum()), MIN_OF_EACH),
    }
    short = [f"{have:,} {name} (it takes {need})" for name, (have, need) in held.items() if have < need]
    numbers: dict[str, Number] = {}
    for name, (have, need) in held.items():
        numbers |= {name: have, f"{name} needed": need}
    text = f"the test rows hold only {', '.join(short)}." if short else f"Judged on {len(case.pool):,} test offers."
    return Check("enough_data", not short, numbers, text)


def heads(case: Case) -> Check:
    """A list is sorted by expected value, which needs both probabilities."""
    said = case.pool.said[RANKER]
    known = {name: bool(np.isfinite(getattr(said, name)).all()) for name in ("p_accept", "p_convert")}
    missing = [name for name, there in known.items() if not there]
    words = " and ".join(missing)
    text = f"{words} cannot be estimated from this log." if missing else "Both probabilities can be estimated."
    return Check("heads_estimable", not missing, {name: int(there) for name, there in known.items()}, text)


def beats_rules(case: Case) -> Check:
    """The whole interval of the paired difference lies above 0."""
    ours, theirs = case.measured[RANKER], case.measured[RULES]
    if PRIMARY not in ours.value or PRIMARY not in theirs.value:
        return Check(
            "beats_rules", False, {}, "No test group has an offer that was accepted, so no order can be judged."
        )
    lead = ours.less(theirs, PRIMARY)
    passed = lead.above_zero
    numbers = {
        "ranker": ours.value[PRIMARY], "rules": theirs.value[PRIMARY],
        "difference": lead.value, "low": lead.low, "high": lead.high,
    }  # fmt: skip
    text = (
        f"The ranker is {'ahead of' if lead.value >= 0 else 'behind'} the rules by {abs(lead.value):.3f} {PRIMARY} "
        f"(95 % interval {lead.low:+.3f} to {lead.high:+.3f}): {'' if passed else 'not '}better by more than chance."
    )
    return Check("beats_rules", passed, numbers, text)


def no_worse_than_baselines(case: Case) -> Check:
    """No simpler baseline may be ahead by more than the margin."""
    ours = case.measured[RANKER]
    numbers: dict[str, Number] = {"margin": MARGIN}
    ahead: list[str] = []
    for name, theirs in case.measured.items():
        if name in (RANKER, RULES) or name.startswith("without_") or PRIMARY not in theirs.value:
            continue
        lead = ours.less(theirs, PRIMARY).value if PRIMARY in ours.value else -np.inf
        numbers[name] = float(lead)
        if lead < -MARGIN:
            ahead.append(f"{TITLES.get(name, name)} by {-lead:.3f}")
    text = (
        f"Simpler and better beyond the margin of {MARGIN} {PRIMARY}: {', '.join(ahead)}."
        if ahead
        else f"No baseline is ahead by more than {MARGIN} {PRIMARY}."
    )
    return Check("no_worse_than_baselines", not ahead, numbers, text)


def calibrated(case: Case) -> Check:
    """Each head's error on the test rows is within what perfect calibration would show at that size, and a margin."""
    said, board = case.pool.said[RANKER], case.pool.board
    numbers: dict[str, Number] = {}
    off: list[str] = []
    for head, p in (("accept", said.p_accept), ("convert", said.p_convert)):
        error = case.measured[RANKER].value.get(f"calibration_error_{head}")
        if error is None:
            continue
        truth = board.accepted if head == "accept" else board.converted
        chance = perfect_calibration(p[np.isfinite(p) & np.isfinite(truth)], CALIBRATION_QUANTILE)
        margin = CALIBRATION_MARGIN[head]
        numbers |= {f"{head} error": error, f"{head} by chance": chance, f"{head} margin": margin}
        if error > chance + margin:
            off.append(
                f"p_{head} is off by {error:.3f} on average; chance explains {chance:.3f}, and {margin:.3f} is allowed"
            )
    good = [
        f"p_{head} is off by {numbers[f'{head} error']:.3f}, chance explains {numbers[f'{head} by chance']:.3f}"
        for head in ("accept", "convert") if f"{head} error" in numbers
    ]  # fmt: skip
    text = "; ".join(off or good or ["There is no probability to judge"]) + "."
    return Check("calibrated", not off, numbers, text)


def behaviour_held(case: Case) -> Check:
    """Fit outweighs behaviour: no amount of clicks may buy a place."""
    share, most = case.metrics.get("behaviour_share"), case.config.behaviour_share
    passed = share is not None and share <= most
    text = (
        f"What contacts do moves a score {share:.2f} times as far as fit does; at most {most:.2f} is allowed."
        if share is not None
        else "The run does not say how far behaviour moves a score."
    )
    return Check("behaviour_share", passed, {"share": share, "at most": most}, text)


def same_market(case: Case) -> Check:
    """A change of the served market runs the gate again, on a model trained for it."""
    passed = case.version.market_fingerprint == case.config.market_fingerprint
    text = "Trained for today's served market." if passed else "The served market has changed since; train again."
    return Check("same_market", passed, {}, text)


def artefact_whole(case: Case) -> Check:
    """The files that will serve are those that were tested, and this code's features are theirs."""
    try:
        found = Product.load(case.folder).content_hash
    except CallsheetError as error:
        return Check("artefact_whole", False, {}, f"The model's files cannot be loaded: {error}")
    if found != case.version.content_hash:
        return Check("artefact_whole", False, {}, "The model's files are not those that the run registered.")
    if case.version.feature_version != FEATURE_VERSION:
        return Check("artefact_whole", False, {}, "The model was made for other features than this version computes.")
    return Check("artefact_whole", True, {}, "The model's files are whole, and made for these features.")


#: What a challenger must pass. A champion's recipe, slices and speed join here when they are judged too.
CHECKS: tuple[Callable[[Case], Check], ...] = (
    enough_data, heads, beats_rules, no_worse_than_baselines, calibrated, behaviour_held, same_market, artefact_whole,
)  # fmt: skip


def _write_down(store: Store, run: Run, verdict: Verdict) -> None:
    said = "passed" if verdict.passed else "refused"
    run.text("gate.json", json.dumps(verdict.as_dict(), indent=2))
    run.tags({"gate": said, "gate_reason": verdict.reason} | {f"gate.{c.name}": c.text for c in verdict.checks})
    store.client.set_model_version_tag("callsheet", verdict.version, "gate", said)
