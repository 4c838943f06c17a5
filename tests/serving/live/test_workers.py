"""Two BentoML processes on one ledger: both meet what is written beside them, and swap models under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest

from features.catalogue import FEATURE_VERSION
from features.engine import Engine
from models.product import Product, fit_product
from models.recipe import Recipe
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.releases import Released, Releases
from serving.live import ledger_book
from serving.recommend import Recommender
from tests.serving.conftest import Crm, Service, running
from tests.serving.databases import Site
from tests.serving.live.standing import fill, release, write
from training.blocks import final_cut
from training.examples import gather

#: Questions on connections of their own, several at once, so that both workers get some.
ASKED = 40


@pytest.fixture(scope="module")
def third(crm: Crm) -> Product:
    """A model whose scores are others than those of the two that every test knows."""
    examples = gather(crm.book, Engine(crm.book, crm.config))
    fast = Recipe.preset("fast")
    few = {
        name: getattr(fast, name).model_copy(update={"choose": False, "rounds": 9})
        for name in ("accept", "convert", "ranker")
    }
    blocks = final_cut(examples, crm.config, crm.book.now).learned_from(examples.matrix)
    return fit_product(fast.but(name="third", **few), *blocks)


@pytest.fixture(scope="module")
def models(crm: Crm, third: Product) -> dict[str, Product]:
    """By version."""
    return {"2": crm.products[1], "3": third}


@pytest.fixture(scope="module")
def home(site: Site, crm: Crm, third: Product) -> Path:
    """Its ledger holds the CRM and has released model 2; model 3 lies there, too."""
    with closing(site.open()) as ledger:
        fill(ledger, crm)
        release(ledger, crm, site.home)
    third.save(site.home / "models" / third.content_hash)
    return site.home


def promote(url: str, crm: Crm, models: dict[str, Product], version: str) -> int:
    """Release a model as `callsheet promote` does; the revision."""
    ledger = Ledger(url)
    try:
        now = Releases(ledger).current()
        assert now is not None
        model = Released(version, models[version].content_hash, FEATURE_VERSION, crm.config.market_fingerprint)
        return Releases(ledger).promote(model, seen=now.revision, reason="for the test").revision
    finally:
        ledger.close()


@pytest.fixture(scope="module")
def service(crm: Crm, home: Path, beside: str) -> Iterator[Service]:
    with running(crm.folder, crm.config_path, home, "--db", beside, "--workers", "2", ledger=True) as made:
        yield made


@pytest.fixture(scope="module")
def beside(site: Site) -> str:
    """The URL of the ledger, for who writes beside the service."""
    return site.url


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def every_worker(service: Service, route: str, body: dict[str, Any] | None, true: Callable[[Any], bool]) -> bool:
    """Whether it is true of every answer to so many questions that both workers must have had some."""

    def ask(_: int) -> bool:
        answer = httpx.get(service.url + route) if body is None else httpx.post(service.url + route, json=body)
        return answer.status_code in (200, 404) and true(answer.json())

    with ThreadPoolExecutor(8) as pool:
        return all(pool.map(ask, range(ASKED)))


def test_the_start_says_how_the_ledger_is_kept(service: Service, beside: str) -> None:
    kept = "Ledger: SQLite, journal" if beside.startswith("sqlite") else "Ledger: PostgreSQL"
    assert kept in (service.home / "serve.log").read_text()


def test_a_lead_that_is_written_beside_them_is_placed_by_every_worker(service: Service, beside: str, crm: Crm) -> None:
    lead = crm.snapshot.tables["leads"].iloc[-1]
    told = {"lead_id": "beside", "contact_id": lead["contact_id"], "solution": lead["solution"]}
    assert every_worker(service, "/recommend_reps", {"lead_id": "beside"}, lambda said: "error" in said)
    write(beside, "leads", told | {"created_at": datetime.now(UTC) - timedelta(minutes=1)})
    until(lambda: every_worker(service, "/recommend_reps", {"lead_id": "beside"}, lambda said: "items" in said))


def test_an_offer_that_is_written_beside_them_counts_in_every_worker(service: Service, beside: str, crm: Crm) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    told = {"lead_id": "beside", "rep_id": crm.snapshot.tables["reps"]["rep_id"].iloc[0], "offered_at": now}
    write(beside, "offers", told | {"offer_id": "beside"})
    until(
        lambda: every_worker(
            service, "/recommend_reps", {"lead_id": "beside"}, lambda said: "lead_taken" in said["refused"]
        )
    )


def test_what_is_ingested_counts_in_every_worker(service: Service, crm: Crm) -> None:
    """A touch, a meeting and a preference, put in by one of them; a decision keeps the features that it was made by."""
    lead, rep, account, contact = worked(crm)
    now = datetime.now(UTC)
    soon, before = (now + timedelta(days=3)).isoformat(), (now - timedelta(minutes=1)).isoformat()
    touch = {"rep_id": rep, "contact_id": contact, "kind": "call", "occurred_at": before}
    meeting = {"rep_id": rep, "account_id": account, "starts_at": soon, "created_at": before}
    never = {"rep_id": rep, "subject": "account", "subject_id": account, "rule": "exclude", "since": before}
    assert every_worker(service, "/recommend_reps", {"lead_id": lead, "k": 50}, lambda said: has(service, said, rep, 0))
    ingest(service, touches=[touch | {"touch_id": "beside"}], meetings=[meeting | {"meeting_id": "beside"}])
    body = {"lead_id": lead, "k": 50}
    until(lambda: every_worker(service, "/recommend_reps", body, lambda said: has(service, said, rep, 1)))
    ingest(service, preferences=[never | {"preference_id": "beside"}])
    until(
        lambda: every_worker(
            service, "/recommend_reps", body, lambda said: rep not in {item["rep_id"] for item in said["items"]}
        )
    )
    assert every_worker(service, "/recommend_reps", body, lambda said: said["refused"]["exclusion"] >= 1)


def worked(crm: Crm) -> tuple[str, str, str, str]:
    """An open lead and a rep who may take it, who never touched nor meets its account; with account and contact."""
    recommender = Recommender(crm.book, crm.config, Standing(crm.products[1], "champion", "2", None))
    for code in recommender.open_leads:
        ranking = recommender.rank_reps(str(crm.book.lead_ids[code]))
        matrix = ranking.order.matrix
        if not len(ranking.best) or matrix is None:
            continue
        fresh = [matrix.values[place, matrix.columns.index("days_since_touch")] for place in ranking.best[:10]]
        for place, days in zip(ranking.best[:10], fresh, strict=True):
            if np.isnan(days):
                contact = str(crm.book.contact_ids[crm.book.leads.contact[code]])
                lead = str(crm.book.lead_ids[code])
                return lead, str(ranking.ids[ranking.rows[place]]), recommender.account_of(lead), contact
    raise AssertionError("every rep knows every account")


def ingest(service: Service, **tables: list[dict[str, Any]]) -> None:
    answer = httpx.post(f"{service.url}/ingest", json={"tables": tables}, timeout=30)
    assert answer.status_code == 200, answer.text


def has(service: Service, said: dict[str, Any], rep: str, count: int) -> bool:
    """Whether the decision counted so many of the rep's touches, and as many meetings ahead."""
    told = httpx.get(f"{service.url}/explain/{said['decision_id']}", timeout=30).json()["features"][rep]
    return (told["touches_30d"] or 0, told["meeting_14d"] or 0) == (count, count)


