"""What an operator sees: every metric that is named is counted by the running service, and no label holds an id."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import connections, crowd, metrics, turns
from serving.body import BODY_SECONDS
from serving.deadline import SECONDS
from serving.edge import MAX_HEADER_BYTES, MAX_HEADERS
from serving.ledger.database import BUSY_SECONDS
from serving.plan import CHUNK
from serving.recommend import SCORED
from serving.routes import ROUTES
from serving.settings import quota
from serving.wire.base import MAX_BODY
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import Site

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana.json"
SUFFIX = re.compile(r"_(bucket|count|sum|total|created)$")

Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(scope="module")
def watched(crm: Crm, site: Site) -> Iterator[Service]:
    """Two workers, so that what one counted is seen at the other."""
    home = make_home(crm, site.home, site.url)
    with running(crm.folder, crm.config_path, home, "--db", site.url, "--workers", "2") as service:
        yield service


def scrape(service: Service) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(httpx.get(f"{service.url}/metrics", timeout=30).text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for said, value in samples.get(name, ()) if labels.items() <= said.items())


def asked(samples: Samples) -> float:
    """Requests that are not our own looks."""
    name = "callsheet_request_duration_seconds_count"
    return total(samples, name) - total(samples, name, route="/metrics")


def counted(service: Service, least: float) -> Samples:
    """A scrape that has at least so many; a request is counted once its answer has gone out."""
    deadline = time.monotonic() + 30
    while asked(samples := scrape(service)) < least:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return samples


def test_requests_are_counted_by_route_rung_and_status_over_all_workers(watched: Service, crm: Crm) -> None:
    lead, rep = str(crm.book.lead_ids[0]), str(crm.book.rep_ids[0])
    before = scrape(watched)
    for _ in range(12):  # each on a connection of its own, so that both workers get some
        assert httpx.post(f"{watched.url}/recommend_leads", json={"rep_id": rep}, timeout=30).status_code == 200
    httpx.post(f"{watched.url}/recommend_reps", json={"lead_id": lead}, timeout=30)
    httpx.post(f"{watched.url}/recommend_reps", json={"lead_id": "nobody-7f3"}, timeout=30)
    httpx.post(f"{watched.url}/recommend_reps", json={"lead": "x"}, timeout=30)
    httpx.get(f"{watched.url}/nowhere-7f3", timeout=30)
    name = "callsheet_request_duration_seconds_count"
    after = counted(watched, asked(before) + 16)
    for labels, more in (
        ({"route": "/recommend_leads", "rung": "champion", "status": "200"}, 12),
        ({"route": "/recommend_reps", "rung": "none", "status": "404"}, 1),
        ({"route": "/recommend_reps", "rung": "none", "status": "400"}, 1),
        ({"route": "other", "rung": "none", "status": "404"}, 1),
    ):
        assert total(after, name, **labels) - total(before, name, **labels) == more, labels
    for code in ("lead_unknown", "input_invalid", "route_unknown"):
        assert (
            total(after, "callsheet_turned_away_total", code=code)
            - total(before, "callsheet_turned_away_total", code=code)
            == 1
        )
    assert total(after, "callsheet_decisions_total") - total(before, "callsheet_decisions_total") == 13
    assert total(after, "callsheet_refusals_total") > total(before, "callsheet_refusals_total")


def test_no_label_holds_an_id_or_anything_that_a_caller_chose(watched: Service, crm: Crm) -> None:
    httpx.get(f"{watched.url}/nowhere-7f3?x=zz-canary", headers={"x-request-id": "zz-canary"}, timeout=30)
    samples = scrape(watched)
    routes, rungs = {*ROUTES, "other"}, {"champion", "last_good", "owner_territory", "hash", "none"}
    for name, said in samples.items():
        for labels, _ in said:
            assert labels.get("route", "other") in routes, name
            assert labels.get("rung", "none") in rungs, name
            assert set(labels) <= {
                "route",
                "rung",
                "status",
                "policy",
                "given",
                "rule",
                "code",
                "result",
                "le",
                "feature",
            }, name
    values = {v for said in samples.values() for labels, _ in said for v in labels.values()}
    assert not values & {*map(str, crm.book.lead_ids), *map(str, crm.book.rep_ids)}
    assert not [v for v in values if "canary" in v or "7f3" in v]


def test_the_pulse_tells_how_old_the_model_is(watched: Service) -> None:
    """Each worker's beats every few seconds, and its first comes after it is ready."""
    deadline = time.monotonic() + 30
    while "callsheet_model_age_seconds" not in (samples := scrape(watched)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {labels["rung"] for labels, _ in samples["callsheet_model_age_seconds"]} == {"champion", "last_good"}
    for name in ("callsheet_turns_running", "callsheet_turns_waiting", "callsheet_requests_open"):
        assert len(samples[name]) == 1


def names() -> set[str]:
    return {SUFFIX.sub("", metric._name) for metric in metrics.ALL}


def test_the_dashboard_shows_just_the_metrics_that_there_are() -> None:
    shown = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in shown["panels"] for target in panel["targets"]]
    asked = {SUFFIX.sub("", found) for text in expressions for found in re.findall(r"callsheet_\w+", text)}
    assert asked == names()
    assert len({panel["id"] for panel in shown["panels"]}) == len(shown["panels"])


def test_the_operations_page_names_just_the_metrics_that_there_are() -> None:
    page = DASHBOARD.with_name("operations.md").read_text()
    assert {SUFFIX.sub("", found) for found in re.findall(r"`(callsheet_\w+)`", page)} == names()


def test_the_operations_page_has_the_limits_that_hold() -> None:
    page = DASHBOARD.with_name("operations.md").read_text()
    for said in (
        f"| {turns.RUNNING}; {turns.WRITING} |", f"| {turns.WAITING} of each, at most {turns.WAIT_SECONDS:.0f} s |",
        f"| {crowd.OPEN_EACH}; {crowd.OPEN:,} |", f"{crowd.BYTES_EACH // 1000} KB of a body count",
        f"| {connections.MOST:,}; {connections.RESERVED} fewer than",
        f"end of its headers | {connections.HEAD_SECONDS:.0f} s |",
        f"| {quota({}):.0f}, bursts of {2 * quota({}):.0f} (",
        f"| {MAX_BODY // 10**6} MB, within {BODY_SECONDS:.0f} s,", f"| {crowd.HELD // 10**6} MB |",
        f"| {MAX_HEADERS}, {MAX_HEADER_BYTES // 1024} KB in all |", f"| {SECONDS:.0f} s, or",
        f"every {SCORED:,} pairs of a score, every {CHUNK:,} of a plan", f"longer than {BUSY_SECONDS} s, all its locks",
    ):  # fmt: skip
        assert said in page, said


def test_every_metric_is_listed_once() -> None:
    declared = [m for m in vars(metrics).values() if hasattr(m, "_labelnames")]
    assert len(declared) == len(metrics.ALL) == len(names())
