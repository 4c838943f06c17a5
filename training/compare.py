"""Runs side by side: the parameters in which they differ, and their metrics with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import UsageError
from training.bootstrap import Draw
from training.contestants import RANKER
from training.evaluate import evaluate
from training.gate import PRIMARY
from training.pool import ARTIFACT, Pool
from training.results import HEADLINES
from training.tracking import Store

#: Besides the headlines: what tells whether a run is fit to serve.
MORE = ("calibration_error_accept", "calibration_error_convert", "behaviour_share")


_LEAD = f"ranker_lead/{PRIMARY}"
#: Offers that two runs must both have been tested on, for a difference of the two.
SHARED = 100

Ends = tuple[float, float | None, float | None]


@dataclass(frozen=True)
class Compared:
    """One run; params are only those in which the compared runs differ, metrics name -> (value, low, high).

    kind       ranker, rules, baseline, ablation
    lead       the ranker of its run above it on the primary metric, of a run below another
    behind     the first run's primary metric less this one's, on the offers that both were tested on, paired; None:
               the first itself, or too few offers in common
    """

    run_id: str
    name: str
    started: datetime
    version: str | None
    gate: str | None
    params: dict[str, str]
    metrics: dict[str, Ends]
    kind: str = RANKER
    lead: Ends | None = None
    behind: Ends | None = None

    def as_dict(self) -> dict[str, object]:
        """The run as one flat row of a listing."""
        row: dict[str, object] = {
            "run_id": self.run_id, "name": self.name, "started": self.started.isoformat(timespec="seconds"),
            "version": self.version, "gate": self.gate, **self.params,
        }  # fmt: skip
        paired = {"ranker_lead": self.lead, "behind": self.behind}
        found = self.metrics | {name: ends for name, ends in paired.items() if ends is not None}
        for name, (value, low, high) in found.items():
            row[name] = value
            if low is not None:
                row |= {f"{name}_low": low, f"{name}_high": high}
        return row


def compare(home: Path, runs: Sequence[str] = (), last: int = 5, *, nested: bool = False) -> tuple[Compared, ...]:
    """The runs of these ids, in their order, or else the last ones, the newest first.

    nested   with the baselines and ablations of each run after it
    Raises   UsageError when a run is not there, or there is none at all
    """
    store = Store(home)
    if not store.begun:
        raise UsageError("There is no run yet; `callsheet train` makes one.", field="runs")
    found = [_run(store, run_id) for run_id in runs] or _last(store, last)
    if not found:
        raise UsageError("There is no run yet; `callsheet train` makes one.", field="runs")
    if nested:
        found = [row for run in found for row in (run, *_nested(store, run.info.run_id))]
    params = {name for run in found for name in run.data.params}
    differ = sorted(name for name in params if len({run.data.params.get(name) for run in found}) > 1)
    versions = {v.run_id: v.version for v in store.versions()}
    read = [_read(run, differ, versions) for run in found]
    if nested or len(read) < 2:
        return tuple(read)
    pools = [_pool(store, run.run_id) for run in read]
    return read[0], *(replace(run, behind=_behind(pools[0], p)) for run, p in zip(read[1:], pools[1:], strict=True))


def _pool(store: Store, run_id: str) -> Pool | None:
    run = store.open(run_id)
    return Pool.of_frame(pd.read_parquet(run.read(ARTIFACT))) if run.holds(ARTIFACT) else None


def _behind(first: Pool | None, other: Pool | None) -> Ends | None:
    """How far the ranker of one run is behind that of another, on the offers that both were tested on."""
    if first is None or other is None:
        return None
    _, ours, theirs = np.intersect1d(first.offer_id.astype(str), other.offer_id.astype(str), return_indices=True)
    if len(ours) < SHARED:
        return None
    board, draw = first.board.take(ours), Draw.of(first.account[ours])
    one, two = (evaluate(board, pool.said[RANKER].take(rows), draw) for pool, rows in ((first, ours), (other, theirs)))
    if PRIMARY not in one.value or PRIMARY not in two.value:
        return None
    seen = one.less(two, PRIMARY)
    return seen.value, seen.low, seen.high


def _run(store: Store, run_id: str) -> Any:
    return store.client.get_run(store.open(run_id).id)


def _last(store: Store, count: int) -> list[Any]:
    return list(
        store.client.search_runs(
            [store.experiment], "tags.kind = 'ranker' and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"], max_results=count,
        )
    )  # fmt: skip


def _nested(store: Store, run_id: str) -> list[Any]:
    return list(
        store.client.search_runs(
            [store.experiment], f"tags.mlflow.parentRunId = '{run_id}'", order_by=["attributes.start_time ASC"]
        )
    )


def _read(run: Any, differ: Sequence[str], versions: dict[str, str]) -> Compared:
    metrics = run.data.metrics
    shown = [name for name in (*HEADLINES, *MORE) if name in metrics]
    return Compared(
        run_id=run.info.run_id, name=run.info.run_name,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        version=versions.get(run.info.run_id), gate=run.data.tags.get("gate"),
        params={name: run.data.params.get(name, "") for name in differ},
        metrics={name: _ends(metrics, name) for name in shown},
        kind=run.data.tags.get("kind", ""), lead=_ends(metrics, _LEAD) if _LEAD in metrics else None,
    )  # fmt: skip


def _ends(metrics: Mapping[str, float], name: str) -> Ends:
    return metrics[name], metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
