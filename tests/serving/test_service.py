"""The service as its callers meet it: a real BentoML process, asked by BentoML's client and by plain HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bentoml
import httpx
import pytest

from features.catalogue import FEATURE_VERSION
from serving.recommend import Recommender
from serving.routes import ROUTES
from tests.serving.conftest import Crm, Service


@pytest.fixture(scope="module")
def http(service: Service) -> Any:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def lead(recommender: Recommender) -> str:
    """An open lead that some rep may take."""
    for code in recommender.open_leads:
        lead_id = str(recommender.book.lead_ids[code])
        if recommender.reps_for_lead(lead_id)["items"]:
            return lead_id
    raise AssertionError("no open lead can be placed")


@pytest.fixture(scope="module")
def rep(recommender: Recommender) -> str:
    """A rep who may take some open lead."""
    return next(str(r) for r in recommender.book.rep_ids if recommender.leads_for_rep(str(r))["items"])


def test_reps_over_http_are_the_same_as_without_it(http: httpx.Client, recommender: Recommender, lead: str) -> None:
    answer = http.post("/recommend_reps", json={"lead_id": lead, "k": 3, "reasons": True})
    assert answer.status_code == 200
    assert answer.json() == recommender.reps_for_lead(lead, 3, reasons=True)


def test_leads_over_http_are_the_same_as_without_it(http: httpx.Client, recommender: Recommender, rep: str) -> None:
    answer = http.post("/recommend_leads", json={"rep_id": rep, "k": 5, "reasons": True})
    assert answer.status_code == 200
    assert answer.json() == recommender.leads_for_rep(rep, 5, reasons=True)


def test_scores_over_http_are_the_same_as_without_it(http: httpx.Client, recommender: Recommender, lead: str) -> None:
    reps = [str(r) for r in recommender.book.rep_ids]
    pairs = [{"lead_id": lead, "rep_id": r, "as_of": None} for r in reps]
    answer = http.post("/score", json={"pairs": pairs})
    assert answer.status_code == 200
    assert answer.json() == recommender.score_pairs([lead] * len(reps), reps)


def test_an_answer_names_who_gave_it_and_is_advice(http: httpx.Client, lead: str) -> None:
    answer = http.post("/recommend_reps", json={"lead_id": lead}).json()
    assert (answer["policy"], answer["rung"], answer["model_version"]) == ("champion", "champion", "2")
    assert (answer["degraded"], answer["degraded_reason"]) == (False, None)
    assert answer["feature_version"] == FEATURE_VERSION
    assert (answer["advice_only"], answer["decision_id"]) == (True, None)
    assert all(item["offer_id"] is None for item in answer["items"])
    assert answer["candidates"] == answer["scored"] + sum(answer["refused"].values())


def test_bentoml_s_own_client_asks_by_field(service: Service, lead: str, rep: str, http: httpx.Client) -> None:
    with bentoml.SyncHTTPClient(service.url) as client:
        assert client.is_ready()
        reps = client.recommend_reps(lead_id=lead, k=2)
        leads = client.recommend_leads(rep_id=rep, k=2)
        scores = client.score(pairs=[{"lead_id": lead, "rep_id": rep}])
    assert reps == http.post("/recommend_reps", json={"lead_id": lead, "k": 2}).json()
    assert leads == http.post("/recommend_leads", json={"rep_id": rep, "k": 2}).json()
    assert scores["items"][0]["lead_id"] == lead


@pytest.mark.parametrize(
    ("route", "body", "code", "field"),
    [
        ("/recommend_reps", {"lead_id": "nobody"}, "lead_unknown", "lead_id"),
        ("/recommend_leads", {"rep_id": "nobody"}, "rep_unknown", "rep_id"),
    ],
)
def test_an_unknown_id_is_404(http: httpx.Client, route: str, body: dict[str, Any], code: str, field: str) -> None:
    answer = http.post(route, json=body)
    assert answer.status_code == 404
    assert answer.json()["error"] | {"message": ""} == {"code": code, "message": "", "field": field}


def test_an_unknown_id_among_pairs_is_named_by_its_place(http: httpx.Client, lead: str, rep: str) -> None:
    good = {"lead_id": lead, "rep_id": rep}
    answer = http.post("/score", json={"pairs": [good, good, good | {"lead_id": "nobody"}]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (404, "pairs[2].lead_id")
    answer = http.post("/score", json={"pairs": [good, good | {"rep_id": "nobody"}]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (404, "pairs[1].rep_id")


@pytest.mark.parametrize(("route", "name"), [("/recommend_reps", "lead_id"), ("/recommend_leads", "rep_id")])
def test_a_commit_is_refused_not_ignored(http: httpx.Client, route: str, name: str, lead: str, rep: str) -> None:
    answer = http.post(route, json={name: lead if name == "lead_id" else rep, "commit": True})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "commit_unavailable"
    assert answer.json()["error"]["field"] == "commit"


def test_model_says_what_serves_and_how_it_got_there(http: httpx.Client, crm: Crm) -> None:
    answer = http.get("/model").json()
    assert answer["model_version"] == "2"
    assert answer["revision"] == 2
    assert answer["content_hash"] == crm.products[1].content_hash
    assert answer["card"]["recipe"]["name"] == "second"


def test_probes_and_metrics_answer(http: httpx.Client) -> None:
    for route in ("/livez", "/readyz", "/healthz"):
        assert http.get(route).status_code == 200
    metrics = http.get("/metrics")
    assert metrics.status_code == 200
    assert "request_duration_seconds" in metrics.text


def test_paths_that_are_no_routes_leave_no_trace_in_the_metrics(http: httpx.Client) -> None:
    assert http.get("/no-such-path-7f3").status_code == 404
    assert "no-such-path-7f3" not in http.get("/metrics").text


def test_an_inline_lead_is_placed_like_a_stored_one(http: httpx.Client, recommender: Recommender, lead: str) -> None:
    book = recommender.book
    code = book.lead_index.code(lead)
    said = {
        "contact_id": str(book.contact_ids[book.leads.contact[code]]),
        "solution": book.solutions.values[book.leads.solution[code]],
    }
    answer = http.post("/recommend_reps", json={"lead": said, "k": 2, "reasons": True})
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"]
    assert answer.json()["rung"] == "champion"
    assert len(recommender.book.lead_ids) == http.get("/model").json()["leads"]


def test_answers_do_not_depend_on_what_else_is_asked(http: httpx.Client, service: Service, lead: str, rep: str) -> None:
    asked = [("/recommend_reps", {"lead_id": lead}), ("/recommend_leads", {"rep_id": rep})] * 20
    alone = [http.post(*q[:1], json=q[1]).json() for q in asked[:2]]
    with ThreadPoolExecutor(8) as pool, httpx.Client(base_url=service.url, timeout=30) as client:
        together = list(pool.map(lambda q: client.post(q[0], json=q[1]).json(), asked))
    assert together == alone * 20


def test_every_live_route_is_listed_and_every_listed_one_lives(http: httpx.Client) -> None:
    for route in ROUTES.values():
        answer = http.request(route.method, route.path, headers={"content-type": "application/json"})
        assert answer.status_code not in (404, 405, 500), route.path
    for hidden in ("/", "/static_content/swagger-ui.css", "/score/", "/schema.json/x", "/recommend_reps/submit"):
        assert http.get(hidden).status_code == 404
