"""What a training leaves in MLflow: one run in words, numbers and charts, and one below it for each other recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.catalogue import BY_NAME, FEATURE_VERSION
from features.config import Config
from features.snapshot import Snapshot
from models.product import Product
from models.recipe import Recipe
from training import origin, plots
from training.blocks import Block, Cut
from training.bootstrap import Draw, Interval
from training.contestants import NOTES, RANKER, RULES, Contestant
from training.evaluate import Measured, evaluate, perfect_calibration
from training.examples import Examples
from training.gate import PRIMARY
from training.monitor import reference
from training.pool import ARTIFACT, Pool
from training.results import HEADLINES, Row, markdown, rivals, sentence
from training.slices import TITLES, each_slice, metric_part
from training.tracking import Run, Store

#: Metrics that are measured on each slice of the test rows.
SLICED = ("ndcg_at_5", "accept_at_3", "convert_at_3", "log_loss_convert")
EXPLAINED = 600  # test rows whose contributions are drawn
EXAMPLE = 5  # rows of the model's input example


@dataclass(frozen=True)
class Record:
    """Everything that a training made, before it is written down."""

    snapshot: Snapshot
    config: Config
    recipe: Recipe
    seed: int
    source: str
    examples: Examples
    cuts: Sequence[Cut]
    final: Cut
    order: Sequence[Contestant]
    pool: Pool
    draw: Draw
    measured: Mapping[str, Measured]
    rows: Sequence[Row]
    product: Product
    folder: Path

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many offers each rule took, and what is left for each head at the final cut."""
        found = dict(self.examples.counts)
        for name, block in (("train", self.final.train), ("calibrate", self.final.calibrate)):
            found |= {f"{name}: {what}": n for what, n in _outcomes(block).items()}
        found["test"] = len(self.pool)
        return found

    @property
    def until(self) -> str:
        """The day of the last fact."""
        return str(self.snapshot.now.date())


def _outcomes(block: Block) -> dict[str, int]:
    labels = block.labels
    return {
        "offers": len(block),
        "answer known": int(np.isfinite(labels.accepted).sum()), "accepted": int(np.nansum(labels.accepted)),
        "conversion known": int(np.isfinite(labels.converted).sum()), "converted": int(np.nansum(labels.converted)),
        "win known": int(np.isfinite(labels.won).sum()), "won": int(np.nansum(labels.won)),
    }  # fmt: skip


def write_run(store: Store, record: Record, seconds: Mapping[str, float]) -> tuple[str, str]:
    """Write the run, the runs below it, and last the registered model; returns (run id, version)."""
    name = f"Callsheet ranker ({record.recipe.name}), data to {record.until}"
    note = markdown(record.order, record.rows, sentence(record.order, record.measured), _facts(record))
    facts = _version_facts(record)
    with store.run(name, note, {"recipe": RANKER, "kind": "ranker"} | facts) as run:
        run.params(_params(record))
        run.dataset(
            "offers", record.snapshot.fingerprint, *origin.dataset(record.examples),
            json.dumps({"name": origin.without_secrets(record.source) or "not named"}),
        )  # fmt: skip
        run.metrics(_with_intervals(record.measured[RANKER], names=list(HEADLINES)))
        model_id = store.log_product(run, record.folder, *_example(record), facts)
        parts = dict(_slices(record))
        run.metrics(_metrics(record, parts) | {f"seconds/{name}": s for name, s in seconds.items()})
        run.frame(ARTIFACT, record.pool.frame())
        run.text("counts.json", json.dumps(record.counts, indent=1))
        learned = reference.learn(record.examples, record.final, record.cuts, record.pool.said[RANKER], record.product)
        run.text(reference.ARTIFACT, learned.text)
        run.text("card.json", json.dumps(record.product.card, indent=1))
        run.text("baselines.csv", pd.DataFrame([row.as_dict() for row in record.rows]).to_csv(index=False))
        run.figures(_figures(record, parts))
        for one in record.order[1:]:
            _write_below(store, run, record, one)
    return run.id, store.register(run, model_id, facts).version


