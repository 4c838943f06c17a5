"""A look at the model that serves: which one it is, what it learned from, and the report that is written of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import time

from features.catalogue import FEATURE_VERSION
from features.config import Config
from features.errors import ModelError, UsageError
from features.snapshot import Snapshot
from models.product import Product
from serving.cache import ModelCache
from serving.ledger import Ledger
from serving.ledger.releases import Releases
from training.blocks import day_of
from training.monitor.charts import charts
from training.monitor.journal import write_run
from training.monitor.page import page
from training.monitor.reference import ARTIFACT, Reference
from training.monitor.watch import Monitored, Watched, monitor
from training.tracking import Store, Version


@dataclass(frozen=True)
class Looked:
    """What came of it: the report's file, the run, and what a person should be told of the choice of model, if any."""

    seen: Monitored
    report: Path
    run_id: str
    told: str | None


def look(
    snapshot: Snapshot, config: Config, home: Path, ledger: Ledger, *,
    window: int, version: str | None = None, asked: bool = False, out: Path | None = None, source: str = "",
) -> Looked:  # fmt: skip
    """Compare the last `window` microseconds of the data with what the model learned from, and write it all down.

    version  a registered version; None: the model that is released, else the challenger
    asked    the snapshot's now was asked for, so ages are counted to it; else to the clock
    out      the report's file; None: under HOME/reports
    Raises   UsageError when there is no such model, or its run holds no reference; ModelError when it is damaged
    """
    store, releases = Store(home), Releases(ledger)
    found, told = _which(store, releases, version)
    current = releases.current()
    released = current is not None and current.model is not None and current.model.version == found.version
    watched = Watched(
        found.version, found.run_id, found.content_hash, released,
        same_market=found.market_fingerprint == config.market_fingerprint,
    )  # fmt: skip
    product, reference = _load(store, home, found), _reference(store, found)
    clock = None if asked else int(time() * 1e6)
    seen = monitor(snapshot, config, watched, product, reference, window=window, clock=clock)
    drawn = charts(seen)
    html = page(seen, drawn)
    report = out or home / "reports" / f"monitor-model-{found.version}-{day_of(seen.recent.now)}.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    part = report.with_name(f".{report.name}.part")
    part.write_text(html, encoding="utf-8")
    part.replace(report)
    return Looked(seen, report, write_run(store, seen, html, drawn, source), told)


def _which(store: Store, releases: Releases, version: str | None) -> tuple[Version, str | None]:
    """The version asked for, the released one, or the challenger; and what to say of the choice."""
    if not store.begun:
        raise UsageError("There is no trained model to look at; run `callsheet train` first.", field="--model")
    if version is not None:
        return store.version(version), None
    current = releases.current()
    if current is not None and current.model is not None:
        return store.version(current.model.version), None
    found = store.challenger()
    if found is None:
        raise UsageError("There is no trained model to look at; run `callsheet train` first.", field="--model")
    return found, f"No model is released, the rules serve; this looks at model {found.version}, the challenger."


def _load(store: Store, home: Path, found: Version) -> Product:
    """The model's verified copy, whether or not it may serve: the report tells what is wrong with it."""
    if found.feature_version != FEATURE_VERSION:
        raise ModelError(
            f"Model {found.version} was made for other features than this version computes; train again.",
            field="--model",
        )
    cache = ModelCache(home)
    cache.fetch(found.content_hash, store.product_folder(found.version))
    return cache.load(found.content_hash)


def _reference(store: Store, found: Version) -> Reference:
    try:
        file = store.open(found.run_id).read(ARTIFACT)
    except UsageError as error:
        raise UsageError(
            f"The training of model {found.version} kept no {ARTIFACT} to compare with; train again.", field="--model"
        ) from error
    return Reference.of_text(file.read_text(encoding="utf-8"))
