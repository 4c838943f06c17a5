"""The OpenAPI document: sound, complete, and kept by the service under generated requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from serving.openapi import document
from serving.routes import ROUTES
from tests.serving.conftest import Service

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(document())))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
]  # fmt: skip


@pytest.fixture(scope="module")
def session(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def test_the_document_is_valid_openapi() -> None:
    SCHEMA.validate()


def test_every_route_is_named_with_all_that_it_answers() -> None:
    paths = document()["paths"]
    assert set(paths) == set(ROUTES)
    for path, route in ROUTES.items():
        operation = paths[path][route.method.lower()]
        assert {"200", "405", "431", "500", "503"} <= set(operation["responses"])
        if route.ask:
            assert {"400", "408", "413", "415"} <= set(operation["responses"])
            assert operation["requestBody"]["required"]


def test_the_service_hands_out_this_document(session: httpx.Client) -> None:
    assert session.get("/docs.json").json() == json.loads(json.dumps(document()))


@SCHEMA.parametrize()
@settings(
    max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_the_service_keeps_the_document(case: schemathesis.Case, service: Service) -> None:
    case.call_and_validate(base_url=service.url, checks=CHECKS)
