"""What a look at a model leaves in MLflow: a run in words, numbers and charts, bound to the version looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping

from matplotlib.figure import Figure
from mlflow.entities import LoggedModelInput

from training.blocks import day_of
from training.monitor.judgement import finite
from training.monitor.watch import Monitored
from training.origin import without_secrets
from training.tracking import MODEL, Store

REPORT = "report.html"
FINDINGS = "findings.json"


def write_run(store: Store, seen: Monitored, html: str, charts: Mapping[str, Figure], source: str = "") -> str:
    """Write the run, and on the version what was advised; returns the run's id. source: what to call the data."""
    start, end = day_of(seen.recent.start), day_of(seen.recent.end)
    advice, version = seen.judgement.advice, seen.watched.version
    name = f"Monitor of model {version}, {start} to {end}: {advice}"
    tags = {"kind": "monitor", "model_version": version, "model_run": seen.watched.run_id, "recommendation": advice}
    tags["healthy"] = "yes" if seen.judgement.healthy else "no"
    with store.run(name, note(seen), tags) as run:
        run.params(
            {
                "window.start": start, "window.end": end, "window.offers": seen.compared.rows,
                "model.version": version, "model.content_hash": seen.watched.content_hash,
                "model.cut": day_of(seen.reference.cut), "data.source": without_secrets(source),
            }
        )  # fmt: skip
        run.metrics(_metrics(seen))
        run.text(FINDINGS, findings_text(seen))
        run.text(REPORT, html)
        run.figures(charts)
        logged = store.client.get_model_version(MODEL, version).source.removeprefix("models:/")
        store.client.log_inputs(run.id, models=[LoggedModelInput(logged)])
    store.client.set_model_version_tag(MODEL, version, "monitor", f"{advice}, {end} (run {run.id})")
    return run.id


def note(seen: Monitored) -> str:
    """The run's page (Markdown): the advice, why, and every check."""
    judged = seen.judgement
    lines = [f"**{judged.advice}**. {judged.remedy}", ""]
    lines += [f"- **{one.check}**: {one.text}" for one in judged.reasons]
    lines += ["", "| | check | what it saw |", "|---|---|---|"]
    lines += [f"| {one.state} | {one.check} | {one.text.replace('|', '/')} |" for one in judged.findings]
    lines += ["", f"The page with charts: Artifacts, `{REPORT}`. The training: run `{seen.watched.run_id}`."]
    return "\n".join(lines)


def findings_text(seen: Monitored) -> str:
    """Every finding and every feature, as JSON."""
    findings = [
        {
            "check": one.check, "state": one.state, "asks": one.asks, "text": one.text,
            "numbers": {k: finite(v) for k, v in one.numbers.items()},
        }
        for one in seen.judgement.findings
    ]  # fmt: skip
    features = [
        {
            "feature": one.name, "state": one.state, "psi": one.psi, "limit": one.limit, "weight": one.weight,
            "missing_then": one.missing[0], "missing_now": one.missing[1], "new": one.new,
        }
        for one in seen.compared.features
    ]  # fmt: skip
    judged = seen.judgement
    said = {"recommendation": judged.advice, "healthy": judged.healthy, "findings": findings, "features": features}
    return json.dumps(said, indent=1, allow_nan=False)


def _metrics(seen: Monitored) -> dict[str, float]:
    """Numbers by check, and PSI, limit and share missing by feature; what could not be judged is left out."""
    found: dict[str, float] = {}
    for one in seen.judgement.findings:
        for name, value in one.numbers.items():
            number = finite(value)
            if number is not None:
                found[f"{one.check.replace(' ', '_')}/{name}"] = number
    for moved in seen.compared.features:
        found[f"missing/{moved.name}"] = moved.missing[1]
        if moved.limit is not None:
            found |= {f"psi/{moved.name}": moved.psi, f"psi_limit/{moved.name}": moved.limit}
    return found
