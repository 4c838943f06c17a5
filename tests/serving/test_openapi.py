"""The OpenAPI document: sound, complete, and as strict as the service; tests/faults holds a running one to it."""

from __future__ import annotations

import json

import pytest
import schemathesis

from serving.body import checked
from serving.openapi import document
from serving.refusal import Turned
from serving.routes import ROUTES
from serving.wire.ask import LeadsAsk, RepsAsk
from serving.wire.plan import PlanAsk


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(json.loads(json.dumps(document()))).validate()


def test_every_route_is_named_with_all_that_it_answers() -> None:
    paths = document()["paths"]
    assert set(paths) == set(ROUTES)
    for path, route in ROUTES.items():
        operation = paths[path][route.method.lower()]
        assert {"200", "405", "431", "500", "503"} <= set(operation["responses"])
        if route.ask:
            assert {"400", "408", "413", "415"} <= set(operation["responses"])
            assert operation["requestBody"]["required"]


def test_a_decision_leads_to_its_explanation_and_to_reports_of_its_offers() -> None:
    paths, named = document()["paths"], {operation["operationId"] for path in document()["paths"].values()
                                         for operation in path.values()}  # fmt: skip
    for route in ("/recommend_reps", "/recommend_leads", "/plan"):
        links = paths[route]["post"]["responses"]["200"]["links"]
        assert {link["operationId"] for link in links.values()} == {"explain", "record"} <= named


def test_bounds_of_parameters_are_said() -> None:
    said = {one["name"]: one["schema"] for one in document()["paths"]["/due"]["get"]["parameters"]}
    assert said["limit"] == {"type": "integer", "minimum": 1, "maximum": 1_000}


def test_an_integer_may_be_written_with_a_point_as_in_json_schema() -> None:
    assert checked(LeadsAsk, b'{"rep_id": "R1", "k": 3.0}').k == 3  # type: ignore[attr-defined]
    for k in (b"3.5", b"1e400", b"true", b'"3"'):
        with pytest.raises(Turned):
            checked(LeadsAsk, b'{"rep_id": "R1", "k": %s}' % k)


@pytest.mark.parametrize("week", ["2026-W00", "2026-W54", "0001-W10", "2100-W01", "2026-w10"])
def test_a_week_is_one_of_the_years_that_are_kept(week: str) -> None:
    with pytest.raises(Turned):
        checked(PlanAsk, json.dumps({"week": week}).encode())


def test_an_account_that_is_sent_along_has_a_name() -> None:
    account = {"account_id": "new", "name": ""}
    with pytest.raises(Turned) as refused:
        checked(RepsAsk, json.dumps({"lead": {"solution": "x", "contact_id": "C1", "account": account}}).encode())
    assert refused.value.field == "lead.account.name"