@dataclass
class Loop:
    """Asks again and again, one question after the other, until told to stop; keeps every answer."""

    url: str
    body: dict[str, Any]
    stop: Event = field(default_factory=Event)
    said: list[tuple[str | None, str, tuple[float, ...]]] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self.stop.is_set():
                try:
                    answer = client.post(f"{self.url}/score", json=self.body)
                except httpx.HTTPError as error:
                    self.failed.append(error)
                    continue
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                    continue
                said = answer.json()
                self.said.append((said["model_version"], said["rung"], tuple(i["score"] for i in said["items"])))


def golden(crm: Crm, url: str, models: dict[str, Product]) -> tuple[dict[str, Any], dict[str, tuple[float, ...]]]:
    """Pairs that may be scored at an instant, and what each of the models scores them."""
    ledger = Ledger(url)
    book = ledger_book(ledger, crm.config)
    ledger.close()
    t = crm.book.now
    lead, rep = (a.ravel() for a in np.meshgrid(np.arange(len(book.lead_ids)), np.arange(len(book.rep_ids))))
    rows = np.flatnonzero(Engine(book, crm.config).eligibility_of(lead, rep, np.full(len(lead), t)) == 0)[:40]
    leads, reps = [str(book.lead_ids[i]) for i in lead[rows]], [str(book.rep_ids[i]) for i in rep[rows]]
    scores = {}
    for version, product in models.items():
        recommender = Recommender(book, crm.config, Standing(product, "champion", version, None))
        items = recommender.score_pairs(leads, reps, [t] * len(rows))["items"]
        scores[version] = tuple(item["score"] for item in items)
    at = crm.snapshot.now.isoformat()
    pairs = [{"lead_id": one, "rep_id": other, "as_of": at} for one, other in zip(leads, reps, strict=True)]
    return {"pairs": pairs}, scores


