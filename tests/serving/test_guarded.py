"""The running service with keys in its ledger: no route but the probes answers without one, the mounted ones too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from bentoml import Service as BentoService
from starlette.routing import Mount

from features.errors import UsageError
from serving.ledger import Ledger
from serving.ledger.change import changing
from serving.ledger.keys import create, revoke, rotate
from serving.routes import ROUTES
from serving.run import check
from serving.settings import Settings
from tests.serving.conftest import Crm, Service, make_home, running
from tests.serving.databases import Site
from tests.serving.live.standing import fill

PROBES = {"/livez", "/healthz", "/readyz"}


def live_routes() -> set[str]:
    """Every path that the worker's own application answers, the edge and its list of routes aside."""
    from serving.service import callsheet

    found: set[str] = set()

    def walk(routes: Any, before: str) -> None:
        for route in routes:
            path = before + getattr(route, "path", "")
            inner = getattr(route, "routes", None) or getattr(getattr(route, "app", None), "routes", None)
            if inner:
                walk(inner, "" if path == "/" else path)
            found.add(path + "/x" if isinstance(route, Mount) and not inner else path or "/")

    walk(BentoService.to_asgi(callsheet).routes, "")
    return found


@dataclass(frozen=True)
class Guarded:
    service: Service
    ledger: Ledger
    keys: dict[str, str]

    def ask(self, path: str, key: str | None, method: str | None = None) -> httpx.Response:
        """A request that is sound but for its credential."""
        route = ROUTES.get(path)
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        content = b"{}" if route and route.ask else None
        method = method or (route.method if route else "GET")
        return httpx.request(method, f"{self.service.url}{path}", headers=headers, content=content, timeout=30)


@pytest.fixture(scope="module")
def guarded(crm: Crm, site: Site) -> Iterator[Guarded]:
    home, ledger = make_home(crm, site.home, site.url), site.open()
    fill(ledger, crm)
    with changing(ledger) as change:
        keys = {scope: create(change, scope, [scope])[1] for scope in ("route", "record", "ingest", "operate", "read")}
    with running(crm.folder, crm.config_path, home, "--db", site.url, ledger=True) as service:
        yield Guarded(service, ledger, keys)
    ledger.close()


def test_every_live_route_but_the_probes_asks_for_a_credential(guarded: Guarded) -> None:
    walked = live_routes()
    assert {"/schema.json", "/docs.json", "/", "/metrics", "/model", "/score"} <= walked
    for path in sorted(walked | set(ROUTES) | {"/nowhere"}):
        if path in PROBES:
            assert guarded.ask(path, None).status_code == 200
            continue
        for method in (None, "OPTIONS", "POST", "GET", "HEAD", "PUT"):
            for key in (None, "cs_000000000000_" + "A" * 43):
                answer = guarded.ask(path, key, method)
                assert answer.status_code == 401, (path, method)
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert method == "HEAD" or answer.json()["error"]["code"] == "unauthorized"


def test_every_route_asks_for_its_own_scope(guarded: Guarded) -> None:
    for path, route in ROUTES.items():
        for scope, key in guarded.keys.items():
            answer = guarded.ask(path, key)
            if route.scope in (None, scope):
                assert answer.status_code in (200, 400, 404), path  # {} is no question, {decision_id} no decision
                assert answer.status_code == 200 or answer.json()["error"]["code"] != "route_unknown"
            else:
                assert answer.status_code == 403, (path, scope)
                assert answer.json()["error"]["code"] == "forbidden"
                assert f'scope="{route.scope}"' in answer.headers["www-authenticate"]


def test_a_path_that_is_no_route_is_told_only_to_who_may_ask(guarded: Guarded) -> None:
    assert guarded.ask("/nowhere", guarded.keys["read"]).status_code == 404
    assert guarded.ask("/docs.json", guarded.keys["read"], "POST").status_code == 405


def test_a_key_works_soon_after_it_is_made_and_not_after_it_is_revoked(guarded: Guarded) -> None:
    with changing(guarded.ledger) as change:
        key, text = create(change, "late", ["read"])
    assert until(guarded, text, 200)
    with changing(guarded.ledger) as change:
        revoke(change, key.key_id)
    assert until(guarded, text, 401)


def test_a_retry_under_the_key_that_took_the_first_one_s_place_gets_the_answer_of_then(guarded: Guarded) -> None:
    scopes = ["route", "record", "ingest"]
    with changing(guarded.ledger) as change:
        key, old = create(change, "router", scopes)
        other = create(change, "another", scopes)[1]
    with changing(guarded.ledger) as change:
        new = rotate(change, key.key_id, timedelta(hours=1))[1]
    assert until(guarded, new, 403)  # known, and not allowed to read

    def ask(text: str, route: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {text}", "idempotency-key": "the-same"}
        return httpx.post(f"{guarded.service.url}{route}", json=body, headers=headers, timeout=60)

    year, week, _ = datetime.now(UTC).isocalendar()
    event = {"event_id": "e1", "offer_id": "F-nobody", "kind": "accepted", "at": "2026-03-01T00:00:00Z"}
    for route, body in (
        ("/plan", {"week": f"{year}-W{week:02d}", "dry_run": False}),
        ("/record", {"events": [event]}),
        ("/ingest", {"tables": {"campaigns": [{"campaign_id": "K-rotated", "name": "x"}]}}),
    ):
        first, again, theirs = (ask(text, route, body) for text in (old, new, other))
        assert (first.status_code, again.json()) == (200, first.json()), first.text
        replayed = [answer.headers.get("idempotent-replayed") for answer in (first, again, theirs)]
        assert replayed == [None, "true", None], route


def until(guarded: Guarded, text: str, status: int) -> bool:
    """Whether it is answered so within the minute that a revoked key may live."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if guarded.ask("/model", text).status_code == status:
            return True
        time.sleep(0.1)
    return False


def test_no_key_is_in_a_log(guarded: Guarded) -> None:
    said = (guarded.service.home / "serve.log").read_text()
    assert not [key for key in guarded.keys.values() if key in said or key.split("_", 2)[2] in said]


def test_it_binds_no_wider_than_loopback_without_a_key_that_holds(crm: Crm, ledger: Ledger, tmp_path: Path) -> None:
    told = Settings(str(crm.folder), crm.config_path, tmp_path, ledger.url)
    with changing(ledger) as change:
        key, _ = create(change, "a", ["read"])
    check(told, "0.0.0.0", 0)
    with changing(ledger) as change:
        revoke(change, key.key_id)
    with pytest.raises(UsageError, match="callsheet keys create"):
        check(told, "0.0.0.0", 0)
