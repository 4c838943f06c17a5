"""How the experiment looks in MLflow: what it says of itself, and the views on which its pages open, made ready."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, ViewType

from features.catalogue import families

NAME = "callsheet"
#: MLflow's own experiment, which it makes with every store and which nobody asked for.
MLFLOWS_OWN = "0"

NOTE = """Who gets which lead: each run is one `callsheet train`, with a run below it for every recipe on those offers.

- **Read one run**: click its name; its description says what was trained on what, and links its report and charts.
- **Compare**: tick runs, press *Compare*; or open the chart view above the list.
- **Its later life**: runs called *Monitor of model …* hold the model against newer offers; `report.html` is their page.
- **Its baselines**: press the + before its name. *Views* (right) goes back to the columns that this page opened with.

Metrics end in `_low` and `_high` where they have a 95 % interval (resampled by account). `lead/…` is the ranker's lead
over rivals, `family/…` what is lost without a family of features, `canary/…` what was made of columns that tell
nothing."""

#: The kind makes MLflow open on the runs and their charts, not on its pages for language models.
TAGS = {
    "mlflow.note.content": NOTE, "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "ndcg_at_5", "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}  # fmt: skip

#: The view on which the page opens, and the one of the models' later life.
FIRST, LATER = "callsheet-headlines", "callsheet-monitoring"
_PAGES = "workflowType=machine_learning"  # and not those for language models
_VIEW = "mlflow.sharedViewState."
_COLUMNS = (
    "tags.`gate`", "metrics.`ndcg_at_5`", "metrics.`ndcg_at_5_low`", "metrics.`ndcg_at_5_high`",
    "metrics.`accept_at_3`", "metrics.`convert_at_3`", "metrics.`log_loss_accept`", "metrics.`log_loss_convert`",
    "attributes.`Models`", "attributes.`Dataset`",
)  # fmt: skip
_LATER_COLUMNS = (
    "tags.`recommendation`", "params.`window.start`", "params.`window.end`", "params.`window.offers`",
    "params.`model.version`",
)  # fmt: skip
#: Section of the chart view -> the metrics that it draws, a chart each.
_CHARTS: Mapping[str, Sequence[str]] = {
    "Headlines": (
        "ndcg_at_5", "accept_at_3", "convert_at_3", "log_loss_accept", "log_loss_convert", "lead/rules",
        "value/converted/dr", "value/converted/gain",
    ),
    "Probabilities": (
        "calibration_error_accept", "calibration_error_convert", "threshold/accept_one_in_three/share",
    ),
    "NDCG at 5 lost without a family": tuple(f"family/{name}/dropped" for name in families()),
    "Canaries": ("canary/singing", "canary/added"),
}  # fmt: skip


def prepare(client: MlflowClient, artifacts: Path) -> None:
    """Make the experiment where there is none, and set its views to what this version shows.

    Everything else that a person changed about it stays.
    """
    found = client.get_experiment_by_name(NAME)
    if found is None:
        client.create_experiment(NAME, artifacts.as_uri(), tags=TAGS | views())
        _hide_mlflows_own(client)
        return
    for key, value in views().items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)


def _hide_mlflows_own(client: MlflowClient) -> None:
    """Move MLflow's empty experiment into its bin, from which it can be restored."""
    listed: Sequence[Experiment] = client.search_experiments(ViewType.ACTIVE_ONLY)
    if any(one.experiment_id == MLFLOWS_OWN and one.name == "Default" for one in listed) and not client.search_runs(
        [MLFLOWS_OWN], max_results=1
    ):
        client.delete_experiment(MLFLOWS_OWN)


def address(experiment: str) -> str:
    """The path of the page of runs as it should open, behind the server's address."""
    return f"/#/experiments/{experiment}/runs?{_PAGES}&viewStateShareKey={FIRST}"


def links(experiment: str, run: str, version: str) -> dict[str, str]:
    """Where things of a run are found in MLflow's pages, as addresses within them."""
    page = f"#/experiments/{experiment}/runs/{run}"
    kept = {"Report": "report.html", "Charts": "plots", "Tables": "tables", "Features": "feature_report.csv"}
    found = {"Run": page} | {name: f"{page}/artifacts/{path}" for name, path in kept.items()}
    found["Model"] = f"#/models/callsheet/versions/{version}"
    return {name: f"{where}?{_PAGES}" for name, where in found.items()}


def views() -> dict[str, str]:
    """Tags of the experiment by which MLflow keeps saved views; its own pages write the same."""
    return {
        f"{_VIEW}{FIRST}": _view("Headlines", _COLUMNS, "tags.kind != 'monitor'", *_charts()),
        f"{_VIEW}{LATER}": _view("Monitoring", _LATER_COLUMNS, "tags.kind = 'monitor'"),
    }


def _charts() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The charts of the chart view and their sections; first of all a table of what differs."""
    own = {"deleted": False, "isGenerated": False}
    charts: list[dict[str, Any]] = [
        {"uuid": "callsheet-table", "type": "DIFFERENCE", "runsCountToCompare": 20, "metricSectionId": "callsheet-side",
         "chartName": "Side by side", "compareGroups": ["Model metrics", "Parameters"], "showChangeFromBaseline": True,
         "showDifferencesOnly": True, "baselineColumnUuid": "", **own}
    ]  # fmt: skip
    sections: list[dict[str, Any]] = [
        {"uuid": "callsheet-side", "name": "Side by side", "display": True, "isReordered": True, "columns": 1,
         "cardHeight": 520, **own}
    ]  # fmt: skip
    for number, (title, metrics) in enumerate(_CHARTS.items()):
        section = f"callsheet-{number}"
        sections.append({"uuid": section, "name": title, "display": True, "isReordered": True, **own})
        charts += [
            {"uuid": f"{section}-{place}", "type": "BAR", "runsCountToCompare": 20, "metricSectionId": section,
             "metricKey": metric, **own}
            for place, metric in enumerate(metrics)
        ]  # fmt: skip
    return charts, sections


def _view(
    name: str, columns: Sequence[str], only: str, charts: Sequence[Mapping[str, Any]] = (),
    sections: Sequence[Mapping[str, Any]] = (),
) -> str:  # fmt: skip
    """A saved view; only: the filter of its runs."""
    state: dict[str, Any] = {
        "searchFilter": only, "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns), "columnOrder": list(columns), "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS", "viewMaximized": False, "runListHidden": False,
        "isAccordionReordered": True, "useGroupedValuesInCharts": True, "hideEmptyCharts": True, "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip
    if charts:
        state |= {"compareRunCharts": list(charts), "compareRunSections": list(sections)}
    packed = base64.b64encode(zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)).decode()
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
