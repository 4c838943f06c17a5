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

NAME = "callsheet"
#: MLflow's own experiment, which it makes with every store and which nobody asked for.
MLFLOWS_OWN = "0"

NOTE = """Who gets which lead: each run is one `callsheet train`, with a run below it for every recipe on those offers.

- **Read one run**: click its name; its description says what was trained on what, and links its report and charts.
- **Compare**: tick runs, press *Compare*; or open the chart view above the list.
- **Its baselines**: press the + before its name. *Views* (right) goes back to the columns that this page opened with.

Metrics end in `_low` and `_high` where they have a 95 % interval (resampled by account). `lead/…` is the ranker's lead
over rivals, `family/…` what is lost without a family of features, `canary/…` what was made of columns that tell
nothing."""

#: The kind makes MLflow open on the runs and their charts, not on its pages for language models.
TAGS = {
    "mlflow.note.content": NOTE, "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "ndcg_at_5", "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}  # fmt: skip

#: The view on which the page opens.
FIRST = "callsheet-headlines"
_VIEW = "mlflow.sharedViewState."
_COLUMNS = (
    "metrics.`ndcg_at_5`", "metrics.`ndcg_at_5_low`", "metrics.`ndcg_at_5_high`", "metrics.`accept_at_3`",
    "metrics.`convert_at_3`", "metrics.`log_loss_accept`", "metrics.`log_loss_convert`", "tags.`gate`",
    "attributes.`Models`", "attributes.`Dataset`",
)  # fmt: skip
_FAMILIES = ("fit", "rep", "account", "timing", "graph", "behaviour")
#: Section -> metric -> what its chart is called.
_CHARTS: Mapping[str, Mapping[str, str]] = {
    "Headlines": {
        "ndcg_at_5": "NDCG at 5", "accept_at_3": "accepted of the first 3", "convert_at_3": "converted of the first 3",
        "log_loss_accept": "log loss of p_accept (less is better)",
        "log_loss_convert": "log loss of p_convert (less is better)", "lead/rules": "lead over the rules, NDCG at 5",
    },
    "Probabilities": {
        "calibration_error_accept": "p_accept: calibration error", "calibration_error_convert": "p_convert: the same",
        "threshold/accept_one_in_three/share": "accepted of offers at one in three or more",
    },
    "Families: NDCG at 5 lost without": {f"family/{name}/dropped": name for name in _FAMILIES},
    "Canaries": {"canary/singing": "canaries that sing", "canary/added": "NDCG at 5 gained by canaries"},
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
    return f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={FIRST}"


def links(experiment: str, run: str, version: str) -> dict[str, str]:
    """Where things of a run are found in MLflow's pages, as addresses within them."""
    page = f"#/experiments/{experiment}/runs/{run}"
    return {
        "Run": page, "Report": f"{page}/artifacts/report.html", "Charts": f"{page}/artifacts/plots",
        "Tables": f"{page}/artifacts/tables", "Features": f"{page}/artifacts/feature_report.csv",
        "Model": f"#/models/callsheet/versions/{version}",
    }  # fmt: skip


def views() -> dict[str, str]:
    """Tags of the experiment by which MLflow keeps saved views; its own pages write the same."""
    charts, sections = [], []
    for number, (title, metrics) in enumerate(_CHARTS.items()):
        section = f"callsheet-{number}"
        sections.append(
            {"uuid": section, "name": title, "display": True, "isReordered": True, "deleted": False,
             "isGenerated": False}
        )  # fmt: skip
        charts += [
            {"uuid": f"{section}-{place}", "type": "BAR", "runsCountToCompare": 20, "metricSectionId": section,
             "deleted": False, "isGenerated": False, "displayName": words, "metricKey": metric}
            for place, (metric, words) in enumerate(metrics.items())
        ]  # fmt: skip
    state: dict[str, Any] = {
        "searchFilter": "", "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": list(_COLUMNS), "columnOrder": list(_COLUMNS), "columnWidths": {},
        "runsHiddenMode": "FIRST_20_RUNS", "compareRunCharts": charts, "compareRunSections": sections,
        "viewMaximized": False, "runListHidden": False, "isAccordionReordered": True,
        "useGroupedValuesInCharts": True, "hideEmptyCharts": True, "groupBy": None, "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip
    packed = base64.b64encode(zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)).decode()
    view = {"name": "Headlines", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return {f"{_VIEW}{FIRST}": json.dumps(view)}
