"""What a training leaves in MLflow: one run in words, numbers and charts, and one below it for each other recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from features.catalogue import FEATURE_VERSION
from features.counted import counted
from training import experiment, origin
from training.bootstrap import Interval
from training.contestants import NOTES, RANKER, RULES, Contestant
from training.evaluate import Measured, perfect_calibration
from training.figures import figures
from training.gate import PRIMARY
from training.monitor import reference
from training.offpolicy.routing import ARTIFACT as VALUE
from training.pool import ARTIFACT
from training.record import Record
from training.results import HEADLINES, markdown, rivals, sentence
from training.tables import tables
from training.tracking import Run, Store

EXAMPLE = 5  # rows of the model's input example


def write_run(store: Store, record: Record, seconds: Mapping[str, float]) -> tuple[str, str]:
    """Write the run, the runs below it, and last the registered model; returns (run id, version)."""
    said = sentence(record.order, record.measured)
    facts = _version_facts(record)
    with store.run(
        f"Training: {_named(record)}", said, {"recipe": RANKER, "kind": "ranker", "said": said} | facts
    ) as run:
        run.params(_params(record))
        _name_data(run, record)
        run.metrics(_with_intervals(record.measured[RANKER], names=list(HEADLINES)))
        model_id = store.log_product(run, record.folder, *_example(record), facts)
        run.metrics(_metrics(record) | {f"seconds/{name}": s for name, s in seconds.items()})
        _keep(run, record)
        for one in record.order[1:]:
            _write_below(store, run, record, one)
    version = store.register(run, model_id, facts).version
    links = experiment.links(store.experiment, run.id, version)
    run.describe(f"Model {version}: {_named(record)}", markdown(record.order, record.rows, said, _facts(record), links))
    store.describe_version(version, f"{said}\n\n[The run that trained it]({links['Run']})")
    return run.id, version


def _named(record: Record) -> str:
    return f"{record.recipe.name} recipe, data to {record.until}, seed {record.seed}"


def _name_data(run: Run, record: Record) -> None:
    """What was trained on, and what was tested on, as MLflow's datasets."""
    source = json.dumps({"name": origin.without_secrets(record.source) or "not named"})
    every = origin.dataset(record.examples, len(record.examples))
    run.dataset(f"offers to {record.until}", record.snapshot.fingerprint, *every, source, "training")
    tested = origin.dataset(record.examples, len(record.pool))
    run.dataset("test offers", origin.digest(record.pool.offer_id), *tested, source, "evaluation")


def _keep(run: Run, record: Record) -> None:
    """The run's artifacts: what can be judged, drawn or read again without the data."""
    run.frame(ARTIFACT, record.pool.frame())
    record.evidence.write(run)
    run.text(VALUE, json.dumps(record.routes.as_json(), indent=1))
    run.text("counts.json", json.dumps(record.counts.flat, indent=1))
    learned = reference.learn(record.examples, record.final, record.cuts, record.pool.said[RANKER], record.product)
    run.text(reference.ARTIFACT, learned.text)
    run.text("feature_report.json", json.dumps(record.worth.as_json(), indent=1))
    run.text("feature_report.csv", record.worth.frame().to_csv(index=False))
    run.text("card.json", json.dumps(record.product.card, indent=1))
    run.tables(tables(record))
    run.figures(figures(record))


def _params(record: Record) -> dict[str, object]:
    said: dict[str, object] = {
        "seed": record.seed, "recipe.fingerprint": record.recipe.fingerprint[:16],
        "data.fingerprint": record.snapshot.fingerprint, "data.until": record.until,
        "data.now": record.snapshot.now.isoformat().replace("+00:00", "Z"),
        "data.source": origin.without_secrets(record.source), "data.missing": ", ".join(record.snapshot.missing),
        "config.fingerprint": record.config.fingerprint, "config.market_fingerprint": record.config.market_fingerprint,
        "champion.version": record.evidence.champion["version"], "champion.recipe": record.evidence.relation,
        "feature_version": FEATURE_VERSION, "cuts": ", ".join(cut.day for cut in record.cuts),
    }  # fmt: skip
    return said | origin.code() | dict(_flat("recipe", json.loads(record.recipe.json_text)))


