"""What Prometheus is asked by the alerts and the dashboard is what the service tells, and every alert has its row."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Histogram

from serving import metrics
from serving.ledger.unplaced import DATA, PERSON, PLAN, REPS
from tests.promql import read

DOCS = Path(__file__).resolve().parents[2] / "docs"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
TARGETS: list[dict[str, str]] = [
    target for panel in json.loads((DOCS / "grafana.json").read_text())["panels"] for target in panel["targets"]
]
QUERIES = {rule["alert"]: rule["expr"] for rule in RULES} | {f"panel: {one['expr']}": one["expr"] for one in TARGETS}
#: By what a sample grows: of what only grows its rate is asked, of what goes up and down its values.
GROWS = ("rate", "increase")


def samples() -> dict[str, tuple[set[str], bool]]:
    """By the name of each sample its labels, and whether it only grows."""
    found = {}
    for one in metrics.ALL:
        labels = set(one._labelnames)
        if isinstance(one, Histogram):
            parts = {"_bucket": labels | {"le"}, "_count": labels, "_sum": labels}
            found |= {f"{one._name}{suffix}": (told, True) for suffix, told in parts.items()}
        else:
            grows = isinstance(one, Counter)
            found[f"{one._name}_total" if grows else one._name] = labels, grows
    return found


SAMPLES = samples()
#: Values of labels as the code writes them.
WRITTEN = {
    said
    for room in ("serving", "models", "features")
    for path in (DOCS.parent / room).rglob("*.py")
    for said in re.findall(r'"(\w+)"', path.read_text(encoding="utf-8"))
} | {one.name for one in signal.Signals}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(query: str) -> None:
    asked = read(QUERIES[query])
    assert {name for name, _ in asked.metrics} <= SAMPLES.keys()
    for name, over in asked.metrics:
        assert (over in GROWS) is SAMPLES[name][1], f"{name} by {over}"
    assert asked.labels <= set.union(*(SAMPLES[name][0] for name, _ in asked.metrics))
    codes = {one for label, said in asked.values.items() for one in said if label != "status"}
    assert codes <= WRITTEN


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: str(one["expr"]))
def test_a_legend_names_labels_that_its_query_leaves(target: dict[str, str]) -> None:
    known = set.union(*(SAMPLES[name][0] for name, _ in read(target["expr"]).metrics))
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_bad_it_is_and_where_the_runbook_tells_of_it(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "runbook"}
    page, anchor = rule["annotations"]["runbook"].split("#")
    rows = [line for line in (DOCS.parent / page).read_text().splitlines() if f'<a id="{anchor}"></a>' in line]
    assert [line.count("|") for line in rows] == [4], "one row: what you see, what it is, what to do"


def test_every_alert_has_a_name_and_every_anchor_an_alert() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    page = (DOCS / "operations.md").read_text()
    assert set(re.findall(r'<a id="(\w+)"></a>', page)) == {
        rule["annotations"]["runbook"].split("#")[1] for rule in RULES
    }


def test_leads_without_a_rep_are_told_of_whatever_they_wait_for() -> None:
    asked = [read(rule["expr"]) for rule in RULES]
    watched = {one for query in asked for one in query.values.get("waits_for", ())}
    assert watched == {REPS, DATA, PERSON, PLAN}


def test_feedback_that_changes_nothing_is_none() -> None:
    (rule,) = [rule for rule in RULES if rule["alert"] == "CallsheetNoFeedback"]
    assert read(rule["expr"]).values == {"result": {"applied"}}


def test_what_is_held_to_a_week_ago_is_held_to_the_day_before_while_there_was_none() -> None:
    held = [rule["expr"] for rule in RULES if "offset 7d" in rule["expr"]]
    assert held
    assert [one for one in held if one.count(" offset 7d") != one.count(" offset 1d") or "or " not in one] == []


@pytest.mark.parametrize(
    "wrong",
    ["sum(x", "rate(x)", "sum(rate(x[5m]) > 0", "x and 1", "sum by (a (x)", "foo(x)", "x[5m]", "x{a=b}", "x >", "1 > 2",
     "x offset", "x 5", "x['5m']", "histogram_quantile(x, 0.9)"],
)  # fmt: skip
def test_what_is_no_query_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        read(wrong)


@pytest.mark.parametrize("expr", [one["expr"] for one in TARGETS if ") / sum" in one["expr"]])
def test_a_share_of_what_never_happened_is_nought(expr: str) -> None:
    """A counter with labels is not there before it first counts, and the panel would say that it has no data."""
    assert expr.partition(" / ")[0].endswith(" or vector(0))")
