"""The report of a training, asked for by its run or by its model: which one it is, and whether it serves."""

from __future__ import annotations

from pathlib import Path

from features.errors import UsageError
from serving.ledger import Ledger
from serving.ledger.releases import Releases
from training.report import write
from training.tracking import Store


def report(
    home: Path, ledger: Ledger | None, *, run: str | None = None, version: str | None = None, out: Path | None = None
) -> Path:
    """Write the report and answer its file.

    ledger   tells what serves; None: there is none yet
    run, version   at most one of them; None: the last training
    Raises   UsageError when there is no such run or model, or the run is no training
    """
    store = Store(home)
    if run is not None and version is not None:
        raise UsageError("Name a run or a model, not both.", field="--run")
    if not store.begun:
        raise UsageError("There is no run yet; `callsheet train` makes one.", field="--run")
    if run is None:
        versions = [store.version(version)] if version is not None else store.versions()
        if not versions:
            raise UsageError("There is no trained model yet; `callsheet train` makes one.", field="--model")
        run = versions[0].run_id
    return write(store, run, out, _status(store.version_of(run).version, ledger))


def _status(version: str, ledger: Ledger | None) -> str:
    current = Releases(ledger).current() if ledger is not None else None
    serving = "the rules serve" if current is None or current.model is None else f"model {current.model.version} serves"
    if current is None:
        return "Nothing was released yet: the rules serve."
    since = f"{current.promoted_at:%d %B %Y, %H:%M} UTC"
    if current.model is not None and current.model.version == version:
        forced = ", forced past the gate" if current.forced else ""
        return f"This model serves since {since}{forced}."
    return f"This model does not serve: since {since} {serving}."
