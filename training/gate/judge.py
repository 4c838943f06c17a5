"""The gate at work: every check on one run's model, and the verdict written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from features.config import Config
from features.counted import counted
from features.snapshot import Snapshot
from models.product import Product
from training.champion import Champion
from training.evidence import Evidence
from training.gate.agreement import behaviour_held, same_market
from training.gate.artefact import artefact_agrees, artefact_whole, fast_enough
from training.gate.case import NOT_ENOUGH, Case, Check, Harm, Number, Shadowed, Verdict
from training.gate.data import enough_data, heads
from training.gate.features import canaries_silent, features_complete, nothing_leaks
from training.gate.fresh import answers_since
from training.gate.harm import did_no_harm
from training.gate.probabilities import calibrated
from training.gate.rivals import against_champion, beats_rules, no_worse_than_baselines
from training.gate.shadow import held_in_shadow
from training.gate.slices import slices_held
from training.pool import ARTIFACT, Pool
from training.since import fresh, todays
from training.tracking import MODEL, Run, Store

#: What a challenger must pass.
CHECKS: tuple[Callable[[Case], Check], ...] = (
    enough_data, heads, beats_rules, against_champion, no_worse_than_baselines, slices_held, calibrated, nothing_leaks,
    canaries_silent, features_complete, behaviour_held, same_market, artefact_whole, artefact_agrees, answers_since,
    fast_enough, held_in_shadow, did_no_harm,
)  # fmt: skip


def judge(
    home: Path, run_id: str, config: Config, serving: Champion | None = None, snapshot: Snapshot | None = None,
    watched: Shadowed | None = None, harm: Harm | None = None,
) -> Verdict:  # fmt: skip
    """Judge the model that a run registered, write the verdict to the run and the version, and return it.

    serving   the model that serves now, which it would replace; None: the rules serve
    snapshot  today's data: offers may have been answered since the model's cut, and a source may have stopped; None:
              what the run left is enough
    watched   what the model looked on at as the challenger; None: it never was
    harm      that the guard rolled this very model back; None: it never did
    Raises   UsageError when there is no such run or it registered nothing
    Source   a model must earn its place, the first one too (README, what it promises)
    """
    store = Store(home)
    run = store.open(run_id)
    version = store.version_of(run_id)
    case = Case(
        pool=Pool.of_frame(pd.read_parquet(run.read(ARTIFACT))),
        metrics=store.client.get_run(run_id).data.metrics, evidence=Evidence.read(run),
        version=version, folder=store.product_folder(version.version), config=config, serving=serving,
        watched=watched, harm=harm,
    )  # fmt: skip
    if snapshot is not None:
        examples, now = todays(snapshot, config)
        case = replace(case, evidence=case.evidence.renewed(examples, now))
        if isinstance(case.artefact, Product):
            case = replace(case, fresh=fresh(examples, now, case.artefact, serving.product if serving else None))
    verdict = weigh(case)
    _write_down(store, run, verdict)
    return verdict


def weigh(case: Case) -> Verdict:
    """Every check, in order; none is skipped, so that a refusal names all that is wrong."""
    checks = tuple(check(case) for check in CHECKS)
    failed = [check for check in checks if not check.passed]
    reason = failed[0].text if failed else passed(checks)
    if failed and failed[0].name == "enough_data":
        reason = f"{NOT_ENOUGH}: {reason}"
    return Verdict(not failed, case.version.run_id, case.version.version, case.version.content_hash, reason, checks)


def passed(checks: tuple[Check, ...]) -> str:
    """What passing rests on: how many checks were met, and which could not be tried."""
    untried = [check.name.replace("_", " ") for check in checks if not check.tried]
    if not untried:
        return f"Passed: all {len(checks)} checks are met."
    met = counted(len(checks) - len(untried), "check is", "checks are")
    return f"Passed: {met} met, {len(untried)} not tried ({', '.join(untried)})."


def _write_down(store: Store, run: Run, verdict: Verdict) -> None:
    said = "passed" if verdict.passed else "refused"
    run.text("gate.json", json.dumps(verdict.as_dict(), indent=2))
    run.tags(
        {"gate": said, "gate_reason": verdict.reason}
        | {f"gate.{c.name}": f"{c.mark}: {c.text}" for c in verdict.checks}
    )
    run.metrics({name: float(n) for name, n in _numbers(verdict) if n is not None})
    store.client.set_model_version_tag(MODEL, verdict.version, "gate", said)


def _numbers(verdict: Verdict) -> Iterator[tuple[str, Number]]:
    """Whether each check was tried and is met, and its interval where it compares; gate.json has every number."""
    for check in verdict.checks:
        yield f"gate/{check.name}/met", int(check.passed and check.tried)
        yield f"gate/{check.name}/tried", int(check.tried)
        for name, number in check.numbers.items():
            if name in ("difference", "low", "high"):
                yield f"gate/{check.name}/{name}", number
