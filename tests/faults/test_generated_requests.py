"""Requests made from the OpenAPI document, sound and unsound, to a service on a ledger with keys: it keeps its word."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks
from sqlalchemy import select

from features.schema import TABLES, Kind
from serving.body import checked_query
from serving.deadline import HEADER as DEADLINE
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.crm import CRM
from serving.ledger.idempotency import HEADER as KEY
from serving.ledger.keys import create
from serving.live.crm import Crm as Read
from serving.openapi import document
from serving.refusal import Turned
from serving.routes import ROUTES
from serving.wire.plan import WEEK
from tests.serving.conftest import Crm, Service, running
from tests.serving.databases import Site
from tests.serving.live.standing import fill, release

load_all_checks()

#: Instants near enough to matter, anywhere that is allowed, and those that are none or too far.
_DAY, _NOW = timedelta(days=1), datetime.now(UTC)
schemathesis.openapi.format(
    "date-time",
    st.one_of(
        st.floats(0, 400).map(lambda days: (_NOW - days * _DAY).isoformat()),
        st.datetimes(datetime(1970, 1, 3), datetime(2099, 12, 30), timezones=st.just(UTC)).map(datetime.isoformat),
        st.sampled_from(
            ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59-14:00", "2016-12-31T23:59:60Z"]
        ),
    ),
)
#: What a sound body may be refused for, because JSON Schema cannot say it: what is stored, what was sent before, how
#: fields hang together; and the fields of which it cannot say enough.
BESIDES: Final = {"idempotency_key_missing", "idempotency_mismatch", "table_invalid"}
ONLY_SO_FAR: Final = {c.name for t in TABLES.values() for c in t.columns if c.kind is Kind.TIME} | {
    "at",
    "as_of",
    "week",
}


def as_guarded() -> dict[str, Any]:
    """The document as it is where there are keys, and with a report to make of each offer."""
    made: dict[str, Any] = json.loads(json.dumps(document()))
    for operation in (one for path in made["paths"].values() for one in path.values()):
        if "security" in operation:
            operation["security"] = [{"bearer": []}]
        if "record" in operation["responses"]["200"].get("links", ()):
            operation["responses"]["200"]["links"]["record"]["requestBody"] = {
                "events": [
                    {
                        "event_id": "$response.header.x-request-id", "offer_id": "$response.body#/items/0/offer_id",
                        "kind": "accepted", "at": "$response.body#/as_of",
                    }
                ]
            }  # fmt: skip
    return made


SCHEMA = schemathesis.openapi.from_dict(as_guarded())


def sound_is_not_called_unsound(_: Any, response: Any, case: schemathesis.Case) -> None:
    """What the document allows is not refused as if it did not."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    error = json.loads(response.content)["error"]
    vague = error["code"] == "input_invalid" and str(error["field"]).rpartition(".")[2] in ONLY_SO_FAR
    assert error["code"] in BESIDES or vague, error


def unsound_is_refused(context: Any, response: Any, case: schemathesis.Case) -> None:
    """What the document rules out is refused; a parameter without a value is not sent, so the rest may be sound."""
    route = ROUTES[case.operation.path]
    if route.query:
        with suppress(Turned):
            checked_query(route.query, parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True))
            return
    checks.negative_data_rejection(context, response, case)


CHECKS: list[Callable[..., Any]] = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_headers_conformance, checks.response_schema_conformance, unsound_is_refused,
    checks.missing_required_header, checks.unsupported_method, checks.allow_header_conformance, checks.ignored_auth,
    sound_is_not_called_unsound,
]  # fmt: skip


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace"))


def _dice(text: str) -> bool:
    """Four of five."""
    return _hash(f"dice {text}") % 5 > 0


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and "\x00" not in value


