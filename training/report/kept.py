"""What a training run keeps, read back from the store: all that its report is made of, without the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from features.errors import UsageError
from training.tracking import Store

PLOTS = (
    "baselines_compared", "calibration", "calibration_accept_by_slice", "calibration_convert_by_slice", "threshold",
    "metric_by_slice", "cumulative_gain", "families_worth", "importance", "contributions",
)  # fmt: skip
TABLES = ("recipes", "slices", "labels", "blocks", "value")


@dataclass(frozen=True)
class Kept:
    """One training run.

    version       that it registered; said: what it shows, in a sentence or two
    tables        TABLES by name; plots: name -> PNG, those that could be drawn
    features      feature_report.json; card: the product's; gate: the verdict, None while it was not judged
    """

    run_id: str
    name: str
    version: str
    trained: datetime
    said: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame]
    features: Mapping[str, Any]
    card: Mapping[str, Any]
    gate: Mapping[str, Any] | None
    plots: Mapping[str, bytes]


def read(store: Store, run_id: str) -> Kept:
    """Read a training run back. Raises UsageError when it is none, or one of an earlier version of Callsheet."""
    run = store.open(run_id)
    seen = store.client.get_run(run_id)
    if seen.data.tags.get("kind") != "ranker":
        raise UsageError(f"Run {run_id} is no training; name one that `callsheet compare` lists.", field="--run")
    try:
        tables = {name: pd.read_json(run.read(f"tables/{name}.json"), orient="split", dtype=False) for name in TABLES}
        features = json.loads(run.read("feature_report.json").read_text(encoding="utf-8"))
        card = json.loads(run.read("card.json").read_text(encoding="utf-8"))
    except UsageError:
        raise UsageError(
            f"Run {run_id} was not finished, or made by an earlier version of Callsheet; train again for its report.",
            field="--run",
        ) from None
    return Kept(
        run_id=run_id, name=seen.info.run_name, version=store.version_of(run_id).version,
        trained=datetime.fromtimestamp(seen.info.start_time / 1000, UTC), said=seen.data.tags.get("said", ""),
        params=seen.data.params, metrics=seen.data.metrics, tables=tables, features=features, card=card,
        gate=json.loads(run.read("gate.json").read_text(encoding="utf-8")) if run.holds("gate.json") else None,
        plots={name: run.read(f"plots/{name}.png").read_bytes() for name in PLOTS if run.holds(f"plots/{name}.png")},
    )  # fmt: skip
