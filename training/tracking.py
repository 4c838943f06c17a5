"""MLflow as the notebook of training: runs, their artifacts and the registered versions, in a store in HOME."""

from __future__ import annotations

import fcntl
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import mlflow.pyfunc
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from features.errors import ModelError, UsageError
from training import experiment

MODEL = "callsheet"
CHALLENGER, CHAMPION = "challenger", "champion"
PRODUCT = "product"  # the product's folder inside a logged model

#: What a version is known by: content_hash, feature_version, market_fingerprint, …
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Version:
    """One registered model: `version` counts up from "1"; aliases are challenger and champion."""

    version: str
    run_id: str
    content_hash: str
    feature_version: str
    market_fingerprint: str
    aliases: tuple[str, ...]
    created: datetime


class Run:
    """One run that is being written; everything goes to the store in few, large calls."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client, self.id = client, run_id

    def params(self, values: Mapping[str, object]) -> None:
        """Log parameters; MLflow holds them as text."""
        rows = [Param(name, str(value)[:6000]) for name, value in values.items()]
        for part in _parts(rows, 100):
            self.client.log_batch(self.id, params=part)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log numbers; one that is not finite is left out, for a missing metric says more than a false one."""
        now = int(time() * 1000)
        rows = [Metric(name, float(v), now, 0) for name, v in values.items() if v == v and abs(v) != float("inf")]
        for part in _parts(rows, 1000):
            self.client.log_batch(self.id, metrics=part)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags."""
        for part in _parts([RunTag(name, str(value)[:5000]) for name, value in values.items()], 100):
            self.client.log_batch(self.id, tags=part)

    def dataset(self, name: str, digest: str, schema: str, profile: str, source: str, context: str) -> None:
        """Name some data, as MLflow's dataset input; context: what for. `source` must hold no credentials."""
        data = Dataset(name, digest[:36], "callsheet", source, schema, profile)
        self.client.log_inputs(self.id, [DatasetInput(data, [InputTag("mlflow.data.context", context)])])

    def describe(self, name: str, note: str) -> None:
        """Call the run by another name, and say something else on its page."""
        self.client.update_run(self.id, name=name)
        self.client.set_tag(self.id, "mlflow.note.content", note)

    def tables(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Store tables as tables/NAME.json, which MLflow shows as tables and sets side by side."""
        for name, rows in frames.items():
            self.client.log_table(self.id, rows, f"tables/{name}.json")

    def figures(self, figures: Mapping[str, Figure]) -> None:
        """Store charts as plots/NAME.png."""
        with tempfile.TemporaryDirectory() as folder:
            for name, figure in figures.items():
                figure.savefig(Path(folder) / f"{name}.png", dpi=130)
            self.client.log_artifacts(self.id, folder, "plots")

    def text(self, name: str, content: str) -> None:
        """Store a text under an artifact path."""
        self.client.log_text(self.id, content, name)

    def frame(self, name: str, rows: pd.DataFrame) -> None:
        """Store a table as Parquet under an artifact path."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            rows.to_parquet(path, index=False)
            self.client.log_artifact(self.id, str(path), str(Path(name).parent) if "/" in name else None)

    def holds(self, name: str) -> bool:
        """Whether the run has an artifact of this name."""
        return (local_path(self.client.get_run(self.id).info.artifact_uri) / name).is_file()

    def read(self, name: str) -> Path:
        """The local file of one artifact. Raises UsageError when the run has none of this name."""
        root = local_path(self.client.get_run(self.id).info.artifact_uri)
        path = root / name
        if not path.is_file():
            raise UsageError(f"Run {self.id} holds no {name}; was it made by `callsheet train`?", field="run")
        return path


class Store:
    """HOME/mlflow.db and HOME/artifacts: runs of the experiment `callsheet`, versions of the model `callsheet`."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.uri = f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def begun(self) -> bool:
        """Whether there is a store already; reading one that is not there would make it."""
        return (self.home / "mlflow.db").is_file()

    @cached_property
    def client(self) -> MlflowClient:
        """The store's client; the first use makes or upgrades the database, one process at a time."""
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several first starts at once break MLflow's migrations
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            experiment.prepare(client, self.home / "artifacts")
        return client

    @cached_property
    def experiment(self) -> str:
        """The experiment's id."""
        return str(self.client.get_experiment_by_name(experiment.NAME).experiment_id)

    @contextmanager
    def run(self, name: str, note: str, tags: Mapping[str, str], parent: Run | None = None) -> Iterator[Run]:
        """A run that ends FINISHED, or FAILED with the error's name when the block raises.

        note   what the run's page says in words (Markdown)
        """
        own = {"mlflow.note.content": note} | ({"mlflow.parentRunId": parent.id} if parent is not None else {})
        made = self.client.create_run(self.experiment, run_name=name, tags={**tags, **own})
        run = Run(self.client, made.info.run_id)
        try:
            yield run
        except BaseException as error:
            self.client.set_tag(run.id, "failed_with", type(error).__name__)
            self.client.set_terminated(run.id, "FAILED")
            raise
        self.client.set_terminated(run.id, "FINISHED")

    def open(self, run_id: str) -> Run:
        """A run that is there. Raises UsageError when it is not."""
        try:
            self.client.get_run(run_id)
        except MlflowException as error:
            raise UsageError(f"There is no run {run_id!r} in {self.home}.", field="run") from error
        return Run(self.client, run_id)

    def log_product(self, run: Run, folder: Path, example: pd.DataFrame, answer: pd.DataFrame, facts: Facts) -> str:
        """Log a product's folder as a pyfunc of the run; returns the logged model's id.

        What the run has measured by then is shown with the model, so log the headlines before and the rest after.
        example  a few rows of the model's input; answer: what it said to them
        """
        from mlflow.models import infer_signature

        with self._fluent(), mlflow.start_run(run_id=run.id):
            logged = mlflow.pyfunc.log_model(
                name=PRODUCT,
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={PRODUCT: str(folder)},
                signature=infer_signature(example, answer),
                input_example=example,
                pip_requirements=_requirements(),
                metadata=dict(facts),
            )
        return str(logged.model_id)

    def register(self, run: Run, model_id: str, facts: Facts) -> Version:
        """Register a logged product as the next version of the model, and make it the challenger."""
        try:
            self.client.create_registered_model(MODEL, description="Which rep gets which lead. See the version's run.")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with self._fluent():
            made = self.client.create_model_version(
                MODEL, f"models:/{model_id}", run_id=run.id, tags=dict(facts), model_id=model_id
            )
        self.client.set_registered_model_alias(MODEL, CHALLENGER, made.version)
        return self.version(str(made.version))

    def describe_version(self, version: str, note: str) -> None:
        """Say what a registered version is (Markdown)."""
        self.client.update_model_version(MODEL, version, description=note)

    @contextmanager
    def _fluent(self) -> Iterator[None]:
        """MLflow's model flavours only know the process-wide store; it is ours for the time of one call."""
        before, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)
            mlflow.set_registry_uri(registry)

    def version(self, version: str) -> Version:
        """One registered version. Raises UsageError when there is none."""
        try:
            return self._read(self.client.get_model_version(MODEL, version))
        except MlflowException as error:
            raise UsageError(f"There is no model version {version!r}.", field="model") from error

    def version_of(self, run_id: str) -> Version:
        """The version that a run registered. Raises UsageError when it registered none."""
        made = [v for v in self.versions() if v.run_id == run_id]
        if not made:
            raise UsageError(f"Run {run_id!r} registered no model.", field="run")
        return made[0]

    def versions(self) -> list[Version]:
        """Every registered version, the newest first."""
        rows = self.client.search_model_versions(f"name='{MODEL}'", max_results=1000)
        aliases: dict[str, list[str]] = {}
        if rows:
            for alias, version in self.client.get_registered_model(MODEL).aliases.items():
                aliases.setdefault(str(version), []).append(alias)
        made = [self._read(row, tuple(sorted(aliases.get(str(row.version), ())))) for row in rows]
        return sorted(made, key=lambda v: int(v.version), reverse=True)

    def by_alias(self, alias: str) -> Version | None:
        """The version that an alias names, if any."""
        try:
            return self._read(self.client.get_model_version_by_alias(MODEL, alias))
        except MlflowException:
            return None

    def challenger(self) -> Version | None:
        """The version that was trained last and has not yet been judged away."""
        return self.by_alias(CHALLENGER)

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version; the release row in the ledger decides, this mirrors it for analysts."""
        self.client.set_registered_model_alias(MODEL, alias, version)

    def clear_alias(self, alias: str) -> None:
        """Take an alias away."""
        self.client.delete_registered_model_alias(MODEL, alias)

    def tag_forced(self, version: str, reason: str) -> None:
        """Mark a version and its run as released although the gate refused, with the reason that was given."""
        run = Run(self.client, self.version(version).run_id)
        run.tags({"gate_forced": reason})
        self.client.set_model_version_tag(MODEL, version, "gate_forced", reason[:5000])

    def product_folder(self, version: str) -> Path:
        """The version's files in the artifact store. Raises ModelError when they are gone."""
        row = self.client.get_model_version(MODEL, version)
        logged = self.client.get_logged_model(row.source.removeprefix("models:/"))
        folder = local_path(logged.artifact_location) / "artifacts" / row.tags.get("content_hash", "")
        if not folder.is_dir():
            raise ModelError(f"The files of model version {version} are gone from {folder.parent}.", field="model")
        return folder

    def _read(self, row: Any, aliases: tuple[str, ...] | None = None) -> Version:
        tags = row.tags
        return Version(
            version=str(row.version), run_id=row.run_id, content_hash=tags.get("content_hash", ""),
            feature_version=tags.get("feature_version", ""), market_fingerprint=tags.get("market_fingerprint", ""),
            aliases=tuple(sorted(row.aliases)) if aliases is None else aliases,
            created=datetime.fromtimestamp(row.creation_timestamp / 1000, UTC),
        )  # fmt: skip


def local_path(uri: str) -> Path:
    """The folder of a file: address."""
    return Path(url2pathname(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)


def _parts(rows: list[Any], size: int) -> Iterator[list[Any]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _requirements() -> list[str]:
    """What the product needs besides Callsheet itself, pinned here so that MLflow need not import it all to guess."""
    from importlib.metadata import version

    names: Sequence[str] = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "networkx")
    return [f"{name}=={version(name)}" for name in names]