def _flat(path: str, value: object) -> Iterator[tuple[str, object]]:
    """A recipe's fields as parameters with dotted names; lists stay whole."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}", inner)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _facts(record: Record) -> dict[str, str]:
    counts, pool, board = record.counts.blocks, record.pool, record.pool.board
    train, calibrate = counts["train"], counts["calibrate"]
    heads, later = record.product.card["heads"], record.product.card["rows"]["calibrate"]
    accounts = len(np.unique(pool.account))
    return {
        "Data": f"{record.counts.words()} Facts to {record.until}.",
        "Test": f"{counted(len(pool), 'offer')} of {counted(accounts, 'account')} in "
        f"{counted(len(board.size), 'group')} (market, region, week), made after the cuts of "
        f"{', '.join(cut.day for cut in record.cuts)}.",
        "Outcomes": f"{int(board.accepted.sum()):,} of them accepted, {int(board.converted.sum()):,} converted.",
        "Product": f"refitted on {counted(train['offers'], 'offer')}: {train['answer known']:,} teach accepting "
        f"({train['accepted']:,} accepted), {train['conversion known']:,} converting ({train['converted']:,} did), "
        f"{train['younger than the horizon']:,} younger ones as much as {train['worth, in offers past it']:,} of them. "
        f"The newest block adds {calibrate['answer known']:,} answers and "
        f"{counted(calibrate['conversion known'], 'offer')} of which it is known whether they converted.",
        "Probabilities": f"fitted on {later.get('accept', 0):,} answers and {later.get('convert', 0):,} accepted "
        "offers, each as scored by a stack that had seen only earlier ones.",
        "Heads": "; ".join(f"{name}: {_state(head)}" for name, head in heads.items()) + ".",
    }


def _state(head: Mapping[str, object]) -> str:
    return "estimable" if head.get("estimable") else f"not estimable ({head.get('gap') or head.get('reason') or ''})"


def _with_intervals(measured: Measured, names: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in names:
        if name in measured.value:
            found |= _spelled(name, measured.interval(name))
    return found


def _spelled(name: str, seen: Interval) -> dict[str, float]:
    return {name: seen.value, f"{name}_low": seen.low, f"{name}_high": seen.high}


def _metrics(record: Record) -> dict[str, float]:
    """What stands beside the headlines: few enough to be read as a list. The rest is in the run's tables."""
    ours, said = record.measured[RANKER], record.pool.said[RANKER]
    found = {name: ours.value[name] for name in ours.value if name.startswith("calibration_error")}
    for head, p in (("accept", said.p_accept), ("convert", said.p_convert)):
        found[f"calibration_error_{head}_by_chance"] = perfect_calibration(p)
    promise = record.reliability.one_in_three
    if promise is not None:
        named = {"offers": promise.offers, "forecast": promise.forecast, "share": promise.share.value,
                 "low": promise.share.low, "high": promise.share.high, "kept": float(promise.kept)}  # fmt: skip
        found |= {f"threshold/accept_one_in_three/{name}": value for name, value in named.items()}
    share = record.product.card["behaviour"]["share"]
    found["behaviour_share"] = float("nan") if share is None else float(share)
    leads = {
        one.key: ours.less(record.measured[one.key], PRIMARY)
        for one in rivals(record.order)
        if PRIMARY in ours.value and PRIMARY in record.measured[one.key].value
    }
    if leads:
        found |= _spelled("lead/closest", min(leads.values(), key=lambda lead: lead.value))
    if RULES in leads:
        found |= _spelled("lead/rules", leads[RULES])
    return found | record.worth.metrics() | record.routes.metrics(RANKER) | {"test/offers": float(len(record.pool))}


def _write_below(store: Store, parent: Run, record: Record, one: Contestant) -> None:
    """The run of one baseline or ablation: what it is, and how it did on the same test rows."""
    measured, ours = record.measured[one.key], record.measured[RANKER]
    note = f"{NOTES.get(one.key, '')}\n\nFitted and tested on the same cuts as the ranker, the run above it."
    with store.run(one.title, note, {"recipe": one.key, "kind": one.kind}, parent) as run:
        run.params({"recipe": one.key, "seed": record.seed, "data.fingerprint": record.snapshot.fingerprint})
        _name_data(run, record)
        found = _with_intervals(measured, names=list(HEADLINES))
        found |= {name: value for name, value in measured.value.items() if name.startswith("calibration_error")}
        if PRIMARY in measured.value and PRIMARY in ours.value:
            found |= _spelled(f"ranker_lead/{PRIMARY}", ours.less(measured, PRIMARY))
        run.metrics(found | record.routes.metrics(one.key))


def _example(record: Record) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A few rows of the model's input, and what it says to them."""
    matrix = record.examples.matrix.take(record.cuts[-1].test.rows[:EXAMPLE])
    said = record.product.predict(matrix)
    answer = pd.DataFrame({"score": said.score, "p_accept": said.p_accept, "p_convert": said.p_convert})
    return pd.DataFrame(matrix.values, columns=list(matrix.columns)), answer


def _version_facts(record: Record) -> dict[str, str]:
    return {
        "content_hash": record.product.content_hash, "feature_version": FEATURE_VERSION,
        "market_fingerprint": record.config.market_fingerprint, "recipe_name": record.recipe.name,
        "recipe_fingerprint": record.recipe.fingerprint, "data_fingerprint": record.snapshot.fingerprint,
    }  # fmt: skip