def _agreed(lead: dict[str, Any]) -> dict[str, Any]:
    """A lead that says once of whom it is; what is wrong in it stays so."""
    contact, account = lead.get("contact"), lead.get("account")
    for sent, name, others in ((contact, "contact_id", (lead,)), (account, "account_id", (lead, contact))):
        if isinstance(sent, dict) and _is_id(sent.get(name)):
            for other in others:
                if isinstance(other, dict) and _is_id(other.get(name)):
                    del other[name]
    return lead


@dataclass
class Asked:
    """A service of one worker, what it knows by the names of fields, and what it answered: route, kind, status."""

    service: Service
    ledger: Ledger
    key: str
    ids: dict[str, list[str]]
    seen: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    session: requests.Session = field(default_factory=requests.Session)
    listed: int = 0

    @property
    def how(self) -> dict[str, Any]:
        return {
            "base_url": self.service.url, "session": self.session, "timeout": 60,
            "headers": {"Authorization": f"Bearer {self.key}"},
        }  # fmt: skip

    def sent(self, case: schemathesis.Case) -> schemathesis.Case:
        """The same with most of its ids such as are stored, and most of its keys new: else little is answered."""
        case.body, case.query = self._known(case.body), self._known(case.query)
        if all(re.fullmatch("[A-Za-z0-9._-]+", str(one)) for one in (case.path_parameters or {}).values()):
            case.path_parameters = self._known(case.path_parameters)
        key = (case.headers or {}).get(KEY)
        if isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key) and _dice(key + str(self.seen.total())):
            case.headers[KEY] = f"key-{self.seen.total()}"
        if re.fullmatch(r"[1-9]\d*(\.\d+)?", str((case.headers or {}).get(DEADLINE))):
            case.headers[DEADLINE] = "30"  # a slow machine is no fault
        return case

    def _known(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            own = {"lead": "lead_id", "contact": "contact_id", "account": "account_id"}.get(name)
            made = {key: one if key == own else self._known(one, key) for key, one in value.items()}
            return _agreed(made) if name == "lead" else made
        if isinstance(value, list):
            return [self._known(one, name) for one in value]
        if name in self.ids and _is_id(value):
            if re.fullmatch("[DO]-[0-9a-f]{32}", value) or (name == "week" and not re.match(WEEK, value)):
                return value  # it came of an answer; or it is wrong on purpose
            known = self.ids[name]
            return known[_hash(value) % len(known)] if _dice(value) else value
        return value

    def ask(self, case: schemathesis.Case, one_of: Mapping[str, int]) -> None:
        """Send it, and hold the answer to the document; of listed cases, one of so many of its route."""
        if phase_of(case) == "coverage" and case.method == case.operation.method.upper():
            self.listed += 1
            if self.listed % one_of.get(case.operation.label, 1):
                return
        answer = self.sent(case).call_and_validate(checks=CHECKS, **self.how)
        self.count(case, answer.status_code)

    def count(self, case: schemathesis.Case, status: int) -> None:
        """Remember what became of it."""
        mode = case.meta.generation.mode.value if case.meta else "none"
        mode = "linked" if phase_of(case) == "stateful" else mode
        self.seen[case.operation.label, mode, status] += 1


def phase_of(case: schemathesis.Case) -> str:
    """For which part of the generation it was made."""
    return case.meta.phase.name.value if case.meta else "none"


@pytest.fixture(scope="module")
def asked(crm: Crm, site: Site) -> Iterator[Asked]:
    ledger = site.open()
    fill(ledger, crm)
    release(ledger, crm, site.home)
    with changing(ledger) as change:
        key = create(change, "all", ["route", "record", "ingest", "operate", "read"])[1]
        ids = {
            column: list(change.connection.execute(select(CRM[table].c[column]).limit(60)).scalars())
            for table, column in (
                ("leads", "lead_id"), ("contacts", "contact_id"), ("accounts", "account_id"), ("reps", "rep_id"),
                ("leads", "solution"),
            )
        }  # fmt: skip
    with running(crm.folder, crm.config_path, site.home, "--db", site.url, ledger=True) as service:
        made = Asked(service, ledger, key, ids)
        decisions = [offered(made, rep) for rep in ids["rep_id"][:8]]
        ids["decision_id"] = [one["decision_id"] for one in decisions]
        ids["offer_id"] = [item["offer_id"] for one in decisions for item in one["items"] if item["offer_id"]]
        ids["lead_id"] = ids["lead_id"][:20] + [str(one) for one in crm.book.lead_ids[-40:]]
        ids["week"] = [week_of(_NOW + ahead * _DAY) for ahead in (0, 7)]
        yield made
    ledger.close()


def week_of(at: datetime) -> str:
    """As 2026-W10."""
    return f"{at.isocalendar().year}-W{at.isocalendar().week:02d}"


def offered(asked: Asked, rep_id: str) -> dict[str, Any]:
    """A call sheet whose leads are offered."""
    headers = asked.how["headers"] | {"Idempotency-Key": f"before-{rep_id}"}
    body = {"rep_id": rep_id, "k": 3, "commit": True}
    answer: dict[str, Any] = httpx.post(
        f"{asked.service.url}/recommend_leads", json=body, headers=headers, timeout=60
    ).json()
    return answer


ALWAYS: Final[dict[str, Any]] = {
    "deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate], "print_blob": False,
}  # fmt: skip
#: Of the cases that are listed one by one for every column, one of so many is sent: few in `make test`; and of those
#: that are slow, for an inline lead has a book of its own made, few in `make faults` too.
FEW: Final = {"POST /ingest": 30, "POST /recommend_reps": 40, "POST /record": 15}
SLOW: Final = {"POST /recommend_reps": 8}


@SCHEMA.parametrize()
@settings(max_examples=15, **ALWAYS)
def test_the_service_keeps_the_document(case: schemathesis.Case, asked: Asked) -> None:
    asked.ask(case, FEW)


@pytest.mark.faults
@SCHEMA.parametrize()
@settings(max_examples=250, **ALWAYS)
def test_the_service_keeps_the_document_however_often(case: schemathesis.Case, asked: Asked) -> None:
    asked.ask(case, SLOW)


@pytest.mark.parametrize("walks", [6, pytest.param(60, marks=pytest.mark.faults)])
def test_an_answer_leads_on(asked: Asked, walks: int) -> None:
    """By the document's links, from a recommendation to its explanation, and to a report of its offer."""

    class Walk(SCHEMA.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: schemathesis.Case) -> None:
            asked.sent(case)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return asked.how

        def validate_response(self, response: Any, case: schemathesis.Case, *_: Any, **__: Any) -> None:
            asked.count(case, response.status_code)
            case.validate_response(response, checks=CHECKS, headers=asked.how["headers"], transport_kwargs=asked.how)

    run_state_machine_as_test(Walk, settings=settings(max_examples=walks, stateful_step_count=8, **ALWAYS))
    for route in ("GET /explain/{decision_id}", "POST /record"):
        assert asked.seen[route, "linked", 200] > 0, route


def test_every_route_has_answered_and_what_was_let_in_can_be_read_again(asked: Asked) -> None:
    for label in sorted({route for route, _, _ in asked.seen}):
        seen = {(mode, status): count for (route, mode, status), count in asked.seen.items() if route == label}
        print(f"{label}: {sum(seen.values()):,}", dict(sorted(seen.items())))
        assert seen.get(("positive", 200)), label
    assert {route for route, _, _ in asked.seen} == {f"{one.method} {one.path}" for one in ROUTES.values()}
    with asked.ledger.reading() as connection:
        assert verify(connection) is None
        Read.read(connection)  # as a worker that starts
    warned = [
        line
        for line in (asked.service.home / "serve.log").read_text().splitlines()
        if "WARNING" in line or "ERROR" in line
    ]
    assert [line for line in warned if "Invalid HTTP request" not in line] == []