def _params(record: Record) -> dict[str, object]:
    said: dict[str, object] = {
        "seed": record.seed, "recipe.fingerprint": record.recipe.fingerprint[:16],
        "data.fingerprint": record.snapshot.fingerprint, "data.until": record.until,
        "data.source": origin.without_secrets(record.source), "data.missing": ", ".join(record.snapshot.missing),
        "config.fingerprint": record.config.fingerprint, "config.market_fingerprint": record.config.market_fingerprint,
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
    counts, pool, board = record.counts, record.pool, record.pool.board
    taken = [f"{n:,} {what}" for what, n in record.examples.counts.items() if n and not what.startswith("kept")]
    heads = record.product.card["heads"]
    accounts = len(np.unique(pool.account))
    return {
        "Data": f"{', '.join(taken)}; facts to {record.until}.",
        "Test": f"{len(pool):,} offers of {accounts:,} accounts in {len(board.size):,} groups (market, region, week), "
        f"made after the cuts of {', '.join(cut.day for cut in record.cuts)}.",
        "Outcomes": f"{int(board.accepted.sum()):,} of them accepted, {int(board.converted.sum()):,} converted.",
        "Product": f"refitted on {counts['train: offers']:,} offers, calibrated on {counts['calibrate: offers']:,}.",
        "Heads": "; ".join(f"{name}: {_state(head)}" for name, head in heads.items()) + ".",
    }


def _state(head: Mapping[str, object]) -> str:
    return "estimable" if head.get("estimable") else f"not estimable ({head.get('gap') or head.get('reason') or ''})"


def _with_intervals(measured: Measured, prefix: str = "", names: Sequence[str] | None = None) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in tuple(measured.value) if names is None else names:
        if name in measured.value:
            found |= _spelled(f"{prefix}{name}", measured.interval(name))
    return found


def _spelled(name: str, seen: Interval) -> dict[str, float]:
    return {name: seen.value, f"{name}_low": seen.low, f"{name}_high": seen.high}


def _metrics(record: Record, parts: Mapping[tuple[str, str], _Part]) -> dict[str, float]:
    ours, said = record.measured[RANKER], record.pool.said[RANKER]
    found = _with_intervals(ours, names=[name for name in ours.value if name not in HEADLINES])
    for head, p in (("accept", said.p_accept), ("convert", said.p_convert)):
        found[f"calibration_error_{head}_by_chance"] = perfect_calibration(p)
    share = record.product.card["behaviour"]["share"]
    found["behaviour_share"] = float("nan") if share is None else float(share)
    for one in record.order[1:]:
        for name in HEADLINES:
            if name in ours.value and name in record.measured[one.key].value:
                found |= _spelled(f"difference/{one.key}/{name}", ours.less(record.measured[one.key], name))
    for (column, value), part in parts.items():
        found |= _with_intervals(part.ours, f"slice/{column}/{metric_part(value)}/", SLICED)
        found[f"slice/{column}/{metric_part(value)}/offers"] = part.offers
    return found


@dataclass(frozen=True)
class _Part:
    """A slice of the test rows: how many, the ranker there and the rules there."""

    offers: int
    ours: Measured
    rules: Measured


def _slices(record: Record) -> Iterator[tuple[tuple[str, str], _Part]]:
    pool = record.pool
    for column, value, rows in each_slice(pool.slices):
        board, draw = pool.board.take(rows), record.draw.take(rows)
        ours, rules = (evaluate(board, pool.said[key].take(rows), draw) for key in (RANKER, RULES))
        yield (column, value), _Part(len(rows), ours, rules)


def _figures(record: Record, parts: Mapping[tuple[str, str], _Part]) -> dict[str, Figure]:
    pool, board = record.pool, record.pool.board
    said = pool.said[RANKER]
    titles = {one.key: one.title for one in record.order}
    heads = {"accepted": (said.p_accept, board.accepted), "converted": (said.p_convert, board.converted)}
    drawn = [name for name in (RANKER, RULES, "logistic", "random") if name in pool.said]
    made = {
        "calibration": plots.calibration({k: v for k, v in heads.items() if np.isfinite(v[0]).all()}, record.draw),
        "cumulative_gain": plots.gain(
            {titles[k]: pool.said[k].score for k in drawn},
            {"accepted offers": board.accepted, "conversions": board.converted},
        ),
    }
    by_slice: dict[str, dict[str, tuple[int, Interval, Interval]]] = {}
    for (column, value), part in parts.items():
        if PRIMARY in part.ours.value and PRIMARY in part.rules.value:
            seen = part.offers, part.ours.interval(PRIMARY), part.rules.interval(PRIMARY)
            by_slice.setdefault(TITLES[column], {})[value] = seen
    whole = record.measured[RANKER].value.get(PRIMARY, np.nan)
    made["metric_by_slice"] = plots.slices(HEADLINES[PRIMARY], by_slice, titles[RANKER], titles[RULES])
    if np.isfinite(whole):
        others = [one for one in record.order if one.kind == "ablation"]
        made["baselines_compared"] = _compared(record, "Does the ranker beat what is simpler?", rivals(record.order))
        made["families_compared"] = _compared(record, "What is each family of features worth?", others)
    return made | _explained(record)


def _compared(record: Record, title: str, others: Sequence[Contestant]) -> Figure:
    ours = record.measured[RANKER]
    shown = [record.order[0], *others]
    metrics = [
        (
            HEADLINES[m],
            {one.title: record.measured[one.key].interval(m) for one in shown if m in record.measured[one.key].value},
        )
        for m in (PRIMARY, "accept_at_3", "convert_at_3")
    ]
    against = {one.title: ours.less(record.measured[one.key], PRIMARY) for one in others}
    rules = next((one.title for one in others if one.key == RULES), "")
    return plots.compared(title, metrics, record.order[0].title, rules, against)


def _explained(record: Record) -> dict[str, Figure]:
    """What pushes the product's scores on the newest test rows."""
    rows = record.cuts[-1].test.rows[-EXPLAINED:]
    matrix = record.examples.matrix.take(rows)
    pushed = record.product.contributions(matrix).values
    size = np.abs(pushed).mean(axis=0)
    words = [BY_NAME[name].kind == "category" for name in matrix.columns]
    known = np.where(np.array(words), np.nan, matrix.values)
    family = {name: BY_NAME[name].family for name in matrix.columns}
    return {
        "importance": plots.importance(dict(zip(matrix.columns, size.tolist(), strict=True)), family),
        "contributions": plots.contributions(pushed, known, matrix.columns),
    }


def _write_below(store: Store, parent: Run, record: Record, one: Contestant) -> None:
    """The run of one baseline or ablation: what it is, and how it did on the same test rows."""
    measured = record.measured[one.key]
    note = f"{NOTES.get(one.key, '')}\n\nFitted and tested on the same cuts as the ranker, the run above it."
    with store.run(one.title, note, {"recipe": one.key, "kind": one.kind}, parent) as run:
        run.params({"recipe": one.key, "seed": record.seed, "data.fingerprint": record.snapshot.fingerprint})
        found = _with_intervals(measured)
        for name in HEADLINES:
            if name in measured.value and name in record.measured[RANKER].value:
                found |= _spelled(f"ranker_lead/{name}", record.measured[RANKER].less(measured, name))
        run.metrics(found)


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
