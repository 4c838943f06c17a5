"""Runs side by side: the parameters in which they differ, and their metrics with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import UsageError
from training.results import HEADLINES
from training.tracking import Store

#: Besides the headlines: what tells whether a run is fit to serve.
MORE = ("calibration_error_accept", "calibration_error_convert", "behaviour_share")


@dataclass(frozen=True)
class Compared:
    """One run; params are only those in which the compared runs differ, metrics name -> (value, low, high)."""

    run_id: str
    name: str
    started: datetime
    version: str | None
    gate: str | None
    params: dict[str, str]
    metrics: dict[str, tuple[float, float | None, float | None]]

    def as_dict(self) -> dict[str, object]:
        """The run as one flat row of a listing."""
        row: dict[str, object] = {
            "run_id": self.run_id, "name": self.name, "started": self.started.isoformat(timespec="seconds"),
            "version": self.version, "gate": self.gate, **self.params,
        }  # fmt: skip
        for name, (value, low, high) in self.metrics.items():
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
    return tuple(_read(run, differ, versions) for run in found)


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
        metrics={n: (metrics[n], metrics.get(f"{n}_low"), metrics.get(f"{n}_high")) for n in shown},
    )  # fmt: skip