@pytest.mark.faults
def test_models_are_swapped_under_load_without_a_failed_request(
    service: Service, beside: str, crm: Crm, models: dict[str, Product]
) -> None:
    """Each answer's scores are those of the version that it names: no answer mixes two models."""
    body, scores = golden(crm, beside, models)
    assert len(body["pairs"]) > 10
    assert scores["2"] != scores["3"]
    loops = [Loop(service.url, body) for _ in range(3)]
    with ThreadPoolExecutor(len(loops)) as pool:
        asking = [pool.submit(loop.run) for loop in loops]
        try:
            for version in ("3", "2", "3"):
                promote(beside, crm, models, version)
                until(lambda v=version: every_worker(service, "/model", None, lambda said: said["model_version"] == v))
        finally:
            for loop in loops:
                loop.stop.set()
        for one in asking:
            one.result()
    assert not [failure for loop in loops for failure in loop.failed]
    answers = [answer for loop in loops for answer in loop.said]
    assert {(version, rung) for version, rung, _ in answers} == {("2", "champion"), ("3", "champion")}
    for version, _, said in answers:
        assert said == scores[str(version)]


@pytest.mark.faults
def test_a_damaged_model_is_refused_by_every_worker(
    service: Service, beside: str, home: Path, crm: Crm, models: dict[str, Product]
) -> None:
    """Model 3 serves; model 2 is damaged, and released all the same."""
    place = home / "models" / models["2"].content_hash / "product.json"
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    revision = promote(beside, crm, models, "2")
    until(lambda: every_worker(service, "/model", None, lambda said: said["revision"] == revision))

    def kept(said: dict[str, Any]) -> bool:
        return (said["model_version"], said["rung"]) == ("3", "last_good") and "model 2 cannot" in said[
            "degraded_reason"
        ]

    assert every_worker(service, "/model", None, kept)
    ledger = Ledger(beside)
    Releases(ledger).rollback(seen=revision, reason="back to the good one")
    ledger.close()
    until(lambda: every_worker(service, "/model", None, lambda said: not said["degraded"]))


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_a_service_on_postgresql_meets_what_is_written_beside_it(
    ledger: Ledger, crm: Crm, tmp_path: Path, url: str
) -> None:
    fill(ledger, crm)
    lead = crm.snapshot.tables["leads"].iloc[-1]
    told = {"lead_id": "beside", "contact_id": lead["contact_id"], "solution": lead["solution"]}
    with running(crm.folder, crm.config_path, tmp_path, "--db", url, ledger=True) as service:
        assert every_worker(service, "/recommend_reps", {"lead_id": "beside"}, lambda said: "error" in said)
        write(url, "leads", told | {"created_at": datetime.now(UTC) - timedelta(minutes=1)})
        until(lambda: every_worker(service, "/recommend_reps", {"lead_id": "beside"}, lambda said: "items" in said))
    assert "Ledger: PostgreSQL" in (service.home / "serve.log").read_text()


def test_an_empty_ledger_is_refused_before_anything_starts(crm: Crm, tmp_path: Path) -> None:
    import subprocess

    process = running(crm.folder, crm.config_path, tmp_path / "home", ledger=True)
    done = subprocess.run(process.command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "callsheet load --data" in done.stderr
