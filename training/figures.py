"""The charts of one training, drawn from what it made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from features.catalogue import BY_NAME
from training import plots
from training.bootstrap import Interval
from training.contestants import RANKER, RULES, Contestant
from training.evaluate import perfect_calibration
from training.gate import PRIMARY
from training.record import Record
from training.results import HEADLINES, rivals
from training.slices import TITLES

OUTCOMES = {"accept": "accepted", "convert": "converted"}
EXPLAINED = 600  # test rows whose contributions are drawn


def figures(record: Record) -> dict[str, Figure]:
    """Every chart of the run, by the name under which it is kept."""
    pool, board = record.pool, record.pool.board
    titles = {one.key: one.title for one in record.order}
    drawn = [name for name in (RANKER, RULES, "logistic", "random") if name in pool.said]
    made = _probabilities(record) | {
        "cumulative_gain": plots.gain(
            {titles[k]: pool.said[k].score for k in drawn},
            {"accepted offers": board.accepted, "conversions": board.converted},
        ),
    }
    by_slice: dict[str, dict[str, tuple[int, Interval, Interval]]] = {}
    for (column, value), part in record.parts.items():
        if PRIMARY in part.ours.value and PRIMARY in part.rules.value:
            seen = part.offers, part.ours.interval(PRIMARY), part.rules.interval(PRIMARY)
            by_slice.setdefault(TITLES[column], {})[value] = seen
    whole = record.measured[RANKER].value.get(PRIMARY, np.nan)
    made["metric_by_slice"] = plots.slices(HEADLINES[PRIMARY], by_slice, titles[RANKER], titles[RULES])
    if np.isfinite(whole):
        made["baselines_compared"] = _compared(record, "Does the ranker beat what is simpler?", rivals(record.order))
    made["families_worth"] = plots.families(record.worth.families, HEADLINES[PRIMARY])
    made["importance"] = plots.importance(record.worth.features, record.worth.canaries, HEADLINES[PRIMARY])
    return made | _explained(record)


def _probabilities(record: Record) -> dict[str, Figure]:
    seen, said = record.reliability, record.pool.said[RANKER]
    heads = {}
    for head, curve in seen.whole.items():
        error = record.measured[RANKER].value[f"calibration_error_{head}"]
        heads[OUTCOMES[head]] = curve, error, perfect_calibration(getattr(said, f"p_{head}"))
    made = {
        "calibration": plots.calibration(heads),
        "threshold": plots.threshold(seen.promises, seen.one_in_three, len(record.pool)),
    }
    for head in seen.whole:
        parts = {_slice(c, v): curve for (h, c, v), curve in seen.slices.items() if h == head}
        made[f"calibration_{head}_by_slice"] = plots.calibration_by_slice(head, parts)
    return made


def _slice(column: str, value: str) -> str:
    return f"{value} account" if column == "relationship" else f"{column} {value}"


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
    words = [BY_NAME[name].kind == "category" for name in matrix.columns]
    known = np.where(np.array(words), np.nan, matrix.values)
    return {"contributions": plots.contributions(pushed, known, matrix.columns)}
